package audit_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"deployportal/internal/audit"
	"deployportal/internal/errs"
	"deployportal/internal/foreign"
	"deployportal/internal/foreign/foreigntest"
	"deployportal/internal/sqlite"
)

func TestAppend(t *testing.T) {
	db := newLog(t, "")
	want := full(0)
	got := add(t, db, want)
	want.Seq, want.At, want.Prev = 1, got.At, strings.Repeat("0", 64)
	want.Hash = audit.Sum(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	stored, err := audit.Get(ctx, db, 1)
	must(t, err)
	if diff := cmp.Diff(got, stored); diff != "" {
		t.Errorf("what Append gave is not what Get gives: %s", diff)
	}
	// Neither seq, nor hashes, nor time are the caller's to choose; a count is at least one.
	forged := audit.Entry{Seq: 77, Prev: "x", Hash: "y", At: time.Unix(0, 0), Count: -3, Actor: ana(), Action: "x"}
	if e := add(t, db, forged); e.Seq != 2 || e.Prev != got.Hash || e.Count != 1 || e.At.Before(got.At) {
		t.Errorf("%+v", e)
	}
	if r := verify(t, db); r.BadSeq != 0 || r.Entries != 2 || r.Head.Seq != 2 {
		t.Errorf("%+v", r)
	}
	if _, err := audit.Get(ctx, db, 3); errs.KindOf(err) != errs.NotFound || errs.Public(err) != "There is no audit entry 3." {
		t.Errorf("%v", err)
	}
}

func TestEmptyLog(t *testing.T) {
	db := newLog(t, "")
	if r := verify(t, db); r.Entries != 0 || r.BadSeq != 0 || r.Head.Seq != 0 {
		t.Errorf("%+v", r)
	}
	for _, f := range []audit.Filter{{}, {App: "api"}, {SHA: "abc"}, {DeployID: 1}, {From: time.Now()}, {Envs: []string{"prod"}, Action: "user."}} {
		if list, err := audit.List(ctx, db, f); err != nil || len(list) != 0 {
			t.Errorf("%+v: %v %v", f, list, err)
		}
	}
}

// TestRolledBack: an entry of a transaction that does not commit leaves no gap and breaks no chain.
func TestRolledBack(t *testing.T) {
	db := newLog(t, "")
	add(t, db, full(0))
	no := errors.New("no")
	for range 3 {
		err := db.Write(ctx, func(tx *sqlite.Tx) error {
			_, err := audit.Append(ctx, tx, full(1))
			return errors.Join(err, no)
		})
		if !errors.Is(err, no) {
			t.Fatal(err)
		}
	}
	must(t, db.Write(ctx, func(tx *sqlite.Tx) error { // two in one: the second continues the first
		_, err := audit.Append(ctx, tx, full(2))
		_, err2 := audit.Append(ctx, tx, full(3))
		return errors.Join(err, err2)
	}))
	if r := verify(t, db); r.BadSeq != 0 || r.Entries != 3 {
		t.Errorf("%+v", r)
	}
}

// TestTwoPortals: nobody caches the head, so a command beside the server continues the same chain.
func TestTwoPortals(t *testing.T) {
	path := filepath.Join(t.TempDir(), "portal.db")
	a, b := newLog(t, path), newLog(t, path)
	for n := range 10 {
		add(t, a, full(n))
		add(t, b, full(n))
	}
	if r := verify(t, a); r.BadSeq != 0 || r.Entries != 20 {
		t.Errorf("%+v", r)
	}
}

// TestHostileTexts: whatever comes is stored, made harmless and within its length, and verifies.
func TestHostileTexts(t *testing.T) {
	db := newLog(t, "")
	pack := foreigntest.Payloads()
	for _, p := range pack {
		s := p.Text
		e := add(t, db, audit.Entry{Actor: audit.Actor{ID: "x" + s, Name: "x" + s, Source: "web", Addr: s, Method: s}, Action: "x" + s, App: s, Env: s, Subject: s, Repository: s,
			FromTag: s, FromDigest: s, ToTag: s, ToDigest: s, Reason: s, Detail: s, RequestID: s})
		stored, err := audit.Get(ctx, db, e.Seq)
		must(t, err)
		if diff := cmp.Diff(e, stored); diff != "" {
			t.Errorf("%.40q: %s", s, diff)
		}
		foreigntest.Strings(stored, func(path, text string) {
			if harm := foreigntest.Harm(text); harm != "" || strings.ContainsAny(text, "\n\t") {
				t.Errorf("%.40q: %s is stored as %.40q: %s", s, path, text, harm)
			}
		})
		if stored.Detail != foreign.Line(s, 2000) || stored.Reason != foreign.Line(s, 1000) {
			t.Errorf("%.40q became %.40q and %.40q", s, stored.Detail, stored.Reason)
		}
	}
	if r := verify(t, db); r.BadSeq != 0 || r.Entries != int64(len(pack)) {
		t.Errorf("%+v", r)
	}
}

// TestRefusedByTheDatabase: the log is append-only for every statement, whoever sends it, with our settings or without.
func TestRefusedByTheDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "portal.db")
	db := newLog(t, path)
	for n := range 3 {
		add(t, db, full(n))
	}
	raw, err := sql.Open("sqlite3", path) // recursive triggers are off here
	must(t, err)
	defer func() { must(t, raw.Close()) }()
	const from = ` SELECT %seq%, at, actor_id, actor_name, source, addr, method, action, app, env, deploy_id, subject, repository,
		from_tag, from_digest, to_tag, to_digest, reason, outcome, detail, request_id, count, %prev%, hash FROM audit_entries WHERE seq = 2`
	const prev, head = `prev_hash`, `(SELECT hash FROM audit_entries WHERE seq = 3)`
	insert := func(verb, seq, prev string) string {
		return verb + ` INTO audit_entries` + strings.NewReplacer("%seq%", seq, "%prev%", prev).Replace(from)
	}
	for _, q := range []string{
		`UPDATE audit_entries SET detail = 'x'`,
		`UPDATE audit_entries SET seq = 9 WHERE seq = 3`,
		`UPDATE OR IGNORE audit_entries SET detail = 'x' WHERE seq = 2`,
		`UPDATE OR REPLACE audit_entries SET seq = 2 WHERE seq = 3`,
		`UPDATE audit_entries SET detail = detail`,
		`DELETE FROM audit_entries`,
		`DELETE FROM audit_entries WHERE seq = 3`,
		insert(`INSERT`, `2`, prev), insert(`INSERT OR REPLACE`, `2`, prev), insert(`REPLACE`, `2`, prev), insert(`INSERT OR IGNORE`, `2`, prev),
		insert(`INSERT OR REPLACE`, `2`, head), insert(`INSERT OR REPLACE`, `4`, prev),
		insert(`INSERT`, `3`, head), insert(`INSERT`, `5`, head), insert(`INSERT`, `0`, head), insert(`INSERT`, `-1`, head), insert(`INSERT`, `NULL`, head),
		insert(`INSERT`, `4`, prev), // the right seq that does not continue the chain
		insert(`INSERT`, `2`, prev) + ` ON CONFLICT (seq) DO UPDATE SET detail = 'x'`,
		insert(`INSERT`, `2`, prev) + ` ON CONFLICT DO NOTHING`,
		insert(`INSERT`, `2`, head) + ` ON CONFLICT (seq) DO UPDATE SET detail = 'x'`,
	} {
		err := db.Write(ctx, func(tx *sqlite.Tx) error {
			_, err := tx.Exec(ctx, q)
			return err
		})
		if errs.KindOf(err) != errs.Conflict || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%.150s: %v", q, err)
		}
		if _, err := raw.ExecContext(ctx, q); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%.150s, without our settings: %v", q, err)
		}
	}
	if r := verify(t, db); r.BadSeq != 0 || r.Entries != 3 {
		t.Errorf("%+v", r)
	}
	add(t, db, full(3))
}

