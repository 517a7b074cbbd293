package story_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"deployportal/internal/audit"
	"deployportal/internal/kube/kubetest"
)

// known waits until the portal has looked at the app: what it changes into from now on is news.
func (w *world) known() {
	w.t.Helper()
	w.until("the portal to know what runs", func() bool {
		return w.count(`SELECT count(*) FROM sightings WHERE app = 'api' AND version LIKE '%"healthy":true%'`) == 1
	})
}

// outside gives the entries about changes that no deploy made, newest first.
func (w *world) outside() []audit.Entry {
	w.t.Helper()
	return w.newest(audit.Filter{Action: audit.ChangeOutside})
}

// changed waits until there are n of them and gives the newest. It must be there within 30 s of the change.
func (w *world) changed(n int, since time.Time) audit.Entry {
	w.t.Helper()
	w.until(fmt.Sprintf("change %d to be recorded", n), func() bool { return len(w.outside()) >= n })
	list := w.outside()
	if len(list) != n {
		w.t.Fatalf("%d changes are recorded, want %d: %+v", len(list), n, list)
	}
	if late := list[0].At.Sub(since); late > 30*time.Second {
		w.t.Errorf("recorded %s after the change", late)
	}
	return list[0]
}

func (w *world) setImage(tag string) {
	w.t.Helper()
	w.kubectl("set", "image", "deployment/api", "api="+w.pinned(tag))
}

// says fails the test unless an entry names manager, images and a time that the API server may have taken down.
func (w *world) tells(e audit.Entry, manager, from, to string, since time.Time) {
	w.t.Helper()
	if e.Actor.Name != "cluster:"+manager || e.Actor.Source != "system" || e.FromTag != from || e.ToTag != to || e.DeployID != 0 {
		w.t.Errorf("the entry: %+v", e)
	}
	_, rest, _ := strings.Cut(e.Detail, " by "+manager+" at ")
	at, err := time.Parse("2006-01-02 15:04:05 UTC", strings.TrimSuffix(rest[:min(len(rest), 23)], ","))
	if err != nil || at.Before(since.Add(-2*time.Second)) || at.After(e.At.Add(time.Second)) {
		w.t.Errorf("%q says %s, recorded at %s (%v)", e.Detail, at, e.At, err)
	}
}

