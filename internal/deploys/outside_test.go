package deploys_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/auth"
	"deployportal/internal/deploys"
	"deployportal/internal/deploys/deploystest"
	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

const (
	imageF = deploystest.Repo + "api:fff0000"
	imageE = deploystest.Repo + "api:eee0000"
	first  = "0000001"
)

func firstImage() string { return deploystest.Repo + "api:" + first + "@" + deploystest.Digest(first) }

// outside lists the entries about changes that no deploy made, oldest first.
func (w *world) outside() (out []string) {
	w.Helper()
	for _, e := range w.entries(audit.Filter{Action: audit.ChangeOutside}) {
		out = append([]string{fmt.Sprintf("%s %s>%s %s", e.Actor.Name, e.FromTag, e.ToTag, e.Detail)}, out...)
	}
	return out
}

// recorded asserts the entries about outside changes, each by texts it must hold, and that rows and entries agree.
func (w *world) recorded(want ...string) {
	w.Helper()
	got := w.outside()
	if len(got) != len(want) {
		w.Fatalf("%d entries about outside changes, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i := range want {
		for _, text := range strings.Split(want[i], " | ") {
			if !strings.Contains(got[i], text) {
				w.Errorf("entry %d is %q, want %q in it", i, got[i], text)
			}
		}
	}
	report, err := audit.Verify(w.Context(), w.db)
	must(w, err)
	if report.BadSeq != 0 {
		w.Errorf("the chain is broken: %s", report.Why)
	}
}

func (w *world) changes() []deploys.OutsideChange {
	w.Helper()
	list, err := w.svc.Changes(w.Context(), api, 0, 0, 100)
	must(w, err)
	return list
}

func (w *world) set(image string) { w.cluster.SetImage(api, "api", image) }

// atOnce does what nobody looks at before it is all done.
func (w *world) atOnce(do func()) {
	w.cluster.SetNotReady(errs.New(errs.Unavailable, "The cluster cannot be reached since 02:10 UTC."))
	do()
	w.cluster.SetNotReady(nil)
}

func (w *world) undecided() (deploys.OutsideChange, bool) {
	w.Helper()
	c, found, err := w.svc.OpenChange(w.Context(), api)
	must(w, err)
	return c, found
}

func (w *world) settled() { w.settle(20 * time.Second) }

// TestOutsideChanges is what counts as a change from outside and what does not.
func TestOutsideChanges(t *testing.T) {
	sidecar := func(image string) func(*deploys.Rollout) {
		return func(r *deploys.Rollout) { r.Images["sidecar"] = image }
	}
	for name, c := range map[string]struct {
		play func(*world)
		want []string
		open bool
	}{
		"nothing at first sight": {func(*world) {}, nil, false},
		"set image":              {func(w *world) { w.set(imageF) }, []string{"cluster:kubectl-set 0000001>fff0000 The image was changed from 0000001 to fff0000 by kubectl-set at 2000-01-01 00:00:"}, true},
		"set image and undone": {func(w *world) { w.set(imageF); w.settled(); w.set(firstImage()) },
			[]string{"0000001>fff0000", "fff0000>0000001"}, false},
		"another part of the template": {func(w *world) { w.cluster.Retemplate(api, "helm", sidecar("example.org/sidecar:2")) },
			[]string{"cluster:helm 0000001>0000001 The pod template was changed by helm | The image stayed 0000001."}, true},
		"kubectl rollout restart": {func(w *world) {
			w.cluster.Retemplate(api, "kubectl-rollout", func(r *deploys.Rollout) { r.Restarted = "2000-01-01T00:00:00Z" })
		}, []string{"cluster:kubectl-rollout | The pods were restarted by kubectl-rollout"}, false},
		"scaled": {func(w *world) {
			w.cluster.Update(api, func(r *deploys.Rollout) { r.Desired, r.Generation = 5, r.Generation+1 })
		}, nil, false},
		"scaled, then set image": {func(w *world) {
			w.cluster.Update(api, func(r *deploys.Rollout) { r.Desired, r.Generation = 5, r.Generation+1 })
			w.settled()
			w.set(imageF)
		}, []string{"0000001>fff0000"}, true},
		"status and conditions": {func(w *world) {
			w.cluster.Update(api, func(r *deploys.Rollout) { r.Ready, r.Available = 1, 1 })
		}, nil, false},
		"annotations on the Deployment": {func(w *world) { w.cluster.Update(api, func(r *deploys.Rollout) { r.DeployID = 77 }) }, nil, false},
		"deleted and not back":          {func(w *world) { w.cluster.Update(api, gone) }, []string{"cluster:unknown 0000001> The Deployment api was deleted"}, false},
		"deleted and created anew": {func(w *world) {
			was, err := w.cluster.Rollout(api)
			must(w, err)
			w.cluster.Update(api, gone)
			w.settled()
			was.UID, was.ChangedAt = "other", time.Now()
			w.cluster.Update(api, func(r *deploys.Rollout) { *r = was })
		}, []string{"was deleted", "The Deployment api was created by kubectl at | It is set to 0000001."}, false},
		"replaced": {func(w *world) {
			w.atOnce(func() {
				w.cluster.Update(api, func(r *deploys.Rollout) { r.UID, r.Generation, r.ChangedBy = "other", 1, "kubectl-replace" })
				w.set(imageF)
			})
		}, []string{"The Deployment api was created by kubectl-set at | It is set to fff0000."}, true},
		"ten in a second": {func(w *world) {
			w.atOnce(func() {
				for i := range 10 {
					w.set(fmt.Sprintf("%sapi:aaa000%d", deploystest.Repo, i))
				}
			})
		}, []string{"0000001>aaa0009 | It was written 10 times since it was last looked at"}, true},
		"a cache that is behind": {func(w *world) {
			w.set(imageF)
			w.settled()
			behind := w.running()
			behind.Generation, behind.Template = 1, "of before"
			w.cluster.Lag(api, behind)
		}, []string{"0000001>fff0000"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				w.settled()
				c.play(w)
				w.settled()
				w.recorded(c.want...)
				if _, open := w.undecided(); open != c.open {
					t.Errorf("asks for a decision: %t, want %t", open, c.open)
				}
				w.stop()
				w.start(nil) // a new portal sees the same again
				w.settled()
				w.recorded(c.want...)
			})
		})
	}
}

