package deploys

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
