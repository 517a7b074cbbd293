package kube_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/kube/kubetest"
)

// take gives the paths that were asked for since the last time.
func (a *asked) take() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	taken := a.paths
	a.paths = nil
	return taken
}

// mark changes the Deployment behind the adapter's back.
func mark(t *testing.T, ns *kubetest.Namespace, id int) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"deploy-portal/deploy-id":"%d"}}}`, id)
	if _, err := ns.Admin.AppsV1().Deployments(ns.Name).Patch(t.Context(), "api", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// A view is proven at once and by nothing but a readiness check while the watches are well.
func TestClusterProvenThroughTheWatches(t *testing.T) {
	ns := kubetest.Need(t).Namespace(t)
	ns.Deployment(t, "api", 1, imageOld)
	var a asked
	c := run(t, a.of(ns.PortalConfig), ns.Name)
	until(t, c, api, "a view", func(r deploys.Rollout) bool { return fresh(r) && len(r.Pods) == 1 })
	for i := range 50 {
		mark(t, ns, i+1)
		a.take()
		r, err := c.Proven(t.Context(), api)
		if err != nil || r.DeployID != int64(i+1) || len(r.Pods) != 1 {
			t.Fatalf("deploy %d, %d pods, %v; want deploy %d", r.DeployID, len(r.Pods), err, i+1)
		}
		if paths := a.take(); slices.ContainsFunc(paths, func(p string) bool { return p != "/readyz" }) {
			t.Fatalf("asked for %v", paths)
		}
	}
}

// Watches that died without a word prove nothing: the workload is read, with its ReplicaSets and pods.
func TestClusterProvenByReading(t *testing.T) {
	ns := kubetest.Need(t).Namespace(t)
	ns.Deployment(t, "api", 2, imageOld)
	var a asked
	cfg, p := through(t, a.of(ns.PortalConfig))
	c := run(t, cfg, ns.Name)
	before := until(t, c, api, "a view", func(r deploys.Rollout) bool { return fresh(r) && len(r.Pods) == 2 && r.Available == 2 })
	p.deafen(1)
	mark(t, ns, 99)
	a.take()
	r, err := c.Proven(t.Context(), api)
	if err != nil || r.DeployID != 99 {
		t.Fatalf("deploy %d, %v", r.DeployID, err)
	}
	same(t, "pods", r.Pods, before.Pods)
	same(t, "templates", []string{r.Template, r.ReplicaSets[0].Template}, []string{before.Template, before.ReplicaSets[0].Template})
	if read := strings.Join(a.take(), " "); !strings.Contains(read, "/deployments/api") || !strings.Contains(read, "/replicasets") || !strings.Contains(read, "/pods") {
		t.Errorf("asked for %s", read)
	}
}

// Out of reach nothing is proven, from the first moment on, while the view still counts as fresh.
func TestClusterNotProven(t *testing.T) {
	for name, mode := range map[string]int{"cut": cut, "swallowed": swallows} {
		t.Run(name, func(t *testing.T) {
			ns := kubetest.Need(t).Namespace(t)
			ns.Deployment(t, "api", 1, imageOld)
			cfg, p := through(t, ns.PortalConfig)
			c := run(t, cfg, ns.Name)
			until(t, c, api, "a view", func(r deploys.Rollout) bool { return fresh(r) && len(r.Pods) == 1 })
			p.set(mode)
			if r, err := c.Rollout(api); err != nil || !fresh(r) {
				t.Fatalf("%+v, %v", r, err)
			}
			if r, err := c.Proven(t.Context(), api); errs.KindOf(err) != errs.Unavailable {
				t.Errorf("Proven = %+v, %v", r, err)
			}
			p.set(passes)
			until(t, c, api, "a fresh view", fresh)
			if r, err := c.Proven(t.Context(), api); err != nil || !r.Exists {
				t.Errorf("Proven = %+v, %v", r, err)
			}
		})
	}
}
