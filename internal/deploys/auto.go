package deploys

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"deployportal/internal/audit"
	"deployportal/internal/errs"
	"deployportal/internal/foreign"
	"deployportal/internal/sqlite"
)

// Commits is what an automatic rollback must know of the commits; internal/gitea implements it.
type Commits interface {
	// Migrations gives the files that mean migrations and were touched by commits between two, on both sides. Errors as
	// Registry.Resolve.
	Migrations(ctx context.Context, git, from, to string, patterns ...string) (Migrations, error)
}

// NotRolledBack begins the note of a deploy that failed and is left to a person; why follows.
const NotRolledBack = "Not rolled back by itself: "

// errHeld wraps, in a sentence, why a failure is not rolled back by itself.
type errHeld struct{ why string }

func (e errHeld) Error() string { return e.why }

func held(format string, args ...any) error { return errHeld{fmt.Sprintf(format, args...)} }

// wayBack makes the rollback that answers the failure of r's deploy, or says why a person must. It asks registry and
// commits, so it is called before the transaction of the outcome; a lock does not hold it, for it restores.
func (r *run) wayBack(o outcome) (*Deploy, error) {
	d := r.d
	switch {
	case d.Kind == KindRollback:
		return nil, held("a rollback that fails is not rolled back again.")
	case d.Kind == KindRestart:
		return nil, held("a restart brings no image, so there is none to take back.")
	case r.s.hold[d.Target.Env]:
		return nil, held("automatic rollback is switched off in %s.", d.Target.Env)
	case d.CanReturnBefore() && d.From.Same(d.To):
		return nil, held("%s ran before deploy %d as well, with another image in another container: which of them is bad, a person must say.", d.To.Short(), d.ID)
	}
	good, err := r.good()
	if err != nil {
		return nil, err
	}
	if err := r.stillThere(good.version); err != nil {
		return nil, err
	}
	if err := r.noMigrations(good); err != nil {
		return nil, err
	}
	back := &Deploy{Target: d.Target, Kind: KindRollback, Status: Pending, RollbackOf: d.ID, To: good.version, From: d.To,
		ActorID: auto.ID, ActorName: auto.Name, Source: auto.Source, Reason: foreign.Line(answered(d.ID, o), longestWhy)}
	back.From.Template = d.Template // what it must find, or somebody else has acted
	return back, nil
}

// good is what an automatic rollback brings back.
type good struct {
	version Version
	since   []Version // what was brought after it ran, the image that failed first
}

// good finds what ran well before r's deploy: right before it, else, where deploys in between did not run well either, the
// newest that did.
func (r *run) good() (good, error) {
	if r.d.CanReturnBefore() {
		return good{r.d.From, []Version{r.d.To}}, nil
	}
	unread := func(err error) (good, error) {
		r.s.log.Error("what ran well cannot be read", "deploy", r.d.ID, "err", err)
		return good{}, held("what ran well before deploy %d cannot be read.", r.d.ID)
	}
	back, v, ok, err := r.s.LastGood(r.ctx, r.d)
	switch {
	case err != nil:
		return unread(err)
	case !ok:
		return good{}, held("what ran before deploy %d was not healthy, so no good image is known.", r.d.ID)
	}
	past, err := trials(r.ctx, r.s.db, r.d.Target, r.d.ID+1, int(r.d.ID-back.Deploy)+1)
	if err != nil {
		return unread(err)
	}
	g := good{version: v}
	add := func(brought Version) {
		if !alike(brought, v) && !slices.ContainsFunc(g.since, func(o Version) bool { return alike(o, brought) }) {
			g.since = append(g.since, brought)
		}
	}
	for _, d := range past {
		if d.ID > back.Deploy || d.ID == back.Deploy && back.Before {
			if !d.unsent() {
				add(d.To)
			}
			add(d.From)
		}
	}
	return g, nil
}

// answered is the reason of the rollback and of the mark.
func answered(id int64, o outcome) string {
	return Deploy{ID: id, Status: o.status, Sentence: o.sentence, Cause: o.cause}.WhyBad()
}

// stillThere holds when the registry says that an image is gone. One that does not answer says nothing: the nodes may
// hold the image.
func (r *run) stillThere(v Version) error {
	ref := v.Pulled()
	if ref == "" || v.Repository == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.ctx, lookupTimeout)
	defer cancel()
	if _, err := r.s.registry.Resolve(ctx, v.Repository, ref); errs.KindOf(err) == errs.NotFound {
		return held("the image %s is gone from the registry. %s", v.Short(), errs.Public(err))
	}
	return nil
}

