package deploys

import (
	"context"
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
	Deploy  int64   // the deploy that it ended as superseded, or whose patch landed after it was given up; 0: neither
	Seq     int64   // of its audit entry: change.outside, or the one of the end of the deploy that it superseded
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
	o := outsider{s: s, rests: map[Target]rest{}}
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
		if err != nil || !r.Partial && (!r.StaleSince.IsZero() || o.s.cluster.Ready(app.Target) != nil) {
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

// notice records what a view says that is not known yet. While a deploy is active its runner knows which change is its
// own, and records what ends it.
func (o *outsider) notice(ctx context.Context, app App, was sighting, r Rollout) (recorded bool, err error) {
	if _, active, err := active(ctx, o.s.db, app.Target); err != nil || active {
		return false, err
	}
	sure, err := o.s.sure(ctx, app.Target, was, r)
	if err != nil || !sure && was.uid == uidOf(r) {
		return false, err // a generation that is lower: the bell rings when the caches have caught up
	}
	if !sure {
		return false, errs.New(errs.Unavailable, "The cluster's caches are behind.")
	}
	err = o.s.db.Write(ctx, func(tx *sqlite.Tx) error {
		_, active, err := active(ctx, tx, app.Target)
		if err != nil || active {
			return err
		}
		recorded, err = o.s.noticed(ctx, tx, app, r, sure)
		return err
	})
	return recorded && err == nil, err
}

func active(ctx context.Context, q sqlite.Querier, t Target) (Deploy, bool, error) {
	return get(ctx, q, `app = ? AND env = ? AND finished_at IS NULL`, t.App, t.Env)
}

// sure tells whether a view is no older than what is known. Where it may be, the API server is asked.
func (s *Service) sure(ctx context.Context, t Target, was sighting, r Rollout) (bool, error) {
	if !was.doubtful(r) {
		return true, nil
	}
	live, err := s.cluster.Live(ctx, t)
	return err == nil && uidOf(live) == uidOf(r) && live.Generation == r.Generation, err
}

// noticed compares a view of a target that no deploy holds with what is known of it, records what has changed and takes
// it for known, all inside tx: the goroutine that looks does so, and each deploy before it begins, or its own patch
// would hide what came just before it.
func (s *Service) noticed(ctx context.Context, tx *sqlite.Tx, app App, r Rollout, sure bool) (recorded bool, err error) {
	was, found, err := sightingOf(ctx, tx, app.Target)
	if err != nil || !found {
		if err == nil {
			err = was.next(app, r, sure).put(ctx, tx, app.Target)
		}
		return false, err
	}
	c := was.change(app, r, sure)
	lost, err := lateLanding(ctx, tx, app.Target, r)
	if err != nil {
		return false, err
	}
	if c.Kind == "" || lost.Status == Superseded && lost.set(r) && r.ChangedBy == FieldManager {
		return false, was.next(app, r, sure).put(ctx, tx, app.Target)
	}
	if lost.Status == Errored {
		if c.Deploy = lost.ID; lost.set(r) {
			c.Manager, c.At = r.ChangedBy, r.ChangedAt
		}
	}
	entry, err := audit.Append(ctx, tx, s.changeEntry(c, was, app, r, tx.Now.Time))
	if err != nil {
		return false, err
	}
	c.Seq = entry.Seq
	return true, c.record(ctx, tx, was.next(app, r, sure))
}

// overtaken records the change that ended a deploy of ours as superseded. The deploy's own entry tells of it.
func overtaken(ctx context.Context, tx *sqlite.Tx, d Deploy, r Rollout, seq int64) error {
	was, found, err := sightingOf(ctx, tx, d.Target)
	if err != nil {
		return err
	}
	app := appOf(d.Target, d.To)
	c := was.change(app, r, false)
	if !found || c.Kind == "" {
		return was.next(app, r, false).put(ctx, tx, d.Target)
	}
	c.Deploy, c.Seq = d.ID, seq
	return c.record(ctx, tx, was.next(app, r, false))
}

// record writes the change and what is known from now on.
func (c OutsideChange) record(ctx context.Context, tx *sqlite.Tx, now sighting) error {
	asks := c.Kind != ChangedGone && (c.Kind != ChangedRestart || c.Deploy != 0) // else the pods are new, and nothing more
	back, err := cameBack(ctx, tx, c)
	if err != nil {
		return err
	}
	if err := c.From.doubt(ctx, tx, c.Target); err != nil {
		return err
	}
	if c.At.IsZero() {
		c.At = tx.Now.Time
	}
	if err := insertChange(ctx, tx, c, asks && !back); err != nil {
		return err
	}
	return now.put(ctx, tx, c.Target)
}

// cameBack tells whether a change has set a target to what it was meant to run: then nobody has to decide.
func cameBack(ctx context.Context, tx *sqlite.Tx, c OutsideChange) (bool, error) {
	d, found, err := lastDecided(ctx, tx, c.Target)
	if err != nil || found {
		return found && (d.Ran().templated(c.To) || d.To.templated(c.To)), err // a rollback's To: what its image ran with
	}
	_, good, found, err := knownGood(ctx, tx, c.Target)
	return found && good.templated(c.To), err
}

// lateLanding gives the deploy that was over before anybody knew whether its patch had landed, where the cluster shows that
// it has: one that another deploy replaced while its patch was on its way, or one that was given up and of whose landing
// nothing is recorded yet.
func lateLanding(ctx context.Context, tx *sqlite.Tx, t Target, r Rollout) (Deploy, error) {
	if r.DeployID == 0 {
		return Deploy{}, nil
	}
	d, _, err := get(ctx, tx, `id = ? AND app = ? AND env = ? AND template = '' AND status IN ('superseded', 'errored')
		AND NOT EXISTS (SELECT 1 FROM outside_changes c WHERE c.superseded = deploys.id)`, r.DeployID, t.App, t.Env)
	return d, err
}

// Landed gives the outside change that is the patch of a deploy, come after the deploy was given up. found is false where
// there is none.
func (s *Service) Landed(ctx context.Context, d Deploy) (c OutsideChange, found bool, err error) {
	if d.Status != Errored || !d.unsent() {
		return c, false, nil
	}
	list, err := listChanges(ctx, s.db, `superseded = ?`, d.ID)
	if err != nil || len(list) == 0 {
		return c, false, err
	}
	return list[0], true, nil
}
