// Package slacktest is a workspace of Slack for tests: it speaks the part of Slack's API that the portal uses, refuses what
// Slack would refuse, and keeps what a person sees. It knows nothing of the portal but its address.
//
// In a test without a network, Client gives a client that reaches it in memory under Slack's real hosts; Listen serves it on
// a port, which Socket Mode needs.
package slacktest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// What the workspace and its one app are called, unless a test says otherwise.
const (
	Team          = "T0WORKSPACE"
	App           = "A0PORTAL"
	BotToken      = "xoxb-the-bot-token"
	AppToken      = "xapp-the-app-token"
	SigningSecret = "the signing secret of the app"

	bot = "B0PORTAL"
)

// Slack is a workspace with one app. Its fields are set before it is used.
type Slack struct {
	Team, App, BotToken, AppToken, SigningSecret string

	Scopes  []string         // of the bot token
	Portal  string           // where commands and presses go over HTTP; empty: over Socket Mode
	Web     *http.Client     // that reaches the portal; nil: http.DefaultClient
	Now     func() time.Time // nil: time.Now
	Every   time.Duration    // edits of one message that follow each other faster are told to wait; 0: any may
	Patient time.Duration    // how long Slack waits for an answer to a command; 0: 3 s

	mu        sync.Mutex
	base      string // where it is served; empty: in memory, under Slack's hosts
	channels  map[string]*channel
	responses map[string]*response
	limits    map[string]time.Time // by method: nothing is taken before
	commands  map[string]bool      // that there are; nil: any
	down      bool
	calls     []Call
	serial    int
	socket    sockets
}

// channel is one channel, with all messages in the order they were posted.
type channel struct {
	member, archived bool
	messages         []*Message
}

// Message is a message as a person sees it, with what it said before.
type Message struct {
	Channel, TS string
	Thread      string // ts of the message whose thread it is in; empty: in the channel
	Text        string
	Blocks      json.RawMessage
	For         string // the only user who sees it; empty: everybody
	By          string // the bot, or a user
	Deleted     bool
	At          time.Time // posted
	Edits       []Edit    // oldest first; the last one is what it says now
}

// Edit is one state of a message that was edited.
type Edit struct {
	At   time.Time
	Seen string
}

// Call is one call of Slack's API and what became of it.
type Call struct {
	At      time.Time
	Method  string
	Channel string
	Error   string // "ok", Slack's word, "429", or "down"
}

// New is a workspace without channels, whose bot may write.
func New() *Slack {
	return &Slack{
		Team: Team, App: App, BotToken: BotToken, AppToken: AppToken, SigningSecret: SigningSecret, Scopes: []string{"commands", "chat:write"},
		channels: map[string]*channel{}, responses: map[string]*response{}, limits: map[string]time.Time{},
	}
}

// Client reaches the workspace in memory: https://slack.com/api/ and https://hooks.slack.com. It knows no other host.
func (s *Slack) Client() *http.Client { return &http.Client{Transport: inMemory{s}} }

type inMemory struct{ s *Slack }

// RoundTrip implements http.RoundTripper.
func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" || r.URL.Host != "slack.com" && r.URL.Host != "hooks.slack.com" {
		return nil, fmt.Errorf("dial tcp: lookup %s: no such host", r.URL.Hostname())
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if m.s.isDown(r) {
		return nil, fmt.Errorf("dial tcp: connection refused")
	}
	w := httptest.NewRecorder()
	m.s.ServeHTTP(w, r)
	res := w.Result()
	res.Request = r
	return res, nil
}

// Listen serves the workspace on a port of this machine until the test ends, and gives the address of its API.
func (s *Slack) Listen(tb testing.TB) (apiURL string) {
	tb.Helper()
	server := httptest.NewServer(s)
	tb.Cleanup(func() {
		s.Disconnect("link_disabled")
		server.Close()
	})
	s.mu.Lock()
	s.base = server.URL
	s.mu.Unlock()
	return server.URL + "/api/"
}

// Invite makes a channel that the bot is a member of, or makes it one.
func (s *Slack) Invite(channels ...string) {
	s.locked(func() {
		for _, id := range channels {
			s.channelOf(id).member = true
		}
	})
}

// Create makes a channel that the bot is no member of; Kick takes the bot out of one.
func (s *Slack) Create(id string) { s.locked(func() { s.channelOf(id) }) }

// Kick takes the bot out of a channel.
func (s *Slack) Kick(id string) { s.locked(func() { s.channelOf(id).member = false }) }

// Archive archives a channel.
func (s *Slack) Archive(id string) { s.locked(func() { s.channelOf(id).archived = true }) }

