package auth

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
	"deployportal/migrations"
)

const (
	anasPassword = "a long pass phrase of ana"
	bobsPassword = "another one, of bob's own"
	office       = "192.0.2.10"
)

// cheap makes a password cost next to nothing.
var cheap = Params{Memory: 8, Time: 1, Threads: 1}

// fixture is a database in a file, its clock, and the accounts ana (admin everywhere) and bob (deployer in staging).
type fixture struct {
	*Accounts
	t       testing.TB
	hashing Params
	path    string
	db      *sqlite.DB
	derived atomic.Int64 // computations since the start

	mu  sync.Mutex
	now time.Time
}

func newFixture(t *testing.T) *fixture { return newFixtureWith(t, cheap) }

func newFixtureWith(t testing.TB, p Params) *fixture {
	t.Helper()
	f := &fixture{t: t, hashing: p, path: filepath.Join(t.TempDir(), "portal.db"), now: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)}
	f.open()
	t.Cleanup(func() { _ = f.db.Close() })
	f.add("ana", anasPassword, Grant{Role: Admin})
	f.add("bob", bobsPassword, Grant{Role: Deployer, Env: "staging"})
	return f
}

func (f *fixture) open() {
	f.t.Helper()
	ctx := f.t.Context()
	var err error
	if f.db, err = sqlite.Open(ctx, f.path, f.clock); err != nil {
		f.t.Fatal(err)
	}
	if err := f.db.Migrate(ctx, migrations.Files); err != nil {
		f.t.Fatal(err)
	}
	if f.Accounts, err = New(ctx, Options{DB: f.db, Hash: f.hashing}); err != nil {
		f.t.Fatal(err)
	}
	f.derive = func(password, salt []byte, p Params) []byte {
		f.derived.Add(1)
		return argon2id(password, salt, p)
	}
}

// restart closes everything and opens it again.
func (f *fixture) restart() {
	f.t.Helper()
	if err := f.db.Close(); err != nil {
		f.t.Fatal(err)
	}
	f.open()
}

func (f *fixture) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fixture) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func (f *fixture) add(name, password string, grants ...Grant) Account {
	f.t.Helper()
	a, err := f.Add(f.t.Context(), shell(), name, password, grants)
	if err != nil {
		f.t.Fatal(err)
	}
	return a
}

func shell() Actor { return CLIActor().From("", "req-shell") }

// try signs in from addr and gives only the error.
func (f *fixture) try(name, password, addr string) error {
	_, err := f.SignIn(f.t.Context(), name, password, addr, "test browser", "req-1")
	return err
}

// fail fails n times and expects each to be answered as a wrong password.
func (f *fixture) fail(n int, name, addr string) {
	f.t.Helper()
	for range n {
		wantKind(f.t, f.try(name, "certainly not this", addr), errs.Unauthenticated)
	}
}

func (f *fixture) signIn(name, password string) (string, Session) {
	f.t.Helper()
	token, err := f.SignIn(f.t.Context(), name, password, office, "test browser", "req-1")
	if err != nil {
		f.t.Fatal(err)
	}
	s, err := f.Session(f.t.Context(), token)
	if err != nil {
		f.t.Fatal(err)
	}
	return token, s
}

// entries gives the audit log of an action, oldest first, and proves the chain on the way.
func (f *fixture) entries(action string) []audit.Entry {
	f.t.Helper()
	ctx := context.WithoutCancel(f.t.Context())
	if r, err := audit.Verify(ctx, f.db); err != nil || r.BadSeq != 0 {
		f.t.Fatalf("the audit chain: %+v, %v", r, err)
	}
	var out []audit.Entry
	for before := int64(0); ; before = out[0].Seq {
		page, err := audit.List(ctx, f.db, audit.Filter{Action: action, Limit: 1000, Before: before})
		if err != nil {
			f.t.Fatal(err)
		}
		for _, e := range page {
			out = append([]audit.Entry{e}, out...)
		}
		if len(page) < 1000 {
			return out
		}
	}
}

func (f *fixture) last(action string) audit.Entry {
	f.t.Helper()
	all := f.entries(action)
	if len(all) == 0 {
		f.t.Fatalf("there is no entry %s", action)
	}
	return all[len(all)-1]
}

func counted(entries []audit.Entry) (n int64) {
	for _, e := range entries {
		n += e.Count
	}
	return n
}

func (f *fixture) count(table string) (n int) {
	f.t.Helper()
	if err := f.db.QueryRow(context.WithoutCancel(f.t.Context()), `SELECT count(*) FROM `+table).Scan(&n); err != nil {
		f.t.Fatal(err)
	}
	return n
}

// exec runs a statement beside the accounts, to plant a fault.
func (f *fixture) exec(query string) {
	f.t.Helper()
	err := f.db.Write(f.t.Context(), func(tx *sqlite.Tx) error {
		_, err := tx.Exec(f.t.Context(), query)
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

func wantKind(t testing.TB, err error, want errs.Kind) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one of kind %q", want)
	}
	if got := errs.KindOf(err); got != want {
		t.Fatalf("%v is of kind %q, want %q", err, got, want)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func retryAfter(t testing.TB, err error) time.Duration {
	t.Helper()
	var limit *LimitError
	if !errors.As(err, &limit) {
		t.Fatalf("%v has no LimitError", err)
	}
	return limit.RetryAfter
}

// v6 gives the i-th address of a network of /64s that are all different.
func v6(i int) string { return fmt.Sprintf("2001:db8:%x:%x::1", i>>16, i&0xffff) }
