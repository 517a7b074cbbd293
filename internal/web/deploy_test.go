package web

import (
	"encoding/csv"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"

	"deployportal/internal/audit"
	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

func TestConfirmAndDeploy(t *testing.T) {
	p := newPortal(t, nil, nil)
	dan := p.as(deployer)
	app := dan.get("/apps/staging/api")
	link, ok := app.doc.Find("#images a.btn").First().Attr("href")
	if !ok {
		t.Fatalf("no image can be deployed: %s", app.text("#images"))
	}
	page := dan.get(link)
	form := confirmed(page)
	if page.StatusCode != 200 || form.Get("image") != tagOf("c") || form.Get("seen_from") != digestOf("a") || form.Get("seen_to") != digestOf("c") || len(form.Get("key")) != 32 {
		t.Fatalf("%s, form %v", page.Status, form)
	}
	if !strings.Contains(page.text("main"), "Between the two") || page.text("form button.big") != "Deploy ccccccc to staging" {
		t.Errorf("the page says %q", page.text("main"))
	}
	form.Set("reason", "because of <b>")
	first, second := dan.post("/apps/staging/api/deploys", form), dan.post("/apps/staging/api/deploys", form)
	if first.StatusCode != 303 || first.Header.Get("Location") != "/deploys/1" || second.Header.Get("Location") != "/deploys/1" {
		t.Errorf("one form twice: %s to %s, then %s to %s", first.Status, first.Header.Get("Location"), second.Status, second.Header.Get("Location"))
	}
	if n := len(p.entries(audit.DeployRequested)); n != 1 {
		t.Errorf("%d deploys were asked for", n)
	}
	if e := p.entries(audit.DeployRequested)[0]; e.Actor.Name != deployer || e.Actor.Source != "web" || e.Actor.Addr != "127.0.0.1" || e.RequestID != first.Header.Get("X-Request-Id") || e.Reason != "because of <b>" {
		t.Errorf("entry %+v", e)
	}
	p.patched(1)
	p.cluster.finish(target("staging"), "c")
	p.over(1)
	a := dan.get("/deploys/1")
	if !strings.Contains(a.text("#deploy-head"), "Succeeded") || a.text("p.reason") != "“because of <b>”" {
		t.Errorf("the deploy's page says %q", a.text("#deploy-head"))
	}
	back := dan.get("/apps/staging/api/confirm?rollback_to=last")
	form = confirmed(back)
	if form.Get("rollback_to") != "1" || form.Get("before") != "1" || form.Get("seen_to") != digestOf("a") {
		t.Fatalf("the way back: %v %q", form, back.text("main"))
	}
	if a := dan.post("/apps/staging/api/deploys", form); a.Header.Get("Location") != "/deploys/2" {
		t.Errorf("rolling back: %s %q", a.Status, a.text("main"))
	}
	if d := p.patched(2); d.Kind != deploys.KindRollback || d.To.Digest != digestOf("a") {
		t.Errorf("deploy 2 is %+v", d)
	}
}

// While another deploy is under way the refusal names it, keeps what was typed, and offers to take its place.
func TestConflictNamesTheOther(t *testing.T) {
	p := newPortal(t, nil, nil)
	dan := p.as(deployer)
	form := confirmed(dan.get("/apps/staging/api/confirm?image=" + tagOf("b")))
	form.Set("reason", "typed with care")
	other := p.patched(p.start("staging", "c").ID)
	form.Set("seen_from", digestOf("c")) // as one would see it now
	a := dan.post("/apps/staging/api/deploys", form)
	if a.StatusCode != 409 || !strings.Contains(a.text("#confirm-error"), "deploy 1 to ccccccc, asked for by ana") {
		t.Fatalf("%s %q", a.Status, a.text("#confirm-error"))
	}
	again := confirmed(a)
	if again.Get("reason") != "typed with care" || again.Get("replaces") != id(other.ID) || again.Get("seen_from") != digestOf("c") {
		t.Errorf("the form that came back: %v", again)
	}
	if !strings.Contains(lineOf(p, a.Header.Get("X-Request-Id")), "deploy 1 to ccccccc") {
		t.Error("the log does not say why it was refused")
	}
	if a := dan.post("/apps/staging/api/deploys", again); a.StatusCode != 303 {
		t.Fatalf("taking its place: %s %q", a.Status, a.text("main"))
	}
	if d := p.over(other.ID); d.Status != deploys.Superseded {
		t.Errorf("the other is %s", d.Status)
	}
}

// What was seen and what is there now are both named when they differ, and nothing is done.
func TestStaleSeen(t *testing.T) {
	p := newPortal(t, nil, nil)
	dan := p.as(deployer)
	form := confirmed(dan.get("/apps/staging/api/confirm?image=" + tagOf("c")))
	p.cluster.change(func() { p.cluster.at[target("staging")] = p.cluster.healthy(target("staging"), "b", 5) })
	a := dan.post("/apps/staging/api/deploys", form)
	if a.StatusCode != 409 || !strings.Contains(a.text("#confirm-error"), digestOf("a")) || !strings.Contains(a.text("#confirm-error"), digestOf("b")) {
		t.Errorf("%s %q", a.Status, a.text("#confirm-error"))
	}
	p.catalog.digests[tagOf("c")] = digestOf("d") // the tag was moved between the page and the click
	form.Set("seen_from", digestOf("b"))
	a = dan.post("/apps/staging/api/deploys", form)
	if a.StatusCode != 409 || !strings.Contains(a.text("#confirm-error"), digestOf("c")) || !strings.Contains(a.text("#confirm-error"), digestOf("d")) {
		t.Errorf("%s %q", a.Status, a.text("#confirm-error"))
	}
	if confirmed(a).Get("seen_to") != digestOf("d") {
		t.Error("the page that came back shows the old digest")
	}
	for _, gone := range []string{"key", "seen_from", "seen_to"} {
		less := confirmed(a)
		less.Del(gone)
		if a := dan.post("/apps/staging/api/deploys", less); a.StatusCode != 422 {
			t.Errorf("without %s: %s", gone, a.Status)
		}
	}
	if n := len(p.entries(audit.DeployRequested)); n != 0 {
		t.Errorf("%d deploys were asked for", n)
	}
}

// A viewer who posts is refused by the service, which writes it down, and sees nothing of the page.
func TestViewerCannotDeploy(t *testing.T) {
	p := newPortal(t, nil, nil)
	form := url.Values{"image": {tagOf("b")}, "seen_from": {digestOf("a")}, "seen_to": {digestOf("b")}, "key": {"k"}}
	for _, path := range []string{"/apps/staging/api/deploys", "/apps/prod/api/deploys", "/apps/nowhere/nothing/deploys"} {
		a := p.as(viewer).post(path, form)
		if a.StatusCode != 403 || a.doc.Find("main form").Length() != 0 {
			t.Errorf("%s: %s", path, a.Status)
		}
	}
	if n := len(p.entries(audit.DeployRejected)); n != 3 {
		t.Errorf("%d refusals are recorded", n)
	}
}

// The pages stand while Gitea or the cluster is away, and say so.
func TestPagesWithoutTheOutside(t *testing.T) {
	p := newPortal(t, nil, nil)
	ana := p.as(admin)
	d := p.patched(p.start("staging", "b").ID)
	p.cluster.finish(target("staging"), "b")
	p.over(d.ID)
	p.catalog.lose(errs.New(errs.Unavailable, "Gitea cannot be reached since 14:02 UTC."))
	for _, path := range []string{"/", "/apps/staging/api", "/apps/staging/api/history", "/deploys/1", "/audit", "/audit/at", "/find?q=api"} {
		if a := ana.get(path); a.StatusCode != 200 {
			t.Errorf("%s without Gitea: %s", path, a.Status)
		}
	}
	if a := ana.get("/apps/staging/api"); !strings.Contains(a.text("#app-registry"), "Gitea cannot be reached since 14:02 UTC.") {
		t.Errorf("the list without Gitea: %q", a.text("main"))
	}
	a := ana.get("/apps/staging/api/confirm?image=" + tagOf("c"))
	if a.StatusCode != 200 || a.doc.Find("form button.big").Length() != 0 || !strings.Contains(a.text("main"), "Gitea cannot be reached since 14:02 UTC.") {
		t.Errorf("a deploy without Gitea: %s %q", a.Status, a.text("main"))
	}
	a = ana.get("/apps/staging/api/confirm?rollback_to=last")
	if !strings.Contains(a.text("main"), "Gitea cannot be reached since 14:02 UTC.") {
		t.Errorf("a rollback without Gitea: %q", a.text("main"))
	}
	if a := ana.post("/apps/staging/api/deploys", confirmed(a)); a.StatusCode != 303 {
		t.Errorf("rolling back without Gitea: %s %q", a.Status, a.text("#confirm-error"))
	}
	p.cluster.lose("The cluster cannot be reached since 02:10 UTC.")
	for _, path := range []string{"/", "/apps/prod/api", "/apps/prod/api/history", "/deploys/1", "/apps/staging/api/confirm?rollback_to=1"} {
		a := ana.get(path)
		if a.StatusCode != 200 || path != "/deploys/1" && path != "/apps/prod/api/history" && !strings.Contains(a.text("main"), "The cluster cannot be reached since 02:10 UTC.") {
			t.Errorf("%s without the cluster: %s %q", path, a.Status, a.text("main"))
		}
	}
}

func TestConfirmRefusesNonsense(t *testing.T) {
	p := newPortal(t, nil, nil)
	d := p.start("prod", "b")
	for query, want := range map[string]int{
		"": 400, "?image=x&rollback_to=1": 400, "?image=" + tagOf("e"): 404, "?rollback_to=x": 400, "?rollback_to=99": 404, "?rollback_to=" + id(d.ID): 404,
		"?rollback_to=last": 404, "?image=x&replaces=-": 400,
	} {
		if a := p.as(deployer).get("/apps/staging/api/confirm" + query); a.StatusCode != want {
			t.Errorf("%q: %s, not %d", query, a.Status, want)
		}
	}
}

// Somebody who sees one environment learns nothing of the others, on any page.
func TestEnvironmentsAreKeptApart(t *testing.T) {
	p := newPortal(t, nil, nil)
	for _, env := range []string{"prod", "staging"} {
		d := p.patched(p.start(env, "b").ID)
		p.cluster.finish(target(env), "b")
		p.over(d.ID)
	}
	vera := p.as(viewer)
	for _, path := range []string{"/", "/audit", "/audit?env=prod", "/audit.csv", "/audit/at", "/find?q=api", "/find?q=bbbb", "/apps/staging/api", "/apps/staging/api/history", "/deploys/2"} {
		a := vera.get(path)
		body := strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(a.body, `value="prod"`, ""), ">prod</option>", ""), "env=prod", "") // what was typed comes back
		if a.StatusCode != 200 || strings.Contains(body, "prod") || strings.Contains(body, "/deploys/1\"") {
			t.Errorf("%s: %s, prod is on it", path, a.Status)
		}
	}
	if a := p.as(admin).get("/audit/at"); a.doc.Find("main section").Length() != 2 {
		t.Errorf("an admin sees %d environments", a.doc.Find("main section").Length())
	}
}

