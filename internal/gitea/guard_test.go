package gitea

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"deployportal/internal/errs"
	"deployportal/internal/gitea/giteatest"
)

// thief is a second host that writes down what it is sent.
type thief struct {
	*httptest.Server
	mu   sync.Mutex
	seen []http.Header
}

func newThief(t *testing.T) *thief {
	th := &thief{}
	th.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		th.mu.Lock()
		th.seen = append(th.seen, r.Header.Clone())
		th.mu.Unlock()
		_, _ = io.WriteString(w, `{"token":"aaaaaaaa.bbbbbbbb.cccccccc"}`)
	}))
	t.Cleanup(th.Close)
	return th
}

func (th *thief) wantNothing(t *testing.T) {
	t.Helper()
	th.mu.Lock()
	defer th.mu.Unlock()
	if len(th.seen) > 0 {
		t.Errorf("the other host was asked %d times, first with %v", len(th.seen), th.seen[0])
	}
}

func redirectTo(base string) giteatest.Interceptor {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Redirect(w, r, base+r.URL.Path, http.StatusTemporaryRedirect)
	}
}

func TestCredentialsNeverFollowARedirect(t *testing.T) {
	for _, path := range []string{"/v2/token", "/v2/acme", "/api/"} {
		t.Run(path, func(t *testing.T) {
			w, th := newWorld(t), newThief(t)
			w.fake.PushImage("acme/api", sha(1), giteatest.MultiArch())
			w.fake.Intercept(giteatest.OnPath(path, redirectTo(th.URL)))
			var err error
			if path == "/api/" {
				err = w.Images(t.Context(), w.app).Err
			} else {
				_, err = w.Resolve(t.Context(), w.app.Repository, sha(1))
			}
			if err == nil || strings.Contains(err.Error(), secret) {
				t.Errorf("error %v, want one without the token", err)
			}
			for _, h := range th.seen {
				if h.Get("Authorization") != "" {
					t.Errorf("the other host was sent %q", h.Get("Authorization"))
				}
			}
			if path == "/api/" {
				wantFault(t, err, errs.Forbidden, "sends us to "+th.URL)
				th.wantNothing(t)
			}
		})
	}
}

func TestForeignRealmIsRefused(t *testing.T) {
	for _, public := range []bool{true, false} {
		w, th := newWorld(t), newThief(t)
		realm := th.URL
		if public {
			realm = "https://auth.example.org" // nothing the OCI client itself objects to
		}
		w.fake.Intercept(giteatest.OnPath("/v2/", func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) {
			rw.Header().Set("WWW-Authenticate", `Bearer realm="`+realm+`/v2/token",service="container_registry"`)
			rw.WriteHeader(http.StatusUnauthorized)
		}))
		_, err := w.Resolve(t.Context(), w.app.Repository, sha(1))
		wantFault(t, err, errs.Forbidden, "asks us to sign in at "+strings.TrimSuffix(realm, "/"))
		th.wantNothing(t)
	}
}

func TestGuard(t *testing.T) {
	var sent []*http.Request
	inner := roundTrip(func(r *http.Request) (*http.Response, error) {
		sent = append(sent, r)
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("ok")), Request: r}, nil
	})
	g := newGuard(inner, "https", "git.example.org", "registry.example.org:5000")
	for _, c := range []struct {
		method, url string
		auth, sent  bool
	}{
		{"GET", "https://git.example.org/x", true, true},
		{"GET", "https://git.example.org:443/x", true, true},
		{"GET", "https://GIT.example.org/x", true, true},
		{"GET", "https://registry.example.org:5000/x", true, true},
		{"GET", "http://git.example.org/x", true, false},
		{"GET", "http://git.example.org/x", false, false},
		{"GET", "https://git.example.org:8443/x", true, false},
		{"GET", "https://registry.example.org/x", true, false},
		{"GET", "https://sub.git.example.org/x", true, false},
		{"GET", "https://git.example.org.evil.example/x", true, false},
		{"GET", "https://git.example.org@evil.example/x", false, false},
		{"GET", "https://store.example.net/blob?sig=1", false, true},
		{"POST", "https://store.example.net/blob", false, false},
	} {
		sent = nil
		req, err := http.NewRequestWithContext(t.Context(), c.method, c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.auth {
			req.Header.Set("Authorization", "token "+secret)
		}
		_, err = g.RoundTrip(req)
		if (err == nil) != c.sent || (len(sent) == 1) != c.sent {
			t.Errorf("%s %s, credentials %v: error %v and %d sent, want sent %v", c.method, c.url, c.auth, err, len(sent), c.sent)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestBodiesAreBounded(t *testing.T) {
	read := func(n int) (int, error) {
		b, err := io.ReadAll(&limitedBody{ReadCloser: io.NopCloser(strings.NewReader(strings.Repeat("x", n))), left: 10})
		return len(b), err
	}
	if n, err := read(10); n != 10 || err != nil {
		t.Errorf("exactly the limit: %d bytes, %v", n, err)
	}
	if _, err := read(11); !errors.Is(err, errTooLarge) {
		t.Errorf("one more: %v, want errTooLarge", err)
	}
	w := newWorld(t)
	w.fake.Intercept(func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) {
		chunk := make([]byte, 1<<16)
		for range bodyLimit/len(chunk) + 2 {
			if _, err := rw.Write(chunk); err != nil {
				return
			}
		}
	})
	wantFault(t, w.Images(t.Context(), w.app).Err, errs.Unavailable, "an answer that cannot be read")
}

func TestCleanKeepsSecretsOut(t *testing.T) {
	w := newWorld(t)
	err := w.clean(&url.Error{Op: "Get", URL: "https://store.example.net/blob?X-Signature=abc", Err: errors.New(
		"token " + secret + " and eyJhbGciOi.eyJuYmYiOi.c2lnbmF0dXJl are odd\nsecond line")})
	for _, bad := range []string{secret, "eyJhbGciOi", "X-Signature", "second line"} {
		if strings.Contains(err.Error(), bad) {
			t.Errorf("%q stands in %q", bad, err)
		}
	}
	if !errors.Is(w.clean(&url.Error{Op: "Get", URL: "https://x", Err: context.Canceled}), context.Canceled) {
		t.Error("that the caller left is not known any more")
	}
}
