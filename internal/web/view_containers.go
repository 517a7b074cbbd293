package web

import (
	"fmt"
	"strings"
	"time"

	"deployportal/internal/deploys"
	"deployportal/web/templates"
)

// podMark is the one word for a pod: the worst of what is true of it.
func podMark(p deploys.Pod) templates.Mark {
	switch {
	case p.Deleting:
		return templates.Mark{Tone: templates.Busy, Word: "Ending"}
	case p.Phase == "Failed":
		word := "Failed"
		if p.Reason == "Evicted" {
			word = "Evicted"
		}
		return templates.Mark{Tone: templates.Bad, Word: word}
	case p.Ready:
		return templates.Mark{Tone: templates.OK, Word: "Ready"}
	case p.Phase == "Unknown":
		return templates.Mark{Tone: templates.Unknown, Word: "Unknown"}
	}
	for _, c := range p.Containers {
		if word := c.Stuck(); word != "" {
			return templates.Mark{Tone: templates.Bad, Word: word}
		}
	}
	return templates.Mark{Tone: templates.Busy, Word: podBusy(p)}
}

// podBusy is what a pod that is neither ready nor stuck is at.
func podBusy(p deploys.Pod) string {
	if p.Scheduled.IsZero() && p.Node == "" {
		return "Waiting"
	}
	for _, c := range p.Containers {
		switch {
		case !c.PullStart.IsZero() && c.Pulled == "" && c.State == "waiting":
			return "Pulling"
		case c.Init && !c.Sidecar && c.State == "running":
			return "Preparing"
		}
	}
	for _, c := range p.Containers {
		switch {
		case c.Init && !c.Sidecar:
		case c.State == "running" && !c.Started:
			return "Starting"
		case c.State == "running" && !c.Ready:
			return "Not ready"
		case c.State == "terminated":
			return "Restarting"
		}
	}
	return "Creating"
}

// containerTasks says what a container is at, and how it ended before. A container that is fine says nothing.
func containerTasks(c deploys.Container, p deploys.Pod, many bool, stopped time.Time) []templates.Task {
	name := ""
	if many {
		switch {
		case c.Sidecar:
			name = "sidecar " + c.Name + ": "
		case c.Init:
			name = "init container " + c.Name + ": "
		default:
			name = c.Name + ": "
		}
	}
	clock := func(from time.Time, limit time.Duration) *templates.Clock {
		if from.IsZero() {
			return nil
		}
		return &templates.Clock{From: from, To: stopped, Limit: limit}
	}
	var tasks []templates.Task
	add := func(t templates.Task) {
		if t.Text = name + t.Text; name == "" {
			t.Text = strings.ToUpper(t.Text[:1]) + t.Text[1:] // they are our own words
		}
		tasks = append(tasks, t)
	}
	switch {
	case c.State == "waiting" && c.Stuck() != "":
		add(templates.Task{Text: c.Reason, Say: c.Message, Bad: true})
	case c.State == "waiting" && !c.PullStart.IsZero() && c.Pulled == "":
		add(templates.Task{Text: "pulling the image", Clock: clock(c.PullStart, 0)})
	case c.Init && !c.Sidecar && c.State == "running":
		add(templates.Task{Text: "running", Clock: clock(c.Since, 0)})
	case c.State == "running" && !c.Started && c.Startup != nil:
		add(templates.Task{Text: "startup probe " + c.Startup.Ask, Clock: clock(c.Since, c.Startup.Budget()), Bar: true, Say: answer(c.Startup)})
	case c.State == "running" && !c.Ready && c.Readiness != nil:
		add(templates.Task{Text: "readiness probe " + c.Readiness.Ask, Clock: clock(c.Since, 0), Say: answer(c.Readiness)})
	case c.State == "running" && c.Ready && !p.Ready:
		// another container holds the pod back
	case c.State == "terminated" && !(c.Init && c.Last != nil && c.Last.Code == 0):
		add(templates.Task{Text: "ended", Say: exitSay(c.Last), Bad: true})
		return tasks // its exit is told
	}
	if c.Restarts > 0 {
		say := exitSay(c.Last)
		if c.Startup != nil && c.Startup.Kills > 0 {
			say += fmt.Sprintf("; the startup probe had it restarted%s", atLeast(c.Startup.Kills))
		}
		if c.Liveness != nil && c.Liveness.Kills > 0 {
			say += fmt.Sprintf("; the liveness probe (%s) had it restarted%s", c.Liveness.Ask, atLeast(c.Liveness.Kills))
		}
		add(templates.Task{Text: plural(int(c.Restarts), "restart"), Say: say, Bad: true})
	}
	return tasks
}

// answer is what a probe got last, and how often at least.
func answer(p *deploys.Probe) string {
	if p.Answer == "" {
		return "no failed answer seen"
	}
	said := p.Answer + atLeast(p.Fails)
	if p.Said != "" {
		said += ": " + p.Said
	}
	return said
}

// exitSay tells how a container ended.
func exitSay(e *deploys.Exit) string {
	if e == nil {
		return "how it ended is not known"
	}
	s := fmt.Sprintf("last exit code %d", e.Code)
	if e.Signal != 0 {
		s += fmt.Sprintf(" by signal %d", e.Signal)
	}
	if e.Reason != "" && e.Reason != "Error" && e.Reason != "Completed" {
		s += ", " + e.Reason
	}
	if !e.Started.IsZero() {
		s += " after " + templates.Dur(e.Finished.Sub(e.Started))
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	return s
}

// deployCommands is how to see the same without the portal. The pod in trouble comes with its own lines.
func deployCommands(f deployFacts) []string {
	if f.App.Namespace == "" || f.App.Workload == "" {
		return nil
	}
	kubectl := "kubectl -n " + shellWord(f.App.Namespace) + " "
	workload := shellWord("deployment/" + f.App.Workload)
	out := []string{kubectl + "rollout status " + workload, kubectl + "describe " + workload}
	if f.Rollout == nil {
		return out
	}
	for _, p := range f.Rollout.Pods {
		if podMark(p).Tone == templates.OK || !f.Deploy.Brought(f.Rollout, p) || p.Deleting {
			continue
		}
		out = append(out, kubectl+"describe pod "+shellWord(p.Name))
		for _, c := range p.Containers {
			if c.Restarts > 0 {
				return append(out, kubectl+"logs "+shellWord(p.Name)+" -c "+shellWord(c.Name)+" --previous")
			}
			if c.State == "running" && !c.Ready {
				return append(out, kubectl+"logs "+shellWord(p.Name)+" -c "+shellWord(c.Name))
			}
		}
		return out
	}
	return out
}
