package kubetest_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"deployportal/internal/kube/kubetest"
)

func TestRealNodesRunWhatWasPushed(t *testing.T) {
	t.Parallel()
	c := kubetest.NeedKubelet(t)
	ns := c.Namespace(t)
	pushed := c.Push(t, c.Registry(t), kubetest.Login{}, kubetest.Image{
		Repository: "acme/api", Tag: strings.Repeat("0a1b2c3d", 5),
		Env: map[string]string{"WORKLOAD_LOG": "hello from a container"},
	})
	ns.Deployment(t, "api", 1, pushed[0].Reference)
	pod := ns.WaitPod(t, "api", "running", func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodRunning })
	if got := pod.Status.ContainerStatuses[0].ImageID; !strings.HasSuffix(got, "@"+pushed[0].Digest) {
		t.Errorf("imageID: got %s, want digest %s", got, pushed[0].Digest)
	}
	if log := ns.Kubectl(t, "logs", pod.Name); !strings.Contains(log, "hello from a container") {
		t.Errorf("log: got %q", log)
	}
}
