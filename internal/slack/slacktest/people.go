package slacktest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// patience is how long Slack waits for the answer to a command or a press.
const patience = 3 * time.Second

// User is somebody who types and presses.
type User struct {
	ID   string
	Name string
	Team string // empty: that of the workspace
}

// Answer is what came of a command or a press.
type Answer struct {
	Status int           // of the HTTP answer; 200 for an envelope that was acknowledged
	Body   string        // as it came
	Took   time.Duration // until it was answered
	Tries  int           // of an envelope: how often it was sent
	Err    string        // what Slack tells the person: empty, "operation_timeout" or "dispatch_failed"
}

// Request is what Slack sends to the portal: a body over HTTP, the same as JSON in an envelope.
type Request struct {
	Kind string // "slash_commands" or "interactive"
	Form url.Values
	JSON json.RawMessage
	to   *response
}

// Command makes a slash command that somebody types in a channel, with a response URL of its own.
func (s *Slack) Command(by User, channel, command, words string) Request {
	link, to := s.responseURL(by, channel, nil)
	form := url.Values{
		"token": {"deprecated"}, "team_id": {s.teamOf(by)}, "team_domain": {"workspace"}, "channel_id": {channel}, "channel_name": {"deploys"},
		"user_id": {by.ID}, "user_name": {by.Name}, "command": {command}, "text": {words}, "api_app_id": {s.App},
		"is_enterprise_install": {"false"}, "response_url": {link}, "trigger_id": {s.trigger()},
	}
	flat := map[string]string{}
	for k := range form {
		flat[k] = form.Get(k)
	}
	body, _ := json.Marshal(flat) // strings alone
	return Request{Kind: "slash_commands", Form: form, JSON: body, to: to}
}

// Press makes the press of a button of a message.
func (s *Slack) Press(by User, m Message, b Button) Request {
	var origin *Message
	s.locked(func() { origin = s.message(m.Channel, m.TS) })
	link, to := s.responseURL(by, m.Channel, origin)
	block := b.BlockID
	if block == "" {
		block = "b1"
	}
	body, _ := json.Marshal(map[string]any{ // strings and booleans alone
		"type": "block_actions", "api_app_id": s.App, "token": "deprecated", "trigger_id": s.trigger(), "response_url": link,
		"user":       map[string]any{"id": by.ID, "username": by.Name, "name": by.Name, "team_id": s.teamOf(by)},
		"team":       map[string]any{"id": s.Team, "domain": "workspace"},
		"channel":    map[string]any{"id": m.Channel, "name": "deploys"},
		"container":  map[string]any{"type": "message", "message_ts": m.TS, "channel_id": m.Channel, "is_ephemeral": m.For != ""},
		"enterprise": nil, "is_enterprise_install": false,
		"actions": []any{map[string]any{"type": "button", "action_id": b.ActionID, "block_id": block, "value": b.Value, "action_ts": m.TS,
			"text": map[string]any{"type": "plain_text", "text": b.Text, "emoji": true}}},
	})
	return Request{Kind: "interactive", Form: url.Values{"payload": {string(body)}}, JSON: body, to: to}
}

// Sign gives the headers that Slack signs a body with.
func (s *Slack) Sign(body string, at time.Time) http.Header {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(s.SigningSecret))
	_, _ = io.WriteString(mac, "v0:"+stamp+":"+body)
	h := http.Header{}
	h.Set("Content-Type", "application/x-www-form-urlencoded")
	h.Set("X-Slack-Request-Timestamp", stamp)
	h.Set("X-Slack-Signature", "v0="+hex.EncodeToString(mac.Sum(nil)))
	return h
}

// Send delivers a request as Slack does: over HTTP to Portal, signed, or in an envelope to a connection. Sent again, it is
// the retry of the same request: signed anew, with the number of the retry.
func (s *Slack) Send(ctx context.Context, r Request, retry int) Answer {
	var a Answer
	if r.Kind == "slash_commands" && s.commands != nil && !s.commands[r.Form.Get("command")] {
		return Answer{Err: "invalid_command"} // Slack itself answers it
	}
	if s.Portal == "" {
		a = s.deliver(ctx, r)
	} else {
		a = s.push(ctx, r, retry)
	}
	if a.Err == "" && a.Status == http.StatusOK && strings.TrimSpace(a.Body) != "" && r.Kind == "slash_commands" {
		s.shown(r.to, a.Body)
	}
	return a
}

func (s *Slack) push(ctx context.Context, r Request, retry int) Answer {
	body := r.Form.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Portal, strings.NewReader(body))
	if err != nil {
		return Answer{Err: err.Error()}
	}
	req.Header = s.Sign(body, s.now())
	if retry > 0 {
		req.Header.Set("X-Slack-Retry-Num", strconv.Itoa(retry))
		req.Header.Set("X-Slack-Retry-Reason", "http_timeout")
	}
	client := s.Web
	if client == nil {
		client = http.DefaultClient
	}
	began := time.Now()
	res, err := client.Do(req)
	if err != nil {
		return Answer{Err: "dispatch_failed", Body: err.Error(), Took: time.Since(began)}
	}
	defer func() { _ = res.Body.Close() }()
	read, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	a := Answer{Status: res.StatusCode, Body: string(read), Took: time.Since(began), Tries: 1}
	switch {
	case a.Took > s.patience():
		a.Err = "operation_timeout"
	case err != nil || a.Status != http.StatusOK:
		a.Err = "dispatch_failed"
	}
	return a
}

// shown shows the body of an answer to a command: a message in JSON, or plain text, for the person alone.
func (s *Slack) shown(to *response, body string) {
	a := answered{Text: body}
	if strings.HasPrefix(strings.TrimSpace(body), "{") {
		a = answered{}
		if err := json.NewDecoder(bytes.NewReader([]byte(body))).Decode(&a); err != nil {
			return
		}
	}
	s.locked(func() {
		if no := s.take(to, a); no != nil {
			s.calls = append(s.calls, Call{At: s.now(), Method: "answer", Channel: to.in, Error: fmt.Sprint(no.Error, no.Messages)})
		}
	})
}

func (s *Slack) patience() time.Duration {
	if s.Patient > 0 {
		return s.Patient
	}
	return patience
}

func (s *Slack) teamOf(u User) string {
	if u.Team != "" {
		return u.Team
	}
	return s.Team
}

func (s *Slack) trigger() (id string) {
	s.locked(func() {
		s.serial++
		id = fmt.Sprintf("%d.trigger", s.serial)
	})
	return id
}

// responseURL makes a response URL for somebody; origin is the message that a pressed button stands in.
func (s *Slack) responseURL(by User, channel string, origin *Message) (string, *response) {
	to := &response{made: s.now(), origin: origin, by: by.ID, in: channel}
	var path, base string
	s.locked(func() {
		s.serial++
		path, base = fmt.Sprintf("/commands/%s/%d/secret", s.Team, s.serial), s.base
		s.responses[path] = to
	})
	if base == "" {
		base = "https://hooks.slack.com"
	}
	return base + path, to
}
