package deploys

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

const columns = `id, app, env, kind, status, from_version, to_version, rollback_of, replaces, actor_id, actor_name, source,
	reason, created_at, started_at, patched_at, finished_at, uid, generation, template, guard_rv, audit_seq, audit_hash,
	sentence, note, cause, causes, memory, rollout, seq`

func scanDeploy(row interface{ Scan(...any) error }) (Deploy, error) {
	var d Deploy
	var rollbackOf, replaces sql.NullInt64
	var created, started, patched, finished sqlite.Time
	var from, to, memory, cause, causes string
	var rollout sql.NullString
	err := row.Scan(&d.ID, &d.Target.App, &d.Target.Env, &d.Kind, &d.Status, &from, &to, &rollbackOf, &replaces, &d.ActorID,
		&d.ActorName, &d.Source, &d.Reason, &created, &started, &patched, &finished, &d.UID, &d.Generation, &d.Template,
		&d.GuardRV, &d.AuditSeq, &d.AuditHash, &d.Sentence, &d.Note, &cause, &causes, &memory, &rollout, &d.Seq)
	if err != nil {
		return d, err
	}
	d.RollbackOf, d.Replaces = rollbackOf.Int64, replaces.Int64
	d.Created, d.Started, d.Patched, d.Finished = created.Time, started.Time, patched.Time, finished.Time
	for _, f := range []struct {
		text string
		into any
	}{{from, &d.From}, {to, &d.To}, {memory, &d.Memory}, {cause, &d.Cause}, {causes, &d.Causes}} {
		if err := json.Unmarshal([]byte(f.text), f.into); err != nil {
			return d, fmt.Errorf("deploy %d: %w", d.ID, err)
		}
	}
	if rollout.Valid {
		d.Rollout = &Rollout{}
		if err := json.Unmarshal([]byte(rollout.String), d.Rollout); err != nil {
			return d, fmt.Errorf("rollout of deploy %d: %w", d.ID, err)
		}
	}
	return d, nil
}

// get reads one deploy. found is false when there is none.
func get(ctx context.Context, q sqlite.Querier, where string, args ...any) (d Deploy, found bool, err error) {
	d, err = scanDeploy(q.QueryRow(ctx, `SELECT `+columns+` FROM deploys WHERE `+where+` -- deploys.get`, args...))
	found, err = sqlite.Row(err)
	if err != nil {
		return d, false, fmt.Errorf("reading a deploy: %w", err)
	}
	return d, found, nil
}

func list(ctx context.Context, q sqlite.Querier, where string, args ...any) ([]Deploy, error) {
	var out []Deploy
	err := sqlite.Each(ctx, q, func(rows *sql.Rows) error {
		d, err := scanDeploy(rows)
		out = append(out, d)
		return err
	}, `SELECT `+columns+` FROM deploys WHERE `+where+` -- deploys.list`, args...)
	if err != nil {
		return nil, fmt.Errorf("listing deploys: %w", err)
	}
	return out, nil
}

func nextID(ctx context.Context, tx *sqlite.Tx) (id int64, err error) {
	_, err = sqlite.Row(tx.QueryRow(ctx, `SELECT ifnull(max(id), 0) + 1 FROM deploys -- deploys.nextID`).Scan(&id))
	return id, err
}

