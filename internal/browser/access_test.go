package browser_test

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

//go:embed testdata/checks.js
var checks string

// scheme chooses light or dark.
func (p *tab) scheme(name string) {
	p.t.Helper()
	p.must("choose "+name, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
		return err
	}))
}

// everyPage lists an address of each kind of page there is, with a deploy that failed among them, and one under way first.
func (p *tab) everyPage(d *demo) []string {
	p.t.Helper()
	p.excuse(`\b404\b`) // the last two of them
	failed := p.aFailedDeploy(d)
	restore := p.stands(d)
	marked := p.aMarkedWayBack(d)
	api := otherTag(p.t, d, "api")
	now := p.deploy("worker", otherTag(p.t, d, "worker"))
	return []string{
		fmt.Sprint("/deploys/", now), "/", failed, "/apps/prod/api", "/apps/prod/api/history",
		"/apps/prod/api/confirm?image=" + api, "/apps/prod/api/confirm?rollback_to=last", marked,
		"/apps/prod/worker/confirm?restart=1", "/apps/prod/worker/history", "/audit", "/locks", "/audit?sha=0000000",
		"/audit/1", "/audit/at?time=2126-01-01T00:00", "/find?q=a", "/find?q=nothing-of-that-name", "/account", "/people",
		"/apps/prod/admin", restore, "/apps/prod/admin/confirm?image=" + otherTag(p.t, d, "admin"), "/deploys/999999", "/nowhere",
	}
}

// stands leaves a lock and a change from outside standing at admin until the test ends, and gives the page that restores
// what was.
func (p *tab) stands(d *demo) string {
	p.t.Helper()
	p.decided("admin")
	p.deploy("admin", otherTag(p.t, d, "admin"))
	p.ends("Succeeded", p.loadCount())
	other := repository(d.image(p.t, "admin")) + ":" + otherTag(p.t, d, "admin")
	d.do(p.t, "patch", "deployment/admin", "--field-manager=kubectl-edit", "-p",
		fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"admin","image":%q,"env":[{"name":"DEBUG","value":"%d"}]}]}}}}`, other, time.Now().UnixMilli()))
	p.open("/apps/prod/admin")
	p.within(30*time.Second, "the way back is offered", `document.querySelector("#outside a.danger")`)
	restore := get[string](p, `document.querySelector("#outside a.danger").getAttribute("href")`)
	p.lock("prod/admin", "the price list is moved to another table, so nothing may change here before that is done and looked at")
	p.t.Cleanup(func() {
		p.unlock()
		p.decided("admin")
	})
	return restore
}

// aFailedDeploy is the address of one, made and rolled back where there is none yet.
func (p *tab) aFailedDeploy(d *demo) string {
	p.t.Helper()
	p.open("/audit?app=api&outcome=failed")
	const link = `document.querySelector('table.audit a[href^="/deploys/"]')`
	if !get[bool](p, "!!"+link) {
		p.fail(d)
		p.follow(`#deploy-head .acts .danger`, `/deploys/\d+`)
		p.until("it is rolled back", `document.querySelector("#stream")?.hasAttribute("data-done") && document.title.startsWith("Succeeded")`)
		p.open("/audit?app=api&outcome=failed")
	}
	return get[string](p, link+`.getAttribute("href")`)
}

// aMarkedWayBack is the page that confirms a rollback to an image that ran well and is marked as bad.
func (p *tab) aMarkedWayBack(d *demo) string {
	p.t.Helper()
	p.decided("worker")
	ids, _ := p.twice(d, "worker")
	p.open("/apps/prod/worker/confirm?rollback_to=" + fmt.Sprint(ids[0]))
	p.click("#mark-bad")
	p.typeIn("#reason", "the queue is not emptied")
	p.follow("button[type=submit].big", `/deploys/\d+`)
	p.ends("Succeeded", p.loadCount())
	p.t.Cleanup(p.unmark)
	return "/apps/prod/worker/confirm?rollback_to=" + fmt.Sprint(ids[1])
}

func TestAccess(t *testing.T) {
	d := theDemo(t)
	p := newTab(t, d.url)
	p.open("/sign-in")
	p.accessible("/sign-in")
	p.signIn(d, "/")
	for _, path := range p.everyPage(d) {
		p.accessible(path)
	}
}

