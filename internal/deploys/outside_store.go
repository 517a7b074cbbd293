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

// sighting is what a target was when it was last looked at, or as our last patch left it.
type sighting struct {
	uid        string // of the Deployment; empty: it is gone
	generation int64
	template   string
	bare       string
	version    Version // Healthy: its pods have been, since the template was set
}

// uidOf is the UID of what a view shows; empty when that is nothing.
func uidOf(r Rollout) string {
	if !r.Exists {
		return ""
	}
	return r.UID
}

// stale tells whether a view says something that is not known, be it only that a new image is healthy by now.
func (was sighting) stale(found bool, r Rollout) bool {
	if !found || was.uid != uidOf(r) {
		return r.Exists || was.uid != ""
	}
	return r.Exists && (r.Generation > was.generation || r.Generation == was.generation && r.Template != was.template ||
		!was.version.Healthy && HealthOf(r) == Healthy)
}

// change is what a view says has happened since; without a kind nothing has. A higher generation alone says nothing:
// scaling bumps it too. A lower one is a cache that is behind, and another template of the same generation is none, but
// read by another version of Kubernetes.
func (was sighting) change(app App, r Rollout) OutsideChange {
	c := OutsideChange{Target: app.Target, Manager: r.ChangedBy, At: r.ChangedAt, From: was.version}
	if r.Exists {
		c.To = runningVersion(app, r)
		c.To.Healthy = false // the pods that are there may be those of before
	}
	switch {
	case !r.Exists && was.uid != "":
		c.Kind = ChangedGone
	case !r.Exists, r.UID == was.uid && (r.Generation <= was.generation || r.Template == was.template):
	case r.UID != was.uid:
		c.Kind = ChangedAnew
	case r.Bare == was.bare:
		c.Kind = ChangedRestart
	case !hasImages(r.Images, was.version.Images):
		c.Kind = ChangedImage
	default:
		c.Kind = ChangedTemplate
	}
	return c
}

// next is what is known after a view.
func (was sighting) next(app App, r Rollout) sighting {
	switch {
	case !r.Exists:
		was.uid, was.generation = "", 0 // what it ran last stays known
		return was
	case was.uid == r.UID && r.Generation < was.generation:
		return was
	}
	now := runningVersion(app, r)
	if was.uid == r.UID && was.template == r.Template { // known from a deploy, perhaps, with more than a view tells
		healthy := was.version.Healthy || now.Healthy
		if was.version.Digest != "" {
			now = was.version
		}
		now.Healthy = healthy
	}
	return sighting{uid: r.UID, generation: r.Generation, template: r.Template, bare: r.Bare, version: now}
}

