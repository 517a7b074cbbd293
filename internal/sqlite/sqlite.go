// Package sqlite opens the one database file: one writer, a few readers, settings that survive a power cut, and
// errors by kind. It knows no table.
//
// Writes exist only on *Tx, so a query inside a transaction cannot slip past it; nothing that waits for a network
// belongs in one.
package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"

	"deployportal/internal/errs"
)

// minVersion is the first SQLite without the WAL-reset bug that can lose committed transactions when two
// connections checkpoint at once (3.51.3).
const minVersion = 3051003

const readers = 4

// DB is an open database. Its methods are safe for concurrent use.
type DB struct {
	writer, reader *sql.DB
	now            func() time.Time
	broken         atomic.Pointer[error] // set by the first I/O error: the handle is not trusted after it
	breaks         chan struct{}         // closed then
}

// Querier reads. *Tx and the reader handed out by Read satisfy it.
type Querier interface {
	Query(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRow(ctx context.Context, query string, args ...any) *sql.Row
}

// Open opens or creates the file. It fails on an SQLite older than 3.51.3 and when a setting that durability rests
// on does not read back as asked. now is the clock of every transaction; nil means time.Now.
func Open(ctx context.Context, path string, now func() time.Time) (*DB, error) {
	lib, n, _ := sqlite3.Version()
	if err := checkVersion(lib, n); err != nil {
		return nil, err
	}
	if now == nil {
		now = time.Now
	}
	db := &DB{now: now, breaks: make(chan struct{})}
	var err error
	writer := setting{"query_only", "0"}
	if db.writer, err = open(ctx, path, "_txlock=immediate", 1, writer); err != nil {
		return nil, err
	}
	reader := setting{"query_only", "1"}
	if db.reader, err = open(ctx, path, "_query_only=on", readers, reader); err != nil {
		return nil, errors.Join(err, db.writer.Close())
	}
	return db, nil
}

func checkVersion(lib string, n int) error {
	if n < minVersion {
		return fmt.Errorf("SQLite %s is too old: 3.51.3 or newer is needed", lib)
	}
	return nil
}

func open(ctx context.Context, path, extra string, conns int, more ...setting) (*sql.DB, error) {
	if path == "" {
		return nil, errors.New("opening the database: no path") // SQLite would take a file that vanishes on close
	}
	dsn := "file:" + (&url.URL{Path: filepath.Clean(path)}).EscapedPath() +
		"?_busy_timeout=5000&_journal_mode=WAL&_synchronous=FULL&_foreign_keys=on&_recursive_triggers=on&" + extra
	want := append(more, setting{"journal_mode", "wal"}, setting{"synchronous", "2"}, setting{"foreign_keys", "1"},
		setting{"recursive_triggers", "1"}, setting{"busy_timeout", "5000"})
	hook := func(c *sqlite3.SQLiteConn) error { return readBack(c, want) }
	db := sql.OpenDB(connector{dsn, &sqlite3.SQLiteDriver{ConnectHook: hook}})
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", path, classify(err)), db.Close())
	}
	return db, nil
}

// connector opens connections of one driver value, so that each of a pool passes the hook, not only the first.
type connector struct {
	dsn    string
	driver *sqlite3.SQLiteDriver
}

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }
func (c connector) Driver() driver.Driver                        { return c.driver }

// setting is a PRAGMA and the value it must read back.
type setting struct{ name, want string }

// readBack proves the settings instead of trusting the driver to have understood them.
func readBack(c *sqlite3.SQLiteConn, settings []setting) error {
	for _, s := range settings {
		rows, err := c.Query("PRAGMA "+s.name, nil)
		if err != nil {
			return fmt.Errorf("PRAGMA %s: %w", s.name, err)
		}
		got := make([]driver.Value, 1)
		if err := errors.Join(rows.Next(got), rows.Close()); err != nil {
			return fmt.Errorf("PRAGMA %s: %w", s.name, err)
		}
		if fmt.Sprint(got[0]) != s.want {
			return fmt.Errorf("PRAGMA %s is %v, not %s", s.name, got[0], s.want)
		}
	}
	return nil
}

// Close closes both handles.
func (db *DB) Close() error { return errors.Join(db.reader.Close(), db.writer.Close()) }

