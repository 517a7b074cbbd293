package story_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/slack/slacktest"
)

// TestSlackTrouble: Slack asks to wait, a person deletes the message, a channel is archived, Slack is away. What the message
// says in the end is right.
func TestSlackTrouble(t *testing.T) {
	t.Parallel()
	w := newWorld(t, inSlack(overHTTP, ", confirm: true"))
	o := w.slack
	o.links(o.ana, w.ana)
	w.scene(t, "asked to wait", o.waits)
	w.scene(t, "message deleted", o.loses)
	w.scene(t, "channel archived", o.moves)
	w.scene(t, "Slack away", o.waitsForSlack)
	w.whole()
}

// TestSlackRights: people press what is not theirs, or what they may no more, and nothing is deployed that should not be; and
// what may be told of a log is told.
func TestSlackRights(t *testing.T) {
	t.Parallel()
	w := newWorld(t, inSlack(overHTTP, ", logs: true, confirm: true"))
	o := w.slack
	w.gate.says(logLines)
	o.links(o.ana, w.ana)
	dan := w.signIn("dan", passwordOfDan)
	o.links(o.dan, dan)
	w.scene(t, "strangers", o.refuses)
	w.scene(t, "rights", func() { o.asksAgain(dan) })
	w.scene(t, "log lines", o.quotes)
	w.whole()
}

// started asks for a tag and presses the button; the deploy has begun and its message stands.
func (o *office) started(channel, tag string, n int) (id int64, m slacktest.Message) {
	o.w.t.Helper()
	plan := o.types(o.ana, channel, "api "+tag)
	if b := plan.Button("deploy"); b == nil || !b.Confirms {
		o.w.t.Fatalf("the plan has no button that asks once more:\n%s", plan.Seen())
	}
	id = int64(o.w.count(`SELECT count(*) FROM deploys`)) + 1
	o.says(o.presses(o.ana, plan, "deploy"), fmt.Sprintf("Deploy %d of api", id))
	return id, o.becomes(channel, n, "api to `"+tag+"` in prod")
}

// waits: Slack takes no edit for a while; none is sent before it is over, and then the end is said.
func (o *office) waits() {
	const wait = 5 * time.Second
	o.Limit("chat.update", wait)
	began := time.Now()
	id, m := o.started(talk, v2, 1)
	o.w.over(id, "succeeded", "1 of 1 pod runs "+v2)
	if got := o.becomes(talk, 1, "Succeeded"); got.TS != m.TS {
		o.w.t.Errorf("the message was posted anew")
	}
	told := 0
	for _, c := range o.Calls() {
		switch {
		case c.Method == "chat.update" && c.Error == "429":
			told++
		case c.Method == "chat.update" && c.At.Before(began.Add(wait)):
			o.w.t.Errorf("edited %s after Slack asked to wait %s: %+v", c.At.Sub(began), wait, c)
		}
	}
	if told != 1 {
		o.w.t.Errorf("Slack had to say %d times that it is to be waited", told)
	}
}

// loses: who deletes the message does not want it; its end is said all the same, once.
func (o *office) loses() {
	id, m := o.started(talk, v3, 2)
	o.Delete(m)
	o.w.over(id, "succeeded", "1 of 1 pod runs "+v3)
	if got := o.becomes(talk, 2, "Succeeded"); got.TS == m.TS || !strings.Contains(got.Seen(), v3) {
		o.w.t.Errorf("the end is not said anew:\n%s", got.Seen())
	}
}

// moves: a channel that takes nothing any more is left for that of the environment.
func (o *office) moves() {
	const closing = "C0CLOSING"
	o.Create(closing)
	plan := o.types(o.ana, closing, "api "+v2)
	o.Archive(closing)
	o.presses(o.ana, plan, "deploy")
	o.says(o.becomes(board, 1, "Succeeded"), "api to `"+v2+"` in prod", "asked for by ana in Slack")
	if all := o.public(closing); len(all) > 0 {
		o.w.t.Errorf("an archived channel has %s", all[0].Seen())
	}
}

// waitsForSlack: a deploy does not wait for Slack; what became of it is said once Slack is there again.
func (o *office) waitsForSlack() {
	o.SetDown(true)
	id := o.w.ana.deploy(v3)
	o.w.over(id, "succeeded", "1 of 1 pod runs "+v3)
	o.SetDown(false)
	o.says(o.becomes(board, 2, "Succeeded"), "api to `"+v3+"` in prod", "asked for by ana in the browser")
	o.w.over(o.w.ana.deploy(v2), "succeeded", "1 of 1 pod runs "+v2)
	o.becomes(board, 3, "Succeeded")
}

