package deploys

import "deployportal/internal/errs"

// Status is the state of a deploy. It is never the state of a workload; that is Health.
type Status string

// The states. The last four are terminal.
const (
	Pending    Status = "pending"    // recorded; the runner has not taken it yet
	Running    Status = "running"    // the runner works on it
	Succeeded  Status = "succeeded"  // the pods of this rollout run the asked digest and stayed well
	Failed     Status = "failed"     // the cluster told us that it did not work
	Errored    Status = "errored"    // we could not do it: refused, no permission, unreachable
	Superseded Status = "superseded" // somebody changed the workload after us
)

// transitions is the whole state table. A pending deploy may be superseded by one that replaces it.
var transitions = map[Status][]Status{
	Pending: {Running, Errored, Superseded},
	Running: {Succeeded, Failed, Errored, Superseded},
}

// IsTerminal tells whether nothing can follow.
func (s Status) IsTerminal() bool { return s != "" && len(transitions[s]) == 0 }

// To returns nil when next may follow s, else an errs.Conflict that names both.
func (s Status) To(next Status) error {
	for _, t := range transitions[s] {
		if t == next {
			return nil
		}
	}
	return errs.New(errs.Conflict, "A deploy that is %s cannot become %s.", s, next)
}

// Active tells whether the deploy still holds its target.
func (d Deploy) Active() bool { return !d.Status.IsTerminal() }

// unsent tells whether the deploy ended before anything of it reached the cluster. One that had begun and was superseded may
// have sent a patch whose answer it never had.
func (d Deploy) unsent() bool {
	return d.Patched.IsZero() && (d.Status == Errored || d.Status == Superseded && d.Started.IsZero())
}

// NothingChanged tells whether it is certain that the deploy has changed nothing in the cluster: not even a patch of it is
// on its way.
func (d Deploy) NothingChanged() bool { return d.unsent() && d.Note == "" }

// CanReturnTo tells whether a rollback may bring back the image of this deploy.
func (d Deploy) CanReturnTo() bool { return d.Status == Succeeded && len(d.To.Images) > 0 }

// CanReturnBefore tells whether a rollback may bring back what ran, healthy, when this deploy was asked for.
func (d Deploy) CanReturnBefore() bool { return d.From.Healthy && len(d.From.Images) > 0 }
