package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"deployportal/internal/auth"
	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

func echoContext(r *http.Request) echo.Context {
	return echo.New().NewContext(r, httptest.NewRecorder())
}

// failing makes one read of the domain fail.
type failing struct {
	Deploys
	err   error
	panic bool
}

func (f *failing) Get(ctx context.Context, id int64) (deploys.Deploy, error) {
	if f.panic {
		panic("canary-of-a-panic")
	}
	if f.err != nil {
		return deploys.Deploy{}, f.err
	}
	return f.Deploys.Get(ctx, id)
}

const canary = "canary-7f3a: dial tcp 10.0.0.7:5432"

// Every kind has its status, a sentence, what to do and the request's id; what is inside an error is the log's alone.
func TestEveryKindOfError(t *testing.T) {
	f := &failing{}
	p := newPortal(t, func(o *Options) { f.Deploys = o.Deploys; o.Deploys = f }, nil)
	ana := p.as(admin)
	inside := errors.New(canary)
	for _, c := range []struct {
		err    error
		status int
		say    string
	}{
		{errs.Wrap(inside, errs.Invalid, "It is wrong."), 400, "It is wrong."},
		{errs.Wrap(inside, errs.Unauthenticated, "Who are you?"), 401, "Who are you?"},
		{errs.Wrap(inside, errs.Forbidden, "You may not."), 403, "You may not."},
		{errs.Wrap(inside, errs.NotFound, "It is not there."), 404, "It is not there."},
		{errs.Wrap(inside, errs.Conflict, "It has changed."), 409, "It has changed."},
		{errs.Wrap(&auth.LimitError{RetryAfter: 90 * time.Second}, errs.TooMany, "Too often."), 429, "Too often."},
		{errs.Wrap(inside, errs.Unavailable, "Not now."), 503, "Not now."},
		{errs.Wrap(inside, errs.Internal, ""), 500, "Something went wrong on our side."},
		{fmt.Errorf("reading: %w", inside), 500, "Something went wrong on our side."},
	} {
		f.err = c.err
		a := ana.get("/deploys/1")
		request := a.Header.Get("X-Request-Id")
		if a.StatusCode != c.status || a.text("h1") != c.say || !strings.Contains(a.text("main"), request) || a.text("main p") == "" {
			t.Errorf("%v: %s, %q", c.err, a.Status, a.text("main"))
		}
		if strings.Contains(a.body, "canary") {
			t.Errorf("%v: the page has what is inside", c.err)
		}
		if !strings.Contains(lineOf(p, request), fmt.Sprintf("status=%d", c.status)) || (errors.Is(c.err, inside) && !strings.Contains(lineOf(p, request), "canary")) {
			t.Errorf("%v: the log says %q", c.err, lineOf(p, request))
		}
		if c.status == 429 && a.Header.Get("Retry-After") != "90" {
			t.Errorf("Retry-After %q", a.Header.Get("Retry-After"))
		}
		ana.header = http.Header{"Hx-Request": {"true"}}
		a = ana.get("/deploys/1")
		if a.StatusCode != c.status || !strings.HasPrefix(a.body, c.say+" (request ") || strings.Contains(a.body, "canary") {
			t.Errorf("%v for htmx: %s %q", c.err, a.Status, a.body)
		}
		ana.header = nil
	}
	f.err, f.panic = nil, true
	a := ana.get("/deploys/1")
	if a.StatusCode != 500 || strings.Contains(a.body, "canary") || !strings.Contains(lineOf(p, a.Header.Get("X-Request-Id")), "canary-of-a-panic") {
		t.Errorf("a panic: %s %q", a.Status, a.text("main"))
	}
}

// lineOf is the log's line of a request.
func lineOf(p *portal, request string) string {
	for line := range strings.SplitSeq(p.log.String(), "\n") {
		if strings.Contains(line, "msg=request ") && strings.Contains(line, "request="+request) {
			return line
		}
	}
	return ""
}

// The log has one line per request, no query and no secret.
func TestLog(t *testing.T) {
	p := newPortal(t, nil, nil)
	b := p.as(admin)
	b.get("/audit?sha=canary-in-a-query")
	b.get("/sign-in?next=%2Fcanary-in-a-query")
	for _, secret := range []string{password, b.cookie.Value, "canary"} {
		if strings.Contains(p.log.String(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
	if n := strings.Count(p.log.String(), "path=/audit "); n != 1 {
		t.Errorf("%d lines for one request", n)
	}
}

// A client that went away is logged as that and answered with nothing.
func TestClientGone(t *testing.T) {
	entered := make(chan struct{})
	p := newPortal(t, func(o *Options) { o.Deploys = &waiting{o.Deploys, entered} }, nil)
	ana := p.as(admin)
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, "GET", p.base+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(ana.cookie)
	go func() { <-entered; cancel() }()
	if res, err := transport.RoundTrip(r); err == nil {
		_ = res.Body.Close()
		t.Fatal("it was answered")
	}
	p.until("it is logged", func() bool { return strings.Contains(p.log.String(), "status=499") })
}

type waiting struct {
	Deploys
	entered chan struct{}
}

func (w *waiting) Active(ctx context.Context) (map[deploys.Target]deploys.Deploy, error) {
	close(w.entered)
	<-ctx.Done()
	return nil, fmt.Errorf("listing deploys: %w", ctx.Err())
}

func TestOptions(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("a server of nothing")
	}
	p := newPortal(t, nil, nil)
	for _, bad := range []string{"portal.example.org", "ftp://x", "https://u:p@x", "https://x/path", "https://x?q", "::"} {
		o := p.server.Options
		o.PublicURL = bad
		if _, err := New(o); err == nil {
			t.Errorf("the public URL %q is taken", bad)
		}
	}
}
