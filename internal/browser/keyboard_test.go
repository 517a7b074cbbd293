package browser_test

import (
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// tabTo presses Tab until an element has the focus, and sees to it that the focus can be seen on the way.
func (p *tab) tabTo(selector string) {
	p.t.Helper()
	const limit = 80
	for range limit {
		p.press(kb.Tab)
		if bad := get[string](p, `(() => {
			const el = document.activeElement, s = getComputedStyle(el);
			if (el === document.body) return "";
			return s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2 ? "" : el.outerHTML.slice(0, 200);
		})()`); bad != "" {
			p.t.Errorf("the focus cannot be seen on %s", bad)
		}
		if get[bool](p, `document.activeElement.matches(`+quote(selector)+`)`) {
			return
		}
	}
	p.t.Fatalf("%d times Tab do not lead to %s", limit, selector)
}

// From the sign-in to a deploy and through it, without a mouse.
func TestKeyboardAlone(t *testing.T) {
	d := theDemo(t)
	tag := otherTag(t, d, "worker")
	p := newTab(t, d.url)
	p.open("/")
	p.until("the sign-in page is open", arrived("/sign-in"))
	p.until("the account has the focus", `document.activeElement.id === "account"`)
	p.press(d.user + kb.Tab + d.password + kb.Enter)
	p.until("the board is open", arrived("/"))
	p.press(kb.Tab)
	if got := get[string](p, "document.activeElement.className"); got != "skip" {
		t.Errorf("the first stop is %q, want the way past the header", got)
	}
	p.press(kb.Enter)
	p.until("the page has the focus", `document.activeElement.id === "main"`)
	p.idle("worker")
	p.tabTo("#row-prod-worker h3 a")
	p.press(kb.Enter)
	p.until("the app is open", arrived("/apps/prod/worker"))
	p.press("/")
	p.until("the search has the focus", `document.activeElement.id === "find"`)
	p.tabTo(`#images a[href*="image=` + tag + `"]`)
	p.press(kb.Enter)
	p.until("the confirm page is open", arrived("/apps/prod/worker/confirm"))
	p.tabTo("#reason")
	p.press("by keyboard")
	p.tabTo("button[type=submit].big")
	p.press(kb.Enter)
	p.until("the deploy is open", arrived(`/deploys/\d+`))
	if got := p.text(".reason"); got != "“by keyboard”" {
		t.Errorf("the reason is %q", got)
	}
	// A page that redraws itself must not take the focus away.
	p.until("the page is live", `document.querySelector("#live").dataset.state === "ok"`)
	p.tabTo("#deploy-yourself .command")
	held := get[string](p, "document.activeElement.textContent")
	p.until("the deploy has ended", `document.querySelector("#stream").hasAttribute("data-done")`)
	if got := get[string](p, "document.activeElement.textContent"); got != held {
		t.Errorf("the focus went from %q to %q", held, got)
	}
	if id := p.deployID(); p.text("#deploy-head .kicker .st") != "Succeeded" {
		t.Errorf("deploy %d has not succeeded", id)
	}
}
