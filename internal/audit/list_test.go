package audit_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"deployportal/internal/audit"
	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

// matches is what a filter means, said without SQL.
func matches(f audit.Filter, e audit.Entry) bool {
	sha := strings.TrimPrefix(strings.ToLower(f.SHA), "sha256:")
	tag := func(s string) bool { return s != "" && (strings.HasPrefix(s, sha) || strings.HasPrefix(s, f.SHA)) }
	digest := func(s string) bool { return s != "" && strings.HasPrefix(s, "sha256:"+sha) }
	action := f.Action == "" || e.Action == f.Action || strings.HasSuffix(f.Action, ".") && strings.HasPrefix(e.Action, f.Action)
	return (f.App == "" || e.App == f.App) && (f.Env == "" || e.Env == f.Env) && (f.Envs == nil || slices.Contains(f.Envs, e.Env)) &&
		(f.Actor == "" || e.Actor.Name == f.Actor) && action && (f.Outcome == "" || e.Outcome == f.Outcome) &&
		(f.SHA == "" || tag(e.FromTag) || tag(e.ToTag) || digest(e.FromDigest) || digest(e.ToDigest)) &&
		(f.From.IsZero() || !e.At.Before(f.From)) && (f.To.IsZero() || e.At.Before(f.To)) &&
		(f.DeployID == 0 || e.DeployID == f.DeployID) && (f.Before == 0 || e.Seq < f.Before)
}

var (
	apps     = []string{"api", "admin", "a%", "a_i", "*"}
	envs     = []string{"prod", "staging", "p%", "pro_"}
	actors   = []string{"ana", "bo", "an%", "' OR 1=1 --"}
	kinds    = []string{audit.DeployRequested, audit.DeploySucceeded, audit.DeployFailed, audit.SignedIn, "deploys.x", "deploy"}
	outcomes = []string{"", "ok", "succeeded", "failed"}
	tags     = []string{"", "abc1234", "abc1299", "ABC1234", "def5678", "%%%", "a_c"}
	digests  = []string{"", "sha256:abc1234000", "sha256:99abc", "sha256:%"}
	start    = time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)
)

// mixed makes a log of every mixture, by a clock that now and then is set back or far ahead.
func mixed(t testing.TB, n int) (*sqlite.DB, []audit.Entry) {
	t.Helper()
	random := rand.New(rand.NewPCG(11, 12))
	at := start
	db := logAt(t, "", func() time.Time { return at })
	var out []audit.Entry
	must(t, db.Write(ctx, func(tx *sqlite.Tx) error {
		for i := range n {
			switch at = at.Add(20 * time.Minute); random.IntN(20) {
			case 0:
				at = at.Add(-9 * time.Hour)
			case 1:
				at = at.Add(-48 * time.Hour)
			}
			tx.Now = sqlite.Time{Time: at}
			if i == n/2 { // one entry from a clock that was a year ahead
				tx.Now = sqlite.Time{Time: at.AddDate(1, 0, 0)}
			}
			one := func(list []string) string { return list[random.IntN(len(list))] }
			e := audit.Entry{Actor: ana(), Action: one(kinds), App: one(apps), Env: one(envs), DeployID: random.Int64N(5), Outcome: one(outcomes),
				FromTag: one(tags), FromDigest: one(digests), ToTag: one(tags), ToDigest: one(digests)}
			e.Actor.Name = one(actors)
			if strings.HasPrefix(e.Action, "user.") {
				e.App, e.Env = "", ""
			}
			e, err := audit.Append(ctx, tx, e)
			if err != nil {
				return err
			}
			out = append(out, e)
		}
		return nil
	}))
	slices.Reverse(out)
	return db, out
}

