package gitea

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/gitea/giteatest"
)

const hookSecret = "a secret for events"

func sign(key string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

func packageEvent(kind, name, version string) []byte {
	return fmt.Appendf(nil, `{"action":"created","repository":null,"package":{"type":%q,"name":%q,"version":%q,"owner":{"login":"acme"}}}`, kind, name, version)
}

func headers(body []byte, more ...string) http.Header {
	h := http.Header{}
	h.Set("X-Gitea-Event", "package")
	h.Set("X-Gitea-Signature", sign(hookSecret, body))
	for i := 0; i+1 < len(more); i += 2 {
		if h.Set(more[i], more[i+1]); more[i+1] == "" {
			h.Del(more[i])
		}
	}
	return h
}

func (w *world) hook(apps ...deploys.App) *Hook {
	return w.Hook(hookSecret, func() []deploys.App { return apps })
}

func TestHookJudgesEvents(t *testing.T) {
	w := newWorld(t)
	good := packageEvent("container", "api", "abc1234")
	for _, c := range []struct {
		name   string
		header http.Header
		body   []byte
		status int
		want   string
	}{
		{"a push", headers(good), good, 202, "Looking for new images of acme/api."},
		{"upper-case owner", nil, bytes.Replace(good, []byte("acme"), []byte("Acme"), 1), 202, "Acme/api"},
		{"no signature", headers(good, "X-Gitea-Signature", ""), good, 401, "signature"},
		{"another secret", headers(good, "X-Gitea-Signature", sign("other", good)), good, 401, "signature"},
		{"no hex", headers(good, "X-Gitea-Signature", "zz"), good, 401, "signature"},
		{"a cut signature", headers(good, "X-Gitea-Signature", sign(hookSecret, good)[:32]), good, 401, "signature"},
		{"an altered body", headers(good), append(bytes.Clone(good), ' '), 401, "signature"},
		{"a foreign event", headers(good, "X-Gitea-Event", "push"), good, 200, "package events only"},
		{"a part", nil, packageEvent("container", "api", "sha256:00"), 200, "tags of container images"},
		{"another kind", nil, packageEvent("npm", "api", "1.0"), 200, "tags of container images"},
		{"an image of nobody", nil, packageEvent("container", "else", "abc1234"), 200, "no app uses acme/else"},
		{"garbage", nil, []byte("{"), 400, "no valid JSON"},
		{"no package", nil, []byte(`{"action":"created"}`), 400, "names no package"},
		{"too large", nil, bytes.Repeat([]byte(" "), hookLimit+1), 413, "256 KiB"},
	} {
		if c.header == nil {
			c.header = headers(c.body)
		}
		status, said := w.hook(w.app).Receive(c.header, c.body)
		if status != c.status || !strings.Contains(said, c.want) {
			t.Errorf("%s: %d %q, want %d with %q", c.name, status, said, c.status, c.want)
		}
	}
	// The vector is from RFC 4231, test case 2, so that both sides are not wrong in the same way.
	h := w.Hook("Jefe", nil)
	if !h.signed("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", []byte("what do ya want for nothing?")) {
		t.Error("a signature known to be good is refused")
	}
	if status, _ := w.Hook("", nil).Receive(headers(good, "X-Gitea-Signature", sign("", good)), good); status != 404 {
		t.Errorf("without a secret: %d, want 404", status)
	}
	w.wantCalls(t, 0)
}

func TestHookSeesReplays(t *testing.T) {
	w := newWorld(t)
	h, body := w.hook(w.app), packageEvent("container", "api", "abc1234")
	header := headers(body, "X-Gitea-Delivery", "5f2c0f6e-0000-4000-8000-000000000001")
	if status, _ := h.Receive(header, body); status != 202 {
		t.Errorf("the first: %d", status)
	}
	if status, said := h.Receive(header, body); status != 200 || said != "Seen before." {
		t.Errorf("the second: %d %q", status, said)
	}
	bad := headers(body, "X-Gitea-Delivery", "2", "X-Gitea-Signature", sign("other", body))
	h.Receive(bad, body)
	if status, _ := h.Receive(headers(body, "X-Gitea-Delivery", "2"), body); status != 202 {
		t.Errorf("a forged event used up the number of a true one: %d", status)
	}
	for i := range hookQueue {
		h.Receive(headers(body, "X-Gitea-Delivery", fmt.Sprint("n", i)), body)
	}
	if status, said := h.Receive(headers(body), body); status != 503 || !strings.Contains(said, "polls") {
		t.Errorf("with a full queue: %d %q", status, said)
	}
}

func TestHookOverHTTP(t *testing.T) {
	w := newWorld(t)
	web := httptest.NewServer(w.hook(w.app))
	defer web.Close()
	body := packageEvent("container", "api", "abc1234")
	for _, c := range []struct {
		method string
		body   []byte
		status int
	}{
		{http.MethodPost, body, 202},
		{http.MethodPost, bytes.Repeat([]byte(" "), hookLimit+1), 413},
		{http.MethodGet, nil, 405},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, web.URL, bytes.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = headers(c.body)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		said, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != c.status || !strings.HasSuffix(string(said), ".\n") {
			t.Errorf("%s of %d bytes: %d %q, %v", c.method, len(c.body), res.StatusCode, said, err)
		}
	}
}

// A push is several events; the app is asked for once, half a second after the first, and the bell rings.
func TestHookRefreshesOnceAPush(t *testing.T) {
	w := newWorld(t)
	w.history(3)
	w.push(0, 1, giteatest.MultiArch())
	staging, admin := w.app, w.app
	staging.Env, admin.Repository = "staging", w.host()+"/acme/admin"
	w.Refresh(t.Context(), w.app)
	asked, on := make(chan time.Duration, 10), make(chan time.Time)
	w.after = func(d time.Duration) <-chan time.Time {
		asked <- d
		return on
	}
	h := w.hook(w.app, staging, admin)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.Run(ctx)
	}()
	answers := make(chan int, 100)
	web := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		answers <- rec.Code
	}))
	defer web.Close()
	w.fake.AddHook("acme", web.URL, hookSecret)
	bell, stop := w.Watch()
	defer stop()
	w.calls()

	w.push(1, 2, giteatest.MultiArch())
	for i, want := range []int{200, 200, 200, 200, 202} { // two platforms, two attestations, the tag
		if got := waitFor(t, answers); got != want {
			t.Errorf("event %d: %d, want %d", i, got, want)
		}
	}
	if d := waitFor(t, asked); d != 500*time.Millisecond { // of the two seconds in which a push is to be shown
		t.Errorf("waits %s, want half a second", d)
	}
	w.push(2, 3, giteatest.MultiArch()) // within the half second
	for range 5 {
		waitFor(t, answers)
	}
	for len(h.images) > 0 { // until Run has taken it
		select {
		case <-asked:
			t.Fatal("a second wait for the same image")
		default:
		}
	}
	w.wantCalls(t, 0)
	on <- time.Time{}
	waitFor(t, bell)
	if got := w.Cached(w.app); len(got.Images) != 3 || got.Err != nil {
		t.Errorf("list %+v", got)
	}
	if calls := w.calls(); strings.Contains(strings.Join(calls, " "), "admin") {
		t.Errorf("another app's images were asked for: %q", calls)
	}
	h.Receive(headers(nil), nil)
	cancel()
	waitFor(t, ended)
}

