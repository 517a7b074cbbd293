package story_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"deployportal/internal/kube/kubetest"
)

// gate stands between the portal and the API server. It counts what passes, holds single requests on their way there or
// back, and can be shut: that is how a portal is killed at an exact point without any help of its own.
type gate struct {
	server *httptest.Server
	shut   atomic.Bool

	mu       sync.Mutex
	calls    []*call
	answered int // patches
	holds    []*hold
	arrives  func(call) // called with each patch before it goes on; nil: nobody asks

	front  string       // what the portal knows as the gate's address; empty: the gate's own
	answer atomic.Value // func(*http.Request) int: a status in the API server's place; 0: let it answer
	expire atomic.Bool  // watches begin, and end with the event that says that they go back too far
	logs   string       // what every container's log is instead of its own; empty: its own
}

// call is one request that came to the gate.
type call struct {
	method, path, query, body string
	code                      int // of the API server's answer to a patch; 0: none yet
	nth                       int // of the patches that it answered; one of an object is answered before the next can be accepted
}

// hold stops the first request that matches, once. What it holds goes on with pass or is lost with drop, whether or not
// who sent it still lives.
type hold struct {
	match   func(*http.Request) bool
	answer  bool // hold the answer: the API server has done what was asked
	taken   bool
	reached chan struct{}
	decided chan bool
	once    sync.Once
	through chan struct{} // closed when the API server has answered
}

func (h *hold) pass() { h.once.Do(func() { h.decided <- true }) }
func (h *hold) drop() { h.once.Do(func() { h.decided <- false }) }

func isPatch(r *http.Request) bool { return r.Method == http.MethodPatch }

// isLook matches a direct read of the Deployment, not the lists and watches of the caches.
func isLook(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/deployments/")
}

// isLookOf matches the look that a recorded deploy has before it is sent. The verdict on the one before it is proven by such a
// read as well.
func (w *world) isLookOf(id int64) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return isLook(r) && w.count(`SELECT count(*) FROM deploys WHERE id = ?`, id) == 1
	}
}

func newGate(t testing.TB, ns *kubetest.Namespace) *gate {
	t.Helper()
	to, err := url.Parse(ns.PortalConfig.Host)
	if err != nil {
		t.Fatal(err)
	}
	secure, err := rest.TLSConfigFor(ns.PortalConfig)
	if err != nil {
		t.Fatal(err)
	}
	onward := &http.Transport{TLSClientConfig: secure, ForceAttemptHTTP2: true}
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport:     onward,
		FlushInterval: -1, // a watch must not wait for a full buffer
		ErrorLog:      log.New(io.Discard, "", 0),
	}
	g := &gate{}
	g.server = httptest.NewUnstartedServer(g.handler(proxy))
	g.server.EnableHTTP2 = true // as API servers speak it
	g.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	g.server.Listener = &gateListener{g.server.Listener, &g.shut}
	g.server.StartTLS()
	t.Cleanup(func() {
		g.openHolds()
		g.server.CloseClientConnections()
		g.server.Close()
		onward.CloseIdleConnections()
	})
	return g
}

// gateListener closes what knocks while the gate is shut, as a machine that is away would.
type gateListener struct {
	net.Listener
	shut *atomic.Bool
}

func (l *gateListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil || !l.shut.Load() {
			return c, err
		}
		_ = c.Close()
	}
}