// TestFilters compares every page with what the filter means.
func TestFilters(t *testing.T) {
	db, all := mixed(t, 600)
	maybe := func(t *rapid.T, name string, list ...string) string {
		if rapid.IntRange(0, 2).Draw(t, "with "+name) > 0 {
			return ""
		}
		return rapid.SampledFrom(append(list, "none")).Draw(t, name)
	}
	when := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.IntRange(0, 2).Draw(t, "with time") > 0 {
			return time.Time{}
		}
		if rapid.Bool().Draw(t, "exact") {
			return rapid.SampledFrom(all).Draw(t, "entry").At
		}
		return start.Add(time.Duration(rapid.IntRange(-100, 500).Draw(t, "hours")) * time.Hour)
	})
	rapid.Check(t, func(t *rapid.T) {
		f := audit.Filter{App: maybe(t, "app", apps...), Env: maybe(t, "env", envs...), Actor: maybe(t, "actor", actors...),
			Action: maybe(t, "action", append([]string{"deploy.", "user.", "dep.", "deploy", "."}, kinds...)...), Outcome: maybe(t, "outcome", outcomes...),
			SHA:  maybe(t, "sha", "abc", "ABC1234", "sha256:abc", "SHA256:ABC1", "abc1234", "%%%", "%b%", "a_c", "99a", "def5678", "sha256:99a", "bc1234"),
			From: when.Draw(t, "from"), To: when.Draw(t, "to"), Limit: rapid.SampledFrom([]int{0, 1, 3, 50, 1000, 1001, -1}).Draw(t, "limit")}
		switch rapid.IntRange(0, 5).Draw(t, "envs") {
		case 0:
			f.Envs = []string{}
		case 1:
			f.Envs = []string{"prod", "p%", "prod"}
		case 2:
			f.Envs = []string{"staging", ""}
		}
		if rapid.IntRange(0, 5).Draw(t, "with deploy") == 0 {
			f.DeployID = rapid.Int64Range(1, 6).Draw(t, "deploy")
		}
		if rapid.IntRange(0, 3).Draw(t, "with before") == 0 {
			f.Before = rapid.Int64Range(1, 700).Draw(t, "before")
		}
		limit := f.Limit
		if limit <= 0 || limit > 1000 {
			limit = 50
		}
		var want []audit.Entry
		for _, e := range all {
			if matches(f, e) && len(want) < limit {
				want = append(want, e)
			}
		}
		got, err := audit.List(ctx, db, f)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%+v: %s", f, diff)
		}
	})
}

func TestShortSHA(t *testing.T) {
	db := newLog(t, "")
	for _, sha := range []string{"a", "ab", "sha256:", "sha256:ab", "SHA256:ab"} {
		_, err := audit.List(ctx, db, audit.Filter{SHA: sha})
		if errs.KindOf(err) != errs.Invalid || errs.Public(err) != "Give at least 3 characters of the tag or digest to look for." {
			t.Errorf("%q: %v", sha, err)
		}
	}
}

// onceAfter appends an entry of another lane after every query that a reader sends.
type onceAfter struct {
	*sqlite.DB
	then func()
}

func (q onceAfter) Query(c context.Context, query string, args ...any) (*sql.Rows, error) {
	defer q.then()
	return q.DB.Query(c, query, args...)
}

func (q onceAfter) QueryRow(c context.Context, query string, args ...any) *sql.Row {
	defer q.then()
	return q.DB.QueryRow(c, query, args...)
}

// TestPaging: pages show every entry exactly once, in order, though entries are appended between and inside of pages.
func TestPaging(t *testing.T) {
	for name, f := range map[string]audit.Filter{"all": {}, "lanes": {Envs: []string{"prod", "staging"}}, "actor": {Actor: "ana"}, "sha": {SHA: "abc"}, "period": {From: start}} {
		t.Run(name, func(t *testing.T) {
			db, all := mixed(t, 120)
			n := 0
			q := onceAfter{db, func() {
				n++
				add(t, db, audit.Entry{Actor: ana(), Action: kinds[n%3], App: "api", Env: envs[n%2], ToTag: "abc1234"})
			}}
			seen := map[int64]bool{}
			last, first := int64(0), int64(0)
			for f.Limit = 7; ; f.Before = last {
				page, err := audit.List(ctx, q, f)
				must(t, err)
				for _, e := range page {
					if seen[e.Seq] || last > 0 && e.Seq >= last {
						t.Fatalf("entry %d after %d", e.Seq, last)
					}
					seen[e.Seq], last, first = true, e.Seq, max(first, e.Seq)
				}
				if len(page) < f.Limit {
					break
				}
			}
			f.Before = 0
			for _, e := range all {
				if want := matches(f, e); want != seen[e.Seq] {
					t.Errorf("entry %d: shown %v", e.Seq, seen[e.Seq])
				}
			}
			f.Before, f.Limit = first+1, 1000 // also of those appended meanwhile, all up to the first that was shown
			upTo, err := audit.List(ctx, db, f)
			must(t, err)
			if len(upTo) != len(seen) {
				t.Errorf("%d entries were shown of %d", len(seen), len(upTo))
			}
		})
	}
}

