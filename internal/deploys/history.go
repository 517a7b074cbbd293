package deploys

// Way says where one commit stands, seen from another.
type Way string

// The ways. The zero value is "not known".
const (
	WaySame     Way = "same"
	WayAhead    Way = "ahead"    // holds everything the other has, and more
	WayBehind   Way = "behind"   // lacks some of what the other has, and adds nothing
	WayDiverged Way = "diverged" // both have what the other lacks
)

// Way says where to stands, seen from from.
func (r Range) Way() Way { return wayOf(r.Total, r.Behind) }

func wayOf(ahead, behind int) Way {
	switch {
	case ahead > 0 && behind > 0:
		return WayDiverged
	case ahead > 0:
		return WayAhead
	case behind > 0:
		return WayBehind
	}
	return WaySame
}

// Relation is where a tag's commit stands, seen from the running one.
type Relation struct {
	Ahead  int // commits it has and the running one lacks
	Behind int // commits it lacks
}

// Way says it in a word.
func (r Relation) Way() Way { return wayOf(r.Ahead, r.Behind) }

// CIState is the combined state of a commit's builds and checks.
type CIState string

// The states. The zero value is "not asked yet".
const (
	CINone    CIState = "none" // nothing was ever reported: there is no CI, or it does not report to Gitea
	CIPending CIState = "pending"
	CISuccess CIState = "success"
	CIFailure CIState = "failure"
)

// CI is what the builds and checks of a commit say.
type CI struct {
	State   CIState
	Total   int      // how many report
	Waiting []string // names of those that have not ended, at most 10
	Failed  []string // names of those that failed, at most 10
	URL     string   // of the first that failed, else of the first that has not ended, else of the first; may be empty
}

// About is what is known of the commits behind an app's listed images.
type About struct {
	CI        map[string]CI       // by tag; what is missing was not asked yet, names no commit, or Err says why
	Relations map[string]Relation // by tag, seen from the running commit; as CI
	Asked     bool                // Gitea has been asked: what is missing is not merely late
	Err       error               // why something is missing or old; nil when nothing is
}

// Touched is a file that a commit changed.
type Touched struct {
	Path   string
	Status string // "added", "modified" or "removed"; a renamed file is removed and added
	Commit Commit
}

// Migrations are the changes of files that change a database's shape, between two commits.
type Migrations struct {
	Ahead  []Touched // by commits in to, not in from: what a deploy would run; newest commit first
	Behind []Touched // by commits in from, not in to: what going back leaves in the database
	Unread int       // commits beyond the newest 50 of each side, whose files were not looked at
}
