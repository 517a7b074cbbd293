package deploys

import (
	"fmt"
	"reflect"
	"slices"
	"time"
)

// Line is one fact for the timeline.
type Line struct {
	Kind EventKind
	Text string
}

// Lines says what changed between two views of a rollout, in words, for the timeline. It is pure. The zero old view
// gives what there is to tell of the new pods only: old ones are no news.
func Lines(b Basis, old, now Rollout) []Line {
	var out []Line
	add := func(kind EventKind, format string, args ...any) {
		out = append(out, Line{Kind: kind, Text: fmt.Sprintf(format, args...)})
	}
	if old.StaleSince.IsZero() != now.StaleSince.IsZero() {
		if now.StaleSince.IsZero() {
			add(EventStep, "the cluster answers again")
		} else {
			add(EventTrouble, "unknown since %s: %s", clock(now.StaleSince), now.StaleWhy)
		}
	}
	if old.Exists && old.Desired != now.Desired {
		add(EventStep, "scaled from %d to %d", old.Desired, now.Desired)
	}
	for _, c := range now.Conditions {
		if c.Type == "ReplicaFailure" && c.Status && !slices.ContainsFunc(old.Conditions, func(o Condition) bool {
			return o.Type == c.Type && o.Status && o.Message == c.Message
		}) {
			add(EventTrouble, "Kubernetes refuses to create a pod: %s", c.Message)
		}
	}
	was := map[string]Pod{}
	for _, p := range old.Pods {
		was[p.UID] = p
	}
	target := map[string]bool{}
	for _, p := range now.podsOf(b.Template) {
		target[p.UID] = true
	}
	for _, p := range now.Pods {
		before, known := was[p.UID]
		delete(was, p.UID)
		if !target[p.UID] && !known {
			continue
		}
		podLines(add, before, p, target[p.UID])
	}
	for _, p := range old.Pods {
		if _, gone := was[p.UID]; gone && !p.Deleting {
			add(EventPod, "%s is gone", p.Short())
		}
	}
	return out
}

func podLines(add func(EventKind, string, ...any), old, now Pod, target bool) {
	if now.Deleting && !old.Deleting {
		add(EventPod, "%s is going away", now.Short())
	}
	if now.Phase == "Failed" && old.Phase != "Failed" {
		add(EventTrouble, "%s failed: %s %s", now.Short(), now.Reason, now.Message)
	}
	if !target {
		return
	}
	if !now.Scheduled.IsZero() && old.Scheduled.IsZero() {
		add(EventPod, "%s scheduled on %s", now.Short(), now.Node)
	}
	if now.Waiting != "" && now.Waiting != old.Waiting {
		add(EventTrouble, "%s waits: %s", now.Short(), now.Waiting)
	}
	for _, c := range now.Containers {
		i := slices.IndexFunc(old.Containers, func(o Container) bool { return o.Name == c.Name })
		before := Container{}
		if i >= 0 {
			before = old.Containers[i]
		}
		containerLines(add, now, before, c)
	}
	if now.Ready && !old.Ready {
		add(EventPod, "%s ready after %s", now.Short(), short(now.ReadySince.Sub(now.Created)))
	}
	if !now.Ready && old.Ready && !now.Deleting {
		add(EventTrouble, "%s is not ready any more", now.Short())
	}
}

func containerLines(add func(EventKind, string, ...any), p Pod, old, now Container) {
	name := p.Short()
	if len(p.Containers) > 1 {
		name += "/" + now.Name
	}
	if !now.PullStart.IsZero() && old.PullStart.IsZero() && now.Pulled == "" {
		add(EventPod, "%s pulls its image", name)
	}
	if now.Pulled != "" && old.Pulled == "" && now.Pulled != "present" {
		add(EventPod, "%s pulled its image in %s", name, now.Pulled)
	}
	if now.State == "running" && !now.Since.Equal(old.Since) {
		add(EventPod, "%s started", name)
	}
	if now.State == "waiting" && now.Stuck() != "" && now.Reason != old.Reason {
		add(EventTrouble, "%s: %s %s", name, now.Reason, now.Message)
	}
	if now.Last != nil && (!now.Init || now.Last.Code != 0) && (old.Last == nil || !old.Last.Finished.Equal(now.Last.Finished)) {
		add(EventTrouble, "%s ended%s after %s", name, exit(now.Last), lived(now.Last))
	}
	for _, pr := range []struct {
		name     string
		old, now *Probe
	}{{"startup", old.Startup, now.Startup}, {"readiness", old.Readiness, now.Readiness}, {"liveness", old.Liveness, now.Liveness}} {
		if pr.now != nil && pr.now.Fails > 0 && (pr.old == nil || pr.old.Answer != pr.now.Answer || pr.old.Fails == 0) {
			add(EventPod, "%s %s probe: %s gave %s", name, pr.name, pr.now.Ask, pr.now.Answer)
		}
		if pr.now != nil && pr.now.Kills > 0 && (pr.old == nil || pr.old.Kills < pr.now.Kills) {
			add(EventTrouble, "%s is restarted for its %s probe", name, pr.name)
		}
	}
}

func lived(e *Exit) string {
	if e.Started.IsZero() || e.Finished.Before(e.Started) {
		return "a moment"
	}
	return short(max(e.Finished.Sub(e.Started), time.Second))
}

// differs tells whether a viewer would see another thing.
func differs(a, b Rollout) bool {
	for _, r := range []*Rollout{&a, &b} {
		r.At, r.ResourceVersion = time.Time{}, ""
	}
	return !equal(a, b)
}

func equal(a, b Rollout) bool { return reflect.DeepEqual(a, b) }
