package kube

import (
	"context"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// watchQPS bounds what the watches of one cluster ask for: four lists and four watches per namespace at a start.
const watchQPS = 50

// view is everything watched in one cluster, from one moment on, over its own connections. When a cluster was out of
// reach a new view is read and takes the old one's place: no reasoning about which of the old watches survived.
type view struct {
	wire   *wire
	spaces map[string]*space
	begun  time.Time

	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// space is a namespace within a view.
type space struct {
	name  string
	feeds []*feed // by kind: deployments, replicaSets, pods, events

	mu     sync.Mutex
	hashes map[types.UID]hashed
}

type hashed struct {
	generation int64
	hash       string
}

func newView(cfg *rest.Config, s *site) (*view, error) {
	w, err := newWire(cfg, watchQPS)
	if err != nil {
		return nil, err
	}
	v := &view{wire: w, spaces: map[string]*space{}, begun: s.now()}
	for _, ns := range s.namespaces {
		sp := &space{name: ns, hashes: map[types.UID]hashed{}}
		for _, k := range kinds() {
			f, err := newFeed(w, k, ns, s.now, func() { s.bells.ringAll(s) }, s.log)
			if err != nil {
				return nil, err
			}
			if _, err := f.informer.AddEventHandler(sp.ringer(s)); err != nil {
				return nil, err
			}
			sp.feeds = append(sp.feeds, f)
		}
		v.spaces[ns] = sp
	}
	return v, nil
}

// start begins to read and watch; stop ends it.
func (v *view) start(ctx context.Context) {
	ctx, v.cancel = context.WithCancel(ctx)
	for _, sp := range v.spaces {
		for _, f := range sp.feeds {
			v.wg.Go(func() { f.informer.RunWithContext(ctx) })
		}
	}
}

// stop ends all watches, cuts the connections and waits. What was read stays readable.
func (v *view) stop() {
	if v == nil {
		return
	}
	v.cancel()
	v.wire.cut()
	v.wg.Wait()
	v.wire.cut() // what was being dialled meanwhile
}

// alive tells whether all of it is read and watched, as far as the API server allows.
func (v *view) alive() bool {
	for _, sp := range v.spaces {
		for _, f := range sp.feeds {
			if sentence, _ := f.refusedSince(); sentence == "" && !f.alive() {
				return false
			}
		}
	}
	return true
}

// silent is since when some kind has had no watch, and in which namespace; zero while all have one.
func (v *view) silent() (since time.Time, namespace string) {
	for _, sp := range v.spaces {
		for _, f := range sp.feeds {
			if t := f.silent(); !t.IsZero() && (since.IsZero() || t.Before(since)) {
				since, namespace = t, sp.name
			}
		}
	}
	return since, namespace
}

// ringer rings the bell of the workload that an object belongs to.
func (sp *space) ringer(s *site) cache.ResourceEventHandler {
	ring := func(o any) {
		if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
			o = gone.Obj
		}
		if name := sp.workloadOf(o); name != "" {
			s.bells.ring(place{s, sp.name, name})
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: ring,
		UpdateFunc: func(before, after any) {
			if a, ok := before.(metav1.Object); ok {
				if b, ok := after.(metav1.Object); ok && a.GetResourceVersion() == b.GetResourceVersion() {
					return // the same object, read again
				}
			}
			ring(after)
		},
		DeleteFunc: func(o any) {
			ring(o)
			if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = gone.Obj
			}
			if m, ok := o.(metav1.Object); ok {
				sp.mu.Lock()
				delete(sp.hashes, m.GetUID())
				delete(sp.hashes, m.GetUID()+bareSuffix)
				delete(sp.hashes, m.GetUID()+frameSuffix)
				sp.mu.Unlock()
			}
		},
	}
}

// workloadOf names the Deployment an object belongs to by its owners; empty when one of them is not known (yet: its
// own arrival rings then).
func (sp *space) workloadOf(o any) string {
	switch o := o.(type) {
	case *appsv1.Deployment:
		return o.Name
	case *appsv1.ReplicaSet:
		if ref := metav1.GetControllerOfNoCopy(o); ref != nil && ref.Kind == "Deployment" {
			return ref.Name
		}
	case *corev1.Pod:
		if ref := metav1.GetControllerOfNoCopy(o); ref != nil && ref.Kind == "ReplicaSet" {
			if rs, ok := sp.get(replicaSets, ref.Name).(*appsv1.ReplicaSet); ok {
				return sp.workloadOf(rs)
			}
		}
	case *corev1.Event:
		if p, ok := sp.get(pods, o.InvolvedObject.Name).(*corev1.Pod); ok {
			return sp.workloadOf(p)
		}
	}
	return ""
}

func (sp *space) get(kind int, name string) any {
	o, ok, err := sp.feeds[kind].informer.GetStore().GetByKey(sp.name + "/" + name)
	if err != nil || !ok {
		return nil
	}
	return o
}

// objects gathers what there is of a workload, through the indexes.
func (sp *space) objects(workload string) Objects {
	d, ok := sp.get(deployments, workload).(*appsv1.Deployment)
	if !ok {
		return Objects{}
	}
	o := Objects{Deployment: d}
	for _, rs := range indexed[*appsv1.ReplicaSet](sp.feeds[replicaSets], byOwner, d.UID) {
		o.ReplicaSets = append(o.ReplicaSets, rs)
		for _, p := range indexed[*corev1.Pod](sp.feeds[pods], byOwner, rs.UID) {
			o.Pods = append(o.Pods, p)
			o.Events = append(o.Events, indexed[*corev1.Event](sp.feeds[events], byAbout, p.UID)...)
		}
	}
	return o
}

func indexed[T any](f *feed, index string, uid types.UID) []T {
	found, err := f.informer.GetIndexer().ByIndex(index, string(uid))
	if err != nil {
		return nil // the index does not exist: a fault of this package that any test would show
	}
	all := make([]T, 0, len(found))
	for _, o := range found {
		if t, ok := o.(T); ok {
			all = append(all, t)
		}
	}
	return all
}

// hash is TemplateHash, remembered: a page shows hundreds of templates that have not changed. A template cannot change
// without its object's generation.
func (sp *space) hash(uid types.UID, generation int64, t *corev1.PodTemplateSpec) string {
	sp.mu.Lock()
	known, ok := sp.hashes[uid]
	sp.mu.Unlock()
	if ok && known.generation == generation {
		return known.hash
	}
	h := TemplateHash(t)
	sp.mu.Lock()
	sp.hashes[uid] = hashed{generation, h}
	sp.mu.Unlock()
	return h
}
