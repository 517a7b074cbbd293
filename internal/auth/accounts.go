package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

// Options is what Accounts needs.
type Options struct {
	DB   *sqlite.DB   // migrated
	Log  *slog.Logger // nil: nothing is logged
	Hash Params       // the cost of a password; zero: DefaultParams
}

// Accounts keeps local accounts, signs them in and knows their sessions. Its methods are safe for concurrent use.
// A method that changes something writes its audit entry in the same transaction: where the entry cannot be written,
// it changes nothing and gives errs.Unavailable.
type Accounts struct {
	db          *sqlite.DB
	log         *slog.Logger
	params      Params
	derive      kdf
	dummy       phc
	key         []byte // of nameKey
	slots       *slots
	folder      folder
	maxFailures int
	every       time.Duration // how often Run works
}

// New gives the accounts of a database. It fails when the database cannot be read.
func New(ctx context.Context, o Options) (*Accounts, error) {
	a := &Accounts{db: o.DB, log: o.Log, params: o.Hash, derive: argon2id, slots: newSlots(), maxFailures: maxFailures, every: 30 * time.Second}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.params == (Params{}) {
		a.params = DefaultParams()
	}
	a.dummy = dummyPHC(a.params)
	found, err := sqlite.Row(a.db.QueryRow(ctx, `SELECT key FROM sign_in_key -- auth.New`).Scan(&a.key))
	if err == nil && !found {
		err = errors.New("it is not there")
	}
	return a, wrap(err, "reading the key of the sign-in limits")
}

// Account is a local account as people see it.
type Account struct {
	ID       int64
	Name     string
	Grants   []Grant // by environment
	Created  time.Time
	Disabled time.Time // zero: enabled
	SignedIn time.Time // last; zero: never
}

// isAdmin tells whether the account can manage accounts.
func (a *Account) isAdmin() bool {
	return a.Disabled.IsZero() && slices.Contains(a.Grants, Grant{Role: Admin})
}

// stored is an account with what is never shown.
type stored struct {
	Account
	hash       string
	passwordNo int64 // goes up with each new password, not with a new hash of the same
}

var (
	nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	envForm  = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
)

// canonical gives the name an account has that is typed like this: case and spaces around it do not matter. Only
// ASCII is folded: other letters never become part of a name.
func canonical(name string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, strings.TrimSpace(name))
}

// CheckName gives the canonical form of a name for a new account, or errs.Invalid with a sentence.
func CheckName(name string) (string, error) {
	name = canonical(name)
	if !nameForm.MatchString(name) {
		return "", errs.New(errs.Invalid,
			"An account's name has 1 to 64 letters, digits, dots, dashes and underscores, and begins with a letter or a digit.")
	}
	return name, nil
}

// checkGrants gives the grants sorted by environment, or errs.Invalid with a sentence.
func checkGrants(grants []Grant) ([]Grant, error) {
	if len(grants) == 0 {
		return nil, errs.New(errs.Invalid, "Give at least one role: viewer, deployer or admin.")
	}
	grants = slices.SortedFunc(slices.Values(grants), func(x, y Grant) int { return strings.Compare(x.Env, y.Env) })
	for i, g := range grants {
		switch {
		case !g.Role.Valid():
			return nil, errs.New(errs.Invalid, "There is no such role. The roles are viewer, deployer and admin.")
		case g.Env != "" && !envForm.MatchString(g.Env):
			return nil, errs.New(errs.Invalid, "An environment's name has small letters, digits, dots and dashes only.")
		case i > 0 && grants[i-1].Env == g.Env:
			return nil, errs.New(errs.Invalid, "Give one role per environment: %s has two.", where(g.Env))
		}
	}
	return grants, nil
}

func where(env string) string {
	if env == "" {
		return "all environments"
	}
	return env
}

