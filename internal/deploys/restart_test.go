package deploys_test

import (
	"strings"
	"testing"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/deploys"
	"deployportal/internal/deploys/deploystest"
	"deployportal/internal/errs"
)

func restartOf(t deploys.Target) deploys.Request {
	return deploys.Request{Target: t, Restart: true, Actor: ana, Reason: "the new certificate"}
}

func (w *world) running() deploys.Rollout {
	w.Helper()
	r, err := w.cluster.Rollout(api)
	must(w, err)
	return r
}

func TestRestart(t *testing.T) {
	in(t, func(w *world) {
		before := w.running()
		d := w.deploy(restartOf(api))
		if d.Kind != deploys.KindRestart || d.Status != deploys.Running || !d.To.Same(d.From) {
			t.Fatalf("after the start: %+v", d)
		}
		patch := w.cluster.Applied()[0]
		if len(patch.Images) != 0 || patch.Restarted == nil || *patch.Restarted != d.Created.Format("2006-01-02T15:04:05.000Z") {
			t.Errorf("patched %+v", patch)
		}
		if got := patch.Annotations[deploys.AnnotationCause]; got != "restart of 0000001 by ana (deploy 1)" {
			t.Errorf("cause %q", got)
		}
		if now := w.running(); now.Template == before.Template || now.Bare != before.Bare || len(now.ReplicaSets) != 2 {
			t.Errorf("the template %s, bare %s", now.Template, now.Bare)
		}
		w.complete(api)
		w.settle(11 * time.Second)
		d = w.get(d.ID)
		if d.Status != deploys.Succeeded || d.Sentence != "3 of 3 pods run 0000001 and stayed well for 10 s." || d.Note != "" {
			t.Errorf("%s %q %q", d.Status, d.Sentence, d.Note)
		}
		w.pair(d.ID, audit.DeploySucceeded)
		if asked := w.entries(audit.Filter{Action: audit.DeployRequested})[0]; asked.Detail != "A restart: the same image in new pods." || asked.Reason != "the new certificate" || asked.Subject != "restart" {
			t.Errorf("the entry: %+v", asked)
		}
		w.settled()
		w.recorded() // it is not an outside change
	})
}

func TestRestartRefusals(t *testing.T) {
	in(t, func(w *world) {
		w.refused(deploys.Request{Target: api, Restart: true, Image: "abc1234", Actor: ana}, errs.Invalid, "Name one thing to do")
		seen := restartOf(api)
		seen.Seen.From = deploystest.Digest("another")
		w.refused(seen, errs.Conflict, "does not run what you were shown")
		w.deploy(deployOf(api, "abc1234"))
		w.refused(restartOf(api), errs.Conflict, "is being deployed already")
		if e := w.entries(audit.Filter{Action: audit.DeployRejected})[0]; e.Subject != "restart" {
			t.Errorf("the refusal's entry: %+v", e)
		}
		w.refused(deployOf(admin, first), errs.Invalid, "restart it to get new pods")
	})
}

// TestRestartFails: the way back from a restart is the ReplicaSet that still serves, not another image; but where what was
// restarted was not well, it is the image before.
func TestRestartFails(t *testing.T) {
	in(t, func(w *world) {
		w.deploy(deployOf(api, "abc1234"))
		w.complete(api)
		w.settled()
		served := w.running()
		d := w.deploy(restartOf(api))
		back, v, ok, err := w.svc.LastGood(w.Context(), d)
		must(t, err)
		if !ok || back != (deploys.ReturnTo{Deploy: d.ID, Before: true}) || v.Tag != "abc1234" || v.Restarted != "" {
			t.Fatalf("goes back to %+v %+v %t", back, v, ok)
		}
		undone := w.deploy(deploys.Request{Target: api, Return: &back, Replaces: d.ID, Actor: ana})
		if now := w.running(); now.Template != served.Template || now.ReplicaSets[0].UID != served.ReplicaSets[0].UID {
			t.Errorf("the template %s in ReplicaSet %s, want %s in %s", now.Template, now.ReplicaSets[0].UID, served.Template, served.ReplicaSets[0].UID)
		}
		w.complete(api)
		w.settled()
		w.pair(undone.ID, audit.DeploySucceeded)
		if d = w.get(d.ID); d.Status != deploys.Superseded || d.Sentence != "Replaced by a rollback of ana." {
			t.Errorf("the restart: %s %s", d.Status, d.Sentence)
		}
	})
	t.Run("of what was not well before", func(t *testing.T) {
		in(t, func(w *world) {
			for _, tag := range []string{"abc1234", "def5678"} {
				w.deploy(deployOf(api, tag))
				w.complete(api)
				w.settled()
			}
			w.cluster.Update(api, func(r *deploys.Rollout) { r.Available = 1 })
			d := w.deploy(restartOf(api))
			for _, status := range []deploys.Status{deploys.Running, deploys.Failed} {
				if d = w.get(d.ID); d.Status != status {
					t.Fatalf("%s, want %s", d.Status, status)
				}
				if _, v, err := w.svc.WayBack(w.Context(), api, d.From); err != nil || v.Tag != "abc1234" {
					t.Errorf("%s: goes back to %q, %v", status, v.Tag, err)
				}
				w.settle(11 * time.Minute)
			}
		})
	})
}

// TestRollBackAcrossRestart: the ReplicaSet of then is found again, on both sides of a restart.
func TestRollBackAcrossRestart(t *testing.T) {
	in(t, func(w *world) {
		finish := func(req deploys.Request) deploys.Deploy {
			d := w.deploy(req)
			w.complete(api)
			w.settled()
			if d = w.get(d.ID); d.Status != deploys.Succeeded {
				t.Fatalf("%s %s", d.Status, d.Sentence)
			}
			return d
		}
		one := finish(deployOf(api, "abc1234"))
		plain := w.running().ReplicaSets[0].UID
		again := finish(restartOf(api))
		restarted := w.running().ReplicaSets[0].UID
		finish(deployOf(api, "def5678"))
		if w.running().Restarted != again.To.Restarted {
			t.Error("a deploy took the mark of the restart away")
		}
		finish(deploys.Request{Target: api, Return: &deploys.ReturnTo{Deploy: again.ID}, Actor: ana})
		if got := w.running().ReplicaSets[0].UID; got != restarted {
			t.Errorf("back to the restart: ReplicaSet %s, want %s", got, restarted)
		}
		finish(deployOf(api, "def5678"))
		finish(deploys.Request{Target: api, Return: &deploys.ReturnTo{Deploy: one.ID}, Actor: ana})
		if got := w.running(); got.ReplicaSets[0].UID != plain || !strings.Contains(got.Images["api"], ":abc1234@") {
			t.Errorf("back to before the restart: ReplicaSet %s with %s, want %s", got.ReplicaSets[0].UID, got.Images["api"], plain)
		}
		w.recorded()
	})
}

// TestRestartProof: new pods may report another digest of the same image; what an earlier deploy or the registry knows
// of it still proves it.
func TestRestartProof(t *testing.T) {
	for name, tag := range map[string]string{"deployed by the portal": "abc1234", "ran before the portal": ""} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				if tag != "" {
					w.deploy(deployOf(api, tag))
					w.complete(api)
					w.settled()
				}
				d := w.deploy(restartOf(api))
				if len(d.To.Proofs) < 2 {
					t.Errorf("proofs: %v", d.To.Proofs)
				}
			})
		})
	}
}
