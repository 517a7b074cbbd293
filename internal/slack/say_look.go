package slack

import (
	"fmt"
	"slices"
	"strings"
	"time"

	api "github.com/slack-go/slack"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// images is what a list says.
type images struct {
	app   deploys.App
	envs  []string
	list  deploys.List
	runs  map[string][]string // tag -> environments
	marks deploys.Marks
	voice voice // of no environment: an image is the same in all
	about deploys.About
}

const mostImages = 15

// sayImages lists what can be deployed of an app.
func sayImages(l images, at links) Message {
	head := "Images of " + l.app.App
	m := Message{Text: text(head, 150), Blocks: []api.Block{header(head)}}
	if l.list.Err != nil {
		m.Blocks = append(m.Blocks, section("*Not known:* "+text(errs.Public(l.list.Err), 500)+seenAt(l.list.Fetched)))
	}
	var all []string
	for _, img := range l.list.Images[:min(len(l.list.Images), mostImages)] {
		all = append(all, l.line(img))
	}
	if len(all) == 0 && l.list.Err == nil {
		all = []string{"There are none in the registry."}
	}
	m.Blocks = append(m.Blocks, lines(all, 4)...)
	var how []string
	if more := len(l.list.Images) - mostImages; more > 0 {
		how = append(how, fmt.Sprintf("%d older", more))
	}
	if len(l.list.Images) > 0 {
		how = append(how, "Deploy one: `/deploy "+text(l.app.App, 60)+" SHA to "+text(l.envs[0], 60)+"`")
	}
	if url := at.app(l.app.Target); url != "" {
		how = append(how, linked(url, "Open in the portal"))
	}
	if len(how) > 0 {
		m.Blocks = append(m.Blocks, note(strings.Join(how, " · ")))
	}
	return m
}

func seenAt(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " What follows was read " + when(t) + "."
}

var ciWords = map[deploys.CIState]string{deploys.CISuccess: "CI passed", deploys.CIFailure: "CI failed", deploys.CIPending: "CI running", deploys.CINone: "no CI"}

func (l images) line(img deploys.Listed) string {
	parts := []string{"• " + code(deploys.ShortTag(img.Tag)) + " " + subject(img.Commit)}
	if !img.Pushed.IsZero() {
		parts = append(parts, "pushed "+when(img.Pushed))
	}
	if ci, ok := l.about.CI[img.Tag]; ok && ciWords[ci.State] != "" {
		parts = append(parts, ciWords[ci.State])
	}
	if envs := l.runs[img.Tag]; len(envs) > 0 {
		parts = append(parts, "*runs in "+text(listed(envs, "and"), 200)+"*")
	}
	if mark := l.marks.Of(deploys.Version{Repository: l.app.Repository, Tag: img.Tag}); mark != nil {
		parts = append(parts, "*marked as bad:* “"+l.voice.text(mark.Reason, 100)+"”")
	}
	return strings.Join(parts, " · ")
}

var (
	healthWords = map[deploys.Health]string{deploys.Healthy: "healthy", deploys.Progressing: "progressing", deploys.Degraded: "degraded"}
	statusWords = map[deploys.Status]string{deploys.Pending: "pending", deploys.Running: "rolling out", deploys.Succeeded: "succeeded",
		deploys.Failed: "failed", deploys.Errored: "errored", deploys.Superseded: "superseded"}
)

// sayStatus says what runs where.
func sayStatus(known []facts, at links) Message {
	head := "What runs"
	if len(known) == 1 {
		head = "Status of " + known[0].app.String()
	}
	m := Message{Text: text(head, 150), Blocks: []api.Block{header(head)}}
	var all []string
	for _, f := range known {
		all = append(all, statusLine(f, at))
	}
	if len(all) == 0 {
		all = []string{"The portal knows no apps yet."}
	}
	m.Blocks = append(m.Blocks, lines(all, 10)...)
	return m
}

func statusLine(f facts, at links) string {
	name := "*" + linked(at.app(f.app.Target), text(f.app.String(), 120)) + "*"
	var b strings.Builder
	switch {
	case f.trouble == nil && !f.rollout.Exists:
		fmt.Fprintf(&b, "%s: there is no Deployment %s", name, text(f.app.Workload, 120))
	case f.trouble != nil && f.running.Short() == "unknown":
		fmt.Fprintf(&b, "%s: not known", name)
	case f.trouble != nil:
		fmt.Fprintf(&b, "%s: ran %s when last seen", name, code(f.running.Short()))
	default:
		fmt.Fprintf(&b, "%s runs %s, %s", name, code(f.running.Short()), health(f.rollout))
	}
	if who, since := f.by(); who != "" && f.trouble == nil {
		fmt.Fprintf(&b, ", since %s by %s", when(since), text(who, 80))
	}
	b.WriteByte('.')
	if f.trouble != nil {
		b.WriteString(" " + text(errs.Public(f.trouble), 300))
	}
	if a := f.active; a != nil {
		fmt.Fprintf(&b, "\n    %s to %s by %s is %s.", linked(at.deploy(a.ID), fmt.Sprintf("Deploy %d", a.ID)), code(a.To.Short()), text(a.ActorName, 60), statusWords[a.Status])
	}
	for _, l := range f.locks {
		b.WriteString("\n    " + text(l.Says(), 700))
	}
	return b.String()
}

func health(r deploys.Rollout) string {
	word := healthWords[deploys.HealthOf(r)]
	if word == "" {
		word = "health not known"
	}
	if r.Desired == 0 {
		return word + ", scaled to zero"
	}
	return fmt.Sprintf("%s, %d of %d ready", word, r.Ready, r.Desired)
}

// sayLog lists the last deploys of an app; voices has the voice of each environment.
func sayLog(apps []deploys.App, past []deploys.Deploy, voices func(env string) voice, at links) Message {
	head := "Last deploys"
	if names := names(apps); len(names) == 1 {
		head = "Last deploys of " + names[0]
	}
	if len(apps) == 1 {
		head = "Last deploys of " + apps[0].String()
	}
	m := Message{Text: text(head, 150), Blocks: []api.Block{header(head)}}
	var all []string
	for _, d := range past {
		all = append(all, logLine(d, voices(d.Target.Env), at))
	}
	if len(all) == 0 {
		all = []string{"There were none."}
	}
	m.Blocks = append(m.Blocks, lines(all, 4)...)
	return m
}

func logLine(d deploys.Deploy, v voice, at links) string {
	what := map[deploys.Kind]string{deploys.KindRollback: "back to ", deploys.KindRestart: "restart of ", deploys.KindAdopt: "adopted "}[d.Kind]
	by := text(d.ActorName, 60)
	if d.Automatic() {
		by = "the portal itself"
	}
	line := fmt.Sprintf("• %s, %s: %s%s, *%s* · %s · %s", linked(at.deploy(d.ID), fmt.Sprintf("Deploy %d", d.ID)), text(d.Target.String(), 120), what,
		code(d.To.Short()), statusWords[d.Status], by, when(d.Created))
	if d.Sentence != "" {
		line += "\n    " + v.text(d.Sentence, 300)
	}
	return line
}

func names(apps []deploys.App) (out []string) {
	for _, a := range apps {
		if !slices.Contains(out, a.App) {
			out = append(out, a.App)
		}
	}
	return out
}

// sayHome says what can be deployed, and how.
func sayHome(apps []deploys.App) Message {
	if len(apps) == 0 {
		return sayWords("The portal knows no apps yet. Its configuration names them, or its cluster cannot be reached.")
	}
	envs := map[string][]string{}
	for _, a := range apps {
		envs[a.App] = append(envs[a.App], a.Env)
	}
	var all []string
	for _, name := range names(apps) {
		all = append(all, "• *"+text(name, 60)+"* in "+text(listed(envs[name], "and"), 200))
	}
	first := text(apps[0].App, 60)
	m := Message{Text: "What can be deployed", Blocks: []api.Block{header("What can be deployed")}}
	m.Blocks = append(m.Blocks, lines(all, 6)...)
	how := fmt.Sprintf("`/deploy list %s` shows its images, `/deploy %s SHA to %s` plans a deploy, `/deploy help` tells the rest.", first, first, text(apps[0].Env, 60))
	m.Blocks = append(m.Blocks, section(how))
	return m
}

// sayHelp says how commands are written.
func sayHelp() Message {
	const how = "`/deploy api abc123 to prod` plans a deploy; you press the button. The first 4 characters of a SHA are enough.\n" +
		"`/deploy rollback api in prod` plans the way back to what ran well; name a SHA to go further back.\n" +
		"`/deploy list api` lists its images, `/deploy log api` its last deploys.\n" +
		"`/deploy status` says what runs; `/deploy status api` says it of one app.\n" +
		"`/deploy lock api in prod for 2h REASON` closes it to deploys, `/deploy unlock api in prod` opens it again.\n" +
		"`/deploy link CODE` links you to your account in the portal, which shows you the code; `/deploy unlink` ends that."
	const more = "Leave out “to prod” where the app is in one environment only. A reason goes last: `because ...`; a rollback passes a lock with it. " +
		"An app that is called like one of these words: `/deploy deploy list abc123`."
	return Message{Text: "How to use /deploy", Blocks: []api.Block{header("How to use /deploy"), section(how), note(more)}}
}
