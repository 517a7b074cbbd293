package kube

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// Proven implements deploys.Cluster: it reads the workload. A readiness check through the connection of the watches would
// cost less and prove less (docs/adr/0005-proof.md): the API server orders it with nothing that it has still to tell.
func (c *Cluster) Proven(ctx context.Context, t deploys.Target) (deploys.Rollout, error) {
	e, err := c.env(t.Env)
	if err != nil {
		return deploys.Rollout{}, err
	}
	workload, err := c.workload(e, t)
	if err != nil {
		return deploys.Rollout{}, err
	}
	if err := c.Ready(t); err != nil {
		return deploys.Rollout{}, err
	}
	ctx, cancel := context.WithTimeout(e.site.logged(ctx), askWait)
	defer cancel()
	o, err := e.readAll(ctx, workload)
	if err != nil {
		return deploys.Rollout{}, fmt.Errorf("read %s/%s: %w", e.namespace, workload, c.readError(e, err))
	}
	return Snapshot(o, c.now()), nil
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