// A deploy of an environment that somebody may not see is answered like one that is not there, by page, form and log.
func TestHiddenDeploysAreNotThere(t *testing.T) {
	p := newPortal(t, nil, nil)
	p.patched(p.start("prod", "b").ID)
	dan := p.as(deployer)
	said := func(id string) (all []string) {
		a := dan.get("/apps/staging/api/confirm?rollback_to=" + id)
		all = append(all, a.Status, a.text("h1"))
		a = dan.post("/apps/staging/api/deploys", url.Values{"rollback_to": {id}, "seen_from": {digestOf("a")}, "seen_to": {digestOf("b")}, "key": {"k" + id}})
		all = append(all, a.Status, a.text("h1"))
		e := p.entries(audit.DeployRejected)[0]
		return append(all, e.Detail, e.Outcome, e.FromDigest+e.ToDigest+e.ToTag)
	}
	hidden, none := said("1"), said("9")
	for i := range none {
		none[i] = strings.ReplaceAll(none[i], "deploy 9", "deploy 1")
	}
	if !slices.Equal(hidden, none) {
		t.Errorf("of a hidden deploy dan is told\n%q, of none\n%q", hidden, none)
	}
	for _, s := range hidden {
		if strings.Contains(s, "prod") {
			t.Errorf("told of prod: %q", s)
		}
	}
	a := p.as(admin).post("/apps/staging/api/deploys", url.Values{"rollback_to": {"1"}, "seen_from": {digestOf("a")}, "seen_to": {digestOf("b")}, "key": {"k"}})
	if a.StatusCode != 422 || !strings.Contains(a.text("h1"), "Deploy 1 was of api in prod, not of api in staging.") {
		t.Errorf("who sees prod is told %s %q", a.Status, a.text("h1"))
	}
}

