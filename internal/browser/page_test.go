package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// tab is one open page and what the browser has said of it.
type tab struct {
	t    testing.TB
	ctx  context.Context
	base string

	mu      sync.Mutex
	words   []string // complaints
	excused []*regexp.Regexp
	loads   int
	resumed []string // the Last-Event-ID of each request that had one
	cookies []string // the Cookie header of each request that had one
}

func (p *tab) complain(kind, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.words = append(p.words, kind+": "+text)
}

// excuse names a complaint that the test itself brings about. What breaks the content policy has no excuse.
func (p *tab) excuse(pattern string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.excused = append(p.excused, regexp.MustCompile(pattern))
}

// said lists the complaints without an excuse.
func (p *tab) said() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.words), func(w string) bool {
		return !strings.HasPrefix(w, "policy") && slices.ContainsFunc(p.excused, func(r *regexp.Regexp) bool { return r.MatchString(w) })
	})
}

func (p *tab) sent(e *network.EventRequestWillBeSentExtraInfo) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, v := range e.Headers {
		switch strings.ToLower(name) {
		case "last-event-id":
			p.resumed = append(p.resumed, fmt.Sprint(v))
		case "cookie":
			p.cookies = append(p.cookies, fmt.Sprint(v))
		}
	}
}

func (p *tab) loaded() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loads++
}

// headers gives what of the requests so far is looked at.
func (p *tab) headers() (resumed, cookies []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.resumed), slices.Clone(p.cookies)
}

// loadCount is how many documents were loaded: as long as it stays, nothing was reloaded.
func (p *tab) loadCount() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.loads
}

// must does something in the tab, or fails the test.
func (p *tab) must(what string, a chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	// The first action of a tab opens it, and a tab ends with the context it was opened with.
	if chromedp.FromContext(p.ctx).Target == nil {
		ctx = p.ctx
	}
	if err := chromedp.Do(ctx, a); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

// open loads a page of the site.
func (p *tab) open(path string) {
	p.t.Helper()
	p.must("open "+path, chromedp.Navigate(p.base+path))
}

// eval asks the page. A page that is being replaced cannot answer; until asks again.
func eval[T any](p *tab, js string) (T, error) {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](js))
}

// get asks the page, or fails the test.
func get[T any](p *tab, js string) T {
	p.t.Helper()
	v, err := eval[T](p, js)
	if err != nil {
		p.t.Fatalf("%s: %v", js, err)
	}
	return v
}

// until waits for a condition on the page.
func (p *tab) until(what, js string) {
	p.t.Helper()
	p.within(patience, what, js)
}

// within waits for a condition on the page that has to come in time.
func (p *tab) within(limit time.Duration, what, js string) {
	p.t.Helper()
	if err := p.await(limit, js); err != nil {
		p.t.Fatalf("not seen within %v: %s (last answer: %v)", limit, what, err)
	}
}

// await asks the page again and again. It is the one place that does, so that no test waits for a time.
func (p *tab) await(limit time.Duration, js string) error {
	late := time.NewTimer(limit)
	defer late.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := eval[bool](p, `!!(`+js+`)`)
		if ok {
			return nil
		}
		select {
		case <-tick.C:
		case <-late.C:
			if err == nil {
				err = fmt.Errorf("no: %s", js)
			}
			return err
		}
	}
}

// quote makes a string a JavaScript literal.
func quote(s string) string {
	text, _ := json.Marshal(s) // a string can be marshalled
	return string(text)
}

// shows is the condition that the text of an element holds a word.
func shows(selector, word string) string {
	return `document.querySelector(` + quote(selector) + `)?.textContent.includes(` + quote(word) + `)`
}

// text is what an element says, with its white space folded.
func (p *tab) text(selector string) string {
	p.t.Helper()
	return get[string](p, `(document.querySelector(`+quote(selector)+`)?.textContent ?? "").replace(/\s+/g, " ").trim()`)
}

// where is the path and query of the page.
func (p *tab) where() string {
	at, err := eval[string](p, `location.pathname + location.search`)
	if err != nil {
		return err.Error()
	}
	return at
}

// looks is the text of the page, for a test that has failed.
func (p *tab) looks() string {
	text, err := eval[string](p, `document.body?.innerText ?? ""`)
	if err != nil {
		return err.Error()
	}
	return text
}

// condition is what a page that does not come alive can tell of itself.
func (p *tab) condition() string {
	got, err := eval[string](p, `[document.visibilityState, document.readyState, typeof htmx, document.querySelector("#stream")?.outerHTML,
		...performance.getEntriesByType("resource").map((e) => e.name.slice(-24) + " " + e.responseStatus + " after " + Math.round(e.duration) + " ms")].join(", ")`)
	if err != nil {
		return err.Error()
	}
	return got
}

// click presses the mouse on the first element of a selector, once it is there.
func (p *tab) click(selector string) {
	p.t.Helper()
	p.until("there is "+selector, `document.querySelector(`+quote(selector)+`)`)
	p.must("click "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// follow clicks and waits until the page that it leads to is there, also where that has the same path.
func (p *tab) follow(selector, path string) {
	p.t.Helper()
	p.until("there is "+selector, `(window.left = true) && document.querySelector(`+quote(selector)+`)`)
	p.click(selector)
	p.until(path+" is open", `!window.left && `+arrived(path))
}

// arrived is the condition that a page is open and read to its end.
func arrived(path string) string {
	return `document.readyState === "complete" && new RegExp(` + quote("^"+path+"$") + `).test(location.pathname)`
}

// typeIn writes into a field.
func (p *tab) typeIn(selector, text string) {
	p.t.Helper()
	p.until("there is "+selector, `document.querySelector(`+quote(selector)+`)`)
	p.must("type into "+selector, chromedp.SendKeys(chromedp.CSS(selector), text))
}

// press presses keys, whatever has the focus.
func (p *tab) press(keys string) {
	p.t.Helper()
	p.must("press keys", chromedp.KeyEvent(keys))
}

// signIn goes through the door and to a page, as people do.
func (p *tab) signIn(d *demo, path string) {
	p.t.Helper()
	p.open(path)
	p.until("the sign-in page is open", arrived("/sign-in"))
	p.typeIn("#account", d.user)
	p.typeIn("#password", d.password+kb.Enter)
	p.until(path+" is open", arrived(regexp.QuoteMeta(strings.SplitN(path, "?", 2)[0])))
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// heard lists all complaints, also those with an excuse.
func (p *tab) heard() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.words)
}

// forget is for a test of the complaints themselves.
func (p *tab) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.words = nil
}
