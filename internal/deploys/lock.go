package deploys

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/auth"
	"deployportal/internal/errs"
	"deployportal/internal/foreign"
	"deployportal/internal/sqlite"
)

// LongestLock is how long a lock with an end may stand.
const LongestLock = 30 * 24 * time.Hour

// longestWhy is how long the reason of a lock or a mark may be.
const longestWhy = 500

// Scope is what a lock closes: a target, an environment where App is empty, everything where both are.
type Scope struct{ App, Env string }

// String reads "api in prod", "everything in prod" or "everything".
func (s Scope) String() string {
	switch {
	case s.Env == "":
		return "everything"
	case s.App == "":
		return "everything in " + s.Env
	}
	return Target(s).String()
}

// Title is String at the beginning of a sentence.
func (s Scope) Title() string {
	if s.App != "" {
		return s.String()
	}
	return "E" + s.String()[1:]
}

// Covers tells whether a target lies in the scope.
func (s Scope) Covers(t Target) bool {
	return (s.Env == "" || s.Env == t.Env) && (s.App == "" || s.App == t.App)
}

// Lock closes a scope to deploys. A rollback passes it with a reason; an automatic one always, for it restores.
type Lock struct {
	ID        int64 // the audit entry that recorded it
	Scope     Scope
	Reason    string
	OwnerID   string
	OwnerName string
	Created   time.Time
	Expires   time.Time // zero: until somebody unlocks it
}

// Until says how long the lock stands: "until 2026-11-23 18:00 UTC" or "until somebody unlocks it".
func (l Lock) Until() string {
	if l.Expires.IsZero() {
		return "until somebody unlocks it"
	}
	return "until " + moment(l.Expires)
}

// Says is the lock in a sentence: what, who, since when, until when, why.
func (l Lock) Says() string {
	return fmt.Sprintf("%s is locked by %s since %s, %s: “%s”.", l.Scope.Title(), l.OwnerName, moment(l.Created), l.Until(), l.Reason)
}

// Keeps says what does not happen to a target that the lock covers.
func (l Lock) Keeps(t Target) string {
	return fmt.Sprintf("Until then nothing is deployed to %s; a rollback passes with a reason.", t)
}

// LockRequest asks for a lock.
type LockRequest struct {
	Scope  Scope
	Reason string
	For    time.Duration // 0: until somebody unlocks it
	Actor  auth.Actor
}

// Lock closes a scope to deploys. Errors: errs.Forbidden, errs.Invalid (no reason, a time out of bounds),
// errs.NotFound (no such environment or app), errs.Conflict (locked already, naming who and why), errs.Unavailable. A refusal is an
// audit entry.
func (s *Service) Lock(ctx context.Context, req LockRequest) (Lock, error) {
	l, err := s.lock(ctx, req)
	if err != nil {
		e := audit.Entry{Actor: req.Actor.Audit(), Action: audit.LockCreated, App: req.Scope.App, Env: req.Scope.Env, Reason: req.Reason, RequestID: req.Actor.RequestID}
		return Lock{}, s.refuse(ctx, req.Actor, e, err)
	}
	s.hub.ring(0)
	s.ringAfter(l)
	return l, nil
}

// ringAfter rings when a lock's time is over, for pages that show it: nothing is written then.
func (s *Service) ringAfter(l Lock) {
	if !l.Expires.IsZero() {
		time.AfterFunc(l.Expires.Sub(s.db.Now())+time.Millisecond, func() { s.hub.ring(0) })
	}
}

func (s *Service) lock(ctx context.Context, req LockRequest) (l Lock, err error) {
	if err := s.policy.Allow(req.Actor, auth.Lock, req.Scope.Env); err != nil {
		return l, err
	}
	reason := strings.TrimSpace(req.Reason)
	switch {
	case req.Scope.Env == "" && req.Scope.App != "":
		return l, errs.New(errs.Invalid, "An app is locked in one environment. Name it, or leave out the app to lock everything.")
	case reason == "":
		return l, errs.New(errs.Invalid, "Say why %s is locked: it is what others are told when they are refused.", req.Scope)
	case req.For < 0 || req.For > 0 && req.For < time.Minute || req.For > LongestLock:
		return l, errs.New(errs.Invalid, "A lock lasts from a minute to %d days, or until somebody unlocks it.", LongestLock/(24*time.Hour))
	}
	if req.Scope.Env != "" {
		if err := s.cluster.Ready(Target(req.Scope)); errs.KindOf(err) == errs.NotFound {
			return l, err
		}
	}
	if req.Scope.App != "" {
		if _, err := s.cluster.App(Target(req.Scope)); errs.KindOf(err) == errs.NotFound { // a cluster out of reach is no reason not to lock
			return l, err
		}
	}
	l = Lock{Scope: req.Scope, Reason: reason}
	return l, s.db.Write(ctx, func(tx *sqlite.Tx) error {
		if req.For > 0 {
			l.Expires = tx.Now.Add(req.For)
		}
		return putLock(ctx, tx, &l, req.Actor)
	})
}