func gone(r *deploys.Rollout) {
	*r = deploys.Rollout{UID: r.UID, Images: r.Images, ReplicaSets: r.ReplicaSets}
}

// TestOutsideWithin: a change is recorded within seconds, also when the target has just changed again and again.
func TestOutsideWithin(t *testing.T) {
	in(t, func(w *world) {
		w.settled()
		w.set(imageF)
		w.settle(2 * time.Second)
		w.recorded("fff0000")
		for i := range 300 { // five minutes, one a second
			w.set(fmt.Sprintf("%sapi:a%06d", deploystest.Repo, i))
			w.settle(time.Second)
		}
		if n := len(w.outside()); n < 10 || n > 30 {
			t.Errorf("%d entries about 300 changes", n)
		}
		w.settle(30 * time.Second)
		if last := w.changes()[0]; last.To.Tag != "a000299" {
			t.Errorf("the last is recorded as %s", last.To.Tag)
		}
	})
}

func TestOutsideWhileOff(t *testing.T) {
	in(t, func(w *world) {
		w.settled()
		w.stop()
		w.settled()
		changed := time.Now()
		w.set(imageF)
		w.settle(time.Hour)
		w.start(nil)
		w.settle(2 * time.Second)
		w.recorded("0000001>fff0000 | The portal was not running then.")
		if c, _ := w.undecided(); !c.At.Equal(changed) || c.Noticed.Sub(changed) < time.Hour || c.Manager != "kubectl-set" {
			t.Errorf("the change: %+v", c)
		}
	})
}

// TestOutsideUnseen: what a stale view shows is not believed; once it is fresh, what happened meanwhile is found.
func TestOutsideUnseen(t *testing.T) {
	in(t, func(w *world) {
		w.settled()
		w.cluster.SetNotReady(errs.New(errs.Unavailable, "The cluster cannot be reached since 02:10 UTC."))
		w.set(imageF)
		w.settled()
		w.recorded()
		w.cluster.SetNotReady(nil)
		w.settle(2 * time.Second)
		w.recorded("0000001>fff0000")
	})
}

