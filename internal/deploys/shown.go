package deploys

import (
	"fmt"
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
	fresh, old := 0, 0
	for _, p := range r.Pods {
		switch {
		case !p.Ready || !p.Live():
		case d.Brought(r, p):
			fresh++
		default:
			old++
		}
	}
	pods := func(n int, v Version) string {
		unit := "pods"
		if n == 1 {
			unit = "pod"
		}
		return fmt.Sprintf("%d %s of %s", n, unit, image(v))
	}
	switch {
	case fresh == 0 && old == 0:
		return "nothing. No pod is ready."
	case fresh == 0:
		return fmt.Sprintf("%s, untouched. %d wanted.", pods(old, d.From), r.Desired)
	case old == 0:
		return fmt.Sprintf("%s. %d wanted.", pods(fresh, d.To), r.Desired)
	}
	return fmt.Sprintf("%s and %s. %d wanted.", pods(old, d.From), pods(fresh, d.To), r.Desired)
}
