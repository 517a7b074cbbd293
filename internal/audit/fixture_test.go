package audit_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/sqlite"
	"deployportal/migrations"
)

var ctx = context.Background()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newLog opens an empty log whose clock goes on by a second with every entry.
func newLog(t testing.TB, path string) *sqlite.DB {
	t.Helper()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return logAt(t, path, func() time.Time { at = at.Add(time.Second); return at })
}

func logAt(t testing.TB, path string, now func() time.Time) *sqlite.DB {
	t.Helper()
	if path == "" {
		path = filepath.Join(t.TempDir(), "portal.db")
	}
	db, err := sqlite.Open(ctx, path, now)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	must(t, db.Migrate(ctx, migrations.Files))
	return db
}

func ana() audit.Actor {
	return audit.Actor{ID: "user:1", Name: "ana", Source: "web", Addr: "10.0.0.7", Method: "session"}
}

func add(t testing.TB, db *sqlite.DB, e audit.Entry) audit.Entry {
	t.Helper()
	must(t, db.Write(ctx, func(tx *sqlite.Tx) (err error) {
		e, err = audit.Append(ctx, tx, e)
		return err
	}))
	return e
}

// full is an entry with something in every field, different for every n.
func full(n int) audit.Entry {
	return audit.Entry{Actor: ana(), Action: audit.DeploySucceeded, App: "api", Env: "prod", DeployID: int64(n + 1), Subject: "subject",
		Repository: "acme/api", FromTag: "abc1234", FromDigest: "sha256:" + sha(n), ToTag: "def5678", ToDigest: "sha256:" + sha(n+1),
		Reason: "because", Outcome: "succeeded", Detail: "api runs def5678.", RequestID: "req-1", Count: 2}
}

func verify(t testing.TB, db *sqlite.DB) audit.Report {
	t.Helper()
	r, err := audit.Verify(ctx, db)
	must(t, err)
	return r
}
