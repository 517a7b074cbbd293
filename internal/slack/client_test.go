package slack

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	api "github.com/slack-go/slack"

	"deployportal/internal/slack/slacktest"
)

const (
	deploysChannel = "C0DEPLOYS"
	askedChannel   = "C0ASKED"
)

// talk is a client of a workspace in memory, whose bot is in deploysChannel.
func talk() (*slacktest.Slack, *client) {
	s := slacktest.New()
	s.Invite(deploysChannel)
	return s, newClient(Options{BotToken: slacktest.BotToken, AppToken: slacktest.AppToken, Client: s.Client()})
}

func saying(words string) Message {
	return Message{Text: words, Blocks: []api.Block{api.NewSectionBlock(api.NewTextBlockObject(api.MarkdownType, words, false, false), nil, nil)}}
}

func TestClientSays(t *testing.T) {
	s, c := talk()
	ts, err := c.post(t.Context(), deploysChannel, "", saying("one"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.post(t.Context(), deploysChannel, ts, saying("reply")); err != nil {
		t.Fatal(err)
	}
	if err := c.update(t.Context(), deploysChannel, ts, saying("two")); err != nil {
		t.Fatal(err)
	}
	all := s.Messages(deploysChannel)
	if len(all) != 1 || all[0].Seen() != "two" || all[0].Text != "two" || s.Thread(all[0])[0].Seen() != "reply" {
		t.Errorf("%+v", all)
	}
}

// TestClientErrors: each error tells what it means, and nothing that is secret.
func TestClientErrors(t *testing.T) {
	deleted := func(s *slacktest.Slack) {
		for _, m := range s.Messages(deploysChannel) {
			s.Delete(m)
		}
	}
	tests := []struct {
		name   string
		before func(*slacktest.Slack)
		edit   bool
		want   string
		is     error
	}{
		{"deleted", deleted, true, "message_not_found", errGone},
		{"archived", func(s *slacktest.Slack) { s.Archive(deploysChannel) }, true, "is_archived", errClosed},
		{"not in it", func(s *slacktest.Slack) { s.Kick(deploysChannel) }, false, "not_in_channel", errClosed},
		{"scope", func(s *slacktest.Slack) { s.Scopes = []string{"commands"} }, false, "missing_scope: chat:write", nil},
		{"token", func(s *slacktest.Slack) { s.BotToken = "xoxb-new" }, true, "invalid_auth", nil},
		{"down", func(s *slacktest.Slack) { s.SetDown(true) }, false, "connection refused", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, c := talk()
			ts, err := c.post(t.Context(), deploysChannel, "", saying("one"))
			if err != nil {
				t.Fatal(err)
			}
			tt.before(s)
			if tt.edit {
				err = c.update(t.Context(), deploysChannel, ts, saying("two"))
			} else {
				_, err = c.post(t.Context(), deploysChannel, "", saying("two"))
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v, want %s that is %v", err, tt.want, tt.is)
			}
			if err != nil && strings.Contains(err.Error(), "xoxb") {
				t.Errorf("a token is told: %v", err)
			}
		})
	}
}

// TestClientFallsBackToText: what Slack refuses as blocks it gets as text.
func TestClientFallsBackToText(t *testing.T) {
	s, c := talk()
	broken := saying("fine")
	broken.Blocks = append(broken.Blocks, api.NewSectionBlock(api.NewTextBlockObject(api.MarkdownType, strings.Repeat("a", 3001), false, false), nil, nil))
	ts, err := c.post(t.Context(), deploysChannel, "", broken)
	if err != nil {
		t.Fatal(err)
	}
	broken.Text = "finer"
	if err := c.update(t.Context(), deploysChannel, ts, broken); err != nil {
		t.Fatal(err)
	}
	if all := s.Messages(deploysChannel); len(all) != 1 || all[0].Seen() != "finer" {
		t.Errorf("%+v", all)
	}
}

// TestClientWaits: what Slack asks to wait is waited for where ctx leaves the time, and told at once where it does not.
func TestClientWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := talk()
		s.Limit("chat.postMessage", 30*time.Second)
		short, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		_, err := c.post(short, deploysChannel, "", saying("one"))
		var limit *limited
		if !errors.As(err, &limit) || limit.after != 30*time.Second || time.Since(began) != 0 {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if _, err = c.post(t.Context(), deploysChannel, "", saying("one")); err != nil || time.Since(began) != 30*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if n := len(s.Calls()); n != 2 {
			t.Errorf("%d calls, want 2: %+v", n, s.Calls())
		}
	})
}

