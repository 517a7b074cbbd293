package web

import (
	"slices"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"

	"deployportal/internal/audit"
	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// click sends the form of a deploy's page and gives where it leads.
func (b *browser) click(page response) string {
	b.p.t.Helper()
	a := b.post("/apps/staging/api/deploys", confirmed(page))
	if a.StatusCode != 303 {
		b.p.t.Fatalf("%s %q", a.Status, a.text("main"))
	}
	return a.Header.Get("Location")
}

// acts is what a deploy's page offers.
func (a response) acts() string {
	return strings.Join(a.doc.Find("#deploy-head .acts > *").Map(func(_ int, s *goquery.Selection) string { return strings.TrimSpace(s.Text()) }), ", ")
}

// A rollback that came to nothing does not use up the click: the failure offers it again, and then it is another rollback.
func TestRollbackAfterOneThatCameToNothing(t *testing.T) {
	p := newPortal(t, nil, nil)
	ana := p.as(admin)
	p.catalog.touched = []string{"migrations/7.sql"}
	p.failed()
	p.cluster.refuse(errs.New(errs.Forbidden, "The portal may not patch deployments in acme-staging."))
	first := ana.get("/deploys/1")
	if at := ana.click(first); at != "/deploys/2" {
		t.Fatalf("the first click leads to %s", at)
	}
	if d := p.over(2); d.Status != deploys.Errored {
		t.Fatalf("%s %s", d.Status, d.Sentence)
	}
	if at := ana.click(first); at != "/deploys/2" {
		t.Errorf("the same page, clicked twice, leads to %s", at)
	}
	none := ana.get("/deploys/2")
	href, _ := none.doc.Find("#deploy-head .acts a").Attr("href")
	if none.acts() != "Roll back to aaaaaaa" || href != "/apps/staging/api/confirm?rollback_to=1&before=1" || !strings.Contains(none.text("#deploy-outcome"), "then roll back again.") {
		t.Errorf("the rollback that came to nothing offers %q at %s and says %q", none.acts(), href, none.text("#deploy-outcome"))
	}
	if a := ana.get(href); a.text("form button.big") != "Roll back to aaaaaaa" {
		t.Errorf("it leads to %q", a.text("main"))
	}

	p.cluster.refuse(nil)
	page := ana.get("/deploys/1")
	if got := page.text("#deploy-head"); page.acts() != "Roll back to aaaaaaa, Deploy again" || !strings.Contains(got, "Not rolled back by deploy 2 (errored)") {
		t.Fatalf("the failure offers %q and says %q", page.acts(), got)
	}
	for range 2 {
		if at := ana.click(page); at != "/deploys/3" {
			t.Errorf("the click after it leads to %s", at)
		}
	}
	stream := ana.listen("/deploys/1/events?after=0", "")
	stream.says("Deploy 3 is rolling it back to aaaaaaa now")
	if d := p.patched(3); d.Kind != deploys.KindRollback || !d.To.Same(deploys.Version{Digest: digestOf("a")}) {
		t.Errorf("%+v", d)
	}
	p.cluster.finish(target("staging"), "a")
	p.over(3)
	stream.until("done")
	if n := len(p.entries(audit.DeployRequested)); n != 3 {
		t.Errorf("%d deploys were asked for", n)
	}
	page = ana.get("/deploys/1")
	if got := page.text("#deploy-head"); page.acts() != "Deploy again" || !strings.Contains(got, "Not rolled back by deploy 2 (errored)") || !strings.Contains(got, "Rolled back by deploy 3 (succeeded)") {
		t.Errorf("in the end it offers %q and says %q", page.acts(), got)
	}
}

// Where a later deploy has set another image, the way back is not from here.
func TestFailureThatIsPassed(t *testing.T) {
	p := newPortal(t, nil, nil)
	p.catalog.touched = []string{"migrations/7.sql"}
	p.failed()
	p.start("staging", "c")
	p.patched(2)
	page := p.as(admin).get("/deploys/1")
	if got := page.text("#deploy-outcome"); page.acts() != "Open api, Deploy again" || !strings.Contains(got, "A later deploy has set another image.") || strings.Contains(got, "Roll back") {
		t.Errorf("it offers %q and says %q", page.acts(), got)
	}
}

// The same image fails twice, and each time the portal rolls it back: each page tells of its own rollback alone.
func TestFailuresOfOneImageAreKeptApart(t *testing.T) {
	p := newPortal(t, nil, nil)
	ana := p.as(admin)
	for _, id := range []int64{1, 3} {
		form := confirmed(ana.get("/apps/staging/api/confirm?image=" + tagOf("b")))
		form.Set("reason", "once more")
		if a := ana.post("/apps/staging/api/deploys", form); a.StatusCode != 303 {
			t.Fatalf("%s %q", a.Status, a.text("main"))
		}
		p.patched(id)
		p.cluster.crash(target("staging"))
		p.over(id)
		p.patched(id + 1)
		p.cluster.finish(target("staging"), "a")
		p.over(id + 1)
	}
	for id, want := range map[string][]string{"1": {"/deploys/2"}, "2": {"/deploys/1"}, "3": {"/deploys/4"}, "4": {"/deploys/3"}} {
		got := ana.get("/deploys/" + id).doc.Find("#deploy-head .facts a[href^='/deploys/']").Map(func(_ int, s *goquery.Selection) string { return s.AttrOr("href", "") })
		if !slices.Equal(got, want) {
			t.Errorf("page %s leads to %v, want %v", id, got, want)
		}
	}
}
