package web

import (
	"net/url"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"

	"deployportal/internal/audit"
	"deployportal/internal/deploys"
)

const checkRows = "section[aria-labelledby=confirm-checks]"

// arm makes the cluster's nodes those that the image is not built for, and quota full.
func (p *portal) arm() {
	p.cluster.change(func() {
		p.cluster.around = func(s *deploys.Surroundings) {
			s.Nodes = []deploys.Node{{Name: "pi", Platform: "linux/arm64", Fits: true}}
			s.Quotas = []deploys.Quota{{Name: "all", Resource: "pods", Used: "2", Hard: "2"}}
		}
	})
}

// What blocks stands first, then warnings, then what is not known; what passes is folded into one line.
func TestChecksOnTheConfirmPage(t *testing.T) {
	p := newPortal(t, nil, nil)
	p.arm()
	a := p.as(deployer).get("/apps/staging/api/confirm?image=" + tagOf("b"))
	var words []string
	a.doc.Find(checkRows + " > ul .check").Each(func(i int, _ *goquery.Selection) {
		words = append(words, a.text(checkRows+" > ul .check:nth-child("+id(int64(i+1))+") .st"))
	})
	if got := strings.Join(words, ","); !strings.HasPrefix(got, "Blocks,Blocks,") || !strings.HasSuffix(got, "Not known") {
		t.Errorf("in this order: %s", got)
	}
	if got := a.words(checkRows); !strings.Contains(got, "Blocks The image is built for linux/amd64 only, and its pods can land on pi (linux/arm64). Build the image for these nodes too, or keep its pods off them with a node selector. pi: linux/arm64") {
		t.Errorf("the checks say %q", got)
	}
	if got := a.text("#confirm-passed summary"); !strings.HasSuffix(got, " checks passed") || a.doc.Find("#confirm-passed[open]").Length() != 0 {
		t.Errorf("what passes: %q", got)
	}
}

// Who may not override finds the button out of use, and is refused all the same when it is pressed past the page.
func TestBlockOnTheConfirmPage(t *testing.T) {
	p := newPortal(t, nil, nil)
	p.arm()
	dan := p.as(deployer)
	a := dan.get("/apps/staging/api/confirm?image=" + tagOf("b"))
	if a.doc.Find("form button.big[disabled]").Length() != 1 || a.doc.Find("input[name=override]").Length() != 0 || !strings.Contains(a.text("form.form"), "An admin can override it.") {
		t.Errorf("the form: %q", a.text("form.form"))
	}
	form := confirmed(a)
	form["override"], form["reason"] = []string{"platforms", "quota"}, []string{"x"}
	if a := dan.post("/apps/staging/api/deploys", form); a.StatusCode != 403 || !strings.Contains(a.text("#confirm-error"), "dan may not override checks in staging") {
		t.Errorf("%s %q", a.Status, a.text("main"))
	}
}

// An admin overrides each block by a tick, with a reason, and the log says which; a tick that was left off refuses, and the
// other is kept.
func TestOverrideOnTheConfirmPage(t *testing.T) {
	p := newPortal(t, nil, nil)
	p.arm()
	ana := p.as(admin)
	a := ana.get("/apps/staging/api/confirm?image=" + tagOf("b"))
	if a.doc.Find("form button.big:not([disabled])").Length() != 1 || a.doc.Find("input[name=override][required]").Length() != 2 || a.doc.Find("#reason[required]").Length() != 1 {
		t.Errorf("the form: %q", a.text("form.form"))
	}
	if got := a.text("label[for=override-platforms]"); got != "Deploy anyway: The image is built for linux/amd64 only, and its pods can land on pi (linux/arm64)." {
		t.Errorf("the tick says %q", got)
	}
	form := confirmed(a)
	send := func(reason string, overrides ...string) response {
		f := url.Values{}
		for k, v := range form {
			f[k] = v
		}
		f["override"], f["reason"] = overrides, []string{reason}
		return ana.post("/apps/staging/api/deploys", f)
	}
	half := send("it is drained", "quota")
	if half.StatusCode != 409 || !strings.Contains(half.text("#confirm-error"), "Blocked by preflight (platforms): The image is built for") {
		t.Errorf("one of two: %s %q", half.Status, half.text("#confirm-error"))
	}
	if half.doc.Find("#override-quota[checked]").Length() != 1 || half.doc.Find("#override-platforms[checked]").Length() != 0 {
		t.Error("the ticks are not kept as they were")
	}
	if a := send("", "quota", "platforms"); a.StatusCode != 422 || !strings.Contains(a.text("#confirm-error"), "only with a reason") {
		t.Errorf("without a reason: %s %q", a.Status, a.text("#confirm-error"))
	}
	if a := send("it is drained", "quota", "platforms"); a.StatusCode != 303 {
		t.Fatalf("%s %q", a.Status, a.text("#confirm-error"))
	}
	if e := p.entries(audit.DeployRequested)[0]; !strings.HasPrefix(e.Detail, "Overridden checks: platforms: The image is built for linux/amd64 only") || e.Reason != "it is drained" {
		t.Errorf("the entry: %+v", e)
	}
}

// A tag that the registry does not have is told on the page, which then offers no button.
func TestDeletedTagOnTheConfirmPage(t *testing.T) {
	p := newPortal(t, nil, nil)
	a := p.as(deployer).get("/apps/staging/api/confirm?image=" + tagOf("e"))
	if a.StatusCode != 404 || !strings.Contains(a.words(checkRows), "Blocks Image not found: ") || a.doc.Find("form button.big").Length() != 0 {
		t.Errorf("%s %q", a.Status, a.text("main"))
	}
}

// A rollback is warned and not held by what would hold a deploy.
func TestRollbackIsNotHeld(t *testing.T) {
	p := newPortal(t, nil, nil)
	d := p.patched(p.start("staging", "b").ID)
	p.cluster.finish(target("staging"), "b")
	p.over(d.ID)
	p.arm()
	dan := p.as(deployer)
	a := dan.get("/apps/staging/api/confirm?rollback_to=last")
	if got := a.words(checkRows); !strings.Contains(got, "Warning The image is built for") || a.doc.Find("form button.big:not([disabled])").Length() != 1 {
		t.Errorf("%q", got)
	}
	if a := dan.post("/apps/staging/api/deploys", confirmed(a)); a.StatusCode != 303 {
		t.Errorf("%s %q", a.Status, a.text("#confirm-error"))
	}
}
