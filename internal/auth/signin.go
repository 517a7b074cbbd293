package auth

import (
	"context"
	"fmt"

	"deployportal/internal/audit"
	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

// Purposes of nameKey. Guesses at the old password in a stolen session are counted apart from sign-ins, so that
// strangers who lock an account out cannot keep its owner from changing the password.
const (
	forSignIn = "sign in"
	forChange = "change password"
)

// attempt is one try to prove a password, from its first check to its end.
type attempt struct {
	who     stored // zero when there is no such account
	by      Actor  // who tries, as the audit log names it when it fails
	action  string // what the audit log calls a failure
	subject string
	key     limitKey

	sentence string                                                                          // what a wrong password is answered with
	prepare  func() string                                                                   // when it was right: what else must be hashed, outside of any transaction
	success  func(ctx context.Context, tx *sqlite.Tx, hash string) (token string, err error) // what then is written
}

// SignIn checks a name and a password and opens a session. The token goes to the browser and is stored nowhere; each
// sign-in has a new one. addr is where the request came from, as the web layer determined it.
//
// errs.TooMany (with a *LimitError) when the name or the address failed too often, or too many people sign in at
// once; errs.Unauthenticated when the name, the password or the account is not good, with one sentence for all of
// them; errs.Unavailable when it cannot be recorded. Nothing in the answer, nor in its time, tells whether there is
// an account of that name.
func (a *Accounts) SignIn(ctx context.Context, name, password, addr, userAgent, requestID string) (token string, err error) {
	name = canonical(name)
	who, known, err := lookup(ctx, a.db, name)
	if err != nil {
		return "", err
	}
	try := attempt{who: who, by: anonymous("web", addr, requestID), action: audit.SignInRefused, subject: unknownAccount,
		key: limitKey{account: a.nameKey(forSignIn, name), addr: addrKey(addr), known: known}}
	if known {
		try.subject = who.Name
	}
	try.sentence = "Name or password is not right."
	try.prepare = func() string { return a.renewed(who.hash, password) }
	try.success = func(ctx context.Context, tx *sqlite.Tx, renewed string) (string, error) {
		return open(ctx, tx, try, renewed, userAgent)
	}
	return a.prove(ctx, try, password)
}

// ChangePassword replaces the password of the session's own account. It ends all its sessions, this one too, and
// opens a new one, whose token it returns. errs.Invalid when wanted cannot be a password; errs.Forbidden when old
// is wrong; errs.TooMany when it was wrong too often; errs.Unauthenticated when the session has ended meanwhile.
func (a *Accounts) ChangePassword(ctx context.Context, s Session, old, wanted string) (token string, err error) {
	who, found, err := lookup(ctx, a.db, s.Actor.Name)
	if err != nil {
		return "", err
	}
	if !found || who.ID != s.AccountID {
		return "", errEnded()
	}
	if old == wanted {
		return "", errs.New(errs.Invalid, "The new password is the old one.")
	}
	if err := CheckPassword(wanted); err != nil {
		return "", err
	}
	try := attempt{who: who, by: s.Actor, action: audit.UserPassword, subject: who.Name,
		key: limitKey{account: a.nameKey(forChange, who.Name), known: true}}
	try.sentence = "The old password is not right."
	// In the slot that the old one was checked in: a change is one turn in the queue, not two.
	try.prepare = func() string { return newPHC(wanted, a.params, a.derive).String() }
	try.success = func(ctx context.Context, tx *sqlite.Tx, hash string) (string, error) {
		return a.replaceOwn(ctx, tx, s, try.key, hash)
	}
	return a.prove(ctx, try, old)
}

// replaceOwn writes what a good change of one's own password leaves behind.
func (a *Accounts) replaceOwn(ctx context.Context, tx *sqlite.Tx, s Session, key limitKey, hash string) (string, error) {
	if _, err := a.session(ctx, tx, tx.Now.Time, `s.id = ?`, s.ID); err != nil {
		return "", err
	}
	told, err := replacePassword(ctx, tx, s.AccountID, hash)
	if err != nil {
		return "", err
	}
	err = record(ctx, tx, audit.Entry{Actor: s.Actor.Audit(), Action: audit.UserPassword, Subject: s.Actor.Name, Outcome: "ok",
		Detail: "Changed by its owner. " + told, RequestID: s.Actor.RequestID})
	if err != nil {
		return "", err
	}
	if err := forget(ctx, tx, key.account); err != nil {
		return "", err
	}
	return insertSession(ctx, tx, s.AccountID, s.Actor.Addr, s.UserAgent)
}

// prove checks a password under the limits and decides. Limits are asked three times: at once, so that a locked
// attempt costs nothing; when its turn in the queue has come; and in the deciding transaction, so that attempts at
// the same time get no answer beyond the limit.
func (a *Accounts) prove(ctx context.Context, try attempt, password string) (string, error) {
	if err := limited(ctx, a.db, a.db.Now(), try.key); err != nil {
		return "", a.turnAway(ctx, try, err)
	}
	if err := a.slots.acquire(ctx); err != nil {
		return "", a.turnAway(ctx, try, err)
	}
	defer a.slots.release()
	if err := limited(ctx, a.db, a.db.Now(), try.key); err != nil {
		return "", a.turnAway(ctx, try, err)
	}
	good, err := a.verify(try.who, password)
	if err != nil {
		return "", err
	}
	hash := ""
	if good {
		hash = try.prepare()
	}
	// From here on the attempt counts, even when whoever made it goes away without waiting for the answer.
	return a.decide(context.WithoutCancel(ctx), try, good, hash)
}

// decide writes how an attempt ended, in one transaction: a failure counted and recorded, or what success leaves.
func (a *Accounts) decide(ctx context.Context, try attempt, good bool, hash string) (token string, err error) {
	var refused error // an answer, not a failure: what is written with it is committed
	err = a.db.Write(ctx, func(tx *sqlite.Tx) error {
		err := limited(ctx, tx, tx.Now.Time, try.key)
		if errs.KindOf(err) == errs.TooMany {
			refused = err
			return fold(ctx, tx, newTally(try.refusal(err)))
		}
		if err != nil {
			return err
		}
		if good, err = stillGood(ctx, tx, try.who, good); err != nil {
			return err
		}
		if good {
			token, err = try.success(ctx, tx, hash)
			return err
		}
		kind := errs.Unauthenticated
		if try.action != audit.SignInRefused {
			kind = errs.Forbidden // somebody is signed in
		}
		refused = errs.New(kind, "%s", try.sentence)
		if err := a.countFailure(ctx, tx, try.key); err != nil {
			return err
		}
		return fold(ctx, tx, newTally(try.refusal(refused)))
	})
	if err != nil {
		return "", err
	}
	return token, refused
}

// turnAway records a refusal that came before the password was looked at.
func (a *Accounts) turnAway(ctx context.Context, try attempt, err error) error {
	if errs.KindOf(err) != errs.TooMany {
		return err
	}
	if failed := a.Refused(ctx, try.refusal(err)); failed != nil {
		return failed
	}
	return err
}

func (t *attempt) refusal(err error) Refusal {
	return Refusal{Actor: t.by, Action: t.action, Subject: t.subject, Detail: errs.Public(err), Limited: errs.KindOf(err) == errs.TooMany}
}

// verify costs one computation whoever is meant: also where there is no account, and where it is disabled.
func (a *Accounts) verify(who stored, password string) (bool, error) {
	h := a.dummy
	if who.ID != 0 {
		var err error
		if h, err = parsePHC(who.hash); err != nil {
			return false, fmt.Errorf("account %d: %w", who.ID, err)
		}
	}
	return h.matches(password, a.derive) && who.ID != 0 && who.Disabled.IsZero(), nil
}

// stillGood looks again inside the transaction: the account may have been disabled, or its password changed, while
// the old hash was compared.
func stillGood(ctx context.Context, tx *sqlite.Tx, who stored, good bool) (bool, error) {
	now, found, err := lookup(ctx, tx, who.Name)
	return good && found && now.ID == who.ID && now.passwordNo == who.passwordNo && now.Disabled.IsZero(), err
}

// renewed gives a new hash of a password whose stored one has another cost than is set now, else nothing. A sign-in
// is the one moment in which the password is known.
func (a *Accounts) renewed(stored, password string) string {
	if h, err := parsePHC(stored); err != nil || h.params == a.params {
		return ""
	}
	return newPHC(password, a.params, a.derive).String()
}

// open writes what a good sign-in leaves behind.
func open(ctx context.Context, tx *sqlite.Tx, try attempt, renewed, userAgent string) (string, error) {
	detail := ""
	if renewed != "" {
		_, err := tx.Exec(ctx, `UPDATE accounts SET password_hash = ? WHERE id = ? -- auth.open`, renewed, try.who.ID)
		if err != nil {
			return "", fmt.Errorf("renewing a password's hash: %w", err)
		}
		detail = "The password's hash was renewed."
	}
	if _, err := tx.Exec(ctx, `UPDATE accounts SET signed_in_at = ? WHERE id = ? -- auth.open`, tx.Now, try.who.ID); err != nil {
		return "", fmt.Errorf("noting a sign-in: %w", err)
	}
	if err := forgive(ctx, tx, try.key); err != nil {
		return "", err
	}
	actor := try.who.actor().From(try.by.Addr, try.by.RequestID)
	err := record(ctx, tx, audit.Entry{Actor: actor.Audit(), Action: audit.SignedIn, Subject: try.who.Name, Outcome: "ok",
		Detail: detail, RequestID: actor.RequestID})
	if err != nil {
		return "", err
	}
	return insertSession(ctx, tx, try.who.ID, actor.Addr, userAgent)
}
