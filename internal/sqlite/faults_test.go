//go:build unix

package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	sqlite3 "github.com/mattn/go-sqlite3"

	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
	"deployportal/internal/testenv"
)

// fillUp writes until the disk is full and gives what was acknowledged.
func fillUp(t *testing.T, db *sqlite.DB) (acked int) {
	t.Helper()
	for {
		err := db.Write(t.Context(), func(tx *sqlite.Tx) error {
			return insert(tx, fmt.Sprintf("%d %s", acked+1, strings.Repeat("x", 3000)))
		})
		if err != nil {
			unavailable(t, err, "The database cannot be written: the disk is full. Nothing was changed.")
			return acked
		}
		if acked++; acked > 20_000 {
			t.Fatal("it does not get full")
		}
	}
}

func count(t *testing.T, db *sqlite.DB) (n int) {
	t.Helper()
	must(t, db.QueryRow(t.Context(), `SELECT count(*) FROM notes`).Scan(&n))
	return n
}

// afterFull asserts what must hold while and after the disk is full.
func afterFull(t *testing.T, db *sqlite.DB, free func()) {
	t.Helper()
	acked := fillUp(t, db)
	if got := count(t, db); got != acked {
		t.Errorf("%d rows, %d were acknowledged", got, acked)
	}
	free()
	must(t, exec(db, `INSERT INTO notes (text) VALUES ('room again')`)) // without a restart
	if got := count(t, db); got != acked+1 {
		t.Errorf("%d rows after there is room, want %d", got, acked+1)
	}
	var ok string
	must(t, db.QueryRow(t.Context(), `PRAGMA integrity_check`).Scan(&ok))
	if ok != "ok" {
		t.Error(ok)
	}
}

func TestFull(t *testing.T) {
	db := notes(t)
	must(t, exec(db, `PRAGMA max_page_count = 20`))
	afterFull(t, db, func() { must(t, exec(db, `PRAGMA max_page_count = 100000`)) })
}

// tmpfs mounts a small file system, which needs root.
func tmpfs(t *testing.T, size string) (dir, db string) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		testenv.Skip(t, "needs root, which may mount a small file system: "+err.Error())
	}
	t.Cleanup(func() { must(t, syscall.Unmount(dir, 0)) })
	return dir, filepath.Join(dir, "portal.db")
}

func TestFullFileSystem(t *testing.T) {
	dir, path := tmpfs(t, "2m")
	ballast := filepath.Join(dir, "ballast")
	must(t, os.WriteFile(ballast, make([]byte, 300_000), 0o600))
	db := openAt(t, path)
	must(t, exec(db, `CREATE TABLE notes (n INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT`))
	afterFull(t, db, func() { must(t, os.Remove(ballast)) })
}

// TestFullIndexOfWAL: the first thing without room is the -shm file, which SQLite calls an I/O error. It is a full disk
// all the same, and heals like one.
func TestFullIndexOfWAL(t *testing.T) {
	dir, path := tmpfs(t, "64m")
	db := openAt(t, path)
	must(t, exec(db, `CREATE TABLE notes (n INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT`))
	rows, err := db.Query(t.Context(), `SELECT 1 FROM sqlite_schema`) // a reader that stays keeps the -wal growing
	must(t, err)
	defer func() { _ = rows.Close() }()
	if !rows.Next() {
		t.Fatal("no row")
	}
	big := strings.Repeat("x", 3_000_000)
	for i := range 2 { // about 3,000 frames, in few commits
		must(t, exec(db, `INSERT INTO notes VALUES (?, ?)`, -1-i, fmt.Sprint(i, big)))
	}
	ballast := filepath.Join(dir, "ballast")
	var fs syscall.Statfs_t
	must(t, syscall.Statfs(dir, &fs))
	size := int64(fs.Bavail) * fs.Bsize
	must(t, os.WriteFile(ballast, make([]byte, size), 0o600))
	// Room comes page by page, so that at the 4063rd frame, the first that the first block of the index has no place
	// for, there is room for the frames of a transaction but not for 32 KiB more.
	acked := 0
	for {
		err = exec(db, `INSERT INTO notes (text) VALUES (?)`, fmt.Sprint(acked, big[:3000]))
		var e sqlite3.Error
		if errors.As(err, &e) && e.ExtendedCode == sqlite3.ErrIoErrSHMSize {
			break
		}
		if err != nil {
			unavailable(t, err, "the disk is full")
			size -= fs.Bsize
			must(t, os.Truncate(ballast, size))
		} else if acked++; acked > 5000 {
			t.Fatal("the index never lacked room")
		}
	}
	unavailable(t, err, "the disk is full")
	must(t, os.Remove(ballast))
	must(t, exec(db, `INSERT INTO notes (text) VALUES ('room again')`))
	if got := count(t, db); got != 2+acked+1 {
		t.Errorf("%d rows, %d were acknowledged", got, 2+acked+1)
	}
}

func TestBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "portal.db")
	db, other := openAt(t, path), openAt(t, path)
	must(t, exec(db, `CREATE TABLE notes (n INTEGER PRIMARY KEY, text TEXT UNIQUE)`))
	writer, _ := sqlite.Pools(other)
	_, err := writer.ExecContext(t.Context(), `PRAGMA busy_timeout = 1`) // the five seconds are asserted with the settings
	must(t, err)
	must(t, db.Write(t.Context(), func(tx *sqlite.Tx) error {
		err := other.Write(t.Context(), func(*sqlite.Tx) error { t.Error("two writers at once"); return nil })
		unavailable(t, err, "The database is busy. Nothing was changed. Try again.")
		return insert(tx, "mine")
	}))
	must(t, exec(other, `INSERT INTO notes (text) VALUES ('theirs')`))
}

