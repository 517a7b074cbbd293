package deploys

import (
	"strings"
	"time"
)

// Target is an app in an environment: what is deployed, rolled back and locked.
type Target struct {
	App string
	Env string
}

// String reads "api in prod".
func (t Target) String() string { return t.App + " in " + t.Env }

// App is one deployable thing in one environment and the workload behind it.
type App struct {
	Target
	Repository string   // image repository with its host: "git.example.org/acme/api"
	Git        string   // "owner/name" of the git repository on Gitea whose commits the tags name; empty when unknown
	Namespace  string   // Kubernetes namespace
	Workload   string   // name of the Kubernetes Deployment
	Containers []string // containers, init containers too, whose image a deploy sets; never empty
	Migrations []string // path patterns of the files that mean migrations; empty: the usual ones

	Stability time.Duration // how long a rollout must stay well before it has succeeded
	Limit     time.Duration // total time a rollout may take
}

// Image is what the registry holds under a tag: its digest is its identity, the tag only a name.
type Image struct {
	Repository string     `json:"repository"` // with host, without tag
	Tag        string     `json:"tag"`
	Digest     string     `json:"digest"` // sha256:...; of the index for a multi-platform image
	Pushed     time.Time  `json:"pushed,omitzero"`
	Manifests  []Manifest `json:"manifests,omitempty"` // one per platform, attestations left out; itself for a plain image
}

// Manifest is one platform's image. A runtime may report any of its digests as the running image's identity.
type Manifest struct {
	Digest   string `json:"digest"`
	Config   string `json:"config"`   // digest of the config blob: equal for two pushes of the same content
	Platform string `json:"platform"` // "linux/amd64", with variant where there is one: "linux/arm/v7"
}

// Pinned is the string a deploy writes into the pod template: repository:tag@digest.
func (i Image) Pinned() string {
	if i.Tag == "" {
		return i.Repository + "@" + i.Digest
	}
	return i.Repository + ":" + i.Tag + "@" + i.Digest
}

// Short is the tag at the length people read: 7 characters of a SHA.
func (i Image) Short() string { return ShortTag(i.Tag) }

// ShortTag cuts a SHA-like tag to 7 characters and leaves other tags alone.
func ShortTag(tag string) string {
	if len(tag) > 7 && strings.Trim(tag, "0123456789abcdef") == "" {
		return tag[:7]
	}
	return tag
}

// SplitImage takes an image string of a pod template apart. Missing parts are empty.
func SplitImage(s string) (repository, tag, digest string) {
	repository, digest, _ = strings.Cut(s, "@")
	if i := strings.LastIndexByte(repository, ':'); i > strings.LastIndexByte(repository, '/') {
		repository, tag = repository[:i], repository[i+1:]
	}
	return repository, tag, digest
}

// Commit is the commit behind a tag. The zero Commit means it is not known.
type Commit struct {
	SHA     string
	Subject string
	Author  string
	At      time.Time
	URL     string
}

// Listed is one image of an app's list, newest push first.
type Listed struct {
	ID     int64 // the registry's id of this push; a new id under the same tag means it was overwritten
	Tag    string
	Pushed time.Time
	Pusher string
	URL    string // the registry's own page of this image
	Commit Commit
}

// List is an app's images as last seen, with the age and the fault of that view.
type List struct {
	Images  []Listed
	Fetched time.Time // when the registry last answered; zero: never
	Err     error     // why the newest try failed; nil when it did not
}

// Range is what lies between two commits.
type Range struct {
	Ahead  []Commit // in to, not in from; newest first, at most 50
	Total  int      // how many are ahead in all
	Lost   []Commit // in from, not in to; newest first, at most 50
	Behind int      // how many of those there are in all
}

// Kind is what a deploy does.
type Kind string

// The kinds of deploy.
const (
	KindDeploy   Kind = "deploy"
	KindRollback Kind = "rollback"
	KindRestart  Kind = "restart" // the same image in new pods
	KindAdopt    Kind = "adopt"   // what somebody else brought is from now on meant to run; nothing is sent
)

