package slack

import (
	"cmp"
	"context"
	"maps"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// facts is what is known of a target, without asking anybody.
type facts struct {
	app     deploys.App
	rollout deploys.Rollout
	trouble error // why the rollout cannot be told, or is old
	running deploys.Version
	active  *deploys.Deploy
	latest  deploys.Deploy
	change  *deploys.OutsideChange
	locks   []deploys.Lock
}

// look gives what is known of apps. Nothing of it waits for a network.
func (d *Door) look(ctx context.Context, apps ...deploys.App) ([]facts, error) {
	active, err := d.Deploys.Active(ctx)
	if err != nil {
		return nil, err
	}
	latest, err := d.Deploys.Latest(ctx)
	if err != nil {
		return nil, err
	}
	changes, err := d.Deploys.LatestChanges(ctx)
	if err != nil {
		return nil, err
	}
	locks, err := d.Deploys.Locks(ctx)
	if err != nil {
		return nil, err
	}
	var out []facts
	for _, app := range apps {
		f := facts{app: app, latest: latest[app.Target]}
		if a, ok := active[app.Target]; ok {
			f.active = &a
		}
		if c, ok := changes[app.Target]; ok {
			f.change = &c
		}
		for _, l := range locks {
			if l.Scope.Covers(app.Target) {
				f.locks = append(f.locks, l)
			}
		}
		d.see(&f)
		out = append(out, f)
	}
	return out, nil
}

// see fills in what the cluster shows; where it shows nothing, what ran when it was last seen.
func (d *Door) see(f *facts) {
	f.rollout, f.trouble = d.Cluster.Rollout(f.app.Target)
	switch {
	case f.trouble != nil:
		if f.running = f.latest.From; f.latest.Status == deploys.Succeeded {
			f.running = f.latest.To
		}
		return
	case f.rollout.Exists:
		f.running = deploys.RunningVersion(f.app, f.rollout)
	}
	if !f.rollout.StaleSince.IsZero() {
		f.trouble = errs.New(errs.Unavailable, "%s", f.rollout.StaleWhy)
	}
}

// by tells who brought what runs and when, as far as the newest deploy and the newest outside change tell; empty: not known.
func (f facts) by() (name string, at time.Time) {
	switch {
	case f.change != nil && f.change.Open && maps.Equal(f.change.To.Images, f.running.Images):
		return cmp.Or(f.change.Manager, "somebody") + ", outside of the portal", f.change.At
	case f.latest.Status == deploys.Succeeded && f.running.Same(f.latest.To):
		return f.latest.ActorName, f.latest.Finished
	}
	return "", time.Time{}
}
