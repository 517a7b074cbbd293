package story_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"deployportal/internal/audit"
)

// logLines is what every container says that crashes; the last two must be told nowhere as they are.
const logLines = "boot: reading the configuration\npanic: cannot connect to postgres://api:canary-url-password@db/api\ntoken canary-masked-line\n"

// TestSlackJourney: from the code on the account page to a deploy, its failure and the way back, all of it typed and pressed.
func TestSlackJourney(t *testing.T) {
	t.Parallel()
	plays(t, func(t *testing.T, transport string) {
		w := newWorld(t, inSlack(transport, ""))
		o := w.slack
		o.connected()
		w.gate.says(logLines)
		w.scene(t, "look", o.looks)
		w.scene(t, "link", func() {
			o.links(o.ana, w.ana)
			w.ana.get("/account").says(200, "main", "You are U0ANA of the workspace "+o.Team)
			if e := o.entry(audit.SlackLinked); e.Actor.Name != "ana" || e.Actor.Source != "slack" || e.Actor.Addr != o.addr(o.ana, talk) {
				t.Errorf("the entry: %+v", e)
			}
		})
		w.scene(t, "deploy", o.deploys)
		w.scene(t, "browser", o.announces)
		w.scene(t, "fail and go back", o.fails)
		w.scene(t, "lock", o.locks)
		w.scene(t, "killed in mid-rollout", o.survives)
		w.scene(t, "forged", func() { o.forged(transport) })
		if transport == overSocket {
			w.scene(t, "connection lost", o.reconnects)
		}
		w.scene(t, "unlink", o.leaves)
		w.whole()
	})
}

// looks: who is not linked may look, and is told how to act.
func (o *office) looks() {
	o.says(o.types(o.ana, talk, ""), "*api* in prod", "/deploy help")
	o.says(o.types(o.ana, talk, "help"), "/deploy rollback api")
	o.w.until("the list to have the images", func() bool {
		return strings.Contains(o.types(o.ana, talk, "list api").Seen(), "`"+v2+"`")
	})
	o.says(o.types(o.ana, talk, "status"), "*"+"<"+publicURL+"/apps/prod/api|api in prod>* runs `"+v1+"`, healthy, 1 of 1 ready")
	o.says(o.types(o.ana, talk, "apo b2b2"), "There is no app apo. Did you mean api?")
	plan := o.says(o.types(o.ana, talk, "api b2b2"), "`"+v1+"` → `"+v2+"`", "Link yourself to your account first")
	if plan.Button("deploy") != nil {
		o.w.t.Error("who is not linked has a button")
	}
}

// deploys: a plan that its asker alone sees, and one message in the channel, edited until it says the end.
func (o *office) deploys() {
	plan := o.says(o.types(o.ana, talk, "api b2b2"), "Deploy "+v2+" to api in prod", "`"+v1+"` → `"+v2+"` Answer &lt;!channel&gt; faster", "It brings 1 commit", "*Fine:* ", "You are *ana* in the portal.")
	if again := o.types(o.ana, talk, "api "+v2+" to prod"); again.Button("deploy").Value != plan.Button("deploy").Value {
		o.w.t.Error("the same, asked for once more, is another plan")
	}
	o.says(o.presses(o.ana, plan, "deploy"), "Deploy 1 of api in prod to `"+v2+"` has begun.")
	began := o.becomes(talk, 1, "api to `"+v2+"` in prod")
	m := o.says(o.becomes(talk, 1, "Succeeded"), "1 of 1 pod runs", "asked for by ana in Slack", "from `"+v1+"`")
	if m.TS != began.TS || len(m.Edits) == 0 {
		o.w.t.Errorf("the message is another than at first, or was never edited: %+v", m)
	}
	o.threaded(m, "*What happened*")
	o.w.over(1, "succeeded", "1 of 1 pod runs "+v2)
	o.w.runs(o.w.pinned(v2))
	asked := o.w.newest(audit.Filter{DeployID: 1})[1]
	if asked.Actor.Name != "ana" || asked.Actor.Source != "slack" || asked.Actor.Method != "slack link" || asked.Actor.Addr != o.addr(o.ana, talk) {
		o.w.t.Errorf("the entry: %+v", asked)
	}
	o.w.ana.get(fmt.Sprintf("/audit/%d", asked.Seq)).says(200, "main", o.addr(o.ana, talk))
	if all := o.public(board); len(all) != 0 {
		o.w.t.Errorf("it is told in the environment's channel too: %s", all[0].Seen())
	}
}