// putLock writes a lock and its entry inside tx. errs.Conflict when one of the same scope stands.
func putLock(ctx context.Context, tx *sqlite.Tx, l *Lock, by auth.Actor) error {
	stands, err := locks(ctx, tx, tx.Now.Time, `env = ? AND app = ?`, l.Scope.Env, l.Scope.App)
	if err != nil {
		return err
	}
	if len(stands) > 0 {
		return errs.New(errs.Conflict, "%s %s or an admin can unlock it; then lock it anew.", stands[0].Says(), stands[0].OwnerName)
	}
	l.Reason = foreign.Line(l.Reason, longestWhy)
	l.OwnerID, l.OwnerName, l.Created = by.ID, by.Name, tx.Now.Time
	entry, err := audit.Append(ctx, tx, audit.Entry{Actor: by.Audit(), Action: audit.LockCreated, App: l.Scope.App, Env: l.Scope.Env,
		Subject: lockSubject(l.Scope), Reason: l.Reason, Outcome: "ok", Detail: "It stands " + l.Until() + ".", RequestID: by.RequestID})
	if err != nil {
		return err
	}
	l.ID = entry.Seq
	if _, err := tx.Exec(ctx, `DELETE FROM locks WHERE env = ? AND app = ? -- deploys.putLock: its time is over`, l.Scope.Env, l.Scope.App); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO locks (id, app, env, reason, owner_id, owner_name, created_at, expires_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?) -- deploys.putLock`, l.ID, l.Scope.App, l.Scope.Env, l.Reason, l.OwnerID, l.OwnerName, tx.Now, sqlite.Time{Time: l.Expires})
	return err
}

// prolong makes a lock that stands last until somebody unlocks it, inside tx, with its entry. It stays its owner's, with the
// owner's reason.
func prolong(ctx context.Context, tx *sqlite.Tx, l Lock, why string, by auth.Actor) error {
	if l.Expires.IsZero() {
		return nil
	}
	_, err := audit.Append(ctx, tx, audit.Entry{Actor: by.Audit(), Action: audit.LockCreated, App: l.Scope.App, Env: l.Scope.Env,
		Subject: lockSubject(l.Scope), Reason: foreign.Line(why, longestWhy), Outcome: "ok", RequestID: by.RequestID,
		Detail: fmt.Sprintf("The lock of %s, which was to stand %s, now stands until somebody unlocks it.", l.OwnerName, l.Until())})
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE locks SET expires_at = NULL WHERE id = ? -- deploys.prolong`, l.ID)
	return err
}

// lockSubject names a scope that is no target, which an entry has fields for.
func lockSubject(s Scope) string {
	if s.App != "" {
		return ""
	}
	return s.String()
}

