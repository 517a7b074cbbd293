package story_test

import (
	"fmt"
	"testing"
	"time"

	"deployportal/internal/audit"
)

// The crash table of the design, row by row: where the portal was killed, what happened to the cluster meanwhile, and
// what the next portal makes of it. In each the next deploy works.
//
// Two rows need a hook inside the process and are unit tests of package deploys alone: a death between the two
// transactions of "recorded" and "running" of a deploy that takes nobody's place, and the one between an answer and the
// transaction that stores it (to the next portal that looks like "landed" here).
type crash struct {
	at       func(*world) (id int64, h *hold) // until the kill
	meantime func(*world, *hold)
	after    func(*world, *hold) // while the new portal runs
	status   string
	sentence string
	patches  int
}

var errStopped = struct{ before, sending, lost string }{
	"The portal stopped before applying. Nothing was sent; ask again.",
	"the cluster never got it",
	"right after this deploy was sent",
}

// sending kills while the patch has not reached the API server.
func sending(w *world) (int64, *hold) { return held(w, false) }

// landed kills while the API server has applied the patch and its answer is on the way.
func landed(w *world) (int64, *hold) { return held(w, true) }

func held(w *world, answer bool) (int64, *hold) {
	h := w.gate.hold(isPatch, answer)
	id := w.ana.deploy(v2)
	w.reached(h)
	return id, h
}

// watching kills once the answer is stored.
func watching(w *world) (int64, *hold) {
	id := w.ana.deploy(v2)
	w.until("the patch to be recorded", func() bool { return w.row(id).patched })
	return id, nil
}

// waitingItsTurn kills a deploy that is recorded and has not begun: it took the place of another and reads the
// Deployment first.
func waitingItsTurn(w *world) (int64, *hold) {
	first := w.ana.deploy(unready)
	w.until("the first patch to be recorded", func() bool { return w.row(first).patched })
	confirm := fmt.Sprintf("%s&replaces=%d", confirmPath(v2), first)
	w.until("the caches to have the first patch", func() bool {
		_, fields := w.ana.get(confirm).fields(confirmForm)
		return fields.Get("seen_from") == w.digest(unready)
	})
	h := w.gate.hold(isLook, false)
	id := w.ana.ask(confirm).deployID()
	w.reached(h)
	if r := w.row(id); r.status != "pending" {
		w.t.Errorf("deploy %d is %s, want pending", id, r.status)
	}
	return id, h
}

func setImage(w *world, _ *hold) { w.kubectl("set", "image", "deployment/api", "api="+w.pinned(v3)) }
func scale(w *world, _ *hold)    { w.kubectl("scale", "deployment/api", "--replicas=3") }
func remove(w *world, _ *hold)   { w.kubectl("delete", "deployment/api", "--wait=true") }
func label(w *world, _ *hold)    { w.kubectl("label", "deployment/api", "team=blue") }

func createAnew(w *world, _ *hold) {
	remove(w, nil)
	w.ns.CreateDeployment(w.t, "api", 2, w.pinned(v2), w.opts...)
}

// undo waits until the controller has made a ReplicaSet of our patch, then takes template and annotation back: our id is
// left on the ReplicaSet only.
func undo(w *world, _ *hold) {
	w.until("a ReplicaSet of the deploy", func() bool { return w.live().Status.UpdatedReplicas > 0 })
	w.kubectl("annotate", "deployment/api", "deploy-portal/deploy-id-", "--overwrite")
	setImage(w, nil)
}

func TestCrashTable(t *testing.T) {
	t.Parallel()
	const ok, errored, superseded = "succeeded", "errored", "superseded"
	rows := map[string]crash{
		"recorded only":                          {waitingItsTurn, nil, nil, errored, errStopped.before, 1},
		"never sent":                             {sending, nil, nil, errored, errStopped.sending, 1},
		"never sent, cluster moved on":           {sending, label, nil, errored, errStopped.sending, 1},
		"sent, lands after the next start":       {sending, nil, passLate, ok, "2 of 2 pods run " + v2, 1},
		"landed":                                 {landed, nil, nil, ok, "2 of 2 pods run " + v2, 1},
		"landed and scaled":                      {landed, scale, nil, ok, "3 of 3 pods run " + v2, 1},
		"landed, then set image":                 {landed, setImage, nil, superseded, "was changed by kubectl-set", 1},
		"landed, our id on the ReplicaSet alone": {landed, undo, nil, superseded, errStopped.lost, 1},
		"watching":                               {watching, nil, nil, ok, "2 of 2 pods run " + v2, 1},
		"watching, scaled":                       {watching, scale, nil, ok, "3 of 3 pods run " + v2, 1},
		"watching, set image":                    {watching, setImage, nil, superseded, "was changed by kubectl-set", 1},
		"watching, deleted":                      {watching, remove, nil, superseded, "was deleted", 1},
		"watching, created anew":                 {watching, createAnew, nil, superseded, "created anew", 1},
	}
	for name, c := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id, h := c.at(w)
			w.kill()
			if r := w.row(id); r.over {
				t.Fatalf("deploy %d was over before the kill: %+v", id, r)
			}
			if c.meantime != nil {
				c.meantime(w, h)
			}
			w.start()
			if c.after != nil {
				c.after(w, h)
			}
			w.over(id, c.status, c.sentence)
			if h != nil {
				h.drop()
			}
			if n := len(w.gate.patches()); n != c.patches {
				t.Errorf("%d patches, want %d", n, c.patches)
			}
			if e := w.newest(audit.Filter{DeployID: id})[0]; c.status != ok && e.Actor.ID != "portal:resume" {
				t.Errorf("ended by %s, want portal:resume", e.Actor.ID)
			}
			w.whole()
			w.goesOn(c)
		})
	}
}