func insert(ctx context.Context, tx *sqlite.Tx, d *Deploy, key string) error {
	from, err := json.Marshal(d.From)
	if err != nil {
		return err
	}
	to, err := json.Marshal(d.To)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO deploys (id, app, env, kind, status, from_version, to_version, to_tag, rollback_of, replaces,
		actor_id, actor_name, source, request_key, reason, created_at, audit_seq, audit_hash)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) -- deploys.insert`,
		d.ID, d.Target.App, d.Target.Env, d.Kind, d.Status, string(from), string(to), d.To.Tag, orNull(d.RollbackOf), orNull(d.Replaces),
		d.ActorID, d.ActorName, d.Source, sql.NullString{String: key, Valid: key != ""}, d.Reason, tx.Now, d.AuditSeq, d.AuditHash)
	return err
}

func orNull(id int64) sql.NullInt64 { return sql.NullInt64{Int64: id, Valid: id != 0} }

// move changes the status by the state table, guarded by the status that is stored now.
func move(ctx context.Context, tx *sqlite.Tx, id int64, next Status, set string, args ...any) error {
	var now Status
	found, err := sqlite.Row(tx.QueryRow(ctx, `SELECT status FROM deploys WHERE id = ? -- deploys.move`, id).Scan(&now))
	switch {
	case err != nil:
		return err
	case !found:
		return noDeploy(id)
	}
	if err := now.To(next); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE deploys SET status = ?, `+set+` WHERE id = ? -- deploys.move`,
		append(append([]any{next}, args...), id)...)
	return err
}

// appendEvent adds the next event of a deploy and gives its seq.
func appendEvent(ctx context.Context, tx *sqlite.Tx, id int64, kind EventKind, text string) (seq int64, err error) {
	row := tx.QueryRow(ctx, `UPDATE deploys SET seq = seq + 1 WHERE id = ? RETURNING seq -- deploys.appendEvent`, id)
	found, err := sqlite.Row(row.Scan(&seq))
	switch {
	case err != nil:
		return 0, err
	case !found:
		return 0, noDeploy(id)
	}
	_, err = tx.Exec(ctx, `INSERT INTO deploy_events (deploy_id, seq, at, kind, text) VALUES (?, ?, ?, ?, ?) -- deploys.appendEvent`,
		id, seq, tx.Now, kind, text)
	return seq, err
}

// Get gives one deploy. errs.NotFound when there is none.
func (s *Service) Get(ctx context.Context, id int64) (Deploy, error) {
	d, found, err := get(ctx, s.db, `id = ?`, id)
	if err == nil && !found {
		return d, noDeploy(id)
	}
	if err == nil {
		d.Smoke, err = smokeOf(ctx, s.db, id)
	}
	d.Trouble = s.trouble(id)
	return d, err
}

// noDeploy is said of a deploy that is not there, and, word for word, of one that is hidden from who asks, here and by a door.
func noDeploy(id int64) error { return errs.New(errs.NotFound, "There is no deploy %d.", id) }

// Events gives the events of a deploy with a seq after the given one, oldest first.
func (s *Service) Events(ctx context.Context, id, after int64) ([]Event, error) {
	var out []Event
	err := sqlite.Each(ctx, s.db, func(rows *sql.Rows) error {
		e := Event{Deploy: id}
		var at sqlite.Time
		err := rows.Scan(&e.Seq, &at, &e.Kind, &e.Text)
		e.At = at.Time
		out = append(out, e)
		return err
	}, `SELECT seq, at, kind, text FROM deploy_events WHERE deploy_id = ? AND seq > ? ORDER BY seq -- deploys.Events`, id, after)
	if err != nil {
		return nil, fmt.Errorf("reading the events of deploy %d: %w", id, err)
	}
	return out, nil
}

// History lists the deploys of a target, newest first, with an id below before (0: from the newest).
func (s *Service) History(ctx context.Context, t Target, before int64, limit int) ([]Deploy, error) {
	if before <= 0 {
		before = 1<<63 - 1
	}
	return list(ctx, s.db, `app = ? AND env = ? AND id < ? ORDER BY id DESC LIMIT ?`, t.App, t.Env, before, limit)
}

// After lists the deploys with an id above the given one, oldest first.
func (s *Service) After(ctx context.Context, id int64, limit int) ([]Deploy, error) {
	return list(ctx, s.db, `id > ? ORDER BY id LIMIT ?`, id, limit)
}

// Active lists the deploys that are under way, by target.
func (s *Service) Active(ctx context.Context) (map[Target]Deploy, error) {
	open, err := list(ctx, s.db, `finished_at IS NULL`)
	out := make(map[Target]Deploy, len(open))
	for _, d := range open {
		d.Trouble = s.trouble(d.ID)
		out[d.Target] = d
	}
	return out, err
}

