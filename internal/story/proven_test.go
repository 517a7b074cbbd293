package story_test

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"deployportal/internal/kube/kubetest"
)

var holdsUntil = regexp.MustCompile(`holding until (\d\d:\d\d:\d\d) UTC`)

// TestWindowEndsInABlackHole: between portal and API server all is swallowed from right after a readiness check on, a few
// seconds before the stability window ends, so that nothing has told the portal that it sees nothing. A container ends in
// that time. It is no success, neither at the window's end nor later.
func TestWindowEndsInABlackHole(t *testing.T) {
	t.Parallel()
	var x *toxic
	w := newStage(t, func(w *world) { x, w.stability = newToxic(t, w.gate), "15s" })
	w.ns.CreateDeployment(t, "api", 2, w.pinned(v1), kubetest.WithoutProbes())
	w.ns.WaitDeployment(t, "api", "available", kubetest.Available)
	w.start()
	w.ana = w.signIn("ana", passwordOfAna)
	w.seen()
	id := w.ana.deploy(v2)
	var ends time.Time
	w.until("the window", func() bool {
		m := holdsUntil.FindStringSubmatch(w.story())
		if m == nil {
			return false
		}
		now := time.Now().UTC()
		at, err := time.ParseInLocation(time.DateTime, now.Format(time.DateOnly)+" "+m[1], time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		ends = at
		return true
	})
	w.until("a moment shortly before its end", func() bool { return time.Until(ends) < 7*time.Second })
	checks := func() int { return len(w.gate.came(0, func(c *call) bool { return c.path == "/readyz" })) }
	before := checks()
	w.until("a readiness check", func() bool { return checks() > before })
	if left := time.Until(ends); left < time.Second || w.row(id).over {
		t.Fatalf("too late: %v are left", left)
	}
	end := poison(`{"type": "timeout", "stream": "upstream"}`, `{"type": "timeout", "stream": "downstream"}`)(w, x)
	w.containerEnds(v2)
	w.until("the window's end", func() bool { return time.Until(ends) < -2*time.Second })
	if r := w.row(id); r.over {
		t.Fatalf("%s: %s, and nobody could know", r.status, r.sentence)
	}
	w.until("the deploy's page to say it", func() bool {
		return w.ana.get(fmt.Sprintf("/deploys/%d", id)).doc.Find("#deploy-stale").Length() == 1
	})
	end()
	w.over(id, "failed", "after all pods were ready, within the 15 s in which they must stay well")
	w.whole()
}

// containerEnds has the container of one pod of an image end, and run again.
func (w *world) containerEnds(tag string) {
	w.t.Helper()
	pods := w.ns.Admin.CoreV1().Pods(w.ns.Name)
	list, err := pods.List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range list.Items {
		if p.Spec.Containers[0].Image != w.pinned(tag) || p.DeletionTimestamp != nil {
			continue
		}
		now := metav1.Now()
		c := &p.Status.ContainerStatuses[0]
		c.RestartCount++
		c.LastTerminationState = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", StartedAt: now, FinishedAt: now}}
		if _, err := pods.UpdateStatus(w.t.Context(), &p, metav1.UpdateOptions{}); err != nil {
			w.t.Fatal(err)
		}
		return
	}
	w.t.Fatalf("no pod runs %s", tag)
}
