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
	"deployportal/internal/kube"
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

// What the API server has answered before is in a view that is proven, also where no watch has told of it: each costs
// three reads.
func TestClusterProven(t *testing.T) {
	ns := kubetest.Need(t).Namespace(t)
	ns.Deployment(t, "api", 2, imageOld)
	var a asked
	cfg, p := through(t, a.of(ns.PortalConfig))
	c := run(t, cfg, ns.Name)
	before := until(t, c, api, "a view", func(r deploys.Rollout) bool { return fresh(r) && len(r.Pods) == 2 && r.Available == 2 })
	for i := range 50 {
		proven(t, c, ns, i+1, before)
	}
	p.deafen(1) // all connections but that of single calls die without a word
	a.take()
	proven(t, c, ns, 99, before)
	read := slices.DeleteFunc(a.take(), func(p string) bool { return !strings.Contains(p, ns.Name) })
	same(t, "reads", len(read), 3)
}

// proven changes the Deployment and asserts that the change is in the view that is proven next.
func proven(t *testing.T, c *kube.Cluster, ns *kubetest.Namespace, id int, before deploys.Rollout) {
	t.Helper()
	mark(t, ns, id)
	r, err := c.Proven(t.Context(), api)
	if err != nil || r.DeployID != int64(id) {
		t.Fatalf("deploy %d, %v; want deploy %d", r.DeployID, err, id)
	}
	same(t, "pods", r.Pods, before.Pods)
	same(t, "templates", []string{r.Template, r.ReplicaSets[0].Template}, []string{before.Template, before.ReplicaSets[0].Template})
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
