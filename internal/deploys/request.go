package deploys

import (
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"

	"deployportal/internal/auth"
	"deployportal/internal/errs"
)

// Request is the one thing every door makes of what a person asked for.
type Request struct {
	Target   Target
	Image    string    // a tag or a digest; empty for a rollback
	Return   *ReturnTo // a rollback; nil for a deploy
	Restart  bool      // the image that runs, in new pods
	Adopt    int64     // an outside change: what it brought shall be what a rollback goes back to; 0: none
	Seen     Seen      // what the person was shown; empty parts are not compared
	Replaces int64     // the running deploy whose place it takes; 0: none
	Actor    auth.Actor
	Key      string // idempotency, scoped to actor and source: the same key gives the same deploy
	Reason   string

	Overrides []string // names of checks whose block shall not hold; each needs the right to, and Reason

	// Of a rollback: what it does besides, with Reason or, where that is empty, with how the deploy it goes back from ended.
	MarkBad    bool // marks what runs now as bad
	LockTarget bool // locks the target until somebody unlocks it; a lock that stands and has an end loses that. Needs the right to lock
}

// ReturnTo names what a rollback brings back.
type ReturnTo struct {
	Deploy int64
	Before bool  // what ran when that deploy was asked for, instead of what it deployed
	Change int64 // instead of a deploy: what ran, healthy, before this outside change
}

// Seen is what the confirm page showed: Version.ID of what runs and of what shall run.
type Seen struct {
	From string
	To   string
}

// ID is what a version is compared by: its digest, or all its image strings where the digest is not known.
func (v Version) ID() string {
	if v.Digest != "" {
		return v.Digest
	}
	names := make([]string, 0, len(v.Images))
	for name := range v.Images {
		names = append(names, name)
	}
	sort.Strings(names)
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "%s=%s ", name, v.Images[name])
	}
	return strings.TrimSpace(b.String())
}

// TagPattern is what a tag must look like to be deployed, unless the configuration says otherwise: a commit SHA.
var TagPattern = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

var digestPattern = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// check refuses a request that cannot be meant, before anything is looked up.
func (r Request) check(tags *regexp.Regexp) error {
	asked := 0
	for _, this := range []bool{r.Image != "", r.Return != nil, r.Restart, r.Adopt != 0} {
		if this {
			asked++
		}
	}
	switch {
	case asked != 1:
		return errs.New(errs.Invalid, "Name one thing to do: an image, a deploy to return to, a restart, or a change to adopt.")
	case r.Adopt != 0 && r.Replaces != 0:
		return errs.New(errs.Invalid, "To adopt a change replaces no deploy. Wait until the one under way is over.")
	case r.Return == nil && (r.MarkBad || r.LockTarget):
		return errs.New(errs.Invalid, "Only a rollback marks what ran as bad and locks behind it. Take off the ticks.")
	case r.Image == "":
		return nil
	}
	return checkImage(r.Image, tags)
}

// checkImage refuses what names no image for good: only a digest and a tag that looks like a commit do.
func checkImage(image string, tags *regexp.Regexp) error {
	switch {
	case digestPattern.MatchString(image), tags.MatchString(image):
		return nil
	case len(image) > 128:
		return errs.New(errs.Invalid, "A tag has at most 128 characters. Choose one from the list of images.")
	}
	return errs.New(errs.Invalid, "The tag %q is not a commit SHA. Only images tagged with one are deployed: another tag can name something else tomorrow. Push the image under the SHA of its commit.", image)
}

// deployedVersion is what a deploy of img makes the app run.
func deployedVersion(app App, img Image) Version {
	v := Version{Repository: img.Repository, Tag: img.Tag, Digest: img.Digest, Images: map[string]string{}}
	for _, c := range app.Containers {
		v.Images[c] = img.Pinned()
	}
	v.addProof(img.Digest)
	for _, m := range img.Manifests {
		v.addProof(m.Digest)
		v.addProof(m.Config)
		if m.Platform != "" {
			v.Platforms = append(v.Platforms, m.Platform)
		}
	}
	return v
}

func (v *Version) addProof(digest string) {
	if digest != "" && !slices.Contains(v.Proofs, digest) {
		v.Proofs = append(v.Proofs, digest)
	}
}

// runningVersion is what the app runs by this view. The digest is what the pod template pins, else what all ready
// pods of the present template report.
func runningVersion(app App, r Rollout) Version {
	v := Version{Images: map[string]string{}, Healthy: HealthOf(r) == Healthy}
	for _, c := range app.Containers {
		if image, ok := r.Images[c]; ok {
			v.Images[c] = image
		}
	}
	v = v.in(r)
	v.Repository, v.Tag, v.Digest = SplitImage(v.Images[app.Containers[0]])
	for _, p := range r.podsOf(r.Template) {
		for _, c := range p.Containers {
			if p.Ready && c.Image == v.Images[c.Name] {
				v.addProof(c.ImageID)
			}
		}
	}
	if v.Digest == "" && len(v.Proofs) == 1 {
		v.Digest = v.Proofs[0]
	}
	v.addProof(v.Digest)
	return v
}

// RunningVersion is what app runs by this view, for pages.
func RunningVersion(app App, r Rollout) Version { return runningVersion(app, r) }

// podsOf gives the live pods of the ReplicaSets with this template.
func (r Rollout) podsOf(template string) []Pod {
	var out []Pod
	for _, p := range r.Pods {
		if p.Live() && r.brings(p, template) {
			out = append(out, p)
		}
	}
	return out
}

// brings tells whether a pod is of a ReplicaSet with this template.
func (r Rollout) brings(p Pod, template string) bool {
	return slices.ContainsFunc(r.ReplicaSets, func(rs ReplicaSet) bool { return rs.Name == p.ReplicaSet && rs.Template == template })
}
