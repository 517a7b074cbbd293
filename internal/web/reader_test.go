package web

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// event is one message as a reader gets it.
type event struct{ id, name, data string }

// reader is an open stream.
type reader struct {
	t    testing.TB
	res  *http.Response
	in   *bufio.Reader
	stop func()
}

// listen opens a stream. It must be answered with one.
func (b *browser) listen(path, last string) *reader {
	b.p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	r, err := http.NewRequestWithContext(ctx, "GET", b.p.base+path, nil)
	if err != nil {
		b.p.t.Fatal(err)
	}
	r.AddCookie(b.cookie)
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	res, err := transport.RoundTrip(r)
	if err != nil {
		b.p.t.Fatal(err)
	}
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" || res.Header.Get("X-Accel-Buffering") != "no" || res.Header.Get("Cache-Control") != "no-store" {
		b.p.t.Fatalf("%s: %s %v", path, res.Status, res.Header)
	}
	rd := &reader{t: b.p.t, res: res, in: bufio.NewReader(res.Body), stop: func() { cancel(); _ = res.Body.Close() }}
	b.p.t.Cleanup(rd.stop)
	return rd
}

// next gives the next message, or io.EOF when the server has ended the stream.
func (r *reader) next() (event, error) {
	var e event
	var data []string
	for {
		line, err := r.in.ReadString('\n')
		if err != nil {
			return e, err
		}
		switch name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); name {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			data = append(data, value)
		case "":
			e.data = strings.Join(data, "\n")
			return e, nil
		}
	}
}

// until reads on to the first message of a name; "" is news.
func (r *reader) until(name string) event {
	r.t.Helper()
	for {
		e, err := r.next()
		if err != nil {
			r.t.Fatalf("waiting for %q: %v", name, err)
		}
		if e.name == name {
			return e
		}
	}
}

// says reads on to news that say something.
func (r *reader) says(want string) {
	r.t.Helper()
	for e := r.until(""); !strings.Contains(e.data, want); e = r.until("") {
	}
}

func (r *reader) ends() {
	r.t.Helper()
	for {
		e, err := r.next()
		if err == io.EOF {
			return
		}
		if err != nil || e.name != "beat" {
			r.t.Fatalf("waiting for the end: %v, %v", e, err)
		}
	}
}

// hand gives a ticker that a test turns: check and beat of every stream opened after it.
type hand struct {
	mu    sync.Mutex
	ticks map[time.Duration][]chan time.Time
}

func (h *hand) ticker(d time.Duration) (<-chan time.Time, func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ticks == nil {
		h.ticks = map[time.Duration][]chan time.Time{}
	}
	c := make(chan time.Time, 1)
	h.ticks[d] = append(h.ticks[d], c)
	return c, func() {}
}

func (h *hand) tick(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.ticks[d] {
		select {
		case c <- time.Time{}:
		default:
		}
	}
}