// TestOutsideChange: kubectl set image while no deploy runs, seen on the board and in the history, adopted, and what it
// brought is what a rollback goes back to. Then one that is undone by the portal, and one by kubectl.
func TestOutsideChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.known()
	if text := w.ana.get("/").text("#row-prod-api"); !strings.Contains(text, "ran before the portal") {
		t.Errorf("the board says %q", text)
	}

	w.scene(t, "set image and adopt", func() {
		since := time.Now()
		w.setImage(v2)
		w.tells(w.changed(1, since), "kubectl-set", v1, v2, since)
		w.ana.get("/").says(200, "#row-prod-api", "outside change by kubectl-set")
		w.ana.get("/apps/prod/api").says(200, "#outside", "kubectl-set")
		w.ana.get("/apps/prod/api/history").says(200, "main", "outside change by kubectl-set")
		w.until("the change to be healthy, so that it can be adopted", func() bool {
			return w.ana.get("/apps/prod/api").doc.Find("#outside form").Length() == 1
		})
		w.ana.get("/apps/prod/api").submit(w.ana, "#outside form", nil).says(200, "main", "Adopted: "+v2)
		adopted := w.newest(audit.Filter{Action: audit.ChangeAdopted})
		if len(adopted) != 1 || adopted[0].Actor.Name != "ana" || adopted[0].FromTag != v1 || adopted[0].ToTag != v2 || adopted[0].Outcome != "ok" {
			t.Errorf("entries of the adoption: %+v", adopted)
		}
		if p := w.ana.get("/apps/prod/api"); p.doc.Find("#outside").Length() != 0 {
			t.Errorf("still asked: %s", p.text("#outside"))
		}
		w.ana.get("/").says(200, "#row-prod-api", "adopted by ana")
		if n := len(w.gate.writes()); n != 0 {
			t.Errorf("%d writes to the cluster", n)
		}
	})
	w.scene(t, "set image and restore", func() {
		since := time.Now()
		w.setImage(v3)
		w.tells(w.changed(2, since), "kubectl-set", v2, v3, since)
		link := w.ana.get("/apps/prod/api").doc.Find("#outside a.danger")
		if got := link.Text(); got != "Restore "+v2 {
			t.Fatalf("the act is %q", got)
		}
		id := w.ana.ask(link.AttrOr("href", "")).deployID()
		w.over(id, "succeeded", "2 of 2 pods run "+v2)
		w.runs(w.pinned(v2))
		if p := w.ana.get("/apps/prod/api"); p.doc.Find("#outside").Length() != 0 {
			t.Errorf("still asked: %s", p.text("#outside"))
		}
	})
	w.scene(t, "set image and undone by kubectl", func() {
		since := time.Now()
		w.setImage(v3)
		w.changed(3, since)
		w.kubectl("rollout", "undo", "deployment/api")
		e := w.changed(4, since)
		if e.FromTag != v3 || e.ToTag != v2 || !strings.HasPrefix(e.Actor.Name, "cluster:kubectl") {
			t.Errorf("the entry: %+v", e)
		}
		if p := w.ana.get("/apps/prod/api"); p.doc.Find("#outside").Length() != 0 {
			t.Errorf("still asked: %s", p.text("#outside"))
		}
	})
	w.scene(t, "what is none", func() {
		w.kubectl("scale", "deployment/api", "--replicas=3")
		w.kubectl("annotate", "deployment/api", "example.org/note=1")
		w.kubectl("label", "deployment/api", "example.org/note=1")
		w.ns.WaitDeployment(t, "api", "three pods", kubetest.Available)
		w.kubectl("scale", "deployment/api", "--replicas=2")
		w.ns.WaitDeployment(t, "api", "two pods", kubetest.Available)
		w.over(w.ana.deploy(v3), "succeeded", "2 of 2 pods run "+v3)
		if n := len(w.outside()); n != 4 {
			t.Errorf("%d changes are recorded, want 4", n)
		}
	})
	w.scene(t, "only the environment, by server-side apply", func() {
		since := time.Now()
		patch := `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"api"},"spec":{"template":{"spec":{"containers":[{"name":"api","env":[{"name":"LOG_LEVEL","value":"secret-level"}]}]}}}}`
		if _, err := w.ns.Admin.AppsV1().Deployments(w.ns.Name).Patch(t.Context(), "api", types.ApplyPatchType, []byte(patch), metav1.PatchOptions{FieldManager: "helm"}); err != nil {
			t.Fatal(err)
		}
		e := w.changed(5, since)
		if e.Actor.Name != "cluster:helm" || e.FromTag != v3 || e.ToTag != v3 || !strings.Contains(e.Detail, "The pod template was changed by helm") {
			t.Errorf("the entry: %+v", e)
		}
		w.until("the page to name what differs", func() bool {
			return strings.Contains(w.ana.get("/apps/prod/api").text("#outside"), "LOG_LEVEL")
		})
		if p := w.ana.get("/apps/prod/api"); strings.Contains(p.body, "secret-level") || p.doc.Find("#outside a.danger").Length() != 0 {
			t.Errorf("the page: %s", p.text("#outside"))
		}
	})
	w.scene(t, "that taken away again, which leaves no write behind", func() {
		since := time.Now()
		w.kubectl("set", "env", "deployment/api", "LOG_LEVEL-")
		if e := w.changed(6, since); e.Actor.Name != "cluster:unknown" || !strings.Contains(e.Detail, "The pod template was changed by somebody, noticed at ") ||
			!strings.Contains(e.Detail, "variable LOG_LEVEL: gone") || strings.Contains(e.Detail, "was not running") {
			t.Errorf("the entry: %+v", e)
		}
		if p := w.ana.get("/apps/prod/api"); p.doc.Find("#outside").Length() != 0 {
			t.Errorf("all is as it was, and it asks: %s", p.text("#outside"))
		}
	})
	w.scene(t, "the image and another part, of which a restore leaves the rest", func() {
		since := time.Now()
		patch := `{"spec":{"template":{"spec":{"containers":[{"name":"api","image":"` + w.pinned(v2) + `","env":[{"name":"LOG_LEVEL","value":"secret-level"}]}]}}}}`
		w.kubectl("patch", "deployment/api", "--field-manager=an-editor", "-p", patch)
		if e := w.changed(7, since); e.Actor.Name != "cluster:an-editor" || e.ToTag != v2 || !strings.Contains(e.Detail, "variable LOG_LEVEL: a literal value, was not there") {
			t.Errorf("the entry: %+v", e)
		}
		link := w.ana.get("/apps/prod/api").doc.Find("#outside a.danger").AttrOr("href", "")
		w.ana.get(link).says(200, "main", "stays as it is now: container api, variable LOG_LEVEL")
		w.over(w.ana.ask(link).deployID(), "succeeded", "2 of 2 pods run "+v3)
		if e := w.changed(8, since); !strings.Contains(e.Detail, "has set the images back. Other parts of the pod template stay as they were changed from outside by an-editor") {
			t.Errorf("the entry of the rest: %+v", e)
		}
		w.ana.get("/apps/prod/api").says(200, "#outside", "LOG_LEVEL")
	})
	w.whole()
}

