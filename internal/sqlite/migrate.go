package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strings"

	"deployportal/internal/errs"
)

// Migrate brings the schema up to the files of src (0001_name.sql, 0002_..., in the order of their names), each in
// one transaction with its record. It refuses a database that a newer portal has migrated further, and one whose
// applied migrations differ from the files: both would be read wrongly.
func (db *DB) Migrate(ctx context.Context, src fs.FS) error {
	names, err := fs.Glob(src, "[0-9][0-9][0-9][0-9]_*.sql")
	if err != nil {
		return fmt.Errorf("fs.Glob(migrations): %w", err)
	}
	err = db.Write(ctx, func(tx *Tx) error {
		_, err := tx.Exec(ctx, `CREATE TABLE IF NOT EXISTS migrations (
			n INTEGER PRIMARY KEY, name TEXT NOT NULL, hash TEXT NOT NULL, at TEXT NOT NULL) STRICT`)
		return err
	})
	if err != nil {
		return fmt.Errorf("creating the table of migrations: %w", err)
	}
	for i, name := range names {
		if want := fmt.Sprintf("%04d_", i+1); !strings.HasPrefix(name, want) {
			return fmt.Errorf("migration %s: the next one is %s...: numbers are without gaps and twins", name, want)
		}
		text, err := fs.ReadFile(src, name)
		if err != nil {
			return fmt.Errorf("fs.ReadFile(%s): %w", name, err)
		}
		if err := db.migrateOne(ctx, i+1, name, text); err != nil {
			return fmt.Errorf("migration %s: %w", name, err)
		}
	}
	return db.refuseNewer(ctx, len(names))
}

func (db *DB) migrateOne(ctx context.Context, n int, name string, text []byte) error {
	sum := sha256.Sum256(text)
	hash := hex.EncodeToString(sum[:])
	return db.Write(ctx, func(tx *Tx) error {
		var was string
		found, err := Row(tx.QueryRow(ctx, `SELECT hash FROM migrations WHERE n = ?`, n).Scan(&was))
		switch {
		case err != nil:
			return err
		case found && was != hash:
			return errs.New(errs.Invalid, "The database was migrated by another version of %s: this portal cannot read it.", name)
		case found:
			return nil
		}
		if _, err := tx.Exec(ctx, string(text)); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO migrations (n, name, hash, at) VALUES (?, ?, ?, ?)`, n, name, hash, tx.Now)
		return err
	})
}

func (db *DB) refuseNewer(ctx context.Context, known int) error {
	var newest sql.NullInt64
	if _, err := Row(db.QueryRow(ctx, `SELECT max(n) FROM migrations`).Scan(&newest)); err != nil {
		return err
	}
	if int(newest.Int64) > known {
		return errs.New(errs.Invalid,
			"The database has schema %d, this portal knows up to %d: a newer portal has used it. Start that one, or restore a backup from before.",
			newest.Int64, known)
	}
	return nil
}
