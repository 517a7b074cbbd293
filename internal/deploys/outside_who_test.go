package deploys_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/deploys"
	"deployportal/internal/deploys/deploystest"
	"deployportal/internal/errs"
)

// remove edits the template so that only something is gone: the API server takes down no write of it.
func (w *world) remove() {
	w.cluster.Retemplate(api, "", func(r *deploys.Rollout) { r.Frame += " less" })
}

// good deploys a tag and lets it succeed.
func (w *world) good(tag string) deploys.Deploy {
	w.Helper()
	d := w.deploy(deployOf(api, tag))
	w.complete(api)
	w.settled()
	if d = w.get(d.ID); d.Status != deploys.Succeeded {
		w.Fatalf("%s %s", d.Status, d.Sentence)
	}
	return d
}

// replacedByFailure leaves a failed deploy's pods running, healthy, in place of an outside change that nobody has decided.
func (w *world) replacedByFailure() {
	w.Helper()
	w.stop()
	w.options = func(o *deploys.Options) { o.Hold = []string{"prod"} }
	w.start(nil)
	w.settled()
	w.set(imageF)
	w.complete(api)
	w.settled()
	if d := w.fail("abc1234"); d.Status != deploys.Failed {
		w.Fatalf("%s %s", d.Status, d.Sentence)
	}
	w.complete(api)
	w.settled()
}

// What only removes something is by nobody that is known, and was done when it was noticed: never by who wrote last.
func TestRemovalIsByNobodyKnown(t *testing.T) {
	in(t, func(w *world) {
		w.settled()
		w.good("abc1234")
		w.settle(5 * time.Hour)
		w.remove()
		w.settle(2 * time.Second)
		w.recorded("cluster:unknown abc1234>abc1234 The pod template was changed by somebody, noticed at 2000-01-01 05:0")
		if c := w.changes()[0]; c.Manager != "" || !c.At.Equal(c.Noticed) {
			t.Errorf("the change: %+v", c)
		}
		w.stop()
		w.settle(time.Hour)
		w.remove()
		w.start(nil)
		w.settle(20 * time.Second)
		if last := w.outside()[1]; !strings.Contains(last, "by somebody, noticed at") || strings.Contains(last, "was not running") {
			t.Errorf("while it was off: %s", last)
		}
		w.set(imageF)
		w.settled()
		if last := w.outside()[2]; !strings.Contains(last, "by kubectl-set at") {
			t.Errorf("a write after it: %s", last)
		}
	})
	for name, meantime := range map[string]func(*world){
		"while it rolls out": (*world).remove,
		"while the portal was away": func(w *world) {
			w.stop()
			w.remove()
			w.start(nil)
		},
	} {
		in(t, func(w *world) {
			w.settled()
			d := w.deploy(deployOf(api, "abc1234"))
			w.settled()
			meantime(w)
			w.settled()
			if d = w.get(d.ID); d.Status != deploys.Superseded || !strings.Contains(d.Sentence, "api was changed by somebody") {
				t.Errorf("%s: %s %s", name, d.Status, d.Sentence)
			}
			if c := w.changes()[0]; c.Manager != "" || c.Deploy != d.ID {
				t.Errorf("%s: %+v", name, c)
			}
		})
	}
	t.Run("before the answer to a failure", func(t *testing.T) {
		in(t, func(w *world) {
			w.settled()
			w.stop()
			w.start(func(p string) bool { return p == "answered" })
			bad := w.fail("abc1234")
			w.stop()
			w.remove()
			w.start(nil)
			w.settled()
			if back := w.get(bad.ID + 1); back.Status != deploys.Superseded || !strings.Contains(back.Sentence, "api was changed by somebody before") {
				t.Errorf("%s %s", back.Status, back.Sentence)
			}
		})
	})
}

