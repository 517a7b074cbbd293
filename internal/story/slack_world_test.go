package story_test

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"deployportal/internal/audit"
	"deployportal/internal/gitea/giteatest"
	"deployportal/internal/kube/kubetest"
	"deployportal/internal/slack/slacktest"
)

// What the app in Slack proves itself with. The values are canaries, as the passwords are.
const (
	slackBotToken      = "xoxb-canary-bot-77a1d0"
	slackAppToken      = "xapp-canary-app-c2e94b"
	slackSigningSecret = "canary-signing-51f0ae"
)

// The channels: where people talk, and where the environment's deploys are announced.
const (
	talk  = "C0TALK"
	board = "C0BOARD"
)

// publicURL is where Slack finds the portal; the stand-in's way there goes straight to the process.
const publicURL = "https://deploy.example.org"

// office is the Slack of a story: the workspace, its people, and the way to the portal.
type office struct {
	*slacktest.Slack
	w             *world
	api           string
	ana, dan, vic slacktest.User
	codes         []string // that linked somebody
}

// newOffice opens a workspace that the portal has no app in yet.
func newOffice(w *world) *office {
	s := slacktest.New()
	s.BotToken, s.AppToken, s.SigningSecret, s.Scopes = slackBotToken, slackAppToken, slackSigningSecret, nil
	s.Patient = 20 * time.Second // on a busy machine; how long it takes is for the benchmark
	s.Web = &http.Client{Transport: toPortal{w}}
	o := &office{Slack: s, w: w, api: s.Listen(w.all),
		ana: slacktest.User{ID: "U0ANA", Name: "ana"}, dan: slacktest.User{ID: "U0DAN", Name: "dan"}, vic: slacktest.User{ID: "U0VIC", Name: "vic"}}
	s.Create(talk)
	s.Create(board)
	w.all.Cleanup(func() {
		o.tellsNoSecret()
		if w.all.Failed() {
			w.all.Log(o.all(talk) + o.all(board))
		}
	})
	return o
}

// toPortal leads requests to the public address to the portal that runs now.
type toPortal struct{ w *world }

// RoundTrip implements http.RoundTripper.
func (p toPortal) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme+"://"+r.URL.Host != publicURL {
		return nil, fmt.Errorf("no such host: %s", r.URL.Host)
	}
	r = r.Clone(r.Context())
	r.URL = &url.URL{Scheme: "http", Host: p.w.proc.addr, Path: r.URL.Path}
	return http.DefaultTransport.RoundTrip(r)
}

// The transports.
const (
	overHTTP   = "http"
	overSocket = "socket"
)

// inSlack gives a world whose portal has a door in Slack, made from the manifest that it prints. more is of the
// environment's part.
func inSlack(transport, more string) func(*world) {
	return func(w *world) {
		o := newOffice(w)
		w.write("slack-bot-token", []byte(slackBotToken+"\n"))
		w.write("slack-masks", []byte("canary-masked-line\n"))
		proof, secret, args := "signing_secret_file", slackSigningSecret, []string{"slack", "manifest"}
		if transport == overSocket {
			proof, secret, args = "app_token_file", slackAppToken, append(args, "--socket")
		}
		w.write("slack-secret", []byte(secret+"\n"))
		w.prod = fmt.Sprintf(", slack: {channel: %s%s}", board, more)
		w.more = fmt.Sprintf("url: %s\nslack: {team: %s, app: %s, bot_token_file: %q, %s: %q, mask_files: [%q], api_url: %q}\n",
			publicURL, o.Team, o.App, w.path("slack-bot-token"), proof, w.path("slack-secret"), w.path("slack-masks"), o.api)
		w.write("bare.yaml", []byte("url: "+publicURL+"\ngitea: {url: http://127.0.0.1:1}\nenvironments: [{name: prod, namespace: any}]\n"))
		o.furnish()
		manifest, errOut, code := portal(w.t, "", append([]string{"--config", w.path("bare.yaml")}, args...)...)
		if code != 0 {
			w.t.Fatalf("portal slack manifest: %d %s", code, errOut)
		}
		if err := o.Install([]byte(manifest)); err != nil {
			w.t.Fatal(err)
		}
	}
}

