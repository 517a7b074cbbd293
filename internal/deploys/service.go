// Package deploys is the domain: what a deploy is, the one path it takes, and how its end is decided.
//
// Every door makes a Request and calls Service.Start. Start checks, resolves the tag to a digest, and commits the row
// and its audit entry in one transaction; only then does a runner send the one patch and watch the rollout until
// Judge decides, and commits the outcome and its audit entry in one transaction again. A portal that dies in between
// finds the row at its next start and reads from the cluster how far it came (Resume).
package deploys

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/auth"
	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

// Options are what a Service is made of. All but Commits, Hold, Tags, Log and Retry are needed.
type Options struct {
	DB       *sqlite.DB
	Cluster  Cluster
	Registry Registry
	Policy   Policy
	Commits  Commits        // nil: no failure is rolled back by itself, for migrations cannot be told
	Hold     []string       // environments in which no failure is rolled back by itself
	Tags     *regexp.Regexp // what a tag must look like; nil: TagPattern
	Log      *slog.Logger   // nil: slog.Default
	Retry    time.Duration  // between tries to write an outcome or to read an unreachable cluster; 0: 5 s
}

// Service is the only way to a patch. Its methods are safe for concurrent use.
type Service struct {
	db       *sqlite.DB
	cluster  Cluster
	registry Registry
	policy   Policy
	commits  Commits
	hold     map[string]bool
	tags     *regexp.Regexp
	log      *slog.Logger
	retry    time.Duration
	hub      *hub

	mu       sync.Mutex
	ctx      context.Context // of all runners; nil before Run
	runs     map[Target]*run // the newest run of a target
	resuming map[Target]bool
	troubles map[int64]string
	wg       sync.WaitGroup

	crash func(point string) bool // tests: true stops the runner dead at a numbered point
}

// New makes a Service. Nothing runs before Run.
func New(o Options) *Service {
	s := &Service{
		db: o.DB, cluster: o.Cluster, registry: o.Registry, policy: o.Policy, commits: o.Commits, hold: map[string]bool{}, tags: o.Tags, log: o.Log, retry: o.Retry,
		hub: newHub(), runs: map[Target]*run{}, resuming: map[Target]bool{}, troubles: map[int64]string{},
		crash: func(string) bool { return false },
	}
	for _, env := range o.Hold {
		s.hold[env] = true
	}
	if s.tags == nil {
		s.tags = TagPattern
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.retry == 0 {
		s.retry = 5 * time.Second
	}
	return s
}

// Listen gives a bell that rings when a deploy has a new event (id 0: any deploy) and a function that ends it.
// Listen first, read Events after, then wait: so nothing is missed.
func (s *Service) Listen(id int64) (bell <-chan struct{}, stop func()) { return s.hub.listen(id) }

// Start records what was asked and sets it going; it answers before anything in the cluster has changed. Errors:
// errs.Forbidden (policy), Invalid (cannot be meant), NotFound (app, tag, deploy), Conflict (another deploy is active,
// or what was seen has changed), Unavailable (registry, cluster or database). Every refusal is an audit entry; if that
// cannot be written, the answer is Unavailable. The same Key gives the same deploy.
func (s *Service) Start(ctx context.Context, req Request) (Deploy, error) {
	d, err := s.start(ctx, req)
	if err != nil {
		return Deploy{}, s.reject(ctx, req, err)
	}
	return d, nil
}

func (s *Service) start(ctx context.Context, req Request) (Deploy, error) {
	if err := s.policy.Allow(req.Actor, auth.Deploy, req.Target.Env); err != nil {
		return Deploy{}, err
	}
	if d, found, err := s.again(ctx, s.db, req); err != nil || found {
		return d, err
	}
	if err := req.check(s.tags); err != nil {
		return Deploy{}, err
	}
	app, err := s.cluster.App(req.Target)
	if err != nil {
		return Deploy{}, err
	}
	if err := s.open(req.Target); err != nil {
		return Deploy{}, err
	}
	d := Deploy{Target: req.Target, Kind: KindDeploy, Status: Pending, Replaces: req.Replaces,
		ActorID: req.Actor.ID, ActorName: req.Actor.Name, Source: req.Actor.Source, Reason: audit.Cut(req.Reason, 1000)}
	if err := s.resolve(ctx, app, req, &d); err != nil {
		return Deploy{}, err
	}
	if err := s.compare(app, req, &d); err != nil {
		return Deploy{}, err
	}
	if err := s.record(ctx, req, &d); err != nil {
		if errors.Is(err, errAgain) {
			return d, nil
		}
		return Deploy{}, err
	}
	s.hub.ring(d.ID)
	s.hub.ring(d.Replaces)
	s.launch(app, d)
	return d, nil
}

// errAgain ends a transaction that found the deploy of the same key, made a moment ago by a second click.
var errAgain = errors.New("asked for before")

// again answers a request that was made before with the same key.
func (s *Service) again(ctx context.Context, q sqlite.Querier, req Request) (Deploy, bool, error) {
	if req.Key == "" {
		return Deploy{}, false, nil
	}
	d, found, err := get(ctx, q, `actor_id = ? AND source = ? AND request_key = ?`, req.Actor.ID, req.Actor.Source, req.Key)
	if err == nil && found && d.Target != req.Target {
		return Deploy{}, false, errs.New(errs.Conflict, "This form was already used for %s (deploy %d). Open the page again.", d.Target, d.ID)
	}
	return d, found, err
}

// Running tells whether Run has begun and its context has not ended: whether Start lets requests through at all.
func (s *Service) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ctx != nil && s.ctx.Err() == nil
}

