package kubetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// Option changes a Deployment before it is created.
type Option func(*appsv1.Deployment)

// WithDigest makes pods report this digest ("sha256:...") as their image's where the image reference pins none.
func WithDigest(digest string) Option {
	return func(d *appsv1.Deployment) {
		d.Spec.Template.Annotations = map[string]string{"devstack/digest": digest}
	}
}

// WithoutProbes removes startup and readiness probe: pods are ready as soon as they run.
func WithoutProbes() Option {
	return func(d *appsv1.Deployment) {
		c := &d.Spec.Template.Spec.Containers[0]
		c.StartupProbe, c.ReadinessProbe = nil, nil
	}
}

// WithRecreate replaces pods instead of rolling.
func WithRecreate() Option {
	return func(d *appsv1.Deployment) {
		d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	}
}

// Deployment creates a Deployment with one container that is called like it, and waits until all replicas are
// available. Use CreateDeployment for images that never get there.
func (ns *Namespace) Deployment(t testing.TB, name string, replicas int32, image string, opts ...Option) *appsv1.Deployment {
	t.Helper()
	ns.CreateDeployment(t, name, replicas, image, opts...)
	return ns.WaitDeployment(t, name, "available", Available)
}

// CreateDeployment is Deployment without the wait.
func (ns *Namespace) CreateDeployment(t testing.TB, name string, replicas int32, image string, opts ...Option) *appsv1.Deployment {
	t.Helper()
	labels := map[string]string{"app": name}
	probe := func(failures int32) *corev1.Probe {
		get := &corev1.HTTPGetAction{Path: "/api/health", Port: intstr.FromInt32(8000)}
		return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: get}, PeriodSeconds: 3, FailureThreshold: failures}
	}
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: name, Image: image, Ports: []corev1.ContainerPort{{ContainerPort: 8000}},
					StartupProbe: probe(20), ReadinessProbe: probe(3),
				}}},
			},
		},
	}
	for _, opt := range opts {
		opt(d)
	}
	created, err := ns.Admin.AppsV1().Deployments(ns.Name).Create(t.Context(), d, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("create Deployment %s: %v", name, err)
	}
	return created
}

// Available says that the Deployment's controller has seen the last change and every replica is new and available.
func Available(d *appsv1.Deployment) bool {
	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	s := d.Status
	return s.ObservedGeneration >= d.Generation && s.Replicas == want && s.UpdatedReplicas == want && s.AvailableReplicas == want
}

// WaitDeployment watches a Deployment until ok, and returns it as it was then. The test fails when that takes longer
// than a minute; the message has "what" and the last status seen.
func (ns *Namespace) WaitDeployment(t testing.TB, name, what string, ok func(*appsv1.Deployment) bool) *appsv1.Deployment {
	t.Helper()
	client := ns.Admin.AppsV1().RESTClient()
	source := cache.NewListWatchFromClient(client, "deployments", ns.Name, fields.OneTermEqualSelector("metadata.name", name))
	return waitObject(t, fmt.Sprintf("Deployment %s to be %s", name, what), source, ok)
}

// WaitPod watches the namespace's pods until one of app (the name given to Deployment) is ok, and returns it. It fails
// the test as WaitDeployment does.
func (ns *Namespace) WaitPod(t testing.TB, app, what string, ok func(*corev1.Pod) bool) *corev1.Pod {
	t.Helper()
	client := ns.Admin.CoreV1().RESTClient()
	source := cache.NewFilteredListWatchFromClient(client, "pods", ns.Name, func(o *metav1.ListOptions) {
		o.LabelSelector = "app=" + app
	})
	return waitObject(t, fmt.Sprintf("a pod of %s to be %s", app, what), source, ok)
}

// waitObject watches without a resource version: the server then tells what there is before it tells what changes.
func waitObject[T runtime.Object](t testing.TB, what string, source *cache.ListWatch, ok func(T) bool) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var last T
	for {
		w, err := source.WatchWithContext(ctx, metav1.ListOptions{})
		if err != nil {
			t.Fatalf("watch for %s: %v", what, err)
		}
		_, err = watchtools.UntilWithoutRetry(ctx, w, func(e watch.Event) (bool, error) {
			object, is := e.Object.(T)
			if !is || e.Type == watch.Deleted {
				return false, nil
			}
			last = object
			return ok(object), nil
		})
		if err == nil {
			return last
		}
		if !errors.Is(err, watchtools.ErrWatchClosed) || ctx.Err() != nil { // the server ends every watch after some minutes
			t.Fatalf("wait for %s: %v; last seen: %+v", what, err, last)
		}
	}
}
