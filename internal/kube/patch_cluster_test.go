package kube

import (
	"errors"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"deployportal/internal/deploys"
	"deployportal/internal/kube/kubetest"
)

// Each guard of the patch alone, against the real API server: what it answers, and that it changes nothing.
func TestClusterGuards(t *testing.T) {
	ns := kubetest.Need(t).Namespace(t)
	ns.CreateDeployment(t, "api", 0, "git.example.org/acme/api:aaaaaaa", func(d *appsv1.Deployment) { d.Spec.Paused = true })
	client := ns.Admin.AppsV1().Deployments(ns.Name)
	for name, spoil := range map[string]func(*appsv1.Deployment, *deploys.Change){
		"another object of the name": func(_ *appsv1.Deployment, ch *deploys.Change) { ch.UID = "another" },
		"a past resourceVersion":     func(_ *appsv1.Deployment, ch *deploys.Change) { ch.ResourceVersion = "1" },
		"another container at the place": func(d *appsv1.Deployment, ch *deploys.Change) {
			d.Spec.Template.Spec.Containers[0].Name = "other"
			ch.Images = map[string]string{"other": "x"}
		},
		"a container that went": func(d *appsv1.Deployment, ch *deploys.Change) {
			c := d.Spec.Template.Spec.Containers[0]
			c.Name = "second"
			d.Spec.Template.Spec.Containers = append(d.Spec.Template.Spec.Containers, c)
			ch.Images = map[string]string{"second": "x"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := ns.WaitDeployment(t, "api", "observed", func(d *appsv1.Deployment) bool {
				return d.Status.ObservedGeneration == d.Generation && len(d.Status.Conditions) > 0
			})
			at := before.DeepCopy()
			ch := deploys.Change{UID: string(at.UID), ResourceVersion: at.ResourceVersion, Images: map[string]string{"api": "x"}}
			spoil(at, &ch)
			patch, err := patchOf(at, ch)
			if err != nil {
				t.Fatal(err)
			}
			_, err = client.Patch(t.Context(), "api", types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: deploys.FieldManager})
			t.Logf("%d %s: %v", apierrors.APIStatus(apierr(t, err)).Status().Code, apierrors.ReasonForError(err), err)
			if got := patchError(ns.Name, "api", err, true); !errors.Is(got, deploys.ErrStale) {
				t.Errorf("%v is taken for %v", err, got)
			}
			after, err := client.Get(t.Context(), "api", metav1.GetOptions{})
			if err != nil || after.ResourceVersion != before.ResourceVersion {
				t.Errorf("something was changed: %+v, %v", after, err)
			}
		})
	}
}

func apierr(t *testing.T, err error) *apierrors.StatusError {
	t.Helper()
	var s *apierrors.StatusError
	if !errors.As(err, &s) {
		t.Fatalf("the API server took the patch, or did not answer: %v", err)
	}
	return s
}
