package deploys_test

import (
	"strings"
	"testing"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/deploys"
	"deployportal/internal/deploys/deploystest"
	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

// bad marks an image of api.
func (w *world) bad(tag string) {
	w.Helper()
	must(w, w.db.Write(w.Context(), func(tx *sqlite.Tx) error {
		return deploys.MarkBad(w.Context(), tx, api, deploys.Version{Digest: deploystest.Digest(tag), Tag: tag, Repository: deploystest.Repo + "api"}, "leaks", ana)
	}))
}

// A restart that fails brought no image: nothing is taken back by itself, and nothing is marked.
func TestFailedRestartIsHeld(t *testing.T) {
	in(t, func(w *world) {
		d := w.deploy(restartOf(api))
		w.settle(11 * time.Minute)
		d = w.get(d.ID)
		if d.Status != deploys.Failed || d.Note != "Not rolled back by itself: a restart brings no image, so there is none to take back." {
			t.Errorf("%s, note %q", d.Status, d.Note)
		}
		if len(w.cluster.Applied()) != 1 || len(w.marks()) != 0 {
			t.Errorf("%d patches, marks %+v", len(w.cluster.Applied()), w.marks())
		}
	})
}

// A lock keeps a restart out. To adopt sends nothing, so it stops that no more than a person who says why and restores.
func TestLockAndChanges(t *testing.T) {
	in(t, func(w *world) {
		w.settled()
		w.lock(deploys.Scope(api), 0)
		w.refused(restartOf(api), errs.Conflict, "api in prod is locked by ana")
		w.set(imageF)
		w.complete(api)
		w.settled()
		back, _, ok, err := w.svc.KnownGood(w.Context(), api)
		must(t, err)
		if !ok {
			t.Fatal("nothing to restore")
		}
		w.refused(deploys.Request{Target: api, Return: &back, Actor: ana}, errs.Invalid, "A rollback passes the lock only with a reason")
		if d := w.deploy(w.adoptOf()); d.Status != deploys.Succeeded {
			t.Errorf("adopted: %s %s", d.Status, d.Sentence)
		}
	})
}

// Nothing goes back to what is marked as bad, however it is asked, and all ways agree on what is good instead.
func TestGoodIsNeverMarked(t *testing.T) {
	in(t, func(w *world) {
		w.settled()
		var newest deploys.Deploy
		for _, tag := range []string{"abc1234", "def5678"} {
			newest = w.deploy(deployOf(api, tag))
			w.complete(api)
			w.settled()
		}
		w.set(imageF)
		w.settled()
		goesTo := func(want string) {
			t.Helper()
			_, known, ok, err := w.svc.KnownGood(w.Context(), api)
			must(t, err)
			if !ok || known.Tag != want {
				t.Errorf("restoring brings %q, want %q", known.Tag, want)
			}
		}
		goesTo("def5678")
		w.bad("def5678")
		goesTo("abc1234")
		w.bad("abc1234")
		goesTo(first)
		_, last, ok, err := w.svc.LastGood(w.Context(), w.get(newest.ID))
		must(t, err)
		if !ok || last.Tag != first {
			t.Errorf("a rollback brings %q, want %q", last.Tag, first)
		}
		w.bad(first)
		if _, v, ok, err := w.svc.KnownGood(w.Context(), api); ok || err != nil {
			t.Errorf("restoring brings %q, %v", v.Tag, err)
		}
	})
	t.Run("after a restart", func(t *testing.T) {
		in(t, func(w *world) {
			w.deploy(deployOf(api, "abc1234"))
			w.complete(api)
			w.settled()
			w.bad("abc1234")
			req := restartOf(api)
			req.Reason = ""
			w.refused(req, errs.Invalid, "abc1234 was marked as bad")
			req.Reason = "it serves until there is a better one"
			d := w.deploy(req)
			if _, v, ok, err := w.svc.LastGood(w.Context(), d); err != nil || !ok || v.Tag != first {
				t.Errorf("a rollback brings %q, %v", v.Tag, err)
			}
		})
	})
}

// When what a rollback brings back has run, by whatever it ended.
func TestRanWellUntilAChange(t *testing.T) {
	in(t, func(w *world) {
		w.settled()
		d := w.deploy(deployOf(api, "abc1234"))
		w.complete(api)
		w.settled()
		w.deploy(restartOf(api))
		w.complete(api)
		w.settled()
		from, to, err := w.svc.RanWell(w.Context(), api, deploys.ReturnTo{Deploy: d.ID})
		must(t, err)
		if !from.Equal(w.get(d.ID).Finished) || !to.IsZero() {
			t.Errorf("while it runs: %s to %s", from, to)
		}
		changed := time.Now()
		w.set(imageF)
		w.settled()
		if from, to, err = w.svc.RanWell(w.Context(), api, deploys.ReturnTo{Deploy: d.ID}); err != nil || from.IsZero() || !to.Equal(changed) {
			t.Errorf("until the change at %s: %s to %s, %v", changed, from, to, err)
		}
		if from, to, err = w.svc.RanWell(w.Context(), api, deploys.ReturnTo{Change: w.changes()[0].ID}); err != nil || !from.IsZero() || !to.Equal(changed) {
			t.Errorf("before the change at %s: %s to %s, %v", changed, from, to, err)
		}
	})
}

// Somebody acts between a failure and the rollback that answers it: that ends the rollback, its entry is the record, and
// what was brought waits for a decision.
func TestChangeBeforeTheAnswer(t *testing.T) {
	in(t, func(w *world) {
		w.settled()
		w.stop()
		w.start(func(p string) bool { return p == "answered" })
		bad := w.fail("abc1234")
		w.stop()
		w.set(imageF)
		w.start(nil)
		w.settled()
		back := w.get(bad.ID + 1)
		if back.Status != deploys.Superseded || !strings.Contains(back.Sentence, "before this automatic rollback began") {
			t.Fatalf("%s %s", back.Status, back.Sentence)
		}
		w.recorded()
		all := w.changes()
		if len(all) != 1 || all[0].Deploy != back.ID || all[0].From.Tag != "abc1234" || all[0].To.Tag != "fff0000" {
			t.Fatalf("changes: %+v", all)
		}
		if end := w.entries(audit.Filter{DeployID: back.ID, Limit: 1})[0]; end.Seq != all[0].Seq {
			t.Errorf("the change tells of entry %d, the rollback ended with %d", all[0].Seq, end.Seq)
		}
		if _, open := w.undecided(); !open {
			t.Error("nobody is asked")
		}
		for name, way := range map[string]func() (deploys.Version, error){
			"restoring": func() (deploys.Version, error) { _, v, _, err := w.svc.KnownGood(w.Context(), api); return v, err },
			"a rollback": func() (deploys.Version, error) {
				_, v, err := w.svc.WayBack(w.Context(), api, all[0].To)
				return v, err
			},
			"the rollback's page": func() (deploys.Version, error) { _, v, err := w.svc.BackBefore(w.Context(), back); return v, err },
		} {
			if v, err := way(); err != nil || v.Tag != first {
				t.Errorf("%s brings %q, %v", name, v.Tag, err)
			}
		}
	})
}