// refuses: a plan is its asker's alone, and nobody of another workspace is answered anything.
func (o *office) refuses() {
	deploys := o.w.count(`SELECT count(*) FROM deploys`)
	plan := o.types(o.ana, talk, "api "+v3)
	button := *plan.Button("deploy")
	o.says(o.sends(o.dan, plan, button), "somebody else's")
	o.says(o.sends(o.vic, plan, button), "Link yourself to your account first")
	if e := o.entry(audit.SlackRefused); e.Actor.Addr != o.addr(o.vic, talk) || e.Subject != "press deploy" {
		o.w.t.Errorf("the entry: %+v", e)
	}
	eve := slacktest.User{ID: "U0EVE", Name: "eve", Team: "T0ELSEWHERE"}
	for _, words := range []string{"status", "list api", "api " + v3, "link 00000-00000", "help"} {
		o.says(o.types(eve, talk, words), "This portal answers only people of the workspace that it was set up for.")
	}
	o.says(o.sends(eve, plan, button), "This portal answers only people of the workspace that it was set up for.")
	if n := o.w.count(`SELECT count(*) FROM audit_entries WHERE action = ? AND addr = ? AND subject = 'press deploy'`, audit.SlackRefused, o.addr(eve, talk)); n != 1 {
		o.w.t.Errorf("%d entries of the stranger's press", n)
	}
	if n := o.w.count(`SELECT count(*) FROM deploys`); n != deploys {
		o.w.t.Errorf("%d deploys, want %d", n, deploys)
	}
	o.says(o.presses(o.ana, plan, "cancel"), "Cancelled. Nothing was sent.") // it still stood
	o.says(o.sends(o.ana, plan, button), "This plan is over")
}

// asksAgain: the rights that count are those of the moment. dan may deploy in staging alone, then in prod; he is disabled
// between his plan and his press, then may no more.
func (o *office) asksAgain(dan *browser) {
	if plan := o.types(o.dan, talk, "api "+v3); plan.Button("deploy") != nil {
		o.w.t.Errorf("dan has a button:\n%s", plan.Seen())
	}
	o.says(o.types(o.dan, talk, "lock api because"), "may not")
	o.user("role", "dan", "--role=deployer", "--env=prod")
	plan := o.types(o.dan, talk, "api "+v3)
	o.user("disable", "dan")
	o.says(o.presses(o.dan, plan, "deploy"), "The account dan is disabled.")
	o.says(o.types(o.dan, talk, "unlock api"), "The account dan is disabled.")
	o.user("enable", "dan")
	o.user("role", "dan", "--role=viewer")
	o.says(o.sends(o.dan, plan, *plan.Button("deploy")), "may not")
	o.w.rejected("")
	if p := o.w.ana.send(http.MethodPost, "/people/dan/unlink", url.Values{}); p.status != http.StatusSeeOther {
		o.w.t.Errorf("ana cannot unlink dan: %d %s", p.status, p.text("main"))
	}
	o.says(o.types(o.dan, talk, "unlink"), "You are linked to no account.")
	dan.cookie = o.w.signIn("dan", passwordOfDan).cookie
	dan.get("/account").says(200, "main", "Show a code")
}

// user changes an account on the command line.
func (o *office) user(args ...string) {
	o.w.t.Helper()
	if _, errOut, code := portal(o.w.t, "", append([]string{"--database", o.w.path("portal.db"), "user"}, args...)...); code != 0 {
		o.w.t.Fatalf("portal user %q: %d %s", args, code, errOut)
	}
}

// quotes: where the environment lets it, the last lines of the log stand in the thread, without what is to be masked.
func (o *office) quotes() {
	n := len(o.public(talk)) + 1
	_, _ = o.started(talk, crashes, n)
	m := o.says(o.becomes(talk, n, "Failed"), strings.TrimSpace(crashed))
	thread := o.threaded(m, "*Last lines of the log*")
	for _, want := range []string{"boot: reading the configuration", "postgres://•••@db/api", "token •••"} {
		if !strings.Contains(thread, want) {
			o.w.t.Errorf("the thread does not say %q:\n%s", want, thread)
		}
	}
}

