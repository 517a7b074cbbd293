package deploys_test

import (
	"slices"
	"testing"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// answered lists the ids of what came of a deploy.
func (w *world) answered(id int64) (ids []int64) {
	w.Helper()
	all, err := w.svc.Answers(w.Context(), w.get(id))
	must(w, err)
	for _, d := range all {
		ids = append(ids, d.ID)
	}
	return ids
}

// The same image fails twice and is rolled back by the portal each time: each failure has its own answer.
func TestAnswersOfOneImage(t *testing.T) {
	in(t, func(w *world) {
		for range 2 {
			w.fail("abc1234")
			w.complete(api)
			w.settle(11 * time.Second)
		}
		for id, want := range map[int64][]int64{1: {2}, 2: nil, 3: {4}, 4: nil} {
			if got := w.answered(id); !slices.Equal(got, want) {
				t.Errorf("deploy %d is answered by %v, want %v", id, got, want)
			}
		}
	})
}

// A rollback that goes back further names another deploy, and answers the one whose image it takes back: the newest.
func TestAnswersThatNameAnother(t *testing.T) {
	in(t, func(w *world) {
		w.manual()
		w.deploy(deployOf(api, "abc1234"))
		w.complete(api)
		w.settle(11 * time.Second)
		for _, tag := range []string{"def5678", "9999999", "def5678"} {
			w.fail(tag)
		}
		w.deploy(deploys.Request{Target: api, Return: &deploys.ReturnTo{Deploy: 1, Before: true}, Actor: ana})
		for id, want := range map[int64][]int64{1: {5}, 2: nil, 3: nil, 4: {5}} {
			if got := w.answered(id); !slices.Equal(got, want) {
				t.Errorf("deploy %d is answered by %v, want %v", id, got, want)
			}
		}
	})
}

// A rollback that was never sent says nothing of what runs: the next one still knows why that is bad, and marks it.
func TestWhyBadAfterARollbackThatWasNeverSent(t *testing.T) {
	in(t, func(w *world) {
		w.manual()
		bad := w.fail("abc1234")
		w.cluster.BeforeApply = func(deploys.Change) error {
			return errs.New(errs.Forbidden, "The portal may not patch deployments in prod.")
		}
		req := back(bad, true)
		req.MarkBad, req.LockTarget = false, false
		if d := w.get(w.deploy(req).ID); d.Status != deploys.Errored {
			t.Fatalf("%s %s", d.Status, d.Sentence)
		}
		w.cluster.BeforeApply = nil
		why, err := w.svc.WhyBad(w.Context(), api, bad.To)
		if err != nil || why != bad.WhyBad() || why == "" {
			t.Errorf("%q, want %q, %v", why, bad.WhyBad(), err)
		}
		req = back(bad, true)
		req.LockTarget = false
		if d := w.deploy(req); d.Status != deploys.Running || len(w.marks()) != 1 || w.marks()[0].Reason != why {
			t.Errorf("%s %s, marks %+v", d.Status, d.Sentence, w.marks())
		}
		if why, err := w.svc.WhyBad(w.Context(), api, deploys.Version{Digest: "sha256:another"}); why != "" || err != nil {
			t.Errorf("of an image that no deploy brought: %q %v", why, err)
		}
	})
}
