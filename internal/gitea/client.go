// Package gitea is the portal's view of Gitea: the image registry (it implements deploys.Registry), the lists of
// images in push order, and the commits behind the tags. It only reads. What it knows is kept in memory, bounded,
// so that pages cost no call and an app that has not changed costs one call per refresh.
package gitea

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/singleflight"

	"deployportal/internal/deploys"
)

// callTimeout ends one call to Gitea. It is longer than the transport's own limits, so those name the cause.
const callTimeout = 15 * time.Second

// Options says where Gitea is and who the portal is there.
type Options struct {
	URL          string            // of the site, "https://git.example.org" or with a sub-path; its scheme counts for the registry too
	RegistryHost string            // host[:port] as it stands in image strings; empty: the host of URL
	User         string            // name that goes with Token; empty: any name does for an access token
	Token        string            // access token with read:package and read:repository; empty: anonymous
	Transport    http.RoundTripper // nil: one with timeouts
	Now          func() time.Time  // nil: time.Now
	TagPattern   *regexp.Regexp    // tags that name a commit; nil: ^[0-9a-f]{7,64}$
	Logger       *slog.Logger      // nil: slog.Default()
}

// Client asks one Gitea. It is safe for concurrent use. Make it with New.
type Client struct {
	base     *url.URL // without trailing slash
	registry string   // host[:port] of image strings
	user     string
	token    string
	pattern  *regexp.Regexp
	now      func() time.Time
	after    func(time.Duration) <-chan time.Time
	log      *slog.Logger
	http     *http.Client
	puller   *remote.Puller

	images  *lru[string, []deploys.Manifest] // repository@digest -> its platforms
	configs *lru[string, string]             // repository@digest -> config digest; "" is an index
	commits *commits
	ranges  *lru[rangeKey, deploys.Range]
	states  *lru[refKey, ciEntry]
	files   *lru[rangeKey, changes]
	linear  *lru[refKey, []string] // SHA -> itself and what lies straight below it
	asks    *lru[askKey, *asked]   // their fields are under mu
	gone    *lru[goneKey, *gone]   // and theirs

	flight singleflight.Group
	mu     sync.Mutex
	lists  *lru[listKey, *listing]
	bells  map[chan struct{}]struct{}
	paused time.Time // Gitea asked to be left alone until then
}

var _ deploys.Registry = (*Client)(nil)

var defaultTags = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

// New makes a client and asks nothing yet. Its errors are about the options and name the one that is wrong.
func New(o Options) (*Client, error) {
	base, err := parseBase(o.URL)
	if err != nil {
		return nil, err
	}
	if o.RegistryHost == "" {
		o.RegistryHost = base.Host
	}
	if _, err := url.Parse("//" + o.RegistryHost); err != nil || strings.ContainsAny(o.RegistryHost, "/@?# ") {
		return nil, fmt.Errorf("gitea registry host %q: want host or host:port", o.RegistryHost)
	}
	if o.User != "" && o.Token == "" {
		return nil, errors.New("gitea user: given without a token")
	}
	if o.User == "" {
		o.User = "deploy-portal" // Gitea looks at the token only, but Basic needs a name
	}
	c := &Client{
		base: base, registry: o.RegistryHost, user: o.User, token: o.Token,
		pattern: o.TagPattern, now: o.Now, after: time.After, log: o.Logger,
		images:  newLRU[string, []deploys.Manifest](512),
		configs: newLRU[string, string](4096),
		commits: newCommits(8192),
		ranges:  newLRU[rangeKey, deploys.Range](2048),
		states:  newLRU[refKey, ciEntry](4096),
		files:   newLRU[rangeKey, changes](256),
		linear:  newLRU[refKey, []string](256),
		asks:    newLRU[askKey, *asked](1024),
		gone:    newLRU[goneKey, *gone](4096),
		lists:   newLRU[listKey, *listing](1024),
		bells:   map[chan struct{}]struct{}{},
	}
	c.defaults()
	if err := c.connect(o.Transport); err != nil {
		return nil, err
	}
	return c, nil
}

func parseBase(raw string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(raw, "/"))
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return nil, errors.New("gitea url: want http(s)://host[:port][/path]") // never echo it: it may hold a password
	case u.User != nil:
		return nil, errors.New("gitea url: must not hold a name or a password; use the token")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("gitea url: must not have a query or a fragment")
	}
	return u, nil
}

func (c *Client) defaults() {
	if c.pattern == nil {
		c.pattern = defaultTags
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.log == nil {
		c.log = slog.Default()
	}
}

// connect builds the two clients, the API's and the registry's, on one guarded transport.
func (c *Client) connect(inner http.RoundTripper) error {
	if inner == nil {
		inner = defaultTransport()
	}
	g := newGuard(inner, c.base.Scheme, c.base.Host, c.registry)
	c.http = &http.Client{Transport: g, CheckRedirect: g.checkRedirect}

	auth := authn.Anonymous
	if c.token != "" {
		auth = authn.FromConfig(authn.AuthConfig{Username: c.user, Password: c.token})
	}
	var err error
	c.puller, err = remote.NewPuller(
		remote.WithTransport(g),
		remote.WithAuth(auth),
		remote.WithUserAgent("deploy-portal"),
		// A retry here would hide the fault from the one place that knows how long it may take.
		remote.WithRetryBackoff(remote.Backoff{Steps: 1}),
		remote.WithRetryPredicate(func(error) bool { return false }),
		remote.WithRetryStatusCodes(),
	)
	if err != nil {
		return fmt.Errorf("gitea: registry client: %w", err)
	}
	return nil
}

// bounded gives a call's context.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, callTimeout)
}

func defaultTransport() http.RoundTripper {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: 10 * time.Second,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          16,
		MaxIdleConnsPerHost:   8,
		MaxConnsPerHost:       16,
		IdleConnTimeout:       90 * time.Second,
	}
}
