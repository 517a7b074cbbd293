package gitea

import (
	"fmt"
	"testing"
	"time"

	"deployportal/internal/errs"
	"deployportal/internal/gitea/giteatest"
)

func TestCommitIsAskedOnce(t *testing.T) {
	w := newWorld(t)
	w.history(5)
	if _, ok := w.CachedCommit("acme/api", sha(2)); ok {
		t.Error("known before it was asked")
	}
	c, err := w.Commit(t.Context(), "acme/api", sha(2)[:9])
	if err != nil || c.SHA != sha(2) || c.Subject != "Change 2" || c.Author != "Ana Duarte" || c.At.IsZero() || c.URL == "" {
		t.Fatalf("commit %+v, %v", c, err)
	}
	w.calls()
	if again, err := w.Commit(t.Context(), "acme/api", sha(2)); err != nil || again != c {
		t.Errorf("again %+v, %v", again, err)
	}
	if cached, ok := w.CachedCommit("acme/api", sha(2)[:7]); !ok || cached != c {
		t.Errorf("cached %+v %v", cached, ok)
	}
	w.wantCalls(t, 0)
	if _, ok := w.CachedCommit("acme/admin", sha(2)); ok {
		t.Error("known in another repository")
	}
}

func TestUnknownCommitIsAskedAgainLater(t *testing.T) {
	w := newWorld(t)
	w.history(1)
	ask := func() error { _, err := w.Commit(t.Context(), "acme/api", sha(7)); return err }
	wantFault(t, ask(), errs.NotFound, "Gitea has no commit "+sha(7)[:7]+" in acme/api.")
	wantFault(t, ask(), errs.NotFound, "Gitea has no commit")
	w.wantCalls(t, 1)
	w.clock.add(unknownFor + time.Second)
	w.history(8)
	if err := ask(); err != nil {
		t.Errorf("after it was pushed: %v", err)
	}
	_, err := w.Commit(t.Context(), "acme/api", "latest")
	wantFault(t, err, errs.Invalid, "does not name a commit")
	_, err = w.Commit(t.Context(), "acme", sha(1))
	wantFault(t, err, errs.Invalid, "is not a git repository")
}

func TestTagsThatNameNoCommitCostLittle(t *testing.T) {
	w := newWorld(t)
	w.history(2)
	for i := range 12 {
		w.clock.add(time.Second)
		w.fake.PushImage("acme/api", fmt.Sprintf("feed%03d", i), giteatest.Image{})
	}
	for range 3 { // 12 unknown tags, 5 look-ups a time
		w.Refresh(t.Context(), w.app)
	}
	w.calls()
	w.Refresh(t.Context(), w.app)
	w.wantCalls(t, 1)
}

func TestTagsOffThePageAreLookedUp(t *testing.T) {
	w := newWorld(t)
	w.history(80)
	for _, i := range []int{0, 1, 78, 79} {
		w.clock.add(time.Second)
		w.fake.PushImage("acme/api", sha(i)[:8], giteatest.Image{})
	}
	for _, i := range w.Refresh(t.Context(), w.app).Images {
		if i.Commit.SHA == "" {
			t.Errorf("%s has no commit", i.Tag)
		}
	}
	w.wantCalls(t, 4) // packages, one page of 50, and the two behind it
}

func TestRange(t *testing.T) {
	w := newWorld(t)
	w.history(60)
	side := fmt.Sprintf("%040x", 0xabcdef)
	w.fake.AddRepo("acme", "api", giteatest.Commit{SHA: side, Message: "Aside", Parent: sha(56)})
	for _, c := range []struct {
		name                 string
		from, to             string
		total, ahead, behind int
	}{
		{"forward", sha(57), sha(59), 2, 2, 0},
		{"far forward", sha(0), sha(59), 59, 50, 0},
		{"backward", sha(59), sha(57), 0, 0, 2},
		{"diverged", sha(59), side, 1, 1, 3},
		{"same", sha(3), sha(3), 0, 0, 0},
	} {
		r, err := w.Range(t.Context(), "acme/api", c.from, c.to)
		if err != nil || r.Total != c.total || len(r.Ahead) != c.ahead || r.Behind != c.behind {
			t.Errorf("%s: %d of %d ahead, %d behind, %v; want %d of %d, %d", c.name, len(r.Ahead), r.Total, r.Behind, err, c.ahead, c.total, c.behind)
		}
		if c.ahead > 0 && r.Ahead[0].SHA != c.to {
			t.Errorf("%s begins with %s, want the newest", c.name, r.Ahead[0].SHA)
		}
	}
	w.calls()
	if _, err := w.Range(t.Context(), "acme/api", sha(57), sha(59)); err != nil {
		t.Error(err)
	}
	w.wantCalls(t, 0)
	_, err := w.Range(t.Context(), "acme/api", "0123456", sha(1))
	wantFault(t, err, errs.NotFound, "Gitea has no commit 0123456 in acme/api.")
	_, err = w.Range(t.Context(), "acme/api", sha(1), "0123456")
	wantFault(t, err, errs.NotFound, "Gitea has no commit 0123456 in acme/api.")
	w.fake.SetDown(true)
	_, err = w.Range(t.Context(), "acme/api", sha(1), sha(2))
	wantFault(t, err, errs.Unavailable, "cannot be reached")
}

func TestTwoCommitsOfOneShortName(t *testing.T) {
	s := newCommits(10)
	var first apiCommit
	first.SHA = "abcdef1" + sha(1)[7:]
	second := first
	second.SHA = "abcdef1" + sha(2)[7:]
	s.add("acme/api", first.commit())
	s.add("acme/api", first.commit())
	if _, ok := s.find("acme/api", "abcdef1"); !ok {
		t.Error("one commit, told twice, is not found")
	}
	s.add("acme/api", second.commit())
	if c, ok := s.find("acme/api", "abcdef1"); ok {
		t.Errorf("two answer to it, and %s was chosen", c.SHA)
	}
	if c, ok := s.find("acme/api", second.SHA); !ok || c.SHA != second.SHA {
		t.Error("the whole name does not tell them apart")
	}
}
