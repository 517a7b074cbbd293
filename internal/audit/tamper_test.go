package audit_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"deployportal/internal/audit"
	"deployportal/internal/sqlite"
	"deployportal/migrations"
)

const rows = 8

// whole makes a log of full entries and gives its file, closed, and what a Deployment in the cluster remembers.
func whole(t *testing.T) (file []byte, seq int64, hash string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "portal.db")
	db, err := sqlite.Open(ctx, path, nil)
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	must(t, db.Migrate(ctx, migrations.Files))
	for n := range rows {
		add(t, db, full(n))
	}
	if r := verify(t, db); r.Entries != rows || r.BadSeq != 0 || r.Why != "" || r.Head.Seq != rows {
		t.Fatalf("a whole log: %+v", r)
	}
	last, err := audit.Get(ctx, db, rows)
	must(t, err)
	must(t, db.Close()) // which leaves all in the one file
	file, err = os.ReadFile(path)
	must(t, err)
	return file, last.Seq, last.Hash
}

// attack is a connection of somebody with the file: no triggers, no checks, none of our settings.
func attack(t *testing.T, file []byte, do func(db *sql.DB)) *sqlite.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "copy.db")
	must(t, os.WriteFile(path, file, 0o600))
	raw, err := sql.Open("sqlite3", path)
	must(t, err)
	raw.SetMaxOpenConns(1)
	run(t, raw, `PRAGMA ignore_check_constraints = on`)
	for _, trigger := range []string{"no_update", "no_delete", "next_only"} {
		run(t, raw, `DROP TRIGGER audit_entries_`+trigger)
	}
	do(raw)
	must(t, raw.Close())
	db, err := sqlite.Open(ctx, path, nil)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	return db
}

func run(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(ctx, query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// inTx reads what an open transaction has changed.
type inTx struct{ *sql.Tx }

func (tx inTx) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return tx.QueryContext(ctx, query, args...)
}

func (tx inTx) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return tx.QueryRowContext(ctx, query, args...)
}

// TestEveryColumnCounts takes the columns from the database, so that one added later is covered or this test is red.
func TestEveryColumnCounts(t *testing.T) {
	file, _, _ := whole(t)
	tried := 0
	attack(t, file, func(db *sql.DB) {
		list, err := db.QueryContext(ctx, `SELECT name, type FROM pragma_table_xinfo('audit_entries')`)
		must(t, err)
		var names, kinds []string
		for list.Next() {
			var name, kind string
			must(t, list.Scan(&name, &kind))
			names, kinds = append(names, name), append(kinds, kind)
		}
		must(t, errors.Join(list.Err(), list.Close()))
		if len(names) < 24 {
			t.Fatalf("the columns are %v", names)
		}
		for i, name := range names {
			for _, change := range changesOf(name, kinds[i]) {
				tried += tryChange(t, db, name, strings.ReplaceAll(change, "$", name))
			}
		}
	})
	if tried < 24*5*3 {
		t.Errorf("only %d changes were tried", tried)
	}
}

func changesOf(column, kind string) []string {
	if kind == "INTEGER" {
		return []string{"$ + 100", "-$"}
	}
	out := []string{"$ || 'x'", "'x' || $", "'other'", "''", "$ || char(0)", "CAST($ || x'ff' AS TEXT)", "upper($)", "' ' || $", "substr($, 2)"}
	if column == "at" { // what a lenient reader takes for the same or nearly the same time
		out = append(out, "replace($, '.', ',')", "replace($, 'T0', 'T')", "replace($, 'Z', '+00:00')", "replace($, 'Z', '0Z')",
			"strftime('%Y-%m-%dT%H:%M:%fZ', $, '+0.001 seconds')")
	}
	return out
}

// tryChange changes one column of an entry, in a transaction that is rolled back, and gives how many entries it tried.
func tryChange(t *testing.T, db *sql.DB, column, expr string) (tried int) {
	t.Helper()
	for _, seq := range []int64{1, 4, rows} {
		tx, err := db.BeginTx(ctx, nil)
		must(t, err)
		res, err := tx.ExecContext(ctx, `UPDATE audit_entries SET `+column+` = `+expr+` WHERE seq = ? AND `+column+` IS NOT `+expr, seq)
		must(t, err)
		if n, err := res.RowsAffected(); err != nil || n == 1 { // an upper-case digit is no change
			must(t, err)
			tried++
			want := seq
			if column == "seq" { // moved to the end it is missed at the next entry, moved to the front it comes first
				want = map[string]int64{"seq + 100": seq + 1, "-seq": 1}[expr]
				if seq == rows && expr == "seq + 100" {
					want = seq + 100
				}
			}
			r, err := audit.Verify(ctx, inTx{tx})
			if err != nil || r.BadSeq != want || r.Why == "" {
				t.Errorf("entry %d, %s = %s: first bad is %d (%s) %v", seq, column, expr, r.BadSeq, r.Why, err)
			}
		}
		must(t, tx.Rollback())
	}
	return tried
}