func TestAuditCSV(t *testing.T) {
	p := newPortal(t, nil, nil)
	p.start("staging", "b")
	ana := p.as(admin)
	a := ana.get("/audit.csv?app=api&from=2020-01-01T00:00")
	rows, err := csv.NewReader(strings.NewReader(a.body)).ReadAll()
	if err != nil || len(rows) < 2 || rows[1][8] != "api" || !strings.HasPrefix(a.Header.Get("Content-Disposition"), `attachment; filename="audit-`) {
		t.Errorf("%d rows, %v, %q", len(rows), err, a.Header.Get("Content-Disposition"))
	}
	e := p.entries(audit.AuditExported)
	if len(e) != 1 || e[0].Actor.Name != admin || !strings.Contains(e[0].Detail, "app=api") {
		t.Errorf("entries %+v", e)
	}
	if a := ana.get("/audit?from=yesterday"); a.StatusCode != 400 || !strings.Contains(a.text("[role=alert]"), `"yesterday" is not a time.`) {
		t.Errorf("a time that is none: %s %q", a.Status, a.text("[role=alert]"))
	}
}

// The log is paged without a gap or a repetition.
func TestAuditPages(t *testing.T) {
	p := newPortal(t, nil, nil)
	ana := p.as(admin)
	for range 60 {
		p.as(viewer)
	}
	seen := map[string]bool{}
	for path := "/audit?action=user.signed_in"; path != ""; {
		a := ana.get(path)
		a.doc.Find("td.seq").Each(func(_ int, s *goquery.Selection) {
			if seen[s.Text()] {
				t.Errorf("entry %s twice", s.Text())
			}
			seen[s.Text()] = true
		})
		path, _ = a.doc.Find("a[rel=next]").Attr("href")
	}
	if len(seen) != 61 {
		t.Errorf("%d entries", len(seen))
	}
}

func TestPeople(t *testing.T) {
	p := newPortal(t, nil, nil)
	ana, gina := p.as(admin), p.as("gina")
	if a := ana.post("/people/gina/role", url.Values{"role": {"deployer"}, "env": {"staging"}}); a.StatusCode != 303 || gina.get("/apps/staging/api/confirm?image="+tagOf("b")).StatusCode != 200 {
		t.Errorf("giving a role: %s", a.Status)
	}
	if a := ana.post("/people/gina/disable", nil); a.StatusCode != 303 || gina.get("/").StatusCode != 303 {
		t.Errorf("disabling: %s", a.Status)
	}
	if a := ana.get("/people"); !strings.Contains(a.text("main li.person"), "Disabled") {
		t.Errorf("the list says %q", a.text("main"))
	}
	if a := ana.post("/people/ana/disable", nil); a.StatusCode != 409 {
		t.Errorf("disabling the last admin: %s", a.Status)
	}
	if a := ana.post("/people/gina/enable", nil); a.StatusCode != 303 {
		t.Errorf("enabling: %s", a.Status)
	}
	if a := ana.post("/people/gina/role", url.Values{"role": {"king"}}); a.StatusCode != 422 {
		t.Errorf("a role that is none: %s", a.Status)
	}
}
