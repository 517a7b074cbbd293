package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

func insert(tx *sqlite.Tx, text string) error {
	_, err := tx.Exec(context.Background(), `INSERT INTO notes (text) VALUES (?)`, text)
	return err
}

func TestWriteRollsBack(t *testing.T) {
	db := notes(t)
	must(t, db.Write(t.Context(), func(tx *sqlite.Tx) error { return insert(tx, "one") }))

	told := errors.New("no")
	if err := db.Write(t.Context(), func(tx *sqlite.Tx) error { return errors.Join(insert(tx, "two"), told) }); !errors.Is(err, told) {
		t.Errorf("the error of fn came back as %v", err)
	}
	func() {
		defer func() {
			if p := recover(); p != "at the disco" {
				t.Errorf("recovered %v", p)
			}
		}()
		_ = db.Write(t.Context(), func(tx *sqlite.Tx) error {
			must(t, insert(tx, "three"))
			panic("at the disco")
		})
	}()
	done := make(chan struct{})
	go func() { // as t.FailNow in a handler under test does
		defer close(done)
		_ = db.Write(t.Context(), func(tx *sqlite.Tx) error {
			_ = insert(tx, "four")
			runtime.Goexit()
			return nil
		})
	}()
	<-done
	must(t, db.Write(t.Context(), func(tx *sqlite.Tx) error { return insert(tx, "five") })) // the one connection is free again
	if got := texts(t, db); got != "one five" {
		t.Errorf("%q is stored", got)
	}
}

// TestCommitRefused: what only COMMIT finds (a deferred foreign key) rolls back too and leaves the connection usable.
func TestCommitRefused(t *testing.T) {
	db := notes(t)
	must(t, exec(db, `CREATE TABLE child (n INTEGER REFERENCES notes (n) DEFERRABLE INITIALLY DEFERRED)`))
	err := db.Write(t.Context(), func(tx *sqlite.Tx) error {
		_, err := tx.Exec(t.Context(), `INSERT INTO child VALUES (99)`)
		return errors.Join(err, insert(tx, "beside"))
	})
	if err == nil {
		t.Error("a broken foreign key was committed")
	}
	must(t, db.Write(t.Context(), func(tx *sqlite.Tx) error { return insert(tx, "after") }))
	if got := texts(t, db); got != "after" {
		t.Errorf("%q is stored", got)
	}
}

// TestCallerGoesAway: a context that ends in the middle cuts neither a statement nor the commit, so that "was it
// written?" has one answer.
func TestCallerGoesAway(t *testing.T) {
	db := notes(t)
	ctx, cancel := context.WithCancel(t.Context())
	must(t, db.Write(ctx, func(tx *sqlite.Tx) error {
		must(t, insert(tx, "before"))
		cancel()
		var n int
		must(t, tx.QueryRow(ctx, `SELECT count(*) FROM notes`).Scan(&n))
		_, err := tx.Exec(ctx, `INSERT INTO notes (text) VALUES ('after')`)
		must(t, err)
		return sqlite.Each(ctx, tx, func(*sql.Rows) error { n--; return nil }, `SELECT 1 FROM notes`)
	}))
	if got := texts(t, db); got != "before after" {
		t.Errorf("%q is stored", got)
	}
	ran := false
	if err := db.Write(ctx, func(*sqlite.Tx) error { ran = true; return nil }); !errors.Is(err, context.Canceled) || ran {
		t.Errorf("a write that began after the end: %v, ran %v", err, ran)
	}
}

// TestWaiterGoesAway: who waits for another transaction may give up; nothing of it is written.
func TestWaiterGoesAway(t *testing.T) {
	db := notes(t)
	writer, _ := sqlite.Pools(db)
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error, 1)
	must(t, db.Write(t.Context(), func(tx *sqlite.Tx) error {
		before := writer.Stats().WaitCount
		go func() { waiting <- db.Write(ctx, func(tx *sqlite.Tx) error { return insert(tx, "late") }) }()
		for writer.Stats().WaitCount == before { // until it stands in the queue
			select {
			case err := <-waiting:
				t.Fatalf("it did not wait: %v", err)
			default:
			}
		}
		cancel()
		if err := <-waiting; !errors.Is(err, context.Canceled) {
			t.Errorf("the waiter got %v", err)
		}
		return insert(tx, "first")
	}))
	if got := texts(t, db); got != "first" {
		t.Errorf("%q is stored", got)
	}
}

