package gitea

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/gitea/giteatest"
)

func TestCI(t *testing.T) {
	w := newWorld(t)
	w.history(5)
	report := func(i int, context, state string) {
		w.fake.SetStatus("acme/api", sha(i), giteatest.Status{Context: context, State: state, TargetURL: "https://ci.example.org/" + context})
	}
	report(1, "test", "success")
	report(2, "test", "success")
	report(2, "lint", "warning")
	report(3, "test", "pending")
	report(3, "lint", "success")
	tags := []string{sha(0), sha(1), sha(2)[:8], sha(3), "v1.2.3", "0123456"}
	got, err := w.CI(t.Context(), "acme/api", tags...)
	if err != nil {
		t.Fatal(err)
	}
	for tag, want := range map[string]string{
		sha(0): "{none 0 [] [] }", sha(1): "{success 1 [] [] https://ci.example.org/test}",
		sha(2)[:8]: "{failure 2 [] [lint] https://ci.example.org/lint}", sha(3): "{pending 2 [test] [] https://ci.example.org/test}",
	} {
		if s := fmt.Sprint(got[tag]); s != want {
			t.Errorf("%s: %s, want %s", tag, s, want)
		}
	}
	if len(got) != 4 {
		t.Errorf("%d states, want none for what is no commit: %v", len(got), got)
	}
	w.wantCalls(t, 5) // the one that might be a commit is asked about
	if _, err := w.CI(t.Context(), "acme/api", tags...); err != nil {
		t.Error(err)
	}
	w.wantCalls(t, 0)
	report(3, "test", "success")
	w.clock.add(pendingFor)
	got, _ = w.CI(t.Context(), "acme/api", tags...)
	if got[sha(3)].State != deploys.CISuccess {
		t.Errorf("after the build: %v", got[sha(3)])
	}
	w.wantCalls(t, 2) // what was pending and what had no state
	if ci, ok := w.CachedCI("acme/api", sha(1)); !ok || ci.State != deploys.CISuccess {
		t.Errorf("from memory: %v %v", ci, ok)
	}
	w.fake.SetDown(true)
	w.clock.add(endedFor)
	got, err = w.CI(t.Context(), "acme/api", sha(1))
	wantFault(t, err, errs.Unavailable, "cannot be reached")
	if got[sha(1)].State != deploys.CISuccess {
		t.Error("the old state is lost")
	}
	_, err = w.client(t, token(secret+"-packages")).CI(t.Context(), "acme/api", sha(1))
	wantFault(t, err, errs.Unavailable, "cannot be reached")
	w.fake.SetDown(false)
	_, err = w.client(t, token(secret+"-packages")).CI(t.Context(), "acme/api", sha(1))
	wantFault(t, err, errs.Forbidden, "read:repository")
}

func TestCIAsksAFewAtATime(t *testing.T) {
	w := newWorld(t)
	w.history(12)
	arrived, let := hold(w.fake)
	done := make(chan map[string]deploys.CI)
	go func() {
		var tags []string
		for i := range 12 {
			tags = append(tags, sha(i))
		}
		got, _ := w.CI(t.Context(), "acme/api", tags...)
		done <- got
	}()
	for range parallel {
		waitFor(t, arrived)
	}
	if len(arrived) > 0 {
		t.Error("more calls at once than allowed")
	}
	let()
	if got := waitFor(t, done); len(got) != 12 {
		t.Errorf("%d states", len(got))
	}
}

// An app that has not changed costs one call a refresh, also when its page has asked for everything else.
func TestHistoryCostsARefreshNothing(t *testing.T) {
	w := newWorld(t)
	w.history(6)
	w.push(0, 6, giteatest.MultiArch())
	w.Refresh(t.Context(), w.app)
	all := tags(w.Cached(w.app))
	if _, err := w.CI(t.Context(), "acme/api", all...); err != nil {
		t.Error(err)
	}
	if _, err := w.Relations(t.Context(), "acme/api", sha(2), all...); err != nil {
		t.Error(err)
	}
	w.calls()
	w.Refresh(t.Context(), w.app)
	w.wantCalls(t, 1)
}

func TestRelations(t *testing.T) {
	w := newWorld(t)
	w.history(60)
	side := fmt.Sprintf("%040x", 0xabcdef0123)
	w.fake.AddRepo("acme", "api", giteatest.Commit{SHA: side, Message: "Aside", Parent: sha(53)})
	running := sha(55)
	asked := []string{sha(55), sha(54)[:7], sha(10), sha(2), sha(57), side, "latest", "0123456"}
	got, err := w.Relations(t.Context(), "acme/api", running[:8], asked...)
	if err != nil {
		t.Fatal(err)
	}
	for tag, want := range map[string]deploys.Relation{
		sha(55): {}, sha(54)[:7]: {Behind: 1}, sha(10): {Behind: 45}, sha(2): {Behind: 53}, sha(57): {Ahead: 2}, side: {Ahead: 1, Behind: 2},
	} {
		if r, ok := got[tag]; !ok || r != want {
			t.Errorf("%s: %+v %v, want %+v", tag, r, ok, want)
		}
	}
	if len(got) != 6 || got[side].Way() != deploys.WayDiverged || got[sha(57)].Way() != deploys.WayAhead ||
		got[sha(10)].Way() != deploys.WayBehind || got[sha(55)].Way() != deploys.WaySame {
		t.Errorf("%+v", got)
	}
	w.calls()
	if _, err := w.Relations(t.Context(), "acme/api", running[:8], asked...); err != nil {
		t.Error(err)
	}
	w.wantCalls(t, 0)
	_, err = w.Relations(t.Context(), "acme/api", "0123456", sha(1))
	wantFault(t, err, errs.NotFound, "0123456")
	_, err = w.Relations(t.Context(), "acme/api", "latest", sha(1))
	wantFault(t, err, errs.Invalid, "latest")
}

