package story_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"

	"deployportal/internal/kube/kubetest"
)

// TestFailingImages: each ends as failed, says why in one sentence, changes nothing more by itself, and the way back
// works.
func TestFailingImages(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tag      string
		change   func(*world)
		begun    func(*world) // right after the deploy was asked for
		sentence string
	}{
		"crash loop":  {crashes, probes(0), nil, " ended with exit code 2 and was started again "},
		"never ready": {unready, probes(15), nil, "No progress for 15 s. Container api of pod "},
		"image gone": {unfound, probes(0), func(w *world) { w.gitea.DeleteTag("acme/api", unfound) },
			"Image not found: The registry has no tag " + unfound + " in acme/api. It was deleted, or never pushed."},
		"dies inside the window": {dies, one, nil,
			" ended with exit code 1 after all pods were ready, within the 8 s in which they must stay well."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.change)
			before := w.pods()
			id := w.ana.deploy(c.tag)
			if c.begun != nil {
				c.begun(w)
			}
			r := w.over(id, "failed", c.sentence)
			if name == "never ready" && !strings.Contains(r.sentence, "is not ready: GET /api/health on port 8000 gave HTTP 503, at least ") {
				t.Errorf("the sentence: %s", r.sentence)
			}
			if n := len(w.gate.patches()); n != 1 {
				t.Errorf("%d patches, want the one", n)
			}
			p := w.ana.get(fmt.Sprintf("/deploys/%d", id))
			const oneClick = "#deploy-head .acts form"
			if text := p.text(oneClick); text != "Roll back to "+v1 {
				t.Fatalf("the page offers %q", p.text("#deploy-head .acts"))
			}
			back := p.submit(w.ana, oneClick, nil).deployID()
			w.over(back, "succeeded", v1+" and stayed well")
			w.runs(w.pinned(v1))
			if after := w.pods(); name != "dies inside the window" && !slices.Equal(before, after) {
				t.Errorf("pods %v before, %v after the rollback", before, after)
			}
			w.whole()
		})
	}
}

// one runs a single pod and holds it for longer than the image that dies takes to do so.
func one(w *world) {
	w.stability = "8s"
	// The old pod is gone before the new one comes: else it might take longer to go than the new one lives.
	w.opts = []kubetest.Option{kubetest.WithoutProbes(), kubetest.WithRecreate(), func(d *appsv1.Deployment) {
		replicas := int32(1)
		d.Spec.Replicas = &replicas
	}}
}

// TestFromLatest: what runs has no SHA and no digest. A deploy goes from it, and a rollback brings the exact string back.
func TestFromLatest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.image = w.host + "/acme/api:latest" })
	w.ana.get("/").says(200, "main", "latest")
	first := w.ana.deploy(v2)
	w.over(first, "succeeded", "")
	w.runs(w.pinned(v2))
	back := w.ana.ask(fmt.Sprintf("/apps/prod/api/confirm?rollback_to=%d&before=1", first)).deployID()
	w.over(back, "succeeded", "")
	w.runs(w.image)
	w.thenDeploys(v3)
}

// TestMeddling: somebody else changes the workload while a deploy rolls out.
func TestMeddling(t *testing.T) {
	t.Parallel()
	const superseded, ok = "superseded", "succeeded"
	for name, c := range map[string]struct {
		meddle   func(*world, int64)
		status   string
		sentence string
	}{
		"kubectl set image": {func(w *world, _ int64) { setImage(w, nil) }, superseded, "api was changed by kubectl-set at "},
		"kubectl rollout undo": {func(w *world, _ int64) { w.kubectl("rollout", "undo", "deployment/api") }, superseded,
			"api was changed by kubectl at "},
		"scaled by hand":   {func(w *world, _ int64) { scale(w, nil) }, ok, "3 of 3 pods run " + v2},
		"scaled to zero":   {func(w *world, _ int64) { w.kubectl("scale", "deployment/api", "--replicas=0") }, ok, "No pod runs it"},
		"paused, resumed":  {pauseAndResume, ok, "2 of 2 pods run " + v2},
		"deleted":          {func(w *world, _ int64) { remove(w, nil) }, superseded, "The Deployment api was deleted while this deploy was rolling out."},
		"namespace gone":   {dropNamespace, superseded, "The Deployment api was deleted while this deploy was rolling out."},
		"annotation taken": {func(w *world, _ int64) { w.kubectl("annotate", "deployment/api", "deploy-portal/deploy-id-") }, ok, "2 of 2 pods run " + v2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world) { w.stability = "4s" })
			id := w.ana.deploy(v2)
			w.until("the rollout to begin", func() bool { return w.row(id).patched && w.live().Status.UpdatedReplicas > 0 })
			c.meddle(w, id)
			w.over(id, c.status, c.sentence)
			if name == "namespace gone" {
				w.makeNamespace()
			}
			if n := len(w.gate.patches()); n != 1 {
				t.Errorf("%d patches, want 1", n)
			}
			w.whole()
		})
	}
}

func pauseAndResume(w *world, id int64) {
	w.kubectl("rollout", "pause", "deployment/api")
	w.until("the page to say that it is paused", func() bool {
		return strings.Contains(w.ana.get(fmt.Sprintf("/deploys/%d", id)).text("#deploy-steps"), "paused in the cluster")
	})
	w.kubectl("rollout", "resume", "deployment/api")
}

func dropNamespace(w *world, _ int64) {
	w.kubectl("delete", "namespace", w.ns.Name, "--wait=false")
}

// makeNamespace makes a dropped namespace again, for the harness to delete.
func (w *world) makeNamespace() {
	w.t.Helper()
	w.kubectl("wait", "--for=delete", "namespace/"+w.ns.Name, "--timeout=180s") // its controller takes its time
	w.kubectl("create", "namespace", w.ns.Name)
}

// TestDeletedBefore: there is nothing to deploy to, on the page and in the answer.
func TestDeletedBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	form := w.ana.get(confirmPath(v2))
	remove(w, nil)
	w.until("the portal to see it", func() bool { return w.ana.get("/").shows("there is no Deployment api in " + w.ns.Name) })
	w.ana.get(confirmPath(v2)).says(200, "main", "There is no Deployment api in namespace "+w.ns.Name+".")
	w.refused(form, nil, 404, "There is no Deployment api in namespace "+w.ns.Name+".")
	w.ns.CreateDeployment(t, "api", 2, w.pinned(v1), w.opts...)
	w.until("the portal to see it again", func() bool { return w.ana.get("/").shows("Healthy") })
	w.thenDeploys(v2)
}