// furnish gives the world commits to tell of, and an app of one pod, which is quick.
func (o *office) furnish() {
	w := o.w
	w.slack = o
	w.gitea.AddRepo("acme", "api", committed(v1, "Begin"), committed(v2, "Answer <!channel> faster"), committed(v3, "Count what was asked"), committed(crashes, "Read the configuration anew"))
	w.gitea.SetStatus("acme/api", sha(v2), giteatest.Status{Context: "test", State: "success"})
	w.opts = []kubetest.Option{func(d *appsv1.Deployment) {
		pods := int32(1)
		d.Spec.Replicas, d.Spec.Template.Spec.Containers[0].StartupProbe = &pods, nil
	}}
}

func committed(tag, subject string) giteatest.Commit {
	return giteatest.Commit{SHA: sha(tag), Message: subject, Author: "ana"}
}

// connected waits until Slack can reach the portal.
func (o *office) connected() {
	o.w.t.Helper()
	o.w.until("Slack to reach the portal", func() bool { return o.Portal != "" || o.Connected() > 0 })
}

// mine lists what one person alone sees in a channel, oldest first.
func (o *office) mine(by slacktest.User, channel string) (mine []slacktest.Message) {
	for _, m := range o.Messages(channel) {
		if m.For == by.ID {
			mine = append(mine, m)
		}
	}
	return mine
}

// public lists what everybody sees in a channel, oldest first.
func (o *office) public(channel string) (all []slacktest.Message) {
	for _, m := range o.Messages(channel) {
		if m.For == "" {
			all = append(all, m)
		}
	}
	return all
}

// send delivers what somebody does.
func (o *office) send(r slacktest.Request, what string) {
	o.w.t.Helper()
	if a := o.Send(o.w.t.Context(), r, 0); a.Err != "" || a.Status != http.StatusOK {
		o.w.t.Fatalf("%s: %+v\n%s", what, a, o.w.log())
	}
}

// types types a command and gives what its author is shown in the end.
func (o *office) types(by slacktest.User, channel, words string) (answer slacktest.Message) {
	o.w.t.Helper()
	before := len(o.mine(by, channel))
	o.send(o.Command(by, channel, "/deploy", words), "/deploy "+words)
	o.w.until("an answer to /deploy "+words, func() bool {
		mine := o.mine(by, channel)
		if len(mine) > before {
			answer = mine[len(mine)-1]
		}
		return len(mine) > before && !strings.HasPrefix(answer.Seen(), "Looking")
	})
	return answer
}

// presses presses a button and gives what is shown for it.
func (o *office) presses(by slacktest.User, m slacktest.Message, action string) slacktest.Message {
	o.w.t.Helper()
	b := m.Button(action)
	if b == nil {
		o.w.t.Fatalf("there is no button %s:\n%s", action, m.Seen())
	}
	return o.sends(by, m, *b)
}

// sends sends the press of a button, whether or not it stands there, and gives what is shown for it.
func (o *office) sends(by slacktest.User, m slacktest.Message, b slacktest.Button) slacktest.Message {
	o.w.t.Helper()
	before := o.responses()
	o.send(o.Press(by, m, b), "pressing "+b.ActionID)
	o.w.until("an answer to the press of "+b.ActionID, func() bool { return o.responses() > before })
	var seen []slacktest.Message
	for _, s := range o.Messages(m.Channel) {
		if s.For == by.ID || s.For == m.For && s.TS == m.TS {
			seen = append(seen, s)
		}
	}
	return slices.MaxFunc(seen, func(a, b slacktest.Message) int {
		return cmp.Or(changed(a).Compare(changed(b)), cmp.Compare(a.TS, b.TS))
	})
}

// changed is when a message was posted or edited last.
func changed(m slacktest.Message) time.Time {
	if n := len(m.Edits); n > 0 {
		return m.Edits[n-1].At
	}
	return m.At
}

// responses is how often a response URL was used.
func (o *office) responses() (n int) {
	for _, c := range o.Calls() {
		if c.Method == "response_url" {
			n++
		}
	}
	return n
}