// TestOwnChangesAreNotOutside: deploys, rollbacks, restarts, replaced ones, and those of a portal that died.
func TestOwnChangesAreNotOutside(t *testing.T) {
	in(t, func(w *world) {
		w.settled()
		d := w.deploy(deployOf(api, "abc1234"))
		w.settled()
		w.complete(api)
		w.settled()
		w.deploy(deploys.Request{Target: api, Restart: true, Actor: ana})
		w.complete(api)
		w.settled()
		w.deploy(deployOf(api, "def5678"))
		w.deploy(deploys.Request{Target: api, Return: &deploys.ReturnTo{Deploy: d.ID}, Replaces: 3, Actor: ana})
		w.complete(api)
		w.settled()
		w.recorded()
	})
	for _, point := range []string{"pending", "running", "patched", "recorded", "outcome"} {
		t.Run("died at "+point, func(t *testing.T) {
			in(t, func(w *world) {
				w.settled()
				w.crashed(point)
				w.start(nil)
				w.settled()
				w.complete(api)
				w.settled()
				w.recorded()
			})
		})
	}
	t.Run("lands after it was replaced, and what replaced it cannot be sent", func(t *testing.T) {
		in(t, func(w *world) {
			w.settled()
			var sent []deploys.Change
			w.cluster.BeforeApply = func(ch deploys.Change) error {
				sent = append(sent, ch)
				if len(sent) == 1 {
					return fmt.Errorf("no answer: %w", deploys.ErrUnanswered)
				}
				return errs.New(errs.Forbidden, "The portal may not patch deployments in honeydue.")
			}
			one := w.deploy(deployOf(api, "abc1234"))
			req := deployOf(api, "def5678")
			req.Replaces = one.ID
			two := w.deploy(req)
			if two.Status != deploys.Errored {
				t.Fatalf("the second is %s", two.Status)
			}
			must(t, w.cluster.Land(sent[0]))
			w.settled()
			w.recorded()
		})
	})
}

// TestOutsideDuringDeploy: one change, one record: the deploy's own entry. It is shown as a change all the same.
func TestOutsideDuringDeploy(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(*world)
		kind      deploys.ChangeKind
	}{
		"set image": {func(w *world) { w.set(imageF) }, deploys.ChangedImage},
		"deleted":   {func(w *world) { w.cluster.Update(api, gone) }, deploys.ChangedGone},
		"anew":      {func(w *world) { w.cluster.Update(api, func(r *deploys.Rollout) { r.UID = "other" }) }, deploys.ChangedAnew},
		"restarted": {func(w *world) {
			w.cluster.Retemplate(api, "kubectl-rollout", func(r *deploys.Rollout) { r.Restarted = "now" })
		}, deploys.ChangedRestart},
		"while the portal was away": {func(w *world) { w.stop(); w.set(imageF); w.start(nil) }, deploys.ChangedImage},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				w.settled()
				d := w.deploy(deployOf(api, "abc1234"))
				w.settled()
				c.meanwhile(w)
				w.settled()
				if d = w.get(d.ID); d.Status != deploys.Superseded {
					t.Fatalf("%s %s", d.Status, d.Sentence)
				}
				w.pair(d.ID, audit.DeploySuperseded)
				w.recorded()
				all := w.changes()
				if len(all) != 1 || all[0].Kind != c.kind || all[0].Deploy != d.ID || all[0].From.Tag != "abc1234" {
					t.Fatalf("changes: %+v", all)
				}
				if end := w.entries(audit.Filter{DeployID: d.ID, Limit: 1})[0]; end.Seq != all[0].Seq {
					t.Errorf("the change tells of entry %d, the deploy ended with %d", all[0].Seq, end.Seq)
				}
				if _, open := w.undecided(); open != (c.kind != deploys.ChangedGone) { // a restart too: the image of the deploy was not proven yet
					t.Errorf("open: %t", open)
				}
			})
		})
	}
	t.Run("before it was sent", func(t *testing.T) {
		in(t, func(w *world) {
			w.settled()
			w.cluster.BeforeApply = func(deploys.Change) error {
				w.cluster.BeforeApply = nil
				w.set(imageF)
				return nil
			}
			d := w.deploy(deployOf(api, "abc1234"))
			w.settled()
			if d = w.get(d.ID); d.Status != deploys.Errored {
				t.Fatalf("%s %s", d.Status, d.Sentence)
			}
			w.recorded("0000001>fff0000")
		})
	})
}