var namesCommit = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

// noMigrations holds when commits between what is to come back and anything that was brought after it touch files that mean
// migrations, or cannot be read: the database may not be what that image knows.
func (r *run) noMigrations(g good) error {
	ctx, cancel := context.WithTimeout(r.ctx, lookupTimeout)
	defer cancel()
	for _, v := range g.since {
		if err := r.noMigrationsBetween(ctx, g.version, v); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) noMigrationsBetween(ctx context.Context, good, bad Version) error {
	if r.s.commits == nil || r.app.Git == "" || !namesCommit.MatchString(bad.Tag) || !namesCommit.MatchString(good.Tag) {
		return held("the commits between %s and %s are not known, so they may hold migrations.", good.Short(), bad.Short())
	}
	m, err := r.s.commits.Migrations(ctx, r.app.Git, bad.Tag, good.Tag, r.app.Migrations...)
	switch touched := append(m.Behind, m.Ahead...); {
	case err != nil:
		return held("the commits between %s and %s cannot be read, so they may hold migrations. %s", good.Short(), bad.Short(), errs.Public(err))
	case len(touched) == 1:
		return held("%s was touched between %s and %s, and that may be a migration.", touched[0].Path, good.Short(), bad.Short())
	case len(touched) > 1:
		return held("%s and %d more files were touched between %s and %s, and those may be migrations.", touched[0].Path, len(touched)-1, good.Short(), bad.Short())
	case m.Unread > 0:
		return held("%d commits between %s and %s were not looked at, so they may hold migrations.", m.Unread, good.Short(), bad.Short())
	}
	return nil
}

// unlessBad holds when what it goes back to is marked as bad. Read inside tx: a mark may have just been made.
func unlessBad(ctx context.Context, tx *sqlite.Tx, back *Deploy) error {
	mark, err := markOf(ctx, tx, back.To)
	switch {
	case err != nil:
		return held("it cannot be read whether %s is marked as bad.", back.To.Short())
	case mark != nil:
		return errHeld{mark.Says()}
	}
	return nil
}

// passing gives the sentence that says what lock an automatic rollback passes. It holds when that cannot be read: what
// nobody can say is not done.
func passing(ctx context.Context, tx *sqlite.Tx, back *Deploy) (passed string, err error) {
	l, err := lockOn(ctx, tx, back.Target)
	switch {
	case err != nil:
		return "", held("it cannot be read whether %s is locked.", back.Target)
	case l == nil:
		return "", nil
	}
	return l.passed(), nil
}

// conclude is step 11 of a failure: its outcome, and in the same transaction the rollback that answers it, or why there
// is none.
func (s *Service) conclude(ctx context.Context, tx *sqlite.Tx, d Deploy, o outcome, back *Deploy, why error) error {
	var passed string
	if back != nil {
		back.ID = 0 // a try before this one may not have been written
		if why = unlessBad(ctx, tx, back); why == nil {
			passed, why = passing(ctx, tx, back)
		}
	}
	var hold errHeld
	if errors.As(why, &hold) {
		o.note, back = NotRolledBack+hold.why, nil
	}
	if err := s.end(ctx, tx, d, o); err != nil || back == nil {
		return err
	}
	e := entryOf(*back, auto.Audit(), audit.DeployRequested, "")
	if err := enter(ctx, tx, back, e, "", passed); err != nil {
		return err
	}
	if back.From.Digest == "" {
		return nil
	}
	return putMark(ctx, tx, d.Target, back.From, back.Reason, auto)
}

// takeUp starts an automatic rollback that was recorded with the failure it answers and never begun.
func (s *Service) takeUp(d Deploy) {
	s.spawn(App{Target: d.Target, Workload: d.Target.App, Containers: []string{""}}, d, func(r *run) error {
		switch err := r.findApp(); {
		case errs.KindOf(err) == errs.NotFound:
			r.resumed()
			return r.errored(err)
		case err != nil:
			return err
		}
		if _, err := r.readLive(); err != nil { // waits until the cluster is seen
			return err
		}
		r.resumed()
		return r.deploy(Author{})
	})
}
