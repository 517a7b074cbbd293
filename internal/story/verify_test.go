package story_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"deployportal/internal/sqlite"
)

// copied gives a copy of a database, as it would be sent to an auditor.
func copied(t *testing.T, from string) string {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(to, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

// forgeFile changes a database the way somebody with its file can: without the triggers and checks that guard it.
func forgeFile(path string, statements ...string) (err error) {
	db, err := sqlite.Open(context.Background(), path, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.Write(context.Background(), func(tx *sqlite.Tx) error {
		guards := []string{`DROP TRIGGER audit_entries_no_update`, `DROP TRIGGER audit_entries_no_delete`, `DROP TRIGGER audit_entries_next_only`,
			`PRAGMA ignore_check_constraints = on`, `PRAGMA defer_foreign_keys = on`}
		for _, s := range append(guards, statements...) {
			if _, err := tx.Exec(context.Background(), s); err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
		}
		return nil
	})
}

func forge(t *testing.T, path string, statements ...string) {
	t.Helper()
	if err := forgeFile(path, statements...); err != nil {
		t.Fatal(err)
	}
}

// TestVerify: whatever is done to an entry, the command names the first bad one and ends with 1.
func TestVerify(t *testing.T) {
	t.Parallel()
	good := filepath.Join(t.TempDir(), "good.db")
	from := copied(t, filepath.Join(filepath.Dir(binary(t)), "accounts.db"))
	if err := os.Rename(from, good); err != nil {
		t.Fatal(err)
	}
	for _, role := range []string{"deployer", "viewer", "deployer", "viewer"} {
		if _, errOut, code := portal(t, "", "--database", good, "user", "role", "vic", "--role="+role); code != 0 {
			t.Fatalf("portal user role: %d %s", code, errOut)
		}
	}
	out, errOut, code := portal(t, "", "--database", good, "audit", "verify")
	if code != 0 || errOut != "" || !strings.HasPrefix(out, "The audit log is whole: 7 entries, the last is 7:") {
		t.Fatalf("the good log: %d %q %q", code, out, errOut)
	}
	last := strings.TrimSuffix(strings.TrimSpace(out[strings.Index(out, "7:"):]), ".")

	const bad = 4
	broken := func(name string, seq int, statements ...string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := copied(t, good)
			forge(t, path, statements...)
			out, _, code := portal(t, "", "--database", path, "audit", "verify")
			if want := fmt.Sprintf("The audit log is broken at entry %d.", seq); code != 1 || !strings.Contains(out, want) {
				t.Errorf("exit code %d, %q; want 1 and %q", code, out, want)
			}
		})
	}
	for name, kind := range columns(t, good) {
		seq, change := bad, name+` || 'x'`
		switch {
		case name == "seq":
			seq, change = bad+1, "1000" // it is gone from its place
		case name == "at":
			change = `replace(at, 'T', 'U')`
		case name == "hash" || name == "prev_hash":
			change = `replace(replace(` + name + `, '0', '1'), 'a', 'b')`
		case kind == "INTEGER":
			change = name + " + 1"
		}
		broken("changed "+name, seq, fmt.Sprintf(`UPDATE audit_entries SET %s = %s WHERE seq = %d`, name, change, bad))
	}
	broken("another time", bad, `UPDATE audit_entries SET at = '2001-01-01T00:00:00.000Z' WHERE seq = 4`)
	broken("a row deleted", bad+1, `DELETE FROM audit_entries WHERE seq = 4`)
	broken("the first row deleted", 2, `DELETE FROM audit_entries WHERE seq = 1`)
	broken("two rows swapped", bad, `UPDATE audit_entries SET seq = 1000 WHERE seq = 4`, `UPDATE audit_entries SET seq = 4 WHERE seq = 5`,
		`UPDATE audit_entries SET seq = 5 WHERE seq = 1000`)

	t.Run("cut tail", func(t *testing.T) {
		t.Parallel()
		path := copied(t, good)
		forge(t, path, `DELETE FROM audit_entries WHERE seq = 7`)
		if out, _, code := portal(t, "", "--database", path, "audit", "verify"); code != 0 || !strings.Contains(out, "6 entries") {
			t.Errorf("alone: %d %q, want 0: a chain alone cannot tell", code, out)
		}
		out, _, code := portal(t, "", "--database", path, "audit", "verify", "--expect="+last)
		if code != 1 || !strings.Contains(out, "does not hold entry 7 with hash") {
			t.Errorf("with --expect=%s: %d %q, want 1", last, code, out)
		}
		if out, _, code = portal(t, "", "--database", good, "audit", "verify", "--expect="+last); code != 0 || !strings.Contains(out, "It holds entry 7 as expected.") {
			t.Errorf("the whole log with --expect=%s: %d %q, want 0", last, code, out)
		}
	})
}

// columns reads the columns of the log from the database, so that a new one cannot be forgotten here.
func columns(t *testing.T, path string) map[string]string {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	all := map[string]string{}
	rows, err := db.Query(t.Context(), `SELECT name, type FROM pragma_table_info('audit_entries')`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name, kind string
		if err := rows.Scan(&name, &kind); err != nil {
			t.Fatal(err)
		}
		all[name] = kind
	}
	if len(all) < 24 {
		t.Fatalf("%d columns: %v", len(all), all)
	}
	return all
}

// TestVerifyAgainstTheCluster: what a deploy left on its Deployment shows that the log's tail was cut.
func TestVerifyAgainstTheCluster(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.over(w.ana.deploy(v2), "succeeded", "")
	expect := w.live().Annotations["deploy-portal/audit"]
	path := w.path("portal.db")
	// Beside the serving portal, as an operator would.
	if out, _, code := portal(t, "", "--database", path, "audit", "verify", "--expect="+expect); code != 0 || !strings.Contains(out, "as expected") {
		t.Errorf("--expect=%s: %d %q", expect, code, out)
	}
	seq, _, _ := strings.Cut(expect, ":")
	w.stop()
	path = copied(t, path)
	forge(t, path, `DELETE FROM deploy_events`, `DROP TRIGGER deploys_no_delete`, `DELETE FROM deploys`, `DELETE FROM audit_entries WHERE seq >= `+seq)
	if out, _, code := portal(t, "", "--database", path, "audit", "verify"); code != 0 {
		t.Errorf("alone: %d %q", code, out)
	}
	if out, _, code := portal(t, "", "--database", path, "audit", "verify", "--expect="+expect); code != 1 || !strings.Contains(out, "does not hold entry "+seq) {
		t.Errorf("cut, --expect=%s: %d %q", expect, code, out)
	}
}