// describe says what grants allow, for the audit log: "deployer in prod, viewer in all environments".
func describe(grants []Grant) string {
	var parts []string
	for _, g := range grants {
		parts = append(parts, string(g.Role)+" in "+where(g.Env))
	}
	if parts == nil {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

// Any tells whether there is an account. While there is none, nobody can sign in, and the log and the sign-in page
// say how to add the first.
func (a *Accounts) Any(ctx context.Context) (bool, error) {
	var any bool
	_, err := sqlite.Row(a.db.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM accounts) -- auth.Any`).Scan(&any))
	return any, wrap(err, "looking for an account")
}

// List gives every account, by name.
func (a *Accounts) List(ctx context.Context) ([]Account, error) {
	rows, err := accounts(ctx, a.db, ``)
	out := make([]Account, len(rows))
	for i := range rows {
		out[i] = rows[i].Account
	}
	return out, err
}

// Get gives one account by its name. errs.NotFound when there is none.
func (a *Accounts) Get(ctx context.Context, name string) (Account, error) {
	s, err := a.get(ctx, a.db, name)
	return s.Account, err
}

func (a *Accounts) get(ctx context.Context, q sqlite.Querier, name string) (stored, error) {
	s, found, err := lookup(ctx, q, canonical(name))
	if err == nil && !found {
		err = errs.New(errs.NotFound, "There is no account of that name.")
	}
	return s, err
}

// lookup reads one account by its canonical name.
func lookup(ctx context.Context, q sqlite.Querier, name string) (stored, bool, error) {
	rows, err := accounts(ctx, q, `WHERE a.name = ?`, name)
	if err != nil || len(rows) == 0 {
		return stored{}, false, err
	}
	return rows[0], true, nil
}

// accounts reads accounts with their grants, by name.
func accounts(ctx context.Context, q sqlite.Querier, cond string, args ...any) ([]stored, error) {
	var out []stored
	err := sqlite.Each(ctx, q, func(rows *sql.Rows) error {
		var s stored
		var created, disabled, signedIn sqlite.Time
		var role, env sql.NullString
		err := rows.Scan(&s.ID, &s.Name, &s.hash, &s.passwordNo, &created, &disabled, &signedIn, &role, &env)
		if err != nil {
			return err
		}
		s.Created, s.Disabled, s.SignedIn = created.Time, disabled.Time, signedIn.Time
		if n := len(out); n == 0 || out[n-1].ID != s.ID {
			out = append(out, s)
		}
		if role.Valid {
			last := &out[len(out)-1]
			last.Grants = append(last.Grants, Grant{Role: Role(role.String), Env: env.String})
		}
		return nil
	}, `SELECT a.id, a.name, a.password_hash, a.password_no, a.created_at, a.disabled_at, a.signed_in_at, g.role, g.env
		FROM accounts a LEFT JOIN grants g ON g.account_id = a.id `+cond+` ORDER BY a.name, g.env -- auth.accounts`, args...)
	return out, wrap(err, "reading accounts")
}

// change runs fn and writes its audit entry in one transaction. fn returns what the entry says; changed false means
// that nothing was to be done and nothing is recorded. A refusal (Forbidden, Conflict) is
// recorded after the transaction is rolled back.
func (a *Accounts) change(ctx context.Context, by Actor, action, name string, fn func(*sqlite.Tx) (detail string, changed bool, err error)) error {
	err := a.db.Write(ctx, func(tx *sqlite.Tx) error {
		detail, changed, err := fn(tx)
		if err != nil || !changed {
			return err
		}
		return record(ctx, tx, audit.Entry{Actor: by.Audit(), Action: action, Subject: name, Outcome: "ok", Detail: detail, RequestID: by.RequestID})
	})
	return a.refusal(ctx, by, action, name, err)
}

// allow asks the policy whether by may manage accounts, and records when not.
func (a *Accounts) allow(ctx context.Context, by Actor, action, name string) error {
	return a.refusal(ctx, by, action, name, Policy{}.Allow(by, Manage, ""))
}

// refusal records err where it is a refusal, and returns it.
func (a *Accounts) refusal(ctx context.Context, by Actor, action, name string, err error) error {
	switch errs.KindOf(err) {
	case errs.Unauthenticated, errs.Forbidden, errs.Conflict:
	default:
		return err
	}
	r := Refusal{Actor: by, Action: action, Subject: canonical(name), Detail: errs.Public(err)}
	if !nameForm.MatchString(r.Subject) {
		r.Subject = unknownAccount
	}
	if r.Actor.Source == "" {
		r.Actor.Source = "web" // the zero Actor: whoever it was came by no door that signs people in
	}
	if failed := a.Refused(ctx, r); failed != nil {
		return errors.Join(err, fmt.Errorf("recording the refusal: %w", failed))
	}
	return err
}
