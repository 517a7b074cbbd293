package smoke

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

var (
	api    = deploys.App{Target: deploys.Target{App: "api", Env: "prod"}}
	before = deploys.Version{Tag: "aaaaaaa11111"}
	after  = deploys.Version{Tag: "bbbbbbb22222"}
)

// probe asks a server 150 times, five at once.
func probe(t *testing.T, address string, change ...func(*Probe)) Probe {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	p := Probe{URL: u, Statuses: []int{200}, Requests: 150, Concurrency: 5, Timeout: 5 * time.Second}
	for _, c := range change {
		c(&p)
	}
	return p
}

// smoked sends a probe and gives all that came of it.
func smoked(t *testing.T, nodes Nodes, probes ...Probe) deploys.Smoke {
	t.Helper()
	s := New(map[string][]Probe{"api": probes}, nodes)
	got := deploys.Smoke{Probes: s.Probes(api)}
	if err := s.Smoke(t.Context(), api, before, after, func(r deploys.SmokeResult) { got.Results = append(got.Results, r) }); err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, r := range got.Results {
		seen[r.N] = true
	}
	if len(got.Results) != got.Planned() || len(seen) != got.Planned() {
		t.Errorf("%d results, %d different ones, of %d", len(got.Results), len(seen), got.Planned())
	}
	return got
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func says(t *testing.T, got deploys.Smoke, good int, want ...string) {
	t.Helper()
	c := got.Cause()
	if c == nil {
		c = &deploys.Cause{}
	}
	text := fmt.Sprintf("%s | %s | %s | %v", c.Title, c.Sentence, c.Advice, c.Evidence)
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%s\nlacks %q", text, w)
		}
	}
	if got.Tally().Good != good || (c.Sentence == "") != (len(want) == 0) {
		t.Errorf("%d good, want %d: %s", got.Tally().Good, good, text)
	}
}

// TestAnswers is what one answer, sent to all who ask, comes to.
func TestAnswers(t *testing.T) {
	slow := make(chan struct{})
	defer close(slow)
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		change func(*Probe)
		want   string // empty: good
	}{
		"good":                 {func(w http.ResponseWriter, _ *http.Request) {}, nil, ""},
		"another status":       {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }, nil, "failed: HTTP 502."},
		"one of the list":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, func(p *Probe) { p.Statuses = []int{200, 204} }, ""},
		"method":               {func(w http.ResponseWriter, r *http.Request) { _ = r.Body.Close(); w.Header().Set("X-Method", r.Method) }, func(p *Probe) { p.Method = "HEAD"; p.Headers = map[string]Match{"X-Method": {Contains: "HEAD"}} }, ""},
		"body":                 {write("all is well"), func(p *Probe) { p.Body.Contains = "is well" }, ""},
		"another body":         {write("all is lost"), func(p *Probe) { p.Body.Contains = "is well" }, "HTTP 200, but its body is not as expected"},
		"expression":           {write("ready: 3"), func(p *Probe) { p.Body.Matches = `^ready: \d$` }, ""},
		"version":              {write("runs " + after.Tag), func(p *Probe) { p.Body.Contains = "runs {sha}" }, ""},
		"version, expression":  {write("runs " + after.Tag), func(p *Probe) { p.Body.Matches = `^runs {sha}$` }, ""},
		"no version":           {write("runs"), func(p *Probe) { p.Body.Contains = "runs {sha}" }, "HTTP 200, but its body does not name bbbbbbb"},
		"old version":          {write("runs " + before.Tag), func(p *Probe) { p.Body.Matches = "^runs {sha}$" }, "The old version still answers | 3 of 3"},
		"old version, header":  {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Version", before.Tag) }, func(p *Probe) { p.Headers = map[string]Match{"X-Version": {Contains: "{sha}"}} }, "the old version aaaaaaa still answers"},
		"redirect":             {redirect("/here"), nil, "HTTP 302 to /here"},
		"redirect, expected":   {redirect("/here"), func(p *Probe) { p.Statuses = []int{302} }, ""},
		"redirect, followed":   {redirect("/here"), func(p *Probe) { p.FollowRedirects = true }, ""},
		"redirect, other host": {redirect("http://127.0.0.1:1/here"), func(p *Probe) { p.FollowRedirects = true }, "HTTP 302 to http://127.0.0.1:1/here"},
		"redirect, secret":     {redirect("//ana:pass@127.0.0.1:1/here?token=abc"), nil, "HTTP 302 to //ana:xxxxx@127.0.0.1:1/here?…"},
		"redirect, no URL":     {bare302("http://[/?token=abc"), nil, "a redirect to what is no URL"},
		"redirect, nowhere":    {bare302(""), nil, "HTTP 302 to nowhere"},
		"redirect, for ever":   {redirect("/"), func(p *Probe) { p.FollowRedirects = true }, "HTTP 302 to /"},
		"body without end": {func(w http.ResponseWriter, _ *http.Request) {
			for _, err := w.Write(make([]byte, 1024)); err == nil; _, err = w.Write(make([]byte, 1024)) {
			}
		}, nil, ""},
		"match past the bound": {write(strings.Repeat(" ", maxBody) + "well"), func(p *Probe) { p.Body.Contains = "well" }, "its body is not as expected"},
		"cut off":              {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil, "the connection was cut"},
		"too slow":             {func(http.ResponseWriter, *http.Request) { <-slow }, func(p *Probe) { p.Timeout = 50 * time.Millisecond }, "no answer within 0.05 s"},
		"too slow a body": {func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).Flush()
			<-slow
		}, func(p *Probe) { p.Timeout = 50 * time.Millisecond }, "HTTP 200, then no answer within 0.05 s"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(c.answer)
			t.Cleanup(func() { server.CloseClientConnections() }) // one that is too slow is not waited for
			p := probe(t, server.URL, func(p *Probe) { p.Requests = 3 })
			if c.change != nil {
				c.change(&p)
			}
			if c.want == "" {
				says(t, smoked(t, nil, p), 3)
			} else {
				says(t, smoked(t, nil, p), 0, c.want)
			}
		})
	}
}

