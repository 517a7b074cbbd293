package web

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"deployportal/internal/auth"
	"deployportal/internal/testenv"
	"deployportal/web/templates"
)

// run does one thing in a browser within half a minute.
func run[T any](t *testing.T, ctx context.Context, what string, a chromedp.Action[T]) T {
	t.Helper()
	short, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	got, err := chromedp.Run(short, a)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return got
}

// A real browser keeps the cookie it is given, on each name of its own machine and elsewhere, and follows a deploy to
// its end without a word of complaint about the content policy.
func TestInChromium(t *testing.T) {
	bin := testenv.Chromium(t)
	var p *portal
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.log.String())
		}
	})
	p = newPortal(t, nil, func(s *Server) { s.times.check = 100 * time.Millisecond })
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(bin), chromedp.NoSandbox,
		chromedp.Flag("host-resolver-rules", "MAP portal.example 127.0.0.1"))
	alloc, cancel := chromedp.NewExecAllocator(context.Background(), opts...)
	defer cancel()
	ctx, cancel := chromedp.NewContext(alloc)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var complaints []string
	err := chromedp.Listen(ctx, func(e any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := e.(type) {
		case *log.EventEntryAdded:
			complaints = append(complaints, e.Entry.Text)
		case *runtime.EventExceptionThrown:
			complaints = append(complaints, e.ExceptionDetails.Text)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	port := p.base[strings.LastIndex(p.base, ":"):]
	for _, host := range []string{"portal.example", "localhost", "127.0.0.1"} {
		base := "http://" + host + port
		run(t, ctx, "opening", chromedp.Navigate(base+"/deploys/1"))
		run(t, ctx, "typing the name", chromedp.SendKeys("#account", admin))
		run(t, ctx, "typing the password", chromedp.SendKeys("#password", password+"\r"))
		run(t, ctx, "coming back", chromedp.WaitVisible("h1"))
		p.until(host+" is signed in", func() bool {
			self, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector("header .self a")?.textContent ?? ""`))
			return err == nil && self == admin
		})
		if got := run(t, ctx, "where", chromedp.Evaluate[string](`location.pathname`)); got != "/deploys/1" {
			t.Errorf("%s: signed in at %s", host, got)
		}
	}
	mu.Lock()
	complaints = nil // there was no deploy 1 so far
	mu.Unlock()
	d := p.patched(p.start("staging", "b").ID)
	run(t, ctx, "opening the deploy", chromedp.Navigate(p.base+templates.DeployURL(d.ID)))
	run(t, ctx, "being live", chromedp.WaitVisible(`#live[data-state="ok"]`))
	p.cluster.finish(target("staging"), "b")
	run(t, ctx, "seeing the end", chromedp.WaitReady(`#stream[data-done]`))
	if got := run(t, ctx, "the title", chromedp.Title()); !strings.HasPrefix(got, "Succeeded: api") {
		t.Errorf("the tab is called %q", got)
	}
	mu.Lock()
	if len(complaints) > 0 {
		t.Errorf("the browser complains: %q", complaints)
	}
	mu.Unlock()
	run(t, ctx, "opening the board", chromedp.Navigate(p.base))
	run(t, ctx, "being live", chromedp.WaitVisible(`#live[data-state="ok"]`))
	if err := p.accounts.Revoke(context.Background(), auth.CLIActor(), admin); err != nil {
		t.Fatal(err)
	}
	run(t, ctx, "being told", chromedp.WaitVisible("#live-in"))
	if got := run(t, ctx, "the words", chromedp.Text("#live [data-text]")); got != "signed out" {
		t.Errorf("the page says %q", got)
	}
}
