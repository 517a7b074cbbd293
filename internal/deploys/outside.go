package deploys

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

// OutsideChange is a change of a workload that no deploy of ours made.
type OutsideChange struct {
	ID      int64
	Target  Target
	Kind    ChangeKind
	Manager string    // the field manager that made it: "kubectl-set", "helm"; empty: not known
	At      time.Time // when it was made, as the API server took it down; of a deletion, when it was noticed
	Noticed time.Time
	From    Version // what the target had been last known to run
	To      Version // what it was set to; no images: it was deleted
	Deploy  int64   // the deploy that it ended as superseded; 0: none was under way
	Seq     int64   // of its audit entry: change.outside, or the one of that deploy's end
	Open    bool    // it still stands, and nobody has adopted it or brought something else
}

// ChangeKind says what an outside change did.
type ChangeKind string

// The kinds of outside change.
const (
	ChangedImage    ChangeKind = "image"
	ChangedTemplate ChangeKind = "template" // another part of the pod template; the images stayed
	ChangedRestart  ChangeKind = "restart"  // only the mark of a restart
	ChangedGone     ChangeKind = "deleted"
	ChangedAnew     ChangeKind = "created" // it was not there, or the Deployment is another one now
)

// How changes are looked for. A look costs no call to the API server.
const (
	lookPause = time.Second      // between two looks
	restFirst = 2 * time.Second  // after a record of a target, doubled while it goes on changing
	restLast  = 16 * time.Second // so that who changes a target all the time cannot fill the log
	restOver  = time.Minute      // quiet that ends the doubling
)

// outsider looks for changes that no deploy of ours made, for all targets, in one goroutine.
type outsider struct {
	s     *Service
	began time.Time
	rests map[Target]rest
}

type rest struct {
	wait  time.Duration
	until time.Time
}

