// Package giteatest is a small Gitea for tests and demos: the container registry, the package list, commits and
// commit statuses, spoken over HTTP with the peculiarities of Gitea 1.26. What it claims to be like is written down
// as the package conformance, which a real Gitea must pass too.
package giteatest

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Account is somebody who may use the fake. Several may share a name with different tokens.
type Account struct {
	Name   string
	Token  string
	Scopes []string // of the token: "read:package", "write:package", "read:repository"; empty: all of them
	NoTeam bool     // knows nobody: sees no private package or repository
}

func (a *Account) may(scope string) bool {
	if a == nil || len(a.Scopes) == 0 {
		return true
	}
	for _, s := range a.Scopes {
		if s == scope || s == strings.Replace(scope, "read:", "write:", 1) {
			return true
		}
	}
	return false
}

// Options configures a Server.
type Options struct {
	Now      func() time.Time // nil: time.Now
	RootURL  string           // as people reach it, for links and the sign-in address; empty: from each request
	SubPath  string           // "/git": where the site and its API are; the registry stays at the root
	Accounts []Account
	Public   bool // packages and repositories are open to everybody
}

// Server is the fake. Make it with New and serve Handler.
type Server struct {
	o     Options
	state *state

	mu           sync.Mutex
	down         bool
	interceptors []*interceptor
	requests     []*Request

	hooks  hooks
	people people
}

// Request is one request the server has seen.
type Request struct {
	Method string
	Path   string // as it was on the wire, escapes and all
	Query  url.Values
	Auth   string // scheme of the Authorization header, lower-case: "", "basic", "bearer", "token"
	Status int    // 0 while it runs or when the connection was cut
}

// Interceptor stands before a request. It answers it or calls next.
type Interceptor func(w http.ResponseWriter, r *http.Request, next http.Handler)

type interceptor struct{ f Interceptor }

// New makes a Server without any data.
func New(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.RootURL = strings.TrimRight(o.RootURL, "/")
	s := &Server{o: o, state: newState(o.Now)}
	s.state.changed = s.tell
	return s
}

// AddAccount lets one more account in.
func (s *Server) AddAccount(a Account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.o.Accounts = append(s.o.Accounts, a)
}

// AddRepo makes a git repository with commits, oldest first, or appends to one that exists.
func (s *Server) AddRepo(owner, name string, commits ...Commit) {
	s.state.addCommits(owner, name, commits)
}

// DeleteTag deletes a tag ("acme/api", "abc1234"), as a person does, and tells whether it was there. The untagged parts
// of its image stay.
func (s *Server) DeleteTag(image, tag string) bool {
	return s.state.deleteVersion(image, tag, "someone")
}

// Cleanup does what a cleanup rule does that keeps the newest versions of an image: it counts the untagged parts too,
// spares only "latest" and what an index that stays refers to, and sends no event.
func (s *Server) Cleanup(image string, keep int) { s.state.cleanup(image, keep) }

// SetStatus adds a commit status to a full SHA of a repository ("acme/api").
func (s *Server) SetStatus(repository, sha string, st Status) {
	s.state.setStatus(repository, sha, st)
}

// SetDown makes the server cut every connection without an answer, or answer again.
func (s *Server) SetDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// Intercept puts f before every request, inside the interceptors that are there already, and gives a function that
// takes it away again.
func (s *Server) Intercept(f Interceptor) (remove func()) {
	i := &interceptor{f}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.interceptors = append(s.interceptors, i)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for n, have := range s.interceptors {
			if have == i {
				s.interceptors = append(s.interceptors[:n:n], s.interceptors[n+1:]...)
				return
			}
		}
	}
}

// OnPath limits an Interceptor to paths that begin with a prefix.
func OnPath(prefix string, f Interceptor) Interceptor {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasPrefix(r.URL.EscapedPath(), prefix) {
			f(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}
}

// Answer is an Interceptor that answers with a status and a body of plain text.
func Answer(status int, body string) Interceptor {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { http.Error(w, body, status) }
}

// Delay is an Interceptor that waits before it goes on.
func Delay(d time.Duration) Interceptor {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		select {
		case <-time.After(d):
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}
}

// Requests gives every request since the start or the last Reset, in the order they came.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Request, 0, len(s.requests))
	for _, r := range s.requests {
		all = append(all, *r)
	}
	return all
}

// Reset forgets the recorded requests.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

// Handler serves the fake: the registry under /v2, the API under SubPath/api/v1.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	s.mu.Lock()
	mine := &Request{
		Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.Query(), Auth: strings.ToLower(scheme),
	}
	s.requests = append(s.requests, mine)
	down := s.down
	var h http.Handler = http.HandlerFunc(s.route)
	for i := len(s.interceptors) - 1; i >= 0; i-- {
		f, next := s.interceptors[i].f, h
		h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f(w, r, next) })
	}
	s.mu.Unlock()
	if down {
		panic(http.ErrAbortHandler)
	}
	rec := &recorder{ResponseWriter: w, done: func(status int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		mine.Status = status
	}}
	h.ServeHTTP(rec, r)
}

// recorder notes the status of an answer when it is sent.
type recorder struct {
	http.ResponseWriter
	done func(status int)
	sent bool
}

func (w *recorder) WriteHeader(status int) {
	if !w.sent {
		w.sent = true
		w.done(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if !w.sent {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(b)
}

func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	if path == "/v2" || strings.HasPrefix(path, "/v2/") {
		s.registry(w, r)
		return
	}
	if rest, ok := strings.CutPrefix(path, s.o.SubPath+"/api/v1/"); ok {
		s.api(w, r, rest)
		return
	}
	if rest, ok := strings.CutPrefix(path, s.o.SubPath); ok && s.signIn(w, r, rest) {
		return
	}
	http.NotFound(w, r)
}

// root is the address people know the server by.
func (s *Server) root(r *http.Request) string {
	if s.o.RootURL != "" {
		return s.o.RootURL
	}
	return "http://" + r.Host + s.o.SubPath
}
