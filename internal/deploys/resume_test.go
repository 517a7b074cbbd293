package deploys_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/deploys"
	"deployportal/internal/deploys/deploystest"
	"deployportal/internal/errs"
)

// crashed starts a deploy with a portal that dies at point, and the database left behind is opened anew.
func (w *world) crashed(point string) int64 {
	w.Helper()
	return w.crashedIn(deployOf(api, "abc1234"), point)
}

func (w *world) crashedIn(req deploys.Request, point string) int64 {
	w.Helper()
	w.stop()
	w.start(func(p string) bool { return p == point })
	d, err := w.svc.Start(w.Context(), req)
	must(w, err)
	synctest.Wait()
	w.stop()
	must(w, w.db.Close())
	w.open()
	return d.ID
}

// TestCrashTable walks every row of the crash table: where the portal died, what happened to the cluster meanwhile,
// what the next portal makes of it. It is the same for a restart.
func TestCrashTable(t *testing.T) {
	for name, req := range map[string]deploys.Request{"deploy": deployOf(api, "abc1234"), "restart": restartOf(api)} {
		t.Run(name, func(t *testing.T) { crashTable(t, req) })
	}
}

func crashTable(t *testing.T, req deploys.Request) {
	setImage := func(w *world) { w.cluster.SetImage(api, "api", "git.example.org/acme/api:fff0000") }
	anew := func(w *world) { w.cluster.Update(api, func(r *deploys.Rollout) { r.UID = "other" }) }
	gone := func(w *world) { w.cluster.Update(api, func(r *deploys.Rollout) { r.Exists = false }) }
	scale := func(w *world) {
		w.cluster.Update(api, func(r *deploys.Rollout) { r.Desired = 4; r.Generation++ })
	}
	undone := func(w *world) { // somebody took our annotation away with the template
		w.cluster.Update(api, func(r *deploys.Rollout) { r.DeployID = 0 })
		setImage(w)
	}
	restart := func(w *world) {
		w.cluster.Retemplate(api, "kubectl-rollout", func(r *deploys.Rollout) { r.Restarted = "2000-01-01T00:00:00Z" })
	}
	status := func(w *world) { w.cluster.Update(api, func(r *deploys.Rollout) { r.ObservedGeneration++ }) }
	for name, c := range map[string]struct {
		point    string
		meantime func(*world)
		status   deploys.Status
		sentence string
		patches  int
	}{
		"recorded only":                          {"pending", nil, deploys.Errored, "stopped before applying", 0},
		"running, never sent":                    {"running", nil, deploys.Errored, "the cluster never got it", 0},
		"running, never sent, cluster moved on":  {"running", status, deploys.Errored, "the cluster never got it", 0},
		"running, landed":                        {"patched", nil, deploys.Succeeded, "3 of 3 pods run ", 1},
		"running, landed and scaled":             {"patched", scale, deploys.Succeeded, "4 of 4 pods run ", 1},
		"running, landed, then set image":        {"patched", setImage, deploys.Superseded, "changed by kubectl-set", 1},
		"running, our id only on the ReplicaSet": {"patched", undone, deploys.Superseded, "changed by kubectl-set", 1},
		"watching, all ours":                     {"recorded", nil, deploys.Succeeded, "3 of 3 pods run ", 1},
		"watching, set image":                    {"recorded", setImage, deploys.Superseded, "changed by kubectl-set", 1},
		"watching, restarted by kubectl":         {"recorded", restart, deploys.Superseded, "changed by kubectl-rollout", 1},
		"watching, deleted":                      {"recorded", gone, deploys.Superseded, "was deleted", 1},
		"watching, created anew":                 {"recorded", anew, deploys.Superseded, "created anew", 1},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				id := w.crashedIn(req, c.point)
				if c.meantime != nil {
					c.meantime(w)
				}
				w.start(nil)
				w.settle(6 * time.Second) // the re-read of a patch that may be on its way
				if name == "running, never sent" {
					w.tells(id, deploys.EventStep, "the cluster does not have the patch yet: looking for it for 5 s")
				}
				if c.status == deploys.Succeeded {
					w.complete(api)
					w.settle(11 * time.Second)
				}
				d := w.get(id)
				if d.Status != c.status || !strings.Contains(d.Sentence, c.sentence) {
					t.Errorf("%s %q, want %s with %q", d.Status, d.Sentence, c.status, c.sentence)
				}
				if n := len(w.cluster.Applied()); n != c.patches {
					t.Errorf("%d patches, want %d", n, c.patches)
				}
				w.pair(id, "deploy."+string(c.status))
				if c.status != deploys.Succeeded {
					if e := w.entries(audit.Filter{DeployID: id})[0]; e.Actor.ID != "portal:resume" {
						t.Errorf("ended by %s, want portal:resume", e.Actor.ID)
					}
				}
				if c.sentence == "was deleted" {
					w.refused(deployOf(api, "def5678"), errs.NotFound, "no Deployment api")
				} else if next := w.deploy(deployOf(api, "def5678")); next.Status != deploys.Running {
					t.Errorf("the next deploy is %s: %s", next.Status, next.Sentence)
				}
			})
		})
	}
}

