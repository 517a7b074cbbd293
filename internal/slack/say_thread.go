package slack

import (
	"fmt"
	"slices"
	"strings"

	api "github.com/slack-go/slack"

	"deployportal/internal/deploys"
)

// What the thread of a deploy holds at most, in characters: Slack takes some 11,000 of one message.
const (
	mostTimeline  = 8000
	mostLog       = 3500
	shownEvidence = 10
	shownLog      = 10
)

// sayDetails is what stands in the thread of a deploy that has ended: how it went, and what shows why it failed.
func sayDetails(t telling, events []deploys.Event) []Message {
	rows, earlier := t.timeline(events)
	m := Message{Text: fmt.Sprintf("How deploy %d went.", t.deploy.ID)}
	m.Blocks = append(m.Blocks, lines(append([]string{"*What happened* (UTC)"}, rows...), 4)...)
	if earlier > 0 {
		m.Blocks = append(m.Blocks, note(fmt.Sprintf("%s before that, on the page of %s.", plural(earlier, "event"), t.deployLink(t.deploy.ID, "deploy"))))
	}
	if shows := t.evidence(); len(shows) > 0 {
		return []Message{m, {Text: fmt.Sprintf("What shows why deploy %d failed.", t.deploy.ID), Blocks: shows}}
	}
	return []Message{m}
}

// evidence is what shows why a deploy failed.
func (t telling) evidence() (out []api.Block) {
	c := t.deploy.Cause
	if c == nil {
		return nil
	}
	var shows, differs, log []string
	for _, e := range c.Evidence {
		switch {
		case e.Kind == deploys.FromLog:
			log = append(log, strings.ReplaceAll(t.voice.text(e.Text, 250), "```", "'''"))
		case e.Kind == deploys.FromTemplate:
			differs = append(differs, "• "+t.voice.text(e.Text, 300))
		case !t.voice.logs && e.Kind == deploys.FromCluster && strings.HasPrefix(e.Text, endedEvidence):
			// a container's last message may be the end of its log
		default:
			at := ""
			if !e.At.IsZero() {
				at = "`" + e.At.UTC().Format("15:04:05") + "` "
			}
			shows = append(shows, "• "+at+string(e.Kind)+": "+t.voice.text(e.Text, 300))
		}
	}
	part := func(title string, rows []string) {
		if len(rows) > 0 {
			out = append(out, lines(append([]string{"*" + title + "*"}, rows[:min(len(rows), shownEvidence)]...), 1)...)
		}
	}
	part("What shows it", shows)
	part("Not as in the last good deploy", differs)
	if t.voice.logs {
		out = append(out, fenced("Last lines of the log", newest(log[max(0, len(log)-shownLog):], mostLog))...)
	}
	return out
}

// newest leaves the last of some lines, so many that they are not longer than most together.
func newest(rows []string, most int) []string {
	for i, row := range slices.Backward(rows) {
		if most -= len(row) + 1; most < 0 {
			return rows[i+1:]
		}
	}
	return rows
}

// fenced sets lines of a log apart, in as many sections as they need.
func fenced(title string, log []string) (out []api.Block) {
	head := "*" + title + "*\n"
	for part := ""; len(log) > 0; head, part = "", "" {
		for len(log) > 0 && len(head)+len(part)+len(log[0]) < mostText {
			part, log = part+log[0]+"\n", log[1:]
		}
		out = append(out, section(head+"```\n"+part+"```"))
	}
	return out
}

// timeline is the newest events, oldest first, and how many are left out.
func (t telling) timeline(events []deploys.Event) (rows []string, earlier int) {
	for _, e := range events {
		if e.Text != "" {
			rows = append(rows, fmt.Sprintf("`%s` %s", e.At.UTC().Format("15:04:05"), t.voice.text(e.Text, 300)))
		}
	}
	shown := newest(rows, mostTimeline)
	return shown, len(rows) - len(shown)
}