// TestOutsideNotWritable: what cannot be recorded is recorded later, once.
func TestOutsideNotWritable(t *testing.T) {
	in(t, func(w *world) {
		w.settled()
		w.fill()
		w.set(imageF)
		w.settle(time.Minute)
		w.recorded()
		w.free()
		w.settle(6 * time.Second)
		w.recorded("0000001>fff0000")
	})
}

// adoptOf asks to adopt the newest change of api, or the first there will be.
func (w *world) adoptOf() deploys.Request {
	w.Helper()
	req := deploys.Request{Target: api, Adopt: 1, Actor: ana, Reason: "it was me"}
	if all := w.changes(); len(all) > 0 {
		req.Adopt = all[0].ID
	}
	return req
}

func TestAdopt(t *testing.T) {
	in(t, func(w *world) {
		w.settled()
		w.refused(w.adoptOf(), errs.Conflict, "There is no change from outside to adopt")
		w.set(imageF)
		w.settled()
		w.refused(w.adoptOf(), errs.Conflict, "is still rolling out")
		w.complete(api)
		vic := ana
		vic.Name, vic.Grants = "vic", []auth.Grant{{Role: auth.Viewer}}
		w.refused(deploys.Request{Target: api, Adopt: 1, Actor: vic}, errs.Forbidden, "vic may not deploy")
		seen := w.adoptOf()
		seen.Seen.From = deploystest.Digest("another")
		w.refused(seen, errs.Conflict, "does not run what you were shown")

		req := w.adoptOf()
		req.Key = "once"
		d := w.deploy(req)
		if again := w.deploy(req); again.ID != d.ID {
			t.Errorf("the second click made deploy %d", again.ID)
		}
		if d.Kind != deploys.KindAdopt || d.Status != deploys.Succeeded || !strings.Contains(d.Sentence, "Adopted: fff0000, brought from outside by kubectl-set") ||
			d.From.Tag != first || d.To.Images["api"] != imageF {
			t.Errorf("adopted: %+v", d)
		}
		if n := len(w.cluster.Applied()); n != 0 {
			t.Errorf("%d patches", n)
		}
		of := w.entries(audit.Filter{DeployID: d.ID})
		if len(of) != 1 || of[0].Action != audit.ChangeAdopted || of[0].Outcome != "ok" || of[0].Actor.Name != "ana" || of[0].Reason != "it was me" ||
			of[0].FromTag != first || of[0].ToTag != "fff0000" || of[0].Detail != d.Sentence {
			t.Errorf("entries: %+v", of)
		}
		if _, open := w.undecided(); open {
			t.Error("still open")
		}
		w.refused(w.adoptOf(), errs.Conflict, "There is no change from outside to adopt")

		bad := w.deploy(deployOf(api, "abc1234"))
		back, v, ok, err := w.svc.LastGood(w.Context(), bad)
		must(t, err)
		if !ok || v.Images["api"] != imageF {
			t.Fatalf("a rollback goes back to %+v, %t", v, ok)
		}
		w.deploy(deploys.Request{Target: api, Return: &back, Replaces: bad.ID, Actor: ana})
		w.complete(api)
		if r, _ := w.cluster.Rollout(api); r.Images["api"] != imageF {
			t.Errorf("it runs %s", r.Images["api"])
		}
	})
}

// TestAdoptBadTag: an image that was set by a tag has the tag's mark, whatever digest its pods report.
func TestAdoptBadTag(t *testing.T) {
	in(t, func(w *world) {
		w.settled()
		bad := deploys.Version{Digest: deploystest.Digest("bad"), Tag: "fff0000", Repository: deploystest.Repo + "api"}
		must(t, w.db.Write(w.Context(), func(tx *sqlite.Tx) error { return deploys.MarkBad(w.Context(), tx, api, bad, "leaks", marta) }))
		w.set(imageF)
		w.complete(api)
		w.settled()
		req := w.adoptOf()
		req.Reason = ""
		w.refused(req, errs.Invalid, "fff0000 was marked as bad by marta")
		req.Reason = "it was only the probe"
		if d := w.deploy(req); d.Status != deploys.Succeeded {
			t.Errorf("%s %s", d.Status, d.Sentence)
		}
	})
}

