package kube

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"deployportal/internal/deploys"
)

const (
	liveWait  = 5 * time.Second
	patchWait = 10 * time.Second
)

// Live implements deploys.Cluster.
func (c *Cluster) Live(ctx context.Context, t deploys.Target) (deploys.Rollout, error) {
	e, err := c.env(t.Env)
	if err != nil {
		return deploys.Rollout{}, err
	}
	workload, err := c.workload(e, t)
	if err != nil {
		return deploys.Rollout{}, err
	}
	ctx, cancel := context.WithTimeout(e.site.logged(ctx), liveWait)
	defer cancel()
	d := &appsv1.Deployment{}
	err = e.site.wire.apps.Get().Namespace(e.namespace).Resource("deployments").Name(workload).MaxRetries(1).Do(ctx).Into(d)
	switch {
	case err == nil:
		trimDeployment(d)
		e.site.remember(d)
		return Snapshot(Objects{Deployment: d}, c.now()), nil
	case missing(err):
		return deploys.Rollout{At: c.now()}, nil
	}
	return deploys.Rollout{}, fmt.Errorf("get deployment %s/%s: %w", e.namespace, workload, c.readError(e, err))
}

// Apply implements deploys.Cluster. It sends nothing when the change names a container that is not there, or when what
// it is guarded by is already known to be past.
func (c *Cluster) Apply(ctx context.Context, change deploys.Change) (deploys.Applied, error) {
	e, err := c.env(change.Target.Env)
	if err != nil {
		return deploys.Applied{}, err
	}
	workload, err := c.workload(e, change.Target)
	if err != nil {
		return deploys.Applied{}, err
	}
	at := e.at(workload, change)
	if at == nil {
		return deploys.Applied{}, fmt.Errorf("patch deployment %s/%s: %w: it was not sent", e.namespace, workload, deploys.ErrStale)
	}
	patch, err := patchOf(at, change)
	if err != nil {
		return deploys.Applied{}, err
	}
	ctx, cancel := context.WithTimeout(e.site.logged(ctx), patchWait)
	defer cancel()
	ctx, left := traceSent(ctx)
	d := &appsv1.Deployment{}
	res := e.site.wire.apps.Patch(types.JSONPatchType).Namespace(e.namespace).Resource("deployments").Name(workload).
		VersionedParams(&metav1.PatchOptions{FieldManager: deploys.FieldManager}, e.site.wire.params).
		MaxRetries(0). // a retry of ours would not know what became of the try before
		Body(patch).Do(ctx)
	if err := res.Error(); err != nil {
		return deploys.Applied{}, fmt.Errorf("patch deployment %s/%s: %w", e.namespace, workload, patchError(e.namespace, workload, err, left()))
	}
	if err := res.Into(d); err != nil {
		return deploys.Applied{}, fmt.Errorf("patch deployment %s/%s: %w: its answer cannot be read: %w", e.namespace, workload, deploys.ErrUnanswered, err)
	}
	return Snapshot(Objects{Deployment: d}, c.now()).Applied(), nil
}

// at finds the Deployment exactly as it was at the change's guard: in the view, or as Live read it. Where it is in
// neither, it has moved on.
func (e env) at(workload string, change deploys.Change) *appsv1.Deployment {
	is := func(d *appsv1.Deployment) bool {
		return d != nil && d.ResourceVersion == change.ResourceVersion && string(d.UID) == change.UID
	}
	if sp := e.space(); sp != nil {
		if d, ok := sp.get(deployments, workload).(*appsv1.Deployment); ok && is(d) {
			return d
		}
	}
	e.site.mu.RLock()
	defer e.site.mu.RUnlock()
	if d := e.site.live[liveKey{e.namespace, workload}]; is(d) {
		return d
	}
	return nil
}

func (s *site) remember(d *appsv1.Deployment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live[liveKey{d.Namespace, d.Name}] = d
}