// open tells whether a target takes deploys now: the portal runs, its caches are synced and its open row is resumed.
func (s *Service) open(t Target) error {
	s.mu.Lock()
	resuming := s.resuming[t]
	s.mu.Unlock()
	if !s.Running() {
		return errs.New(errs.Unavailable, "The portal is starting or stopping. Try again in a moment.")
	}
	if err := s.cluster.Ready(t); err != nil {
		return err
	}
	if resuming {
		return errs.New(errs.Unavailable, "The portal has just started and still reads how far the last deploy of %s came. Try again in a moment.", t)
	}
	return nil
}

// resolve fills in what shall run.
func (s *Service) resolve(ctx context.Context, app App, req Request, d *Deploy) error {
	if req.Return == nil {
		img, err := s.registry.Resolve(ctx, app.Repository, req.Image)
		if err != nil {
			return err
		}
		d.To = deployedVersion(app, img)
		return nil
	}
	d.Kind, d.RollbackOf = KindRollback, req.Return.Deploy
	back, err := s.Get(ctx, req.Return.Deploy)
	switch {
	case err != nil:
		return err
	case back.Target != req.Target:
		return errs.New(errs.Invalid, "Deploy %d was of %s, not of %s. Choose one of this app's history.", back.ID, back.Target, req.Target)
	case req.Return.Before && back.CanReturnBefore():
		d.To = back.From
	case !req.Return.Before && back.CanReturnTo():
		d.To = back.To
	case req.Return.Before:
		return errs.New(errs.Invalid, "What ran before deploy %d was not healthy, so nothing goes back to it. Choose another image.", back.ID)
	default:
		return errs.New(errs.Invalid, "Deploy %d did not succeed, so nothing goes back to it. Choose another image.", back.ID)
	}
	return nil
}

// compare fills in what runs and refuses what would do nothing or something else than was seen.
func (s *Service) compare(app App, req Request, d *Deploy) error {
	r, err := s.cluster.Rollout(req.Target)
	if err != nil {
		return err
	}
	if !r.Exists {
		return errs.New(errs.NotFound, "There is no Deployment %s in namespace %s. Create it, or correct the configuration of %s.", app.Workload, app.Namespace, app.App)
	}
	for name := range d.To.Images {
		if err := lacks(app, r, name); err != nil {
			return err
		}
	}
	d.From = runningVersion(app, r)
	if req.Seen.From != "" && req.Seen.From != d.From.ID() {
		return errs.New(errs.Conflict, "%s does not run what you were shown (%s) but %s (%s). Look again and confirm anew.",
			d.Target, req.Seen.From, d.From.Short(), d.From.ID())
	}
	if req.Seen.To != "" && req.Seen.To != d.To.ID() {
		return errs.New(errs.Conflict, "The tag %s does not name what you were shown (%s) any more but %s. Look again and confirm anew.",
			d.To.Short(), req.Seen.To, d.To.ID())
	}
	if same(d.To, d.From) {
		if d.From.Healthy {
			return errs.New(errs.Invalid, "%s already runs %s. Nothing was sent. Choose another image.", d.Target, d.To.Short())
		}
		return errs.New(errs.Invalid, "%s is already set to %s, though it is not healthy. Setting it again would change nothing, so nothing was sent. Roll back, or choose another image.", d.Target, d.To.Short())
	}
	return nil
}