// Unlock takes a lock off: its owner may, while they may lock there, and whoever may unlock for others. Errors:
// errs.Forbidden, errs.NotFound (taken off, or its time is over), errs.Unavailable. A refusal is an audit entry.
func (s *Service) Unlock(ctx context.Context, by auth.Actor, id int64) error {
	e := audit.Entry{Actor: by.Audit(), Action: audit.LockRemoved, RequestID: by.RequestID}
	err := s.db.Write(ctx, func(tx *sqlite.Tx) error {
		stands, err := locks(ctx, tx, tx.Now.Time, `id = ?`, id)
		if err != nil {
			return err
		}
		if len(stands) == 0 || s.policy.Allow(by, auth.View, stands[0].Scope.Env) != nil && stands[0].Scope.Env != "" {
			return errs.New(errs.NotFound, "There is no lock %d: it was taken off, or its time is over. Nothing is left to unlock.", id)
		}
		l := stands[0]
		e.App, e.Env, e.Subject = l.Scope.App, l.Scope.Env, lockSubject(l.Scope)
		if err := s.mayUnlock(by, l); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM locks WHERE id = ? -- deploys.Unlock`, id); err != nil {
			return err
		}
		done := e
		done.Outcome, done.Detail = "ok", fmt.Sprintf("It was locked by %s since %s: “%s”.", l.OwnerName, moment(l.Created), l.Reason)
		_, err = audit.Append(ctx, tx, done)
		return err
	})
	if err != nil {
		return s.refuse(ctx, by, e, err)
	}
	s.hub.ring(0)
	return nil
}

func (s *Service) mayUnlock(by auth.Actor, l Lock) error {
	if by.ID == l.OwnerID && s.policy.Allow(by, auth.Lock, l.Scope.Env) == nil {
		return nil
	}
	if err := s.policy.Allow(by, auth.Unlock, l.Scope.Env); err != nil {
		return errs.Wrap(err, errs.Forbidden, "%s has locked %s since %s. Ask %s or an admin to unlock it.", l.OwnerName, l.Scope, moment(l.Created), l.OwnerName)
	}
	return nil
}

// Locks lists the locks that stand, the widest first.
func (s *Service) Locks(ctx context.Context) ([]Lock, error) {
	return locks(ctx, s.db, s.db.Now(), `1 ORDER BY env <> '', env, app <> '', app`)
}

// MayUnlock tells whether somebody may take a lock off, for a page.
func (s *Service) MayUnlock(by auth.Actor, l Lock) bool { return s.mayUnlock(by, l) == nil }

// locks reads the locks that stand at a time. Nothing has to take an expired one away.
func locks(ctx context.Context, q sqlite.Querier, now time.Time, where string, args ...any) (out []Lock, err error) {
	err = sqlite.Each(ctx, q, func(rows *sql.Rows) error {
		var l Lock
		var created, expires sqlite.Time
		err := rows.Scan(&l.ID, &l.Scope.App, &l.Scope.Env, &l.Reason, &l.OwnerID, &l.OwnerName, &created, &expires)
		l.Created, l.Expires = created.Time, expires.Time
		out = append(out, l)
		return err
	}, `SELECT id, app, env, reason, owner_id, owner_name, created_at, expires_at FROM locks
		WHERE (expires_at IS NULL OR expires_at > ?) AND `+where+` -- deploys.locks`, append([]any{sqlite.Time{Time: now}}, args...)...)
	if err != nil {
		return nil, errs.Wrap(fmt.Errorf("reading locks: %w", err), errs.Unavailable, "Whether it is locked cannot be read, so nothing is done. Try again; the portal's log has the reason.")
	}
	return out, nil
}

// lockOn gives the lock that keeps a target closed longest; nil where there is none.
func lockOn(ctx context.Context, tx *sqlite.Tx, t Target) (*Lock, error) {
	stands, err := locks(ctx, tx, tx.Now.Time, `(env = '' OR env = ? AND app IN ('', ?)) ORDER BY expires_at IS NOT NULL, expires_at DESC, id LIMIT 1`, t.Env, t.App)
	if err != nil || len(stands) == 0 {
		return nil, err
	}
	return &stands[0], nil
}

// passLock refuses what a lock closes out. Of a rollback that passes one it gives the sentence that says so. To adopt a
// change sends nothing, so no lock is in its way.
func passLock(ctx context.Context, tx *sqlite.Tx, req Request, kind Kind) (passed string, err error) {
	l, err := lockOn(ctx, tx, req.Target)
	switch {
	case err != nil || l == nil || kind == KindAdopt:
		return "", err
	case kind != KindRollback:
		return "", errs.New(errs.Conflict, "%s %s %s or an admin can unlock it.", l.Says(), l.Keeps(req.Target), l.OwnerName)
	case strings.TrimSpace(req.Reason) == "":
		return "", errs.New(errs.Invalid, "%s A rollback passes the lock only with a reason: say why.", l.Says())
	}
	return l.passed(), nil
}

// passed says in the log that a rollback has gone past the lock.
func (l Lock) passed() string {
	return fmt.Sprintf("Passed the lock of %s on %s: “%s”.", l.OwnerName, l.Scope, l.Reason)
}

// moment is a time with its day: what is told may last.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
