package slack

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	api "github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"
)

const (
	envelopeKept  = 10 * time.Minute // longer than Slack sends one again
	envelopeLimit = 64 << 10         // bytes of one message of Slack
	mostAck       = 19 << 10         // bytes of an answer; Slack drops what is 20 KiB long without a word
	mostEnvelopes = 32               // answered at once
	ackLimit      = 3 * time.Second
)

// envelope is what Slack sends over a WebSocket: the fields of a command, or the payload of a press.
type envelope struct {
	press   bool
	payload json.RawMessage
}

// answerEnvelope answers an envelope in time for Slack; an empty Message acknowledges it without a word.
type answerEnvelope func(context.Context, envelope) Message

// socket is the other transport: a WebSocket that the portal opens, for clusters that nobody reaches from outside. What comes
// over it is not signed; that it comes from Slack is known by the connection, which Slack gave us for the app's token.
//
// Slack sends an envelope again that it saw no answer to. The second is told what the first was answered with.
type socket struct {
	api    *api.Client
	log    *slog.Logger
	answer answerEnvelope

	mu    sync.Mutex
	taken map[string]*answerOf // by envelope id
	room  chan struct{}
}

// answerOf is what an envelope was answered with, once said is closed.
type answerOf struct {
	said chan struct{}
	m    Message
	at   time.Time
}

func newSocket(o Options, answer answerEnvelope) *socket {
	c := newClient(o)
	return &socket{api: c.api, log: c.log, answer: answer, taken: map[string]*answerOf{}, room: make(chan struct{}, mostEnvelopes)}
}

// run keeps a connection until ctx ends: slack-go opens another when Slack asks for it or a network cuts it, and gives up
// only where Slack refuses the token. That too is tried again: it may be mended at Slack's side.
func (s *socket) run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for rest := leastRest; ; rest = min(2*rest, 5*time.Minute) {
		began := time.Now()
		client := socketmode.New(s.api, socketmode.OptionReadLimit(envelopeLimit))
		one, cancel := context.WithCancel(ctx)
		wg.Go(func() { s.events(one, client, &wg) })
		err := client.RunContext(one)
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		s.log.Error("slack: the connection of Socket Mode ended; it is opened again", "err", public("apps.connections.open", err))
		if time.Since(began) > time.Hour {
			rest = leastRest
		}
		if !pauseFor(ctx, rest, nil) {
			return nil
		}
	}
}

// events takes what comes over one client until ctx ends.
func (s *socket) events(ctx context.Context, client *socketmode.Client, wg *sync.WaitGroup) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-client.Events:
			switch e.Type {
			case socketmode.EventTypeConnected:
				s.log.Info("slack: Socket Mode is connected")
			case socketmode.EventTypeConnectionError:
				if failed, ok := e.Data.(*api.ConnectionErrorEvent); ok {
					s.log.Warn("slack: Socket Mode cannot be connected; it is tried again", "in", failed.Backoff.Round(time.Second), "err", public("apps.connections.open", failed.ErrorObj))
				}
			case socketmode.EventTypeSlashCommand, socketmode.EventTypeInteractive:
				s.take(ctx, client, *e.Request, wg)
			}
		}
	}
}

// take answers an envelope beside others. Without room for it nothing is said, and Slack sends it again.
func (s *socket) take(ctx context.Context, client *socketmode.Client, r socketmode.Request, wg *sync.WaitGroup) {
	select {
	case s.room <- struct{}{}:
	default:
		s.log.Warn("slack: too much at once; an envelope is left to be sent again")
		return
	}
	wg.Go(func() {
		defer func() { <-s.room }()
		m := s.once(ctx, r)
		ctx, cancel := context.WithTimeout(ctx, ackLimit)
		defer cancel()
		if err := client.AckCtx(ctx, r.EnvelopeID, ackOf(m)); err != nil && ctx.Err() == nil {
			s.log.Warn("slack: an answer did not arrive", "err", err)
		}
	})
}

// once answers an envelope, or gives what the same one was answered with.
func (s *socket) once(ctx context.Context, r socketmode.Request) Message {
	s.mu.Lock()
	for id, a := range s.taken {
		if time.Since(a.at) > envelopeKept {
			delete(s.taken, id)
		}
	}
	a, again := s.taken[r.EnvelopeID]
	if !again {
		a = &answerOf{said: make(chan struct{}), at: time.Now()}
		s.taken[r.EnvelopeID] = a
	}
	s.mu.Unlock()
	if again {
		select {
		case <-a.said:
			return a.m
		case <-ctx.Done():
			return Message{}
		}
	}
	defer close(a.said)
	a.m = s.answer(ctx, envelope{press: r.Type == socketmode.RequestTypeInteractive, payload: r.Payload})
	return a.m
}

// ackOf is an answer as Slack takes it with an acknowledgement; one that is too long goes without its blocks. Nil: nothing.
func ackOf(m Message) any {
	if m.Text == "" && len(m.Blocks) == 0 {
		return nil
	}
	body := struct {
		Type   string      `json:"response_type"`
		Text   string      `json:"text"`
		Blocks []api.Block `json:"blocks,omitempty"`
	}{"ephemeral", m.Text, m.Blocks}
	if text, err := json.Marshal(body); err != nil || len(text) > mostAck {
		body.Blocks = nil
	}
	return body
}

// overSocket answers what came over a WebSocket as if it had come signed over HTTP.
func (d *Door) overSocket(ctx context.Context, e envelope) Message {
	request := newRequestID()
	a, err := askOfEnvelope(e, request)
	if err != nil {
		d.Log.Warn("slack: an envelope is malformed", "request", request, "err", err)
		return Message{}
	}
	m, err := d.handle(ctx, a)
	if err != nil {
		return saySorry(err, request)
	}
	return m
}

func askOfEnvelope(e envelope, request string) (ask, error) {
	if e.press {
		return askOfPress(e.payload, request)
	}
	var c api.SlashCommand
	if err := json.Unmarshal(e.payload, &c); err != nil || c.Command == "" || c.ResponseURL == "" {
		return ask{}, errMalformed // the cause could quote what somebody typed
	}
	return askOfCommand(c, request), nil
}
