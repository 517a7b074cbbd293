package slacktest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"deployportal/internal/slack/slacktest"
)

const channel = "C0DEPLOYS"

// clock is a time that a test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func workspace() (*slacktest.Slack, *clock) {
	c := &clock{time.Date(2026, 11, 24, 2, 0, 0, 0, time.UTC)}
	s := slacktest.New()
	s.Now = c.now
	s.Invite(channel)
	return s, c
}

// call asks the API and gives Slack's word, "429 N", or the ts.
func call(t *testing.T, s *slacktest.Slack, method string, args ...string) (word, ts string) {
	t.Helper()
	form := url.Values{"token": {s.BotToken}, "channel": {channel}, "text": {"words"}}
	for i := 0; i < len(args); i += 2 {
		form.Set(args[i], args[i+1])
	}
	res, err := s.Client().PostForm("https://slack.com/api/"+method, form)
	if err != nil {
		return err.Error(), ""
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Sprint(res.StatusCode, " ", res.Header.Get("Retry-After")), ""
	}
	var answer struct {
		OK        bool
		Error, TS string
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if answer.OK {
		return "ok", answer.TS
	}
	return answer.Error, ""
}

const (
	fine = `[{"type":"section","text":{"type":"mrkdwn","text":"fine"}}]`
	ping = `[{"type":"section","text":{"type":"mrkdwn","text":"<!channel>"}}]`
)

// TestRefuses goes through what Slack refuses, each once.
func TestRefuses(t *testing.T) {
	tests := []struct {
		name, method, want string
		args               []string
		before             func(s *slacktest.Slack, ts string)
	}{
		{"all is well", "chat.postMessage", "ok", []string{"blocks", fine}, nil},
		{"auth.test", "auth.test", "ok", nil, nil},
		{"no token", "chat.postMessage", "not_authed", []string{"token", ""}, nil},
		{"wrong token", "chat.postMessage", "invalid_auth", []string{"token", "xoxb-other"}, nil},
		{"the app's token", "chat.postMessage", "not_allowed_token_type", []string{"token", slacktest.AppToken}, nil},
		{"the bot's token for a socket", "apps.connections.open", "not_allowed_token_type", nil, nil},
		{"no scope", "chat.postMessage", "missing_scope", nil, func(s *slacktest.Slack, _ string) { s.Scopes = nil }},
		{"method not known", "chat.meMessage", "unknown_method", nil, nil},
		{"channel not known", "chat.postMessage", "channel_not_found", []string{"channel", "C0OTHER"}, nil},
		{"not in the channel", "chat.postMessage", "not_in_channel", nil, func(s *slacktest.Slack, _ string) { s.Kick(channel) }},
		{"archived", "chat.postMessage", "is_archived", nil, func(s *slacktest.Slack, _ string) { s.Archive(channel) }},
		{"update in an archived one", "chat.update", "is_archived", []string{"ts", "TS"}, func(s *slacktest.Slack, _ string) { s.Archive(channel) }},
		{"no text", "chat.postMessage", "no_text", []string{"text", ""}, nil},
		{"text too long", "chat.postMessage", "msg_too_long", []string{"text", strings.Repeat("a", 40001)}, nil},
		{"text too long for an update", "chat.update", "msg_too_long", []string{"ts", "TS", "text", strings.Repeat("a", 4001)}, nil},
		{"blocks that are no JSON", "chat.postMessage", "invalid_blocks_format", []string{"blocks", "["}, nil},
		{"blocks beyond the limits", "chat.postMessage", "invalid_blocks", []string{"blocks", ping}, nil},
		{"update", "chat.update", "ok", []string{"ts", "TS"}, nil},
		{"update of no message", "chat.update", "message_not_found", []string{"ts", "1.000000"}, nil},
		{"update of a deleted one", "chat.update", "message_not_found", []string{"ts", "TS"}, func(s *slacktest.Slack, _ string) { s.Delete(s.Messages(channel)[0]) }},
		{"update of somebody else's", "chat.update", "cant_update_message", []string{"ts", "TS"}, func(s *slacktest.Slack, ts string) { s.Say(channel, "U1", "hello") }},
		{"an edit too soon", "chat.update", "429 2", []string{"ts", "TS"}, func(s *slacktest.Slack, _ string) { s.Every = 2 * time.Second }},
		{"a limit", "chat.postMessage", "429 30", nil, func(s *slacktest.Slack, _ string) { s.Limit("chat.postMessage", 30*time.Second) }},
		{"down", "chat.postMessage", "connection refused", nil, func(s *slacktest.Slack, _ string) { s.SetDown(true) }},
		{"delete", "chat.delete", "ok", []string{"ts", "TS"}, nil},
		{"delete of no message", "chat.delete", "message_not_found", []string{"ts", "1.000000"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := workspace()
			_, ts := call(t, s, "chat.postMessage")
			if tt.before != nil {
				tt.before(s, ts)
			}
			if tt.name == "update of somebody else's" {
				ts = s.Messages(channel)[1].TS
			}
			for i, a := range tt.args {
				if a == "TS" {
					tt.args[i] = ts
				}
			}
			got, _ := call(t, s, tt.method, tt.args...)
			if got != tt.want && !strings.HasSuffix(got, tt.want) {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// TestKeeps: edits, threads, and what became of a deleted message's thread.
func TestKeeps(t *testing.T) {
	s, c := workspace()
	_, ts := call(t, s, "chat.postMessage", "text", "one", "blocks", fine)
	c.at = c.at.Add(3 * time.Second)
	call(t, s, "chat.update", "ts", ts, "text", "two", "blocks", strings.Replace(fine, "fine", "finer", 1))
	call(t, s, "chat.postMessage", "text", "reply", "thread_ts", ts)
	all := s.Messages(channel)
	if len(all) != 1 || all[0].Seen() != "finer" || all[0].Text != "two" || len(all[0].Edits) != 1 || !all[0].Edits[0].At.Equal(c.at) {
		t.Fatalf("%+v", all)
	}
	if replies := s.Thread(all[0]); len(replies) != 1 || replies[0].Seen() != "reply" {
		t.Errorf("thread: %+v", replies)
	}
	s.Delete(all[0])
	call(t, s, "chat.postMessage", "text", "late", "thread_ts", ts)
	if all = s.Messages(channel); len(all) != 1 || all[0].Text != "late" {
		t.Errorf("after the deletion: %+v", all)
	}
}

func post(t *testing.T, s *slacktest.Slack, link, body string) string {
	t.Helper()
	res, err := s.Client().Post(link, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	read, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(read))
}

// TestResponseURL: five uses, 30 minutes, for one person, and no chat.update of what it showed.
func TestResponseURL(t *testing.T) {
	s, c := workspace()
	link := s.Command(slacktest.User{ID: "U1"}, channel, "/deploy", "help").Form.Get("response_url")
	for range 5 {
		if got := post(t, s, link, `{"text":"for you"}`); got != "ok" {
			t.Fatal(got)
		}
	}
	if got := post(t, s, link, `{"text":"for you"}`); got != "used_url" {
		t.Errorf("the sixth time: %s", got)
	}
	seen := s.Messages(channel)
	if len(seen) != 5 || seen[0].For != "U1" {
		t.Fatalf("%+v", seen)
	}
	if got, _ := call(t, s, "chat.update", "ts", seen[0].TS); got != "message_not_found" {
		t.Errorf("chat.update of an ephemeral message: %s", got)
	}
	link = s.Command(slacktest.User{ID: "U1"}, channel, "/deploy", "help").Form.Get("response_url")
	c.at = c.at.Add(30*time.Minute + time.Second)
	if got := post(t, s, link, `{"text":"for you"}`); got != "expired_url" {
		t.Errorf("after 30 min: %s", got)
	}
	if got := post(t, s, link+"0", `{"text":"for you"}`); got != "no_such_url" {
		t.Errorf("a guessed one: %s", got)
	}
	link = s.Command(slacktest.User{ID: "U1"}, channel, "/deploy", "help").Form.Get("response_url")
	if got := post(t, s, link, `{"blocks":`+ping+`}`); !strings.HasPrefix(got, "invalid_blocks") {
		t.Errorf("blocks beyond the limits: %s", got)
	}
}

// TestCommandAndPress: what is sent is signed, and what is answered is shown.
func TestCommandAndPress(t *testing.T) {
	s, _ := workspace()
	var got []*http.Request
	s.Portal = serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		want := s.Sign(string(body), s.Now())
		if r.Header.Get("X-Slack-Signature") != want.Get("X-Slack-Signature") {
			t.Errorf("signature %q", r.Header.Get("X-Slack-Signature"))
		}
		got = append(got, r)
		if len(got) == 1 {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"text":"plan","blocks":[{"type":"actions","elements":[{"type":"button","action_id":"deploy","value":"7","text":{"type":"plain_text","text":"Deploy"}}]}]}`)
		}
	})
	ana := slacktest.User{ID: "U1", Name: "ana"}
	if a := s.Send(context.Background(), s.Command(ana, channel, "/deploy", "api abc1234"), 0); a.Err != "" || a.Took > 3*time.Second {
		t.Fatalf("%+v", a)
	}
	plan := s.Messages(channel)[0]
	button := plan.Button("deploy")
	if plan.For != "U1" || button == nil || button.Value != "7" {
		t.Fatalf("%+v %+v", plan, button)
	}
	press := s.Press(ana, plan, *button)
	if a := s.Send(context.Background(), press, 1); a.Err != "" || got[1].Header.Get("X-Slack-Retry-Num") != "1" {
		t.Errorf("%+v", a)
	}
	var payload struct {
		ResponseURL string `json:"response_url"`
		Container   struct {
			IsEphemeral bool `json:"is_ephemeral"`
		}
	}
	if err := json.Unmarshal(press.JSON, &payload); err != nil || !payload.Container.IsEphemeral {
		t.Fatalf("%v %s", err, press.JSON)
	}
	post(t, s, payload.ResponseURL, `{"text":"begun","replace_original":true}`)
	if all := s.Messages(channel); len(all) != 1 || all[0].Seen() != "begun" {
		t.Errorf("replaced: %+v", all)
	}
	post(t, s, payload.ResponseURL, `{"delete_original":true}`)
	if all := s.Messages(channel); len(all) != 0 {
		t.Errorf("deleted: %+v", all)
	}
}

// TestTooLate: who answers after Slack's patience has not answered.
func TestTooLate(t *testing.T) {
	s, _ := workspace()
	s.Patient = time.Millisecond
	hold := make(chan struct{})
	time.AfterFunc(50*time.Millisecond, func() { close(hold) })
	s.Portal = serve(t, func(http.ResponseWriter, *http.Request) { <-hold })
	if a := s.Send(context.Background(), s.Command(slacktest.User{ID: "U1"}, channel, "/deploy", ""), 0); a.Err != "operation_timeout" {
		t.Errorf("%+v", a)
	}
	s.Portal = serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	s.Patient = time.Minute
	if a := s.Send(context.Background(), s.Command(slacktest.User{ID: "U1"}, channel, "/deploy", ""), 0); a.Err != "dispatch_failed" {
		t.Errorf("%+v", a)
	}
}

func serve(t *testing.T, f http.HandlerFunc) string {
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return server.URL
}

// TestValidate goes through the limits of Block Kit, each once.
func TestValidate(t *testing.T) {
	long := func(n int) string { return strings.Repeat("a", n) }
	many := func(n int, one string) string {
		var all []string
		for i := range n {
			all = append(all, strings.ReplaceAll(one, "#", fmt.Sprint(i)))
		}
		return strings.Join(all, ",")
	}
	section := func(words string) string {
		return `[{"type":"section","text":{"type":"mrkdwn","text":"` + words + `"}}]`
	}
	button := func(more string) string {
		return `[{"type":"actions","elements":[{"type":"button","action_id":"a","text":{"type":"plain_text","text":"Go"}` + more + `}]}]`
	}
	const divider = `{"type":"divider","block_id":"d#"}`
	sure := func(title, words, yes string) string {
		plain := func(s string) string { return `{"type":"plain_text","text":"` + s + `"}` }
		return button(`,"confirm":{"title":` + plain(title) + `,"text":` + plain(words) + `,"confirm":` + plain(yes) + `,"deny":` + plain("No") + `}`)
	}
	tests := []struct{ name, blocks, want string }{
		{"fine", section("fine"), ""},
		{"links, dates, people, channels", section("<https://a.b/c|d> <!date^1700000000^{time}|02:00 UTC> <@U1> <#C1> &lt;!channel&gt;"), ""},
		{"a message", `{"text":"short","blocks":` + section("fine") + `}`, ""},
		{"a message without text", `{"blocks":` + section("fine") + `}`, "text: 0 characters"},
		{"a message of text alone", `{"text":"short"}`, ""},
		{"a message that shouts in its text", `{"text":"<!here>"}`, "not escaped"},
		{"no list", `"x"`, "blocks:"},
		{"50 blocks", "[" + many(50, divider) + "]", ""},
		{"51 blocks", "[" + many(51, divider) + "]", "51 of them"},
		{"a block id twice", "[" + many(2, `{"type":"divider","block_id":"d"}`) + "]", `block_id "d" stands twice`},
		{"a long block id", `[{"type":"divider","block_id":"` + long(256) + `"}]`, "block_id has 256"},
		{"an unknown block", `[{"type":"marquee"}]`, "not known"},
		{"3000 characters", section(long(3000)), ""},
		{"3001 characters", section(long(3001)), "3001 characters"},
		{"4 sections of 3000", "[" + many(4, strings.Trim(section(long(3000)), "[]")) + "]", "12000 characters together"},
		{"an empty text", section(""), "0 characters"},
		{"an empty section", `[{"type":"section"}]`, "neither text nor fields"},
		{"11 fields", `[{"type":"section","fields":[` + many(11, `{"type":"mrkdwn","text":"f"}`) + `]}]`, "11 fields"},
		{"a long field", `[{"type":"section","fields":[{"type":"mrkdwn","text":"` + long(2001) + `"}]}]`, "2001 characters"},
		{"a text of no kind", `[{"type":"section","text":{"type":"html","text":"x"}}]`, `text of type "html"`},
		{"a channel shouted at", section("<!channel>"), "not escaped"},
		{"a group shouted at", section("<!subteam^S1>"), "not escaped"},
		{"a bracket", section("a < b"), "not escaped"},
		{"another link", section("<javascript:alert(1)|x>"), "not escaped"},
		{"a long header", `[{"type":"header","text":{"type":"plain_text","text":"` + long(151) + `"}}]`, "151 characters"},
		{"a header in mrkdwn", `[{"type":"header","text":{"type":"mrkdwn","text":"x"}}]`, "plain_text is wanted"},
		{"11 in a context", `[{"type":"context","elements":[` + many(11, `{"type":"mrkdwn","text":"f"}`) + `]}]`, "11 elements"},
		{"26 actions", `[{"type":"actions","elements":[` + many(26, `{"type":"button","action_id":"a#","text":{"type":"plain_text","text":"x"}}`) + `]}]`, "26 elements"},
		{"a button", button(""), ""},
		{"no button", `[{"type":"actions","elements":[{"type":"datepicker","action_id":"a"}]}]`, "not known"},
		{"a long button", strings.Replace(button(""), "Go", long(76), 1), "76 characters"},
		{"a button in mrkdwn", strings.Replace(button(""), "plain_text", "mrkdwn", 1), "plain_text is wanted"},
		{"a button without a name", strings.Replace(button(""), `"action_id":"a",`, "", 1), "no action_id"},
		{"a long action id", strings.Replace(button(""), `"a"`, `"`+long(256)+`"`, 1), "action_id has 256"},
		{"an action id twice", `[{"type":"actions","elements":[` + many(2, `{"type":"button","action_id":"a","text":{"type":"plain_text","text":"x"}}`) + `]}]`, `action_id "a" stands twice`},
		{"a long value", button(`,"value":"` + long(2001) + `"`), "value has 2001"},
		{"a long url", button(`,"url":"https://a/` + long(3000) + `"`), "url has 3010"},
		{"a url of another kind", button(`,"url":"javascript:1"`), "no web address"},
		{"a style", button(`,"style":"loud"`), `style "loud"`},
		{"a dialog", sure("Sure?", "It is prod.", "Deploy"), ""},
		{"a dialog's long title", sure(long(101), "It is prod.", "Deploy"), "101 characters"},
		{"a dialog's long text", sure("Sure?", long(301), "Deploy"), "301 characters"},
		{"a dialog's long button", sure("Sure?", "It is prod.", long(31)), "31 characters"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := strings.Join(slacktest.Validate([]byte(tt.blocks)), "; ")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// TestInstall: an app may do what its manifest says, and no more.
func TestInstall(t *testing.T) {
	const manifest = `{"features": {"slash_commands": [{"command": "/deploy", "url": "https://portal.test/hook"}]},
		"oauth_config": {"scopes": {"bot": ["commands"]}}, "settings": {"interactivity": {"is_enabled": true, "request_url": "https://portal.test/hook"}}}`
	s := slacktest.New()
	s.Create("C1")
	post := func() string {
		form := url.Values{"channel": {"C1"}, "text": {"hello"}, "token": {s.BotToken}}
		r := httptest.NewRequest(http.MethodPost, "/api/chat.postMessage", strings.NewReader(form.Encode()))
		s.ServeHTTP(httptest.NewRecorder(), r)
		calls := s.Calls()
		return calls[len(calls)-1].Error
	}
	for _, c := range []struct{ scopes, want string }{
		{`"commands"`, "missing_scope"}, {`"chat:write"`, "not_in_channel"}, {`"chat:write", "chat:write.public"`, "ok"},
	} {
		if err := s.Install([]byte(strings.Replace(manifest, `"commands"`, c.scopes, 1))); err != nil {
			t.Fatal(err)
		}
		if got := post(); got != c.want {
			t.Errorf("with %s: %s, want %s", c.scopes, got, c.want)
		}
	}
	if s.Portal != "https://portal.test/hook" {
		t.Errorf("requests go to %q", s.Portal)
	}
	if a := s.Send(t.Context(), s.Command(slacktest.User{ID: "U1"}, "C1", "/other", ""), 0); a.Err != "invalid_command" {
		t.Errorf("a command that no manifest has: %+v", a)
	}
	for name, edit := range map[string][2]string{
		"no interactivity":   {`"is_enabled": true`, `"is_enabled": false`},
		"two addresses":      {`"url": "https://portal.test/hook"}]`, `"url": "https://portal.test/other"}]`},
		"both ways":          {`"settings": {`, `"settings": {"socket_mode_enabled": true, `},
		"no manifest at all": {`"features"`, `features`},
	} {
		if err := s.Install([]byte(strings.Replace(manifest, edit[0], edit[1], 1))); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}
