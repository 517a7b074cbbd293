package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

// LinkLife is how long a link code may be redeemed.
const LinkLife = 10 * time.Minute

// A link code is ten letters of an alphabet without those that look alike, which is 50 bits. At most perAddress guesses
// are answered within failWindow, whoever makes them.
const (
	codeLetters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	codeLen     = 10
)

// What wrong codes are counted by: each Slack user, and all of them together.
const (
	forLink  = "slack link"
	allLinks = "(link codes)"
)

// LinkCode makes the code that links the session's account to whoever types it in Slack, and tells until when. It is
// stored nowhere and shown once; a new one takes its place. errs.Conflict when the account is linked;
// errs.Unauthenticated when the session has ended.
func (a *Accounts) LinkCode(ctx context.Context, s Session) (code string, until time.Time, err error) {
	code = newCode()
	hash := sha256.Sum256([]byte(plainCode(code)))
	err = a.db.Write(ctx, func(tx *sqlite.Tx) error {
		if _, err := a.session(ctx, tx, tx.Now.Time, `s.id = ?`, s.ID); err != nil {
			return err
		}
		was, err := slackLinks(ctx, tx, `l.account_id = ?`, s.AccountID)
		if err != nil {
			return err
		}
		if len(was) > 0 {
			return errs.New(errs.Conflict, "Your account is already linked to %s in Slack. End that link first.", was[0].User)
		}
		until = tx.Now.Add(LinkLife)
		_, err = tx.Exec(ctx, `INSERT INTO slack_codes (account_id, code_hash, expires_at) VALUES (?, ?, ?)
			ON CONFLICT (account_id) DO UPDATE SET code_hash = excluded.code_hash, expires_at = excluded.expires_at -- auth.LinkCode`,
			s.AccountID, hash[:], sqlite.Time{Time: until})
		return wrap(err, "storing a link code")
	})
	if err != nil {
		return "", time.Time{}, err
	}
	return code, until, nil
}

// RedeemLink links a Slack user to the account that was shown the code; case, dashes and spaces in it do not matter.
// errs.Invalid: no such code, used, or too old; errs.Conflict: the Slack user or the account is linked already, and the code
// stays good; errs.TooMany (with a *LimitError): too many wrong codes. Each refusal is recorded.
func (a *Accounts) RedeemLink(ctx context.Context, code string, who SlackUser, requestID string) (SlackLink, error) {
	key := limitKey{account: a.nameKey(forLink, who.Team+"/"+who.User), addr: allLinks, known: true} // bounded by the limit itself
	hash := sha256.Sum256([]byte(plainCode(code)))
	var made SlackLink
	var refused error // an answer, not a failure: what is written with it is committed
	err := a.db.Write(ctx, func(tx *sqlite.Tx) (err error) {
		made, err = a.redeem(ctx, tx, hash[:], who, key, requestID)
		switch errs.KindOf(err) {
		case errs.Invalid, errs.Conflict, errs.TooMany:
			refused = err
			return fold(ctx, tx, newTally(who.refusal("link", err, requestID)))
		}
		return err
	})
	if err == nil {
		err = refused
	}
	return made, err
}

func (a *Accounts) redeem(ctx context.Context, tx *sqlite.Tx, hash []byte, who SlackUser, key limitKey, requestID string) (SlackLink, error) {
	var limit *LimitError
	if err := limited(ctx, tx, tx.Now.Time, key); errors.As(err, &limit) {
		return SlackLink{}, tooMany(limit.RetryAfter, "Too many wrong codes.")
	} else if err != nil {
		return SlackLink{}, err
	}
	found, err := accounts(ctx, tx, `WHERE a.disabled_at IS NULL
		AND a.id = (SELECT account_id FROM slack_codes WHERE code_hash = ? AND expires_at > ?)`, hash, tx.Now)
	if err != nil {
		return SlackLink{}, err
	}
	if len(found) == 0 {
		if err := a.countFailure(ctx, tx, key); err != nil {
			return SlackLink{}, err
		}
		return SlackLink{}, errs.New(errs.Invalid, "This code is wrong, used or too old. Have the portal show a new one on the page of your account.")
	}
	s := found[0]
	made, err := link(ctx, tx, s, who)
	if err != nil {
		return SlackLink{}, err
	}
	if err := dropCode(ctx, tx, s.ID); err != nil {
		return SlackLink{}, err
	}
	if err := forgive(ctx, tx, key); err != nil {
		return SlackLink{}, err
	}
	return made, record(ctx, tx, audit.Entry{Actor: s.inSlack(who, requestID).Audit(), Action: audit.SlackLinked, Subject: s.Name,
		Outcome: "ok", Detail: made.says("is"), RequestID: requestID})
}

// dropCode takes back the code that an account was shown.
func dropCode(ctx context.Context, tx *sqlite.Tx, accountID int64) error {
	_, err := tx.Exec(ctx, `DELETE FROM slack_codes WHERE account_id = ? -- auth.dropCode`, accountID)
	return wrap(err, "removing a link code")
}

// newCode gives a code as people are shown it: "7KQ2M-9XWPT".
func newCode() string {
	raw := make([]byte, codeLen)
	_, _ = rand.Read(raw) // never fails: the runtime ends the process instead
	for i, b := range raw {
		raw[i] = codeLetters[int(b)%len(codeLetters)] // 256 is a multiple of 32: no letter is more likely
	}
	return fmt.Sprintf("%s-%s", raw[:codeLen/2], raw[codeLen/2:])
}

// plainCode gives the letters that were meant by what was typed.
func plainCode(typed string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '-', ' ', '\t', '\u2013', '\u2014': // phones make a long dash of two
			return -1
		case 'o', 'O':
			return '0'
		case 'i', 'I', 'l', 'L':
			return '1'
		}
		if 'a' <= r && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	}, typed)
}
