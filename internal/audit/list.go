package audit

import (
	"context"
	"database/sql"
	"fmt"
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
	SHA      string    // start of a tag or of a digest (with or without "sha256:"), of what ran before or after
	From     time.Time // inclusive
	To       time.Time // exclusive
	DeployID int64
	Before   int64 // only entries with a smaller seq: the next page
	Limit    int   // 1 to 1000; 0 means 50
}

// List gives entries, newest first. It pages by seq (keyset), so that a late page costs what the first one does.
func List(ctx context.Context, q sqlite.Querier, f Filter) ([]Entry, error) {
	where, args := f.where()
	limit := f.Limit
	if limit <= 0 || limit > 1000 {
		limit = 50
	}
	query := `SELECT ` + columns + ` FROM audit_entries` + where + ` ORDER BY seq DESC LIMIT ? -- audit.List`
	var out []Entry
	err := sqlite.Each(ctx, q, func(rows *sql.Rows) error {
		var e Entry
		if err := e.scan(rows); err != nil {
			return err
		}
		out = append(out, e)
		return nil
	}, query, append(args, limit)...)
	if err != nil {
		return nil, fmt.Errorf("listing the audit log: %w", err)
	}
	return out, nil
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

func (f Filter) where() (string, []any) {
	var conds []string
	var args []any
	add := func(cond string, a ...any) {
		conds = append(conds, cond)
		args = append(args, a...)
	}
	for _, eq := range []struct{ column, value string }{
		{"app", f.App}, {"env", f.Env}, {"actor_name", f.Actor}, {"outcome", f.Outcome},
	} {
		if eq.value != "" {
			add(eq.column+" = ?", eq.value)
		}
	}
	if f.Envs != nil {
		list := []any{}
		for _, e := range f.Envs {
			list = append(list, e)
		}
		add("env IN (NULL"+strings.Repeat(", ?", len(list))+")", list...)
	}
	if group, ok := strings.CutSuffix(f.Action, "."); ok {
		add("action >= ? AND action < ?", group+".", group+"/")
	} else if f.Action != "" {
		add("action = ?", f.Action)
	}
	if f.SHA != "" {
		f.whereSHA(add)
	}
	if !f.From.IsZero() {
		add("seq >= (SELECT ifnull(min(seq), 9223372036854775807) FROM audit_entries WHERE at >= ?)", sqlite.Time{Time: f.From})
	}
	if !f.To.IsZero() {
		add("seq < (SELECT ifnull(min(seq), 9223372036854775807) FROM audit_entries WHERE at >= ?)", sqlite.Time{Time: f.To})
	}
	if f.DeployID > 0 {
		add("deploy_id = ?", f.DeployID)
	}
	if f.Before > 0 {
		add("seq < ?", f.Before)
	}
	if len(conds) == 0 {
		return "", nil
	}
	return " WHERE " + strings.Join(conds, " AND "), args
}

// whereSHA asks four indexes for the prefix; SQLite joins them by rowid.
func (f Filter) whereSHA(add func(string, ...any)) {
	sha := strings.ToLower(strings.TrimPrefix(f.SHA, "sha256:"))
	digest := "sha256:" + sha
	add(`seq IN (SELECT seq FROM audit_entries WHERE to_tag <> '' AND to_tag >= ? AND to_tag < ?
		UNION SELECT seq FROM audit_entries WHERE from_tag <> '' AND from_tag >= ? AND from_tag < ?
		UNION SELECT seq FROM audit_entries WHERE to_digest <> '' AND to_digest >= ? AND to_digest < ?
		UNION SELECT seq FROM audit_entries WHERE from_digest <> '' AND from_digest >= ? AND from_digest < ?)`,
		sha, sha+"\U0010FFFF", sha, sha+"\U0010FFFF", digest, digest+"\U0010FFFF", digest, digest+"\U0010FFFF")
}
