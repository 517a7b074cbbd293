package web

import (
	"maps"
	"strings"
	"time"

	"deployportal/internal/deploys"
	"deployportal/web/templates"
)

// byManager names who made an outside change.
func byManager(c deploys.OutsideChange) string {
	if c.Manager == "" {
		return "somebody"
	}
	return c.Manager
}

// changeSays is what an outside change did, without who and when.
func changeSays(c deploys.OutsideChange) string {
	switch c.Kind {
	case deploys.ChangedImage:
		if c.From.Short() == c.To.Short() { // of a container that is not the app's first, or under the same tag
			return "An image was changed: " + strings.Join(c.ImageChanges(), "; ") + "."
		}
	case deploys.ChangedTemplate:
		return "Another part of the pod template was changed; the image stayed."
	case deploys.ChangedRestart:
		return "The pods were restarted; the image stayed."
	case deploys.ChangedGone:
		return "The Deployment was deleted."
	case deploys.ChangedAnew:
		return "The Deployment was created."
	}
	return ""
}

// brought tells whether what runs is what an outside change set it to.
func brought(c *deploys.OutsideChange, running deploys.Version) bool {
	return c != nil && c.Open && maps.Equal(c.To.Images, running.Images)
}

// goneTemplate stands for what is not alike where the cluster keeps no copy of the pod template of before.
const goneTemplate = "parts that are not known: the cluster keeps no copy of what they were"

// outsideView asks the reader of an app's page to decide about an outside change. back is what undoing it brings back,
// where something is known; differs is what is not alike in the pod templates.
func outsideView(t targetFacts, c deploys.OutsideChange, back *wayBack, differs []string) *templates.Outside {
	o := &templates.Outside{Who: byManager(c), At: c.At, From: imageOf(c.From, deploys.Commit{}), To: imageOf(c.To, deploys.Commit{}),
		Says: changeSays(c), Entry: templates.EntryURL(c.Seq), Differs: differs}
	if len(differs) == 0 && c.From.Leaves(c.To) {
		o.Differs = []string{goneTemplate}
	}
	if !t.MayDeploy || t.Trouble != nil || t.Active != nil {
		return o
	}
	env, app := t.App.Env, t.App.App
	switch {
	case t.Rollout != nil && !c.Stands(*t.Rollout):
		o.Todo = "What it brought does not run any more, so there is nothing of it to adopt. Deploy the image that is to run."
	case t.Marks.Of(t.Running) != nil:
		o.Todo = t.Running.Short() + " is marked as bad, so it is not what a rollback should go back to. Take the mark off to adopt it."
	case t.Running.Healthy:
		o.Adopt = templates.AdoptAct(env, app, t.Running.Short(), t.Running.ID(), c.ID)
	default:
		o.Todo = "It can be adopted once it is healthy."
	}
	if back == nil || maps.Equal(back.To.Images, t.Running.Images) {
		return o // its images are what they should be: the portal sets nothing else
	}
	if back.To.Leaves(t.Running) {
		o.Note = "Restoring sets the images back; the other parts of the pod template stay as they are now, and you are asked about them again."
	}
	o.Restore = &templates.Act{Text: "Restore " + back.To.Short(), Href: back.href(t.App.Target), Danger: true, At: "outside:"}
	return o
}

// withChanges puts the outside changes of a target among the spans of its deploys; both are newest first, and each deploy
// has one span. until is when the newest of them stopped to run.
func withChanges(spans []templates.Span, past []deploys.Deploy, changes []deploys.OutsideChange, commits map[string]deploys.Commit, marks deploys.Marks, until time.Time) []templates.Span {
	var out []templates.Span
	for i := 0; i < len(past) || len(changes) > 0; {
		if len(changes) > 0 && (i == len(past) || changes[0].Seq > past[i].AuditSeq) {
			c := changes[0]
			changes = changes[1:]
			s := templates.Span{Image: imageOf(c.To, commits[c.To.Tag]), From: c.At, To: until, Who: byManager(c), Entry: templates.EntryURL(c.Seq),
				Outcome: templates.Mark{Tone: templates.Unknown, Word: "Not ours"}, Sentence: changeSays(c), Bad: badView(marks.Of(c.To))}
			if c.Kind == deploys.ChangedRestart {
				s.Moment = true
			} else {
				until = c.At
			}
			out = append(out, s)
			continue
		}
		s := spans[i]
		if past[i].Status == deploys.Succeeded {
			if !until.IsZero() && (s.To.IsZero() || until.Before(s.To)) {
				s.To = until
			}
			until = s.From
		}
		out = append(out, s)
		i++
	}
	return out
}

// kindWord is what a deploy is called on a page.
func kindWord(k deploys.Kind) string {
	if k == deploys.KindAdopt {
		return "adoption"
	}
	return string(k)
}

// broughtWord says who made the newest deploy of a target the newest.
func broughtWord(d deploys.Deploy) string {
	switch d.Kind {
	case deploys.KindAdopt:
		return "adopted by " + d.ActorName
	case deploys.KindRestart:
		return "restarted by " + d.ActorName
	}
	return d.ActorName
}

// openNote says that a change from outside waits for a decision.
func openNote(t targetFacts) string {
	if t.Change == nil || !t.Change.Open || t.Active != nil {
		return ""
	}
	return "neither adopted nor restored"
}

// managedNote warns of who may set a workload back; empty when nobody is known.
func managedNote(r *deploys.Rollout) string {
	if r == nil || r.ManagedBy == "" {
		return ""
	}
	return "managed by " + r.ManagedBy + ", which may revert a deploy"
}

// notes joins what must be said besides.
func notes(all ...string) string {
	var said []string
	for _, n := range all {
		if n != "" {
			said = append(said, n)
		}
	}
	return strings.Join(said, "; ")
}