func TestReadOnlyFile(t *testing.T) {
	db := notes(t)
	writer, _ := sqlite.Pools(db)
	set := func(v string) {
		_, err := writer.ExecContext(t.Context(), `PRAGMA query_only = `+v)
		must(t, err)
	}
	set("on") // answers as a file without the right to write does; root would have that right always
	unavailable(t, exec(db, `INSERT INTO notes (text) VALUES ('x')`), "The database cannot be written: the file is read-only. Nothing was changed.")
	set("off")
	must(t, exec(db, `INSERT INTO notes (text) VALUES ('x')`))
}

func TestReadOnlyFileSystem(t *testing.T) {
	dir, path := tmpfs(t, "2m")
	db, err := sqlite.Open(t.Context(), path, nil)
	must(t, err)
	must(t, exec(db, `CREATE TABLE notes (n INTEGER PRIMARY KEY, text TEXT UNIQUE)`))
	must(t, db.Close())
	must(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	db, err = sqlite.Open(t.Context(), path, nil)
	if err == nil { // SQLite may find a way to read it; it must not claim to have written
		defer func() { must(t, db.Close()) }()
		err = exec(db, `INSERT INTO notes (text) VALUES ('x')`)
	}
	if errs.KindOf(err) != errs.Unavailable {
		t.Errorf("%v %v", errs.KindOf(err), err)
	}
}

func TestDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "portal.db")
	db, err := sqlite.Open(t.Context(), path, nil)
	must(t, err)
	must(t, exec(db, `CREATE TABLE notes (n INTEGER PRIMARY KEY, text TEXT)`))
	for range 50 {
		must(t, exec(db, `INSERT INTO notes (text) VALUES (?)`, strings.Repeat("x", 3000)))
	}
	must(t, db.Close()) // which empties the -wal into it
	data, err := os.ReadFile(path)
	must(t, err)
	for i := 4096; i < len(data); i += 4096 { // every page but the first loses its head
		copy(data[i:], "damaged!damaged!")
	}
	must(t, os.WriteFile(path, data, 0o600))
	db = openAt(t, path)
	err = sqlite.Each(t.Context(), db, func(*sql.Rows) error { return nil }, `SELECT text FROM notes`)
	unavailable(t, err, "The database file is damaged or is no database.")
	unavailable(t, exec(db, `INSERT INTO notes (text) VALUES ('x')`), "The database file is damaged or is no database.")
}

// TestIOError: what really happens after a failed write, in a process that may not let a file grow.
func TestIOError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "portal.db")
	if out, err := child(t, "ioerr", path).Output(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	db := openAt(t, path) // after a restart all is as acknowledged
	if got := texts(t, db); got != "before" {
		t.Errorf("%q is stored", got)
	}
	must(t, exec(db, `INSERT INTO notes (text) VALUES ('after')`))
}

func ioErrChild(path string) error {
	signal.Ignore(syscall.SIGXFSZ) // so that a write past the limit fails with EFBIG instead of ending the process
	db, err := sqlite.Open(context.Background(), path, nil)
	if err != nil {
		return err
	}
	if err := errors.Join(exec(db, `CREATE TABLE notes (n INTEGER PRIMARY KEY, text TEXT UNIQUE)`),
		exec(db, `INSERT INTO notes (text) VALUES ('before')`)); err != nil {
		return err
	}
	limit := func(n uint64) error {
		return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: 1 << 40})
	}
	if err := limit(64 << 10); err != nil {
		return err
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if err := db.Broken(over); err != nil {
		return fmt.Errorf("broken before anything was: %w", err)
	}
	big := strings.Repeat("x", 200_000)
	// A caller that overlooks the error is not told that all went well either.
	err = db.Write(context.Background(), func(tx *sqlite.Tx) error { _ = insert(tx, big); _ = insert(tx, "half"); return nil })
	if errs.KindOf(err) != errs.Unavailable || !strings.Contains(errs.Public(err), "The database reported an I/O error.") {
		return fmt.Errorf("a write past the limit: %w", err)
	}
	if err := limit(1 << 40); err != nil {
		return err
	}
	for range 2 { // the disk is well again, but what the kernel kept is unknown
		ran := false
		err := db.Write(context.Background(), func(tx *sqlite.Tx) error { ran = true; return insert(tx, "again") })
		if ran || errs.KindOf(err) != errs.Unavailable ||
			errs.Public(err) != "The database reported an I/O error. Nothing is written until the portal is restarted." {
			return fmt.Errorf("after an I/O error: ran %v: %w", ran, err)
		}
	}
	if err := db.Broken(context.Background()); errs.KindOf(err) != errs.Unavailable ||
		errs.Public(err) != "The database reported an I/O error, and nothing can be written any more." {
		return fmt.Errorf("nobody is told: %w", err)
	}
	var n int
	if err := db.QueryRow(context.Background(), `SELECT count(*) FROM notes`).Scan(&n); err != nil || n != 1 { // pages stay readable
		return fmt.Errorf("%d rows are read: %w", n, err)
	}
	return nil // without Close: the process ends as a killed one does
}
