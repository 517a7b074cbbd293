package kube

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// How a view is proven.
const (
	hearWait  = 2 * time.Second       // for the answer through the watches' connection
	proveWait = 5 * time.Second       // for all of it
	settle    = 50 * time.Millisecond // what has arrived takes microseconds to be in the caches
)

// Proven implements deploys.Cluster. In a cluster that is well it costs one GET /readyz, else a read of the workload.
func (c *Cluster) Proven(ctx context.Context, t deploys.Target) (deploys.Rollout, error) {
	e, err := c.env(t.Env)
	if err != nil {
		return deploys.Rollout{}, err
	}
	workload, err := c.workload(e, t)
	if err != nil {
		return deploys.Rollout{}, err
	}
	ctx, cancel := context.WithTimeout(e.site.logged(ctx), proveWait)
	defer cancel()
	if e.heard(ctx) {
		if r, err := c.Rollout(t); err == nil && r.StaleSince.IsZero() {
			return r, nil
		}
	}
	if err := c.Ready(t); err != nil {
		return deploys.Rollout{}, err
	}
	o, err := e.readAll(ctx, workload)
	if err != nil {
		return deploys.Rollout{}, fmt.Errorf("read %s/%s: %w", e.namespace, workload, c.readError(e, err))
	}
	return Snapshot(o, c.now()), nil
}

// heard asks through the connection that all needed watches of the namespace came through. A connection keeps the order:
// what the API server had told before its answer has arrived with it. No answer, another connection or a watch that was
// opened anew meanwhile proves nothing.
func (e env) heard(ctx context.Context) bool {
	e.site.mu.RLock()
	v := e.site.view
	e.site.mu.RUnlock()
	if v == nil {
		return false
	}
	before := v.spaces[e.namespace].watches()
	if before == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, hearWait)
	defer cancel()
	ctx, over := traceConn(ctx)
	if status, _, err := v.wire.get(ctx, "/readyz"); err != nil || status != http.StatusOK {
		return false
	}
	for _, w := range before {
		if w.over == nil || w.over != over() {
			return false
		}
	}
	arrived := time.NewTimer(settle)
	defer arrived.Stop()
	select {
	case <-arrived.C:
	case <-ctx.Done():
		return false
	}
	return slices.Equal(before, v.spaces[e.namespace].watches())
}

// watches gives the open ones of the kinds that a deploy cannot be followed without; nil when one has none.
func (sp *space) watches() (all []*openWatch) {
	for _, f := range sp.feeds {
		if !f.kind.needed {
			continue
		}
		w := f.watch()
		if w == nil {
			return nil
		}
		all = append(all, w)
	}
	return all
}

// readAll reads a workload from the API server: the Deployment, then its ReplicaSets and pods. What is said about its
// pods is taken from the view: it is detail.
func (e env) readAll(ctx context.Context, workload string) (o Objects, err error) {
	d := &appsv1.Deployment{}
	w := e.site.wire
	err = w.apps.Get().Namespace(e.namespace).Resource("deployments").Name(workload).MaxRetries(0).Do(ctx).Into(d)
	if missing(err) {
		return Objects{}, nil
	}
	if err != nil {
		return Objects{}, err
	}
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return Objects{}, errs.Wrap(err, errs.Internal, "The Deployment %s has no selector that can be read.", workload)
	}
	sets, of := &appsv1.ReplicaSetList{}, &corev1.PodList{}
	for _, list := range []struct {
		kind kind
		into runtime.Object
	}{{kinds()[replicaSets], sets}, {kinds()[pods], of}} {
		err := w.rest(list.kind).Get().Namespace(e.namespace).Resource(list.kind.resource).MaxRetries(0).
			VersionedParams(&metav1.ListOptions{LabelSelector: selector.String()}, w.params).Do(ctx).Into(list.into)
		if err != nil {
			return Objects{}, err
		}
	}
	trimDeployment(d)
	o.Deployment = d
	for i := range sets.Items {
		o.ReplicaSets = append(o.ReplicaSets, &sets.Items[i])
	}
	sp := e.space()
	for i := range of.Items {
		p := &of.Items[i]
		trimPod(p)
		o.Pods = append(o.Pods, p)
		if sp != nil {
			o.Events = append(o.Events, indexed[*corev1.Event](sp.feeds[events], byAbout, p.UID)...)
		}
	}
	return o, nil
}
