package browser_test

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"deployportal/internal/testenv"
)

// patience is how long anything may take that is not itself a figure under test: a busy machine is no fault.
const patience = 90 * time.Second

var chrome struct {
	sync.Mutex
	ctx  context.Context
	stop func()
}

// theChrome is one Chromium with an empty profile for all tests.
func theChrome(t testing.TB) context.Context {
	t.Helper()
	chrome.Lock()
	defer chrome.Unlock()
	if chrome.ctx != nil {
		return chrome.ctx
	}
	opts := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(testenv.Chromium(t)), chromedp.Headless, chromedp.NoFirstRun, chromedp.DisableGPU,
		chromedp.WindowSize(1400, 900),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-dev-shm-usage", true), // small in many containers
		// A page in the background is to tick as one in front: several are open at a time.
		chromedp.Flag("disable-background-timer-throttling", true),
		chromedp.Flag("disable-backgrounding-occluded-windows", true),
		chromedp.Flag("disable-renderer-backgrounding", true),
		chromedp.Flag("force-color-profile", "srgb"),
	}
	if os.Geteuid() == 0 {
		opts = append(opts, chromedp.NoSandbox) // Chromium's sandbox does not work for root
	}
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, stop := chromedp.NewContext(alloc)
	if err := chromedp.Do(ctx); err != nil {
		stop()
		stopAlloc()
		t.Fatal(err)
	}
	chrome.ctx, chrome.stop = ctx, func() { stop(); stopAlloc() }
	return ctx
}

func stopChrome() {
	if chrome.stop != nil {
		chrome.stop()
	}
}

// newTab opens a tab with cookies of its own on a site. What it complains of fails the test when it ends.
func newTab(t testing.TB, base string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(theChrome(t), chromedp.WithNewBrowserContext())
	return watch(t, ctx, cancel, base)
}

// another opens a tab with the same cookies.
func (p *tab) another() *tab {
	p.t.Helper()
	ctx, cancel := chromedp.NewContext(p.ctx, chromedp.WithNewWindow(true))
	return watch(p.t, ctx, cancel, p.base)
}

// onViolation tells of what the page's content policy stopped, from the first script of every document on.
const onViolation = `addEventListener("securitypolicyviolation", (e) =>
	violated(e.effectiveDirective + " " + e.blockedURI + " " + e.sourceFile + ":" + e.lineNumber + " " + e.sample))`

func watch(t testing.TB, ctx context.Context, cancel func(), base string) *tab {
	t.Helper()
	p := &tab{t: t, ctx: ctx, base: base}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the page at %s, %s:\n%s", p.where(), p.condition(), p.looks())
		}
		cancel()
		for _, c := range p.said() {
			t.Errorf("the browser complains: %s", c)
		}
	})
	p.must("open a tab", chromedp.Steps())
	if err := chromedp.Listen(ctx, p.hear); err != nil {
		t.Fatal(err)
	}
	p.must("collect complaints", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		if _, err := cdp.Call(ctx, t, runtime.AddBinding, runtime.AddBindingParams{Name: "violated"}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, t, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: onViolation})
		if err != nil {
			return err
		}
		if _, err = cdp.Call(ctx, t, audits.Enable, cdp.Empty{}); err != nil {
			return err
		}
		if _, err = cdp.Call(ctx, t, log.Enable, cdp.Empty{}); err != nil {
			return err
		}
		if _, err = cdp.Call(ctx, t, network.Enable, network.EnableParams{}); err != nil {
			return err
		}
		// A page that is not in front would pause its stream, and which window is in front is chance.
		_, err = cdp.Call(ctx, t, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
		return err
	}))
	return p
}

// hear takes what the browser tells of a tab. It runs in the loop that reads the browser's messages.
func (p *tab) hear(e any) {
	switch e := e.(type) {
	case *runtime.EventBindingCalled:
		if e.Name == "violated" {
			p.complain("policy event", e.Payload)
		}
	case *audits.EventIssueAdded:
		if d := e.Issue.Details.ContentSecurityPolicyIssueDetails; d != nil {
			p.complain("policy issue", d.ViolatedDirective+" "+d.BlockedURL)
		}
	case *log.EventEntryAdded:
		switch {
		case e.Entry.Source == log.EntrySourceSecurity:
			p.complain("policy log", e.Entry.Text)
		case e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning:
			p.complain("log", string(e.Entry.Source)+": "+e.Entry.Text+" "+e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		p.complain("exception", e.ExceptionDetails.Text+" "+e.ExceptionDetails.URL)
	case *runtime.EventConsoleAPICalled:
		switch e.Type {
		case runtime.ConsoleAPICalledTypeError, runtime.ConsoleAPICalledTypeWarning, runtime.ConsoleAPICalledTypeAssert:
			text := ""
			for _, a := range e.Args {
				text += " " + string(a.Value) + a.Description
			}
			p.complain("console", string(e.Type)+text)
		}
	case *network.EventRequestWillBeSentExtraInfo:
		p.sent(e)
	case *page.EventLoadEventFired:
		p.loaded()
	}
}
