package sqlite_test

import (
	"context"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
	"deployportal/migrations"
)

// steps makes migration files; each text is one.
func steps(texts ...string) fstest.MapFS {
	out := fstest.MapFS{"README.md": {Data: []byte("not a migration")}, "embed.go": {}}
	for i, text := range texts {
		out["000"+string(rune('1'+i))+"_step.sql"] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

const (
	one   = "CREATE TABLE one (n INTEGER); INSERT INTO one VALUES (1); -- first\n"
	two   = "CREATE TABLE two (n INTEGER);"
	three = "CREATE TABLE three (n INTEGER); INSERT INTO one VALUES (3); INSERT INTO missing VALUES (1);"
)

// shape gives the names of all that is in the schema, and the applied migrations.
func shape(t testing.TB, db *sqlite.DB) string {
	t.Helper()
	var names, applied string
	must(t, db.QueryRow(context.Background(), `SELECT group_concat(name, ' ') FROM (SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name)`).Scan(&names))
	must(t, db.QueryRow(context.Background(), `SELECT ifnull(group_concat(n || ':' || name, ' '), '') FROM (SELECT * FROM migrations ORDER BY n)`).Scan(&applied))
	return names + " | " + applied
}

func TestMigrate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "portal.db")
	db := openAt(t, path)
	for range 2 { // the second time changes nothing
		must(t, db.Migrate(t.Context(), steps(one)))
		if got, want := shape(t, db), "migrations one | 1:0001_step.sql"; got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	}
	other := openAt(t, path) // after a restart
	must(t, other.Migrate(t.Context(), steps(one, two)))
	if got, want := shape(t, other), "migrations one two | 1:0001_step.sql 2:0002_step.sql"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	var rows int
	must(t, db.QueryRow(t.Context(), `SELECT count(*) FROM one`).Scan(&rows))
	if rows != 1 {
		t.Errorf("the first migration ran %d times", rows)
	}
}

func TestMigrateRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		src  fs.FS
		kind errs.Kind
		want string
	}{
		"changed":      {steps(one+" ", two), errs.Invalid, "another version of 0001_step.sql"},
		"last changed": {steps(one, two+"\n"), errs.Invalid, "another version of 0002_step.sql"},
		"newer": {steps(one), errs.Invalid,
			"The database has schema 2, this portal knows up to 1: a newer portal has used it. Start that one, or restore a backup from before."},
		"much newer": {steps(), errs.Invalid, "The database has schema 2, this portal knows up to 0"},
		"twins":      {fstest.MapFS{"0001_a.sql": {Data: []byte(one)}, "0001_b.sql": {Data: []byte(two)}}, errs.Internal, ""},
		"gap":        {fstest.MapFS{"0001_step.sql": {Data: []byte(one)}, "0003_step.sql": {Data: []byte(two)}}, errs.Internal, ""},
	} {
		t.Run(name, func(t *testing.T) {
			db := openAt(t, filepath.Join(t.TempDir(), "portal.db"))
			must(t, db.Migrate(t.Context(), steps(one, two)))
			before := shape(t, db)
			err := db.Migrate(t.Context(), c.src)
			if err == nil || errs.KindOf(err) != c.kind || c.want != "" && !strings.Contains(errs.Public(err), c.want) {
				t.Errorf("%v %v, want %v %q", errs.KindOf(err), err, c.kind, c.want)
			}
			if after := shape(t, db); after != before {
				t.Errorf("%q became %q", before, after)
			}
		})
	}
}

// TestMigrateFails: a migration that fails in its last statement leaves nothing of itself, and what came before stays.
func TestMigrateFails(t *testing.T) {
	db := openAt(t, filepath.Join(t.TempDir(), "portal.db"))
	err := db.Migrate(t.Context(), steps(one, three))
	if err == nil || !strings.Contains(err.Error(), "0002_step.sql") || !strings.Contains(err.Error(), "missing") {
		t.Errorf("%v does not name the file and the cause", err)
	}
	if got, want := shape(t, db), "migrations one | 1:0001_step.sql"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	var n int
	must(t, db.QueryRow(t.Context(), `SELECT max(n) FROM one`).Scan(&n))
	if n != 1 {
		t.Errorf("a row of the failed migration stayed: %d", n)
	}
	must(t, db.Migrate(t.Context(), steps(one, two))) // mended, it goes on from there
}

// TestMigrateTogether: a command beside a starting portal migrates the same file.
func TestMigrateTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "portal.db")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			db, err := sqlite.Open(t.Context(), path, nil)
			if err != nil {
				t.Error(err)
				return
			}
			if err := db.Migrate(t.Context(), migrations.Files); err != nil {
				t.Error(err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