// TestCrashBeforeOutcome: the cluster has decided, the outcome was not written.
func TestCrashBeforeOutcome(t *testing.T) {
	in(t, func(w *world) {
		w.stop()
		w.start(func(p string) bool { return p == "outcome" })
		d := w.deploy(deployOf(api, "abc1234"))
		w.complete(api)
		w.settle(11 * time.Second)
		if d = w.get(d.ID); d.Status != deploys.Running {
			t.Fatalf("%s though it died before", d.Status)
		}
		w.stop()
		w.start(nil)
		w.settle(time.Second)
		if d = w.get(d.ID); d.Status != deploys.Succeeded {
			t.Errorf("%s %s: the window was over before the crash", d.Status, d.Sentence)
		}
		w.pair(d.ID, audit.DeploySucceeded)
	})
}

// TestResumeWaitsForTheCluster: an unreachable cluster leaves the deploy as it is, says so, and refuses new ones; also
// where it is the cluster that tells which apps there are.
func TestResumeWaitsForTheCluster(t *testing.T) {
	for _, discovers := range []bool{false, true} {
		t.Run(fmt.Sprintf("discovers %t", discovers), func(t *testing.T) { resumesOnceTheClusterIsBack(t, discovers) })
	}
}

func resumesOnceTheClusterIsBack(t *testing.T, discovers bool) {
	in(t, func(w *world) {
		w.cluster.Discovers = discovers
		id := w.crashed("recorded")
		away := errs.New(errs.Unavailable, "The cluster cannot be reached since 02:10 UTC.")
		w.cluster.SetNotReady(away)
		w.start(nil)
		w.settle(time.Hour)
		d := w.get(id)
		if d.Status != deploys.Running || !strings.Contains(d.Trouble, "since 02:10 UTC") {
			t.Errorf("%s, trouble %q", d.Status, d.Trouble)
		}
		w.refused(deployOf(api, "def5678"), errs.Unavailable, "since 02:10 UTC")
		w.cluster.SetNotReady(nil)
		w.complete(api)
		w.settle(11 * time.Second)
		if d = w.get(id); d.Status != deploys.Succeeded || d.Trouble != "" {
			t.Errorf("%s, trouble %q", d.Status, d.Trouble)
		}
		w.pair(id, audit.DeploySucceeded)
	})
}

