// Package web is the browser's door: pages, streams, sessions and everything that protects them. It translates a request
// into one call of the domain and draws what comes back; it decides nothing about deploys.
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/labstack/echo/v4"
)

// Options are what a Server is made of. Deploys, Cluster, Catalog, Accounts, Policy and Store are needed.
type Options struct {
	Deploys  Deploys
	Cluster  Cluster
	Catalog  Catalog
	Accounts Accounts
	Policy   Policy
	Store    Store

	Preflight      Preflight      // nil: nothing is checked beforehand
	PublicURL      string         // how people reach the portal, "https://portal.example.org"; empty: by whatever name they use
	TrustedProxies []netip.Prefix // peers whose X-Forwarded-For and X-Forwarded-Proto are believed; none: nobody's
	Prod           []string       // environments where a mistake hurts: their pages wear a mark
	FirstAccount   string         // the command that adds an account, for the sign-in page while there is none
	GiteaHook      http.Handler   // takes Gitea's package events; nil: there is no such page
	Slack          bool           // people may link themselves to who they are in Slack
	SlackHook      http.Handler   // takes what Slack sends, signed; nil: there is no such page
	Version        string         // of the portal, for /version

	Log *slog.Logger     // nil: slog.Default
	Now func() time.Time // nil: time.Now
}

// Server serves the portal to browsers. Make it with New; its methods are safe for concurrent use.
type Server struct {
	Options
	public *url.URL // nil: not given
	cross  *http.CrossOriginProtection
	echo   *echo.Echo
	times  times

	streaming context.Context // of every stream; ends first when the server stops
	hangUp    context.CancelFunc
	rooms     rooms
}

// times is how often and how long things happen. Tests shorten them.
type times struct {
	beat  time.Duration // between two beats of a stream
	check time.Duration // between two looks at a stream's session
	board time.Duration // the least time between two pictures of the board, or of an app
	write time.Duration // how long one write may take before its reader is given up
	grace time.Duration // how long pages under way may take when the server stops

	ask     time.Duration // between two looks at what an open app page shows of commits
	wait    time.Duration // how long an app's page waits for them, at its first paint
	compare time.Duration // how long a confirm page waits for them

	ticker func(time.Duration) (tick <-chan time.Time, stop func())
}

func defaultTimes() times {
	return times{
		beat:  10 * time.Second,
		check: 4 * time.Second, // a stream ends within 5 s of its session
		board: time.Second,
		write: 10 * time.Second,
		grace: 2 * time.Second,

		ask:     20 * time.Second, // longer than a state is believed that may change
		wait:    time.Second,
		compare: 3 * time.Second,
		ticker: func(d time.Duration) (<-chan time.Time, func()) {
			t := time.NewTicker(d)
			return t.C, t.Stop
		},
	}
}

// New makes a server and opens nothing. Its errors are about the options.
func New(o Options) (*Server, error) {
	if o.Deploys == nil || o.Cluster == nil || o.Catalog == nil || o.Accounts == nil || o.Policy == nil || o.Store == nil {
		return nil, errors.New("web.New: Deploys, Cluster, Catalog, Accounts, Policy and Store are needed")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.FirstAccount == "" {
		o.FirstAccount = "portal user add NAME --role admin"
	}
	s := &Server{Options: o, cross: http.NewCrossOriginProtection(), echo: echo.New(), times: defaultTimes()}
	s.streaming, s.hangUp = context.WithCancel(context.Background())
	s.rooms.ctx = s.streaming
	if err := s.setPublicURL(); err != nil {
		s.hangUp()
		return nil, err
	}
	s.build()
	return s, nil
}

// setPublicURL reads the public URL. A browser's Origin that names it is ours even where a proxy rewrites Host.
func (s *Server) setPublicURL() error {
	if s.PublicURL == "" {
		return nil
	}
	u, err := url.Parse(s.PublicURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil || (u.Path != "" && u.Path != "/") ||
		u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("the public URL must read http(s)://host[:port], not %q", s.PublicURL)
	}
	s.public = u
	if err := s.cross.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
		return fmt.Errorf("the public URL: %w", err)
	}
	return nil
}

// build puts the middleware and the routes in place; the order of the middleware is part of what protects the pages.
func (s *Server) build() {
	e := s.echo
	e.HideBanner, e.HidePort = true, true
	e.IPExtractor = s.clientAddr
	e.HTTPErrorHandler = s.answerError
	e.Use(s.begin, s.logRequest, s.recoverPanic, s.setHeaders, s.readSession, s.refuseCrossSite, s.limitBody)
	for _, r := range s.routes() {
		e.Add(r.method, r.path, s.guard(r))
	}
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, r) }

// Serve answers on ln until ctx ends and then returns nil, within 3 s: streams are ended first, pages under way get 2 s.
// It must be called once. An error means that ln failed.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		err = fmt.Errorf("http.Server.Serve: %w", err)
	}
	s.hangUp()
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.times.grace)
	defer cancel()
	if down := srv.Shutdown(late); down != nil {
		s.Log.Warn("pages were cut off at the end", "err", down)
		_ = srv.Close() // the listener is closed already; connections that fail to close are gone anyway
	}
	s.rooms.wait()
	return err
}

// prod tells whether a mistake in an environment hurts.
func (s *Server) prod(env string) bool { return slices.Contains(s.Prod, env) }