// A deploy does not hide the change that came just before it, be it before anybody looked.
func TestDeployRecordsTheChangeBeforeIt(t *testing.T) {
	in(t, func(w *world) {
		w.settled()
		w.set(imageF)
		w.settle(2 * time.Second)
		w.recorded("0000001>fff0000")
		w.set(imageE)
		w.complete(api)
		d := w.deploy(deployOf(api, "abc1234")) // the target rests
		w.recorded("0000001>fff0000", "fff0000>eee0000")
		if c := w.changes()[0]; c.Seq >= d.AuditSeq || d.From.Tag != "eee0000" {
			t.Errorf("entry %d, the deploy's %d, from %s", c.Seq, d.AuditSeq, d.From.Tag)
		}
		w.complete(api)
		w.settled()
		w.recorded("0000001>fff0000", "fff0000>eee0000")
	})
	t.Run("right after a start", func(t *testing.T) {
		in(t, func(w *world) {
			w.settled()
			w.stop()
			w.set(imageF)
			w.complete(api)
			w.settle(time.Minute)
			w.cluster.SetNotReady(errs.New(errs.Unavailable, "The cluster cannot be reached since 02:10 UTC."))
			w.start(nil) // the first look sees nothing
			w.cluster.NotReady = nil
			w.deploy(deployOf(api, "abc1234"))
			w.recorded("0000001>fff0000 | The portal was not running then.")
		})
	})
	t.Run("in place of another", func(t *testing.T) {
		in(t, func(w *world) {
			w.settled()
			w.stop()
			w.start(func(p string) bool { return p == "recorded" }) // its runner sees nothing any more
			one := w.deploy(deployOf(api, "abc1234"))
			w.set(imageF)
			req := deployOf(api, "def5678")
			req.Replaces = one.ID
			w.deploy(req)
			w.recorded("abc1234>fff0000")
		})
	})
	t.Run("none where nothing was changed", func(t *testing.T) {
		in(t, func(w *world) {
			w.deploy(deployOf(api, "abc1234")) // at once: nothing was known yet
			w.complete(api)
			w.settled()
			w.recorded()
		})
	})
}

// An adoption takes what its change brought, and nothing that has come in its place.
func TestAdoptWhatWasShown(t *testing.T) {
	in(t, func(w *world) {
		w.replacedByFailure()
		c, open := w.undecided()
		if !open {
			t.Fatal("the question is closed, though nobody has decided")
		}
		if r := w.running(); c.Stands(r) {
			t.Error("it is said to stand")
		}
		w.refused(w.adoptOf(), errs.Conflict, "does not run what that change brought (fff0000) any more but abc1234")
		req := w.adoptOf()
		w.set(imageE)
		w.complete(api)
		w.settled()
		w.refused(req, errs.Conflict, "was changed again, from outside by kubectl-set, since the change that you were shown")
		if d := w.deploy(w.adoptOf()); d.Status != deploys.Succeeded || d.To.Tag != "eee0000" {
			t.Errorf("%s %s", d.Status, d.Sentence)
		}
	})
	t.Run("also after a restart", func(t *testing.T) {
		in(t, func(w *world) {
			w.settled()
			w.set(imageF)
			w.settled()
			req := w.adoptOf()
			w.cluster.Retemplate(api, "kubectl-rollout", func(r *deploys.Rollout) { r.Restarted = "2000-01-01T00:00:00Z" })
			w.complete(api)
			w.settled()
			if d := w.deploy(req); d.Status != deploys.Succeeded {
				t.Errorf("%s %s", d.Status, d.Sentence)
			}
		})
	})
	t.Run("its refusal", func(t *testing.T) {
		in(t, func(w *world) {
			w.settled()
			w.refused(w.adoptOf(), errs.Conflict, "There is no change")
			if e := w.entries(audit.Filter{Action: audit.DeployRejected})[0]; e.Subject != "adoption" {
				t.Errorf("the entry: %+v", e)
			}
		})
	})
}

// A rollback that the portal made by itself to what nobody has adopted yet decides nothing.
func TestAutomaticRollbackDecidesNothing(t *testing.T) {
	in(t, func(w *world) {
		good := w.good("abc1234")
		w.set(deploystest.Repo + "api:fff0000@" + deploystest.Digest("fff0000"))
		w.complete(api)
		w.settled()
		bad := w.fail("def5678")
		w.complete(api)
		w.settled()
		if back := w.get(bad.ID + 1); back.Status != deploys.Succeeded || back.To.Tag != "fff0000" {
			t.Fatalf("%s %s", back.Status, back.Sentence)
		}
		if _, open := w.undecided(); !open {
			t.Error("the question is closed")
		}
		if back, _, _, err := w.svc.KnownGood(w.Context(), api); err != nil || back.Deploy != good.ID {
			t.Errorf("known good is %+v, %v", back, err)
		}
		if d := w.deploy(w.adoptOf()); d.Status != deploys.Succeeded {
			t.Errorf("%s %s", d.Status, d.Sentence)
		}
	})
}

