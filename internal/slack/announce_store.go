package slack

import (
	"context"
	"database/sql"
	"fmt"

	"deployportal/internal/deploys"
	"deployportal/internal/sqlite"
)

// following is a message and the deploy it follows: a row of slack_messages.
type following struct {
	deploy  int64
	channel string
	ts      string // empty: it does not stand
	said    []byte // hash of what it says
	gone    bool   // somebody deleted it
	thread  bool   // the details stand in its thread
	details int    // how many of them do; not stored
	done    bool   // nothing of it changes any more
}

// open lists the messages that are to be kept true.
func (a *announcer) open(ctx context.Context) (out []following, err error) {
	err = sqlite.Each(ctx, a.DB, func(rows *sql.Rows) error {
		var f following
		err := rows.Scan(&f.deploy, &f.channel, &f.ts, &f.said, &f.gone, &f.thread)
		out = append(out, f)
		return err
	}, `SELECT deploy_id, channel, ts, said, gone, thread FROM slack_messages WHERE done_at IS NULL ORDER BY deploy_id -- slack.open`)
	if err != nil {
		return nil, fmt.Errorf("reading the messages to follow: %w", err)
	}
	return out, nil
}

// save stores what became of a message. It heeds no end of ctx: what was said must be known to the next portal.
func (a *announcer) save(ctx context.Context, f following) error {
	return a.DB.Write(context.WithoutCancel(ctx), func(tx *sqlite.Tx) error {
		var done sqlite.Time
		if f.done {
			done = tx.Now
		}
		_, err := tx.Exec(ctx, `UPDATE slack_messages SET channel = ?, ts = ?, said = ?, gone = ?, thread = ?, done_at = ? WHERE deploy_id = ? -- slack.save`,
			f.channel, f.ts, f.said, f.gone, f.thread, done, f.deploy)
		return err
	})
}

// announced gives the deploy up to which it is decided. The first time, that is the newest there is: nothing that was before
// Slack was configured is told.
func (a *announcer) announced(ctx context.Context) (id int64, err error) {
	found, err := sqlite.Row(a.DB.QueryRow(ctx, `SELECT deploy_id FROM slack_announced -- slack.announced`).Scan(&id))
	if err != nil || found {
		return id, err
	}
	latest, err := a.Deploys.Latest(ctx)
	if err != nil {
		return 0, err
	}
	for _, d := range latest {
		id = max(id, d.ID)
	}
	return id, a.DB.Write(ctx, func(tx *sqlite.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO slack_announced (one, deploy_id) VALUES (1, ?) -- slack.announced`, id)
		return err
	})
}

// decide records, in one transaction, where the message of a deploy goes, and that it is decided. An empty channel: nowhere.
// The message of the deploy that it may undo is followed again.
func (a *announcer) decide(ctx context.Context, id int64, channel string, undone int64) error {
	return a.DB.Write(ctx, func(tx *sqlite.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE slack_messages SET done_at = NULL WHERE deploy_id = ? AND ts <> '' -- slack.decide`, undone); err != nil {
			return err
		}
		if channel != "" {
			if _, err := tx.Exec(ctx, `INSERT INTO slack_messages (deploy_id, channel) VALUES (?, ?) ON CONFLICT DO NOTHING -- slack.decide`, id, channel); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `UPDATE slack_announced SET deploy_id = ? -- slack.decide`, id)
		return err
	})
}

// channelOf is where the message of a deploy goes: where it was asked for; a rollback by the portal, or by a person in Slack,
// where the message of the deploy stands that it answers; else the channel of the environment. Empty: nowhere. asked tells
// that a plan names it.
//
// The plan is found by the key of its request too: it is told what it began only after that has begun.
func (a *announcer) channelOf(ctx context.Context, d deploys.Deploy) (channel string, asked bool, err error) {
	asked, err = sqlite.Row(a.DB.QueryRow(ctx, `SELECT channel FROM slack_plans WHERE deploy_id = ?1
		UNION ALL SELECT p.channel FROM deploys d JOIN slack_plans p ON 'slack:' || p.id = d.request_key WHERE d.id = ?1 AND d.source = 'slack'
		LIMIT 1 -- slack.channelOf`, d.ID).Scan(&channel))
	if err != nil || asked {
		return channel, asked, err
	}
	if d.Automatic() || d.Source == "slack" {
		found, err := sqlite.Row(a.DB.QueryRow(ctx, `SELECT channel FROM slack_messages WHERE deploy_id IN (?, ?) ORDER BY deploy_id DESC LIMIT 1 -- slack.channelOf`,
			d.RollbackOf, d.Replaces).Scan(&channel))
		if err != nil || found {
			return channel, false, err
		}
	}
	return a.env(d.Target.Env).Channel, false, nil
}

func (a *announcer) env(name string) Env {
	for _, e := range a.Envs {
		if e.Name == name {
			return e
		}
	}
	return Env{Name: name}
}