func TestTamperedRows(t *testing.T) {
	file, seq, hash := whole(t)
	swap := func(column string) string {
		return `UPDATE audit_entries SET ` + column + ` = (SELECT ` + column + ` FROM audit_entries o WHERE o.seq = CASE audit_entries.seq WHEN 3 THEN 5 ELSE 3 END) WHERE seq IN (3, 5)`
	}
	insert := `INSERT INTO audit_entries SELECT %s, at, actor_id, actor_name, source, addr, method, action, app, env, deploy_id, subject, repository,
		from_tag, from_digest, to_tag, to_digest, reason, outcome, detail, request_id, count, prev_hash, hash FROM audit_entries WHERE seq = %d`
	for name, c := range map[string]struct {
		sql   []string
		bad   int64
		holds bool
	}{
		"first deleted":   {[]string{`DELETE FROM audit_entries WHERE seq = 1`}, 2, true},
		"middle deleted":  {[]string{`DELETE FROM audit_entries WHERE seq = 4`}, 5, true},
		"several deleted": {[]string{`DELETE FROM audit_entries WHERE seq BETWEEN 3 AND 6`}, 7, true},
		"deleted, closed up": {[]string{`DELETE FROM audit_entries WHERE seq = 4`,
			`UPDATE audit_entries SET seq = seq - 1 WHERE seq > 4`}, 4, false},
		"deleted, linked anew": {[]string{`DELETE FROM audit_entries WHERE seq = 4`, `UPDATE audit_entries SET seq = seq - 1 WHERE seq > 4`,
			`UPDATE audit_entries SET prev_hash = (SELECT hash FROM audit_entries WHERE seq = 3) WHERE seq = 4`}, 4, false},
		"two swapped":      {[]string{`UPDATE audit_entries SET seq = -seq WHERE seq IN (3, 5)`, `UPDATE audit_entries SET seq = 8 + seq WHERE seq < 0`}, 3, true},
		"texts swapped":    {[]string{swap("to_digest")}, 3, true},
		"inserted at zero": {[]string{fmt.Sprintf(insert, "0", 1)}, 1, true},
		"inserted before":  {[]string{fmt.Sprintf(insert, "-7", 1)}, 1, true},
		"inserted between": {[]string{`UPDATE audit_entries SET seq = seq + 100 WHERE seq > 4`, `UPDATE audit_entries SET seq = seq - 99 WHERE seq > 100`,
			fmt.Sprintf(insert, "5", 4)}, 5, false},
		"appended": {[]string{fmt.Sprintf(insert, "9", 8)}, 9, true},
		"tail cut": {[]string{`DELETE FROM audit_entries WHERE seq > 5`}, 0, false},
		"all gone": {[]string{`DELETE FROM audit_entries`}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			db := attack(t, file, func(db *sql.DB) {
				for _, q := range c.sql {
					run(t, db, q)
				}
			})
			r := verify(t, db)
			if r.BadSeq != c.bad || (r.Why == "") != (c.bad == 0) {
				t.Errorf("first bad is %d (%s), want %d", r.BadSeq, r.Why, c.bad)
			}
			if holds, err := audit.Holds(ctx, db, seq, hash[:16]); err != nil || holds != c.holds {
				t.Errorf("Holds: %v %v", holds, err)
			}
		})
	}
}

// TestRewritten: who can write the file can compute every hash anew; only the copy kept elsewhere shows it.
func TestRewritten(t *testing.T) {
	file, seq, hash := whole(t)
	db := attack(t, file, func(db *sql.DB) {
		prev := strings.Repeat("0", 64)
		for n := int64(1); n <= rows; n++ {
			e := full(int(n - 1))
			var at sqlite.Time
			must(t, db.QueryRowContext(ctx, `SELECT at FROM audit_entries WHERE seq = ?`, n).Scan(&at))
			e.Seq, e.At, e.Prev, e.Actor.Name = n, at.Time, prev, "nobody"
			prev = audit.Sum(e)
			run(t, db, `UPDATE audit_entries SET actor_name = 'nobody', prev_hash = ?, hash = ? WHERE seq = ?`, e.Prev, prev, n)
		}
	})
	if r := verify(t, db); r.BadSeq != 0 || r.Entries != rows {
		t.Errorf("the forgery is not whole: %+v", r)
	}
	for _, n := range []int{8, 16, 64} {
		if holds, err := audit.Holds(ctx, db, seq, hash[:n]); err != nil || holds {
			t.Errorf("Holds with %d digits: %v %v", n, holds, err)
		}
	}
}

func TestHolds(t *testing.T) {
	db := newLog(t, "")
	e := add(t, db, full(1))
	for prefix, want := range map[string]bool{e.Hash: true, e.Hash[:8]: true, e.Hash[:20]: true, e.Hash + "0": false,
		strings.Repeat("z", 8): false, e.Hash[1:9]: false} {
		if got, err := audit.Holds(ctx, db, 1, prefix); err != nil || got != want {
			t.Errorf("%q: %v %v", prefix, got, err)
		}
	}
	if got, err := audit.Holds(ctx, db, 2, e.Hash); err != nil || got {
		t.Errorf("an entry that is not there: %v %v", got, err)
	}
	for _, short := range []string{"", e.Hash[:7]} {
		if got, err := audit.Holds(ctx, db, 1, short); err == nil || got {
			t.Errorf("%q proves nothing: %v %v", short, got, err)
		}
	}
}