// A patch that lands after its deploy was given up is recorded once, and named.
func TestPatchLandsAfterItWasGivenUp(t *testing.T) {
	in(t, func(w *world) {
		w.settled()
		var sent deploys.Change
		w.cluster.BeforeApply = func(ch deploys.Change) error {
			sent = ch
			return fmt.Errorf("no answer: %w", deploys.ErrUnanswered)
		}
		d := w.deploy(deployOf(api, "abc1234"))
		w.settle(20 * time.Second)
		if d = w.get(d.ID); d.Status != deploys.Errored || strings.Contains(d.Sentence, "The portal stopped") || strings.Contains(d.Sentence, "Nothing was changed") || d.NothingChanged() {
			t.Fatalf("%s %s", d.Status, d.Sentence)
		}
		must(t, w.cluster.Land(sent))
		w.settled()
		w.recorded(fmt.Sprintf("cluster:deploy-portal 0000001>abc1234 | by deploy-portal at | the patch of deploy %d landed after it was given up.", d.ID))
		if _, open := w.undecided(); !open {
			t.Error("nobody is asked")
		}
		c, landed, err := w.svc.Landed(w.Context(), d)
		if err != nil || !landed || c.Deploy != d.ID || c.To.Tag != "abc1234" {
			t.Errorf("landed: %+v, %t, %v", c, landed, err)
		}
		if _, v, ok, err := w.svc.LastGood(w.Context(), d); err != nil || !ok || v.Tag != first {
			t.Errorf("a rollback goes back to %s, %t, %v", v.Tag, ok, err)
		}
		w.cluster.BeforeApply = nil
		w.set(imageF)
		w.settled()
		if all := w.changes(); len(all) != 2 || all[0].Deploy != 0 || all[0].Manager != "kubectl-set" {
			t.Errorf("the next change: %+v", all)
		}
	})
}

// A change of the image and of another part: the entry names both, and restoring the image leaves the question about the
// rest.
func TestRestoreLeavesTheRest(t *testing.T) {
	in(t, func(w *world) {
		w.settled()
		good := w.good("abc1234")
		w.cluster.Different = []string{"container api, variable DEBUG: value 12ab, was not there"}
		w.cluster.Retemplate(api, "helm", func(r *deploys.Rollout) { r.Images["api"], r.Frame = imageF, "debug" })
		w.settled()
		w.recorded("abc1234>fff0000 The image was changed from abc1234 to fff0000 by helm | In the pod template: container api, variable DEBUG")
		back, v, _, err := w.svc.KnownGood(w.Context(), api)
		must(t, err)
		if now := deploys.RunningVersion(w.app(), w.running()); back.Deploy != good.ID || !v.Leaves(now) || now.Leaves(now) {
			t.Errorf("restoring %+v to %+v is said to leave nothing", v, now)
		}
		d := w.deploy(deploys.Request{Target: api, Return: &back, Actor: ana})
		w.complete(api)
		w.settled()
		w.pair(d.ID, audit.DeploySucceeded)
		w.recorded("abc1234>fff0000", fmt.Sprintf("cluster:helm abc1234>abc1234 Deploy %d has set the images back. Other parts of the pod template stay as they were changed from outside by helm | variable DEBUG", d.ID))
		c, open := w.undecided()
		if !open || c.Kind != deploys.ChangedTemplate || !c.Stands(w.running()) {
			t.Fatalf("the rest: %+v, %t", c, open)
		}
		w.cluster.Retemplate(api, "", func(r *deploys.Rollout) { r.Frame = "frame" }) // by hand
		w.settled()
		if _, open := w.undecided(); open {
			t.Error("it asks though all is as it was")
		}
	})
	t.Run("or it is adopted", func(t *testing.T) {
		in(t, func(w *world) {
			w.good("abc1234")
			w.cluster.Retemplate(api, "helm", func(r *deploys.Rollout) { r.Images["api"], r.Frame = imageF, "debug" })
			w.settled()
			back, _, _, err := w.svc.KnownGood(w.Context(), api)
			must(t, err)
			w.deploy(deploys.Request{Target: api, Return: &back, Actor: ana})
			w.complete(api)
			w.settled()
			w.deploy(w.adoptOf())
			if _, open := w.undecided(); open {
				t.Error("still open")
			}
		})
	})
}

func (w *world) app() deploys.App {
	w.Helper()
	app, err := w.cluster.App(api)
	must(w, err)
	return app
}

// The images of all containers are named, old and new.
func TestImagesOfAllContainers(t *testing.T) {
	in(t, func(w *world) {
		w.settled()
		w.cluster.SetImage(api, "sidecar", "example.org/sidecar:2")
		w.settled()
		w.recorded("0000001>0000001 The pod template was changed by kubectl-set | The image stayed 0000001. Images: sidecar: example.org/sidecar:1 -> example.org/sidecar:2.")
	})
	t.Run("of one that is not the app's first", func(t *testing.T) {
		in(t, func(w *world) {
			w.stop()
			w.cluster.Configure(api, "api", "sidecar")
			w.start(nil)
			w.settled()
			w.cluster.SetImage(api, "sidecar", imageF)
			w.settled()
			w.recorded("The image of sidecar was changed by kubectl-set | Images: sidecar: example.org/sidecar:1 -> " + imageF)
		})
	})
}

