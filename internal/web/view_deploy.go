package web

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"deployportal/internal/deploys"
	"deployportal/web/templates"
)

// shownEvents is how many events a page lists; the newest tell the story.
const shownEvents = 100

// deployFacts is what the page of a deploy is made of.
type deployFacts struct {
	Deploy    deploys.Deploy
	Rollout   *deploys.Rollout // the newest view; nil: the one stored with the deploy
	Events    []deploys.Event  // oldest first
	App       deploys.App
	Gap       string // what may not be read of the cluster, where that costs only detail
	To, From  deploys.Commit
	Commits   int               // between From and To
	Bad       *deploys.BadImage // the mark of To; nil: it has none
	Related   []templates.Related
	Landed    *deploys.OutsideChange // its patch, come after it was given up; nil: it did not
	Newest    int64                  // the newest deploy of this target
	Passed    bool                   // a later deploy has set another image
	Answered  bool                   // another deploy has already rolled this one back, or is about to
	Answer    *deploys.Deploy        // the newest rollback of it, whatever became of that; nil: there is none
	Back      *wayBack               // nil: nothing is known that ran well before
	Usually   time.Duration
	Prod      bool
	MayDeploy bool
	Now       time.Time
}

// wayBack is what a rollback of a deploy brings back.
type wayBack struct {
	Return deploys.ReturnTo
	To     deploys.Version
}

// href leads to the page that confirms it.
func (w wayBack) href(t deploys.Target) string {
	switch {
	case w.Return.Change != 0:
		return templates.UndoURL(t.Env, t.App, w.Return.Change)
	case w.Return.Before:
		return templates.RollbackURL(t.Env, t.App, w.Return.Deploy, 0) + "&before=1"
	}
	return templates.RollbackURL(t.Env, t.App, w.Return.Deploy, 0)
}

// settled tells whether nothing on the page changes any more.
func (f deployFacts) settled() bool {
	return !f.Deploy.Active() && (f.Answer == nil || !f.Answer.Active())
}

// deployView makes the page of a deploy.
func deployView(f deployFacts) templates.DeployLiveProps {
	d := f.Deploy
	if f.Rollout == nil {
		f.Rollout = d.Rollout
	}
	p := templates.DeployLiveProps{
		Now: f.Now, ID: d.ID, App: d.Target.App, Env: d.Target.Env,
		AppHref: templates.AppURL(d.Target.Env, d.Target.App), Prod: f.Prod,
		Kind: kindWord(d.Kind), Active: active(d.Status), Bad: badView(f.Bad),
		Mark: liveMark(f), To: imageOf(d.To, f.To), From: imageOf(d.From, f.From), Commits: f.Commits,
		Who: d.ActorName, Door: deploys.Door(d.Source), Reason: d.Reason,
		Created: d.Created, Finished: d.Finished, Took: between(d.Created, d.Finished), Usually: f.Usually,
		Acts: deployActs(f), Related: f.Related,
		Steps: deploySteps(f), Outcome: deployOutcome(f),
		Smoke: smokeView(d), Pods: podsView(f), Commands: deployCommands(f),
		Audit: templates.AuditMark{Seq: d.AuditSeq, Hash: d.AuditHash},
	}
	if d.Kind == deploys.KindRestart {
		p.From = templates.Image{} // it is the same
	}
	if d.Status != deploys.Failed { // else it is told with the outcome
		p.Note = d.Note
	}
	if p.Active {
		if p.Stale = staleTrouble(f.Rollout); p.Stale == nil {
			p.Stale = gapTrouble(f.Gap, f.App.Namespace)
		}
	}
	if d.Trouble != "" {
		p.Stale = &templates.Trouble{Sentence: d.Trouble, Detail: "The portal goes on trying; this page follows by itself."}
	}
	p.Events, p.Earlier = eventRows(f.Events)
	return p
}

func liveMark(f deployFacts) templates.Mark {
	d := f.Deploy
	if d.Status != deploys.Running {
		return statusMark(d.Status)
	}
	if f.Rollout != nil && !f.Rollout.StaleSince.IsZero() {
		return templates.Mark{Tone: templates.Unknown, Word: "Unknown since " + f.Rollout.StaleSince.UTC().Format("15:04 UTC")}
	}
	if d.Patched.IsZero() {
		return templates.Mark{Tone: templates.Busy, Word: "Starting"}
	}
	if smokeBegun(d) != nil {
		return templates.Mark{Tone: templates.Busy, Word: "Smoke probes run"}
	}
	if _, ok := f.Deploy.RolledOut(f.Rollout); ok {
		return templates.Mark{Tone: templates.Busy, Word: "Holding steady"}
	}
	return templates.Mark{Tone: templates.Busy, Word: "Rolling out"}
}