// A poll that read the list before the push, and still asks for commits, does not answer for the event.
func TestHookLooksAfterAPollThatBeganBeforeThePush(t *testing.T) {
	w := newWorld(t)
	w.history(2)
	w.push(0, 1, giteatest.MultiArch())
	reached, looking := make(chan struct{}), make(chan struct{})
	remove := w.fake.Intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.Path, "/commits") {
			close(reached)
			<-looking
			giteatest.Delay(200*time.Millisecond)(rw, r, next) // for the hook to join
			return
		}
		next.ServeHTTP(rw, r)
	})
	polled := make(chan struct{})
	go func() {
		defer close(polled)
		w.Refresh(t.Context(), w.app)
	}()
	waitFor(t, reached)
	remove()
	w.push(1, 2, giteatest.MultiArch())
	h := w.Hook(hookSecret, func() []deploys.App {
		close(looking)
		return []deploys.App{w.app}
	})
	h.refresh(t.Context(), w.app.Repository)
	waitFor(t, polled)
	if got := w.Cached(w.app); len(got.Images) != 2 {
		t.Errorf("%d images, want the pushed one beside the one before", len(got.Images))
	}
}

func FuzzHook(f *testing.F) {
	f.Add(packageEvent("container", "api", "abc1234"), "1")
	f.Add([]byte(`{"package":null}`), "")
	f.Add([]byte(`{"package":{"type":"container","owner":null}}`), "x")
	c, err := New(Options{URL: "https://git.example.org"})
	if err != nil {
		f.Fatal(err)
	}
	apps := func() []deploys.App { return []deploys.App{{Repository: "git.example.org/acme/api"}} }
	f.Fuzz(func(t *testing.T, body []byte, delivery string) {
		h := c.Hook(hookSecret, apps)
		header := headers(body)
		header["X-Gitea-Delivery"] = []string{delivery}
		status, said := h.Receive(header, body)
		if said == "" || status < 200 || status > 503 || (len(h.images) > 0) != (status == 202) {
			t.Fatalf("%d %q", status, said)
		}
		header.Set("X-Gitea-Signature", sign("other", body))
		if status, _ := h.Receive(header, body); status != 401 && status != 413 {
			t.Fatalf("a forged event: %d", status)
		}
	})
}
