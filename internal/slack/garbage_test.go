package slack

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

// answersWith is a Slack, or what stands before it, that says one thing alone.
type answersWith struct {
	status int
	after  string
	body   string
	asked  int
}

func (g *answersWith) RoundTrip(r *http.Request) (*http.Response, error) {
	g.asked++
	h := http.Header{"Content-Type": {"application/json"}}
	if g.after != "" {
		h.Set("Retry-After", g.after)
	}
	return &http.Response{StatusCode: g.status, Status: http.StatusText(g.status), Header: h, Body: io.NopCloser(strings.NewReader(g.body)), Request: r}, nil
}

// TestClientGarbage: what is no answer of Slack's is an error, quick, that quotes nothing of it.
func TestClientGarbage(t *testing.T) {
	for name, g := range map[string]*answersWith{
		"a page":        {status: 200, body: "<html>s3cr3t</html>"},
		"nothing":       {status: 200},
		"null":          {status: 200, body: "null"},
		"an object":     {status: 200, body: "{}"},
		"no ts":         {status: 200, body: `{"ok":true}`},
		"a list":        {status: 200, body: `["s3cr3t"]`},
		"much":          {status: 200, body: `{"ok":true,"ts":"` + strings.Repeat("s3cr3t", 1<<20)},
		"502":           {status: 502, body: "s3cr3t"},
		"429 and that":  {status: 429, body: "s3cr3t"},
		"429 in words":  {status: 429, after: "soon"},
		"a way off":     {status: 302},
		"429 for years": {status: 429, after: "1000000000"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(Options{BotToken: "xoxb-t0ken", Client: &http.Client{Transport: g}, Log: slog.New(slog.DiscardHandler)})
				ctx, cancel := context.WithTimeout(t.Context(), sayLimit)
				defer cancel()
				ts, err := c.post(ctx, "C0", "", Message{Text: "x"})
				if err == nil || ts != "" || g.asked != 1 {
					t.Fatalf("ts %q, %v, asked %d times", ts, err, g.asked)
				}
				if s := err.Error(); strings.Contains(s, "s3cr3t") || strings.Contains(s, "t0ken") || len(s) > 400 {
					t.Errorf("%s", s)
				}
				var limit *limited
				if errors.As(err, &limit) && limit.after > mostWait {
					t.Errorf("it is to be left alone for %s", limit.after)
				}
			})
		})
	}
}

// TestCallAfterTheEnd: nothing is said any more once the portal stops, only what was begun is ended.
func TestCallAfterTheEnd(t *testing.T) {
	a := newAnnouncer(Options{}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 {
		if err := a.call(ctx, func(context.Context) error { return nil }); err == nil {
			t.Fatal("it was said")
		}
	}
}