// deployActs is what can be done about a deploy, by somebody who may.
func deployActs(f deployFacts) []templates.Act {
	d := f.Deploy
	env, app := d.Target.Env, d.Target.App
	if !f.MayDeploy {
		return nil
	}
	open, again := templates.Act{Text: "Open " + app, Href: templates.AppURL(env, app)}, tryAgain(f)
	switch d.Status {
	case deploys.Pending, deploys.Running:
		instead := templates.Act{Text: "Deploy another instead", Href: templates.AppURL(env, app)}
		if d.Kind == deploys.KindRollback {
			return []templates.Act{instead}
		}
		return []templates.Act{{Text: "Roll back now", Href: templates.RollbackURL(env, app, 0, d.ID), Danger: true}, instead}
	case deploys.Failed:
		switch {
		case f.Answered, d.Kind == deploys.KindRollback:
			return []templates.Act{again}
		case f.Passed:
			return []templates.Act{open, again}
		case f.Back == nil:
			return []templates.Act{again}
		}
		return []templates.Act{rollBack(f), again}
	case deploys.Errored:
		return []templates.Act{again}
	}
	switch {
	case !d.CanReturnTo():
		return []templates.Act{open}
	case f.Newest == d.ID:
		return []templates.Act{{Text: "Roll back", Href: templates.RollbackURL(env, app, 0, 0), Danger: true}, open}
	}
	return []templates.Act{{Text: "Roll back to this", Href: templates.RollbackURL(env, app, d.ID, 0), Danger: true}, open}
}

// tryAgain leads to the page that confirms once more what came to nothing: a rollback to a rollback, of what is the way back now.
func tryAgain(f deployFacts) templates.Act {
	d := f.Deploy
	env, app := d.Target.Env, d.Target.App
	switch {
	case d.Kind == deploys.KindRestart:
		return templates.Act{Text: "Restart again", Href: templates.RestartURL(env, app, 0)}
	case d.Kind != deploys.KindRollback:
		return templates.Act{Text: "Deploy again", Href: templates.ConfirmURL(env, app, d.To.Tag, 0)}
	case f.Back == nil:
		return templates.Act{Text: "Open " + app, Href: templates.AppURL(env, app)}
	}
	return templates.Act{Text: "Roll back to " + f.Back.To.Short(), Href: f.Back.href(d.Target), Danger: true}
}

// rollBack undoes a failed deploy with one click: what it left behind and what it goes back to are on the page, and are
// sent along, so that a click on a page that is not true any more is refused.
func rollBack(f deployFacts) templates.Act {
	d := f.Deploy
	env, app := d.Target.Env, d.Target.App
	send := []templates.Hidden{
		{Name: "rollback_to", Value: strconv.FormatInt(f.Back.Return.Deploy, 10)},
		{Name: "seen_from", Value: d.To.ID()}, {Name: "seen_to", Value: f.Back.To.ID()},
		// The same for everybody who sees this page, as it is drawn once: the second click of one person is the same rollback.
		// Another deploy since, such as a rollback that came to nothing, makes it another one.
		{Name: "key", Value: fmt.Sprintf("back from %d after %d", d.ID, f.Newest)},
	}
	if !f.Back.To.Same(d.To) { // else it undoes a restart
		send = append(send, templates.Hidden{Name: "mark_bad", Value: "1"})
	}
	if f.Back.Return.Before {
		send = append(send, templates.Hidden{Name: "before", Value: "1"})
	}
	return templates.Act{Text: "Roll back to " + f.Back.To.Short(), Href: templates.DeploysURL(env, app), Danger: true, Send: send}
}