// Version is what a target runs, or shall run, at one moment.
type Version struct {
	Repository string            `json:"repository"`
	Tag        string            `json:"tag"`                 // may be empty or not a SHA for what ran before the portal
	Digest     string            `json:"digest"`              // empty when nothing told it
	Images     map[string]string `json:"images"`              // container name -> exact image string of the pod template
	Proofs     []string          `json:"proofs"`              // digests that prove it when a runtime reports one: index, manifests, configs
	Platforms  []string          `json:"platforms,omitempty"` // it is built for, where the registry told
	Others     map[string]string `json:"others,omitempty"`    // the images of containers that no deploy sets, where they were seen
	Template   string            `json:"template,omitempty"`  // hash of the pod template it was part of; empty: not known
	Bare       string            `json:"bare,omitempty"`      // as Rollout.Bare
	Frame      string            `json:"frame,omitempty"`     // as Rollout.Frame
	Restarted  string            `json:"restarted,omitempty"` // the mark of a restart in that template
	Healthy    bool              `json:"healthy,omitempty"`
}

// Short is the tag at reading length, or the start of the digest where there is no tag.
func (v Version) Short() string {
	if v.Tag != "" {
		return ShortTag(v.Tag)
	}
	if d, ok := strings.CutPrefix(v.Digest, "sha256:"); ok && len(d) >= 12 {
		return d[:12]
	}
	return "unknown"
}

// Pulled is what a node that does not hold the image asks the registry for: the digest where the image strings pin it,
// else the tag. What pods report as their digest is not it: that may name an image's configuration.
func (v Version) Pulled() string {
	for _, image := range v.Images {
		if v.Digest != "" && strings.HasSuffix(image, "@"+v.Digest) {
			return v.Digest
		}
	}
	return v.Tag
}

// NoWayBack says that the registry no longer has v, which a rollback would bring back.
func (v Version) NoWayBack() string {
	return "The way back is gone: the registry no longer has " + v.Short() + "."
}

// Ran is what a deploy made a target run, with the pod template as its last view shows it.
func (d Deploy) Ran() Version {
	v := d.To
	v.Template, v.Bare, v.Frame, v.Others = d.Template, "", "", nil
	if r := d.Rollout; r != nil && r.Template == d.Template {
		return v.in(*r)
	}
	return v
}

// Same tells whether both are the same image by digest. An unknown digest is never the same.
func (v Version) Same(o Version) bool { return v.Digest != "" && v.Digest == o.Digest }

// Deploy is one recorded attempt to make a target run an image.
type Deploy struct {
	ID     int64
	Target Target
	Kind   Kind
	Status Status

	From Version // what ran when it was asked for
	To   Version // what it shall run

	RollbackOf int64 // rollback: the deploy it returns to, or to what ran before it; of an automatic one, whose failure it answers; 0 else
	Replaces   int64 // the running deploy it took the place of; 0 else

	ActorID   string
	ActorName string
	Source    string
	Reason    string

	Created  time.Time
	Started  time.Time // the runner took it; zero before
	Patched  time.Time // T0: the API server accepted the patch; zero before
	Finished time.Time // zero while active

	UID        string // of the Deployment, as the patch answered; empty before
	Generation int64  // G, as the patch answered; 0 before
	Template   string // hash of the pod template, as the patch answered
	GuardRV    string // resourceVersion the patch was guarded by

	AuditSeq  int64  // the deploy.requested entry
	AuditHash string // and its hash

	Sentence string  // the outcome in one sentence; empty while active
	Cause    *Cause  // why it failed; nil when it did not, or nothing more is known than the sentence
	Causes   []Cause // what stands in the way of its pods while it is active
	Note     string  // what a success must add, such as "digest pinned, not proven"

	Memory  Memory   // what the judge carries from one snapshot to the next
	Seq     int64    // of the newest event
	Rollout *Rollout // the last view that was stored; nil before the first

	Smoke *Smoke // its smoke probes; nil: none are configured. Only Get reads it

	// Trouble is not stored: why the deploy cannot go on just now, such as an outcome that cannot be written.
	Trouble string
}

// Event is one ordered fact about one deploy. Seq starts at 1 and has no gaps.
type Event struct {
	Deploy int64
	Seq    int64
	At     time.Time
	Kind   EventKind
	Text   string // what happened, for the timeline; empty for kinds that only say "look again"
}

// EventKind says what an event is about; it chooses the mark on the timeline.
type EventKind string

// The kinds of event.
const (
	EventStep    EventKind = "step"    // the deploy itself moved: requested, patched, holding, finished
	EventPod     EventKind = "pod"     // something happened to a pod
	EventTrouble EventKind = "trouble" // something that needs a person's eye
	EventRollout EventKind = "rollout" // the stored rollout changed; no text
)
