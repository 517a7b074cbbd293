package deploys

import (
	"fmt"

	"deployportal/internal/errs"
)

// What is looked at before anything is sent: what runs must be what the deploy was asked against.

// firstLook reads what the patch is guarded by. Where that is not what the deploy was asked against, somebody has changed it
// meanwhile: it is not overwritten, and the deploy is over. A cache may not have the patch yet of a deploy whose place this
// one took, nor what a person did after a failure, so these are read from the API server.
func (r *run) firstLook(left Author) (Rollout, error) {
	if r.d.Automatic() {
		seen, err := r.await()
		if err != nil {
			return seen, err
		}
		if why := r.undisturbed(seen); why != "" {
			if err := r.finish(outcome{status: Superseded, sentence: why, now: &seen}); err != nil {
				return seen, err
			}
			return seen, errStopped
		}
		return seen, nil
	}
	seen, err := r.s.cluster.Rollout(r.d.Target)
	if r.took || r.d.Replaces != 0 {
		seen, err = r.s.cluster.Live(r.ctx, r.d.Target)
	}
	if err != nil {
		return seen, r.errored(err)
	}
	asked := seen
	asked.Template, asked.ChangedBy, asked.ChangedAt = r.d.From.Template, left.Manager, left.At
	why := changed(r.app, asked, seen)
	if why == "" {
		return seen, nil
	}
	inherited, err := r.inherited(seen)
	if err == nil && !inherited {
		err = errs.New(errs.Conflict, "%s", why)
	}
	if err != nil {
		return seen, r.errored(err)
	}
	return seen, nil
}

// await reads the workload for an automatic rollback. Nobody is there to ask again when the cluster does not answer just then,
// so it waits, for as long as a rollout may take.
func (r *run) await() (Rollout, error) {
	bell, stop := r.s.cluster.Watch(r.d.Target)
	defer stop()
	until := r.s.db.Now().Add(r.app.Limit)
	for {
		seen, err := r.s.cluster.Live(r.ctx, r.d.Target)
		switch {
		case err == nil:
			r.say("")
			return seen, nil
		case errs.KindOf(err) != errs.Unavailable || !r.s.db.Now().Before(until):
			return seen, r.errored(err)
		}
		r.say("This rollback waits for the cluster. " + errs.Public(err))
		if !r.wait(bell, r.s.db.Now().Add(r.s.retry)) {
			return seen, errStopped
		}
	}
}

// undisturbed tells why an automatic rollback is not sent any more: what it is to answer is not there. Empty: it is.
func (r *run) undisturbed(seen Rollout) string {
	switch {
	case seen.Template == r.d.From.Template:
		return ""
	case !seen.Exists:
		return fmt.Sprintf("The Deployment %s was deleted before this automatic rollback began. Nothing was sent.", r.app.Workload)
	}
	return fmt.Sprintf("%s was changed by %s before this automatic rollback began. Nothing was sent.", r.app.Workload, seen.Author().since(r.left()))
}

// inherited tells whether a view shows no more than what was sent by a deploy whose place this one took, or by one whose
// place that one had taken: such a patch may land after this deploy was asked for.
func (r *run) inherited(seen Rollout) (bool, error) {
	for id := r.d.Replaces; id != 0 && seen.ChangedBy == FieldManager; {
		d, found, err := get(r.ctx, r.s.db, `id = ?`, id)
		switch {
		case err != nil || !found:
			return false, err
		case d.ID == seen.DeployID:
			return d.set(seen) && (d.Template == "" || d.Template == seen.Template), nil
		}
		id = d.Replaces
	}
	return false, nil
}

// changed says what differs between what a deploy was asked against and what is there now; empty when only counts do.
func changed(app App, seen, live Rollout) string {
	switch {
	case !live.Exists:
		return fmt.Sprintf("The Deployment %s was deleted while this deploy was starting. Nothing was sent.", app.Workload)
	case live.UID != seen.UID:
		return fmt.Sprintf("The Deployment %s was deleted and created anew while this deploy was starting. Nothing was sent.", app.Workload)
	case live.Template != seen.Template:
		return fmt.Sprintf("%s was changed by %s while this deploy was starting. Nothing was sent.", app.Workload, live.Author().since(seen.Author()))
	case live.Paused != seen.Paused:
		return fmt.Sprintf("%s was paused or resumed while this deploy was starting. Nothing was sent.", app.Workload)
	}
	return ""
}