// Past a merge the place in the list is not the distance.
func TestBelowEndsAtAMerge(t *testing.T) {
	w := newWorld(t)
	w.history(3)
	line, err := w.below(t.Context(), "acme/api", sha(2))
	if err != nil || !slices.Equal(line, []string{sha(2), sha(1), sha(0)}) {
		t.Errorf("line %q, %v", line, err)
	}
	if i := uniquePrefix([]string{"abc1", "abc2"}, "abc"); i != -1 {
		t.Errorf("two answer to it, and number %d was chosen", i)
	}
}

func TestMigrations(t *testing.T) {
	w := newWorld(t)
	w.history(2)
	add := func(n int, parent string, files ...string) {
		c := giteatest.Commit{SHA: sha(n), Message: fmt.Sprintf("Change %d", n), Parent: parent, At: w.clock.Now()}
		for _, f := range files {
			c.Files = append(c.Files, giteatest.File{Path: f, Status: "added"})
		}
		w.fake.AddRepo("acme", "api", c)
	}
	add(100, "", "main.go", "internal/sqlite/migrations/0002.up")
	add(101, "", "db/migrate/1_users.rb", "docs/migrations.md", "schema.sql")
	add(102, sha(1), "db/seed.sql")
	touched := func(all []deploys.Touched) (s []string) {
		for _, f := range all {
			s = append(s, f.Commit.SHA[:7]+" "+f.Path)
		}
		return s
	}
	m, err := w.Migrations(t.Context(), "acme/api", sha(102), sha(101))
	if err != nil {
		t.Fatal(err)
	}
	ahead := []string{sha(101)[:7] + " db/migrate/1_users.rb", sha(101)[:7] + " schema.sql", sha(100)[:7] + " internal/sqlite/migrations/0002.up"}
	if !slices.Equal(touched(m.Ahead), ahead) || !slices.Equal(touched(m.Behind), []string{sha(102)[:7] + " db/seed.sql"}) || m.Unread != 0 {
		t.Errorf("%q, %q, %d", touched(m.Ahead), touched(m.Behind), m.Unread)
	}
	w.wantCalls(t, 2)
	m, err = w.Migrations(t.Context(), "acme/api", sha(102), sha(101), "docs/*.md")
	if err != nil || !slices.Equal(touched(m.Ahead), []string{sha(101)[:7] + " docs/migrations.md"}) || len(m.Behind) != 0 {
		t.Errorf("other patterns: %+v, %v", m, err)
	}
	w.wantCalls(t, 0)
	_, err = w.Migrations(t.Context(), "acme/api", sha(1), "0123456")
	wantFault(t, err, errs.NotFound, "0123456")
	for i := range 60 {
		add(200+i, "", "main.go")
	}
	if m, err = w.Migrations(t.Context(), "acme/api", sha(101), sha(259)); err != nil || m.Unread != 60-pageSize {
		t.Errorf("a long range: %d unread, %v", m.Unread, err)
	}
	add(103, sha(1), strings.Repeat("deep/", 200)+"late.sql")
	if m, err = w.Migrations(t.Context(), "acme/api", sha(1), sha(103)); err != nil || len(m.Ahead) != 1 || len(m.Ahead[0].Path) > 310 {
		t.Errorf("a path too long to be shown whole: %+v, %v", m, err)
	}
}

func TestRangeNamesWhatIsLost(t *testing.T) {
	w := newWorld(t)
	w.history(60)
	r, err := w.Range(t.Context(), "acme/api", sha(59), sha(57))
	if err != nil || len(r.Lost) != 2 || r.Lost[0].SHA != sha(59) || r.Way() != deploys.WayBehind {
		t.Errorf("%+v, %v", r, err)
	}
}

func FuzzMigrationPattern(f *testing.F) {
	f.Add("migrations/1.sql", "migrations/")
	f.Add("a/b.sql", "[")
	f.Fuzz(func(t *testing.T, file, pattern string) {
		if isMigration(file, pattern) && strings.HasSuffix(pattern, "/") && !strings.Contains(file, pattern) {
			t.Fatalf("%q matches %q", file, pattern)
		}
	})
}

func TestOnMain(t *testing.T) {
	w := newWorld(t)
	w.history(5)
	side := fmt.Sprintf("%040x", 0xabcdef)
	w.fake.AddRepo("acme", "api", giteatest.Commit{SHA: side, Message: "Aside", Parent: sha(2)})
	w.calls()
	for ref, want := range map[string]bool{sha(4): true, sha(0)[:8]: true, side: false} {
		branch, on, err := w.OnMain(t.Context(), "acme/api", ref)
		if err != nil || branch != "main" || on != want {
			t.Errorf("%s: %q %v %v, want %v", ref, branch, on, err, want)
		}
		w.wantCalls(t, 2)
	}
	_, _, err := w.OnMain(t.Context(), "acme/api", "0123456")
	wantFault(t, err, errs.NotFound, "Gitea has no commit 0123456 in acme/api.")
	_, _, err = w.OnMain(t.Context(), "acme/none", sha(0))
	wantFault(t, err, errs.NotFound, "Gitea has no repository acme/none.")
	_, _, err = w.OnMain(t.Context(), "acme/api", "v1")
	wantFault(t, err, errs.Invalid, "does not name a commit")
	w.fake.SetDown(true)
	_, _, err = w.OnMain(t.Context(), "acme/api", sha(0))
	wantFault(t, err, errs.Unavailable, "cannot be reached")
}
