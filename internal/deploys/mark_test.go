package deploys_test

import (
	"testing"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/auth"
	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// manual gives w a portal that leaves failures to people.
func (w *world) manual() {
	w.stop()
	w.options = func(o *deploys.Options) { o.Hold = []string{"prod"} }
	w.start(nil)
}

func (w *world) marks() []deploys.BadImage {
	w.Helper()
	list, err := w.svc.BadImages(w.Context())
	must(w, err)
	return list
}

func back(to deploys.Deploy, before bool) deploys.Request {
	return deploys.Request{Target: api, Return: &deploys.ReturnTo{Deploy: to.ID, Before: before}, Actor: ana, MarkBad: true, LockTarget: true}
}

// A rollback from a failure marks and locks with the failure's own words where nobody typed any.
func TestRollbackMarksAndLocks(t *testing.T) {
	in(t, func(w *world) {
		w.manual()
		bad := w.fail("abc1234")
		d := w.deploy(back(bad, true))
		if d.Status != deploys.Running {
			t.Fatalf("%s %s", d.Status, d.Sentence)
		}
		marks, locks := w.marks(), w.locks()
		if len(marks) != 1 || marks[0].Digest != bad.To.Digest || marks[0].Tag != "abc1234" || marks[0].Reason != bad.WhyBad() || marks[0].ActorName != "ana" || marks[0].Target != api {
			t.Errorf("marks %+v", marks)
		}
		if len(locks) != 1 || locks[0].Scope != deploys.Scope(api) || locks[0].Reason != bad.WhyBad() || !locks[0].Expires.IsZero() {
			t.Errorf("locks %+v", locks)
		}
		if got := w.actions(audit.Filter{Limit: 3}); got != "lock.created image.marked_bad deploy.requested" {
			t.Errorf("entries %s", got)
		}
		w.complete(api)
		w.settle(11 * time.Second)
		w.pair(d.ID, audit.DeploySucceeded)
		must(t, w.svc.Unlock(w.Context(), ana, locks[0].ID))
		again := deployOf(api, "abc1234")
		again.Reason = " "
		w.refused(again, errs.Invalid, "abc1234 was marked as bad by ana at 2000-01-01 00:11 UTC: “Deploy 1 failed: ")
		again.Image = bad.To.Digest
		w.refused(again, errs.Invalid, "was marked as bad")

		is(t, clearBy(w, vera, marks[0].ID), errs.Forbidden, "vera may not deploy in prod")
		elsewhere := ana
		elsewhere.Grants = []auth.Grant{{Role: auth.Admin, Env: "staging"}}
		is(t, clearBy(w, elsewhere, marks[0].ID), errs.Forbidden, "only who may deploy where the image was marked")
		is(t, clearBy(w, ana, 999), errs.NotFound, "There is no mark 999")
		must(t, clearBy(w, marta, marks[0].ID))
		e := w.entries(audit.Filter{Action: "image."})
		if len(e) != 5 || e[0].Action != audit.ImageCleared || e[0].Outcome != "ok" || e[0].ToDigest != bad.To.Digest || e[1].Outcome != "refused" {
			t.Errorf("entries %+v", e)
		}
		if got := w.deploy(again); got.Status != deploys.Running {
			t.Errorf("without the mark: %s", got.Status)
		}
	})
}

func clearBy(w *world, by auth.Actor, id int64) error {
	_, err := w.svc.ClearImage(w.Context(), by, id)
	return err
}

// Of what ran well nobody but a person knows why it is bad.
func TestMarkNeedsAReason(t *testing.T) {
	in(t, func(w *world) {
		d := w.deploy(deployOf(api, "abc1234"))
		w.complete(api)
		w.settle(11 * time.Second)
		req := back(d, true)
		w.refused(req, errs.Invalid, "Say why: the reason stands wherever the image is listed")
		req.MarkBad = false
		w.refused(req, errs.Invalid, "Say why")
		req.MarkBad, req.LockTarget, req.Reason = true, false, "prices are wrong"
		if got := w.deploy(req); got.Status != deploys.Running || len(w.marks()) != 1 || w.marks()[0].Reason != "prices are wrong" || len(w.locks()) != 0 {
			t.Errorf("%s, marks %+v, locks %+v", got.Status, w.marks(), w.locks())
		}
	})
}

// While it hangs, what stands in its way is the reason, and the way back is at once.
func TestMarkWhileItHangs(t *testing.T) {
	in(t, func(w *world) {
		hung := w.deploy(deployOf(api, "abc1234"))
		w.settle(time.Minute)
		req := back(hung, true)
		req.Replaces = hung.ID
		if d := w.deploy(req); d.Status != deploys.Running || len(w.marks()) != 1 || w.marks()[0].Reason != "Deploy 1 was rolled back before it was over" {
			t.Errorf("%s, marks %+v", d.Status, w.marks())
		}
	})
}

// A lock that stands is kept, its owner's and with its reason; but the tick says until somebody unlocks it, so that holds.
func TestLockOutlastsItsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		lasts   time.Duration
		entries string // newest first
		detail  string
	}{
		"until a time": {time.Hour, "lock.created deploy.requested lock.created", "The lock of ana, which was to stand until 2000-01-01 01:11 UTC, now stands until somebody unlocks it."},
		"for good":     {0, "deploy.requested lock.created deploy.failed", ""},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				w.manual()
				bad := w.fail("abc1234")
				l := w.lock(deploys.Scope(api), c.lasts)
				req := back(bad, true)
				req.Actor, req.Reason, req.MarkBad = marta, "once more", false
				d := w.deploy(req)
				if got := w.actions(audit.Filter{Limit: 3}); got != c.entries {
					t.Errorf("entries %s", got)
				}
				if e := w.entries(audit.Filter{Limit: 1})[0]; c.detail != "" && (e.Detail != c.detail || e.Reason != "once more" || e.Actor.Name != "marta" || e.App != "api" || e.Outcome != "ok") {
					t.Errorf("entry %+v", e)
				}
				w.complete(api)
				w.settle(2 * time.Hour)
				list := w.locks()
				if len(list) != 1 || list[0].ID != l.ID || list[0].OwnerName != "ana" || list[0].Reason != l.Reason || !list[0].Expires.IsZero() {
					t.Errorf("locks %+v", list)
				}
				w.pair(d.ID, audit.DeploySucceeded)
			})
		})
	}
}