func write(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
}

// bare302 leads to an address as it is, which http.Redirect would not.
func bare302(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Location"] = []string{to}
		w.WriteHeader(http.StatusFound)
	}
}

// redirect leads from / to a place, and answers at any other.
func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" || r.URL.Path == "" {
			http.Redirect(w, r, to, http.StatusFound)
		}
	}
}

func TestEverySecondFails(t *testing.T) {
	var n atomic.Int64
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%2 == 0 {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	says(t, smoked(t, nil, probe(t, server.URL)), 75,
		"75 of 150 requests to "+server.URL+" failed: HTTP 502. Every second one failed.", "an address without a live pod", "HTTP 502: 75 times")
	says(t, smoked(t, nil, probe(t, server.URL, func(p *Probe) { p.Allowed = 75 })), 75)
}

// TestConnections: each request has its own, so that it finds its own way through a load balancer, and at most so many are
// open at once. A proxy of the environment is not asked.
func TestConnections(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	var opened, open, most atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		for now := open.Add(1); ; {
			if was := most.Load(); now <= was || most.CompareAndSwap(was, now) {
				break
			}
		}
		defer open.Add(-1)
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	got := smoked(t, nil, probe(t, server.URL))
	says(t, got, 150)
	if opened.Load() != 150 || most.Load() > 5 {
		t.Errorf("%d connections, at most %d at once", opened.Load(), most.Load())
	}
	if note := got.Note(after); !strings.HasPrefix(note, "150 of 150 requests answered, p99 ") {
		t.Error(note)
	}
}

// listeners are servers on one port of 127.0.0.1, .2 and so on; each gets one handler.
func listeners(t *testing.T, handlers ...http.HandlerFunc) (port string) {
	t.Helper()
	for range 20 {
		var open []net.Listener
		port = "0"
		for i := range handlers {
			l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.%d:%s", i+1, port))
			if err != nil {
				break
			}
			open = append(open, l)
			_, port, _ = net.SplitHostPort(l.Addr().String())
		}
		if len(open) < len(handlers) { // the port is taken on one of them
			for _, l := range open {
				_ = l.Close()
			}
			continue
		}
		for i, l := range open {
			s := httptest.NewUnstartedServer(handlers[i])
			_ = s.Listener.Close()
			s.Listener = l
			s.Start()
			t.Cleanup(s.Close)
		}
		return port
	}
	t.Fatal("no port is free on all of them")
	return ""
}

type nodes []Node

func (n nodes) NodeAddresses(context.Context, deploys.App) ([]Node, error) { return n, nil }

func TestOneOfThreeAddressesFails(t *testing.T) {
	hosts := make(chan string, 300)
	ok := func(w http.ResponseWriter, r *http.Request) { hosts <- r.Host }
	port := listeners(t, ok, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, ok)
	target := "http://app.example.org:" + port
	list := func(p *Probe) { p.Addresses = []string{"127.0.0.1", "127.0.0.2:" + port, "127.0.0.3"} }
	got := smoked(t, nil, probe(t, target, list))
	says(t, got, 100, "50 of 150 requests to "+target+" failed: HTTP 503. All 50 to 127.0.0.2:"+port+" failed; every other address answered.", "127.0.0.3: 50 of 50")
	if host := <-hosts; host != "app.example.org:"+port {
		t.Errorf("asked as %s", host)
	}
	per := func(p *Probe) { p.PerNode = true }
	got = smoked(t, nodes{{"fsn-1", "127.0.0.1"}, {"fsn-2", "127.0.0.2"}, {"fsn-3", "127.0.0.3"}}, probe(t, target, per))
	says(t, got, 100, "All 50 to fsn-2 (127.0.0.2) failed; every other address answered.")
	if by := got.ByAddress(); len(by) != 3 || by[1].Failed() != 50 || by[1].Fault != "HTTP 503" {
		t.Errorf("%+v", by)
	}
	for _, n := range []Nodes{nil, nodes{}} {
		s := New(map[string][]Probe{"api": {probe(t, target, per)}}, n)
		if err := s.Smoke(t.Context(), api, before, after, func(deploys.SmokeResult) { t.Error("sent") }); errs.KindOf(err) != errs.Unavailable {
			t.Errorf("%v", err)
		}
	}
}

func TestTLS(t *testing.T) {
	var names atomic.Value
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { names.Store(r.TLS.ServerName) }))
	server.Config.ErrorLog = nil
	t.Cleanup(server.Close)
	few := func(p *Probe) { p.Requests = 3 }
	says(t, smoked(t, nil, probe(t, server.URL, few)), 0, "3 of 3", "the certificate is signed by nobody known")
	says(t, smoked(t, nil, probe(t, server.URL, few, func(p *Probe) { p.InsecureSkipVerify = true })), 3)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	says(t, smoked(t, nil, probe(t, "https://app.example.org:"+port, few, func(p *Probe) { p.InsecureSkipVerify, p.Addresses = true, []string{"127.0.0.1"} })), 3)
	if names.Load() != "app.example.org" {
		t.Errorf("asked for %v", names.Load())
	}
}

