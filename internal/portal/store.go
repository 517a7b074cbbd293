package portal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"deployportal/internal/audit"
	"deployportal/internal/auth"
	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
	"deployportal/migrations"
)

// Store is the database with the accounts in it, for commands that work beside a serving portal.
type Store struct {
	db       *sqlite.DB
	Accounts *auth.Accounts
}

// OpenStore opens and migrates the database file; with create it may be a new one. errs.Invalid when a newer portal has
// used it, errs.NotFound when there is none.
func OpenStore(ctx context.Context, path string, create bool) (*Store, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && !create {
		return nil, errs.New(errs.NotFound, "There is no database file %s.", path)
	}
	db, err := sqlite.Open(ctx, path, nil)
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx, migrations.Files); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	accounts, err := auth.New(ctx, auth.Options{DB: db})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Store{db: db, Accounts: accounts}, nil
}

// Close closes the database.
func (s *Store) Close() error { return s.db.Close() }

// Verify computes the audit log's chain anew and, where expect is not empty ("<seq>:<start of its hash>", as a deploy
// writes it on its Deployment), compares that entry. It returns what was found, in a sentence, and whether it is good.
func (s *Store) Verify(ctx context.Context, expect string) (sentence string, good bool, err error) {
	report, err := audit.Verify(ctx, s.db)
	if err != nil {
		return "", false, err
	}
	if report.BadSeq != 0 {
		return fmt.Sprintf("The audit log is broken at entry %d. %s The %d before it are whole.", report.BadSeq, report.Why, report.Entries), false, nil
	}
	whole := fmt.Sprintf("The audit log is whole: %d entries, the last is %d:%s.", report.Entries, report.Head.Seq, report.Head.Hash)
	if expect == "" {
		return whole, true, nil
	}
	var seq int64
	var prefix string
	if _, err := fmt.Sscanf(expect, "%d:%s", &seq, &prefix); err != nil {
		return "", false, errs.New(errs.Invalid, "%q is no <seq>:<hash>, such as 1482:9f1c07aa35b2e411.", expect)
	}
	holds, err := audit.Holds(ctx, s.db, seq, prefix)
	if err != nil {
		return "", false, errs.Wrap(err, errs.Invalid, "The entry cannot be compared: give at least 8 digits of its hash.")
	}
	if !holds {
		return fmt.Sprintf("The audit log does not hold entry %d with hash %s…: its tail was cut off or it was written anew. What is there: %d entries, the last is %d:%s.",
			seq, prefix, report.Entries, report.Head.Seq, report.Head.Hash), false, nil
	}
	return whole + fmt.Sprintf(" It holds entry %d as expected.", seq), true, nil
}
