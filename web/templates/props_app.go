package templates

import "time"

// AppProps is one target: what runs, what could run, what ran.
type AppProps struct {
	Page
	App        string
	Repository string
	Elsewhere  []Link // the same app in other environments
	Live       AppLiveProps
}

// AppLiveProps is the part of an app's page that updates itself.
type AppLiveProps struct {
	Now      time.Time
	Env, App string
	Health   Mark
	Running  Image
	Bad      *BadImage // it is marked as bad; nil: it is not
	Since    time.Time
	By       string // "by ana", "changed from outside by kubectl-set"
	Ready    string
	Note     string   // "Flux manages this workload and may revert a deploy."
	Cluster  *Trouble // the running facts are old or missing
	Active   *Strip
	Outside  *Outside // a change from outside waits for a decision
	Restart  *Act     // nil: not by this reader, or not now
	Registry *Trouble // the list is old or missing
	Commits  *Trouble // CI states and places in the history are old or missing
	Images   []ImageRow
	Teach    *Teach
	History  []Span
	Gone     []Gone // what the registry no longer has and somebody may need
	Locks    []Lock // that cover it
	Lock     string // where it can be locked; empty: not by this reader
}

// Gone is an image that runs, or that a rollback would bring back, and that the registry no longer has.
type Gone struct {
	Of       string // GoneRuns or GoneBack
	Sentence string // what is gone
	Todo     string // what that means and what helps
}

// What a Gone image is for.
const (
	GoneRuns = "runs"
	GoneBack = "back"
)

// ImageRow is one image of the list, in the order of the pushes.
type ImageRow struct {
	Image   Image
	Pushed  time.Time
	Pusher  string
	URL     string // the registry's page of it
	CI      *CI    // nil: there is nothing to ask
	Place   Place
	Stands  string    // "3 commits ahead", seen from the running one; empty: not known, Place has to do
	Aside   bool      // it lacks commits that run, and has others
	Deploys []Link    // "deploy 12", newest first
	Bad     *BadImage // marked as bad; nil: it is not
	Act     *Act
}

// CI is what the builds and checks of a commit say.
type CI struct {
	Mark Mark
	Note string // which failed, or why it is not known
	URL  string // where it is told in full; empty: nowhere
}

// Place is where an image stands against the one that runs, by the order of the pushes.
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
	Moment   bool      // nothing else ran from then on: an outside restart
	Kind     string    // deploy, rollback, restart, adoption
	Who      string    // "ana", or the field manager of an outside change
	Door     string    // "in the browser"; empty for an outside change
	Deploy   int64     // 0: not through the portal
	Entry    string    // of an outside change: link to its audit entry
	Outcome  Mark
	Sentence string
	Bad      *BadImage // its image is marked as bad; nil: it is not
	Gone     bool      // its image is gone from the registry
	Back     *Act      // roll back to this; nil: it runs now, or must not
}

// HistoryProps tells what ran when on one target.
type HistoryProps struct {
	Page
	App   string
	Spans []Span // newest first
	Older string // link to the next page; empty: no more

	LeftOut string // link to the audit log, where changes from outside were left out; empty: none were
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
	RollbackTo int64     // the deploy whose image comes back; 0 for a deploy
	Before     bool      // not its image, but what ran before it
	Undo       int64     // instead of a deploy: the outside change that is undone; 0: none
	Restart    bool      // the same image in new pods
	Instead    *Act      // what helps where the same digest already runs
	From       Image     // what runs
	FromBad    *BadImage // it is marked as bad; nil: it is not
	To         Image     // what will run
	Pushed     time.Time
	Platforms  []string
	Same       bool       // the same digest already runs
	Stands     string     // "c7750aa is 3 commits ahead of 4be19f2."; empty: not known
	Plus       CommitList // in To, not in From
	Minus      CommitList // in From, not in To: undone
	Commits    *Trouble   // why commits cannot be told
	Migrations Migrations
	Checks     []Check    // what one must know: what blocks first
	Passed     []Check    // what is as it should be
	Blocked    bool       // nothing can be asked for now: no button
	Held       bool       // checks block, and this reader may not override them
	Overrides  []Override // the blocks that this reader may override
	WayBack    string     // "If it fails, 4be19f2 is still in the registry."
	Replaces   int64      // the running deploy that this one takes the place of; 0: none
	ReplaceSay string     // what happens to it, in a sentence
	Who        string     // who will stand in the audit log
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

// Migrations are the files between two commits that change a database's shape.
type Migrations struct {
	Run    []TouchedFile // what the new image will run
	Stay   []TouchedFile // what has run and is not undone by going back
	Unread int           // commits whose files were not looked at
	None   bool          // the commits were looked at, and none touches one
}

// TouchedFile is a file that a commit touched.
type TouchedFile struct {
	Path   string
	How    string // "added", "modified" or "removed"
	Commit Image
}

// Check is one finding before a deploy.
type Check struct {
	Mark     Mark
	Sentence string
	Fix      string
	Evidence []string // what it was read from
}

// Override is a tick that lets a deploy pass a check that blocks.
type Override struct {
	Check    string // its name
	Sentence string
	Ticked   bool
}
