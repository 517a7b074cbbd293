package deploys

import (
	"context"
	"fmt"
	"slices"
	"time"

	"deployportal/internal/auth"
	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

// resume takes up one open row after a start, by the crash table of ARCHITECTURE.md.
func (s *Service) resume(d Deploy) {
	switch {
	case d.Status == Pending && d.Automatic():
		s.takeUp(d)
		return
	case d.Status == Pending:
		s.drop(d)
		return
	}
	s.spawn(App{Target: d.Target, Workload: d.Target.App, Containers: []string{""}}, d, func(r *run) error {
		switch err := r.findApp(); {
		case errs.KindOf(err) == errs.NotFound: // what its workload is, nobody knows
			r.resumed()
			return r.finish(outcome{status: Errored, actor: auth.System("resume").Audit(),
				sentence: "The portal stopped during this deploy, and " + d.Target.String() + " is not configured any more."})
		case err != nil:
			return err
		}
		return r.pickUp()
	})
}

// findApp waits until it is known which workload is behind the target. Where the apps of an environment are found in
// the cluster, that is only once its caches are synced, and one whose Deployment is gone or runs an image from elsewhere
// is no app any more: what became of it can still be read. errs.NotFound when the configuration has no such app.
func (r *run) findApp() error {
	bell, stop := r.s.cluster.Watch(r.d.Target)
	defer stop()
	for {
		app, err := r.s.cluster.App(r.d.Target)
		if err == nil {
			r.app = app
			return nil
		}
		if errs.KindOf(err) == errs.NotFound {
			if _, none := r.s.cluster.Rollout(r.d.Target); none != nil {
				return err
			}
			r.app = appOf(r.d.Target, r.d.To)
			r.app.Stability, r.app.Limit = 10*time.Second, 30*time.Minute // should it be ours again after all
			return nil
		}
		r.say("How far this deploy came is not known yet. " + errs.Public(err))
		if !r.wait(bell, r.now().Add(r.s.retry)) {
			return errStopped
		}
	}
}

// drop ends a deploy that was recorded and never sent: a person asks again, knowing what runs now.
func (s *Service) drop(d Deploy) {
	r := func(r *run) error {
		err := r.finish(outcome{status: Errored, actor: auth.System("resume").Audit(),
			sentence: "The portal stopped before applying. Nothing was sent; ask again."})
		r.resumed()
		return err
	}
	s.spawn(App{Target: d.Target}, d, r)
}

func (r *run) resumed() {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	delete(r.s.resuming, r.d.Target)
}

// pickUp reads how far a running deploy came and goes on from there.
func (r *run) pickUp() error {
	now, err := r.readLive()
	if err != nil {
		return err
	}
	live := now.live
	if r.d.Generation != 0 {
		r.resumed()
		if o, over := r.overtaken(live); over {
			return r.finish(o)
		}
		if err := r.line("the portal was restarted and watches on"); err != nil {
			return err
		}
		return r.watch()
	}
	a, err := r.decide(now, "The portal stopped while this deploy was being sent, and the cluster never got it. Ask again.")
	if err != nil {
		return err
	}
	return r.follow(a)
}

func (r *run) line(text string) error {
	return r.persist(func(ctx context.Context, tx *sqlite.Tx) error {
		_, err := appendEvent(ctx, tx, r.d.ID, EventStep, text)
		return err
	})
}

// reading is what the cluster says about a patch whose answer nobody has.
type reading struct {
	live   Rollout
	copied bool // before live was read, a ReplicaSet had our id already
}

// read looks at the caches first: a patch may land at any moment, and a ReplicaSet of ours that was seen after an older
// reading of the Deployment would look as if somebody had taken our id away again.
func (r *run) read() (reading, error) {
	cached, err := r.s.cluster.Rollout(r.d.Target)
	copied := err == nil && slices.ContainsFunc(cached.ReplicaSets, func(rs ReplicaSet) bool { return rs.DeployID == r.d.ID })
	live, err := r.s.cluster.Live(r.ctx, r.d.Target)
	return reading{live, copied}, err
}

// readLive waits until the caches are synced and the API server answers; until then the deploy says since when it
// cannot be seen.
func (r *run) readLive() (reading, error) {
	bell, stop := r.s.cluster.Watch(r.d.Target)
	defer stop()
	for {
		err := r.s.cluster.Ready(r.d.Target)
		if err == nil {
			var now reading
			if now, err = r.read(); err == nil {
				r.say("")
				return now, nil
			}
		}
		if r.ctx.Err() != nil {
			return reading{}, errStopped
		}
		r.say("How far this deploy came is not known yet. " + errs.Public(err))
		if !r.wait(bell, r.now().Add(r.s.retry)) {
			return reading{}, errStopped
		}
	}
}

// overtaken tells whether a deploy whose patch is known to have landed was replaced by somebody meanwhile.
func (r *run) overtaken(live Rollout) (outcome, bool) {
	end := func(format string, args ...any) (outcome, bool) {
		return outcome{status: Superseded, actor: auth.System("resume").Audit(), sentence: fmt.Sprintf(format, args...), now: &live}, true
	}
	switch {
	case !live.Exists:
		return end("The Deployment %s was deleted while the portal was away.", r.app.Workload)
	case live.UID != r.d.UID:
		return end("The Deployment %s was deleted and created anew while the portal was away.", r.app.Workload)
	case live.Template != r.d.Template || live.DeployID != r.d.ID:
		return end("%s was changed by %s, while the portal was away.", r.app.Workload, live.Author().since(r.left()))
	}
	return outcome{}, false
}

// left is the newest write into the template as it stood when the target was last looked at: when our patch was answered, or
// before it. A database that cannot be read names nobody.
func (r *run) left() Author {
	was, _, err := sightingOf(r.ctx, r.s.db, r.d.Target)
	if err != nil && r.ctx.Err() == nil {
		r.s.log.Error("who wrote a template before cannot be read", "deploy", r.d.ID, "err", err)
	}
	return was.author
}

// landed decides about a patch whose answer nobody has: our id on the Deployment means that it landed. Neither landed
// nor an outcome means that it may still be on its way.
func (r *run) landed(now reading) (Applied, *outcome, bool) {
	by, live := auth.System("resume").Audit(), now.live
	ours := live.Exists && live.DeployID == r.d.ID
	if ours && r.d.set(live) {
		return live.Applied(), nil, true
	}
	if ours || now.copied {
		return Applied{}, &outcome{status: Superseded, actor: by, now: &live,
			sentence: fmt.Sprintf("%s was changed by %s, right after this deploy was sent.", r.app.Workload, live.Author().since(r.left()))}, false
	}
	if live.Exists && live.ResourceVersion == r.d.GuardRV {
		return Applied{}, nil, false
	}
	return Applied{}, &outcome{status: Errored, actor: by,
		sentence: "The portal lost sight of this deploy while it was being sent, and the cluster never got it. Ask again."}, false
}

func hasImages(have, want map[string]string) bool {
	for name, image := range want {
		if have[name] != image {
			return false
		}
	}
	return true
}

// rereadWhileGuarded waits as long as the guarded resourceVersion still stands: a patch on its way would be accepted.
// After that giveUp is how the deploy ends.
func (r *run) rereadWhileGuarded(giveUp string) (Applied, *outcome, bool) {
	const step = 250 * time.Millisecond
	for waited := time.Duration(0); waited < landing; waited += step {
		if !r.sleep(step) {
			break
		}
		again, err := r.readLive() // however long that takes: only what was read can say that nothing landed
		if err != nil {
			break
		}
		if a, o, landed := r.landed(again); landed || o != nil {
			return a, o, landed
		}
	}
	return Applied{}, &outcome{status: Errored, actor: auth.System("resume").Audit(),
		sentence: giveUp, note: "its patch may still land"}, false
}

// unanswered decides about a patch that was sent and not answered while the portal lives, by the same reading.
func (r *run) unanswered() (Applied, error) {
	now, err := r.readLive()
	if err != nil {
		return Applied{}, err
	}
	return r.decide(now, "The cluster did not answer the patch of this deploy, and did not have it when it was given up. See what runs, then ask again.")
}

// decide says what became of a patch whose answer nobody has. One that did not land ends the deploy, and errStopped is
// returned; giveUp is how, where it could still have landed until then.
func (r *run) decide(now reading, giveUp string) (Applied, error) {
	a, o, landed := r.landed(now)
	if !landed && o == nil {
		if err := r.line(fmt.Sprintf("the cluster does not have the patch yet: looking for it for %s", short(landing))); err != nil {
			return Applied{}, err
		}
		a, o, landed = r.rereadWhileGuarded(giveUp)
	}
	r.resumed()
	if landed {
		return a, nil
	}
	if err := r.finish(*o); err != nil {
		return Applied{}, err
	}
	return Applied{}, errStopped
}
