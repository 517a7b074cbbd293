package slack

import (
	"fmt"
	"strings"

	"deployportal/internal/deploys"
)

// shownPods is how many pods that are not ready a message tells of.
const shownPods = 5

// isNew tells whether a pod belongs to the rollout of the deploy: its ReplicaSet has the template that the patch answered.
func (t telling) isNew(p deploys.Pod) bool {
	if t.deploy.Template == "" || t.deploy.Rollout == nil {
		return false
	}
	for _, rs := range t.deploy.Rollout.ReplicaSets {
		if rs.Name == p.ReplicaSet {
			return rs.Template == t.deploy.Template
		}
	}
	return false
}

// rolledOut tells whether every wanted pod is new, ready and available, and no old one runs.
func (t telling) rolledOut() bool {
	d, r := t.deploy, t.deploy.Rollout
	if r == nil || !r.Exists || d.Patched.IsZero() || r.ObservedGeneration < d.Generation {
		return false
	}
	if r.Updated != r.Desired || r.Replicas != r.Desired || r.Available != r.Desired {
		return false
	}
	for _, p := range r.Pods {
		if p.Live() && (!t.isNew(p) || !p.Ready) {
			return false
		}
	}
	return true
}

// running is what a deploy under way is at, a paragraph each: how far, what stands in the way, and what waits.
func (t telling) running() (out []string) {
	d, r := t.deploy, t.deploy.Rollout
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	switch {
	case d.Patched.IsZero():
		add("The change is being sent to the cluster.")
		return out
	case r == nil:
		add("Nothing was seen of the pods yet.")
		return out
	case !r.StaleSince.IsZero():
		why := r.StaleWhy
		if why == "" {
			why = "The cluster has not been seen since " + r.StaleSince.UTC().Format("15:04 UTC") + "."
		}
		add("%s What happens there now is not known.", t.voice.text(why, 300))
		return out
	case !r.Exists:
		add("There is no such workload in the cluster.")
		return out
	}
	if s := t.smoke(); s != nil {
		add("%s.", smokeWords(*s))
	}
	if len(d.Causes) > 0 {
		c := d.Causes[0]
		add("*%s.* %s", t.voice.text(c.Title, 100), t.voice.text(c.Sentence, 600))
		if c.Advice != "" {
			add("%s", t.voice.text(c.Advice, 400))
		}
		add("*Serving now:* %s", t.serving())
	}
	add("%s", t.progress())
	waiting, more := []string(nil), 0
	for _, p := range r.Pods {
		if !t.isNew(p) || !p.Live() || p.Ready {
			continue
		}
		if len(waiting) == shownPods {
			more++
			continue
		}
		waiting = append(waiting, "• "+code(p.Short())+" "+t.podWords(p))
	}
	if more > 0 {
		waiting = append(waiting, fmt.Sprintf("• and %s more", plural(more, "pod")))
	}
	return append(out, waiting...)
}

// progress reads "2 of 3 pods ready."
func (t telling) progress() string {
	r := t.deploy.Rollout
	ready := 0
	for _, p := range r.Pods {
		if t.isNew(p) && p.Live() && p.Ready {
			ready++
		}
	}
	says := fmt.Sprintf("%d of %d pods ready.", ready, r.Desired)
	switch {
	case r.Desired == 0:
		return "No pod is wanted: the workload is scaled to zero."
	case r.Paused:
		return says + " Paused in the cluster."
	case t.rolledOut() && t.smoke() == nil && t.app.Stability > 0:
		return says + fmt.Sprintf(" They must stay well for %s.", took(t.app.Stability))
	case r.Recreate && t.readyPods() == 0:
		return says + " The old pods end before the new ones start (strategy Recreate). The gap is expected."
	}
	return says
}

func (t telling) readyPods() (n int) {
	for _, p := range t.deploy.Rollout.Pods {
		if p.Ready && p.Live() {
			n++
		}
	}
	return n
}