func TestClientResponds(t *testing.T) {
	s, c := talk()
	link := s.Command(slacktest.User{ID: "U1"}, deploysChannel, "/deploy", "").Form.Get("response_url")
	for range 5 {
		if err := c.respond(t.Context(), link, false, saying("for you")); err != nil {
			t.Fatal(err)
		}
	}
	err := c.respond(t.Context(), link, false, saying("for you"))
	if !errors.Is(err, errGone) || strings.Contains(err.Error(), "secret") {
		t.Errorf("the sixth time: %v", err)
	}
	s.SetDown(true)
	if err := c.respond(t.Context(), link, false, saying("for you")); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("while Slack is away: %v", err)
	}
	s.SetDown(false)
	m := s.Messages(deploysChannel)[0]
	link = s.Press(slacktest.User{ID: "U1"}, m, slacktest.Button{ActionID: "x"}).Form.Get("payload")
	link = link[strings.Index(link, "https://hooks"):]
	link = link[:strings.Index(link, `"`)]
	if err := c.respond(t.Context(), link, true, saying("other")); err != nil || s.Messages(deploysChannel)[0].Seen() != "other" {
		t.Errorf("%v %+v", err, s.Messages(deploysChannel)[0])
	}
	if err := c.respond(t.Context(), link, false, Message{}); err != nil || len(s.Messages(deploysChannel)) != 4 {
		t.Errorf("deleting: %v, %d messages left", err, len(s.Messages(deploysChannel)))
	}
}

// TestClientCallsNobodyElse: a response URL that does not lead to Slack is not called.
func TestClientCallsNobodyElse(t *testing.T) {
	called := false
	c := newClient(Options{BotToken: "xoxb", Client: &http.Client{Transport: tripper(func(*http.Request) (*http.Response, error) {
		called = true
		return nil, errors.New("called")
	})}})
	for _, link := range []string{
		"", "http://hooks.slack.com/commands/1", "https://hooks.slack.com.evil.org/", "https://evil.org/hooks.slack.com", "https://hooks.slack.com:8443/x",
		"https://hooks.slack.com@evil.org/", "https://u:p@hooks.slack.com/", "https://127.0.0.1/", "http://169.254.169.254/latest/meta-data", "file:///etc/passwd", "//hooks.slack.com/x", "https://slack.com/api/chat.postMessage", "%",
	} {
		if err := c.respond(t.Context(), link, false, saying("x")); err == nil || called {
			t.Errorf("%q was called", link)
		}
	}
}

// TestClientFollowsNobody: an answer that leads elsewhere is not followed, and one without end is not read to its end.
func TestClientFollowsNobody(t *testing.T) {
	var hosts []string
	c := newClient(Options{BotToken: "xoxb", Client: &http.Client{Transport: tripper(func(r *http.Request) (*http.Response, error) {
		hosts = append(hosts, r.URL.Host)
		return &http.Response{StatusCode: http.StatusTemporaryRedirect, Header: http.Header{"Location": {"https://evil.org/"}}, Body: http.NoBody, Request: r}, nil
	})}})
	if err := c.respond(t.Context(), "https://hooks.slack.com/x", false, saying("x")); err == nil || len(hosts) != 1 {
		t.Errorf("%v, called %v", err, hosts)
	}
	read := 0
	c = newClient(Options{BotToken: "xoxb", Client: &http.Client{Transport: tripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: endless{&read}, Request: r}, nil
	})}})
	if _, err := c.post(t.Context(), deploysChannel, "", saying("x")); err == nil || read > 2*maxAnswer {
		t.Errorf("%v after %d bytes", err, read)
	}
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// endless is a body without end.
type endless struct{ read *int }

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	*e.read += len(p)
	return len(p), nil
}

func (endless) Close() error { return nil }
