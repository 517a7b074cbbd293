package slack

import (
	"fmt"
	"strings"

	api "github.com/slack-go/slack"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// saySorry says why something is not done, and what the log knows it by.
func saySorry(err error, request string) Message {
	words := text(errs.Public(err), 2000)
	return Message{Text: words, Blocks: []api.Block{section(words), note("Request " + code(request))}}
}

// sayLooking says that an answer is coming.
func sayLooking(typed string) Message {
	c, err := parse(typed)
	switch {
	case err != nil || c.app == "":
		return sayWords("Looking ...")
	case c.env == "":
		return sayWords("Looking at " + text(c.app, 60) + " ...")
	}
	return sayWords("Looking at " + text(c.app, 60) + " in " + text(c.env, 60) + " ...")
}

const (
	mostChoices = 10
	mostCommits = 5
)

// sayChoices lists the images that the start of a SHA names.
func sayChoices(app deploys.App, a ambiguous) Message {
	head := fmt.Sprintf("%s names %s of %s. Give more of it.", code(a.typed), plural(len(a.list), "image"), text(app.App, 60))
	var all []string
	for i, img := range a.list {
		if i == mostChoices {
			all = append(all, fmt.Sprintf("and %d more", len(a.list)-i))
			break
		}
		all = append(all, "• "+code(img.Tag)+" "+subject(img.Commit))
	}
	return Message{Text: head, Blocks: append([]api.Block{section(head)}, lines(all, 3)...)}
}

func subject(c deploys.Commit) string {
	if c.Subject == "" {
		return "_commit not known_"
	}
	return text(c.Subject, 120)
}

// sayPlan is what somebody is shown before a deploy or a rollback.
func sayPlan(o offer, at links) Message {
	t, short := o.app.Target, o.to.Short()
	head := fmt.Sprintf("Deploy %s to %s", short, t)
	if o.isBack() {
		head = fmt.Sprintf("Roll back %s to %s", t, short)
	}
	m := Message{Text: text(head, 150), Blocks: []api.Block{header(head)}}
	add := func(b ...api.Block) { m.Blocks = append(m.Blocks, b...) }

	add(lines(append(planWay(o), planCommits(o)...), 2)...)
	if against := planAgainst(o); len(against) > 0 {
		add(lines(against, 3)...)
	}
	if o.only != "" {
		add(section(text(o.only, 500)))
	}
	if buttons := planButtons(o, at); len(buttons) > 0 {
		add(api.NewActionBlock("", buttons...))
	}
	add(note(planFoot(o)))
	return m
}

// planWay says from where to where it goes.
func planWay(o offer) []string {
	from := code(o.running.Short())
	if len(o.running.Images) == 0 && o.running.Tag == "" {
		from = "nothing known"
	}
	way := from + " → " + code(o.to.Short())
	if o.commit.Subject != "" {
		way += " " + subject(o.commit)
		if o.commit.Author != "" {
			way += " _by " + text(o.commit.Author, 60) + "_"
		}
	}
	out := []string{way}
	if o.request.Reason != "" {
		out = append(out, "Reason: "+text(o.request.Reason, 300))
	}
	if o.bad != "" {
		out = append(out, fmt.Sprintf("It also marks %s as bad: %s.", code(o.running.Short()), strings.TrimSuffix(text(o.bad, 300), ".")))
	}
	return out
}

// planCommits says which commits come and go.
func planCommits(o offer) []string {
	if o.unread != "" {
		return []string{text(o.unread, 400)}
	}
	var out []string
	if r := o.between; r.Total > 0 {
		out = append(out, "It brings "+plural(r.Total, "commit")+":")
		out = append(out, commits(r.Ahead, r.Total)...)
	}
	if r := o.between; r.Behind > 0 {
		out = append(out, "It takes away "+plural(r.Behind, "commit")+" that "+isAre(r.Behind)+" running now:")
		out = append(out, commits(r.Lost, r.Behind)...)
	}
	if len(out) == 0 {
		out = append(out, "Both are the same commit.")
	}
	return out
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

func commits(list []deploys.Commit, total int) (out []string) {
	for _, c := range list[:min(len(list), mostCommits)] {
		out = append(out, "• "+code(deploys.ShortTag(c.SHA))+" "+subject(c))
	}
	if total > len(out) {
		out = append(out, fmt.Sprintf("and %d more", total-len(out)))
	}
	return out
}

// told are the checks whose passing is worth a line; of the others only the number is said.
var told = map[string]bool{"ci": true, "migrations": true}

// planAgainst says what stands against it, what to beware of, what is not known, and what is well.
func planAgainst(o offer) (out []string) {
	for _, c := range o.closed {
		out = append(out, "*In the way:* "+withFix(c.sentence, c.fix))
	}
	passed := 0
	for _, c := range o.checks {
		switch c.Finding {
		case deploys.Warn:
			out = append(out, "*Warning:* "+withFix(c.Sentence, c.Fix))
		case deploys.NotChecked:
			out = append(out, "*Not known:* "+text(c.Sentence, 300))
		case deploys.Pass:
			if passed++; told[c.Name] {
				out = append(out, "*Fine:* "+text(c.Sentence, 300))
				passed--
			}
		}
	}
	if o.isBack() {
		for _, l := range o.locks {
			if o.request.Reason != "" {
				out = append(out, "*Locked:* "+withFix(l.Says(), "A rollback passes it with your reason."))
			}
		}
	}
	if o.mark != nil && o.request.Reason != "" {
		out = append(out, "*Warning:* "+withFix(o.mark.Says(), "It is brought all the same, for your reason."))
	}
	if passed > 0 {
		out = append(out, plural(passed, "more check")+" passed.")
	}
	return out
}

func withFix(sentence, fix string) string {
	return text(strings.TrimSpace(sentence+" "+fix), 600)
}

func planButtons(o offer, at links) (out []api.BlockElement) {
	if o.plan != "" {
		words, title := "Deploy", fmt.Sprintf("Deploy to %s?", o.app.Env)
		if o.isBack() {
			words, title = "Roll back", fmt.Sprintf("Roll back in %s?", o.app.Env)
		}
		act := api.NewButtonBlockElement(actionDeploy, o.plan, plainText(words, 75)).WithStyle(api.StylePrimary)
		if o.env.Confirm {
			does := fmt.Sprintf("%s goes from %s to %s.", o.app.Target, o.running.Short(), o.to.Short())
			act = act.WithConfirm(api.NewConfirmationBlockObject(plainText(title, 100), plainText(does, 300), plainText(words, 30), plainText("Not now", 30)))
		}
		out = append(out, act, api.NewButtonBlockElement(actionCancel, o.plan, plainText("Cancel", 75)))
	}
	switch {
	case at == "":
	case o.active != nil:
		out = append(out, openButton(at.deploy(o.active.ID), fmt.Sprintf("Open deploy %d", o.active.ID)))
	default:
		out = append(out, openButton(at.confirm(o.request), "Open in the portal"))
	}
	return out
}

// planFoot says who asks, and how long the button is good.
func planFoot(o offer) string {
	switch {
	case o.plan != "":
		return fmt.Sprintf("You are *%s* in the portal. Only you can press this, once, until %s.", text(o.asker, 60), when(o.expires))
	case o.asker != "":
		return fmt.Sprintf("You are *%s* in the portal. There is no button; the reason stands above.", text(o.asker, 60))
	}
	return "You may look at everything here. There is no button; the reason stands above."
}

// sayBegun takes the place of a plan that was pressed.
func sayBegun(d deploys.Deploy, at links) Message {
	what := fmt.Sprintf("Deploy %d of %s to %s", d.ID, text(d.Target.String(), 120), code(d.To.Short()))
	if d.Kind == deploys.KindRollback {
		what = fmt.Sprintf("Deploy %d, the rollback of %s to %s,", d.ID, text(d.Target.String(), 120), code(d.To.Short()))
	}
	words := what + " has begun."
	if url := at.deploy(d.ID); url != "" {
		words += " " + linked(url, "Open")
	}
	return sayWords(words)
}
