package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/errs"
	"deployportal/internal/foreign"
	"deployportal/internal/sqlite"
)

// A session ends this long after its last request, or this long after it began, whichever comes first.
const (
	SessionIdle = 12 * time.Hour
	SessionLife = 7 * 24 * time.Hour
)

// seenEvery is how exactly the last request of a session is known: each time it is noted costs a write.
const seenEvery = time.Minute

const tokenLen = 32

// Session is an open session of an account.
type Session struct {
	ID        int64 // never used again; what a stream keeps for Check
	AccountID int64
	Actor     Actor // with the grants of now; Addr is of the sign-in until Actor.From gives it the request's
	Created   time.Time
	Seen      time.Time // last request, a minute or less too early
	Expires   time.Time // when it ends even if used
	UserAgent string
}

// errEnded is the one answer for every session that is none.
func errEnded() error {
	return errs.New(errs.Unauthenticated, "You are signed out. Sign in again.")
}

// actor gives who acts when the account does.
func (s *stored) actor() Actor {
	return Actor{ID: "user:" + strconv.FormatInt(s.ID, 10), Name: s.Name, Source: "web", Method: "password", Grants: s.Grants}
}

// Session gives the session of a token and notes that it is used. errs.Unauthenticated when there is none, it has
// expired or was ended, or its account is disabled. It costs one indexed read, and a write once a minute.
func (a *Accounts) Session(ctx context.Context, token string) (Session, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != tokenLen {
		return Session{}, errEnded()
	}
	hash := sha256.Sum256(raw)
	now := a.db.Now()
	s, err := a.session(ctx, a.db, now, `s.token_hash = ?`, hash[:])
	if err != nil || now.Sub(s.Seen) < seenEvery {
		return s, err
	}
	err = a.db.Write(ctx, func(tx *sqlite.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE sessions SET seen_at = ? WHERE id = ? AND seen_at < ? -- auth.Session`, tx.Now, s.ID, tx.Now)
		return err
	})
	if err != nil {
		// Reading must go on while nothing can be written; the session then only ends early.
		a.log.WarnContext(ctx, "a session's last use was not noted", "session", s.ID, "err", err)
	}
	return s, nil
}

// Check looks again at a session by its id, for a stream that is open longer than a request: it gives the session
// with the grants of now, or errs.Unauthenticated as Session does. It does not count as use, so a forgotten page
// does not keep a session alive.
func (a *Accounts) Check(ctx context.Context, id int64) (Session, error) {
	return a.session(ctx, a.db, a.db.Now(), `s.id = ?`, id)
}

// Sessions lists the open sessions of an account, newest first.
func (a *Accounts) Sessions(ctx context.Context, accountID int64) ([]Session, error) {
	return sessions(ctx, a.db, a.db.Now(), `s.account_id = ?`, accountID)
}

// SignOut ends one session. One that has ended already is no error and no entry.
func (a *Accounts) SignOut(ctx context.Context, s Session) error {
	return a.change(ctx, s.Actor, audit.SignedOut, s.Actor.Name, func(tx *sqlite.Tx) (string, bool, error) {
		res, err := tx.Exec(ctx, `DELETE FROM sessions WHERE id = ? -- auth.SignOut`, s.ID)
		if err != nil {
			return "", false, fmt.Errorf("ending a session: %w", err)
		}
		n, err := res.RowsAffected()
		return "", n > 0, err
	})
}

func (a *Accounts) session(ctx context.Context, q sqlite.Querier, now time.Time, cond string, arg any) (Session, error) {
	found, err := sessions(ctx, q, now, cond, arg)
	if err == nil && len(found) == 0 {
		err = errEnded()
	}
	if err != nil {
		return Session{}, err
	}
	return found[0], nil
}

// sessions reads those sessions that are good at now, with the grants of their accounts.
func sessions(ctx context.Context, q sqlite.Querier, now time.Time, cond string, arg any) ([]Session, error) {
	var out []Session
	err := sqlite.Each(ctx, q, func(rows *sql.Rows) error {
		var s Session
		var who stored
		var addr string
		var created, seen sqlite.Time
		var role, env sql.NullString
		if err := rows.Scan(&s.ID, &created, &seen, &addr, &s.UserAgent, &who.ID, &who.Name, &role, &env); err != nil {
			return err
		}
		if n := len(out); n == 0 || out[n-1].ID != s.ID {
			s.AccountID, s.Actor = who.ID, who.actor().From(addr, "")
			s.Created, s.Seen, s.Expires = created.Time, seen.Time, created.Add(SessionLife)
			out = append(out, s)
		}
		if role.Valid {
			last := &out[len(out)-1].Actor
			last.Grants = append(last.Grants, Grant{Role: Role(role.String), Env: env.String})
		}
		return nil
	}, `SELECT s.id, s.created_at, s.seen_at, s.addr, s.user_agent, a.id, a.name, g.role, g.env
		FROM sessions s JOIN accounts a ON a.id = s.account_id LEFT JOIN grants g ON g.account_id = a.id
		WHERE `+cond+` AND a.disabled_at IS NULL AND s.seen_at > ? AND s.created_at > ? ORDER BY s.id DESC, g.env -- auth.sessions`,
		arg, sqlite.Time{Time: now.Add(-SessionIdle)}, sqlite.Time{Time: now.Add(-SessionLife)})
	return out, wrap(err, "reading sessions")
}

// insertSession opens a session and gives its token, of which only the hash is stored.
func insertSession(ctx context.Context, tx *sqlite.Tx, accountID int64, addr, userAgent string) (string, error) {
	raw := make([]byte, tokenLen)
	_, _ = rand.Read(raw) // never fails: the runtime ends the process instead
	hash := sha256.Sum256(raw)
	_, err := tx.Exec(ctx, `INSERT INTO sessions (token_hash, account_id, created_at, seen_at, addr, user_agent)
		VALUES (?, ?, ?, ?, ?, ?) -- auth.insertSession`,
		hash[:], accountID, tx.Now, tx.Now, foreign.Line(addr, 100), foreign.Line(userAgent, 300))
	if err != nil {
		return "", fmt.Errorf("opening a session: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(raw), nil
}

// Sweep deletes what has expired: sessions, link codes, and failed sign-ins that no limit counts any more. Nothing depends on
// when it runs, only the size of the file.
func (a *Accounts) Sweep(ctx context.Context) error {
	return a.db.Write(ctx, func(tx *sqlite.Tx) error {
		before := func(d time.Duration) sqlite.Time { return sqlite.Time{Time: tx.Now.Add(-d)} }
		_, err := tx.Exec(ctx, `DELETE FROM sessions WHERE created_at <= ? OR seen_at <= ? -- auth.Sweep`, before(SessionLife), before(SessionIdle))
		if err != nil {
			return fmt.Errorf("deleting expired sessions: %w", err)
		}
		if _, err := tx.Exec(ctx, `DELETE FROM sign_in_failures WHERE at <= ? -- auth.Sweep`, before(failWindow)); err != nil {
			return fmt.Errorf("deleting old failed sign-ins: %w", err)
		}
		_, err = tx.Exec(ctx, `DELETE FROM slack_codes WHERE expires_at <= ? -- auth.Sweep`, tx.Now)
		return wrap(err, "deleting expired link codes")
	})
}

// Run sweeps and flushes every 30 s until ctx ends, and once more then. What fails is logged and tried again: it
// always returns nil.
func (a *Accounts) Run(ctx context.Context) error {
	tick := time.NewTicker(a.every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			a.tidy(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			a.tidy(last)
			return nil
		}
	}
}

func (a *Accounts) tidy(ctx context.Context) {
	if err := errors.Join(a.Sweep(ctx), a.Flush(ctx)); err != nil && ctx.Err() == nil {
		a.log.ErrorContext(ctx, "tidying sessions and refusals", "err", err)
	}
}