// announces: what begins in the browser is told in the channel of its environment.
func (o *office) announces() {
	id := o.w.ana.deploy(v3)
	o.says(o.becomes(board, 1, "Succeeded"), "api to `"+v3+"` in prod", "asked for by ana in the browser", fmt.Sprintf("%s/deploys/%d", publicURL, id))
	if n := len(o.public(talk)); n != 1 {
		o.w.t.Errorf("%d messages where people talk, want the one of before", n)
	}
}

// fails: an image that crashes, its cause in words, and the way back by the button; no line of a log, for the environment
// does not let it.
func (o *office) fails() {
	o.presses(o.ana, o.types(o.ana, talk, "api bad0"), "deploy")
	m := o.says(o.becomes(talk, 2, "Failed"), strings.TrimSpace(crashed), "*Serving now:* 1 pod of `"+v3+"`", "Not rolled back by itself", "[Roll back to "+v3+"]", "[Open]")
	if all := m.Seen() + o.threaded(m, "*What happened*"); strings.Contains(all, "boot:") || strings.Contains(all, "panic:") {
		o.w.t.Errorf("what the container said is told:\n%s", all)
	}
	plan := o.says(o.presses(o.ana, m, "rollback"), "Roll back api in prod to "+v3, "`"+crashes+"` → `"+v3+"`", "It also marks `"+crashes+"` as bad: Deploy 3 failed: Crash loop.")
	o.says(o.presses(o.ana, plan, "deploy"), "the rollback of api in prod to `"+v3+"`, has begun.")
	o.says(o.becomes(talk, 3, "Succeeded"), "api back to `"+v3+"` in prod")
	o.w.runs(o.w.pinned(v3))
	o.w.until("the failure to say that it was rolled back", func() bool { return o.public(talk)[1].Button("rollback") == nil })
	o.says(o.types(o.ana, talk, "api bad0"), "*In the way:* "+crashes+" was marked as bad by ana")
	if n := o.w.count(`SELECT count(*) FROM deploys`); n != 4 {
		o.w.t.Errorf("%d deploys, want 4", n)
	}
	o.says(o.types(o.ana, talk, "log api"), "Deploy 4>, api in prod: back to `"+v3+"`, *succeeded*", "Deploy 3>, api in prod: `"+crashes+"`, *failed*")
}

// locks: what is locked is deployed to by nobody, and everybody is told why.
func (o *office) locks() {
	o.says(o.types(o.ana, talk, "lock api in prod for 2h the canary-lock audit"), "api in prod is locked by ana", "“the canary-lock audit”")
	o.w.ana.get("/").says(200, "#board-live", "the canary-lock audit")
	plan := o.says(o.types(o.ana, talk, "api "+v2), "*In the way:* api in prod is locked by ana")
	if plan.Button("deploy") != nil {
		o.w.t.Error("a plan that is locked out has a button")
	}
	if e := o.entry(audit.LockCreated); e.Actor.Source != "slack" || e.Actor.Addr != o.addr(o.ana, talk) {
		o.w.t.Errorf("the entry: %+v", e)
	}
	o.says(o.types(o.ana, talk, "unlock api"), "api in prod is unlocked.")
}