// TestEnds: what nobody waits for any more is not sent.
func TestEnds(t *testing.T) {
	release := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	server := serve(t, func(http.ResponseWriter, *http.Request) { cancel(); <-release })
	defer close(release)
	s := New(map[string][]Probe{"api": {probe(t, server.URL)}}, nil)
	err := s.Smoke(ctx, api, before, after, func(r deploys.SmokeResult) { t.Errorf("%+v after the end", r) })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestWhichProbes(t *testing.T) {
	s := New(map[string][]Probe{"api": {probe(t, "http://a.example.org"), probe(t, "http://b.example.org", func(p *Probe) { p.Envs = []string{"staging"} })}}, nil)
	if got := s.Probes(api); len(got) != 1 || got[0].URL != "http://a.example.org" {
		t.Errorf("%+v", got)
	}
	s = New(map[string][]Probe{"api": {probe(t, "https://ana:pass@a.example.org/ready?token=abc")}}, nil)
	if got := s.Probes(api); len(got) != 1 || got[0].URL != "https://ana:xxxxx@a.example.org/ready?…" {
		t.Errorf("%+v, want neither password nor query", got)
	}
	if got := s.Probes(deploys.App{Target: deploys.Target{App: "admin", Env: "prod"}}); got != nil {
		t.Errorf("%+v", got)
	}
}
