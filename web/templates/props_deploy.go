package templates

import "time"

// DeployProps is the page of one deploy. Live is all of it below the header; Title is made from it.
type DeployProps struct {
	Page
	Live DeployLiveProps
}

// DeployLiveProps is the part that updates itself; a finished deploy has the same, for good.
type DeployLiveProps struct {
	Now      time.Time
	ID       int64
	App, Env string
	AppHref  string
	Prod     bool
	Kind     string // deploy, rollback, restart, adoption
	Active   bool
	Mark     Mark
	To       Image
	Bad      *BadImage // To is marked as bad; nil: it is not
	From     Image
	Commits  int    // between From and To; 0: not known or none
	Who      string // "ana"
	Door     string // "in the browser", "in Slack"
	Reason   string
	Created  time.Time
	Finished time.Time     // zero while active
	Took     time.Duration // until it finished
	Usually  time.Duration // what this target's last deploys took; 0: not known
	Note     string        // "Digest pinned, not proven."
	Acts     []Act
	Related  []Related // both ways: what it rolls back, what rolled it back, what it replaced
	Stale    *Trouble
	Steps    []Step
	Outcome  *Outcome    // nil while active and after a plain success
	Smoke    *SmokeProps // nil: they have not begun, or there are none
	Pods     PodsProps
	Events   []EventRow // newest first
	Earlier  int        // events that are not shown
	Commands []string   // the equivalent kubectl commands
	Audit    AuditMark
}

// Related is another deploy that belongs to this one.
type Related struct {
	Text string // "Rolled back automatically by"
	ID   int64
	Say  string // how that one ended, where it matters: "succeeded"
}

// AuditMark is the entry that was written before anything changed.
type AuditMark struct {
	Seq  int64
	Hash string // in full
}

// StepState is where a step stands.
type StepState string

// The states of a step.
const (
	StepDone StepState = "done"
	StepNow  StepState = "now"
	StepFail StepState = "fail"
	StepTodo StepState = "todo"
)

// Step is one step of a deploy.
type Step struct {
	Name   string
	State  StepState
	Figure string // "audit 1482", "2 of 3 pods ready"
	Clock  *Clock // beside the figure
}

// Outcome leads the page of a deploy that did not just succeed: why, what serves now, what can be done.
type Outcome struct {
	Mark     Mark   // "Failed", "Errored", "Superseded"; while active: "In trouble"
	Title    string // the cause in a few words; may be empty
	Sentence string // the cause
	Detail   string
	Log      []string // lines of the cluster or of the app; never interpreted
	Differs  []string // what is not as in the pod template of the last good deploy
	Serving  string   // "Still serving: 3 of 3 pods of 4be19f2, untouched."
	Held     string   // why it was not rolled back by itself; empty: it was, or need not be
	Todo     string   // what can be done
}

// PodsProps is the pods of the rollout, grouped by ReplicaSet.
type PodsProps struct {
	Summary string // "3 wanted, 3 serving"
	Groups  []PodGroup
	Empty   string // why there is none: "No pod is wanted: the workload is scaled to zero."
}

// PodGroup is the pods of one ReplicaSet.
type PodGroup struct {
	ID    string
	Title string // "New", "Old"
	Name  string // "ReplicaSet 6564f47bdf"
	Short string // image of it
	Note  string // "digest proven on 2 of 3", "1 still serving"
	Pods  []PodRow
	Empty string // "All gone.", "None yet."
}

// PodRow is one pod.
type PodRow struct {
	ID    string // unique on the page
	Short string // the part of the name that differs
	Name  string // in full, to copy
	Node  string
	Mark  Mark
	Tasks []Task
	Logs  []PodLog
	Note  string // "image pulled in 1.2s"
}

// PodLog is the end of the log of a container in trouble.
type PodLog struct {
	Title string // "Last log lines"
	Lines []string
}

// Task is one line of what a pod is at, with a clock where time matters.
type Task struct {
	Text  string // "Startup probe GET /api/health on port 8000"
	Clock *Clock
	Bar   bool // draw the clock against its limit
	Tone  Tone // of the bar; empty: Busy
	Say   string
	Bad   bool // wants an eye: a crash, a refused pull
}

// EventRow is one line of the timeline.
type EventRow struct {
	Seq  int64
	At   time.Time
	Text string
	Tone Tone // empty: plain
}
