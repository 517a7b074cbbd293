package deploys

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

// Annotations are what a patch sets on the Deployment's own metadata. Nothing of ours goes into the pod template: so a
// rollback that restores the image string exactly gets the old ReplicaSet, and its pods, back.
const (
	AnnotationDeploy = "deploy-portal/deploy-id"
	AnnotationAudit  = "deploy-portal/audit" // "<seq>:<first 16 hex digits of the hash>", to verify the log against
	AnnotationCause  = "kubernetes.io/change-cause"
)

const maxConflicts = 5

// maxRefusals is how often the patch of an automatic rollback is sent again that was certainly not taken: nobody looks on
// who would ask again.
const maxRefusals = 12

// landing is how long a patch whose answer was lost may still be on its way to the API server.
const landing = 5 * time.Second

// run is the goroutine of one active deploy.
type run struct {
	s      *Service
	app    App
	d      Deploy
	ctx    context.Context // ends with the portal, or when another deploy takes the target
	cancel context.CancelFunc
	began  time.Time     // by the database's clock
	start  time.Time     // the same moment, for what has passed since
	took   bool          // it took the target from a run that may have sent a patch a moment ago
	done   chan struct{} // closed when the goroutine has ended
	known  Facts
	usual  map[string]time.Duration
	wrote  Author               // the newest write into the template when the watch began
	asked  map[string]time.Time // look-ups under way or failed, to be asked again later
	facts  chan func(*Facts)
	smoke  *smoking // nil: the smoke probes have not begun
}

// errStopped ends a run without an outcome: the row stays as it is for Resume, or another deploy has ended it.
var errStopped = errors.New("stopped")

// Run takes up what an earlier portal left open and lets Start through. It returns when ctx has ended and every runner
// has stopped; deploys under way stay in their rows for the next Run.
func (s *Service) Run(ctx context.Context) error {
	open, err := list(ctx, s.db, `finished_at IS NULL ORDER BY id`)
	if err != nil {
		return fmt.Errorf("reading the deploys to resume: %w", err)
	}
	locks, err := s.Locks(ctx)
	if err != nil {
		return fmt.Errorf("reading the locks whose end is to be shown: %w", err)
	}
	for _, l := range locks {
		s.ringAfter(l)
	}
	s.mu.Lock()
	s.ctx = ctx
	for _, d := range open {
		s.resuming[d.Target] = true
	}
	s.mu.Unlock()
	for _, d := range open {
		s.resume(d)
	}
	s.wg.Go(func() { s.watchOutside(ctx) })
	<-ctx.Done()
	s.mu.Lock()
	//lint:ignore SA2001 a barrier: no launch after this, for it looks at ctx under the lock
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}

// now is the time by which a deploy is judged: it goes on evenly, so that a clock that is set meanwhile neither ends a
// stability window or a deadline nor puts it off.
func (r *run) now() time.Time { return r.began.Add(time.Since(r.start)) }

// launch starts the run of a deploy that was just recorded. left is who had last written into the template that it was asked
// against.
func (s *Service) launch(app App, d Deploy, left Author) {
	s.spawn(app, d, func(r *run) error { return r.deploy(left) })
}

func (s *Service) spawn(app App, d Deploy, body func(*run) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx == nil || s.ctx.Err() != nil {
		return // stopping: the row stays pending, and Resume says so
	}
	before := s.runs[d.Target]
	if before != nil {
		if before.d.ID >= d.ID { // the same key twice at once, or d was replaced before it was launched
			return
		}
		before.cancel()
	}
	ctx, cancel := context.WithCancel(s.ctx)
	r := &run{s: s, app: app, d: d, ctx: ctx, cancel: cancel, began: s.db.Now(), start: time.Now(), took: before != nil, done: make(chan struct{}),
		known: Facts{Proof: map[string]Proof{}, Logs: map[string][]string{}}, asked: map[string]time.Time{}, facts: make(chan func(*Facts))}
	s.runs[d.Target] = r
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		defer close(r.done)
		defer s.forget(r)
		defer cancel()
		if before != nil {
			<-before.done
		}
		r.live(body)
	}()
}

func (s *Service) forget(r *run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runs[r.d.Target] == r {
		delete(s.runs, r.d.Target)
	}
	delete(s.troubles, r.d.ID)
}

func (s *Service) trouble(id int64) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.troubles[id]
}

// deploy is steps 7 to 11.
func (r *run) deploy(left Author) error {
	if r.s.crash("pending") {
		return errStopped
	}
	seen, err := r.firstLook(left)
	if err != nil {
		return err
	}
	if err := r.begin(seen); err != nil {
		return err
	}
	if r.s.crash("running") {
		return errStopped
	}
	applied, err := r.apply(seen)
	if err != nil {
		return err
	}
	return r.follow(applied)
}

// follow takes down what the patch answered and watches.
func (r *run) follow(a Applied) error {
	if r.s.crash("patched") {
		return errStopped
	}
	if err := r.patched(a); err != nil {
		return err
	}
	if r.s.crash("recorded") {
		return errStopped
	}
	return r.watch()
}

// begin marks the deploy running, with the guard of the patch that comes next.
func (r *run) begin(seen Rollout) error {
	return r.persist(func(ctx context.Context, tx *sqlite.Tx) error {
		err := move(ctx, tx, r.d.ID, Running, `started_at = ?, guard_rv = ?`, tx.Now, seen.ResourceVersion)
		if probes := r.probes(); err == nil && probes != nil {
			err = putSmoke(ctx, tx, r.d.ID, Smoke{Probes: probes})
		}
		if err == nil {
			r.d.Status, r.d.Started, r.d.GuardRV = Running, tx.Now.Time, seen.ResourceVersion
		}
		return err
	})
}