// put stores what is known of a target.
func (was sighting) put(ctx context.Context, tx *sqlite.Tx, t Target) error {
	version, err := json.Marshal(was.version)
	if err != nil {
		return fmt.Errorf("json.Marshal(version): %w", err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO sightings (app, env, uid, generation, template, bare, version) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (app, env) DO UPDATE SET uid = excluded.uid, generation = excluded.generation, template = excluded.template,
			bare = excluded.bare, version = excluded.version -- deploys.sighting.put`,
		t.App, t.Env, was.uid, was.generation, was.template, was.bare, string(version))
	if err != nil {
		return fmt.Errorf("storing what is known of %s: %w", t, err)
	}
	return nil
}

// sightings gives what is known of all targets.
func sightings(ctx context.Context, q sqlite.Querier) (map[Target]sighting, error) {
	return readSightings(ctx, q, `ORDER BY env, app`)
}

func sightingOf(ctx context.Context, q sqlite.Querier, t Target) (was sighting, found bool, err error) {
	all, err := readSightings(ctx, q, `WHERE app = ? AND env = ?`, t.App, t.Env)
	was, found = all[t]
	return was, found, err
}

func readSightings(ctx context.Context, q sqlite.Querier, where string, args ...any) (map[Target]sighting, error) {
	out := map[Target]sighting{}
	err := sqlite.Each(ctx, q, func(rows *sql.Rows) error {
		var t Target
		var s sighting
		var version string
		if err := rows.Scan(&t.App, &t.Env, &s.uid, &s.generation, &s.template, &s.bare, &version); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(version), &s.version); err != nil {
			return fmt.Errorf("what is known of %s: %w", t, err)
		}
		out[t] = s
		return nil
	}, `SELECT app, env, uid, generation, template, bare, version FROM sightings `+where+` -- deploys.sightings`, args...)
	if err != nil {
		return nil, fmt.Errorf("reading what is known of the targets: %w", err)
	}
	return out, nil
}

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

// decided is the audit entry of the last deploy that said what a target shall run. A restart does not say that.
const decided = `ifnull((SELECT d.audit_seq FROM deploys d WHERE d.app = c.app AND d.env = c.env AND d.status = 'succeeded'
	AND d.kind <> 'restart' ORDER BY d.id DESC LIMIT 1), 0)`

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
	}, `SELECT id, app, env, kind, manager, changed_at, noticed_at, from_version, to_version, superseded, audit_seq,
		asks AND audit_seq > `+decided+` AND id = (SELECT max(n.id) FROM outside_changes n WHERE n.app = c.app AND n.env = c.env AND n.kind <> 'restart')
		FROM outside_changes c WHERE `+where+` -- deploys.listChanges`, args...)
	if err != nil {
		return nil, fmt.Errorf("listing changes from outside: %w", err)
	}
	return out, nil
}

// LatestChanges gives the newest outside change of every target that had one, restarts left out: they do not change what
// runs.
func (s *Service) LatestChanges(ctx context.Context) (map[Target]OutsideChange, error) {
	list, err := listChanges(ctx, s.db, `id IN (SELECT max(id) FROM outside_changes WHERE kind <> 'restart' GROUP BY app, env)`)
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

// OpenChange gives the outside change of a target that somebody has to adopt or undo. found is false when there is none.
func (s *Service) OpenChange(ctx context.Context, t Target) (c OutsideChange, found bool, err error) {
	return openChange(ctx, s.db, t)
}

func openChange(ctx context.Context, q sqlite.Querier, t Target) (c OutsideChange, found bool, err error) {
	list, err := listChanges(ctx, q, `app = ? AND env = ? AND kind <> 'restart' ORDER BY id DESC LIMIT 1`, t.App, t.Env)
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

// knownGood is what a target was meant to run, whether or not it ran well.
func knownGood(ctx context.Context, q sqlite.Querier, t Target) (back ReturnTo, v Version, ok bool, err error) {
	d, ok, err := get(ctx, q, `app = ? AND env = ? AND status = 'succeeded' AND kind <> 'restart' ORDER BY id DESC LIMIT 1`, t.App, t.Env)
	if err != nil || ok {
		d.To.Template = d.Template
		return ReturnTo{Deploy: d.ID}, d.To, ok, err
	}
	firsts, err := listChanges(ctx, q, `app = ? AND env = ? ORDER BY id LIMIT 1`, t.App, t.Env)
	if err != nil || len(firsts) == 0 || len(firsts[0].From.Images) == 0 {
		return back, v, false, err
	}
	return ReturnTo{Change: firsts[0].ID}, firsts[0].From, true, nil
}

// ranOutside completes what every target ran at a time by the changes that no deploy made.
func (s *Service) ranOutside(ctx context.Context, ran []Ran, at time.Time) ([]Ran, error) {
	last, err := listChanges(ctx, s.db, `id IN (SELECT max(id) FROM outside_changes WHERE kind <> 'restart' AND changed_at <= ? GROUP BY app, env)
		ORDER BY env, app`, sqlite.Time{Time: at})
	if err != nil {
		return nil, err
	}
	later, err := listChanges(ctx, s.db, `id IN (SELECT min(id) FROM outside_changes WHERE kind <> 'restart' GROUP BY app, env)
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