// TestOutsideChangeWhileOff is found at the next start, once, by whom and when.
func TestOutsideChangeWhileOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.known()
	w.kill()
	since := time.Now()
	w.setImage(v2)
	w.start()
	w.tells(w.changed(1, since), "kubectl-set", v1, v2, since)
	if e := w.outside()[0]; !strings.Contains(e.Detail, "The portal was not running then.") && e.At.Sub(since) > 3*time.Second {
		t.Errorf("the entry: %+v", e)
	}
	w.kill()
	w.start()
	w.seen()
	w.thenDeploys(v3)
	if n := len(w.outside()); n != 1 {
		t.Errorf("%d changes are recorded, want 1", n)
	}
}

// TestOutsideChangeDuringDeploy: the deploy ends as superseded, its entry is the record, and what runs can be adopted.
func TestOutsideChangeDuringDeploy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, probes(0))
	w.known()
	id := w.ana.deploy(unready)
	w.until("the patch to be recorded", func() bool { return w.row(id).patched })
	w.setImage(v2)
	w.over(id, "superseded", "api was changed by kubectl-set at ")
	w.until("the change to be shown", func() bool { return w.ana.get("/apps/prod/api").doc.Find("#outside form").Length() == 1 })
	w.ana.get("/apps/prod/api/history").says(200, "main", "outside change by kubectl-set")
	w.ana.get("/apps/prod/api").submit(w.ana, "#outside form", nil).says(200, "main", "Adopted: "+v2)
	if n := len(w.outside()); n != 0 {
		t.Errorf("%d more entries about it", n)
	}
	w.thenDeploys(v3)
}

// TestRestart: from the app's page, and from the page that says that the digest runs already; new pods, the same digest.
// One by kubectl is recorded as a restart by it.
func TestRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.known()
	before := w.pods()
	link := w.ana.get("/apps/prod/api").doc.Find("a#restart")
	id := w.ana.get(link.AttrOr("href", "")).submit(w.ana, confirmForm, map[string][]string{"reason": {"new certificate"}}).deployID()
	w.over(id, "succeeded", "2 of 2 pods run "+v1)
	w.runs(w.pinned(v1))
	for _, uid := range w.pods() {
		if strings.Contains(strings.Join(before, " "), uid) {
			t.Errorf("pod %s is of before", uid)
		}
	}
	if mark := w.live().Spec.Template.Annotations["kubectl.kubernetes.io/restartedAt"]; mark == "" {
		t.Error("no mark in the pod template")
	}
	if asked := w.newest(audit.Filter{DeployID: id})[1]; asked.Reason != "new certificate" || asked.FromDigest != asked.ToDigest || asked.ToDigest != w.digest(v1) {
		t.Errorf("the entry: %+v", asked)
	}
	same := w.ana.get(confirmPath(v1))
	offered := same.doc.Find("main a.btn[href*='restart=1']")
	if offered.Length() != 1 {
		t.Fatalf("no restart is offered where the same digest runs: %s", same.text("main"))
	}
	w.over(w.ana.ask(offered.AttrOr("href", "")).deployID(), "succeeded", "2 of 2 pods run "+v1)

	since := time.Now()
	w.kubectl("rollout", "restart", "deployment/api")
	if e := w.changed(1, since); e.Actor.Name != "cluster:kubectl-rollout" || !strings.Contains(e.Detail, "The pods were restarted by kubectl-rollout") {
		t.Errorf("the entry: %+v", e)
	}
	if p := w.ana.get("/apps/prod/api"); p.doc.Find("#outside").Length() != 0 {
		t.Errorf("a restart asks for a decision: %s", p.text("#outside"))
	}
	w.thenDeploys(v2)
	w.over(w.ana.ask("/apps/prod/api/confirm?rollback_to=last").deployID(), "succeeded", "2 of 2 pods run "+v1)
}

// TestKillInMidRestart: one patch, one pair of entries, the right verdict.
func TestKillInMidRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.stability = "3s" })
	w.known()
	id := w.ana.ask("/apps/prod/api/confirm?restart=1").deployID()
	w.until("a new pod", func() bool { return w.live().Status.UpdatedReplicas > 0 && w.row(id).patched })
	w.kill()
	w.start()
	w.over(id, "succeeded", "2 of 2 pods run "+v1)
	if n := len(w.gate.patches()); n != 1 {
		t.Errorf("%d patches, want 1", n)
	}
	if n := len(w.outside()); n != 0 {
		t.Errorf("our own restart is recorded as an outside change")
	}
	w.thenDeploys(v2)
}