// Delete deletes a message, as a person may.
func (s *Slack) Delete(m Message) {
	s.locked(func() {
		if stands := s.message(m.Channel, m.TS); stands != nil {
			stands.Deleted = true
		}
	})
}

// Say posts a message of a person.
func (s *Slack) Say(channel, user, words string) Message {
	var m *Message
	s.locked(func() { m = s.put(&Message{Channel: channel, Text: words, By: user}) })
	return *m
}

// SetToken makes another bot token the good one.
func (s *Slack) SetToken(token string) { s.locked(func() { s.BotToken = token }) }

// SetDown makes Slack unreachable, or reachable again.
func (s *Slack) SetDown(down bool) { s.locked(func() { s.down = down }) }

// Limit has a method ("chat.update") answer 429 for so long, with what is left of it as Retry-After.
func (s *Slack) Limit(method string, d time.Duration) {
	s.locked(func() { s.limits[method] = s.now().Add(d) })
}

// Messages lists what stands in a channel, oldest first, with what only one person sees, without threads and without what
// was deleted.
func (s *Slack) Messages(channel string) []Message { return s.list(channel, "") }

// Thread lists the replies to a message, oldest first.
func (s *Slack) Thread(m Message) []Message { return s.list(m.Channel, m.TS) }

func (s *Slack) list(channel, thread string) (out []Message) {
	s.locked(func() {
		for _, m := range s.channelOf(channel).messages {
			if m.Thread == thread && !m.Deleted {
				kept := *m
				kept.Edits = slices.Clone(m.Edits)
				out = append(out, kept)
			}
		}
	})
	return out
}

// Calls lists what was asked of the API, oldest first.
func (s *Slack) Calls() (out []Call) {
	s.locked(func() { out = slices.Clone(s.calls) })
	return out
}

func (s *Slack) locked(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *Slack) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

func (s *Slack) isDown(r *http.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		s.calls = append(s.calls, Call{At: s.now(), Method: strings.TrimPrefix(r.URL.Path, "/api/"), Error: "down"})
	}
	return s.down
}

// channelOf gives a channel, made where there is none. The lock is held.
func (s *Slack) channelOf(id string) *channel {
	c := s.channels[id]
	if c == nil {
		c = &channel{}
		s.channels[id] = c
	}
	return c
}

// message gives a message that stands. The lock is held.
func (s *Slack) message(channel, ts string) *Message {
	c := s.channels[channel]
	if c == nil {
		return nil
	}
	for _, m := range c.messages {
		if m.TS == ts && !m.Deleted {
			return m
		}
	}
	return nil
}

// put adds a message to its channel. The lock is held.
func (s *Slack) put(m *Message) *Message {
	s.serial++
	m.At = s.now()
	m.TS = fmt.Sprintf("%d.%06d", m.At.Unix(), s.serial)
	c := s.channelOf(m.Channel)
	c.messages = append(c.messages, m)
	return m
}

// Seen is all that a person reads of a message, a line for each text and button; without blocks, its text.
func (m Message) Seen() string {
	if len(m.Blocks) == 0 || string(m.Blocks) == "[]" {
		return m.Text
	}
	var blocks []*block
	if err := json.Unmarshal(m.Blocks, &blocks); err != nil {
		return err.Error()
	}
	var lines []string
	for _, b := range blocks {
		if b.Text != nil {
			lines = append(lines, b.Text.Text)
		}
		for _, f := range b.Fields {
			lines = append(lines, f.Text)
		}
		for _, e := range b.Elements {
			if e.block.Type == "button" {
				lines = append(lines, "["+e.block.Text.Text+"]")
			} else {
				lines = append(lines, e.text.Text)
			}
		}
		if b.Accessory != nil {
			lines = append(lines, "["+b.Accessory.Text.Text+"]")
		}
	}
	return strings.Join(lines, "\n")
}

// Button finds a button by its action id, or nil.
func (m Message) Button(actionID string) *Button {
	var blocks []*block
	_ = json.Unmarshal(m.Blocks, &blocks) // it was validated when it came
	for _, b := range blocks {
		all := []*block{b.Accessory}
		for _, e := range b.Elements {
			all = append(all, &e.block)
		}
		for _, e := range all {
			if e != nil && e.Type == "button" && e.ActionID == actionID {
				return &Button{Text: e.Text.Text, ActionID: e.ActionID, BlockID: b.BlockID, Value: e.Value, URL: e.URL, Confirms: e.Confirm != nil}
			}
		}
	}
	return nil
}

// Button is a button of a message.
type Button struct {
	Text, ActionID, BlockID, Value, URL string
	Confirms                            bool // a dialog asks once more
}
