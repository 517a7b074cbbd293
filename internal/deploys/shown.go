package deploys

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// What every door tells of a deploy under way, from the same view of its rollout and in the same words.

// Door is how a source reads at the end of a sentence: "asked by ana in the browser".
func Door(source string) string {
	if words := doors[source]; words != "" {
		return words
	}
	return "through " + source
}

// Verb is what asks for a deploy of this kind, as a sentence ends: "then roll back again".
func (k Kind) Verb() string {
	switch k {
	case KindRollback:
		return "roll back"
	case KindRestart:
		return "restart"
	}
	return "deploy"
}

// Brought tells whether a pod belongs to the rollout of the deploy: its ReplicaSet has the template that the patch
// answered. It may be an older ReplicaSet that is used again. r may be nil.
func (d Deploy) Brought(r *Rollout, p Pod) bool {
	if d.Template == "" || r == nil {
		return false
	}
	for _, rs := range r.ReplicaSets {
		if rs.Name == p.ReplicaSet {
			return rs.Template == d.Template
		}
	}
	return false
}

// Proves tells whether a digest that a runtime reports proves the image of the deploy, by what the registry told of it
// beforehand or when it was asked about this digest.
func (d Deploy) Proves(digest string) bool {
	return digest != "" && (slices.Contains(d.To.Proofs, digest) || slices.Contains(d.Memory.Proven, digest))
}

// RolledOut tells whether every wanted pod is new and available and no old one runs, and since when that has held. r may be nil.
func (d Deploy) RolledOut(r *Rollout) (since time.Time, ok bool) {
	if r == nil || !r.Exists || d.Patched.IsZero() || r.ObservedGeneration < d.Generation {
		return since, false
	}
	if r.Updated != r.Desired || r.Replicas != r.Desired || r.Available != r.Desired {
		return since, false
	}
	since = d.Patched
	for _, p := range r.Pods {
		if !p.Live() {
			continue
		}
		if !p.Ready || !d.Brought(r, p) {
			return since, false
		}
		if p.ReadySince.After(since) {
			since = p.ReadySince
		}
	}
	return since, true
}

// Serving says what answers requests now, as far as pods tell; image is how a door writes one. r may be nil.
func (d Deploy) Serving(r *Rollout, image func(Version) string) string {
	switch {
	case r == nil:
		return "not known: no pod was seen."
	case !r.StaleSince.IsZero():
		return "not known: the cluster is not seen."
	}
	fresh, old := d.ready(r)
	var images, parts []string
	pods := map[string]int{}
	for _, rs := range slices.Backward(r.ReplicaSets) { // the oldest first
		if n := old[rs.Name]; n > 0 {
			name := image(d.versionOf(rs)) // another template may have the same image
			if pods[name] == 0 {
				images = append(images, name)
			}
			pods[name] += n
		}
	}
	for _, name := range images {
		parts = append(parts, podsOfImage(pods[name], name))
	}
	switch {
	case fresh == 0 && len(parts) == 0:
		return "nothing. No pod is ready."
	case fresh == 0:
		return fmt.Sprintf("%s, untouched. %d wanted.", listed(parts), r.Desired)
	}
	return fmt.Sprintf("%s. %d wanted.", listed(append(parts, podsOfImage(fresh, image(d.To)))), r.Desired)
}

// ready counts the pods that answer requests: those that the deploy brought, and the others by their ReplicaSet.
func (d Deploy) ready(r *Rollout) (fresh int, old map[string]int) {
	old = map[string]int{}
	for _, p := range r.Pods {
		switch {
		case !p.Ready || !p.Live():
		case d.Brought(r, p):
			fresh++
		default:
			old[p.ReplicaSet]++
		}
	}
	return fresh, old
}

// versionOf is what the pods of a ReplicaSet run. That is not always what the Deployment asked for before: pods of an image
// that never got ready serve nobody, and those of one before it still do.
func (d Deploy) versionOf(rs ReplicaSet) Version {
	if len(d.From.Images) > 0 && hasImages(rs.Images, d.From.Images) {
		return d.From // with a digest, where only its pods told that
	}
	for _, name := range slices.Sorted(maps.Keys(d.To.Images)) {
		if repository, _, _ := SplitImage(d.To.Images[name]); repository == d.To.Repository {
			var v Version
			v.Repository, v.Tag, v.Digest = SplitImage(rs.Images[name])
			return v
		}
	}
	return Version{}
}

func podsOfImage(n int, image string) string {
	if n == 1 {
		return "1 pod of " + image
	}
	return fmt.Sprintf("%d pods of %s", n, image)
}

// listed reads "a, b and c".
func listed(parts []string) string {
	last := len(parts) - 1
	if last < 1 {
		return strings.Join(parts, "")
	}
	return strings.Join(parts[:last], ", ") + " and " + parts[last]
}
