package audit

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

// Filter chooses entries. Zero fields choose everything.
type Filter struct {
	App, Env string
	Envs     []string // when not nil: only entries of these environments (what the reader may see)
	Actor    string   // exact name
	Action   string   // exact, or a group with a dot at the end: "deploy."
	Outcome  string
	SHA      string    // start of a tag or of a digest (with or without "sha256:"), of what ran before or after; 3 characters or more
	From     time.Time // inclusive
	To       time.Time // exclusive
	DeployID int64
	Before   int64 // only entries with a smaller seq: the next page
	Limit    int   // 1 to 1000; 0 means 50
}

// List gives entries, newest first. It pages by seq (keyset), so that a late page costs what the first one does.
// Between two pages of one list entries may be appended: each older entry still comes exactly once. errs.Invalid for a
// SHA that is too short to be looked for quickly.
func List(ctx context.Context, q sqlite.Querier, f Filter) ([]Entry, error) {
	if f.Limit <= 0 || f.Limit > 1000 {
		f.Limit = 50
	}
	if f.SHA != "" && len(f.image()) < minSHA {
		return nil, errs.New(errs.Invalid, "Give at least %d characters of the tag or digest to look for.", minSHA)
	}
	list, err := list(ctx, q, f)
	if err != nil {
		return nil, fmt.Errorf("listing the audit log: %w", err)
	}
	return list, nil
}

func list(ctx context.Context, q sqlite.Querier, f Filter) ([]Entry, error) {
	low, high, err := f.bounds(ctx, q)
	if err != nil || low > high {
		return nil, err
	}
	if f.SHA != "" || f.DeployID > 0 {
		return fetch(ctx, q, "", f.few(f.within(low, high)), f.Limit)
	}
	lanes, err := f.lanes(ctx, q)
	if err != nil {
		return nil, err
	}
	index := f.index()
	if len(lanes) == 1 {
		return fetch(ctx, q, index, lanes[0].and(f.within(low, high)), f.Limit)
	}
	var seqs []any // the newest of the lanes read so far, newest first
	for _, lane := range lanes {
		c := lane.and(f.within(low, high))
		err := sqlite.Each(ctx, q, func(rows *sql.Rows) error {
			var seq int64
			err := rows.Scan(&seq)
			seqs = append(seqs, seq)
			return err
		}, `SELECT seq FROM audit_entries `+index+` WHERE `+c.sql+` ORDER BY seq DESC LIMIT ? -- audit.List`, append(c.args, f.Limit)...)
		if err != nil {
			return nil, err
		}
		slices.SortFunc(seqs, func(a, b any) int { return cmp.Compare(b.(int64), a.(int64)) })
		if len(seqs) >= f.Limit { // what is older than all of a full page is not read from the next lane
			seqs = seqs[:f.Limit]
			low = seqs[f.Limit-1].(int64)
		}
	}
	if len(seqs) == 0 {
		return nil, nil
	}
	return fetch(ctx, q, "", cond{"seq IN (?" + strings.Repeat(", ?", len(seqs)-1) + ")", seqs}, f.Limit)
}

func fetch(ctx context.Context, q sqlite.Querier, index string, c cond, limit int) (out []Entry, _ error) {
	return out, sqlite.Each(ctx, q, func(rows *sql.Rows) error {
		var e Entry
		err := e.scan(rows)
		out = append(out, e)
		return err
	}, `SELECT `+columns+` FROM audit_entries `+index+` WHERE `+c.sql+` ORDER BY seq DESC LIMIT ? -- audit.List`, append(c.args, limit)...)
}

// Get gives one entry. errs.NotFound when there is none.
func Get(ctx context.Context, q sqlite.Querier, seq int64) (Entry, error) {
	var e Entry
	found, err := sqlite.Row(e.scanRow(q.QueryRow(ctx, `SELECT `+columns+` FROM audit_entries WHERE seq = ? -- audit.Get`, seq)))
	if err != nil {
		return e, fmt.Errorf("reading audit entry %d: %w", seq, err)
	}
	if !found {
		return e, errs.New(errs.NotFound, "There is no audit entry %d.", seq)
	}
	return e, nil
}

func (e *Entry) scanRow(row *sql.Row) error { return e.scan(row) }