// TestNoReadTransaction: a reader in the middle of a list or an export does not keep the -wal from being emptied.
func TestNoReadTransaction(t *testing.T) {
	path := filepath.Join(t.TempDir(), "portal.db")
	db := newLog(t, path)
	must(t, db.Write(ctx, func(tx *sqlite.Tx) error {
		for n := range 2500 {
			if _, err := audit.Append(ctx, tx, full(n)); err != nil {
				return err
			}
		}
		return nil
	}))
	writer, err := sql.Open("sqlite3", path)
	must(t, err)
	defer func() { must(t, writer.Close()) }()
	checks := 0
	must(t, audit.CSV(ctx, db, audit.Filter{}, writerFunc(func(p []byte) (int, error) {
		add(t, db, full(0))
		var busy, log, done int
		must(t, writer.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &log, &done))
		if busy != 0 {
			t.Error("the export holds a read transaction")
		}
		checks++
		return len(p), nil
	})))
	if wal, err := os.Stat(path + "-wal"); err != nil || wal.Size() != 0 || checks < 3 {
		t.Errorf("%v %v after %d checks", wal, err, checks)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestPlans: no filter alone reads the whole table or sorts: what is read is what is shown.
func TestPlans(t *testing.T) {
	db, all := mixed(t, 300)
	for name, f := range map[string]audit.Filter{"none": {}, "app": {App: "api"}, "env": {Env: "prod"}, "envs": {Envs: []string{"prod", "staging"}},
		"actor": {Actor: "ana"}, "action": {Action: audit.DeployFailed}, "group": {Action: "deploy."}, "outcome": {Outcome: "ok"},
		"sha": {SHA: "ABC1"}, "from": {From: start}, "to": {To: start}, "deploy": {DeployID: 3}, "before": {Before: 100},
		"app, actor": {App: "api", Actor: "ana"}, "all": {App: "api", Envs: []string{"prod"}, Actor: "ana", Action: "deploy.", Outcome: "ok", From: start, To: all[0].At},
		"sha, all": {SHA: "abc", App: "api", Env: "prod", Actor: "ana", Action: "deploy.", From: start}, "deploy, all": {DeployID: 2, App: "api", Env: "prod", Actor: "ana"}} {
		t.Run(name, func(t *testing.T) {
			p := &plans{DB: db}
			_, err := audit.List(ctx, p, f)
			must(t, err)
			if len(p.queries) < 2 {
				t.Fatalf("only %d queries are seen", len(p.queries))
			}
			for i, q := range p.queries {
				for _, step := range explain(t, db, q, p.args[i]) {
					// The newest first of the whole log, by its key, and the first of an index, are read as far as is asked for.
					fine := strings.Contains(q, "LIMIT 1 --") || name == "none"
					sorts := strings.Contains(step, "TEMP B-TREE FOR ORDER BY") && f.SHA == "" // the few of an image are sorted
					// A lane names all it asks for to the index, down to seq; what it leaves out it would look for entry by entry.
					lane := strings.Contains(q, " env = ? AND")
					short := lane && (!strings.Contains(step, "seq>? AND seq<?") || strings.Contains(q, " app = ?") != strings.Contains(step, " app=?") ||
						strings.Contains(q, "actor_name = ?") != strings.Contains(step, "actor_name=?"))
					if strings.HasPrefix(step, "SCAN audit_entries") && !fine || sorts || short {
						t.Errorf("%s\n%s", q, step)
					}
				}
			}
		})
	}
}

// plans notes the queries of a reader.
type plans struct {
	*sqlite.DB
	queries []string
	args    [][]any
}

func (p *plans) Query(c context.Context, query string, args ...any) (*sql.Rows, error) {
	p.queries, p.args = append(p.queries, query), append(p.args, args)
	return p.DB.Query(c, query, args...)
}

func (p *plans) QueryRow(c context.Context, query string, args ...any) *sql.Row {
	p.queries, p.args = append(p.queries, query), append(p.args, args)
	return p.DB.QueryRow(c, query, args...)
}

func explain(t *testing.T, db *sqlite.DB, query string, args []any) (steps []string) {
	t.Helper()
	must(t, sqlite.Each(ctx, db, func(rows *sql.Rows) error {
		var id, parent, unused int
		var step string
		err := rows.Scan(&id, &parent, &unused, &step)
		steps = append(steps, step)
		return err
	}, `EXPLAIN QUERY PLAN `+query, args...))
	if len(steps) == 0 {
		steps = []string{fmt.Sprint("SCAN audit_entries: no plan for ", query)}
	}
	return steps
}
