package kube

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// feed keeps one kind of one namespace up to date and knows whether it does: whether the API server refuses it, and
// since when no watch is open. The retries are client-go's.
type feed struct {
	kind      kind
	namespace string
	informer  cache.SharedIndexInformer
	now       func() time.Time
	changed   func() // called after a refusal began or ended

	mu       sync.Mutex
	refusal  string    // "list" or "watch": the verb that is forbidden; empty: none
	refused  time.Time // since when
	watching bool
	lost     time.Time // since when no watch is open
}

func newFeed(w *wire, k kind, namespace string, now func() time.Time, changed func(), log *slog.Logger) (*feed, error) {
	f := &feed{kind: k, namespace: namespace, now: now, changed: changed, lost: now()}
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			// "0" would allow an answer older than what was already seen from another API server.
			if o.ResourceVersion == "0" {
				o.ResourceVersion = ""
			}
			list := k.list()
			err := f.request(w, o).Do(ctx).Into(list)
			f.answered("list", err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.Watch = true
			open, err := f.request(w, o).Watch(ctx)
			f.answered("watch", err)
			if err != nil {
				return nil, err
			}
			return &openWatch{Interface: open, ended: f.ended}, nil
		},
	}
	f.informer = cache.NewSharedIndexInformerWithOptions(lw, k.object, cache.SharedIndexInformerOptions{
		Indexers: k.indexers, ObjectDescription: k.resource + " in " + namespace,
	})
	if err := f.informer.SetTransform(trim); err != nil {
		return nil, fmt.Errorf("SetTransform(%s): %w", k.resource, err)
	}
	err := f.informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, _ *cache.Reflector, err error) {
		if ctx.Err() == nil && !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
			log.Warn("the watch was lost and is tried again", "resource", k.resource, "namespace", namespace, "err", err)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("SetWatchErrorHandler(%s): %w", k.resource, err)
	}
	return f, nil
}

func (f *feed) request(w *wire, o metav1.ListOptions) *rest.Request {
	o.FieldSelector = f.kind.selector
	return w.rest(f.kind).Get().Namespace(f.namespace).Resource(f.kind.resource).VersionedParams(&o, w.params)
}

// answered keeps what an answer says about the right to ask. Only a refusal and an answer change it: when nothing
// answers, the last word stands.
func (f *feed) answered(verb string, err error) {
	f.mu.Lock()
	was := f.refusal
	switch {
	case apierrors.IsForbidden(err):
		if f.refusal == "" {
			f.refused = f.now()
		}
		f.refusal = verb
	case err == nil && (verb == "watch" || f.refusal == "list"):
		f.refusal = "" // a list alone does not prove that watching is allowed
		if was != "" {
			f.lost = f.now() // the watch may take its time from now on
		}
	}
	if verb == "watch" && err == nil {
		f.watching, f.lost = true, time.Time{}
	}
	changed := was != f.refusal
	f.mu.Unlock()
	if changed {
		f.changed()
	}
}

func (f *feed) ended() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watching {
		f.watching, f.lost = false, f.now()
	}
}

// alive tells whether everything there is has been read and a watch tells of what comes.
func (f *feed) alive() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.watching && f.informer.HasSynced()
}

// silent is since when no watch has been open; zero while one is, or while the API server refuses it.
func (f *feed) silent() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refusal != "" {
		return time.Time{}
	}
	return f.lost
}

// refusedSince gives a sentence that names what is missing and since when, or nothing.
func (f *feed) refusedSince() (sentence string, since time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refusal == "" {
		return "", time.Time{}
	}
	return fmt.Sprintf("The portal may not %s %s in %s: give its ServiceAccount the Role in manifests/rbac.yaml.",
		f.refusal, f.kind.resource, f.namespace), f.refused
}

// openWatch tells when the reflector is done with it, which it is at the latest when the connection breaks.
type openWatch struct {
	watch.Interface
	once  sync.Once
	ended func()
}

// Stop ends the watch.
func (w *openWatch) Stop() {
	w.Interface.Stop()
	w.once.Do(w.ended)
}