// TestResumeOfWhatIsNoAppAnyMore: where apps are found by their Deployments, one that was deleted or runs an image from
// elsewhere is none. What became of its deploy is read from the cluster all the same.
func TestResumeOfWhatIsNoAppAnyMore(t *testing.T) {
	foreign := func(w *world) { w.cluster.SetImage(api, "api", "docker.io/acme/api:1") }
	gone := func(w *world) { w.cluster.Update(api, func(r *deploys.Rollout) { r.Exists = false }) }
	for name, c := range map[string]struct {
		point    string
		meantime func(*world)
		want     string
		changes  int
	}{
		"an image from elsewhere":             {"recorded", foreign, "api was changed by kubectl-set", 1},
		"deleted":                             {"recorded", gone, "The Deployment api was deleted while the portal was away.", 1},
		"an image from elsewhere, right away": {"patched", foreign, "api was changed by kubectl-set", 1},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				id := w.crashed(c.point)
				c.meantime(w)
				w.cluster.Forget(api)
				w.start(nil)
				w.settle(time.Second)
				if d := w.get(id); d.Status != deploys.Superseded || !strings.Contains(d.Sentence, c.want) {
					t.Errorf("%s %q, want superseded with %q", d.Status, d.Sentence, c.want)
				}
				w.pair(id, audit.DeploySuperseded)
				changes, err := w.svc.Changes(w.Context(), api, 0, 1<<40, 10)
				must(t, err)
				if len(changes) != c.changes || changes[0].Deploy != id {
					t.Errorf("changes %+v", changes)
				}
			})
		})
	}
}

// TestStopLeavesRowsRunning: a portal that is told to stop writes no outcome.
func TestStopLeavesRowsRunning(t *testing.T) {
	in(t, func(w *world) {
		d := w.deploy(deployOf(api, "abc1234"))
		w.stop()
		if d = w.get(d.ID); d.Status != deploys.Running {
			t.Errorf("%s after the stop", d.Status)
		}
		_, err := w.svc.Start(context.Background(), deployOf(admin, "abc1234"))
		if errs.KindOf(err) != errs.Unavailable {
			t.Errorf("a stopped service answers %v", err)
		}
		w.start(nil)
		w.complete(api)
		w.settle(11 * time.Second)
		w.pair(d.ID, audit.DeploySucceeded)
	})
}

// TestMemorySurvives: what the judge had seen before the crash still counts after it.
func TestMemorySurvives(t *testing.T) {
	in(t, func(w *world) {
		w.cluster.Update(api, func(r *deploys.Rollout) { r.ProgressDeadline = time.Minute })
		d := w.deploy(deployOf(api, "abc1234"))
		w.cluster.Update(api, func(r *deploys.Rollout) {
			r.ObservedGeneration, r.Replicas, r.Updated = r.Generation, 4, 1
		})
		w.settle(40 * time.Second)
		w.stop()
		w.start(nil)
		w.settle(25 * time.Second)
		d = w.get(d.ID)
		if d.Status != deploys.Failed || !strings.Contains(d.Sentence, "No progress for 1 min.") {
			t.Errorf("%s %q, want failed 1 min after the last progress, the restart notwithstanding", d.Status, d.Sentence)
		}
	})
}

func TestEventsAreGapless(t *testing.T) {
	in(t, func(w *world) {
		d := w.deploy(deployOf(api, "abc1234"))
		bell, stop := w.svc.Listen(d.ID)
		defer stop()
		w.complete(api)
		select {
		case <-bell:
		default:
			t.Error("no bell for a change")
		}
		w.settle(11 * time.Second)
		d = w.get(d.ID)
		events, err := w.svc.Events(w.Context(), d.ID, 0)
		must(t, err)
		var texts []string
		for i, e := range events {
			if e.Seq != int64(i)+1 {
				t.Errorf("event %d has seq %d", i, e.Seq)
			}
			if e.Text != "" {
				texts = append(texts, e.Text)
			}
		}
		if d.Seq != int64(len(events)) {
			t.Errorf("seq %d with %d events", d.Seq, len(events))
		}
		all := strings.Join(texts, "\n")
		for _, want := range []string{"ana asked for abc1234 in the browser", "patched, generation 2", "ready after 3 s",
			"all pods ready, holding until", "succeeded: 3 of 3 pods run abc1234"} {
			if !strings.Contains(all, want) {
				t.Errorf("no %q in\n%s", want, all)
			}
		}
		later, err := w.svc.Events(w.Context(), d.ID, d.Seq-1)
		must(t, err)
		if len(later) != 1 {
			t.Errorf("%d events after the last but one", len(later))
		}
		if d.Rollout == nil || len(d.Rollout.Pods) != 3 || d.Rollout.Pods[0].Containers[0].ImageID != deploystest.Digest("abc1234") {
			t.Errorf("the stored view: %+v", d.Rollout)
		}
	})
}
