// Package sqlite opens the one database file: one writer, a few readers, settings that survive a power cut, and
// errors by kind. It knows no table.
//
// Writes exist only on *Tx, so a query inside a transaction cannot slip past it; nothing that waits for a network
// belongs in one.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
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
	broken         atomic.Pointer[string] // set by the first I/O error: the handle is not trusted after it
}

// Querier reads. *Tx and the reader handed out by Read satisfy it.
type Querier interface {
	Query(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRow(ctx context.Context, query string, args ...any) *sql.Row
}

// Open opens or creates the file. It fails on an SQLite older than 3.51.3 and when a setting that durability rests
// on does not read back as asked. now is the clock of every transaction; nil means time.Now.
func Open(ctx context.Context, path string, now func() time.Time) (*DB, error) {
	if lib, n, _ := sqlite3.Version(); n < minVersion {
		return nil, fmt.Errorf("SQLite %s is too old: 3.51.3 or newer is needed", lib)
	}
	if now == nil {
		now = time.Now
	}
	db := &DB{now: now}
	var err error
	if db.writer, err = open(ctx, path, "_txlock=immediate", 1); err != nil {
		return nil, err
	}
	if db.reader, err = open(ctx, path, "_query_only=on", readers); err != nil {
		return nil, errors.Join(err, db.writer.Close())
	}
	return db, nil
}

func open(ctx context.Context, path, extra string, conns int) (*sql.DB, error) {
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_busy_timeout=5000&_journal_mode=WAL&_synchronous=FULL&_foreign_keys=on&_recursive_triggers=on&" + extra
	db, err := sql.Open("sqlite3", dsn)
	if err != nil {
		return nil, fmt.Errorf("sql.Open(%s): %w", path, err)
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	if err := readBack(ctx, db); err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", path, classify(err)), db.Close())
	}
	return db, nil
}

// readBack proves the settings instead of trusting the driver to have understood them.
func readBack(ctx context.Context, db *sql.DB) error {
	for _, p := range []struct{ name, want string }{
		{"journal_mode", "wal"}, {"synchronous", "2"}, {"foreign_keys", "1"}, {"recursive_triggers", "1"},
	} {
		var got string
		if err := db.QueryRowContext(ctx, "PRAGMA "+p.name).Scan(&got); err != nil {
			return fmt.Errorf("PRAGMA %s: %w", p.name, err)
		}
		if got != p.want {
			return fmt.Errorf("PRAGMA %s is %s, not %s", p.name, got, p.want)
		}
	}
	return nil
}

// Close closes both handles.
func (db *DB) Close() error { return errors.Join(db.reader.Close(), db.writer.Close()) }

// Now reads the database's clock, for what is compared with stored times.
func (db *DB) Now() time.Time { return db.now().UTC() }

// Tx is one write transaction with one time for all it writes.
type Tx struct {
	tx  *sql.Tx
	Now Time
}

// Query runs a query inside the transaction.
func (tx *Tx) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := tx.tx.QueryContext(ctx, query, args...)
	return rows, classify(err)
}

// QueryRow runs a query for one row inside the transaction.
func (tx *Tx) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return tx.tx.QueryRowContext(ctx, query, args...)
}

// Exec runs a statement inside the transaction.
func (tx *Tx) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	res, err := tx.tx.ExecContext(ctx, query, args...)
	return res, classify(err)
}

// Write runs fn in one immediate transaction and commits it durably: when it returns nil, the rows survive a power
// cut. An error of fn rolls back and is returned as it is. A ctx that ends after the start does not cut the
// transaction, so a caller that goes away never leaves a commit in doubt.
func (db *DB) Write(ctx context.Context, fn func(*Tx) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	if why := db.broken.Load(); why != nil {
		return errs.New(errs.Unavailable, "The database reported an I/O error (%s). Nothing is written until the portal is restarted.", *why)
	}
	ctx = context.WithoutCancel(ctx)
	tx, err := db.writer.BeginTx(ctx, nil)
	if err != nil {
		return db.noteBroken(classify(err))
	}
	done := false
	defer func() { // also on a panic in fn
		if !done {
			_ = tx.Rollback()
		}
	}()
	if err := fn(&Tx{tx: tx, Now: Time{db.Now().Truncate(time.Millisecond)}}); err != nil {
		return db.noteBroken(err)
	}
	done = true
	if err := tx.Commit(); err != nil {
		_ = tx.Rollback()
		return db.noteBroken(classify(err))
	}
	return nil
}

// noteBroken remembers an I/O error: after a failed fsync the kernel may have dropped the pages that a second try
// would believe written (Rebello et al., USENIX ATC 2020), so the handle is not used again.
func (db *DB) noteBroken(err error) error {
	var e sqlite3.Error
	if errors.As(err, &e) && e.Code == sqlite3.ErrIoErr {
		why := e.Error()
		db.broken.CompareAndSwap(nil, &why)
	}
	return err
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