// TestLostTransaction: SQLite rolls a transaction back by itself when the disk is full. A caller that overlooks that
// must not go on statement by statement, each its own transaction.
func TestLostTransaction(t *testing.T) {
	for name, next := range map[string]func(*sqlite.Tx) error{
		"exec": func(tx *sqlite.Tx) error { return insert(tx, "half") },
		"query": func(tx *sqlite.Tx) error {
			return sqlite.Each(t.Context(), tx, func(*sql.Rows) error { return nil }, `INSERT INTO notes (text) VALUES ('half') RETURNING n`)
		},
		"row": func(tx *sqlite.Tx) error {
			var n int
			return tx.QueryRow(t.Context(), `INSERT INTO notes (text) VALUES ('half') RETURNING n`).Scan(&n)
		},
		"commit": func(*sqlite.Tx) error { return sql.ErrTxDone },
	} {
		t.Run(name, func(t *testing.T) {
			db := notes(t)
			err := db.Write(t.Context(), func(tx *sqlite.Tx) error {
				must(t, insert(tx, "first"))
				_, _ = tx.Exec(t.Context(), `ROLLBACK`) // what SQLite does by itself, without a full disk
				if err := next(tx); !errors.Is(err, sql.ErrTxDone) {
					t.Errorf("it went on: %v", err)
				}
				return nil
			})
			if err == nil {
				t.Error("a lost transaction was reported as written")
			}
			must(t, db.Write(t.Context(), func(tx *sqlite.Tx) error { return insert(tx, "next") }))
			if got := texts(t, db); got != "next" {
				t.Errorf("%q is stored", got)
			}
		})
	}
}

// TestUnique: a broken UNIQUE is told apart by kind and does not end the transaction.
func TestUnique(t *testing.T) {
	db := notes(t)
	must(t, db.Write(t.Context(), func(tx *sqlite.Tx) error {
		must(t, insert(tx, "a"))
		if err := insert(tx, "a"); !errors.Is(err, sqlite.ErrUnique) {
			t.Errorf("column: %v", err)
		}
		if _, err := tx.Exec(t.Context(), `INSERT INTO notes VALUES (1, 'b')`); !errors.Is(err, sqlite.ErrUnique) {
			t.Errorf("primary key: %v", err)
		}
		if _, err := tx.Exec(t.Context(), `INSERT INTO notes (text) VALUES (NULL)`); err == nil || errors.Is(err, sqlite.ErrUnique) {
			t.Errorf("not null: %v", err)
		}
		return insert(tx, "c")
	}))
	if got := texts(t, db); got != "a c" {
		t.Errorf("%q is stored", got)
	}
}

func TestRow(t *testing.T) {
	db := notes(t)
	var n int
	if found, err := sqlite.Row(db.QueryRow(t.Context(), `SELECT n FROM notes`).Scan(&n)); found || err != nil {
		t.Errorf("no row: %v %v", found, err)
	}
	if found, err := sqlite.Row(db.QueryRow(t.Context(), `SELECT 1`).Scan(&n)); !found || err != nil {
		t.Errorf("a row: %v %v", found, err)
	}
	if found, err := sqlite.Row(db.QueryRow(t.Context(), `SELECT * FROM nothing`).Scan(&n)); found || err == nil || errs.KindOf(err) != errs.Internal {
		t.Errorf("a fault: %v %v", found, err)
	}
}

// TestManyWriters: writers queue, none is told "busy", and readers see whole transactions only.
func TestManyWriters(t *testing.T) {
	db := notes(t)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 10 {
				if err := db.Write(t.Context(), func(tx *sqlite.Tx) error {
					return errors.Join(insert(tx, fmt.Sprint(w, "-", i, "a")), insert(tx, fmt.Sprint(w, "-", i, "b")))
				}); err != nil {
					t.Error(err)
				}
				var n int
				if err := db.QueryRow(t.Context(), `SELECT count(*) FROM notes`).Scan(&n); err != nil || n%2 != 0 {
					t.Errorf("%d rows are seen: %v", n, err)
				}
			}
		})
	}
	wg.Wait()
	var n int
	must(t, db.QueryRow(t.Context(), `SELECT count(*) FROM notes`).Scan(&n))
	if n != 160 {
		t.Errorf("%d rows", n)
	}
}
