package kube_test

import (
	"context"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"deployportal/internal/deploys"
	"deployportal/internal/kube/kubetest"
)

// send applies a change to the Deployment as it is now, with what a deploy always sets.
func send(t *testing.T, c interface {
	Live(context.Context, deploys.Target) (deploys.Rollout, error)
	Apply(context.Context, deploys.Change) (deploys.Applied, error)
}, alter func(*deploys.Change)) deploys.Applied {
	t.Helper()
	for {
		r, err := c.Live(t.Context(), api)
		if err != nil {
			t.Fatal(err)
		}
		ch := change(r, imageOld)
		ch.Images = nil
		alter(&ch)
		if a, err := c.Apply(t.Context(), ch); err == nil {
			return a
		} else if t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
}

// TestClusterRestart: one mark in the pod template makes new pods of the same image, and taking it back finds the old
// ReplicaSet again. A template that has annotations of its own keeps them.
func TestClusterRestart(t *testing.T) {
	for name, annotated := range map[string]bool{"bare": false, "with annotations": true} {
		t.Run(name, func(t *testing.T) {
			ns := kubetest.Need(t).Namespace(t)
			ns.Deployment(t, "api", 2, imageOld, kubetest.WithoutProbes(), func(d *appsv1.Deployment) {
				d.Spec.Template.Annotations = nil
				if annotated {
					d.Spec.Template.Annotations = map[string]string{"example.org/own": "1"}
				}
			})
			c := run(t, ns.PortalConfig, ns.Name)
			before := until(t, c, api, "the first pods", func(r deploys.Rollout) bool { return fresh(r) && r.Exists && settled(r.Template)(r) })
			if before.Restarted != "" || before.Bare != before.Template {
				t.Errorf("before: %+v", before)
			}
			mark := time.Now().UTC().Format(time.RFC3339Nano)
			a := send(t, c, func(ch *deploys.Change) { ch.Restarted = &mark })
			if a.Template == before.Template || a.Bare != before.Template || a.Generation != before.Generation+1 {
				t.Errorf("applied %+v after %+v", a, before)
			}
			after := until(t, c, api, "new pods", settled(a.Template))
			if after.Restarted != mark || after.Bare != before.Template || after.Images["api"] != imageOld || len(after.ReplicaSets) != 2 {
				t.Errorf("restarted: %+v", after)
			}
			old := func(p deploys.Pod) bool {
				return slices.ContainsFunc(before.Pods, func(b deploys.Pod) bool { return b.UID == p.UID })
			}
			if slices.ContainsFunc(after.Pods, func(p deploys.Pod) bool { return p.Live() && old(p) }) {
				t.Error("a pod of before is still there")
			}
			live, err := ns.Admin.AppsV1().Deployments(ns.Name).Get(t.Context(), "api", metav1.GetOptions{})
			if err != nil || (live.Spec.Template.Annotations["example.org/own"] == "1") != annotated {
				t.Errorf("the template's annotations: %v, %v", live.Spec.Template.Annotations, err)
			}
			none := ""
			if back := send(t, c, func(ch *deploys.Change) { ch.Restarted = &none }); back.Template != before.Template {
				t.Errorf("taken back: template %s, was %s", back.Template, before.Template)
			}
			undone := until(t, c, api, "the old ReplicaSet", settled(before.Template))
			if len(undone.ReplicaSets) != 2 || undone.ReplicaSets[0].UID != before.ReplicaSets[0].UID || undone.Restarted != "" {
				t.Errorf("ReplicaSets %+v, before %+v", undone.ReplicaSets, before.ReplicaSets)
			}
			same := send(t, c, func(ch *deploys.Change) { ch.Restarted = &none })
			if same.Template != before.Template || same.Generation != undone.Generation {
				t.Errorf("taking away what is not there changed the template: %+v", same)
			}
		})
	}
}

// TestClusterRestartByKubectl: what kubectl writes is read as a restart by it.
func TestClusterRestartByKubectl(t *testing.T) {
	ns := kubetest.Need(t).Namespace(t)
	ns.Deployment(t, "api", 1, imageOld, kubetest.WithoutProbes())
	c := run(t, ns.PortalConfig, ns.Name)
	before := until(t, c, api, "the first pods", func(r deploys.Rollout) bool { return fresh(r) && r.Exists && settled(r.Template)(r) })
	ns.Kubectl(t, "rollout", "restart", "deployment/api")
	after := until(t, c, api, "the restart", func(r deploys.Rollout) bool { return r.Template != before.Template && settled(r.Template)(r) })
	if after.Bare != before.Bare || after.Restarted == "" || after.ChangedBy != "kubectl-rollout" || after.ChangedAt.IsZero() {
		t.Errorf("after: %+v", after)
	}
	// Within the second of its change, a manager besides us is the one that came after.
	env := []byte(`[{"op":"add","path":"/spec/template/spec/containers/0/env","value":[{"name":"A","value":"1"}]}]`)
	a := send(t, c, func(ch *deploys.Change) { ch.Images = map[string]string{"api": imageNew} })
	if _, err := ns.Admin.AppsV1().Deployments(ns.Name).Patch(t.Context(), "api", types.JSONPatchType, env, metav1.PatchOptions{FieldManager: "an-editor"}); err != nil {
		t.Fatal(err)
	}
	last := until(t, c, api, "the edit", func(r deploys.Rollout) bool { return r.Generation > a.Generation })
	if last.ChangedBy != "an-editor" || last.Bare == after.Bare {
		t.Errorf("changed by %s", last.ChangedBy)
	}
	// What only removes something leaves no write behind: the one before it stands, or one still older.
	less := []byte(`[{"op":"remove","path":"/spec/template/spec/containers/0/env"}]`)
	if _, err := ns.Admin.AppsV1().Deployments(ns.Name).Patch(t.Context(), "api", types.JSONPatchType, less, metav1.PatchOptions{FieldManager: "a-remover"}); err != nil {
		t.Fatal(err)
	}
	gone := until(t, c, api, "the removal", func(r deploys.Rollout) bool { return r.Generation > last.Generation })
	if gone.ChangedBy == "a-remover" || gone.ChangedAt.After(last.ChangedAt) {
		t.Errorf("the removal is by %s at %s", gone.ChangedBy, gone.ChangedAt)
	}
	if gone.Frame == "" || gone.Frame != before.Frame || gone.Frame != a.Frame || gone.Frame == last.Frame {
		t.Errorf("frames: %s before, %s as patched, %s edited, %s after the removal", before.Frame, a.Frame, last.Frame, gone.Frame)
	}
}