// Misconfigured tells, as errs.Invalid, that a configured container is not in the workload: no deploy can be meant then.
func Misconfigured(app App, r Rollout) error {
	for _, name := range app.Containers {
		if err := lacks(app, r, name); err != nil {
			return err
		}
	}
	return nil
}

func lacks(app App, r Rollout, name string) error {
	if _, ok := r.Images[name]; ok {
		return nil
	}
	return errs.New(errs.Invalid, "The Deployment %s has no container %q; it has %s. Correct the configuration of %s.",
		app.Workload, name, names(r.Images), app.App)
}

// same tells whether every container already has the image it shall get: the same string, the same digest, or the same
// tag whose digest the running pods prove.
func same(to, from Version) bool {
	for name, want := range to.Images {
		have := from.Images[name]
		wantRepo, wantTag, wantDigest := SplitImage(want)
		haveRepo, haveTag, haveDigest := SplitImage(have)
		proven := haveDigest == "" && from.Same(to) && haveRepo == wantRepo && haveTag == wantTag
		if have != want && !proven && (wantDigest == "" || wantDigest != haveDigest) {
			return false
		}
	}
	return true
}

// record is step 5: the row and its entry, or neither.
func (s *Service) record(ctx context.Context, req Request, d *Deploy) error {
	return s.db.Write(ctx, func(tx *sqlite.Tx) error {
		if same, found, err := s.again(ctx, tx, req); err != nil {
			return err
		} else if found {
			*d = same
			return errAgain
		}
		passed, err := passLock(ctx, tx, req, d.Kind)
		if err != nil {
			return err
		}
		if err := heedMark(ctx, tx, req, d.To); err != nil {
			return err
		}
		if err := s.vacate(ctx, tx, req, d); err != nil {
			return err
		}
		e := entryOf(*d, req.Actor.Audit(), audit.DeployRequested, req.Actor.RequestID)
		e.Detail = passed
		if err := enter(ctx, tx, d, e, req.Key); err != nil {
			return err
		}
		return aftermath(ctx, tx, req, *d)
	})
}

// enter writes the row of a new deploy, the entry e that says who asked for it, and its first event.
func enter(ctx context.Context, tx *sqlite.Tx, d *Deploy, e audit.Entry, key string) (err error) {
	if d.ID, err = nextID(ctx, tx); err != nil {
		return err
	}
	e.DeployID = d.ID
	entry, err := audit.Append(ctx, tx, e)
	if err != nil {
		return err
	}
	d.AuditSeq, d.AuditHash, d.Created = entry.Seq, entry.Hash, tx.Now.Time
	if err := insert(ctx, tx, d, key); err != nil {
		return err
	}
	d.Seq, err = appendEvent(ctx, tx, d.ID, EventStep, requested(*d))
	return err
}

// vacate makes the target free for a new deploy, or refuses and names the one that holds it.
func (s *Service) vacate(ctx context.Context, tx *sqlite.Tx, req Request, d *Deploy) error {
	active, found, err := get(ctx, tx, `app = ? AND env = ? AND finished_at IS NULL`, req.Target.App, req.Target.Env)
	switch {
	case err != nil:
		return err
	case !found && req.Replaces != 0:
		return errs.New(errs.Conflict, "Deploy %d, which this one was to replace, is over. Look again and confirm anew.", req.Replaces)
	case !found:
		return nil
	case active.ID != req.Replaces:
		return errs.New(errs.Conflict, "%s is being deployed already: deploy %d to %s, asked for by %s at %s. Wait until it is over, or take its place.",
			req.Target, active.ID, active.To.Short(), active.ActorName, clock(active.Created))
	}
	sentence := fmt.Sprintf("Replaced by %s of %s.", article(d.Kind), req.Actor.Name)
	return s.end(ctx, tx, active, outcome{status: Superseded, sentence: sentence, actor: req.Actor.Audit(), requestID: req.Actor.RequestID})
}

func article(k Kind) string {
	if k == KindRollback {
		return "a rollback"
	}
	return "another deploy"
}
