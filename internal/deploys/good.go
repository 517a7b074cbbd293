package deploys

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"deployportal/internal/sqlite"
)

// farBack is how many deploys of a target are looked at for images that ran well, and for the newest verdict on one.
const farBack = 200

// trials reads the deploys of a target with an id below before (0: from the newest), newest first, with only what tells how
// their images ran: a stored rollout can be large, and this is read before every deploy.
func trials(ctx context.Context, q sqlite.Querier, t Target, before int64, limit int) ([]Deploy, error) {
	if before <= 0 {
		before = 1<<63 - 1
	}
	var out []Deploy
	err := sqlite.Each(ctx, q, func(rows *sql.Rows) error {
		d := Deploy{Target: t}
		var from, to string
		var started, patched, finished sqlite.Time
		if err := rows.Scan(&d.ID, &d.Kind, &d.Status, &from, &to, &started, &patched, &finished); err != nil {
			return err
		}
		if err := errors.Join(json.Unmarshal([]byte(from), &d.From), json.Unmarshal([]byte(to), &d.To)); err != nil {
			return fmt.Errorf("deploy %d: %w", d.ID, err)
		}
		d.Started, d.Patched, d.Finished = started.Time, patched.Time, finished.Time
		out = append(out, d)
		return nil
	}, `SELECT id, kind, status, from_version, to_version, started_at, patched_at, finished_at FROM deploys
		WHERE app = ? AND env = ? AND id < ? ORDER BY id DESC LIMIT ? -- deploys.trials`, t.App, t.Env, before, limit)
	if err != nil {
		return nil, fmt.Errorf("reading how the images of %s ran: %w", t, err)
	}
	return out, nil
}

// alike tells whether two versions are the same image, also where no digest is known.
func alike(a, b Version) bool { return a.Same(b) || maps.Equal(a.Images, b.Images) }

func marked(marks []BadImage, v Version) bool {
	return slices.ContainsFunc(marks, func(b BadImage) bool { return b.Digest == v.Digest })
}

// refuted tells whether the newest verdict on what a target runs is that it failed. All its pods can be ready all the same:
// the smoke probes failed, or a container ended within the stability window. A restart that failed is no verdict: it
// brought no image.
func refuted(ctx context.Context, q sqlite.Querier, t Target, v Version) (bool, error) {
	past, err := trials(ctx, q, t, 0, farBack)
	for _, d := range past {
		switch {
		case !alike(d.To, v):
		case d.Status == Succeeded:
			return false, nil
		case d.Status == Failed && d.Kind != KindRestart:
			return true, nil
		}
	}
	return false, err
}

// doubt takes back that v is healthy where the portal's own verdict is that it failed.
func (v *Version) doubt(ctx context.Context, q sqlite.Querier, t Target) error {
	if !v.Healthy {
		return nil
	}
	bad, err := refuted(ctx, q, t, *v)
	v.Healthy = !bad
	return err
}

// LastGood gives what a rollback goes back to, as seen from deploy d: what ran, healthy, when d was asked for, else the
// newest earlier image that succeeded or ran healthy; never the image of d itself, or, where d was never sent, of what
// runs in its place; nor one marked as bad. The way back from a restart that has not succeeded is what ran before it, where
// that was healthy. ok is false when nothing is known.
func (s *Service) LastGood(ctx context.Context, d Deploy) (back ReturnTo, v Version, ok bool, err error) {
	const page = 50
	marks, err := badImages(ctx, s.db, `1`)
	if err != nil {
		return back, v, false, err
	}
	_, late, err := s.Landed(ctx, d)
	if err != nil {
		return back, v, false, err
	}
	sent, runs := late || !d.unsent(), d.To
	if !sent {
		runs = d.From
	}
	undoes := d.Kind == KindRestart && d.Status != Succeeded && sent // it brought no image: another one would not undo it
	for past := []Deploy{d}; len(past) > 0; {
		for _, c := range past {
			if c.ID != d.ID && c.CanReturnTo() && !alike(c.To, runs) && !marked(marks, c.To) {
				whole, found, err := get(ctx, s.db, `id = ?`, c.ID)
				return ReturnTo{Deploy: c.ID}, whole.Ran(), found && err == nil, err
			}
			other := c.ID == d.ID && undoes || !alike(c.From, runs)
			if c.CanReturnBefore() && other && !marked(marks, c.From) {
				return ReturnTo{Deploy: c.ID, Before: true}, c.From, true, nil
			}
		}
		if past, err = trials(ctx, s.db, d.Target, past[len(past)-1].ID, page); err != nil {
			return back, v, false, err
		}
	}
	return back, v, false, nil
}
