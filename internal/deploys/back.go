package deploys

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"deployportal/internal/auth"
	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

// aftermath does what a rollback was asked for besides: it marks what ran as bad, and locks the target.
func aftermath(ctx context.Context, tx *sqlite.Tx, req Request, d Deploy) error {
	if !req.MarkBad && !req.LockTarget {
		return nil
	}
	why, err := whyBack(ctx, tx, req, d)
	if err != nil {
		return err
	}
	if why == "" {
		return errs.New(errs.Invalid, "Say why: the reason stands wherever the image is listed, and with the lock. Or take off the ticks.")
	}
	if req.MarkBad {
		switch {
		case d.From.Digest == "":
			return errs.New(errs.Invalid, "The digest of what runs now is not known, so it cannot be marked as bad. Take off that tick.")
		case d.From.Same(d.To): // it undoes a restart
			return errs.New(errs.Invalid, "What comes back is the same image, so it cannot be marked as bad. Take off that tick.")
		}
		if err := putMark(ctx, tx, d.Target, d.From, why, req.Actor); err != nil {
			return err
		}
	}
	if !req.LockTarget {
		return nil
	}
	scope := Scope(d.Target)
	stands, err := locks(ctx, tx, tx.Now.Time, `env = ? AND app = ?`, scope.Env, scope.App)
	switch {
	case err != nil:
		return err
	case len(stands) > 0:
		return prolong(ctx, tx, stands[0], why, req.Actor)
	}
	return putLock(ctx, tx, &Lock{Scope: scope, Reason: why}, req.Actor)
}

// whyBack is why a rollback is made: what was said, else how the deploy came out whose image it goes back from. Empty
// when that ran well: then only a person can know.
func whyBack(ctx context.Context, q sqlite.Querier, req Request, d Deploy) (string, error) {
	if said := strings.TrimSpace(req.Reason); said != "" {
		return said, nil
	}
	bad, found, err := lastSent(ctx, q, d.Target, d.ID)
	if err != nil || !found || !bad.To.Same(d.From) {
		return "", err
	}
	if bad.ID == req.Replaces { // it has just ended for this rollback
		bad.Status = Running
	}
	return bad.WhyBad(), nil
}

// lastSent gives the newest deploy of a target below an id that has set, or is to set, what runs: one that ended before
// it was sent, such as a rollback that was refused, tells nothing of it.
func lastSent(ctx context.Context, q sqlite.Querier, t Target, below int64) (Deploy, bool, error) {
	return get(ctx, q, `app = ? AND env = ? AND id < ? AND (finished_at IS NULL OR patched_at IS NOT NULL OR kind = 'adopt') ORDER BY id DESC LIMIT 1`,
		t.App, t.Env, below)
}

// WhyBad is what a rollback of a target says, where nobody says more, of why what runs is bad; empty when the deploy that
// brought it does not tell.
func (s *Service) WhyBad(ctx context.Context, t Target, running Version) (string, error) {
	bad, found, err := lastSent(ctx, s.db, t, 1<<63-1)
	if err != nil || !found || !bad.To.Same(running) {
		return "", err
	}
	return bad.WhyBad(), nil
}

// WhyBad says in a few words why the image of a deploy is not good; empty when the deploy does not tell.
func (d Deploy) WhyBad() string {
	switch {
	case d.Status == Failed && d.Cause != nil:
		return fmt.Sprintf("Deploy %d failed: %s", d.ID, d.Cause.Title)
	case d.Status == Failed:
		return fmt.Sprintf("Deploy %d failed: %s", d.ID, d.Sentence)
	case d.Active():
		if len(d.Causes) > 0 {
			return fmt.Sprintf("Deploy %d was in trouble: %s", d.ID, d.Causes[0].Title)
		}
		return fmt.Sprintf("Deploy %d was rolled back before it was over", d.ID)
	}
	return ""
}

// Automatic tells whether the portal made this rollback by itself, in answer to the failure of deploy RollbackOf.
func (d Deploy) Automatic() bool { return d.ActorID == auto.ID && d.Source == auto.Source }

// auto answers failures.
var auto = auth.System("auto")

// RanWell tells from when to when what a rollback returns to has run, as far as the portal knows: from is zero when it
// ran before the portal knew of it, to when it runs still.
func (s *Service) RanWell(ctx context.Context, t Target, back ReturnTo) (from, to time.Time, err error) {
	if back.Change != 0 {
		c, err := s.change(ctx, t, back.Change)
		return from, c.At, err
	}
	d, err := s.Get(ctx, back.Deploy)
	if err != nil {
		return from, to, err
	}
	if back.Before {
		came, found, err := get(ctx, s.db, `app = ? AND env = ? AND id < ? AND status = 'succeeded' AND kind <> 'restart' ORDER BY id DESC LIMIT 1`, t.App, t.Env, d.ID)
		if err == nil && found && came.To.Same(d.From) {
			from = came.Finished
		}
		if d.Patched.IsZero() {
			return from, d.Created, err
		}
		return from, d.Patched, err
	}
	var ended sqlite.Time // a restart ends nothing, whoever asked for it
	_, err = sqlite.Row(s.db.QueryRow(ctx, `SELECT min(at) FROM (
		SELECT patched_at AS at FROM deploys WHERE app = ?1 AND env = ?2 AND id > ?3 AND kind <> 'restart'
		UNION ALL SELECT changed_at FROM outside_changes WHERE app = ?1 AND env = ?2 AND audit_seq > ?4 AND kind <> 'restart') -- deploys.RanWell`,
		t.App, t.Env, d.ID, d.AuditSeq).Scan(&ended))
	if ended.Time.Before(d.Finished) && !ended.IsZero() { // the API server keeps whole seconds
		ended.Time = d.Finished
	}
	return d.Finished, ended.Time, err
}

// WayBack gives what a rollback of a target brings back that names nothing: what was meant to run, where somebody else has
// changed it since the newest deploy and something else runs; else what ran well before that deploy. errs.NotFound when the
// portal knows of nothing.
func (s *Service) WayBack(ctx context.Context, t Target, running Version) (ReturnTo, Version, error) {
	newest, err := s.History(ctx, t, 0, 1)
	if err != nil {
		return ReturnTo{}, Version{}, err
	}
	c, open, err := s.OpenChange(ctx, t)
	if err != nil {
		return ReturnTo{}, Version{}, err
	}
	if open && (len(newest) == 0 || c.Seq > newest[0].AuditSeq) {
		back, v, ok, err := s.KnownGood(ctx, t)
		if err != nil || ok && !maps.Equal(v.Images, running.Images) {
			return back, v, err
		}
	}
	if len(newest) == 0 {
		return ReturnTo{}, Version{}, noWayBack(t)
	}
	return s.BackBefore(ctx, newest[0])
}

// BackBefore gives what ran well before a deploy. errs.NotFound when the portal knows of nothing.
func (s *Service) BackBefore(ctx context.Context, d Deploy) (ReturnTo, Version, error) {
	back, v, ok, err := s.LastGood(ctx, d)
	if err == nil && !ok {
		err = noWayBack(d.Target)
	}
	return back, v, err
}

func noWayBack(t Target) error {
	return errs.New(errs.NotFound, "The portal knows no earlier image of %s that ran well. Deploy one from the list instead.", t)
}
