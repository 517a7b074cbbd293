package kube_test

import (
	"testing"

	"deployportal/internal/kube"
)

// Only the ReplicaSet whose template is exactly that of the Deployment with the images set is used again.
func TestReused(t *testing.T) {
	o := load(t, "real/crash")
	if len(o.ReplicaSets) < 2 {
		t.Fatalf("%d ReplicaSets", len(o.ReplicaSets))
	}
	for _, rs := range o.ReplicaSets {
		images := map[string]string{}
		for _, c := range rs.Spec.Template.Spec.Containers {
			images[c.Name] = c.Image
		}
		if name, ok := kube.Reused(o.Deployment, o.ReplicaSets, images); !ok || name != rs.Name {
			t.Errorf("back to %v: %s, %t, want %s", images, name, ok, rs.Name)
		}
		restarted := o.Deployment.DeepCopy()
		restarted.Spec.Template.Annotations = map[string]string{"kubectl.kubernetes.io/restartedAt": "2026-11-20T02:20:00Z"}
		if name, ok := kube.Reused(restarted, o.ReplicaSets, images); ok {
			t.Errorf("%s is used again after a restart", name)
		}
	}
	if name, ok := kube.Reused(o.Deployment, o.ReplicaSets, map[string]string{"api": "other"}); ok {
		t.Errorf("%s is used for an image it never had", name)
	}
}
