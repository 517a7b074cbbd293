package foreigntest

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"deployportal/internal/testenv"
)

// The detectors of a Tab: what a page can do that text of others must not make it do.
const (
	Dialog     = "dialog"     // it called alert, or opened another dialog
	Call       = "call"       // it called Hit
	Policy     = "policy"     // the content policy stopped it: unescaped text must not even try
	Request    = "request"    // it asked for Canary, or another origin for anything
	Navigation = "navigation" // it left, or opened a frame
)

// Notice is one thing that a detector has seen.
type Notice struct{ Detector, What string }

// Tab is a tab of a browser in which detectors look on. Its methods fail the test when the browser does not answer.
type Tab struct {
	t      testing.TB
	ctx    context.Context
	origin string

	mu   sync.Mutex
	at   string // the address that was opened
	seen []Notice
}

// shape.js gives portalShape(element): what the elements and attributes below it are, without the text in them.
//
//go:embed shape.js
var shape string

const onViolation = `addEventListener("securitypolicyviolation", (e) => portalViolation(e.effectiveDirective + " " + e.blockedURI + " " + e.sample));`

const patience = 90 * time.Second

// Watch starts a browser and gives a tab for pages of an origin, "http://127.0.0.1:1234". Without Chromium the test is
// skipped. Nothing the browser does leaves the machine.
func Watch(t testing.TB, origin string) *Tab {
	t.Helper()
	bin := testenv.Chromium(t)
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(bin),
		chromedp.Flag("disable-dev-shm-usage", true), // small in many containers
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"))
	if os.Geteuid() == 0 {
		opts = append(opts, chromedp.NoSandbox) // Chromium's sandbox does not work for root
	}
	alloc, cancel := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	p := &Tab{t: t, ctx: ctx, origin: origin}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Listen(ctx, p.hear); err != nil {
		t.Fatal(err)
	}
	p.do("look on", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		for _, name := range []string{Hit, "portalViolation"} {
			if _, err := cdp.Call(ctx, t, runtime.AddBinding, runtime.AddBindingParams{Name: name}); err != nil {
				return err
			}
		}
		script := page.AddScriptToEvaluateOnNewDocumentParams{Source: onViolation + shape}
		if _, err := cdp.Call(ctx, t, page.AddScriptToEvaluateOnNewDocument, script); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, t, network.Enable, network.EnableParams{})
		return err
	}))
	return p
}

// hear takes what the browser tells. It runs in the loop that reads the browser's messages.
func (p *Tab) hear(e any) {
	switch e := e.(type) {
	case *page.EventJavascriptDialogOpening:
		p.notice(Dialog, e.Message)
		go func() { // not from the loop that would have to read its answer
			_, _ = chromedp.Call(p.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true}) // the tab may be gone
		}()
	case *runtime.EventBindingCalled:
		if e.Name == Hit {
			p.notice(Call, e.Payload)
		} else {
			p.notice(Policy, e.Payload)
		}
	case *network.EventRequestWillBeSent:
		path, ours := strings.CutPrefix(e.Request.URL, p.origin)
		ours = ours || strings.HasPrefix(e.Request.URL, "data:") // the browser's own signs in fields; the policy allows a page none
		if !ours || strings.HasPrefix(path, Canary) {
			p.notice(Request, e.Request.URL)
		}
	case *page.EventFrameNavigated:
		p.mu.Lock()
		astray := e.Frame.ParentID != "" || e.Frame.URL != p.origin+p.at
		p.mu.Unlock()
		if astray {
			p.notice(Navigation, e.Frame.URL)
		}
	case *page.EventFrameAttached:
		p.notice(Navigation, "a frame")
	}
}

func (p *Tab) notice(detector, what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, Notice{detector, what})
}

// Noticed gives what was seen since it was asked last. The page is settled first: what it was about to do by itself it
// has done.
func (p *Tab) Noticed() []Notice {
	p.t.Helper()
	Get[bool](p, `new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(true))))`)
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := p.seen
	p.seen = nil
	return seen
}

// Detectors gives the detectors among notices, each once.
func Detectors(notices []Notice) []string {
	var names []string
	for _, n := range notices {
		names = append(names, n.Detector)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Open opens a page and waits until it is loaded.
func (p *Tab) Open(path string) {
	p.t.Helper()
	p.mu.Lock()
	p.at = path
	p.mu.Unlock()
	p.do("open "+path, chromedp.Navigate(p.origin+path))
}

// Expect says to which path the page goes next with good reason.
func (p *Tab) Expect(path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = path
}

func (p *Tab) do(what string, a chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, a); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

// Get evaluates JavaScript in the page; a promise is waited for.
func Get[T any](p *Tab, js string) T {
	p.t.Helper()
	v, err := ask[T](p, js)
	if err != nil {
		p.t.Fatalf("%.300s: %v", js, err)
	}
	return v
}

func ask[T any](p *Tab, js string) (v T, err error) {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	for range 3 { // a page that is being replaced cannot answer
		if v, err = chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise)); err == nil {
			break
		}
	}
	return v, err
}

// Until waits for a condition on the page.
func (p *Tab) Until(what, js string) {
	p.t.Helper()
	testenv.Until(p.t, patience, what, func() bool {
		ok, err := ask[bool](p, fmt.Sprintf("!!(%s)", js))
		return err == nil && ok
	})
}