// passLate lets the held patch through while the next portal still asks whether it may be on its way.
func passLate(w *world, h *hold) {
	w.seen()
	h.pass()
	w.wait(h.through, "the API server to take the late patch")
}

// goesOn checks that the row after a crash does not stand in the way of the next deploy.
func (w *world) goesOn(c crash) {
	w.seen()
	if c.sentence == "was deleted" {
		w.ana.get(confirmPath(v3)).says(200, "main", "There is no Deployment api in namespace")
		w.ns.CreateDeployment(w.t, "api", 2, w.pinned(v1), w.opts...)
	}
	want := w.live().Spec.Replicas
	if w.live().Spec.Template.Spec.Containers[0].Image == w.pinned(v3) {
		w.over(w.ana.deploy(v1), "succeeded", fmt.Sprintf("pods run %s", v1))
		return
	}
	w.over(w.ana.deploy(v3), "succeeded", fmt.Sprintf("%d of %d pods run %s", *want, *want, v3))
}

// TestKillBeforeCommit: while the registry is asked nothing is recorded yet; the kill leaves nothing.
func TestKillBeforeCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	confirm := w.ana.get(confirmPath(v2))
	asked, release := make(chan struct{}), make(chan struct{})
	w.onManifest(v2, func() {
		close(asked)
		<-release
	})
	go func() { // its answer never comes, so it is not one of the browser's
		action, fields := confirm.fields(confirmForm)
		res, err := w.post(action, fields)
		if err == nil {
			_ = res.Body.Close()
		}
	}()
	w.wait(asked, "the registry to be asked")
	w.kill()
	close(release)
	w.start()
	w.seen()
	if n := w.count(`SELECT count(*) FROM deploys`) + w.count(`SELECT count(*) FROM audit_entries WHERE action LIKE 'deploy.%'`); n != 0 {
		t.Errorf("%d rows of a deploy that was never acknowledged", n)
	}
	w.runs(w.pinned(v1))
	w.thenDeploys(v2)
}

// TestOutcomeNotWritten: the database cannot take the outcome. The page says so, the row stays running, a kill loses
// nothing, and the next portal writes the outcome once.
func TestOutcomeNotWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.stability = "6s" }) // longer than an old pod needs to go
	id := w.ana.deploy(v2)
	w.until("the window to open", func() bool {
		return w.count(`SELECT count(*) FROM deploy_events WHERE deploy_id = ? AND text LIKE 'all pods ready%'`, id) == 1
	})
	release := w.lockDatabase()
	w.until("the page to say that the record cannot be written", func() bool {
		return w.ana.get(fmt.Sprintf("/deploys/%d", id)).shows("The database is busy. Nothing was changed. Try again. This is tried again every 5 s")
	})
	w.kill()
	release()
	if r := w.row(id); r.status != "running" {
		t.Errorf("deploy %d is %s before its outcome was written", id, r.status)
	}
	w.start()
	w.over(id, "succeeded", "2 of 2 pods run "+v2)
	w.thenDeploys(v3)
}

// TestOutcomeIsTriedAgain is TestOutcomeNotWritten without the kill: the living portal writes it once it can.
func TestOutcomeIsTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.stability = "6s" }) // longer than an old pod needs to go
	id := w.ana.deploy(v2)
	w.until("the window to open", func() bool {
		return w.count(`SELECT count(*) FROM deploy_events WHERE deploy_id = ? AND text LIKE 'all pods ready%'`, id) == 1
	})
	release := w.lockDatabase()
	w.until("the page to say it", func() bool {
		return w.ana.get(fmt.Sprintf("/deploys/%d", id)).shows("This is tried again every 5 s")
	})
	began := time.Now()
	release()
	w.over(id, "succeeded", "2 of 2 pods run "+v2)
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the outcome took %s to be written", took)
	}
	w.thenDeploys(v3)
}
