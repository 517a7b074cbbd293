package templates

import "time"

// AppProps is one target: what runs, what could run, what ran.
type AppProps struct {
	Page
	App        string
	Repository string
	Elsewhere  []Link // the same app in other environments
	Health     Mark
	Running    Image
	Since      time.Time
	By         string // "by ana", "changed from outside by kubectl-set"
	Ready      string
	Note       string   // "Flux manages this workload and may revert a deploy."
	Cluster    *Trouble // the running facts are old or missing
	Active     *Strip
	Registry   *Trouble // the list is old or missing
	Images     []ImageRow
	More       bool // the registry holds more than are listed
	Teach      *Teach
	History    []Span
	CanDeploy  bool
	Locks      []Lock // that cover it
	Lock       string // where it can be locked; empty: not by this reader
}

// ImageRow is one image of the list, in the order of the pushes.
type ImageRow struct {
	Image     Image
	Pushed    time.Time
	Pusher    string
	Platforms []string // empty: not known
	URL       string   // the registry's page of it
	Place     Place
	Deploys   []Link    // "deploy 12", newest first
	Bad       *BadImage // marked as bad; nil: it is not
	Act       *Act
}

// Place is where an image stands against the one that runs.
type Place string

// The places.
const (
	PlaceRunning Place = "running"
	PlaceNewer   Place = "newer"
	PlaceOlder   Place = "older"
	PlaceUnknown Place = "" // the running one is not in the list
)

// Span is a stretch of time in which a target ran one image, or an attempt that did not take over.
type Span struct {
	Image    Image
	From     time.Time
	To       time.Time // zero: still
	Never    bool      // an attempt that ended without taking over
	Rollback bool
	Who      string // "ana", or the field manager of an outside change
	Door     string // "in the browser"; empty for an outside change
	Deploy   int64  // 0: not through the portal
	Outcome  Mark
	Sentence string
	Bad      *BadImage // its image is marked as bad; nil: it is not
	Back     *Act      // roll back to this; nil: it runs now, or must not
}

// HistoryProps tells what ran when on one target.
type HistoryProps struct {
	Page
	App   string
	Spans []Span // newest first
	Older string // link to the next page; empty: no more
}

// ConfirmProps is the last page before something changes. Its form posts to Action with the fields image (the tag),
// rollback_to, before, seen_from, seen_to, key, replaces, reason, mark_bad and lock.
type ConfirmProps struct {
	Page
	App        string
	Action     string // where the form goes: DeploysURL
	Cancel     string // where "Not now" goes
	Error      string // why the last try was refused; shown on top, the input is kept
	Rollback   bool
	RollbackTo int64 // the deploy whose image comes back; 0 for a deploy
	Before     bool  // not its image, but what ran before it
	From       Image // what runs
	To         Image // what will run
	Pushed     time.Time
	Platforms  []string
	Same       bool       // the same digest already runs
	Plus       CommitList // in To, not in From
	Minus      CommitList // in From, not in To: undone
	NoCommits  string     // why commits cannot be told; empty: they can
	Checks     []Check
	Blocked    bool   // a check blocks: no button
	WayBack    string // "If it fails, 4be19f2 is still in the registry."
	Replaces   int64  // the running deploy that this one takes the place of; 0: none
	ReplaceSay string // what happens to it, in a sentence
	Who        string // who will stand in the audit log
	Reason     string
	Key        string // idempotency
	SeenFrom   string // digest the reader saw running
	SeenTo     string // digest the reader saw to come
	NeedReason bool   // without one it is refused
	Ran        string // of a rollback: when what it brings back ran, and how long
	Bad        string // what a rollback can mark as bad; empty: nothing
	BadWhy     string // what the mark says where no reason is typed; empty: then one must be
	MarkBad    bool   // the tick is set
	LockTarget bool   // the tick is set
}

// CommitList is some commits of a range, newest first.
type CommitList struct {
	Commits []Image // Tag is the SHA
	Total   int     // how many there are in all
}

// Check is one finding before a deploy.
type Check struct {
	Mark     Mark
	Sentence string
	Fix      string
}
