package kubetest_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"deployportal/internal/kube/kubetest"
)

func TestDeploymentBecomesAvailable(t *testing.T) {
	t.Parallel()
	ns := kubetest.Need(t).Namespace(t)
	digest := "sha256:" + strings.Repeat("d", 64)
	d := ns.Deployment(t, "api", 3, "registry.test/acme/api:abc1234", kubetest.WithDigest(digest))
	if d.Status.AvailableReplicas != 3 {
		t.Errorf("available replicas: got %d, want 3", d.Status.AvailableReplicas)
	}
	pod := ns.WaitPod(t, "api", "running", func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodRunning })
	if got, want := pod.Status.ContainerStatuses[0].ImageID, "registry.test/acme/api@"+digest; got != want {
		t.Errorf("imageID: got %q, want %q", got, want)
	}
	if out := ns.Kubectl(t, "get", "deployment", "api", "--output=name"); strings.TrimSpace(out) != "deployment.apps/api" {
		t.Errorf("kubectl looks elsewhere: got %q", out)
	}
}

func TestOptionsChangeTheDeployment(t *testing.T) {
	t.Parallel()
	ns := kubetest.Need(t).Namespace(t)
	d := ns.CreateDeployment(t, "worker", 1, "registry.test/acme/worker:bad2000", kubetest.WithoutProbes(), kubetest.WithRecreate())
	if c := d.Spec.Template.Spec.Containers[0]; c.StartupProbe != nil || c.ReadinessProbe != nil {
		t.Errorf("probes are still there: %+v %+v", c.StartupProbe, c.ReadinessProbe)
	}
	if d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		t.Errorf("strategy: got %s, want Recreate", d.Spec.Strategy.Type)
	}
	ns.WaitPod(t, "worker", "refused by the registry", func(p *corev1.Pod) bool {
		return len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].State.Waiting != nil &&
			p.Status.ContainerStatuses[0].State.Waiting.Reason == "ImagePullBackOff"
	})
}

// The portal's client must be the portal: able to patch a Deployment here, to read no Secret, and nothing elsewhere.
func TestPortalConfigHasThePortalsRights(t *testing.T) {
	t.Parallel()
	ns := kubetest.Need(t).Namespace(t)
	ns.CreateDeployment(t, "api", 1, "registry.test/acme/api:abc1234")
	portal, err := kubernetes.NewForConfig(ns.PortalConfig)
	if err != nil {
		t.Fatal(err)
	}
	patch := []byte(`{"metadata":{"annotations":{"tried":"yes"}}}`)
	if _, err := portal.AppsV1().Deployments(ns.Name).Patch(t.Context(), "api", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Errorf("patch in its namespace: %v", err)
	}
	if _, err := portal.CoreV1().Secrets(ns.Name).List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("list Secrets: got %v, want forbidden", err)
	}
	_, err = portal.AppsV1().Deployments("default").Patch(t.Context(), "api", types.MergePatchType, patch, metav1.PatchOptions{})
	if !apierrors.IsForbidden(err) { // asked before it is looked for: no Deployment is needed there
		t.Errorf("patch in another namespace: got %v, want forbidden", err)
	}
}
