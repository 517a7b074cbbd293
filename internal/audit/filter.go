package audit

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"deployportal/internal/sqlite"
)

// cond is a condition and its arguments.
type cond struct {
	sql  string
	args []any
}

func (c cond) and(d cond) cond {
	if c.sql == "" {
		return d
	}
	return cond{c.sql + " AND " + d.sql, append(slices.Clip(c.args), d.args...)}
}

// bounds gives the first and the last seq that a page may hold. Nothing above the head of now: lanes are read one
// after the other, and an entry appended meanwhile would push an older one of a lane read before off all pages.
//
// A clock that was set back makes times run against seq, so a period is not one range of seq; it is inside of one,
// which is found by its days.
func (f Filter) bounds(ctx context.Context, q sqlite.Querier) (low, high int64, err error) {
	low = 1
	_, err = sqlite.Row(q.QueryRow(ctx, `SELECT ifnull(max(seq), 0) FROM audit_entries -- audit.List`).Scan(&high))
	if err != nil {
		return low, high, err
	}
	if f.Before > 0 {
		high = min(high, f.Before-1)
	}
	if f.From.IsZero() && f.To.IsZero() {
		return low, high, nil
	}
	from, to := "", "~"
	if !f.From.IsZero() {
		from = day(f.From)
	}
	if !f.To.IsZero() {
		to = day(f.To)
	}
	var first, last sql.NullInt64
	_, err = sqlite.Row(q.QueryRow(ctx, `WITH RECURSIVE days (d) AS (
			SELECT min(substr(at, 1, 10)) FROM audit_entries WHERE substr(at, 1, 10) >= ?1
			UNION ALL
			SELECT (SELECT min(substr(at, 1, 10)) FROM audit_entries WHERE substr(at, 1, 10) > d) FROM days WHERE d <= ?2)
		SELECT min((SELECT min(seq) FROM audit_entries WHERE substr(at, 1, 10) = d)),
			max((SELECT max(seq) FROM audit_entries WHERE substr(at, 1, 10) = d))
		FROM days WHERE d <= ?2 -- audit.List`, from, to).Scan(&first, &last))
	if !first.Valid {
		return low, 0, err
	}
	return max(low, first.Int64), min(high, last.Int64), err
}

func day(t time.Time) string { return sqlite.Time{Time: t}.String()[:10] }

// within is the part of the condition that every lane has.
func (f Filter) within(low, high int64) cond {
	c := cond{"seq BETWEEN ? AND ?", []any{low, high}}
	if !f.From.IsZero() {
		c = c.and(cond{"at >= ?", []any{sqlite.Time{Time: f.From}}})
	}
	if !f.To.IsZero() {
		c = c.and(cond{"at < ?", []any{sqlite.Time{Time: f.To}}})
	}
	return c
}

// lanes gives disjoint conditions that together are what f asks for, the period aside: one for every environment, action
// and outcome that there is. Each names the columns of one index up to seq, so that its entries are read newest first
// and no other is looked at.
func (f Filter) lanes(ctx context.Context, q sqlite.Querier) (out []cond, _ error) {
	if f.index() == "" {
		return []cond{{}}, nil
	}
	// From one to the next by the index: DISTINCT, a recursive query or one comparison of all three would read all of it.
	const next = `SELECT * FROM (SELECT env, action, outcome FROM audit_entries WHERE env = ?1 AND action = ?2 AND outcome > ?3 ORDER BY outcome LIMIT 1)
		UNION ALL SELECT * FROM (SELECT env, action, outcome FROM audit_entries WHERE env = ?1 AND action > ?2 ORDER BY action, outcome LIMIT 1)
		UNION ALL SELECT * FROM (SELECT env, action, outcome FROM audit_entries WHERE env > ?1 ORDER BY env, action, outcome LIMIT 1)
		LIMIT 1 -- audit.List`
	for env, action, outcome := "", "", ""; ; { // no action is empty, so nothing stands before these
		found, err := sqlite.Row(q.QueryRow(ctx, next, env, action, outcome).Scan(&env, &action, &outcome))
		if err != nil || !found {
			return out, err
		}
		if !f.hasLane(env, action, outcome) {
			continue
		}
		c := cond{"env = ? AND action = ? AND outcome = ?", []any{env, action, outcome}}
		if f.App != "" {
			c = c.and(cond{"app = ?", []any{f.App}})
		}
		if f.Actor != "" {
			c = c.and(cond{"actor_name = ?", []any{f.Actor}})
		}
		out = append(out, c)
	}
}