// says fails the test unless a message says all this.
func (o *office) says(m slacktest.Message, all ...string) slacktest.Message {
	o.w.t.Helper()
	for _, words := range all {
		if !strings.Contains(m.Seen(), words) {
			o.w.t.Errorf("the message does not say %q:\n%s", words, m.Seen())
		}
	}
	return m
}

// becomes waits until the message of a deploy says something; it is the newest of its channel, the nth of all.
func (o *office) becomes(channel string, n int, words string) (m slacktest.Message) {
	o.w.t.Helper()
	o.w.until(fmt.Sprintf("message %d in %s to say %q", n, channel, words), func() bool {
		all := o.public(channel)
		if len(all) < n {
			return false
		}
		m = all[len(all)-1]
		return len(all) == n && strings.Contains(m.Seen(), words)
	})
	return m
}

// threaded waits for what stands in the thread of a message.
func (o *office) threaded(m slacktest.Message, words string) (all string) {
	o.w.t.Helper()
	o.w.until("the thread to say "+words, func() bool {
		all = ""
		for _, reply := range o.Thread(m) {
			all += reply.Seen() + "\n"
		}
		return strings.Contains(all, words)
	})
	return all
}

// all is everything that stands in a channel, for a test that failed.
func (o *office) all(channel string) string {
	var b strings.Builder
	for _, m := range o.Messages(channel) {
		fmt.Fprintf(&b, "--- %s %s for %q\n%s\n", channel, m.TS, m.For, m.Seen())
		for _, e := range m.Edits {
			fmt.Fprintf(&b, "  at %s\n", e.At.Format("15:04:05.000"))
		}
		for _, reply := range o.Thread(m) {
			fmt.Fprintf(&b, "    in its thread: %s\n", reply.Seen())
		}
	}
	return b.String()
}

// tellsNoSecret looks through all that was ever said, through the log, and at what Slack refused.
func (o *office) tellsNoSecret() {
	for _, code := range o.codes {
		if log := o.w.proc.out.String(); strings.Contains(log, code) || strings.Contains(log, "/commands/") {
			o.w.all.Errorf("the log has a link code or a response URL:\n%s", log)
		}
	}
	for _, channel := range []string{talk, board} {
		for _, secret := range []string{passwordOfAna, giteaToken, slackBotToken, slackAppToken, slackSigningSecret, "canary-masked-line", "canary-url-password"} {
			if text := o.all(channel); strings.Contains(text, secret) {
				o.w.all.Errorf("%s has the secret %q:\n%s", channel, secret, text)
			}
		}
	}
	for _, c := range o.Calls() {
		if c.Error == "missing_scope" || strings.HasPrefix(c.Error, "invalid_") || c.Error == "unknown_method" {
			o.w.all.Errorf("Slack refused %+v", c)
		}
	}
}

// links links somebody to their account: the code comes from the page, the command goes to Slack.
func (o *office) links(who slacktest.User, b *browser) {
	o.w.t.Helper()
	command := b.get("/account").submit(b, `form[action="/account/slack/code"]`, nil).text("#slack-command")
	words, ok := strings.CutPrefix(command, "/deploy ")
	if !ok {
		o.w.t.Fatalf("the page shows %q", command)
	}
	o.codes = append(o.codes, strings.Fields(words)[1])
	o.says(o.types(who, talk, words), "You are linked to the account *"+who.Name+"*")
}

// entry gives the newest entry of a kind that somebody in Slack caused.
func (o *office) entry(action string) audit.Entry {
	o.w.t.Helper()
	for _, e := range o.w.newest(audit.Filter{}) {
		if e.Action == action {
			return e
		}
	}
	o.w.t.Fatalf("there is no entry %s", action)
	return audit.Entry{}
}

// addr is how an entry names somebody in a channel.
func (o *office) addr(who slacktest.User, channel string) string {
	return cmp.Or(who.Team, o.Team) + "/" + channel + "/" + who.ID
}

// plays has a test for each transport.
func plays(t *testing.T, play func(t *testing.T, transport string)) {
	t.Helper()
	for _, transport := range []string{overHTTP, overSocket} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			play(t, transport)
		})
	}
}