// watchOutside looks whenever the cluster or a deploy has moved, until ctx ends.
func (s *Service) watchOutside(ctx context.Context) {
	moved, stop := s.cluster.WatchAll()
	defer stop()
	deployed, stop := s.hub.listen(0)
	defer stop()
	o := outsider{s: s, began: s.db.Now(), rests: map[Target]rest{}}
	for {
		again := o.look(ctx)
		pause := time.NewTimer(lookPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
		if !waitFor(ctx, moved, deployed, again, s.db.Now()) {
			return
		}
	}
}

// waitFor returns true when a bell rings or again has come (zero: never), false when ctx ends.
func waitFor(ctx context.Context, moved, deployed <-chan struct{}, again, now time.Time) bool {
	var timer <-chan time.Time
	if !again.IsZero() {
		t := time.NewTimer(max(again.Sub(now), 0))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-moved:
	case <-deployed:
	case <-timer:
	case <-ctx.Done():
		return false
	}
	return true
}

// look compares every target with what is known of it. again is when to look again though nothing rings: what could not
// be written is tried again, what rests waits.
func (o *outsider) look(ctx context.Context) (again time.Time) {
	sooner := func(t time.Time) {
		if again.IsZero() || t.Before(again) {
			again = t
		}
	}
	now := o.s.db.Now()
	known, err := sightings(ctx, o.s.db)
	if err != nil {
		o.complain(ctx, "what is known of the targets cannot be read", err)
		return now.Add(o.s.retry)
	}
	for _, app := range o.targets(known) {
		r, err := o.s.cluster.Rollout(app.Target)
		if err != nil || !r.StaleSince.IsZero() || o.s.cluster.Ready(app.Target) != nil {
			continue // the bell rings when it is seen again
		}
		was, found := known[app.Target]
		if !was.stale(found, r) {
			continue
		}
		if rest := o.rests[app.Target]; now.Before(rest.until) {
			sooner(rest.until)
			continue
		}
		recorded, err := o.notice(ctx, app, was, r)
		switch {
		case err != nil:
			o.complain(ctx, "a change from outside cannot be recorded", err, "target", app.Target.String())
			sooner(now.Add(o.s.retry))
		case recorded:
			o.rest(app.Target, now)
			o.s.hub.ring(0)
		}
	}
	return again
}

func (o *outsider) complain(ctx context.Context, what string, err error, args ...any) {
	if ctx.Err() == nil {
		o.s.log.Error(what, append(args, "err", err)...)
	}
}

// rest keeps a target that changes again and again from writing an entry a second: what it was set to in between is not
// recorded one by one but counted.
func (o *outsider) rest(t Target, now time.Time) {
	r := o.rests[t]
	if now.After(r.until.Add(restOver)) {
		r.wait = 0
	}
	r.wait = min(max(2*r.wait, restFirst), restLast)
	r.until = now.Add(r.wait)
	o.rests[t] = r
}

// targets are the apps there are, and those that were: where apps are found in the cluster, one whose Deployment was
// deleted or runs an image from elsewhere is no app any more.
func (o *outsider) targets(known map[Target]sighting) []App {
	apps := slices.Clone(o.s.cluster.Apps())
	listed := map[Target]bool{}
	for _, a := range apps {
		listed[a.Target] = true
	}
	for t, was := range known {
		if !listed[t] && len(was.version.Images) > 0 {
			apps = append(apps, appOf(t, was.version))
		}
	}
	return apps
}

// appOf is what must be known of an app to read what it runs.
func appOf(t Target, v Version) App {
	return App{Target: t, Workload: t.App, Repository: v.Repository, Containers: slices.Sorted(maps.Keys(v.Images))}
}

// notice records what a view says that is not known yet. A Deployment that is gone or another one is first read from the
// API server: the caches may be behind what a deploy of ours has just read there.
func (o *outsider) notice(ctx context.Context, app App, was sighting, r Rollout) (recorded bool, err error) {
	if was.uid != "" && was.uid != uidOf(r) {
		live, err := o.s.cluster.Live(ctx, app.Target)
		if err != nil {
			return false, err
		}
		if uidOf(live) != uidOf(r) {
			return false, errs.New(errs.Unavailable, "The cluster's caches are behind.")
		}
	}
	err = o.s.db.Write(ctx, func(tx *sqlite.Tx) error {
		recorded = false
		_, active, err := get(ctx, tx, `app = ? AND env = ? AND finished_at IS NULL`, app.App, app.Env)
		if err != nil || active { // its runner knows which change is its own, and records what ends it
			return err
		}
		was, found, err := sightingOf(ctx, tx, app.Target)
		if err != nil {
			return err
		}
		c := was.change(app, r)
		if ours, err := lateLanding(ctx, tx, app.Target, r); err != nil {
			return err
		} else if !found || ours || c.Kind == "" {
			return was.next(app, r).put(ctx, tx, app.Target)
		}
		entry, err := audit.Append(ctx, tx, o.entry(c, was, app, r, tx.Now.Time))
		if err != nil {
			return err
		}
		recorded, c.Seq = true, entry.Seq
		return c.record(ctx, tx, was.next(app, r))
	})
	return recorded && err == nil, err
}

// overtaken records the change that ended a deploy of ours as superseded. The deploy's own entry tells of it.
func overtaken(ctx context.Context, tx *sqlite.Tx, d Deploy, r Rollout, seq int64) error {
	was, found, err := sightingOf(ctx, tx, d.Target)
	if err != nil {
		return err
	}
	app := appOf(d.Target, d.To)
	c := was.change(app, r)
	if !found || c.Kind == "" {
		return was.next(app, r).put(ctx, tx, d.Target)
	}
	c.Deploy, c.Seq = d.ID, seq
	return c.record(ctx, tx, was.next(app, r))
}

// record writes the change and what is known from now on.
func (c OutsideChange) record(ctx context.Context, tx *sqlite.Tx, now sighting) error {
	asks := c.Kind != ChangedGone && c.Kind != ChangedRestart
	_, good, found, err := knownGood(ctx, tx, c.Target)
	if err != nil {
		return err
	}
	if found && good.Template == c.To.Template { // it has come back to what it was by itself
		asks = false
	}
	if err := c.From.doubt(ctx, tx, c.Target); err != nil {
		return err
	}
	if c.At.IsZero() {
		c.At = tx.Now.Time
	}
	if err := insertChange(ctx, tx, c, asks); err != nil {
		return err
	}
	return now.put(ctx, tx, c.Target)
}

// lateLanding tells whether a template is what a deploy of ours sent that was over before it knew: one that another
// deploy replaced while its patch was on its way.
func lateLanding(ctx context.Context, tx *sqlite.Tx, t Target, r Rollout) (bool, error) {
	if r.DeployID == 0 || r.ChangedBy != FieldManager {
		return false, nil
	}
	d, found, err := get(ctx, tx, `id = ? AND app = ? AND env = ? AND template = ''`, r.DeployID, t.App, t.Env)
	return found && err == nil && d.set(r), err
}

// entry is the audit entry of a change. Its actor is the field manager: who stood behind that, the cluster does not keep.
func (o *outsider) entry(c OutsideChange, was sighting, app App, r Rollout, now time.Time) audit.Entry {
	name := "cluster:" + c.Manager
	if c.Manager == "" {
		name = "cluster:unknown"
	}
	detail := c.sentence(app.Workload, now)
	if c.Kind != ChangedGone && !c.At.IsZero() && c.At.Before(o.began.Add(-time.Second)) { // the API server keeps whole seconds
		detail += " The portal was not running then."
	}
	if n := r.Generation - was.generation; c.Kind != ChangedAnew && c.Kind != ChangedGone && n > 1 {
		detail += fmt.Sprintf(" It was written %d times since it was last looked at, scaling included; this is where it ended.", n)
	}
	return audit.Entry{Actor: audit.Actor{ID: name, Name: name, Source: "system", Method: "none"}, Action: audit.ChangeOutside,
		App: c.Target.App, Env: c.Target.Env, Repository: first(c.To.Repository, c.From.Repository),
		FromTag: c.From.Tag, FromDigest: c.From.Digest, ToTag: c.To.Tag, ToDigest: c.To.Digest, Detail: detail}
}

// sentence says what a change did, by whom and when.
func (c OutsideChange) sentence(workload string, now time.Time) string {
	who, when := c.Manager, c.At
	if who == "" {
		who = "somebody"
	}
	if when.IsZero() {
		when = now
	}
	by := " by " + who + " at " + when.UTC().Format("2006-01-02 15:04:05") + " UTC, not through the portal."
	switch c.Kind {
	case ChangedImage:
		return "The image was changed from " + c.From.Short() + " to " + c.To.Short() + by
	case ChangedTemplate:
		return "The pod template was changed" + by + " The image stayed " + c.To.Short() + "."
	case ChangedRestart:
		return "The pods were restarted" + by
	case ChangedGone:
		return "The Deployment " + workload + " was deleted, not through the portal. Kubernetes does not keep by whom."
	}
	return "The Deployment " + workload + " was created" + by + " It is set to " + c.To.Short() + "."
}
