package slack

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	api "github.com/slack-go/slack"

	"deployportal/internal/deploys"
)

// telling is all that the message of a deploy is made of.
type telling struct {
	deploy   deploys.Deploy
	app      deploys.App     // the zero one: it is not configured any more
	subject  string          // of the commit; may be empty
	answer   *deploys.Deploy // the newest rollback that answers it; nil: there is none
	answered bool            // another deploy has rolled it back, or is about to
	back     string          // what a rollback would bring back; empty: nothing is known that ran well before
	voice    voice
	at       links
}

// settled tells whether nothing of the message changes any more.
func (t telling) settled() bool {
	return !t.deploy.Active() && (t.answer == nil || !t.answer.Active())
}

// The marks a message begins with.
const (
	well    = ":large_green_circle:"
	bad     = ":red_circle:"
	busy    = ":large_yellow_circle:"
	unknown = ":white_circle:"
)

// sayLive is the one message of a deploy. It is pure: what it says depends on no clock, so it changes when something has.
func sayLive(t telling) Message {
	mark, word := t.state()
	head := fmt.Sprintf("%s *%s:* %s", mark, word, t.what())
	if s := t.voice.text(t.subject, 200); s != "" {
		head += "\n" + s
	}
	body := t.body()
	m := Message{Blocks: []api.Block{section(head)}}
	m.Text = fmt.Sprintf("%s: %s.", word, strings.ReplaceAll(t.what(), "`", ""))
	if len(body) > 0 {
		m.Text += " " + strings.ReplaceAll(body[0], "*", "")
	}
	m.Blocks = append(m.Blocks, lines(body, 3)...)
	m.Blocks = append(m.Blocks, note(t.foot()))
	if buttons := t.buttons(); len(buttons) > 0 {
		m.Blocks = append(m.Blocks, api.NewActionBlock("deploy "+strconv.FormatInt(t.deploy.ID, 10), buttons...))
	}
	return m
}

// state is the deploy's state as a mark and in words: those of its page.
func (t telling) state() (mark, word string) {
	d := t.deploy
	switch d.Status {
	case deploys.Succeeded:
		return well, "Succeeded"
	case deploys.Failed:
		return bad, "Failed"
	case deploys.Errored:
		return bad, "Errored"
	case deploys.Superseded:
		return unknown, "Superseded"
	case deploys.Pending:
		return unknown, "Pending"
	}
	switch r := d.Rollout; {
	case r != nil && !r.StaleSince.IsZero():
		return unknown, "Unknown since " + r.StaleSince.UTC().Format("15:04 UTC")
	case d.Patched.IsZero():
		return busy, "Starting"
	case len(d.Causes) > 0:
		return busy, "In trouble, still trying"
	case t.smoke() != nil:
		return busy, "Smoke probes run"
	case t.rolledOut():
		return busy, "Holding steady"
	}
	return busy, "Rolling out"
}

// what reads "api to `abc1234` in prod".
func (t telling) what() string {
	d := t.deploy
	app, env, to := text(d.Target.App, 100), text(d.Target.Env, 100), code(d.To.Short())
	switch d.Kind {
	case deploys.KindRollback:
		return fmt.Sprintf("%s back to %s in %s", app, to, env)
	case deploys.KindRestart:
		return fmt.Sprintf("restart of %s in %s, %s", app, env, to)
	case deploys.KindAdopt:
		return fmt.Sprintf("adoption of %s for %s in %s", to, app, env)
	}
	return fmt.Sprintf("%s to %s in %s", app, to, env)
}

// smoke is the smoke probes once they have begun; nil before, and where there are none.
func (t telling) smoke() *deploys.Smoke {
	if s := t.deploy.Smoke; s != nil && !s.Began.IsZero() {
		return s
	}
	return nil
}

// body is what there is to tell besides the state, a paragraph each.
func (t telling) body() (out []string) {
	d := t.deploy
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	switch d.Status {
	case deploys.Pending:
		add("Waiting its turn.")
	case deploys.Running:
		out = t.running()
	case deploys.Succeeded:
		add("%s", t.voice.text(d.Sentence, 500))
		if proven(d) {
			add("Digest proven. Took %s.", took(d.Finished.Sub(d.Created)))
		} else if d.Kind != deploys.KindAdopt {
			add("Took %s.", took(d.Finished.Sub(d.Created)))
		}
	default:
		out = t.ended()
	}
	if d.Note != "" && d.Status != deploys.Failed {
		add("Note: %s.", strings.TrimSuffix(t.voice.text(d.Note, 500), "."))
	}
	if d.Trouble != "" {
		add("%s The portal goes on trying; this message follows by itself.", t.voice.text(d.Trouble, 500))
	}
	return out
}

// proven tells whether a success says that the asked digest runs.
func proven(d deploys.Deploy) bool {
	return d.Kind != deploys.KindAdopt && !strings.Contains(d.Note, "not proven") && !strings.Contains(d.Note, "nothing was proven")
}

