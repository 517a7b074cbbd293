package deploys

import (
	"context"
	"encoding/json"
	"fmt"

	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

// adopt ends the deploy of an adoption in the transaction that recorded it: what runs already is what it was to bring, so
// there is nothing to send and nothing to wait for. From now on it is what a rollback goes back to.
func (s *Service) adopt(ctx context.Context, tx *sqlite.Tx, id int64, d *Deploy) error {
	c, found, err := openChange(ctx, tx, d.Target)
	switch {
	case err != nil:
		return err
	case !found:
		return errs.New(errs.Conflict, "There is no change from outside to adopt in %s: somebody has decided already, or it has been undone. Nothing is left to do.", d.Target)
	case c.ID != id:
		return errs.New(errs.Conflict, "%s was changed again, %s, since the change that you were shown. Look again and decide anew.", d.Target, c.by())
	case !c.To.templated(d.From):
		return errs.New(errs.Conflict, "%s does not run what that change brought (%s) any more but %s, so there is nothing of it to adopt. Restore what was, or deploy the image that is to run.",
			d.Target, c.To.Short(), d.From.Short())
	}
	_, d.From, _, err = knownGood(ctx, tx, d.Target)
	if err != nil {
		return err
	}
	d.Sentence = "Adopted: " + d.To.Short() + ", brought " + c.by() + ", is what a rollback goes back to from now on. Nothing was sent."
	return nil
}

// by names who made a change, for the middle of a sentence.
func (c OutsideChange) by() string {
	if c.Manager == "" {
		return "from outside"
	}
	return "from outside by " + c.Manager
}

// adopted moves the row of an adoption to its end.
func adopted(ctx context.Context, tx *sqlite.Tx, d *Deploy) error {
	if err := move(ctx, tx, d.ID, Running, `started_at = ?`, tx.Now); err != nil {
		return err
	}
	seen, err := json.Marshal(d.Rollout)
	if err != nil {
		return fmt.Errorf("json.Marshal(rollout): %w", err)
	}
	err = move(ctx, tx, d.ID, Succeeded, `finished_at = ?, sentence = ?, uid = ?, template = ?, rollout = ?`, tx.Now, d.Sentence, d.UID,
		d.Template, string(seen))
	d.Status, d.Started, d.Finished = Succeeded, tx.Now.Time, tx.Now.Time
	return err
}

// asIs fills in what a restart or an adoption is about: what runs.
func asIs(app App, r Rollout, d *Deploy) error {
	if err := Misconfigured(app, r); err != nil {
		return err
	}
	d.To = d.From
	d.To.Healthy = false
	if d.Kind == KindRestart {
		d.To.Template = ""
		return nil
	}
	d.UID, d.Template, d.Rollout = r.UID, r.Template, &r
	switch {
	case d.From.Healthy:
		return nil
	case HealthOf(r) == Progressing: // its counts may be those of the pods before
		return errs.New(errs.Conflict, "The change of %s by %s is still rolling out, so it cannot become what a rollback goes back to. Adopt it once all its pods are available, or restore what was.",
			d.Target, r.Author().since(Author{}))
	}
	return errs.New(errs.Conflict, "%s is not healthy now (%d of %d pods available), so it cannot become what a rollback goes back to. Adopt it once it is, or restore what was.",
		d.Target, r.Available, r.Desired)
}
