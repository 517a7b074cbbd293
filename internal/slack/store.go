package slack

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"deployportal/internal/auth"
	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

const (
	planStands = 10 * time.Minute
	planKept   = 7 * 24 * time.Hour // an ended plan still says where its deploy was asked for
	seenKept   = 15 * time.Minute   // longer than any signature can be valid: one from 5 minutes ahead is for 10
)

// plan is what somebody was shown and may set going once.
type plan struct {
	id      string
	who     auth.SlackUser
	command string          // what was meant, in one form for all the ways to type it
	request deploys.Request // without actor and key
	expires time.Time
	ended   bool
	deploy  int64 // what it began; 0: nothing yet
}

// key makes all that comes of a plan one deploy.
func (p plan) key() string { return "slack:" + p.id }

var errSeen = errors.New("the same request was taken before")

// see notes a signature for as long as it is valid. errSeen when it was noted before; the hash is kept, not the signature.
func see(ctx context.Context, db *sqlite.DB, signature []byte) error {
	sum := sha256.Sum256(signature)
	err := db.Write(ctx, func(tx *sqlite.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO slack_seen (signature, seen_at) VALUES (?, ?) -- slack.see`, sum[:], tx.Now)
		return err
	})
	if errors.Is(err, sqlite.ErrUnique) {
		return errSeen
	}
	return err
}

// sweep takes away what nobody can ask for any more.
func sweep(ctx context.Context, db *sqlite.DB) error {
	now := db.Now()
	return db.Write(ctx, func(tx *sqlite.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM slack_seen WHERE seen_at < ? -- slack.sweep`, sqlite.Time{Time: now.Add(-seenKept)}); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM slack_plans WHERE created_at < ? -- slack.sweep`, sqlite.Time{Time: now.Add(-planKept)})
		return err
	})
}

// keep stores a plan for its asker. The same plan, asked for again while it stands, is the same row and stands anew; one
// that the same command now means something else by is ended, for its button must not do what it does not show.
func keep(ctx context.Context, db *sqlite.DB, p plan) (plan, error) {
	request, err := json.Marshal(p.request)
	if err != nil {
		return p, fmt.Errorf("encoding a plan: %w", err)
	}
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails: the runtime ends the process instead
	err = db.Write(ctx, func(tx *sqlite.Tx) error {
		p.expires = tx.Now.Add(planStands)
		who := []any{p.who.Team, p.who.Channel, p.who.User, p.command}
		var id, was string
		var expires sqlite.Time
		found, err := sqlite.Row(tx.QueryRow(ctx, `SELECT id, request, expires_at FROM slack_plans
			WHERE team = ? AND channel = ? AND user = ? AND command = ? AND ended_at IS NULL -- slack.keep`, who...).Scan(&id, &was, &expires))
		switch {
		case err != nil:
			return err
		case found && was == string(request) && expires.After(tx.Now.Time):
			p.id = id
			_, err = tx.Exec(ctx, `UPDATE slack_plans SET expires_at = ? WHERE id = ? -- slack.keep`, sqlite.Time{Time: p.expires}, id)
			return err
		case found:
			if _, err := tx.Exec(ctx, `UPDATE slack_plans SET ended_at = ? WHERE id = ? -- slack.keep`, tx.Now, id); err != nil {
				return err
			}
		}
		p.id = hex.EncodeToString(raw)
		_, err = tx.Exec(ctx, `INSERT INTO slack_plans (id, team, channel, user, command, request, created_at, expires_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?) -- slack.keep`, append(append([]any{p.id}, who...), string(request), tx.Now, sqlite.Time{Time: p.expires})...)
		return err
	})
	return p, err
}

// take ends a plan for the one who was shown it: first tells whether this press is the one that does. errs.NotFound when
// there is no such plan, errs.Forbidden when it is somebody else's, errs.Conflict when its time is over.
func take(ctx context.Context, db *sqlite.DB, id string, who auth.SlackUser) (p plan, first bool, err error) {
	err = db.Write(ctx, func(tx *sqlite.Tx) error {
		if p, err = readPlan(ctx, tx, id); err != nil {
			return err
		}
		switch {
		case p.who.Team != who.Team || p.who.User != who.User:
			return errs.New(errs.Forbidden, "This plan is somebody else's. Ask for your own.")
		case p.ended:
			return nil
		case !p.expires.After(tx.Now.Time):
			return errs.New(errs.Conflict, "This plan is older than %d minutes, and much can have changed since. Ask for it again.", int(planStands.Minutes()))
		}
		first = true
		_, err := tx.Exec(ctx, `UPDATE slack_plans SET ended_at = ? WHERE id = ? AND ended_at IS NULL -- slack.take`, tx.Now, id)
		return err
	})
	return p, first, err
}

// began notes what a plan has begun.
func began(ctx context.Context, db *sqlite.DB, id string, deploy int64) error {
	return db.Write(ctx, func(tx *sqlite.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE slack_plans SET deploy_id = ? WHERE id = ? -- slack.began`, deploy, id)
		return err
	})
}

func readPlan(ctx context.Context, q sqlite.Querier, id string) (p plan, err error) {
	var request string
	var expires, ended sqlite.Time
	var deploy *int64
	found, err := sqlite.Row(q.QueryRow(ctx, `SELECT id, team, channel, user, command, request, expires_at, ended_at, deploy_id FROM slack_plans
		WHERE id = ? -- slack.readPlan`, id).Scan(&p.id, &p.who.Team, &p.who.Channel, &p.who.User, &p.command, &request, &expires, &ended, &deploy))
	switch {
	case err != nil:
		return p, err
	case !found:
		return p, errs.New(errs.NotFound, "This plan is not known any more. Ask for it again.")
	}
	if err := json.Unmarshal([]byte(request), &p.request); err != nil {
		return p, fmt.Errorf("decoding plan %s: %w", id, err)
	}
	p.expires, p.ended = expires.Time, !ended.IsZero()
	if deploy != nil {
		p.deploy = *deploy
	}
	return p, nil
}