// noLocks is a policy that lets nobody lock.
type noLocks struct{ auth.Policy }

func (p noLocks) Allow(by auth.Actor, action auth.Action, env string) error {
	if action == auth.Lock {
		return errs.New(errs.Forbidden, "%s may not lock.", by.Name)
	}
	return p.Policy.Allow(by, action, env)
}

// The tick that locks asks for the right to lock, as any lock does.
func TestTheTickNeedsTheRightToLock(t *testing.T) {
	in(t, func(w *world) {
		w.stop()
		w.options = func(o *deploys.Options) { o.Policy, o.Hold = noLocks{}, []string{"prod"} }
		w.start(nil)
		req := back(w.fail("abc1234"), true)
		w.refused(req, errs.Forbidden, "ana may not lock.")
		req.LockTarget = false
		if d := w.deploy(req); d.Status != deploys.Running || len(w.locks()) != 0 {
			t.Errorf("%s, locks %+v", d.Status, w.locks())
		}
	})
}

// The way back leads past images that are marked as bad.
func TestLastGoodSkipsMarked(t *testing.T) {
	in(t, func(w *world) {
		for _, tag := range []string{"abc1234", "def5678"} {
			w.deploy(deployOf(api, tag))
			w.complete(api)
			w.settle(11 * time.Second)
		}
		w.deploy(deploys.Request{Target: api, Return: &deploys.ReturnTo{Deploy: 1}, Actor: ana, MarkBad: true, Reason: "leaks"})
		w.complete(api)
		w.settle(11 * time.Second)
		last := w.get(3)
		if ret, v, ok, err := w.svc.LastGood(w.Context(), last); err != nil || !ok || v.Tag != "0000001" || ret != (deploys.ReturnTo{Deploy: 1, Before: true}) {
			t.Errorf("back to %+v %s %t %v", ret, v.Tag, ok, err)
		}
		w.refused(deploys.Request{Target: api, Return: &deploys.ReturnTo{Deploy: 2}, Actor: ana}, errs.Invalid, "def5678 was marked as bad by ana")
	})
}

// A rollback that was never sent leaves the way back as it was: not past the image that it was to bring.
func TestLastGoodAfterWhatWasNeverSent(t *testing.T) {
	in(t, func(w *world) {
		w.manual()
		for _, tag := range []string{"abc1234", "def5678"} {
			w.deploy(deployOf(api, tag))
			w.complete(api)
			w.settle(11 * time.Second)
		}
		failed := w.fail("9999999")
		req := back(failed, true)
		req.LockTarget = false
		id := w.crashedIn(req, "pending")
		w.start(nil)
		w.settle(time.Second)
		never := w.get(id)
		if never.Status != deploys.Errored || never.To.Tag != "def5678" {
			t.Fatalf("%s to %s", never.Status, never.To.Tag)
		}
		ret, v, ok, err := w.svc.LastGood(w.Context(), never)
		if err != nil || !ok || v.Tag != "def5678" || ret != (deploys.ReturnTo{Deploy: failed.ID, Before: true}) {
			t.Errorf("after a rollback that was never sent: back to %+v %s %t %v", ret, v.Tag, ok, err)
		}
		w.deploy(deploys.Request{Target: api, Return: &ret, Actor: ana})
		w.complete(api)
		w.settle(11 * time.Second)
		id = w.crashedIn(restartOf(api), "pending")
		w.start(nil)
		w.settle(time.Second)
		if _, v, ok, err := w.svc.LastGood(w.Context(), w.get(id)); err != nil || !ok || v.Tag != "abc1234" {
			t.Errorf("after a restart that was never sent: back to %s %t %v", v.Tag, ok, err)
		}
	})
}

// What a rollback returns to is known with its time.
func TestRanWell(t *testing.T) {
	in(t, func(w *world) {
		began := time.Now()
		w.deploy(deployOf(api, "abc1234"))
		w.complete(api)
		w.settle(time.Hour)
		w.deploy(deployOf(api, "def5678"))
		w.complete(api)
		w.settle(time.Hour)
		for _, c := range []struct {
			back     deploys.ReturnTo
			from, to time.Time
		}{
			{deploys.ReturnTo{Deploy: 1, Before: true}, time.Time{}, began},
			{deploys.ReturnTo{Deploy: 1}, began.Add(10 * time.Second), began.Add(time.Hour)},
			{deploys.ReturnTo{Deploy: 2, Before: true}, began.Add(10 * time.Second), began.Add(time.Hour)},
			{deploys.ReturnTo{Deploy: 2}, began.Add(time.Hour + 10*time.Second), time.Time{}},
		} {
			from, to, err := w.svc.RanWell(w.Context(), api, c.back)
			if err != nil || from.Sub(c.from).Abs() > time.Second || to.Sub(c.to).Abs() > time.Second {
				t.Errorf("%+v ran from %s to %s, %v", c.back, from, to, err)
			}
		}
	})
}