// Now reads the database's clock, for what is compared with stored times.
func (db *DB) Now() time.Time { return db.now().UTC() }

// Tx is one write transaction with one time for all it writes. Its methods heed no cancellation: a statement is not
// cut in the middle (see DB.Write).
type Tx struct {
	db   *DB
	tx   *sql.Tx
	conn *sql.Conn
	Now  Time
}

// Query runs a query inside the transaction.
func (tx *Tx) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	tx.endIfLost()
	rows, err := tx.tx.QueryContext(context.WithoutCancel(ctx), query, args...)
	return rows, tx.db.noteBroken(classify(err))
}

// QueryRow runs a query for one row inside the transaction.
func (tx *Tx) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	tx.endIfLost()
	return tx.tx.QueryRowContext(context.WithoutCancel(ctx), query, args...)
}

// Exec runs a statement inside the transaction.
func (tx *Tx) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	tx.endIfLost()
	res, err := tx.tx.ExecContext(context.WithoutCancel(ctx), query, args...)
	return res, tx.db.noteBroken(classify(err))
}

// endIfLost ends a transaction that SQLite rolled back by itself, as it does for a full disk or an I/O error. Without
// it a caller that overlooked the error would go on in autocommit mode: half of a transaction would stay.
func (tx *Tx) endIfLost() {
	lost := false
	_ = tx.conn.Raw(func(c any) error {
		lost = c.(*sqlite3.SQLiteConn).AutoCommit()
		return nil
	})
	if lost {
		_ = tx.tx.Rollback()
	}
}

// Write runs fn in one immediate transaction and commits it durably: when it returns nil, the rows survive a power
// cut. An error of fn rolls back and is returned as it is. A ctx that ends while another transaction is written ends
// the wait; one that ends after the start does not cut the transaction, so a caller that goes away never leaves a
// commit in doubt. fn must not call Write: it would wait for itself.
func (db *DB) Write(ctx context.Context, fn func(*Tx) error) (err error) {
	conn, err := db.writer.Conn(ctx)
	if err != nil {
		return db.noteBroken(classify(err))
	}
	defer func() { _ = conn.Close() }() // gives it back to the pool
	if why := db.broken.Load(); why != nil {
		return errs.Wrap(*why, errs.Unavailable, "The database reported an I/O error. Nothing is written until the portal is restarted.")
	}
	tx, err := conn.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return db.noteBroken(classify(err))
	}
	done := false
	defer func() { // also on a panic in fn
		if !done {
			_ = tx.Rollback()
		}
	}()
	t := &Tx{db: db, tx: tx, conn: conn, Now: Time{db.Now().Truncate(time.Millisecond)}}
	if err := fn(t); err != nil {
		return db.noteBroken(err)
	}
	t.endIfLost()
	done = true
	if err := tx.Commit(); err != nil {
		return db.noteBroken(classify(err))
	}
	return nil
}

// noteBroken remembers an I/O error: after a failed fsync the kernel may have dropped the pages that a second try
// would believe written (Rebello et al., USENIX ATC 2020), so the handle is not used again.
func (db *DB) noteBroken(err error) error {
	var e sqlite3.Error
	if errors.As(err, &e) && e.Code == sqlite3.ErrIoErr && !isFull(e) {
		if db.broken.CompareAndSwap(nil, &err) {
			close(db.breaks)
		}
	}
	return err
}

// Broken waits for the I/O error after which nothing is written any more, and gives it; only another process can write
// again. It is nil when ctx ends before.
func (db *DB) Broken(ctx context.Context) error {
	select {
	case <-db.breaks:
		return errs.Wrap(*db.broken.Load(), errs.Unavailable, "The database reported an I/O error, and nothing can be written any more.")
	case <-ctx.Done():
		return nil
	}
}

// Query reads outside of any transaction, on a reader connection.
func (db *DB) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := db.reader.QueryContext(ctx, query, args...)
	return rows, classify(err)
}

// QueryRow reads one row, on a reader connection.
func (db *DB) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return db.reader.QueryRowContext(ctx, query, args...)
}

// Each runs a query and calls scan for every row.
func Each(ctx context.Context, q Querier, scan func(*sql.Rows) error, query string, args ...any) error {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return classify(rows.Err())
}