// TestAdoptDuringDeploy: a deploy under way decides by itself what runs.
func TestAdoptDuringDeploy(t *testing.T) {
	in(t, func(w *world) {
		w.settled()
		w.set(imageF)
		w.complete(api)
		w.settled()
		w.deploy(deployOf(api, "abc1234"))
		w.cluster.Update(api, func(r *deploys.Rollout) { deploystest.Complete(r, time.Now()) })
		w.refused(w.adoptOf(), errs.Conflict, "is being deployed already")
	})
}

// TestRestore brings back exactly the image strings of the last known good.
func TestRestore(t *testing.T) {
	restore := func(w *world) deploys.Deploy {
		back, v, ok, err := w.svc.KnownGood(w.Context(), api)
		must(w, err)
		if !ok {
			w.Fatal("nothing is known to restore")
		}
		d := w.deploy(deploys.Request{Target: api, Return: &back, Seen: deploys.Seen{To: v.ID()}, Actor: ana})
		w.complete(api)
		w.settled()
		return w.get(d.ID)
	}
	t.Run("what ran before the portal", func(t *testing.T) {
		in(t, func(w *world) {
			w.settled()
			w.set(imageF)
			w.settled()
			w.set(imageE) // and again: what was good is what ran before the first
			w.settled()
			d := restore(w)
			if d.Status != deploys.Succeeded || d.Kind != deploys.KindRollback || d.To.Images["api"] != firstImage() {
				t.Errorf("%s %s to %v", d.Status, d.Sentence, d.To.Images)
			}
			if _, open := w.undecided(); open {
				t.Error("still open")
			}
			w.pair(d.ID, audit.DeploySucceeded)
			w.recorded("0000001>fff0000", "fff0000>eee0000")
		})
	})
	t.Run("the last deploy, not a failed one", func(t *testing.T) {
		in(t, func(w *world) {
			good := w.deploy(deployOf(api, "abc1234"))
			w.complete(api)
			w.settled()
			w.set(imageF)
			w.settled()
			if d := restore(w); d.RollbackOf != good.ID || d.To.Images["api"] != good.To.Images["api"] || d.Status != deploys.Succeeded {
				t.Errorf("%s of %d to %v", d.Status, d.RollbackOf, d.To.Images)
			}
		})
	})
	t.Run("never what was not healthy", func(t *testing.T) {
		in(t, func(w *world) {
			w.stop()
			ill := deploys.Target{App: "ill", Env: "prod"}
			w.cluster = deploystest.NewCluster(time.Now, ill)
			w.cluster.Update(ill, func(r *deploys.Rollout) { r.Available = 0 })
			w.start(nil)
			w.settled()
			w.cluster.SetImage(ill, "ill", imageF)
			w.settled()
			if _, v, ok, err := w.svc.KnownGood(w.Context(), ill); ok || err != nil {
				t.Errorf("restores %v, %v", v, err)
			}
			w.refused(deploys.Request{Target: ill, Return: &deploys.ReturnTo{Change: 1}, Actor: ana}, errs.Invalid, "not seen healthy")
			w.refused(deploys.Request{Target: ill, Return: &deploys.ReturnTo{Change: 9}, Actor: ana}, errs.NotFound, "no outside change 9")
		})
	})
}

// TestOutsideOfAFoundApp: where apps are found in the cluster, one that is deleted is none any more, and is recorded.
func TestOutsideOfAFoundApp(t *testing.T) {
	in(t, func(w *world) {
		w.settled()
		w.cluster.Forget(api)
		w.cluster.Update(api, gone)
		w.settled()
		w.recorded("The Deployment api was deleted")
	})
}

// TestRanAtOutside tells what ran at a time with the changes that no deploy made.
func TestRanAtOutside(t *testing.T) {
	in(t, func(w *world) {
		w.settled()
		before := time.Now()
		w.settle(time.Minute)
		w.set(imageF)
		w.settle(time.Minute)
		after := time.Now()
		w.settle(time.Minute)
		w.deploy(deployOf(api, "abc1234"))
		w.complete(api)
		w.settled()
		for at, want := range map[time.Time]string{before: first, after: "fff0000", time.Now(): "abc1234"} {
			ran, err := w.svc.RanAt(w.Context(), at)
			must(t, err)
			if len(ran) != 1 || ran[0].Version.Tag != want {
				t.Errorf("at %s ran %+v, want %s", at, ran, want)
			}
		}
	})
}