// kubeconfig writes the portal's kubeconfig with the gate's address in it and gives its path.
func (g *gate) kubeconfig(t testing.TB, ns *kubetest.Namespace) string {
	t.Helper()
	cfg, err := clientcmd.LoadFromFile(ns.PortalKubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cfg.Clusters {
		c.Server = cmp.Or(g.front, g.server.URL)
		c.CertificateAuthorityData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.server.Certificate().Raw})
	}
	path := filepath.Join(t.TempDir(), "gate.kubeconfig")
	if err := clientcmd.WriteToFile(*cfg, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func (g *gate) handler(proxy http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		c, h := g.note(r, string(body))
		if answer, ok := g.answer.Load().(func(*http.Request) int); ok && answer(r) != 0 {
			refuse(w, answer(r))
			return
		}
		if g.expire.Load() && r.URL.Query().Has("watch") {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]any{"type": watch.Error, "object": statusOf(http.StatusGone)}) // who asked may be gone
			return
		}
		if logs := g.said(); logs != "" && strings.HasSuffix(r.URL.Path, "/log") {
			_, _ = io.WriteString(w, logs)
			return
		}
		if h == nil && !isPatch(r) {
			proxy.ServeHTTP(w, r)
			return
		}
		if isPatch(r) && g.arrives != nil {
			g.arrives(*c)
		}
		if h == nil {
			h = newHold(nil, false)
			h.pass()
		}
		h.serve(w, func() *httptest.ResponseRecorder {
			answer := httptest.NewRecorder()
			// The request's own context ends with the process that sent it, so it is not the one that counts.
			proxy.ServeHTTP(answer, r.WithContext(context.WithoutCancel(r.Context())))
			g.mu.Lock()
			g.answered++
			c.code, c.nth = answer.Code, g.answered
			g.mu.Unlock()
			close(h.through)
			return answer
		})
	}
}

// says puts a text in the place of every container's log: simulated containers have only a few.
func (g *gate) says(logs string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.logs = logs
}

func (g *gate) said() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.logs
}

// refuse answers as an API server does that has too much to do (429) or cannot go back so far (410).
func refuse(w http.ResponseWriter, code int) {
	w.Header().Set("Content-Type", "application/json")
	if code == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(statusOf(code)) // who asked may be gone
}

func statusOf(code int) metav1.Status {
	reason := map[int]metav1.StatusReason{http.StatusTooManyRequests: metav1.StatusReasonTooManyRequests, http.StatusGone: metav1.StatusReasonExpired}[code]
	return metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure,
		Reason: reason, Code: int32(code), Message: http.StatusText(code)}
}

func (g *gate) note(r *http.Request, body string) (*call, *hold) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := &call{method: r.Method, path: r.URL.Path, query: r.URL.RawQuery, body: body}
	g.calls = append(g.calls, c)
	for _, h := range g.holds {
		if !h.taken && h.match(r) {
			h.taken = true
			return c, h
		}
	}
	return c, nil
}

// serve answers a held request.
func (h *hold) serve(w http.ResponseWriter, ask func() *httptest.ResponseRecorder) {
	var answer *httptest.ResponseRecorder
	if h.answer {
		answer = ask()
	}
	close(h.reached)
	if !<-h.decided {
		panic(http.ErrAbortHandler)
	}
	if !h.answer {
		answer = ask()
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()) // who asked may be dead by now
}

func (g *gate) hold(match func(*http.Request) bool, answer bool) *hold {
	h := newHold(match, answer)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.holds = append(g.holds, h)
	return h
}

func newHold(match func(*http.Request) bool, answer bool) *hold {
	return &hold{match: match, answer: answer, reached: make(chan struct{}), decided: make(chan bool, 1), through: make(chan struct{})}
}

// openHolds ends all holds; what they hold is lost.
func (g *gate) openHolds() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, h := range g.holds {
		h.drop()
	}
	g.holds = nil
}

// close makes the API server unreachable: connections break and new ones are refused.
func (g *gate) close() {
	g.shut.Store(true)
	g.server.CloseClientConnections()
}

func (g *gate) open() { g.shut.Store(false) }

// patches gives every patch that came to the gate.
func (g *gate) patches() []call {
	return g.came(0, func(c *call) bool { return c.method == http.MethodPatch })
}

// writes gives every request that is no reading one.
func (g *gate) writes() []call {
	return g.came(0, func(c *call) bool { return c.method != http.MethodGet })
}

// came gives what came to the gate, without the first so many.
func (g *gate) came(without int, match func(*call) bool) (all []call) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.calls[without:] {
		if match(c) {
			all = append(all, *c)
		}
	}
	return all
}
