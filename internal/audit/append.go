package audit

import (
	"context"
	"fmt"

	"deployportal/internal/foreign"
	"deployportal/internal/sqlite"
)

const columns = `seq, at, actor_id, actor_name, source, addr, method, action, app, env, deploy_id, subject, repository,
	from_tag, from_digest, to_tag, to_digest, reason, outcome, detail, request_id, count, prev_hash, hash`

// Append writes one entry at the end of the chain, inside the transaction of what it records: both are durable or
// neither is. Seq, At, Prev and Hash are set here; texts are made harmless and cut to their columns' lengths. It returns
// the entry as written.
func Append(ctx context.Context, tx *sqlite.Tx, e Entry) (Entry, error) {
	e.Prev = first
	row := tx.QueryRow(ctx, `SELECT seq, hash FROM audit_entries ORDER BY seq DESC LIMIT 1 -- audit.Append`)
	if _, err := sqlite.Row(row.Scan(&e.Seq, &e.Prev)); err != nil {
		return Entry{}, fmt.Errorf("reading the head of the audit log: %w", err)
	}
	e.Seq++
	e.At = tx.Now.Time
	e.Count = max(e.Count, 1)
	e.trim()
	e.Hash = e.sum()
	_, err := tx.Exec(ctx, `INSERT INTO audit_entries (`+columns+`)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) -- audit.Append`,
		e.Seq, sqlite.Time{Time: e.At}, e.Actor.ID, e.Actor.Name, e.Actor.Source, e.Actor.Addr, e.Actor.Method, e.Action,
		e.App, e.Env, e.DeployID, e.Subject, e.Repository, e.FromTag, e.FromDigest, e.ToTag, e.ToDigest, e.Reason,
		e.Outcome, e.Detail, e.RequestID, e.Count, e.Prev, e.Hash)
	if err != nil {
		return Entry{}, fmt.Errorf("appending to the audit log: %w", err)
	}
	return e, nil
}

// trim makes every text harmless and fit its column: a name or a reason that is too long must not stop an entry from being
// written, and what somebody typed into an address must not forge one.
func (e *Entry) trim() {
	for _, f := range []struct {
		s   *string
		max int
	}{
		{&e.Actor.ID, 200}, {&e.Actor.Name, 200}, {&e.Actor.Addr, 100}, {&e.Actor.Method, 40}, {&e.Action, 60},
		{&e.App, 253}, {&e.Env, 253}, {&e.Subject, 200}, {&e.Repository, 500}, {&e.FromTag, 200}, {&e.FromDigest, 100},
		{&e.ToTag, 200}, {&e.ToDigest, 100}, {&e.Reason, 1000}, {&e.Detail, 2000}, {&e.RequestID, 100},
	} {
		*f.s = foreign.Line(*f.s, f.max)
	}
}
