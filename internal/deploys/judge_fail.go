package deploys

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// clone copies what Judge changes, so that a caller may keep the old memory.
func (m Memory) clone() Memory {
	m.Restarts, m.Since, m.ReadyAt = maps.Clone(m.Restarts), maps.Clone(m.Since), maps.Clone(m.ReadyAt)
	if m.Restarts == nil {
		m.Restarts = map[string]int32{}
	}
	if m.Since == nil {
		m.Since = map[string]time.Time{}
	}
	if m.ReadyAt == nil {
		m.ReadyAt = map[string]ReadyAt{}
	}
	if m.Window != nil {
		w := *m.Window
		w.Pods, w.Restarts = slices.Clone(w.Pods), maps.Clone(w.Restarts)
		m.Window = &w
	}
	return m
}

// remember takes down what later snapshots cannot tell: restarts from before this rollout, and when a pod was first
// seen ready by our own clock.
func (j *judge) remember() {
	present := map[string]bool{}
	for _, p := range j.pods {
		present[p.UID] = true
		for _, c := range p.Containers {
			key := p.UID + "/" + c.Name
			if _, known := j.m.Restarts[key]; !known {
				j.m.Restarts[key] = before(p, c, j.b.T0)
			}
		}
		j.rememberReady(p)
	}
	maps.DeleteFunc(j.m.ReadyAt, func(uid string, _ ReadyAt) bool { return !present[uid] })
}

// rememberReady believes a node's clock as it is for a pod that was ready when we first looked, else only as far as
// clockLeeway from our own: a node whose clock is behind must not shorten the stability window to nothing.
func (j *judge) rememberReady(p Pod) {
	was, known := j.m.ReadyAt[p.UID]
	switch {
	case !p.Ready:
		delete(j.m.ReadyAt, p.UID)
	case known && was.Reported.Equal(p.ReadySince):
		j.m.ReadyAt[p.UID] = ReadyAt{Reported: was.Reported, Believed: earlier(was.Believed, j.now)} // the clock was put back
	case !j.m.Begun:
		j.m.ReadyAt[p.UID] = ReadyAt{Reported: p.ReadySince, Believed: earlier(p.ReadySince, j.now)}
	default:
		j.m.ReadyAt[p.UID] = ReadyAt{Reported: p.ReadySince,
			Believed: earlier(later(p.ReadySince, j.now.Add(-clockLeeway)), j.now)}
	}
}

// before gives the restarts of a container that do not count for this rollout: those of a pod that was there already
// when we patched (a ReplicaSet used again).
func before(p Pod, c Container, t0 time.Time) int32 {
	if !p.Created.Before(t0.Add(-clockLeeway)) {
		return 0
	}
	if c.Last != nil && !c.Last.Finished.Before(t0) && c.Restarts > 0 {
		return c.Restarts - 1
	}
	return c.Restarts
}

// pause stops the clocks: the time since the last snapshot counts neither for the deadline nor for the limit.
func (j *judge) pause() {
	if !j.m.Seen.IsZero() && j.now.After(j.m.Seen) && !j.m.Progress.IsZero() {
		j.m.Progress = j.m.Progress.Add(j.now.Sub(j.m.Seen))
	}
	j.m.Seen = j.now
}

// advance moves the clocks and notes progress: updated up, old down, ready up, each against the best so far, so that
// a pod that flaps is not taken for one that comes nearer. Another number of desired pods starts the comparison anew.
func (j *judge) advance() {
	ready := int32(0)
	for _, p := range j.pods {
		if p.Ready {
			ready++
		}
	}
	old := j.r.Replicas - j.r.Updated
	m := &j.m
	if !m.Begun || m.Desired != j.r.Desired {
		m.Begun, m.Progress, m.Desired, m.Updated, m.Old, m.Ready = true, j.now, j.r.Desired, j.r.Updated, old, ready
	}
	if j.r.Updated > m.Updated || old < m.Old || ready > m.Ready {
		m.Progress = j.now
	}
	m.Updated, m.Old, m.Ready = max(m.Updated, j.r.Updated), min(m.Old, old), max(m.Ready, ready)
	if !m.Seen.IsZero() && j.now.After(m.Seen) {
		m.Spent += j.now.Sub(m.Seen)
	}
	m.Seen = j.now
}

// doomed is rule 4: all live target pods have a cause that will not go away.
func (j *judge) doomed(causes []Cause) (Verdict, bool) {
	bad := map[string]bool{}
	for _, c := range causes {
		if c.Doomed {
			bad[c.Pod] = true
		}
	}
	if len(j.pods) == 0 || len(bad) < len(j.pods) {
		return Verdict{}, false
	}
	return failed(causes[0]), true
}

// refused is the other half of rule 4: the API server does not let the pods be created, and nothing moves. Where a full
// quota has let something move, the pods that go make room; the controller asks again later after each refusal, and its
// condition stands until then (docs/adr/0001-quota.md). So then the deadline decides.
func (j *judge) refused(_ []Cause) (Verdict, bool) {
	c, ok := j.creationRefused()
	moved := j.r.Updated > 0 || j.r.Replicas-j.r.Updated < j.r.Desired
	return failed(c), ok && j.now.Sub(j.m.Progress) >= quotaGrace && !(c.Title == quotaExceeded && moved)
}

const quotaExceeded = "Quota exceeded"

// creationRefused tells of pods that may not be created. The Deployment has such a condition from any of its ReplicaSets, also
// from an old one, and from pods that could not be deleted: only the new one's own counts.
func (j *judge) creationRefused() (Cause, bool) {
	for _, rs := range j.r.ReplicaSets {
		for _, c := range rs.Conditions {
			if rs.Template == j.b.Template && c.Type == "ReplicaFailure" && c.Status && c.Reason == "FailedCreate" {
				return refusal(c), true
			}
		}
	}
	return Cause{}, false
}