// A change that is undone closes its question also where the pods have been restarted since.
func TestUndoneAfterARestart(t *testing.T) {
	in(t, func(w *world) {
		d := w.good("abc1234")
		w.deploy(restartOf(api))
		w.complete(api)
		w.settled()
		w.set(imageF)
		w.settled()
		if _, open := w.undecided(); !open {
			t.Fatal("nobody is asked")
		}
		w.set(d.To.Images["api"])
		w.settled()
		if _, open := w.undecided(); open {
			t.Error("it asks though it is undone")
		}
	})
}

// Locks that cannot be read stop everything, an automatic rollback too.
func TestUnreadableLocksStopAll(t *testing.T) {
	in(t, func(w *world) {
		w.settled()
		w.set(imageF)
		w.complete(api)
		w.settled()
		d := w.good("abc1234")
		w.set(imageE)
		w.complete(api)
		w.settled()
		rename(w, "locks", "away")
		for name, req := range map[string]deploys.Request{
			"rollback": {Target: api, Return: &deploys.ReturnTo{Deploy: d.ID}, Actor: ana, Reason: "because"}, "restart": restartOf(api), "adoption": w.adoptOf(),
		} {
			if _, err := w.svc.Start(w.Context(), req); errs.KindOf(err) != errs.Unavailable || !strings.Contains(errs.Public(err), "Whether it is locked cannot be read") {
				t.Errorf("a %s: %v", name, err)
			}
		}
	})
	t.Run("an automatic rollback", func(t *testing.T) {
		in(t, func(w *world) {
			d := w.deploy(deployOf(api, "abc1234"))
			rename(w, "locks", "away")
			w.settle(11 * time.Minute)
			if d = w.get(d.ID); d.Status != deploys.Failed || d.Note != "Not rolled back by itself: it cannot be read whether api in prod is locked." {
				t.Errorf("%s, note %q", d.Status, d.Note)
			}
			if n := len(w.cluster.Applied()); n != 1 || len(w.marks()) != 0 {
				t.Errorf("%d patches, marks %v", n, w.marks())
			}
			rename(w, "away", "locks")
		})
	})
}

// A cluster that was brought back from a backup counts from where it was: what it says is taken once the API server says
// it too, and not from a cache that is behind.
func TestClusterFromABackup(t *testing.T) {
	in(t, func(w *world) {
		w.settled()
		old := w.running()
		w.set(imageF)
		w.settled()
		w.cluster.Lag(api, old)
		w.settled()
		w.recorded("0000001>fff0000")
		w.cluster.Lag(api, deploys.Rollout{})
		w.cluster.Update(api, func(r *deploys.Rollout) { *r = old })
		w.settled()
		w.recorded("0000001>fff0000", "fff0000>0000001 | Its generation went back: the cluster was restored from a backup.")
		w.set(imageE)
		w.settled()
		if last := w.outside(); len(last) != 3 || !strings.Contains(last[2], "0000001>eee0000") {
			t.Errorf("after it: %v", last)
		}
	})
}

// A right that is missing for pods or ReplicaSets hides no change of the Deployment.
func TestOutsideSeenInPart(t *testing.T) {
	in(t, func(w *world) {
		w.settled()
		w.cluster.Update(api, func(r *deploys.Rollout) { r.Partial = true })
		w.cluster.SetNotReady(errs.New(errs.Unavailable, "The portal may not list pods in honeydue."))
		w.set(imageF)
		w.settled()
		w.recorded("0000001>fff0000")
	})
}

// A page finds the newest change of each target without reading all of them.
func TestNewestChangesAreFoundByIndex(t *testing.T) {
	in(t, func(w *world) {
		var plan []string
		query := deploys.ListChangesQuery
		rows, err := w.db.Query(w.Context(), `EXPLAIN QUERY PLAN `+query)
		must(t, err)
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var id, parent, x int
			var detail string
			must(t, rows.Scan(&id, &parent, &x, &detail))
			plan = append(plan, detail)
		}
		must(t, rows.Err())
		if all := strings.Join(plan, "\n"); strings.Contains(all, "SCAN c") || strings.Contains(all, "SCAN outside_changes") || !strings.Contains(all, "outside_changes_newest") {
			t.Errorf("%s", all)
		}
	})
}
