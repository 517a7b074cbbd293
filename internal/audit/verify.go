package audit

import (
	"context"
	"fmt"

	"deployportal/internal/sqlite"
)

// Report is what Verify found.
type Report struct {
	Entries int64  // read and found good
	Head    Entry  // the last good one; zero when there is none
	BadSeq  int64  // seq of the first bad entry; 0: the chain is whole
	Why     string // what is wrong with it, in a sentence
}

// Verify reads the whole log and computes the chain anew. It finds every changed, removed, added or reordered entry
// that has an entry after it; a cut tail or a chain computed anew needs a comparison with Holds.
func Verify(ctx context.Context, q sqlite.Querier) (Report, error) {
	r := Report{Head: Entry{Hash: first}}
	rows, err := q.Query(ctx, `SELECT `+columns+` FROM audit_entries ORDER BY seq -- audit.Verify`)
	if err != nil {
		return r, fmt.Errorf("reading the audit log: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var e Entry
		if err := e.scan(rows); err != nil {
			if ctx.Err() != nil { // an end in the middle of a row says nothing about the row
				return r, fmt.Errorf("reading the audit log: %w", ctx.Err())
			}
			r.BadSeq, r.Why = r.Head.Seq+1, fmt.Sprintf("Entry %d cannot be read.", r.Head.Seq+1)
			return r, nil
		}
		if why := broken(&r.Head, &e); why != "" {
			r.BadSeq, r.Why = max(e.Seq, 1), why // an entry slipped in as 0 must not read as "whole"
			return r, nil
		}
		r.Head = e
		r.Entries++
	}
	if err := rows.Err(); err != nil {
		return r, fmt.Errorf("reading the audit log: %w", err)
	}
	return r, nil
}

func broken(prev, e *Entry) string {
	switch {
	case e.Seq != prev.Seq+1:
		return fmt.Sprintf("Entry %d follows entry %d: what stood between them is gone.", e.Seq, prev.Seq)
	case e.Prev != prev.Hash:
		return fmt.Sprintf("Entry %d does not continue entry %d.", e.Seq, prev.Seq)
	case e.Hash != e.sum():
		return fmt.Sprintf("Entry %d is not what was written.", e.Seq)
	}
	return ""
}

// Holds tells whether entry seq exists and its hash begins with prefix (at least 8 hex digits): the comparison with
// a copy kept elsewhere that shows a cut tail or a rewritten log.
func Holds(ctx context.Context, q sqlite.Querier, seq int64, prefix string) (bool, error) {
	if len(prefix) < 8 {
		return false, fmt.Errorf("a hash prefix of %d digits proves nothing: give at least 8", len(prefix))
	}
	var hash string
	found, err := sqlite.Row(q.QueryRow(ctx, `SELECT hash FROM audit_entries WHERE seq = ? -- audit.Holds`, seq).Scan(&hash))
	if err != nil || !found {
		return false, err
	}
	return len(prefix) <= len(hash) && hash[:len(prefix)] == prefix, nil
}

func (e *Entry) scan(rows interface{ Scan(...any) error }) error {
	var at sqlite.Time
	err := rows.Scan(&e.Seq, &at, &e.Actor.ID, &e.Actor.Name, &e.Actor.Source, &e.Actor.Addr, &e.Actor.Method, &e.Action,
		&e.App, &e.Env, &e.DeployID, &e.Subject, &e.Repository, &e.FromTag, &e.FromDigest, &e.ToTag, &e.ToDigest, &e.Reason,
		&e.Outcome, &e.Detail, &e.RequestID, &e.Count, &e.Prev, &e.Hash)
	e.At = at.Time
	return err
}
