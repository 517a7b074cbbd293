package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func openAt(t testing.TB, path string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(context.Background(), path, nil)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	return db
}

// notes opens a database with one table of texts.
func notes(t testing.TB) *sqlite.DB {
	t.Helper()
	db := openAt(t, filepath.Join(t.TempDir(), "portal.db"))
	must(t, exec(db, `CREATE TABLE notes (n INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT`))
	return db
}

func exec(db *sqlite.DB, query string, args ...any) error {
	return db.Write(context.Background(), func(tx *sqlite.Tx) error {
		_, err := tx.Exec(context.Background(), query, args...)
		return err
	})
}

// texts gives all notes in their order.
func texts(t testing.TB, db *sqlite.DB) string {
	t.Helper()
	var out []string
	must(t, sqlite.Each(context.Background(), db, func(rows *sql.Rows) error {
		var s string
		err := rows.Scan(&s)
		out = append(out, s)
		return err
	}, `SELECT text FROM notes ORDER BY n`))
	return strings.Join(out, " ")
}

// unavailable asserts an error that a door answers with 503 and a sentence that holds want.
func unavailable(t testing.TB, err error, want string) {
	t.Helper()
	if errs.KindOf(err) != errs.Unavailable || !strings.Contains(errs.Public(err), want) {
		t.Errorf("%v %q, want unavailable with %q (%v)", errs.KindOf(err), errs.Public(err), want, err)
	}
}

// TestEveryConnection: durability rests on settings that SQLite keeps per connection, so each one is asked.
func TestEveryConnection(t *testing.T) {
	db := notes(t)
	writer, reader := sqlite.Pools(db)
	for _, pool := range []struct {
		name      string
		db        *sql.DB
		conns     int
		queryOnly string
	}{{"writer", writer, 1, "0"}, {"reader", reader, sqlite.Readers, "1"}} {
		if got := pool.db.Stats().MaxOpenConnections; got != pool.conns {
			t.Errorf("%s has %d connections, want %d", pool.name, got, pool.conns)
		}
		for i := range pool.conns {
			c, err := pool.db.Conn(t.Context())
			must(t, err)
			defer func() { must(t, c.Close()) }() // all stay taken until the end: every one is a different one
			for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1",
				"recursive_triggers": "1", "busy_timeout": "5000", "query_only": pool.queryOnly} {
				var got string
				must(t, c.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got))
				if got != want {
					t.Errorf("%s %d: %s is %s, want %s", pool.name, i, pragma, got, want)
				}
			}
		}
	}
}

func TestReaderCannotWrite(t *testing.T) {
	db := notes(t)
	for _, q := range []string{`INSERT INTO notes (text) VALUES ('x') RETURNING n`, `UPDATE notes SET text = 'y'`, `DELETE FROM notes`,
		`DROP TABLE notes`, `CREATE TABLE more (n)`, `PRAGMA user_version = 7`} {
		err := sqlite.Each(t.Context(), db, func(*sql.Rows) error { return nil }, q)
		unavailable(t, err, "read-only")
		var n int
		_, err = sqlite.Row(db.QueryRow(t.Context(), q).Scan(&n))
		unavailable(t, err, "read-only")
	}
}

func TestPaths(t *testing.T) {
	for _, name := range []string{"a b.db", "what?.db", "what?mode=ro&_synchronous=OFF", "sharp#1.db", "50%.db", "%41.db", "a:b@c.db", "ä€.db",
		"plus+and&.db", `back\slash.db`, "quote'\".db", "semi;colon.db"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			db := openAt(t, filepath.Join(dir, name))
			must(t, exec(db, `CREATE TABLE x (n)`))
			files, err := os.ReadDir(dir)
			must(t, err)
			for _, f := range files {
				if !strings.HasPrefix(f.Name(), name) {
					t.Errorf("it made %q", f.Name())
				}
			}
			if len(files) == 0 {
				t.Error("it made no file")
			}
		})
	}
	t.Run("doubled slash", func(t *testing.T) { openAt(t, "/"+filepath.Join(t.TempDir(), "portal.db")) })
	t.Run("relative", func(t *testing.T) {
		t.Chdir(t.TempDir())
		openAt(t, "x:portal.db")
		_, err := os.Stat("x:portal.db")
		must(t, err)
	})
}

// TestOpenRefuses: no file, or one that cannot keep what is written.
func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	noDB := filepath.Join(dir, "text.db")
	must(t, os.WriteFile(noDB, []byte(strings.Repeat("this is no database. ", 100)), 0o600))
	for path, want := range map[string]string{"": "no path", ":memory:": "journal_mode", filepath.Join(dir, "no", "folder.db"): "cannot be opened",
		dir: "cannot be opened", noDB: "is no database"} {
		db, err := sqlite.Open(t.Context(), path, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", path, err, want)
		}
		if db != nil {
			t.Errorf("%q: a database beside the error", path)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sqlite.Open(ctx, filepath.Join(dir, "portal.db"), nil); err == nil {
		t.Error("opened with a context that is over")
	}
}

func TestVersionGate(t *testing.T) {
	for n, ok := range map[int]bool{3044006: false, 3050007: false, 3051002: false, 3051003: true, 3053000: true, 4000000: true} {
		err := sqlite.CheckVersion(fmt.Sprint(n), n)
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "3.51.3 or newer") {
			t.Errorf("%d: %v", n, err)
		}
	}
}

func TestClock(t *testing.T) {
	at := time.Date(2026, 3, 29, 2, 59, 59, 999_999_999, time.FixedZone("", 7200))
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "portal.db"), func() time.Time { at = at.Add(time.Hour); return at })
	must(t, err)
	defer func() { must(t, db.Close()) }()
	must(t, db.Write(t.Context(), func(tx *sqlite.Tx) error {
		// One moment for a whole transaction, in UTC, as precise as it is stored.
		if first, again := tx.Now, tx.Now; first != again || first.String() != "2026-03-29T01:59:59.999Z" || first.Nanosecond() != 999_000_000 {
			t.Errorf("%v, then %v", first, again)
		}
		return nil
	}))
	if got := db.Now(); got.Location() != time.UTC || got.Hour() != 2 {
		t.Errorf("the database's clock shows %v", got)
	}
}
