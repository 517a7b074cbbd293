package scenario_test

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"deployportal/internal/testenv"
)

// portal is the running binary and ana's session in it.
type portal struct {
	argv   []string
	out    *output
	addr   string
	cookie string // written once, by serve

	mu    sync.Mutex
	cmd   *exec.Cmd
	dead  chan struct{} // closed when cmd has ended
	kills int
}

// output collects what a process writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

var serving = regexp.MustCompile(`msg=serving addr=(\S+)`)

// serve starts the portal, waits until it sees the cluster and signs ana in.
func serve(t *testing.T, binary, config string) *portal {
	t.Helper()
	p := &portal{argv: []string{binary, "--config", config, "serve"}, out: &output{}}
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.stop(t) })
	testenv.Until(t, time.Minute, "the portal listens", func() bool {
		select {
		case <-p.dead:
			t.Fatalf("the portal ended: %v\n%s", p.cmd.ProcessState, p.out)
		default:
		}
		m := serving.FindStringSubmatch(p.out.String())
		if m != nil {
			p.addr = m[1]
		}
		return m != nil
	})
	slowly(t, time.Minute, "the portal sees the cluster", func() bool { return p.send(t, http.MethodGet, "/readyz", nil).status == http.StatusOK })
	form := p.get(t, "/sign-in").fields(t, "form.form")
	form.values.Set("account", "ana")
	form.values.Set("password", password)
	in := p.send(t, http.MethodPost, form.action, form.values)
	for _, c := range in.cookies {
		p.cookie = c.Name + "=" + c.Value
	}
	if in.status != http.StatusSeeOther || p.cookie == "" {
		t.Fatalf("sign-in: %d\n%s", in.status, in.text("main"))
	}
	return p
}

// start runs the binary. p.mu is held, or nobody else knows p yet.
func (p *portal) start() error {
	cmd, dead := exec.Command(p.argv[0], p.argv[1:]...), make(chan struct{})
	cmd.Stdout, cmd.Stderr = p.out, p.out
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.dead = cmd, dead
	go func() {
		_ = cmd.Wait() // how it ended is in ProcessState
		close(dead)
	}()
	return nil
}

// killNowAndThen kills the portal and starts it again, every so often, until stop is called, which tells how many times.
func (p *portal) killNowAndThen(t *testing.T, every time.Duration) (stop func() int) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-quit:
				return
			case <-time.After(every):
			}
			if err := p.kill(); err != nil {
				t.Errorf("start the portal again: %v", err)
				return
			}
		}
	}()
	return func() int {
		close(quit)
		<-done
		return p.killed()
	}
}

func (p *portal) kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.cmd.Process.Kill() // if it has ended, stop says so
	<-p.dead
	p.kills++
	return p.start()
}

// killed tells how many times the portal was killed. While it is being killed, the answer waits.
func (p *portal) killed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.kills
}

// slowly is testenv.Until for questions that cost something: it asks a few times a second.
func slowly(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	next := time.Time{}
	testenv.Until(t, limit, what, func() bool {
		if time.Now().Before(next) {
			return false
		}
		yes := ok()
		next = time.Now().Add(200 * time.Millisecond)
		return yes
	})
}

// stop ends the portal. A race ends the process with another code.
func (p *portal) stop(t *testing.T) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-p.dead:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		t.Error("the portal was told to stop and did not")
	}
	log := p.out.String()
	for _, bad := range []string{"DATA RACE", "panic:", password, giteaToken} {
		if strings.Contains(log, bad) {
			t.Errorf("the log has %q:\n%s", bad, log)
			return
		}
	}
	if t.Failed() {
		for line := range strings.Lines(log) {
			if !strings.Contains(line, " status=200 ") {
				t.Log(strings.TrimSpace(line))
			}
		}
	}
}

// page is one answer.
type page struct {
	path    string
	status  int
	header  http.Header
	cookies []*http.Cookie
	doc     *goquery.Document
}

var client = &http.Client{
	Timeout:       30 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// send makes one request, without following where it leads.
func (p *portal) send(t testing.TB, method, path string, form url.Values) *page {
	t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+p.addr+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "http://"+p.addr)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	if p.cookie != "" {
		r.Header.Set("Cookie", p.cookie)
	}
	var res *http.Response
	var doc *goquery.Document
	began := time.Now()
	slowly(t, 2*time.Minute, method+" "+path+" is answered", func() bool {
		killed := p.killed()
		if body != nil {
			r.Body = io.NopCloser(strings.NewReader(form.Encode()))
		}
		if res, err = client.Do(r); err == nil {
			defer func() { _ = res.Body.Close() }()
			doc, err = goquery.NewDocumentFromReader(res.Body)
		}
		if err != nil && killed == 0 && p.killed() == 0 {
			t.Fatalf("%s %s after %v: %v", method, path, time.Since(began), err)
		}
		return err == nil // a portal that was killed is on its way; the form's key makes a second click the same
	})
	return &page{path: path, status: res.StatusCode, header: res.Header, cookies: res.Cookies(), doc: doc}
}

// get opens a page and goes where it leads.
func (p *portal) get(t testing.TB, path string) *page {
	t.Helper()
	got := p.send(t, http.MethodGet, path, nil)
	for range 5 {
		if got.status != http.StatusSeeOther {
			return got
		}
		got = p.send(t, http.MethodGet, got.header.Get("Location"), nil)
	}
	t.Fatalf("GET %s leads nowhere", path)
	return nil
}

// text is what a person reads in a part of the page.
func (p *page) text(selector string) string {
	return strings.Join(strings.Fields(p.doc.Find(selector).Text()), " ")
}

type form struct {
	action string
	values url.Values
}

// fields are what a form sends when nothing is typed. Checks that block are overridden: these rollouts are there to fail.
func (p *page) fields(t testing.TB, selector string) form {
	t.Helper()
	f := p.doc.Find(selector)
	if f.Length() != 1 {
		t.Fatalf("%s has %d forms %q, status %d:\n%s", p.path, f.Length(), selector, p.status, p.text("body"))
	}
	values := url.Values{}
	f.Find("input[name]:not([type=checkbox]), input[checked]").Each(func(_ int, s *goquery.Selection) { values.Add(s.AttrOr("name", ""), s.AttrOr("value", "")) })
	f.Find("input[name=override]").Each(func(_ int, s *goquery.Selection) {
		values.Add("override", s.AttrOr("value", ""))
		values.Set("reason", "to see how it fails")
	})
	return form{f.AttrOr("action", p.path), values}
}

// confirm opens a confirm page and clicks. It gives the id of the deploy that began, and when the click was.
func (p *portal) confirm(t testing.TB, path string) (id int64, clicked time.Time) {
	t.Helper()
	return p.click(t, p.get(t, path), "form.sheet.form")
}

// click sends a form of a page that starts a deploy.
func (p *portal) click(t testing.TB, on *page, selector string) (id int64, clicked time.Time) {
	t.Helper()
	f := on.fields(t, selector)
	clicked = time.Now()
	answer := p.send(t, http.MethodPost, f.action, f.values)
	to := answer.header.Get("Location")
	id, err := strconv.ParseInt(strings.TrimPrefix(to, "/deploys/"), 10, 64)
	if err != nil || answer.status != http.StatusSeeOther {
		t.Fatalf("no deploy began: %s: %d %s\n%s", on.path, answer.status, to, answer.text("main"))
	}
	return id, clicked
}