// TestSlackAnswersFailures: what the portal does by itself stands in the channel too, and its deploys name each other.
func TestSlackAnswersFailures(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.failure = "rollback" }, inSlack(overHTTP, ""))
	o := w.slack
	o.links(o.ana, w.ana)
	o.presses(o.ana, o.types(o.ana, talk, "api bad0"), "deploy")
	w.over(1, "failed", crashed)
	w.over(2, "succeeded", "1 of 1 pod runs "+v1)
	w.until("both messages to say the end", func() bool {
		all := o.public(talk)
		return len(all) == 2 && strings.Contains(all[0].Seen(), "has rolled it back to `"+v1+"`") && strings.Contains(all[1].Seen(), "Succeeded")
	})
	all := o.public(talk)
	o.says(all[0], "*Failed:* api to `"+crashes+"` in prod", "<"+publicURL+"/deploys/2|Deploy 2> has rolled it back")
	o.says(all[1], "*Succeeded:* api back to `"+v1+"` in prod", "in answer to <"+publicURL+"/deploys/1|deploy 1>")
	if all[0].Button("rollback") != nil {
		t.Error("what is rolled back already has a button for it")
	}
	o.says(o.types(o.ana, talk, "api bad0"), "*In the way:* "+crashes+" was marked as bad by portal:auto")
	if n := len(o.public(board)); n != 0 {
		t.Errorf("%d messages in the environment's channel, want none: it was asked for elsewhere", n)
	}
	w.whole()
}

// TestSlackContention: one command, a hundred times at once, is one plan; its button, pressed a hundred times at once, is
// one deploy with one message.
func TestSlackContention(t *testing.T) {
	t.Parallel()
	const copies = 100
	w := newWorld(t, inSlack(overHTTP, ""))
	o := w.slack
	o.links(o.ana, w.ana)
	before := len(o.mine(o.ana, talk))
	o.crowd(copies, func(int) slacktest.Request { return o.Command(o.ana, talk, "/deploy", "api "+v2) })
	var plans []slacktest.Message // and what the retries were answered with, which Slack would have shown nobody
	w.until("every copy to be answered", func() bool {
		plans = slices.DeleteFunc(o.mine(o.ana, talk)[before:], func(p slacktest.Message) bool { return p.Button("deploy") == nil })
		return len(plans) >= copies/2
	})
	ids := map[string]bool{}
	for _, p := range plans {
		ids[p.Button("deploy").Value] = true
	}
	if len(ids) != 1 {
		t.Fatalf("%d plans, want one", len(ids))
	}
	o.crowd(copies, func(i int) slacktest.Request { return o.Press(o.ana, plans[i], *plans[i].Button("deploy")) })
	w.until("a press to begin the deploy", func() bool { return w.count(`SELECT count(*) FROM deploys`) > 0 }) // its answer comes before that
	w.over(1, "succeeded", "1 of 1 pod runs "+v2)
	o.becomes(talk, 1, "Succeeded")
	if n := w.count(`SELECT count(*) FROM deploys`); n != 1 || len(w.gate.patches()) != 1 || len(o.public(board)) != 0 {
		t.Errorf("%d deploys, %d patches, %d more messages; want one, one, none", n, len(w.gate.patches()), len(o.public(board)))
	}
	w.until("every press to be answered", func() bool { return o.responses() >= copies/2 })
	said := map[string]string{}
	for _, m := range o.mine(o.ana, talk) {
		said[m.TS] = m.Seen()
	}
	for _, p := range plans[:copies/2] {
		if !strings.Contains(said[p.TS], "Deploy 1 of api in prod") {
			t.Errorf("a press is answered with %s", said[p.TS])
		}
	}
	w.whole()
}

// crowd sends so many requests at once, every other one as Slack's retry of the one before it.
func (o *office) crowd(copies int, request func(i int) slacktest.Request) {
	o.w.t.Helper()
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range copies / 2 {
		r := request(i)
		all.Go(func() {
			<-start
			for retry := range 2 {
				if a := o.Send(o.w.t.Context(), r, retry); a.Err != "" || a.Status != http.StatusOK {
					o.w.t.Errorf("try %d: %+v", retry, a)
				}
			}
		})
	}
	close(start)
	all.Wait()
}