// fields are all texts of an entry in the order of its hash.
func fields(e *audit.Entry) []*string {
	return []*string{&e.Prev, &e.Actor.ID, &e.Actor.Name, &e.Actor.Source, &e.Actor.Addr, &e.Actor.Method, &e.Action, &e.App, &e.Env,
		&e.Subject, &e.Repository, &e.FromTag, &e.FromDigest, &e.ToTag, &e.ToDigest, &e.Reason, &e.Outcome, &e.Detail, &e.RequestID}
}

// TestNoTwoEncodeAlike: a character moved over a border, or anything else that differs, gives another hash.
func TestNoTwoEncodeAlike(t *testing.T) {
	text := rapid.StringOfN(rapid.SampledFrom([]rune{'a', '1', '0', 0, ',', '\n', 'é', '\xff'}), 0, 12, -1)
	entry := rapid.Custom(func(t *rapid.T) audit.Entry {
		e := audit.Entry{Seq: rapid.Int64Range(0, 12).Draw(t, "seq"), At: time.UnixMilli(rapid.Int64Range(0, 3).Draw(t, "at")).UTC(),
			DeployID: rapid.Int64Range(0, 12).Draw(t, "deploy"), Count: rapid.Int64Range(0, 12).Draw(t, "count")}
		for _, f := range fields(&e) {
			*f = text.Draw(t, "text")
		}
		return e
	})
	rapid.Check(t, func(t *rapid.T) {
		a := entry.Draw(t, "a")
		b := a
		all := fields(&b)
		switch i := rapid.IntRange(0, len(all)-2).Draw(t, "field"); rapid.IntRange(0, 3).Draw(t, "change") {
		case 0: // over the border
			if s := *all[i]; s != "" {
				*all[i], *all[i+1] = s[:len(s)-1], s[len(s)-1:]+*all[i+1]
			}
		case 1:
			*all[i], *all[i+1] = *all[i+1], *all[i]
		case 2: // a digit from one number to another
			b.Seq, b.DeployID, b.Count = b.DeployID, b.Count, b.Seq
		case 3:
			b = entry.Draw(t, "b")
		}
		if same := cmp.Equal(a, b); same != (audit.Sum(a) == audit.Sum(b)) {
			t.Fatalf("equal: %v, equal hashes: %v\n%+v\n%+v", same, !same, a, b)
		}
	})
}
