package scenario_test

import (
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"deployportal/internal/kube/kubetest"
)

// rolling waits for the first new pod.
func (st *stage) rolling() {
	st.t.Helper()
	st.ns.WaitDeployment(st.t, "api", "rolling out", func(d *appsv1.Deployment) bool {
		return d.Status.UpdatedReplicas > 0 && d.Status.ObservedGeneration >= d.Generation
	})
}

func pauseAndResume(st *stage) {
	st.rolling()
	st.kubectl("rollout", "pause", "deployment/api")
	slowly(st.t, time.Minute, "the page says that it is paused", func() bool {
		return strings.Contains(st.page(st.id).text("#deploy-steps"), "paused in the cluster")
	})
	st.kubectl("rollout", "resume", "deployment/api")
}

// endOnePod makes the kubelet end a new pod, as an eviction does: the pod stays in the list as Failed and is replaced.
func endOnePod(st *stage) {
	st.endPod(st.newPod())
}

func (st *stage) endPod(name string) {
	st.t.Helper()
	patch := []byte(`{"spec":{"activeDeadlineSeconds":1}}`)
	if _, err := st.ns.Admin.CoreV1().Pods(st.ns.Name).Patch(st.t.Context(), name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}); err != nil {
		st.t.Fatal(err)
	}
	st.ns.WaitPod(st.t, "api", "ended by its node", func(p *corev1.Pod) bool { return p.Name == name && p.Status.Phase == corev1.PodFailed })
}

// leaveEndedPod has the node end a pod that serves; its ReplicaSet replaces it, and it stays.
func leaveEndedPod(st *stage) {
	image := st.w.pinned(st.s.key, good)
	st.endPod(st.ns.WaitPod(st.t, "api", "running", func(p *corev1.Pod) bool {
		return p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil && p.Spec.Containers[0].Image == image
	}).Name)
	st.ns.WaitDeployment(st.t, "api", "available", kubetest.Available)
}

// clearEnded takes away the pods that have ended: with the strategy Recreate Kubernetes forgets the next rollout over them.
func clearEnded(st *stage) { st.kubectl("delete", "pods", "--field-selector=status.phase=Failed") }

// clearWhenNamed does so once the page says what the rollout waits for.
func clearWhenNamed(st *stage) {
	slowly(st.t, 30*time.Second, "the page names the ended pod", func() bool {
		return strings.Contains(st.page(st.id).text("main"), "Kubernetes has lost sight of the rollout")
	})
	clearEnded(st)
}

func deleteOnePod(st *stage) { st.kubectl("delete", "pod", st.newPod(), "--wait=false") }

// newPod waits for a running pod of the image that is deployed.
func (st *stage) newPod() string {
	st.t.Helper()
	image := st.w.pinned(st.s.key, st.tag)
	return st.ns.WaitPod(st.t, "api", "new and running", func(p *corev1.Pod) bool {
		return p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil && p.Spec.Containers[0].Image == image
	}).Name
}

// setImage changes the image beside the portal, to the first one.
func setImage(st *stage) {
	st.rolling()
	st.kubectl("set", "image", "deployment/api", "api="+st.w.pinned(st.s.key, good))
	st.ns.WaitDeployment(st.t, "api", "available", kubetest.Available)
}

// undo takes the deploy back beside the portal.
func undo(st *stage) {
	st.rolling()
	st.kubectl("rollout", "undo", "deployment/api")
	st.ns.WaitDeployment(st.t, "api", "available", kubetest.Available)
}

// askAgain has the controller try again to make its pods. After each refusal it waits twice as long, and with bad luck for
// minutes. The first touch comes when nothing has moved for longer than a refusal is given that nothing follows.
func askAgain(st *stage) {
	clicked := time.Now()
	slowly(st.t, 2*time.Minute, "the pods are there", func() bool {
		if time.Since(clicked) > 20*time.Second {
			st.kubectl("annotate", "pods", "--all", "--overwrite", "touched="+time.Now().Format("150405.000"))
		}
		return kubetest.Available(st.live())
	})
}
