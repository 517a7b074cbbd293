package deploys

import (
	"context"
	"encoding/json"
	"fmt"

	"deployportal/internal/audit"
	"deployportal/internal/auth"
	"deployportal/internal/errs"
	"deployportal/internal/foreign"
	"deployportal/internal/sqlite"
)

// errored ends a deploy that could not be done. It never returns nil: the run is over.
func (r *run) errored(err error) error {
	if r.ctx.Err() != nil {
		return errStopped
	}
	if errs.KindOf(err) == errs.Internal {
		r.s.log.Error("a deploy could not be done", "deploy", r.d.ID, "err", err)
	}
	if err := r.finish(outcome{status: Errored, sentence: errs.Public(err)}); err != nil {
		return err
	}
	return errStopped
}

// outcome is how a deploy ends.
type outcome struct {
	status    Status
	sentence  string
	note      string
	cause     *Cause
	look      look        // the last one before it
	now       *Rollout    // superseded: what somebody else made of the workload; nil else
	actor     audit.Actor // who ended it; the zero value: the portal's runner
	requestID string
}

// finish is step 11: one transaction with the status, the last event and the audit entry, and with the rollback that
// answers a failure.
func (r *run) finish(o outcome) error {
	var back *Deploy
	var why error
	if o.status == Failed {
		back, why = r.wayBack(o)
	}
	if r.s.crash("outcome") {
		return errStopped
	}
	began, tried := r.now(), false
	err := r.persist(func(ctx context.Context, tx *sqlite.Tx) error {
		if tried && back != nil && r.runsWell() { // read from memory: it may have come right while this could not be written
			back, why = nil, held("by the time its outcome could be written, %s later, all its pods had become well.", short(r.now().Sub(began)))
		}
		tried = true
		return r.s.conclude(ctx, tx, r.d, o, back, why)
	})
	if err != nil {
		return err
	}
	r.d.Status = o.status
	if back == nil || back.ID == 0 || r.s.crash("answered") {
		return nil
	}
	r.s.hub.ring(back.ID)
	r.s.launch(r.app, *back, Author{})
	return nil
}

// runsWell tells whether the pods that a deploy brought are all there is, and are all well.
func (r *run) runsWell() bool {
	now, err := r.s.cluster.Rollout(r.d.Target)
	if err != nil || !now.StaleSince.IsZero() || now.Template != r.d.Template || now.Desired == 0 {
		return false
	}
	_, ok := r.d.RolledOut(&now)
	return ok
}

var outcomeAction = map[Status]string{
	Succeeded: audit.DeploySucceeded, Failed: audit.DeployFailed, Errored: audit.DeployErrored, Superseded: audit.DeploySuperseded,
}

// end writes an outcome inside tx.
func (s *Service) end(ctx context.Context, tx *sqlite.Tx, d Deploy, o outcome) error {
	if o.actor.ID == "" {
		o.actor = auth.System("runner").Audit()
	}
	if err := s.view(ctx, tx, d.ID, o.look); err != nil {
		return err
	}
	left, err := leftBehind(ctx, tx, d, o)
	if err != nil {
		return err
	}
	if _, err := appendEvent(ctx, tx, d.ID, EventStep, foreign.Line(string(o.status)+": "+o.sentence, 1000)); err != nil {
		return err
	}
	cause, err := json.Marshal(o.cause)
	if err != nil {
		return fmt.Errorf("json.Marshal(cause): %w", err)
	}
	err = move(ctx, tx, d.ID, o.status, `finished_at = ?, sentence = ?, note = ?, cause = ?`, tx.Now,
		foreign.Line(o.sentence, 2000), foreign.Line(o.note, 2000), string(cause))
	if err != nil {
		return err
	}
	e := entryOf(d, o.actor, outcomeAction[o.status], o.requestID)
	e.Reason, e.Outcome, e.Detail = "", string(o.status), Unquoted(o.sentence) // what a log said is no part of what is kept for good
	if o.cause != nil {
		e.Detail = o.cause.Title + ": " + e.Detail
	}
	if o.note != "" {
		e.Detail += " (" + o.note + ")"
	}
	entry, err := audit.Append(ctx, tx, e)
	switch {
	case err != nil:
		return err
	case left != nil:
		return s.recordLeft(ctx, tx, d, *left)
	case o.now == nil:
		return nil
	}
	return overtaken(ctx, tx, d, *o.now, entry.Seq)
}
