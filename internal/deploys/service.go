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
	"slices"
	"strings"
	"sync"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/auth"
	"deployportal/internal/errs"
	"deployportal/internal/foreign"
	"deployportal/internal/sqlite"
)

// Options are what a Service is made of. All but Preflight, Smoker, Commits, Hold, Tags, Log and Retry are needed.
type Options struct {
	DB        *sqlite.DB
	Cluster   Cluster
	Registry  Registry
	Policy    Policy
	Preflight Preflight      // nil: nothing is checked beforehand
	Smoker    Smoker         // nil: no smoke probes
	Commits   Commits        // nil: no failure is rolled back by itself, for migrations cannot be told
	Hold      []string       // environments in which no failure is rolled back by itself
	Tags      *regexp.Regexp // what a tag must look like; nil: TagPattern
	Log       *slog.Logger   // nil: slog.Default
	Retry     time.Duration  // between tries to write an outcome or to read an unreachable cluster; 0: 5 s
}

// Service is the only way to a patch. Its methods are safe for concurrent use.
type Service struct {
	db       *sqlite.DB
	cluster  Cluster
	registry Registry
	policy   Policy
	checks   Preflight
	smoker   Smoker
	commits  Commits
	hold     map[string]bool
	tags     *regexp.Regexp
	log      *slog.Logger
	retry    time.Duration
	began    time.Time
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
		db: o.DB, cluster: o.Cluster, registry: o.Registry, policy: o.Policy, checks: o.Preflight, smoker: o.Smoker, commits: o.Commits, hold: map[string]bool{}, tags: o.Tags, log: o.Log, retry: o.Retry,
		began: o.DB.Now(), hub: newHub(), runs: map[Target]*run{}, resuming: map[Target]bool{}, troubles: map[int64]string{},
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

// CheckImage tells whether a tag or digest may be deployed at all: nil, or errs.Invalid with the sentence that Start
// would refuse it with.
func (s *Service) CheckImage(image string) error { return checkImage(image, s.tags) }

// Start records what was asked and sets it going; it answers before anything in the cluster has changed. Errors:
// errs.Forbidden (policy), Invalid (cannot be meant), NotFound (app, tag, deploy), Conflict (another deploy is active,
// what was seen has changed, or a check blocks), Unavailable (registry, cluster or database). Every refusal is an audit entry; if that
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
	if req.LockTarget {
		if err := s.policy.Allow(req.Actor, auth.Lock, req.Target.Env); err != nil {
			return Deploy{}, err
		}
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
		ActorID: req.Actor.ID, ActorName: req.Actor.Name, Source: req.Actor.Source, Reason: foreign.Line(req.Reason, 1000)}
	plan := Plan{App: app}
	if err := s.resolve(ctx, app, req, &d, &plan); err != nil {
		return Deploy{}, err
	}
	if err := s.compare(ctx, app, req, &d, &plan); err != nil {
		// What differs may be the work of a deploy under way: of the same request, or then it is the one to name.
		if d, found, _ := s.again(ctx, s.db, req); found {
			return d, nil
		}
		if _, _, held := holder(ctx, s.db, req); held != nil {
			return Deploy{}, held
		}
		return Deploy{}, err
	}
	overridden, err := s.preflight(ctx, req, d, plan)
	if err != nil {
		return Deploy{}, err
	}
	if err := s.record(ctx, req, plan, &d, overridden); err != nil {
		if errors.Is(err, errAgain) {
			return d, nil
		}
		return Deploy{}, err
	}
	s.hub.ring(d.ID)
	s.hub.ring(d.Replaces)
	if d.Active() {
		s.launch(app, d, plan.Seen.Author())
	}
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

// record is step 5: the row and its entry, or neither.
func (s *Service) record(ctx context.Context, req Request, plan Plan, d *Deploy, overridden string) error {
	was, _, err := sightingOf(ctx, s.db, d.Target)
	if err != nil {
		return err
	}
	sure, err := s.sure(ctx, d.Target, was, plan.Seen)
	if err != nil {
		return err
	}
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
		if err := d.From.doubt(ctx, tx, d.Target); err != nil {
			return err
		}
		if sure {
			if _, err := s.noticed(ctx, tx, plan.App, plan.Seen, sure); err != nil {
				return err
			}
		}
		switch d.Kind {
		case KindAdopt:
			err = s.adopt(ctx, tx, req.Adopt, d)
		case KindRestart:
			d.To.Restarted = mark(tx.Now.Time)
		}
		if err != nil {
			return err
		}
		if err := seeTag(ctx, tx, *d); err != nil {
			return err
		}
		if err := enter(ctx, tx, d, requestEntry(*d, req), req.Key, passed, overridden); err != nil {
			return err
		}
		if d.Kind == KindAdopt {
			return adopted(ctx, tx, d)
		}
		return aftermath(ctx, tx, req, *d)
	})
}

// enter writes the row of a new deploy, the entry e that says who asked for it, and its first events. Entry and events also
// say what would have held it: the lock that it passed, the checks that were overridden. Empty ones say nothing.
func enter(ctx context.Context, tx *sqlite.Tx, d *Deploy, e audit.Entry, key string, passed ...string) (err error) {
	passed = slices.DeleteFunc(passed, func(s string) bool { return s == "" })
	e.Detail = strings.TrimSpace(e.Detail + " " + strings.Join(passed, " "))
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
	if d.Seq, err = appendEvent(ctx, tx, d.ID, EventStep, requested(*d)); err != nil {
		return err
	}
	for _, text := range passed {
		if d.Seq, err = appendEvent(ctx, tx, d.ID, EventTrouble, foreign.Line(text, 1000)); err != nil {
			return err
		}
	}
	return nil
}

// holder gives the active deploy that a request is to replace, if any, or refuses and names the one that holds the target.
func holder(ctx context.Context, q sqlite.Querier, req Request) (active Deploy, found bool, err error) {
	active, found, err = get(ctx, q, `app = ? AND env = ? AND finished_at IS NULL`, req.Target.App, req.Target.Env)
	switch {
	case err != nil:
		return active, false, err
	case !found && req.Replaces != 0:
		return active, false, errs.New(errs.Conflict, "Deploy %d, which this one was to replace, is over. Look again and confirm anew.", req.Replaces)
	case found && active.ID != req.Replaces:
		return active, false, errs.New(errs.Conflict, "%s is being deployed already: deploy %d to %s, asked for by %s at %s. Wait until it is over, or take its place.",
			req.Target, active.ID, active.To.Short(), active.ActorName, clock(active.Created))
	}
	return active, found, nil
}

// vacate makes the target free for a new deploy, or refuses.
func (s *Service) vacate(ctx context.Context, tx *sqlite.Tx, req Request, d *Deploy) error {
	active, found, err := holder(ctx, tx, req)
	if err != nil || !found {
		return err
	}
	sentence := fmt.Sprintf("Replaced by %s of %s.", article(d.Kind), req.Actor.Name)
	return s.end(ctx, tx, active, outcome{status: Superseded, sentence: sentence, actor: req.Actor.Audit(), requestID: req.Actor.RequestID})
}

func article(k Kind) string {
	switch k {
	case KindRollback:
		return "a rollback"
	case KindRestart:
		return "a restart"
	}
	return "another deploy"
}