// Latest lists the newest deploy of every target that ever had one.
func (s *Service) Latest(ctx context.Context) (map[Target]Deploy, error) {
	rows, err := list(ctx, s.db, `id IN (SELECT max(id) FROM deploys GROUP BY app, env)`)
	out := make(map[Target]Deploy, len(rows))
	for _, d := range rows {
		out[d.Target] = d
	}
	return out, err
}

// LastGood gives what a rollback goes back to, as seen from deploy d: what ran, healthy, when d was asked for, else the
// newest earlier image that succeeded or ran healthy; never the image of d itself, or, where d was never sent, of what
// runs in its place; nor one marked as bad. ok is false when nothing is known.
func (s *Service) LastGood(ctx context.Context, d Deploy) (back ReturnTo, v Version, ok bool, err error) {
	const page = 50
	sent, runs := !d.unsent(), d.To
	if !sent {
		runs = d.From
	}
	if d.Kind == KindRestart && d.Status != Succeeded && sent { // it brought no image: another one would not undo it
		if mark, err := markOf(ctx, s.db, d.From); err != nil || mark == nil {
			return ReturnTo{Deploy: d.ID, Before: true}, d.From, err == nil && d.CanReturnBefore(), err
		}
	}
	for candidates := []Deploy{d}; ; {
		for _, c := range candidates {
			if c.ID != d.ID && c.CanReturnTo() && !alike(c.To, runs) {
				if mark, err := markOf(ctx, s.db, c.To); err != nil || mark == nil {
					return ReturnTo{Deploy: c.ID}, c.To, err == nil, err
				}
			}
			if c.CanReturnBefore() && !alike(c.From, runs) {
				if mark, err := markOf(ctx, s.db, c.From); err != nil || mark == nil {
					return ReturnTo{Deploy: c.ID, Before: true}, c.From, err == nil, err
				}
			}
		}
		candidates, err = s.History(ctx, d.Target, candidates[len(candidates)-1].ID, page)
		if err != nil || len(candidates) == 0 {
			return back, v, false, err
		}
	}
}

// alike tells whether two versions are the same image, also where no digest is known.
func alike(a, b Version) bool { return a.Same(b) || maps.Equal(a.Images, b.Images) }

// Ran is what a target ran at one time, as far as the portal knows.
type Ran struct {
	Target  Target
	Version Version
	Deploy  Deploy // the deploy that tells: it made it run, or it changed it later
	Before  bool   // it is what ran before Deploy
	Rolling bool   // Deploy was under way at that time
	Unsure  bool   // Deploy had been superseded: something else changed the workload after it

	Change *OutsideChange // tells in place of Deploy, which has no id then; nil else
}

// RanAt tells what every target ran at a time.
func (s *Service) RanAt(ctx context.Context, at time.Time) ([]Ran, error) {
	last, err := list(ctx, s.db, `id IN (SELECT max(id) FROM deploys WHERE created_at <= ? GROUP BY app, env) ORDER BY env, app`, sqlite.Time{Time: at})
	if err != nil {
		return nil, err
	}
	later, err := list(ctx, s.db, `id IN (SELECT min(id) FROM deploys GROUP BY app, env HAVING min(created_at) > ?) ORDER BY env, app`, sqlite.Time{Time: at})
	if err != nil {
		return nil, err
	}
	var out []Ran
	for _, d := range last {
		out = append(out, ranBy(d, at))
	}
	for _, d := range later {
		out = append(out, Ran{Target: d.Target, Version: d.From, Deploy: d, Before: true})
	}
	return s.ranOutside(ctx, out, at)
}

func ranBy(d Deploy, at time.Time) Ran {
	r := Ran{Target: d.Target, Version: d.From, Deploy: d, Before: true}
	if d.Finished.IsZero() || d.Finished.After(at) {
		r.Rolling = true
		return r
	}
	r.Unsure = d.Status == Superseded
	if d.Status == Succeeded {
		r.Version, r.Before = d.To, false
	}
	return r
}
