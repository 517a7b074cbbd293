package kube_test

import (
	"testing"

	"deployportal/internal/deploys"
	"deployportal/internal/kube"
)

// Only the ReplicaSet whose template is exactly that of the Deployment with the images and the mark of a restart set is
// used again.
func TestReused(t *testing.T) {
	o := load(t, "real/crash")
	if len(o.ReplicaSets) < 2 {
		t.Fatalf("%d ReplicaSets", len(o.ReplicaSets))
	}
	const mark = "2026-11-20T02:20:00Z"
	for _, rs := range o.ReplicaSets {
		v := deploys.Version{Images: map[string]string{}}
		for _, c := range rs.Spec.Template.Spec.Containers {
			v.Images[c.Name] = c.Image
		}
		restarted := o.Deployment.DeepCopy()
		restarted.Spec.Template.Annotations = map[string]string{"kubectl.kubernetes.io/restartedAt": mark}
		other := o.Deployment.DeepCopy()
		other.Spec.Template.Annotations = map[string]string{"example.org/other": "1"}
		if name, ok := kube.Reused(o.Deployment, o.ReplicaSets, v); !ok || name != rs.Name {
			t.Errorf("back to %v: %s, %t, want %s", v.Images, name, ok, rs.Name)
		}
		if name, ok := kube.Reused(restarted, o.ReplicaSets, v); !ok || name != rs.Name {
			t.Errorf("back to %v across a restart: %s, %t, want %s", v.Images, name, ok, rs.Name)
		}
		if name, ok := kube.Reused(other, o.ReplicaSets, v); ok {
			t.Errorf("%s is used again after another change of the template", name)
		}
		v.Restarted = mark
		if name, ok := kube.Reused(restarted, o.ReplicaSets, v); ok {
			t.Errorf("%s is used again for pods that ran after a restart", name)
		}
	}
	if name, ok := kube.Reused(o.Deployment, o.ReplicaSets, deploys.Version{Images: map[string]string{"api": "other"}}); ok {
		t.Errorf("%s is used for an image it never had", name)
	}
}