// apply is step 8 with the rule for conflicts: a change of status alone is tried again, a change of what we
// looked at is not overwritten.
func (r *run) apply(seen Rollout) (Applied, error) {
	for range maxConflicts + 1 {
		if r.ctx.Err() != nil {
			return Applied{}, errStopped
		}
		a, err := r.send(seen)
		switch {
		case err == nil:
			return a, nil
		case errors.Is(err, ErrUnanswered):
			return r.unanswered()
		case !errors.Is(err, ErrStale):
			return Applied{}, r.errored(err)
		}
		live, err := r.s.cluster.Live(r.ctx, r.d.Target)
		if err != nil {
			return Applied{}, r.errored(err)
		}
		if why := changed(r.app, seen, live); why != "" {
			return Applied{}, r.errored(errs.New(errs.Conflict, "%s", why))
		}
		seen = live
		if err := r.guard(live.ResourceVersion); err != nil {
			return Applied{}, err
		}
	}
	return Applied{}, r.errored(errs.New(errs.Conflict,
		"%s changed %d times while this deploy was starting, so it was not overwritten. Nothing was sent.", r.app.Workload, maxConflicts+1))
}

// send sends the patch: of an automatic rollback again and again, while the cluster certainly does not take it.
func (r *run) send(seen Rollout) (Applied, error) {
	for refused := 0; ; refused++ {
		a, err := r.s.cluster.Apply(r.ctx, r.change(seen))
		if errs.KindOf(err) != errs.Unavailable || errors.Is(err, ErrUnanswered) || !r.d.Automatic() || refused == maxRefusals {
			return a, err
		}
		r.say(errs.Public(err) + " It is sent again every " + short(r.s.retry) + ".")
		if !r.sleep(r.s.retry) {
			return a, err
		}
	}
}

func (r *run) change(seen Rollout) Change {
	cause, images := fmt.Sprintf("%s to %s by %s (deploy %d)", r.d.Kind, r.d.To.Short(), r.d.ActorName, r.d.ID), r.d.To.Images
	if r.d.Kind == KindRestart {
		cause, images = fmt.Sprintf("restart of %s by %s (deploy %d)", r.d.To.Short(), r.d.ActorName, r.d.ID), nil
	}
	return Change{Target: r.d.Target, UID: seen.UID, ResourceVersion: seen.ResourceVersion, Images: images, Restarted: r.d.restarted(),
		Annotations: map[string]string{
			AnnotationDeploy: strconv.FormatInt(r.d.ID, 10),
			AnnotationAudit:  fmt.Sprintf("%d:%s", r.d.AuditSeq, r.d.AuditHash[:16]),
			AnnotationCause:  cause,
		}}
}

func (r *run) guard(rv string) error {
	return r.persist(func(ctx context.Context, tx *sqlite.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE deploys SET guard_rv = ? WHERE id = ? AND finished_at IS NULL -- deploys.guard`, rv, r.d.ID)
		r.d.GuardRV = rv
		return err
	})
}

// patched stores what the API server answered, or what Resume found in its place.
func (r *run) patched(a Applied) error {
	return r.persist(func(ctx context.Context, tx *sqlite.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE deploys SET patched_at = ?, uid = ?, generation = ?, template = ?
			WHERE id = ? AND finished_at IS NULL -- deploys.patched`, tx.Now, a.UID, a.Generation, a.Template, r.d.ID)
		if err != nil {
			return err
		}
		r.d.Patched, r.d.UID, r.d.Generation, r.d.Template = tx.Now.Time, a.UID, a.Generation, a.Template
		ours := sighting{uid: a.UID, generation: a.Generation, template: a.Template, author: a.Author,
			version: r.d.To.in(Rollout{Template: a.Template, Bare: a.Bare, Frame: a.Frame, Restarted: r.d.To.Restarted, Images: a.Images})}
		if err := ours.put(ctx, tx, r.d.Target); err != nil {
			return err
		}
		_, err = appendEvent(ctx, tx, r.d.ID, EventStep, fmt.Sprintf("patched, generation %d", a.Generation))
		return err
	})
}

// persist writes what has already happened. It does not give up while the portal runs: until the write succeeds the
// deploy says why it cannot go on. A row that another deploy has ended meanwhile stops the run.
func (r *run) persist(write func(context.Context, *sqlite.Tx) error) error {
	for {
		err := r.s.db.Write(r.ctx, func(tx *sqlite.Tx) error { return write(r.ctx, tx) })
		switch {
		case err == nil:
			r.say("")
			r.s.hub.ring(r.d.ID)
			return nil
		case r.ctx.Err() != nil, errs.KindOf(err) == errs.Conflict:
			return errStopped
		case errs.KindOf(err) != errs.Unavailable:
			return err
		}
		r.s.log.Error("a deploy's record cannot be written", "deploy", r.d.ID, "err", err)
		r.say(errs.Public(err) + " This is tried again every " + short(r.s.retry) + "; until then this page may be behind the cluster.")
		if !r.sleep(r.s.retry) {
			return errStopped
		}
	}
}

// say sets or clears what the page shows as the deploy's trouble.
func (r *run) say(trouble string) {
	r.s.mu.Lock()
	was := r.s.troubles[r.d.ID]
	if trouble == "" {
		delete(r.s.troubles, r.d.ID)
	} else {
		r.s.troubles[r.d.ID] = trouble
	}
	r.s.mu.Unlock()
	if was != trouble {
		r.s.hub.ring(r.d.ID)
	}
}

func (r *run) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.ctx.Done():
		return false
	}
}
