package gitea

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/gitea/giteatest"
)

const secret = "canary-5f1d0e7a-token"

// clock is a time that moves only when told to.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is a fake Gitea and a client of it.
type world struct {
	*Client
	fake  *giteatest.Server
	web   *httptest.Server
	clock *clock
	log   *bytes.Buffer
	app   deploys.App
}

func (w *world) host() string { return w.web.Listener.Addr().String() }

func newWorld(t *testing.T, change ...func(*Options)) *world {
	t.Helper()
	w := &world{clock: &clock{now: time.Date(2026, 4, 24, 9, 0, 0, 0, time.UTC)}, log: &bytes.Buffer{}}
	w.fake = giteatest.New(giteatest.Options{Now: w.clock.Now, Accounts: []giteatest.Account{
		{Name: "portal", Token: secret, Scopes: []string{"read:package", "read:repository"}},
		{Name: "narrow", Token: secret + "-packages", Scopes: []string{"read:package"}},
		{Name: "blind", Token: secret + "-commits", Scopes: []string{"read:repository"}},
		{Name: "stranger", Token: secret + "-stranger", NoTeam: true},
	}})
	w.web = httptest.NewServer(w.fake.Handler())
	t.Cleanup(w.web.Close)
	w.Client = w.client(t, change...)
	w.app = deploys.App{Repository: w.host() + "/acme/api", Git: "acme/api"}
	return w
}

// client makes another client of the same Gitea.
func (w *world) client(t *testing.T, change ...func(*Options)) *Client {
	t.Helper()
	o := Options{
		URL: w.web.URL, User: "portal", Token: secret, Now: w.clock.Now,
		Logger: slog.New(slog.NewTextHandler(&locked{w: w.log}, nil)),
	}
	for _, f := range change {
		f(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	c.after = func(time.Duration) <-chan time.Time { return nil } // no patience, no timer, unless a test sets one
	return c
}

func token(value string) func(*Options) {
	return func(o *Options) { o.Token = value }
}

type locked struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// calls gives what was asked since the last time, as "GET /path".
func (w *world) calls() []string {
	var all []string
	for _, r := range w.fake.Requests() {
		all = append(all, r.Method+" "+r.Path)
	}
	w.fake.Reset()
	return all
}

func (w *world) wantCalls(t *testing.T, n int) {
	t.Helper()
	if got := w.calls(); len(got) != n {
		t.Errorf("%d calls, want %d:\n%s", len(got), n, strings.Join(got, "\n"))
	}
}

func wantFault(t *testing.T, err error, kind errs.Kind, sentence string) {
	t.Helper()
	if errs.KindOf(err) != kind || !strings.Contains(errs.Public(err), sentence) {
		t.Errorf("error %v (%s), want %s with %q", err, errs.KindOf(err), kind, sentence)
	}
	if err != nil && strings.Contains(err.Error(), secret) {
		t.Errorf("the token stands in the error: %v", err)
	}
}

// sha makes the n-th commit's SHA.
func sha(n int) string { return fmt.Sprintf("%07x%033x", n+0xa000000, n) }

// history adds n commits to acme/api.
func (w *world) history(n int) {
	for i := range n {
		w.fake.AddRepo("acme", "api", giteatest.Commit{
			SHA: sha(i), Message: fmt.Sprintf("Change %d\n\nMore.", i), Author: "Ana Duarte", At: w.clock.Now(),
		})
	}
}

// push pushes the images of commits from..to-1, one second apart.
func (w *world) push(from, to int, image giteatest.Image) {
	for i := from; i < to; i++ {
		w.clock.add(time.Second)
		w.fake.PushImage("acme/api", sha(i), image)
	}
}

func tags(l deploys.List) []string {
	var all []string
	for _, i := range l.Images {
		all = append(all, i.Tag)
	}
	return all
}

func TestNewNamesTheWrongOption(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{}, "url"},
		{Options{URL: "ftp://x"}, "url"},
		{Options{URL: "https://me:" + secret + "@git.example.org"}, "password"},
		{Options{URL: "https://git.example.org/?a=b"}, "query"},
		{Options{URL: "https://git.example.org", RegistryHost: "a/b"}, "registry host"},
		{Options{URL: "https://git.example.org", User: "portal"}, "without a token"},
	} {
		_, err := New(c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), secret) {
			t.Errorf("New(%+v): %v, want an error about %q", c.o, err, c.want)
		}
	}
}

func TestSubPathReachesTheAPIButNotTheRegistry(t *testing.T) {
	fake := giteatest.New(giteatest.Options{SubPath: "/git", Public: true})
	web := httptest.NewServer(fake.Handler())
	defer web.Close()
	fake.PushImage("acme/api", sha(1), giteatest.MultiArch())
	c, err := New(Options{URL: web.URL + "/git/"})
	if err != nil {
		t.Fatal(err)
	}
	app := deploys.App{Repository: web.Listener.Addr().String() + "/acme/api"}
	if l := c.Images(t.Context(), app); l.Err != nil || len(l.Images) != 1 {
		t.Errorf("list %+v", l)
	}
	if _, err := c.Resolve(t.Context(), app.Repository, sha(1)); err != nil {
		t.Errorf("anonymous resolve: %v", err)
	}
}

// waitFor gives what a channel gives, or fails when the test's time is up.
func waitFor[T any](t *testing.T, ch <-chan T) (v T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	select {
	case v = <-ch:
	case <-ctx.Done():
		t.Fatal("waited in vain")
	}
	return v
}

// hold makes every request wait until let is called; each that arrives rings arrived.
func hold(fake *giteatest.Server) (arrived chan string, let func()) {
	arrived = make(chan string, 100)
	gate := make(chan struct{})
	remove := fake.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		arrived <- r.URL.Path
		select {
		case <-gate:
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})
	return arrived, func() { remove(); close(gate) }
}