// ended is why a deploy did not succeed, what serves and what can be done.
func (t telling) ended() (out []string) {
	d := t.deploy
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	sentence := d.Sentence
	if sentence == "" {
		sentence = "No cause was recorded."
	}
	if c := d.Cause; c != nil {
		add("*%s.* %s", t.voice.text(c.Title, 100), t.voice.text(sentence, 600))
		if c.Advice != "" {
			add("%s", t.voice.text(c.Advice, 400))
		}
	} else {
		add("%s", t.voice.text(sentence, 600))
	}
	if d.NothingChanged() {
		add("Nothing was changed in the cluster.")
	} else {
		add("*Serving now:* %s", t.serving())
	}
	if held, ok := strings.CutPrefix(d.Note, deploys.NotRolledBack); ok && d.Status == deploys.Failed {
		add("*Not rolled back by itself:* %s", t.voice.text(held, 400))
	}
	add("*What you can do:* %s", t.todo())
	return out
}

// serving says what answers requests now.
func (t telling) serving() string {
	return t.deploy.Serving(t.deploy.Rollout, func(v deploys.Version) string { return code(v.Short()) })
}

// rolledOut tells whether every wanted pod is new and available, and no old one runs.
func (t telling) rolledOut() bool {
	_, ok := t.deploy.RolledOut(t.deploy.Rollout)
	return ok
}

func (t telling) todo() string {
	d := t.deploy
	switch {
	case d.Status == deploys.Errored:
		return "Remove the cause, then " + d.Kind.Verb() + " again."
	case d.Status == deploys.Superseded:
		return "See what runs now. If the other change was a mistake, " + d.Kind.Verb() + " again."
	case t.answer != nil && t.answer.Active():
		return fmt.Sprintf("%s is rolling it back to %s now. Cure the cause, then deploy the new image.", t.deployLink(t.answer.ID, "Deploy"), code(t.answer.To.Short()))
	case t.answered:
		return fmt.Sprintf("%s has rolled it back to %s. Cure the cause, then deploy the new image.", t.deployLink(t.answer.ID, "Deploy"), code(t.answer.To.Short()))
	case t.answer != nil:
		return fmt.Sprintf("%s did not roll it back either. Look at the pods, then deploy an image that cures it.", t.deployLink(t.answer.ID, "Deploy"))
	case d.Kind == deploys.KindRollback || t.back == "":
		return "Deploy an image that cures it."
	case d.Kind == deploys.KindRestart:
		return "Roll back to the pods of before it, or deploy an image that cures it."
	}
	return "Roll back, which also marks " + code(d.To.Short()) + " as bad, or deploy an image that cures it."
}

// foot says who asked for it, where and when.
func (t telling) foot() string {
	d := t.deploy
	parts := []string{t.deployLink(d.ID, "Deploy")}
	switch {
	case d.Automatic():
		parts = append(parts, "begun by the portal itself, "+when(d.Created)+", in answer to "+t.deployLink(d.RollbackOf, "deploy"))
	default:
		parts = append(parts, fmt.Sprintf("asked for by %s %s, %s", t.voice.text(d.ActorName, 100), text(deploys.Door(d.Source), 60), when(d.Created)))
	}
	if d.Kind != deploys.KindRestart && d.Kind != deploys.KindAdopt {
		parts = append(parts, "from "+code(d.From.Short()))
	}
	if d.Replaces != 0 {
		parts = append(parts, "took the place of "+t.deployLink(d.Replaces, "deploy"))
	}
	if d.Reason != "" {
		parts = append(parts, "“"+t.voice.text(d.Reason, 300)+"”")
	}
	return strings.Join(parts, ", ")
}

func (t telling) deployLink(id int64, word string) string {
	return linked(t.at.deploy(id), fmt.Sprintf("%s %d", word, id))
}

// buttons are what can be done about a deploy that failed, as on its page. Roll back is answered with a plan, so nothing happens
// by one press.
func (t telling) buttons() (out []api.BlockElement) {
	d := t.deploy
	if d.Status != deploys.Failed && d.Status != deploys.Errored {
		return nil
	}
	if d.Status == deploys.Failed && d.Kind != deploys.KindRollback && !t.answered && t.back != "" {
		out = append(out, api.NewButtonBlockElement(actionRollback, strconv.FormatInt(d.ID, 10), plainText("Roll back to "+t.back, 75)).WithStyle(api.StyleDanger))
	}
	if url := t.at.deploy(d.ID); url != "" {
		out = append(out, openButton(url, "Open"))
	}
	return out
}

// took is how long something took, in at most two units.
func took(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	two := func(a int64, unit string, b int64, unit2 string) string {
		if b == 0 {
			return fmt.Sprintf("%d %s", a, unit)
		}
		return fmt.Sprintf("%d %s %d %s", a, unit, b, unit2)
	}
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return two(s/60, "min", s%60, "s")
	}
	return two(s/3600, "h", s%3600/60, "min")
}
