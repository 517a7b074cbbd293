package auth

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/errs"
	"deployportal/internal/foreign"
	"deployportal/internal/sqlite"
)

// SlackUser is somebody in Slack, by the ids that Slack signs for: a name there can be anybody's.
type SlackUser struct {
	Team    string // "T..."
	Channel string // "C...", "D...", where it was asked; empty: unknown
	User    string // "U..."
}

// Addr is what an audit entry keeps as the address: team, channel and user.
func (u SlackUser) Addr() string { return foreign.Line(u.Team+"/"+u.Channel+"/"+u.User, 100) }

// SlackLink is that a Slack user acts as an account.
type SlackLink struct {
	Account    string // its name
	Team, User string
	Linked     time.Time
}

// says names both sides, for the audit log; verb is "is" or "was".
func (l SlackLink) says(verb string) string {
	return fmt.Sprintf("%s %s %s of %s in Slack.", l.Account, verb, l.User, l.Team)
}

// SlackLinks lists who is linked, by account.
func (a *Accounts) SlackLinks(ctx context.Context) ([]SlackLink, error) {
	return slackLinks(ctx, a.db, `TRUE`)
}

// SlackActor gives the account that a Slack user is linked to, with the grants of now. errs.Unauthenticated when there is
// none, or it is disabled. Nothing is kept between two calls: a link that ended and a role that was lost count at once.
func (a *Accounts) SlackActor(ctx context.Context, who SlackUser) (Actor, error) {
	s, found, err := linked(ctx, a.db, who)
	switch {
	case err != nil:
		return Actor{}, err
	case !found:
		return Actor{}, errs.New(errs.Unauthenticated,
			"Link yourself to your account first: sign in to the portal, have it show a code on the page of your account, and type the command that stands there.")
	case !s.Disabled.IsZero():
		return Actor{}, errs.New(errs.Unauthenticated, "The account %s is disabled.", s.Name)
	}
	return s.inSlack(who, ""), nil
}

// UnlinkSlack ends the link of a Slack user, asked for in Slack by that user; also where the account is disabled.
// errs.NotFound when there is none.
func (a *Accounts) UnlinkSlack(ctx context.Context, who SlackUser, requestID string) error {
	return a.db.Write(ctx, func(tx *sqlite.Tx) error {
		s, found, err := linked(ctx, tx, who)
		if err == nil && !found {
			err = errs.New(errs.NotFound, "You are linked to no account.")
		}
		if err != nil {
			return err
		}
		link, err := unlink(ctx, tx, s.ID)
		if err != nil {
			return err
		}
		return record(ctx, tx, audit.Entry{Actor: s.inSlack(who, "").Audit(), Action: audit.SlackUnlinked, Subject: s.Name, Outcome: "ok",
			Detail: link.says("was"), RequestID: requestID})
	})
}

// UnlinkAccount ends the link of an account, asked for by its owner or by whoever may manage accounts. errs.NotFound when
// there is no such account or it is not linked; errs.Forbidden.
func (a *Accounts) UnlinkAccount(ctx context.Context, by Actor, name string) error {
	if by.ID == "" || by.Name != canonical(name) {
		if err := a.allow(ctx, by, audit.SlackUnlinked, name); err != nil {
			return err
		}
	}
	return a.change(ctx, by, audit.SlackUnlinked, canonical(name), func(tx *sqlite.Tx) (string, bool, error) {
		s, err := a.get(ctx, tx, name)
		if err != nil {
			return "", false, err
		}
		link, err := unlink(ctx, tx, s.ID)
		return link.says("was"), true, err
	})
}

// RefuseSlack records what somebody in Slack was refused who is no actor. asked is the command or the button; whoever calls
// leaves a link code out of it.
func (a *Accounts) RefuseSlack(ctx context.Context, who SlackUser, asked, sentence, requestID string) error {
	return a.Refused(ctx, who.refusal(asked, errs.New(errs.Forbidden, "%s", sentence), requestID))
}

func (u SlackUser) refusal(asked string, err error, requestID string) Refusal {
	return Refusal{Actor: anonymous("slack", u.Addr(), requestID), Action: audit.SlackRefused, Subject: foreign.Line(asked, 200),
		Detail: errs.Public(err), Limited: errs.KindOf(err) == errs.TooMany}
}

// inSlack gives who acts when the account does so in Slack.
func (s *stored) inSlack(who SlackUser, requestID string) Actor {
	by := s.actor().From(who.Addr(), requestID)
	by.Source, by.Method = "slack", "slack link"
	return by
}

// linked gives the account that a Slack user is linked to, disabled or not.
func linked(ctx context.Context, q sqlite.Querier, who SlackUser) (stored, bool, error) {
	found, err := accounts(ctx, q, `WHERE a.id = (SELECT account_id FROM slack_links WHERE team = ? AND user = ?)`, who.Team, who.User)
	if err != nil || len(found) == 0 {
		return stored{}, false, err
	}
	return found[0], true, nil
}

// link links an account to a Slack user. errs.Conflict when one of the two is linked already.
func link(ctx context.Context, tx *sqlite.Tx, s stored, who SlackUser) (SlackLink, error) {
	was, err := slackLinks(ctx, tx, `l.account_id = ? OR l.team = ? AND l.user = ?`, s.ID, who.Team, who.User)
	if err != nil {
		return SlackLink{}, err
	}
	if len(was) > 0 {
		return SlackLink{}, errs.New(errs.Conflict, "%s is already linked to %s in Slack. End that link first.", was[0].Account, was[0].User)
	}
	l := SlackLink{Account: s.Name, Team: who.Team, User: who.User, Linked: tx.Now.Time}
	_, err = tx.Exec(ctx, `INSERT INTO slack_links (account_id, team, user, linked_at) VALUES (?, ?, ?, ?) -- auth.link`,
		s.ID, l.Team, l.User, tx.Now)
	return l, wrap(err, "linking an account")
}

func unlink(ctx context.Context, tx *sqlite.Tx, accountID int64) (SlackLink, error) {
	was, err := slackLinks(ctx, tx, `l.account_id = ?`, accountID)
	if err == nil && len(was) == 0 {
		err = errs.New(errs.NotFound, "This account is not linked to anybody in Slack.")
	}
	if err != nil {
		return SlackLink{}, err
	}
	_, err = tx.Exec(ctx, `DELETE FROM slack_links WHERE account_id = ? -- auth.unlink`, accountID)
	return was[0], wrap(err, "ending a link")
}

func slackLinks(ctx context.Context, q sqlite.Querier, cond string, args ...any) ([]SlackLink, error) {
	var out []SlackLink
	err := sqlite.Each(ctx, q, func(rows *sql.Rows) error {
		var l SlackLink
		var at sqlite.Time
		err := rows.Scan(&l.Account, &l.Team, &l.User, &at)
		l.Linked = at.Time
		out = append(out, l)
		return err
	}, `SELECT a.name, l.team, l.user, l.linked_at FROM slack_links l JOIN accounts a ON a.id = l.account_id
		WHERE `+cond+` ORDER BY a.name -- auth.slackLinks`, args...)
	return out, wrap(err, "reading links")
}
