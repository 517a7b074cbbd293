package templates

import "time"

// BoardProps is the board: every target on one page.
type BoardProps struct {
	Page
	Summary string // "3 apps in prod, 3 in staging"
	Live    BoardLiveProps
}

// BoardLiveProps is the part of the board that updates itself.
type BoardLiveProps struct {
	Now    time.Time
	Locks  []Lock // on everything
	Sheets []Sheet
	Teach  *Teach // nothing is configured at all
}

// Sheet is one environment.
type Sheet struct {
	Env     string
	Prod    bool
	Meta    string   // "namespace honeydue"
	Locks   []Lock   // on all of it
	Trouble *Trouble // cluster unreachable, permission missing
	Teach   *Teach   // no app here yet
	Rows    []Row
}

// Row is one target. Rows keep their place: the order is the configuration's, never the state's.
type Row struct {
	App       string
	Href      string
	Health    Mark
	Running   Image
	Bad       *BadImage // it is marked as bad; nil: it is not
	Since     time.Time // this image runs since; zero: not known
	By        string    // "by ana", "changed from outside by kubectl-set"; empty: not known
	Ready     string    // "3 of 3 ready"
	Newer     int       // images pushed after the running one
	NewestAt  time.Time // push of the newest
	NewestBad *BadImage // the newest is marked as bad; nil: it is not
	NewNote   string    // in place of the count: "up to date", "images not known"
	Note      string    // what must be said besides: "managed by Flux, which may revert a deploy"
	Gone      string    // "The way back is gone from the registry"; empty: nothing is known to be
	Locks     []Lock    // on this target alone
	Active    *Strip
	Act       *Act // nil: nothing this reader may do here
}

// Strip is the deploy that is under way on a target.
type Strip struct {
	Href  string
	Mark  Mark
	Image Image
	Done  int // of Total, for the bar; Total 0: nothing to count yet
	Total int
	Words string // "2 of 3 new pods ready"
	Clock *Clock
	What  string // what the clock counts: "startup probe"; empty: the deploy itself
}
