package slacktest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// sockets are the WebSocket connections of Socket Mode (docs.slack.dev/apis/events-api/using-socket-mode).
type sockets struct {
	tickets map[string]bool // of URLs that were handed out, each good for one connection
	open    []*link
	acks    map[string]chan json.RawMessage // by envelope
}

// link is one connection.
type link struct {
	conn *websocket.Conn
	mu   sync.Mutex // of writing
}

func (l *link) send(v any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn.WriteJSON(v)
}

// open answers apps.connections.open. The lock is held.
func (s *Slack) open() (map[string]any, *refusal) {
	if s.base == "" {
		return nil, refuse("internal_error") // in memory there is no WebSocket
	}
	s.serial++
	ticket := fmt.Sprintf("ticket-%d", s.serial)
	if s.socket.tickets == nil {
		s.socket = sockets{tickets: map[string]bool{}, acks: map[string]chan json.RawMessage{}}
	}
	s.socket.tickets[ticket] = true
	return map[string]any{"url": "ws" + strings.TrimPrefix(s.base, "http") + "/link?ticket=" + ticket}, nil
}

var upgrader = websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}

// connect serves one connection until it ends: it says hello and hands acks to who waits for them.
func (s *Slack) connect(w http.ResponseWriter, r *http.Request) {
	ticket := r.URL.Query().Get("ticket")
	known := false
	s.locked(func() {
		known = s.socket.tickets[ticket] && !s.down
		delete(s.socket.tickets, ticket)
	})
	if !known {
		http.Error(w, "no such connection", http.StatusForbidden)
		return
	}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	l := &link{conn: conn}
	hello := map[string]any{"type": "hello", "num_connections": 1, "connection_info": map[string]any{"app_id": s.App},
		"debug_info": map[string]any{"host": "applink", "approximate_connection_time": 18060}}
	if err := l.send(hello); err != nil {
		return
	}
	s.locked(func() { s.socket.open = append(s.socket.open, l) })
	defer s.drop(l)
	for {
		var ack struct {
			EnvelopeID string          `json:"envelope_id"`
			Payload    json.RawMessage `json:"payload"`
		}
		if err := conn.ReadJSON(&ack); err != nil {
			return
		}
		s.locked(func() {
			if waiting := s.socket.acks[ack.EnvelopeID]; waiting != nil {
				waiting <- ack.Payload
				delete(s.socket.acks, ack.EnvelopeID)
			}
		})
	}
}

func (s *Slack) drop(l *link) {
	_ = l.conn.Close()
	s.locked(func() {
		for i, o := range s.socket.open {
			if o == l {
				s.socket.open = append(s.socket.open[:i:i], s.socket.open[i+1:]...)
				return
			}
		}
	})
}

// Connected is how many connections are open.
func (s *Slack) Connected() (n int) {
	s.locked(func() { n = len(s.socket.open) })
	return n
}

// Disconnect tells every connection to go, for one of Slack's reasons ("warning", "refresh_requested", "link_disabled"), and
// closes it.
func (s *Slack) Disconnect(reason string) {
	var all []*link
	s.locked(func() { all = append(all, s.socket.open...) })
	for _, l := range all {
		_ = l.send(map[string]any{"type": "disconnect", "reason": reason, "debug_info": map[string]any{"host": "applink"}})
		s.drop(l)
	}
}

// Cut closes every connection without a word, as a network does.
func (s *Slack) Cut() {
	var all []*link
	s.locked(func() { all = append(all, s.socket.open...) })
	for _, l := range all {
		s.drop(l)
	}
}

// deliver sends an envelope and waits for its ack; without one in time it sends the same once more.
func (s *Slack) deliver(ctx context.Context, r Request) Answer {
	id := "envelope-" + s.trigger()
	began, a := time.Now(), Answer{}
	for try := range 2 {
		if a = s.envelope(ctx, id, r, try); a.Err != "operation_timeout" {
			break
		}
	}
	a.Took = time.Since(began)
	return a
}

// Redeliver sends the same envelope twice, whatever becomes of the first, as Slack does when an ack is lost on its way.
func (s *Slack) Redeliver(ctx context.Context, r Request) (first, second Answer) {
	id := "envelope-" + s.trigger()
	return s.envelope(ctx, id, r, 0), s.envelope(ctx, id, r, 1)
}

// envelope sends an envelope once and waits for its ack.
func (s *Slack) envelope(ctx context.Context, id string, r Request, retry int) Answer {
	ack := make(chan json.RawMessage, 1)
	var l *link
	s.locked(func() {
		if n := len(s.socket.open); n > 0 {
			l = s.socket.open[n-1]
			s.socket.acks[id] = ack
		}
	})
	envelope := map[string]any{"envelope_id": id, "type": r.Kind, "payload": r.JSON, "accepts_response_payload": true}
	if retry > 0 {
		envelope["retry_attempt"], envelope["retry_reason"] = retry, "timeout"
	}
	a := Answer{Tries: retry + 1}
	if l == nil || l.send(envelope) != nil {
		a.Err = "dispatch_failed"
		return a
	}
	began, late := time.Now(), time.NewTimer(s.patience())
	defer late.Stop()
	select {
	case payload := <-ack:
		a.Status, a.Body = http.StatusOK, string(payload)
	case <-late.C:
		a.Err = "operation_timeout"
	case <-ctx.Done():
		a.Err = "dispatch_failed"
	}
	a.Took = time.Since(began)
	return a
}