// podWords is what a pod that is not ready is at: the first thing that holds it.
func (t telling) podWords(p deploys.Pod) string {
	if p.Waiting != "" {
		return "waits: " + t.voice.text(p.Waiting, 300)
	}
	if p.Scheduled.IsZero() && p.Node == "" {
		return "waits for a node"
	}
	for _, c := range p.Containers {
		if words := t.containerWords(p, c); words != "" {
			if c.Restarts > 0 {
				words += ", " + plural(int(c.Restarts), "restart")
			}
			return words
		}
	}
	return "is being created"
}

// containerWords is what a container is at; empty: it holds nothing up.
func (t telling) containerWords(p deploys.Pod, c deploys.Container) string {
	name := ""
	switch many := len(p.Containers) > 1; {
	case c.Sidecar:
		name = "sidecar " + text(c.Name, 100) + ": "
	case c.Init:
		name = "init container " + text(c.Name, 100) + ": "
	case many:
		name = text(c.Name, 100) + ": "
	}
	switch {
	case c.State == "waiting" && c.Reason == "CrashLoopBackOff":
		return name + "crashing"
	case c.State == "waiting" && !c.PullStart.IsZero() && c.Pulled == "" && !strings.Contains(c.Reason, "Pull"):
		return name + "pulls its image"
	case c.State == "waiting" && c.Reason != "" && c.Reason != "ContainerCreating" && c.Reason != "PodInitializing":
		return name + t.voice.text(c.Reason, 100)
	case c.Init && !c.Sidecar && c.State == "running":
		return name + "running"
	case c.Init && !c.Sidecar:
		return ""
	case c.State == "running" && !c.Started && c.Startup != nil:
		return name + "starts: " + t.probeWords("startup", c.Startup)
	case c.State == "running" && !c.Ready && c.Readiness != nil:
		return name + "runs, not ready: " + t.probeWords("readiness", c.Readiness)
	case c.State == "running" && !c.Ready:
		return name + "starts"
	case c.State == "terminated" && c.Last != nil:
		return name + fmt.Sprintf("ended with exit code %d", c.Last.Code)
	case c.State == "terminated":
		return name + "ended"
	}
	return ""
}

// probeWords reads "startup probe GET /health on port 8000 gave HTTP 503, at least 12 of 30 tries". The kubelet's events are
// rate limited, so the number is a lower bound.
func (t telling) probeWords(kind string, p *deploys.Probe) string {
	says := kind + " probe " + t.voice.text(p.Ask, 200)
	switch {
	case p.Answer == "" || p.Fails == 0:
		return says + " has not passed yet"
	case kind == "startup" && p.Threshold > 1 && p.Fails <= p.Threshold:
		return says + fmt.Sprintf(" gave %s, at least %d of %d tries", t.voice.text(p.Answer, 200), p.Fails, p.Threshold)
	case p.Fails == 1:
		return says + " gave " + t.voice.text(p.Answer, 200) + ", at least once"
	}
	return says + fmt.Sprintf(" gave %s, at least %d times", t.voice.text(p.Answer, 200), p.Fails)
}

// smokeWords reads "12 of 20 smoke requests answered, 1 failed, p99 40 ms".
func smokeWords(s deploys.Smoke) string {
	all := s.Tally()
	words := []string{fmt.Sprintf("%d of %d smoke requests answered", all.Good, s.Planned())}
	if all.Failed() > 0 {
		words = append(words, fmt.Sprintf("%d failed", all.Failed()))
	}
	if all.Good > 0 {
		words = append(words, "p99 "+deploys.Millis(all.P99))
	}
	return strings.Join(words, ", ")
}

// serving says what answers requests now, as far as pods tell.
func (t telling) serving() string {
	d, r := t.deploy, t.deploy.Rollout
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
		case t.isNew(p):
			fresh++
		default:
			old++
		}
	}
	pods := func(n int, v deploys.Version) string {
		return fmt.Sprintf("%s of %s", plural(n, "pod"), code(v.Short()))
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
