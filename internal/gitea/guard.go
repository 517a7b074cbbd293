package gitea

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// bodyLimit bounds every answer; a page of 50 packages or commits has about 100 KB, a manifest less.
const bodyLimit = 8 << 20

var errTooLarge = errors.New("the answer is larger than 8 MiB")

// foreignError is the guard's refusal to take the portal's credentials to another host.
type foreignError struct {
	origin string // where it would have gone: scheme://host:port, nothing more
	realm  bool   // a sign-in was asked for there; otherwise a redirect
}

func (e *foreignError) Error() string {
	if e.realm {
		return "the sign-in address is at " + e.origin
	}
	return "redirected to " + e.origin
}

// guard is the one layer through which every request leaves. It keeps credentials at the configured origins
// (scheme, host and port), whatever a redirect or a WWW-Authenticate header says, and bounds every body.
type guard struct {
	inner   http.RoundTripper
	origins map[string]bool
	hosts   map[string]bool // the same hosts under whichever scheme
}

func newGuard(inner http.RoundTripper, scheme string, hosts ...string) *guard {
	g := &guard{inner: inner, origins: map[string]bool{}, hosts: map[string]bool{}}
	for _, h := range hosts {
		u := &url.URL{Scheme: scheme, Host: h}
		g.origins[origin(u)] = true
		g.hosts[strings.ToLower(u.Hostname())] = true
	}
	return g
}

// origin writes scheme, host and port in one way, the default port spelled out.
func origin(u *url.URL) string {
	scheme, port := strings.ToLower(u.Scheme), u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// RoundTrip sends a request to a configured origin, or one without credentials to another host, where a registry
// keeps its blobs in an object store. Anything else it refuses with a foreignError before a byte leaves.
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	ours := g.origins[origin(r.URL)]
	if !ours {
		if r.Body != nil {
			defer r.Body.Close() // the contract of RoundTripper, also when nothing is sent
		}
		if carriesCredentials(r) {
			return nil, &foreignError{origin: origin(r.URL)}
		}
		if g.hosts[strings.ToLower(r.URL.Hostname())] {
			// Our own host under another scheme or port: a client that feels its way from https to http.
			return nil, fmt.Errorf("%s is not the configured address", origin(r.URL))
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			return nil, &foreignError{origin: origin(r.URL)}
		}
	}
	res, err := g.inner.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if ours && res.StatusCode == http.StatusUnauthorized {
		if err := g.checkRealm(r, res); err != nil {
			res.Body.Close()
			return nil, err
		}
	}
	res.Body = &limitedBody{ReadCloser: res.Body, left: bodyLimit}
	return res, nil
}

func carriesCredentials(r *http.Request) bool {
	return r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" || r.URL.User != nil
}

var realmPattern = regexp.MustCompile(`(?i)\bbearer\b.*?\brealm="?([^",\s]+)`)

// checkRealm refuses a challenge that would have the portal sign in elsewhere. Whoever answers it would have to
// send the token there, so it ends here even for a client that would know better.
func (g *guard) checkRealm(r *http.Request, res *http.Response) error {
	for _, h := range res.Header.Values("WWW-Authenticate") {
		m := realmPattern.FindStringSubmatch(h)
		if m == nil {
			continue
		}
		u, err := r.URL.Parse(m[1])
		if err != nil {
			return errors.New("the sign-in address cannot be read")
		}
		if !g.origins[origin(u)] {
			return &foreignError{origin: origin(u), realm: true}
		}
	}
	return nil
}

// checkRedirect is for the API's client, which has no reason to leave its origin at all.
func (g *guard) checkRedirect(r *http.Request, via []*http.Request) error {
	if !g.origins[origin(r.URL)] {
		return &foreignError{origin: origin(r.URL)}
	}
	if len(via) >= 5 {
		return errors.New("too many redirects")
	}
	return nil
}

// limitedBody fails a read past the limit, where io.LimitReader would make a cut answer look whole.
type limitedBody struct {
	io.ReadCloser
	left int64
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		// One byte more tells an answer of exactly the limit from a longer one.
		if n, err := b.ReadCloser.Read(make([]byte, 1)); n == 0 {
			return 0, err
		}
		return 0, errTooLarge
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}