// survives: the portal is killed while its message says that the rollout goes on; the next one takes up the same message.
func (o *office) survives() {
	o.presses(o.ana, o.types(o.ana, talk, "api "+v2), "deploy")
	began := o.becomes(talk, 4, "api to `"+v2+"` in prod")
	o.w.until("the message to be known", func() bool {
		return o.w.count(`SELECT count(*) FROM slack_messages WHERE deploy_id = 5 AND ts <> ''`) == 1 && o.w.row(5).patched
	})
	o.w.kill()
	if r := o.w.row(5); r.over {
		o.w.t.Fatalf("deploy 5 was over before the kill: %+v", r)
	}
	o.w.start()
	o.connected()
	if m := o.becomes(talk, 4, "Succeeded"); m.TS != began.TS {
		o.w.t.Errorf("the message was posted anew: %s, then %s", began.TS, m.TS)
	}
	o.threaded(o.public(talk)[3], "*What happened*")
	o.w.over(5, "succeeded", "1 of 1 pod runs "+v2)
	o.w.seen()
}

// forged: who cannot sign is told nothing, what was taken before is not taken again, and a portal that Slack reaches by
// Socket Mode takes nothing from outside at all.
func (o *office) forged(transport string) {
	entries := len(o.w.newest(audit.Filter{}))
	body := o.Command(o.ana, talk, "/deploy", "unlink").Form.Encode()
	post := func(body string, header http.Header) (status int, answer string) {
		r, err := http.NewRequestWithContext(o.w.t.Context(), http.MethodPost, o.w.url()+"/hooks/slack", strings.NewReader(body))
		if err != nil {
			o.w.t.Fatal(err)
		}
		r.Header = header
		res, err := plainClient.Do(r)
		if err != nil {
			o.w.t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			o.w.t.Fatal(err)
		}
		return res.StatusCode, string(text)
	}
	signed := o.Sign(body, time.Now())
	forged := map[string]http.Header{"unsigned": {"Content-Type": {"application/x-www-form-urlencoded"}},
		"old": o.Sign(body, time.Now().Add(-6*time.Minute)), "of another body": o.Sign(body+"&x=1", time.Now())}
	if transport == overSocket {
		forged["signed"] = signed
	}
	for name, header := range forged {
		status, answer := post(body, header)
		if transport == overHTTP && (status != http.StatusUnauthorized || answer != "") || transport == overSocket && status != http.StatusNotFound {
			o.w.t.Errorf("%s: %d %q", name, status, answer)
		}
	}
	if n := len(o.w.newest(audit.Filter{})); n != entries {
		o.w.t.Errorf("%d entries more", n-entries)
	}
	if transport == overHTTP {
		help := o.Command(o.ana, talk, "/deploy", "help").Form.Encode()
		signed = o.Sign(help, time.Now())
		first, _ := post(help, signed)
		if again, answer := post(help, signed); first != http.StatusOK || again != http.StatusUnauthorized || answer != "" {
			o.w.t.Errorf("sent twice: %d, then %d %q", first, again, answer)
		}
	}
}

// reconnects: Slack ends a connection now and then, and networks do.
func (o *office) reconnects() {
	for _, end := range []func(){func() { o.Disconnect("refresh_requested") }, o.Cut} {
		end()
		o.connected()
		o.says(o.types(o.ana, talk, "status api"), "runs `"+v2+"`")
	}
}

// leaves: whose link has ended may look, as before.
func (o *office) leaves() {
	plan := o.types(o.ana, talk, "api "+v3)
	o.says(o.types(o.ana, talk, "unlink"), "You are not linked any more.")
	if e := o.entry(audit.SlackUnlinked); e.Actor.Name != "ana" || e.Actor.Source != "slack" {
		o.w.t.Errorf("the entry: %+v", e)
	}
	o.says(o.presses(o.ana, plan, "deploy"), "Link yourself to your account first")
	if e := o.entry(audit.SlackRefused); e.Subject != "press deploy" || e.Actor.Addr != o.addr(o.ana, talk) || e.Actor.ID != "anonymous" {
		o.w.t.Errorf("the entry: %+v", e)
	}
	o.says(o.types(o.ana, talk, "status api"), "runs `"+v2+"`")
	o.says(o.types(o.ana, talk, "lock api because"), "Link yourself to your account first")
	if n := o.w.count(`SELECT count(*) FROM deploys`); n != 5 {
		o.w.t.Errorf("%d deploys, want 5", n)
	}
}
