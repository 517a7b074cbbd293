package deploys

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

func insertChange(ctx context.Context, tx *sqlite.Tx, c OutsideChange, asks bool) error {
	from, err := json.Marshal(c.From)
	if err != nil {
		return fmt.Errorf("json.Marshal(from): %w", err)
	}
	to, err := json.Marshal(c.To)
	if err != nil {
		return fmt.Errorf("json.Marshal(to): %w", err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO outside_changes (app, env, kind, manager, changed_at, noticed_at, from_version, to_version, asks,
		superseded, audit_seq) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) -- deploys.insertChange`,
		c.Target.App, c.Target.Env, c.Kind, c.Manager, sqlite.Time{Time: c.At}, tx.Now, string(from), string(to), asks, orNull(c.Deploy), c.Seq)
	if err != nil {
		return fmt.Errorf("storing a change of %s: %w", c.Target, err)
	}
	return nil
}

// decides is true of a deploy that said what a target shall run. A restart does not say that, nor does a rollback that the
// portal made by itself: it brings back what ran, be it something that nobody has adopted yet.
const decides = `status = 'succeeded' AND kind <> 'restart' AND actor_id <> 'portal:auto'`

// decided is the audit entry of the last deploy that decided.
const decided = `ifnull((SELECT audit_seq FROM deploys WHERE app = c.app AND env = c.env AND ` + decides + ` ORDER BY id DESC LIMIT 1), 0)`

// counts is true of a change of what runs: a restart is one only where it ended a deploy whose image was not proven yet.
const counts = `(kind <> 'restart' OR asks = 1)`

// newest are the newest changes that count, of every target: each that has one is among the sightings.
const newest = `id IN (SELECT (SELECT max(id) FROM outside_changes WHERE app = s.app AND env = s.env AND ` + counts + `) FROM sightings s)`

const selectChanges = `SELECT id, app, env, kind, manager, changed_at, noticed_at, from_version, to_version, superseded, audit_seq,
	asks AND audit_seq > ` + decided + ` AND id = (SELECT max(id) FROM outside_changes WHERE app = c.app AND env = c.env AND ` + counts + `)
	FROM outside_changes c WHERE `

func listChanges(ctx context.Context, q sqlite.Querier, where string, args ...any) ([]OutsideChange, error) {
	var out []OutsideChange
	err := sqlite.Each(ctx, q, func(rows *sql.Rows) error {
		var c OutsideChange
		var changed, noticed sqlite.Time
		var from, to string
		var deploy sql.NullInt64
		err := rows.Scan(&c.ID, &c.Target.App, &c.Target.Env, &c.Kind, &c.Manager, &changed, &noticed, &from, &to, &deploy, &c.Seq, &c.Open)
		if err != nil {
			return err
		}
		c.At, c.Noticed, c.Deploy = changed.Time, noticed.Time, deploy.Int64
		for text, into := range map[*string]*Version{&from: &c.From, &to: &c.To} {
			if err := json.Unmarshal([]byte(*text), into); err != nil {
				return fmt.Errorf("change %d: %w", c.ID, err)
			}
		}
		out = append(out, c)
		return nil
	}, selectChanges+where+` -- deploys.listChanges`, args...)
	if err != nil {
		return nil, fmt.Errorf("listing changes from outside: %w", err)
	}
	return out, nil
}

// LatestChanges gives the newest outside change of every target that had one, restarts left out that change nothing
// of what runs.
func (s *Service) LatestChanges(ctx context.Context) (map[Target]OutsideChange, error) {
	list, err := listChanges(ctx, s.db, newest)
	out := make(map[Target]OutsideChange, len(list))
	for _, c := range list {
		out[c.Target] = c
	}
	return out, err
}

// Changes gives the outside changes of a target whose audit entry lies between two others, newest first, at most limit.
// before 0: up to the newest.
func (s *Service) Changes(ctx context.Context, t Target, after, before int64, limit int) ([]OutsideChange, error) {
	if before <= 0 {
		before = 1<<63 - 1
	}
	return listChanges(ctx, s.db, `app = ? AND env = ? AND audit_seq > ? AND audit_seq < ? ORDER BY id DESC LIMIT ?`,
		t.App, t.Env, after, before, limit)
}

// Stands tells whether a view still shows what a change has set, restarts aside.
func (c OutsideChange) Stands(r Rollout) bool { return c.To.templated(Version{}.in(r)) }

// OpenChange gives the outside change of a target that somebody has to adopt or undo. found is false when there is none.
func (s *Service) OpenChange(ctx context.Context, t Target) (c OutsideChange, found bool, err error) {
	return openChange(ctx, s.db, t)
}

func openChange(ctx context.Context, q sqlite.Querier, t Target) (c OutsideChange, found bool, err error) {
	list, err := listChanges(ctx, q, `app = ? AND env = ? AND `+counts+` ORDER BY id DESC LIMIT 1`, t.App, t.Env)
	if err != nil || len(list) == 0 || !list[0].Open {
		return c, false, err
	}
	return list[0], true, nil
}

// change gives one outside change of a target. errs.NotFound when there is none.
func (s *Service) change(ctx context.Context, t Target, id int64) (OutsideChange, error) {
	list, err := listChanges(ctx, s.db, `id = ? AND app = ? AND env = ?`, id, t.App, t.Env)
	if err == nil && len(list) == 0 {
		err = errs.New(errs.NotFound, "There is no outside change %d of %s. Open the page again.", id, t)
	}
	if err != nil {
		return OutsideChange{}, err
	}
	return list[0], nil
}

// KnownGood gives what undoing an outside change of a target brings back: what the last deploy that succeeded, or was
// adopted, made it run; where there is none, what had run, healthy, before the first change; and where that is marked as
// bad, what LastGood gives. ok is false when nothing is known that ran well.
func (s *Service) KnownGood(ctx context.Context, t Target) (back ReturnTo, v Version, ok bool, err error) {
	back, v, ok, err = knownGood(ctx, s.db, t)
	if err == nil && ok && (back.Change == 0 || v.Healthy) {
		var mark *BadImage
		if mark, err = markOf(ctx, s.db, v); mark == nil {
			return back, v, err == nil, err
		}
	}
	if err != nil {
		return ReturnTo{}, Version{}, false, err
	}
	newest, err := s.History(ctx, t, 0, 1)
	if err != nil || len(newest) == 0 {
		return ReturnTo{}, Version{}, false, err
	}
	return s.LastGood(ctx, newest[0])
}

// lastDecided is the last deploy of a target that said what it shall run.
func lastDecided(ctx context.Context, q sqlite.Querier, t Target) (Deploy, bool, error) {
	return get(ctx, q, `app = ? AND env = ? AND `+decides+` ORDER BY id DESC LIMIT 1`, t.App, t.Env)
}

// knownGood is what a target was meant to run, whether or not it ran well.
func knownGood(ctx context.Context, q sqlite.Querier, t Target) (back ReturnTo, v Version, ok bool, err error) {
	d, ok, err := lastDecided(ctx, q, t)
	if err != nil || ok {
		return ReturnTo{Deploy: d.ID}, d.Ran(), ok, err
	}
	firsts, err := listChanges(ctx, q, `app = ? AND env = ? ORDER BY id LIMIT 1`, t.App, t.Env)
	if err != nil || len(firsts) == 0 || len(firsts[0].From.Images) == 0 {
		return back, v, false, err
	}
	return ReturnTo{Change: firsts[0].ID}, firsts[0].From, true, nil
}

// ranOutside completes what every target ran at a time by the changes that no deploy made.
func (s *Service) ranOutside(ctx context.Context, ran []Ran, at time.Time) ([]Ran, error) {
	last, err := listChanges(ctx, s.db, `id IN (SELECT max(id) FROM outside_changes WHERE `+counts+` AND changed_at <= ? GROUP BY app, env)
		ORDER BY env, app`, sqlite.Time{Time: at})
	if err != nil {
		return nil, err
	}
	later, err := listChanges(ctx, s.db, `id IN (SELECT min(id) FROM outside_changes WHERE `+counts+` GROUP BY app, env)
		AND changed_at > ? ORDER BY env, app`, sqlite.Time{Time: at})
	if err != nil {
		return nil, err
	}
	for _, c := range last {
		i := slices.IndexFunc(ran, func(r Ran) bool { return r.Target == c.Target })
		if i < 0 {
			ran, i = append(ran, Ran{Target: c.Target}), len(ran)
		}
		if d := ran[i].Deploy; d.ID == 0 || d.Created.After(at) || c.Seq > d.AuditSeq && !ran[i].Rolling {
			ran[i] = Ran{Target: c.Target, Version: c.To, Change: &c}
		}
	}
	for _, c := range later {
		i := slices.IndexFunc(ran, func(r Ran) bool { return r.Target == c.Target })
		if i < 0 {
			ran = append(ran, Ran{Target: c.Target, Version: c.From, Change: &c, Before: true})
		} else if d := ran[i].Deploy; d.Created.After(at) && c.Seq < d.AuditSeq {
			ran[i].Version = c.From
		}
	}
	return ran, nil
}