// deployOutcome leads the page when a deploy did not just succeed, and while it is in trouble.
func deployOutcome(f deployFacts) *templates.Outcome {
	d := f.Deploy
	if d.Kind == deploys.KindAdopt {
		return &templates.Outcome{Mark: statusMark(d.Status), Sentence: d.Sentence}
	}
	o := &templates.Outcome{Mark: statusMark(d.Status), Sentence: d.Sentence, Serving: d.Serving(f.Rollout, deploys.Version.Short)}
	switch d.Status {
	case deploys.Failed:
		o.Held = strings.TrimPrefix(d.Note, deploys.NotRolledBack)
		o.Todo = todoFailed(f)
		if d.Cause != nil {
			tellCause(o, *d.Cause)
			o.Sentence = d.Sentence
		}
	case deploys.Errored:
		o.Todo = "Remove the cause, then " + d.Kind.Verb() + " again."
		switch {
		case f.Landed != nil:
			o.Detail = "Its patch landed after it was given up, noticed at " + f.Landed.Noticed.UTC().Format("15:04:05 UTC") + "."
			o.Todo = "See what runs now: the page of " + d.Target.App + " asks whether to adopt or restore it."
		case d.NothingChanged():
			o.Detail = "Nothing was changed in the cluster."
		}
	case deploys.Superseded:
		o.Todo = "See what runs now. If the other change was a mistake, " + d.Kind.Verb() + " again."
	case deploys.Running:
		o.Mark = templates.Mark{Tone: templates.Busy, Word: "In trouble, still trying"}
		o.Todo = "Wait, or roll back now: the pods that still serve are not touched by it."
		if len(d.Causes) > 0 {
			tellCause(o, d.Causes[0])
		} else if o.Sentence = troubleNow(f.Events); o.Sentence == "" {
			return nil
		}
	default:
		return nil
	}
	if o.Sentence == "" {
		o.Sentence = "No cause was recorded."
	}
	return o
}

// todoFailed is what can be done about a deploy that failed.
func todoFailed(f deployFacts) string {
	d := f.Deploy
	switch {
	case f.Answer != nil && f.Answer.Active():
		return fmt.Sprintf("Deploy %d is rolling it back to %s now. Cure the cause, then deploy the new image.", f.Answer.ID, f.Answer.To.Short())
	case f.Answered:
		return "It has been rolled back. Cure the cause, then deploy the new image."
	case f.Passed:
		return "A later deploy has set another image. See what runs now."
	case f.Back == nil:
		return "Deploy an image that cures it. The portal knows of none that ran well before."
	case d.Kind == deploys.KindRollback:
		return "Go back further, to " + f.Back.To.Short() + ", or deploy an image that cures it."
	case f.Back.To.Same(d.To): // it brought no image
		return "Roll back to the pods of before it, or deploy an image that cures it."
	}
	if f.Bad != nil {
		return "Roll back, or deploy an image that cures it."
	}
	return "Roll back, which also marks " + d.To.Short() + " as bad, or deploy an image that cures it."
}

// tellCause puts a cause at the head of the page: what, what to do, what shows it.
func tellCause(o *templates.Outcome, c deploys.Cause) {
	o.Title, o.Sentence, o.Detail = c.Title, c.Sentence, c.Advice
	for _, e := range c.Evidence {
		switch e.Kind {
		case deploys.FromTemplate:
			o.Differs = append(o.Differs, e.Text)
		case deploys.FromLog:
			o.Log = append(o.Log, fmt.Sprintf("%-8s  %s", e.Kind, e.Text))
		default:
			at := string(e.Kind)
			if !e.At.IsZero() {
				at = e.At.UTC().Format("15:04:05")
			}
			o.Log = append(o.Log, fmt.Sprintf("%-8s  %s", at, e.Text))
		}
	}
}

// troubleNow is the newest trouble, unless the deploy took a step after it.
func troubleNow(events []deploys.Event) string {
	for _, e := range slices.Backward(events) {
		switch e.Kind {
		case deploys.EventTrouble:
			return e.Text
		case deploys.EventStep:
			return ""
		}
	}
	return ""
}

// eventRows lists the newest events first, and says how many are left out.
func eventRows(events []deploys.Event) (rows []templates.EventRow, earlier int) {
	for _, e := range slices.Backward(events) {
		if e.Text == "" {
			continue
		}
		if len(rows) == shownEvents {
			earlier++
			continue
		}
		row := templates.EventRow{Seq: e.Seq, At: e.At, Text: e.Text}
		if e.Kind == deploys.EventTrouble {
			row.Tone = templates.Bad
		}
		rows = append(rows, row)
	}
	return rows, earlier
}
