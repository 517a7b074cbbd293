package sqlite

import (
	"database/sql"
	"errors"

	sqlite3 "github.com/mattn/go-sqlite3"

	"deployportal/internal/errs"
)

// ErrUnique is wrapped by an error of a statement that broke a UNIQUE constraint.
var ErrUnique = errors.New("unique constraint")

// classify gives a driver's error the kind and the sentence it has for a user, by its code, never by its text.
func classify(err error) error {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return err
	}
	if e.ExtendedCode == sqlite3.ErrConstraintUnique || e.ExtendedCode == sqlite3.ErrConstraintPrimaryKey {
		return errors.Join(ErrUnique, err)
	}
	if e.ExtendedCode == sqlite3.ErrConstraintTrigger {
		return errs.Wrap(err, errs.Conflict, "This is over and written down; it does not change any more.")
	}
	const nothing = " Nothing was changed."
	if isFull(e) {
		return errs.Wrap(err, errs.Unavailable, "The database cannot be written: the disk is full."+nothing)
	}
	switch e.Code {
	case sqlite3.ErrReadonly, sqlite3.ErrPerm:
		return errs.Wrap(err, errs.Unavailable, "The database cannot be written: the file is read-only."+nothing)
	case sqlite3.ErrBusy, sqlite3.ErrLocked:
		return errs.Wrap(err, errs.Unavailable, "The database is busy."+nothing+" Try again.")
	case sqlite3.ErrIoErr:
		return errs.Wrap(err, errs.Unavailable, "The database reported an I/O error."+nothing)
	case sqlite3.ErrCantOpen:
		return errs.Wrap(err, errs.Unavailable, "The database file cannot be opened.")
	case sqlite3.ErrCorrupt, sqlite3.ErrNotADB:
		return errs.Wrap(err, errs.Unavailable, "The database file is damaged or is no database.")
	}
	return err
}

// isFull tells a full disk, also where SQLite reports it as an I/O error: the index of the -wal could not grow. That
// happens before anything counts as written and heals when there is room again.
func isFull(e sqlite3.Error) bool {
	return e.Code == sqlite3.ErrFull || e.ExtendedCode == sqlite3.ErrIoErrSHMSize
}

// Row classifies what a Scan of QueryRow returned: found is false for no row.
func Row(err error) (found bool, _ error) {
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, classify(err)
}
