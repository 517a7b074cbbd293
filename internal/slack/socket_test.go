package slack

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"deployportal/internal/slack/slacktest"
	"deployportal/internal/testenv"
)

// connected is a socket with a workspace at its other end.
func connected(t *testing.T, s *slacktest.Slack, log *strings.Builder, answer answerEnvelope) (stop func()) {
	t.Helper()
	o := Options{BotToken: slacktest.BotToken, AppToken: slacktest.AppToken, APIURL: s.Listen(t), Log: slog.New(slog.NewTextHandler(log, nil))}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- newSocket(o, answer).run(ctx) }()
	testenv.Until(t, 10*time.Second, "a connection", func() bool { return s.Connected() == 1 })
	return func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Error("it does not end")
		}
	}
}

// echo answers a command with its text, and a press with nothing; it counts.
func echo(n *atomic.Int64) answerEnvelope {
	return func(_ context.Context, e envelope) Message {
		n.Add(1)
		if e.press {
			return Message{}
		}
		var fields map[string]string
		if err := json.Unmarshal(e.payload, &fields); err != nil {
			return Message{Text: err.Error()}
		}
		return saying(fmt.Sprintf("%s of %s", fields["text"], fields["user_id"]))
	}
}

var someone = slacktest.User{ID: "U1", Name: "ana"}

// TestSocket: commands and presses are answered over the WebSocket, also after Slack asked for another, or the network cut it.
func TestSocket(t *testing.T) {
	s, log, n := slacktest.New(), &strings.Builder{}, new(atomic.Int64)
	stop := connected(t, s, log, echo(n))
	ask := func(words string) {
		t.Helper()
		a := s.Send(t.Context(), s.Command(someone, deploysChannel, "/deploy", words), 0)
		if a.Err != "" || a.Tries != 1 || a.Took > 3*time.Second {
			t.Fatalf("%s: %+v", words, a)
		}
		all := s.Messages(deploysChannel)
		if last := all[len(all)-1]; last.Seen() != words+" of U1" || last.For != "U1" {
			t.Errorf("%s: %+v", words, last)
		}
	}
	ask("one")
	a := s.Send(t.Context(), s.Press(someone, s.Messages(deploysChannel)[0], slacktest.Button{ActionID: actionDeploy, Value: "x"}), 0)
	if a.Err != "" || a.Body != "" || n.Load() != 2 {
		t.Errorf("a press: %+v", a)
	}
	again := func(what string) {
		t.Helper()
		testenv.Until(t, 10*time.Second, what, func() bool { return s.Connected() == 1 })
	}
	s.Disconnect("refresh_requested")
	again("another connection when Slack asked for it")
	ask("two")
	s.Cut()
	again("another connection after a cut")
	ask("three")
	stop()
	if s.Connected() != 0 {
		testenv.Until(t, 10*time.Second, "no connection", func() bool { return s.Connected() == 0 })
	}
	if strings.Contains(log.String(), "xapp") || strings.Contains(log.String(), "ticket") {
		t.Errorf("the log holds a secret:\n%s", log.String())
	}
}

// TestSocketTwice: the same envelope, sent again, is answered the same and does nothing a second time.
func TestSocketTwice(t *testing.T) {
	s, n := slacktest.New(), new(atomic.Int64)
	defer connected(t, s, &strings.Builder{}, echo(n))()
	first, second := s.Redeliver(t.Context(), s.Command(someone, deploysChannel, "/deploy", "api"))
	if first.Err != "" || second.Err != "" || first.Body != second.Body || !strings.Contains(first.Body, "api of U1") {
		t.Errorf("%+v\n%+v", first, second)
	}
	if n.Load() != 1 {
		t.Errorf("done %d times", n.Load())
	}
}

// TestSocketLong: an answer that Slack would drop for its length goes as text.
func TestSocketLong(t *testing.T) {
	s := slacktest.New()
	defer connected(t, s, &strings.Builder{}, func(context.Context, envelope) Message {
		m := saying(strings.Repeat("<", 2900))
		m.Blocks = append(m.Blocks, m.Blocks[0], m.Blocks[0])
		m.Text = "in short"
		return m
	})()
	a := s.Send(t.Context(), s.Command(someone, deploysChannel, "/deploy", "list"), 0)
	if a.Err != "" || len(a.Body) > mostAck || !strings.Contains(a.Body, "in short") {
		t.Errorf("%d bytes: %+v", len(a.Body), a.Err)
	}
}

// TestSocketRefused: a token that Slack refuses is told in the log without it, and ends nothing.
func TestSocketRefused(t *testing.T) {
	s, log := slacktest.New(), &strings.Builder{}
	url := s.Listen(t)
	o := Options{BotToken: slacktest.BotToken, AppToken: "xapp-wrong", APIURL: url, Log: slog.New(slog.NewTextHandler(log, nil))}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- newSocket(o, nil).run(ctx) }()
	testenv.Until(t, 10*time.Second, "two tries", func() bool { return len(s.Calls()) >= 2 })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := log.String(); !strings.Contains(got, "invalid_auth") || strings.Contains(got, "xapp") {
		t.Errorf("log: %s", got)
	}
}
