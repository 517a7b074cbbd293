package web

import (
	"fmt"
	"strings"

	"deployportal/internal/deploys"
	"deployportal/internal/foreign"
	"deployportal/web/templates"
)

// podsView groups the pods by ReplicaSet, new ones first.
func podsView(f deployFacts) templates.PodsProps {
	r := f.Rollout
	switch {
	case r == nil:
		return templates.PodsProps{Empty: "Nothing was seen of the pods yet."}
	case !r.Exists:
		return templates.PodsProps{Empty: fmt.Sprintf("There is no Deployment %s in %s.", f.App.Workload, f.App.Namespace)}
	}
	ready := 0
	for _, p := range r.Pods {
		if p.Ready && p.Live() {
			ready++
		}
	}
	out := templates.PodsProps{Summary: fmt.Sprintf("%d wanted, %d serving", r.Desired, ready)}
	switch {
	case r.Desired == 0:
		out.Empty = "No pod is wanted: the workload is scaled to zero."
	case ready == 0 && r.Recreate && active(f.Deploy.Status):
		out.Empty = "The old pods end before the new ones start (strategy Recreate). The gap is expected."
	}
	var fresh, old []templates.PodGroup
	for _, rs := range r.ReplicaSets {
		isFresh := f.Deploy.Template != "" && rs.Template == f.Deploy.Template
		g := podGroup(f, rs, isFresh)
		switch {
		case isFresh && (r.Desired > 0 || len(g.Pods) > 0):
			fresh = append(fresh, g)
		case !isFresh && len(g.Pods) > 0:
			old = append(old, g)
		}
	}
	out.Groups = append(fresh, old...)
	return out
}

func podGroup(f deployFacts, rs deploys.ReplicaSet, isFresh bool) templates.PodGroup {
	g := templates.PodGroup{ID: "rs-" + rs.Name, Title: "Old", Name: "ReplicaSet " + suffix(rs.Name, f.App.Workload), Empty: "None yet."}
	if len(f.App.Containers) > 0 {
		repo, tag, digest := deploys.SplitImage(rs.Images[f.App.Containers[0]])
		g.Short = deploys.Version{Repository: repo, Tag: tag, Digest: digest}.Short()
	}
	live, ready, proven := 0, 0, 0
	for _, p := range f.Rollout.Pods {
		if p.ReplicaSet != rs.Name {
			continue
		}
		g.Pods = append(g.Pods, podRow(f, p, isFresh))
		if !p.Live() {
			continue
		}
		live++
		if p.Ready {
			ready++
		}
		if provenBy(f, p) {
			proven++
		}
	}
	switch {
	case isFresh:
		g.Title = "New"
		if live > 0 {
			g.Note = fmt.Sprintf("%d of %d ready, digest proven on %d", ready, f.Rollout.Desired, proven)
		}
	case live == 0:
		g.Note = "ending"
	default:
		g.Note = fmt.Sprintf("%d still serving", ready)
	}
	return g
}

// provenBy tells whether the runtime reports, for every container the deploy set, a digest that proves the image.
func provenBy(f deployFacts, p deploys.Pod) bool {
	if len(f.App.Containers) == 0 {
		return false
	}
	for _, name := range f.App.Containers {
		ok := false
		for _, c := range p.Containers {
			ok = ok || c.Name == name && f.Deploy.Proves(c.ImageID)
		}
		if !ok {
			return false
		}
	}
	return true
}

// suffix is what a name adds to its owner's: "6564f47bdf" of "api-6564f47bdf".
func suffix(name, owner string) string {
	if s, ok := strings.CutPrefix(name, owner+"-"); ok && s != "" {
		return s
	}
	return name
}

func podRow(f deployFacts, p deploys.Pod, isFresh bool) templates.PodRow {
	row := templates.PodRow{
		ID: "pod-" + p.Name, Short: suffix(p.Name, p.ReplicaSet), Name: p.Name, Node: p.Node,
		Mark: podMark(p),
	}
	// Clocks stand still where the last view was taken, when the deploy has ended or the cluster is not seen.
	stopped := f.Rollout.StaleSince
	if !active(f.Deploy.Status) {
		stopped = f.Rollout.At
	}
	switch {
	case p.Deleting:
		row.Tasks = append(row.Tasks, templates.Task{Text: "Ending"})
		return row
	case p.Ready && isFresh && !p.ReadySince.Before(p.Created):
		row.Tasks = append(row.Tasks, templates.Task{Text: "Ready after " + templates.Dur(p.ReadySince.Sub(p.Created))})
	case p.Ready:
		row.Tasks = append(row.Tasks, templates.Task{Text: "Serving", Clock: &templates.Clock{From: p.ReadySince, To: stopped}})
	}
	if p.Reason != "" || p.Message != "" {
		row.Tasks = append(row.Tasks, templates.Task{Text: strings.TrimSpace(p.Reason + " " + p.Message), Bad: true})
	}
	if p.Waiting != "" {
		from := p.Created
		if !p.Scheduled.IsZero() {
			from = p.Scheduled
		}
		row.Tasks = append(row.Tasks, templates.Task{Text: p.Waiting, Clock: &templates.Clock{From: from, To: stopped}})
	}
	many := len(p.Containers) > 1
	for _, c := range p.Containers {
		row.Tasks = append(row.Tasks, containerTasks(c, p, many, stopped)...)
	}
	if len(row.Tasks) == 0 {
		row.Tasks = []templates.Task{{Text: "Created", Clock: &templates.Clock{From: p.Created, To: stopped}}}
	}
	if isFresh {
		row.Logs, row.Note = podLogs(f.Deploy.Causes, p), pulledSay(p)
	}
	return row
}

const (
	podLogLines = 3   // on each row; at the head of the page a failure shows more
	podLogLine  = 200 // characters
)

// podLogs is how the logs end of a pod's containers that are in trouble.
func podLogs(causes []deploys.Cause, p deploys.Pod) (out []templates.PodLog) {
	for _, c := range causes {
		if c.Pod != p.Name {
			continue
		}
		var lines []string
		for _, e := range c.Evidence {
			if e.Logged() {
				lines = append(lines, foreign.Line(e.Text, podLogLine))
			}
		}
		if len(lines) == 0 {
			continue
		}
		l := templates.PodLog{Title: "Last log lines", Lines: lines[max(0, len(lines)-podLogLines):]}
		if len(p.Containers) > 1 {
			l.Title += " of " + c.Container
		}
		out = append(out, l)
	}
	return out
}

// pulledSay tells how the image came onto the node, where the events told it. What they told last of a container that was
// started again is that it is there.
func pulledSay(p deploys.Pod) string {
	for _, c := range p.Containers {
		switch {
		case c.Init || c.Pulled == "" || c.Restarts > 0:
		case c.Pulled == "present":
			return "image was on the node"
		default:
			return "image pulled in " + c.Pulled
		}
	}
	return ""
}