func refusal(c Condition) Cause {
	cause := Cause{Title: "Pods are refused", Doomed: true, Sentence: "Kubernetes refuses to create the pods: " + sentence(c.Message),
		Advice:   "Correct what the API server names, then deploy again.",
		Evidence: []Evidence{{Kind: FromCluster, At: c.Updated, Text: strings.TrimSpace(c.Reason + " " + c.Message)}}}
	if strings.Contains(c.Message, "exceeded quota") {
		cause.Title, cause.Advice = quotaExceeded, "Raise the quota of the namespace, or free some of it."
	}
	return cause
}

// late is rule 5.
func (j *judge) late(causes []Cause) (Verdict, bool) {
	var over string
	switch {
	case j.overdue():
		over = fmt.Sprintf("No progress for %s. ", short(j.deadline()))
	case j.m.Spent >= j.b.App.Limit:
		over = fmt.Sprintf("Not complete after %s, the limit of a rollout. ", short(j.b.App.Limit))
	default:
		return Verdict{}, false
	}
	c := j.why(causes)
	c.Sentence = over + c.Sentence
	return failed(c), true
}

func (j *judge) deadline() time.Duration {
	if j.r.ProgressDeadline <= 0 || j.r.ProgressDeadline >= noDeadline*deadlineUnit {
		return j.b.App.Limit
	}
	return j.r.ProgressDeadline
}

func (j *judge) overdue() bool { return j.now.Sub(j.m.Progress) >= j.deadline() }

// again is when time alone can change the verdict next.
func (j *judge) again() time.Time {
	next := j.m.Progress.Add(j.deadline())
	closer := func(t time.Time) {
		if t.After(j.now) && t.Before(next) {
			next = t
		}
	}
	closer(j.now.Add(j.b.App.Limit - j.m.Spent))
	closer(j.m.Progress.Add(quotaGrace))
	for _, since := range j.m.Since {
		closer(since.Add(configGrace))
	}
	for _, p := range j.pods {
		for _, c := range p.Containers {
			if c.Startup != nil && c.State == "running" && !c.Started {
				closer(j.begun(p, c).Add(c.Startup.Budget() + c.Startup.Period))
			}
		}
	}
	return next
}

// progress says where a rollout is, in words.
func (j *judge) progress() string {
	if len(j.pods) == 0 {
		return "No new pod yet."
	}
	old := 0
	for _, p := range j.r.Pods {
		if p.Live() && !slices.ContainsFunc(j.pods, func(t Pod) bool { return t.UID == p.UID }) {
			old++
		}
	}
	if j.m.Ready >= j.r.Desired && old > 0 {
		return fmt.Sprintf("%s ready; %d old still to go.", count(j.r.Desired, j.r.Desired), old)
	}
	ready := int32(0)
	for _, p := range j.pods {
		if p.Ready {
			ready++
		}
	}
	if ready == j.r.Desired && j.proof() == Different {
		return fmt.Sprintf("%s ready, not all of them with the asked image.", count(ready, j.r.Desired))
	}
	return fmt.Sprintf("%s ready.", count(ready, j.r.Desired))
}

// why is what stands in the way when the time is up.
func (j *judge) why(causes []Cause) Cause {
	if len(causes) > 0 {
		c := causes[0]
		if c.Title == "Not ready" {
			c.Title = "Never ready"
		}
		return c
	}
	if c, ok := j.creationRefused(); ok {
		return c
	}
	if c, ok := j.endedPods(); ok {
		return c
	}
	return Cause{Title: "No progress", Sentence: j.progress(), Advice: "Look at the pods and events below."}
}

// endedPods tells of new pods that their nodes refused or evicted. Each is replaced at once, so none stands in the way for long.
func (j *judge) endedPods() (Cause, bool) {
	var newest Pod
	n := int32(0)
	for _, p := range j.r.Pods {
		if p.Phase == "Failed" && p.Reason != "" && j.r.brings(p, j.b.Template) && !p.Created.Before(j.b.T0.Add(-clockLeeway)) {
			n++
			if !p.Created.Before(newest.Created) {
				newest = p
			}
		}
	}
	return Cause{Title: "Pods do not stay", Pod: newest.Name,
		Sentence: fmt.Sprintf("Pods were ended %s, the newest of them, %s on %s, as %s: %s", times(n), newest.Short(), orNode(newest.Node),
			newest.Reason, sentence(first(newest.Message, "no more is said"))),
		Advice:   "Look at the node: it refuses or evicts the pods, for want of room perhaps.",
		Evidence: []Evidence{{Kind: FromCluster, Text: strings.TrimSpace(newest.Reason + " " + newest.Message)}}}, n > 0
}

func count(n, of int32) string {
	if of == 1 && n == 1 {
		return "1 of 1 pod"
	}
	return fmt.Sprintf("%d of %d pods", n, of)
}

func at(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " at " + clock(t)
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05") + " UTC" }

// short writes a duration as people say it: "1 min 30 s".
func short(d time.Duration) string {
	d = d.Round(time.Second)
	var parts []string
	for _, u := range []struct {
		size time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		if n := d / u.size; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, u.name))
			d -= n * u.size
		}
	}
	if len(parts) == 0 {
		return "0 s"
	}
	return strings.Join(parts, " ")
}

func sentence(s string) string {
	s = strings.TrimSpace(s)
	if s == "" || strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