// index names the index of the lanes; empty where all entries are one lane, read by seq. SQLite takes the four for equally
// good and would read a common lane where a rare one is asked for.
func (f Filter) index() string {
	switch {
	case f.App != "" && f.Actor != "":
		return "INDEXED BY audit_entries_lane_both"
	case f.App != "":
		return "INDEXED BY audit_entries_lane_app"
	case f.Actor != "":
		return "INDEXED BY audit_entries_lane_actor"
	case f.Action != "" || f.Outcome != "" || f.Env != "" || f.Envs != nil:
		return "INDEXED BY audit_entries_lane"
	}
	return ""
}

func (f Filter) hasLane(env, action, outcome string) bool {
	group := strings.HasSuffix(f.Action, ".")
	return (f.Env == "" || env == f.Env) && (f.Envs == nil || slices.Contains(f.Envs, env)) &&
		(f.Outcome == "" || outcome == f.Outcome) &&
		(f.Action == "" || action == f.Action || group && strings.HasPrefix(action, f.Action))
}

// few is the whole condition where a deploy or an image is asked for: of those are few entries, so they are read and the
// rest is looked at in them. The + keeps other indexes out of it, seq's too.
func (f Filter) few(c cond) cond {
	c.sql = "+" + c.sql
	for _, eq := range []struct{ column, value string }{
		{"app", f.App}, {"env", f.Env}, {"actor_name", f.Actor}, {"outcome", f.Outcome},
	} {
		if eq.value != "" {
			c = c.and(cond{"+" + eq.column + " = ?", []any{eq.value}})
		}
	}
	if f.Envs != nil {
		var envs []any
		for _, e := range f.Envs {
			envs = append(envs, e)
		}
		c = c.and(cond{"+env IN (NULL" + strings.Repeat(", ?", len(envs)) + ")", envs})
	}
	if group, ok := strings.CutSuffix(f.Action, "."); ok {
		c = c.and(cond{"+action >= ? AND +action < ?", []any{group + ".", group + "/"}})
	} else if f.Action != "" {
		c = c.and(cond{"+action = ?", []any{f.Action}})
	}
	if f.DeployID > 0 {
		// The first half says nothing new, but without it SQLite cannot know that the partial index holds what is asked for.
		c = c.and(cond{"deploy_id > 0 AND deploy_id = ?", []any{f.DeployID}})
	}
	if f.SHA != "" {
		c = c.and(f.images())
	}
	return c
}

// minSHA is the shortest start of a tag or digest: with fewer characters it is not few entries that have it.
const minSHA = 3

func (f Filter) image() string { return strings.TrimPrefix(strings.ToLower(f.SHA), "sha256:") }

// images asks the four indexes for the prefix; SQLite joins them by rowid. A tag is looked for as typed and in small
// letters, a digest in small letters.
func (f Filter) images() cond {
	lower := f.image()
	prefixes := []struct{ columns, prefix string }{{"tag", lower}, {"digest", "sha256:" + lower}}
	if f.SHA != strings.ToLower(f.SHA) {
		prefixes = append(prefixes, struct{ columns, prefix string }{"tag", f.SHA})
	}
	var selects []string
	var c cond
	for _, p := range prefixes {
		for _, side := range []string{"from_", "to_"} {
			col := side + p.columns
			selects = append(selects, "SELECT seq FROM audit_entries WHERE "+col+" <> '' AND "+col+" >= ? AND "+col+" < ?")
			c.args = append(c.args, p.prefix, p.prefix+"\U0010FFFF")
		}
	}
	c.sql = "seq IN (" + strings.Join(selects, " UNION ") + ")"
	return c
}