// accessible looks at a page in both schemes.
func (p *tab) accessible(path string) {
	p.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		p.scheme(scheme)
		p.open(path)
		found := get[[]string](p, checks)
		found = append(found, p.nameless()...)
		found = append(found, p.axe()...)
		for _, f := range found {
			p.t.Errorf("%s, %s: %s", path, scheme, f)
		}
	}
}

// nameless lists the controls that a screen reader would have no name for, as the browser itself computes names.
func (p *tab) nameless() (found []string) {
	p.t.Helper()
	tree, err := chromedp.Call(p.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		p.t.Fatal(err)
	}
	// Not form: without a name it is no landmark but a plain group (HTML-AAM), which newer browsers list as well.
	named := []string{"button", "link", "textbox", "searchbox", "combobox", "checkbox", "radio", "progressbar", "image", "DateTime",
		"region", "navigation", "heading", "dialog", "RootWebArea"}
	for _, n := range tree.Nodes {
		role, name := axText(n.Role), axText(n.Name)
		if !n.Ignored && slices.Contains(named, role) && name == "" {
			found = append(found, fmt.Sprintf("a %s without a name (node %d)", role, n.BackendDOMNodeID))
		}
	}
	if len(tree.Nodes) < 10 {
		found = append(found, "the accessibility tree is empty")
	}
	return found
}

func axText(v *accessibility.Value) (s string) {
	if v != nil {
		_ = json.Unmarshal([]byte(v.Value), &s) // not a string: no name
	}
	return strings.TrimSpace(s)
}

// axe runs axe-core, where a copy of it is at hand, and lists what it calls serious or critical.
func (p *tab) axe() []string {
	p.t.Helper()
	if *axe == "" {
		return nil
	}
	source, err := os.ReadFile(*axe)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := eval[chromedp.Void](p, string(source)); err != nil {
		p.t.Fatal(err)
	}
	found, err := chromedp.Run(p.ctx, chromedp.Evaluate[[]string](`axe.run(document, {resultTypes: ["violations"]}).then((r) =>
		r.violations.flatMap((v) => v.nodes.map((n) => "axe " + v.impact + " " + v.id + ": " + v.help + ": " + n.html.slice(0, 160))))`,
		chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatal(err)
	}
	return slices.DeleteFunc(found, func(f string) bool {
		serious := strings.HasPrefix(f, "axe serious") || strings.HasPrefix(f, "axe critical")
		if !serious {
			p.t.Logf("%s: %s", p.where(), f)
		}
		return !serious
	})
}

// On a phone nothing is wider than the screen: what must scroll does so in its own box.
func TestPhoneNeedsNoSidewaysScroll(t *testing.T) {
	d := theDemo(t)
	p := newTab(t, d.url)
	p.must("be a phone", chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulateTouch))
	p.narrow("/sign-in")
	p.signIn(d, "/")
	for _, path := range p.everyPage(d) {
		p.narrow(path)
	}
}

func (p *tab) narrow(path string) {
	p.t.Helper()
	p.open(path)
	if got := get[int](p, `document.scrollingElement.scrollWidth`); got > 390 {
		p.t.Errorf("%s is %d px wide: %s", path, got, get[[]string](p, `[...document.querySelectorAll("body *")]
			.filter((e) => e.getBoundingClientRect().right > 391 && e.checkVisibility()).map((e) => e.outerHTML.slice(0, 120)).slice(0, 3)`))
	}
	// Columns that are squeezed until each letter has its own line scroll nowhere either.
	if thin := get[[]string](p, `[...document.querySelectorAll("main :is(h1, h2, h3, p, a, b, span, td, dd, label)")].filter((e) => {
		const box = e.getBoundingClientRect(), line = parseFloat(getComputedStyle(e).fontSize);
		return e.checkVisibility() && !e.closest(".vh") && e.innerText.trim().length > 3 && box.width < 3 * line && box.height > 4 * line;
	}).map((e) => e.outerHTML.slice(0, 120))`); len(thin) > 0 {
		p.t.Errorf("%s has words a letter wide: %q", path, thin)
	}
	if small := get[[]string](p, `[...document.querySelectorAll("a.btn, button, input:not([type=hidden]), select")].filter((e) => e.checkVisibility() &&
		!e.closest(".offscreen, .sha") && !e.matches(".sha") && e.getBoundingClientRect().height < 24).map((e) => e.outerHTML.slice(0, 120))`); len(small) > 0 {
		p.t.Errorf("%s has controls that a finger misses: %q", path, small)
	}
}
