package web

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"deployportal/internal/auth"
	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/web/templates"
)

// rights is what somebody may see and do, by environment. Two with equal rights are shown the same.
type rights struct {
	envs   []string // that may be seen, in the order of the configuration
	deploy map[string]bool
	all    bool // may see every environment, also those that are not configured any more
}

func (s *Server) rightsOf(actor auth.Actor) rights {
	r := rights{deploy: map[string]bool{}, all: s.Policy.Allow(actor, auth.View, "") == nil}
	for _, env := range s.Cluster.Envs() {
		if s.Policy.Allow(actor, auth.View, env) == nil {
			r.envs = append(r.envs, env)
			r.deploy[env] = s.Policy.Allow(actor, auth.Deploy, env) == nil
		}
	}
	return r
}

// key is equal for equal rights.
func (r rights) key() string {
	var b strings.Builder
	for _, env := range r.envs {
		fmt.Fprintf(&b, "%q %t ", env, r.deploy[env])
	}
	return b.String()
}

func (r rights) sees(env string) bool { return r.all || slices.Contains(r.envs, env) }

// gather puts together what is known of the targets that somebody may see. Nothing of it waits for a network.
func (s *Server) gather(ctx context.Context, r rights) ([]targetFacts, error) {
	active, err := s.Deploys.Active(ctx)
	if err != nil {
		return nil, err
	}
	latest, err := s.Deploys.Latest(ctx)
	if err != nil {
		return nil, err
	}
	changes, err := s.Deploys.LatestChanges(ctx)
	if err != nil {
		return nil, err
	}
	locks, err := s.Deploys.Locks(ctx)
	if err != nil {
		return nil, err
	}
	marks, err := s.Deploys.Marks(ctx)
	if err != nil {
		return nil, err
	}
	var out []targetFacts
	for _, app := range s.Cluster.Apps() {
		if slices.Contains(r.envs, app.Env) {
			t := s.factsOf(app, recorded{active, latest, changes, locks, marks}, r.deploy[app.Env])
			if t.Gone, err = s.goneWords(ctx, t); err != nil {
				return nil, err
			}
			out = append(out, t)
		}
	}
	return out, nil
}

// target is gather for one target, for somebody who may see it. errs.NotFound when it is not configured.
func (s *Server) target(ctx context.Context, t deploys.Target, mayDeploy bool) (targetFacts, error) {
	app, err := s.Cluster.App(t)
	if err != nil {
		return targetFacts{}, err
	}
	active, err := s.Deploys.Active(ctx)
	if err != nil {
		return targetFacts{}, err
	}
	newest, err := s.Deploys.History(ctx, t, 0, 1)
	if err != nil {
		return targetFacts{}, err
	}
	latest := map[deploys.Target]deploys.Deploy{}
	for _, d := range newest {
		latest[t] = d
	}
	changes, err := s.Deploys.LatestChanges(ctx)
	if err != nil {
		return targetFacts{}, err
	}
	locks, err := s.Deploys.Locks(ctx)
	if err != nil {
		return targetFacts{}, err
	}
	marks, err := s.Deploys.Marks(ctx)
	if err != nil {
		return targetFacts{}, err
	}
	return s.factsOf(app, recorded{active, latest, changes, locks, marks}, mayDeploy), nil
}

// recorded is what the store knows of targets.
type recorded struct {
	active, latest map[deploys.Target]deploys.Deploy
	changes        map[deploys.Target]deploys.OutsideChange
	locks          []deploys.Lock
	marks          deploys.Marks
}

func (s *Server) factsOf(app deploys.App, known recorded, mayDeploy bool) targetFacts {
	t := targetFacts{App: app, Prod: s.prod(app.Env), Health: deploys.Unknown, Images: s.Catalog.Cached(app), Marks: known.marks, MayDeploy: mayDeploy}
	if d, ok := known.active[app.Target]; ok {
		t.Active = &d
	}
	if c, ok := known.changes[app.Target]; ok {
		t.Change = &c
	}
	for _, l := range known.locks {
		if l.Scope.Covers(app.Target) {
			t.Locks = append(t.Locks, l)
		}
	}
	r, err := s.Cluster.Rollout(app.Target)
	switch {
	case err != nil:
		t.Trouble = err
	default:
		t.Rollout, t.Health = &r, deploys.HealthOf(r)
		t.Trouble, t.Gap = s.staleFault(app.Env, r), s.gap(app.Env)
	}
	d, deployed := known.latest[app.Target]
	t.Latest = d
	switch {
	case err == nil && r.Exists:
		t.Running = deploys.RunningVersion(app, r)
		t.Since, t.By = broughtBy(t.Running, r, d, t.Change)
	case deployed && t.Trouble != nil: // the last that is known
		t.Running = d.From
		if d.Status == deploys.Succeeded {
			t.Running, t.Since, t.By = d.To, d.Finished, d.ActorName
		}
	}
	t.Commit = s.commit(app, t.Running)
	return t
}

// staleFault says why a view cannot be trusted; a permission that is missing is another fault than a cluster out of
// reach, because another remedy cures it.
func (s *Server) staleFault(env string, r deploys.Rollout) error {
	switch {
	case r.StaleSince.IsZero():
		return nil
	case slices.Contains(s.Cluster.Gaps(env), r.StaleWhy):
		return errs.New(errs.Forbidden, "%s", r.StaleWhy)
	}
	return errs.New(errs.Unavailable, "%s", r.StaleWhy)
}

// gap names what may not be read in an environment; empty when all may be. Where a deploy cannot be followed without it,
// the view is stale as well.
func (s *Server) gap(env string) string { return strings.Join(s.Cluster.Gaps(env), " ") }

// broughtBy tells since when a target runs what it runs and who brought it, as far as its newest deploy and its newest
// outside change tell.
func broughtBy(running deploys.Version, r deploys.Rollout, newest deploys.Deploy, change *deploys.OutsideChange) (time.Time, string) {
	switch {
	case brought(change, running):
		return change.At, "outside change by " + byManager(*change)
	case newest.Status == deploys.Succeeded && running.Same(newest.To):
		return newest.Finished, broughtWord(newest)
	case newest.ID != 0 || r.ChangedBy == deploys.FieldManager:
		return time.Time{}, ""
	}
	return r.ChangedAt, "ran before the portal"
}

func (s *Server) commit(app deploys.App, v deploys.Version) deploys.Commit {
	c, _ := s.Catalog.CachedCommit(app.Git, v.Tag)
	return c
}

// ageOf tells how old the oldest of what is known of some environments is, and a sentence where one is not seen.
func (s *Server) ageOf(envs []string) (age time.Duration, stale string) {
	now := s.Now()
	for _, env := range envs {
		info, err := s.Cluster.Info(env)
		if err != nil {
			continue
		}
		if !info.Answered.IsZero() {
			age = max(age, now.Sub(info.Answered))
		}
		if stale == "" && !info.StaleSince.IsZero() {
			stale = fmt.Sprintf("%s not seen since %s", env, templates.UTCShort(info.StaleSince, now))
		}
	}
	return age, stale
}

func (s *Server) stream(url string, envs []string, background bool) *templates.Stream {
	age, stale := s.ageOf(envs)
	return &templates.Stream{URL: url, Age: age, Stale: stale, Background: background}
}
