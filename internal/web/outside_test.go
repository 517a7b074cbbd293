package web

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/deploys"
)

// setImage is kubectl set image in staging, with its pod up at once.
func (p *portal) setImage(letter string) {
	p.cluster.change(func() {
		t := target("staging")
		r := p.cluster.healthy(t, letter, p.cluster.at[t].Generation+1)
		r.ChangedBy, r.ChangedAt = "kubectl-set", p.now()
		p.cluster.at[t] = r
	})
}

// noticed waits until an outside change of api in staging waits for a decision.
func (p *portal) noticed() deploys.OutsideChange {
	p.t.Helper()
	var c deploys.OutsideChange
	p.until("the change is noticed", func() (found bool) {
		c, found, _ = p.service.OpenChange(context.Background(), target("staging"))
		return found
	})
	return c
}

// baseline waits until the domain has looked at every target once.
func (p *portal) baseline() {
	p.t.Helper()
	p.until("the targets are known", func() bool {
		n := 0
		_ = p.db.QueryRow(context.Background(), `SELECT count(*) FROM sightings`).Scan(&n)
		return n == len(p.cluster.apps)
	})
}

func TestAdoptAChange(t *testing.T) {
	p := newPortal(t, nil, nil)
	p.baseline()
	dan, vera := p.as(deployer), p.as(viewer)
	if a := dan.get("/"); !strings.Contains(a.text("#row-staging-api"), "ran before the portal") {
		t.Errorf("before: %q", a.text("#row-staging-api"))
	}
	p.setImage("b")
	p.noticed()
	for _, b := range []*browser{dan, vera} {
		if a := b.get("/"); !strings.Contains(a.text("#row-staging-api"), "outside change by kubectl-set") || !strings.Contains(a.text("#row-staging-api"), "neither adopted nor restored") {
			t.Errorf("the board says %q", a.text("#row-staging-api"))
		}
	}
	page := dan.get("/apps/staging/api")
	if got := page.text("#outside h2"); got != "kubectl-set set bbbbbbb in place of aaaaaaa" {
		t.Errorf("the page says %q", got)
	}
	if n := vera.get("/apps/staging/api").doc.Find("#outside form, #outside a.btn, a#restart").Length(); n != 0 {
		t.Errorf("a viewer is offered %d acts", n)
	}
	form := confirmed(page)
	less := url.Values{"key": form["key"]}
	if a := dan.post("/apps/staging/api/adopt", less); a.StatusCode != 422 {
		t.Errorf("without what was seen: %s", a.Status)
	}
	p.setImage("c")
	if a := dan.post("/apps/staging/api/adopt", form); a.StatusCode != 409 || !strings.Contains(a.text("h1"), "does not run what you were shown") {
		t.Errorf("another image meanwhile: %s %q", a.Status, a.text("h1"))
	}
	p.until("the second change is noticed", func() bool { return p.noticed().To.Tag == tagOf("c") })
	form = confirmed(dan.get("/apps/staging/api"))
	first, second := dan.post("/apps/staging/api/adopt", form), dan.post("/apps/staging/api/adopt", form)
	if first.StatusCode != 303 || first.Header.Get("Location") != "/deploys/1" || second.Header.Get("Location") != "/deploys/1" {
		t.Errorf("one form twice: %s to %s, then %s", first.Status, first.Header.Get("Location"), second.Status)
	}
	a := dan.get("/deploys/1")
	if !strings.Contains(a.text("#deploy-head .kicker"), "adoption 1") || !strings.Contains(a.text("main"), "Adopted: ccccccc, brought from outside by kubectl-set") {
		t.Errorf("the adoption's page: %q", a.text("main"))
	}
	if a := dan.get("/"); !strings.Contains(a.text("#row-staging-api"), "adopted by dan") {
		t.Errorf("the board says %q", a.text("#row-staging-api"))
	}
	if n := dan.get("/apps/staging/api").doc.Find("#outside").Length(); n != 0 {
		t.Error("it still asks")
	}
	if got := dan.get("/apps/staging/api/history").text(".spans"); strings.Count(got, "outside change by kubectl-set") != 2 || !strings.Contains(got, "adoption 1") {
		t.Errorf("the history: %q", got)
	}
	if a := p.as(admin).get("/audit?action=change.outside"); !strings.Contains(a.text("table"), "cluster:kubectl-set in the clusterchanged, outside the portal, api in staging") {
		t.Errorf("the log: %q", a.text("table"))
	}
	if e := p.entries(audit.ChangeAdopted); len(e) != 1 || e[0].Actor.Name != deployer || e[0].RequestID == "" {
		t.Errorf("entries %+v", e)
	}
}

func TestRestoreAChange(t *testing.T) {
	p := newPortal(t, nil, nil)
	p.baseline()
	dan := p.as(deployer)
	p.setImage("b")
	c := p.noticed()
	act := dan.get("/apps/staging/api").doc.Find("#outside a.danger")
	if act.Text() != "Restore aaaaaaa" || act.AttrOr("href", "") != "/apps/staging/api/confirm?change="+id(c.ID) {
		t.Fatalf("the act: %q to %q", act.Text(), act.AttrOr("href", ""))
	}
	// A rollback "to the last" means the same while the change stands.
	if got := confirmed(dan.get("/apps/staging/api/confirm?rollback_to=last")); got.Get("seen_to") != digestOf("a") {
		t.Errorf("the last: %v", got)
	}
	page := dan.get(act.AttrOr("href", ""))
	form := confirmed(page)
	if page.text("form button.big") != "Roll back to aaaaaaa" || form.Get("change") != id(c.ID) || form.Get("rollback_to") != "" {
		t.Fatalf("%q %v", page.text("main"), form)
	}
	if a := dan.post("/apps/staging/api/deploys", form); a.Header.Get("Location") != "/deploys/1" {
		t.Fatalf("restoring: %s %q", a.Status, a.text("main"))
	}
	if d := p.patched(1); d.Kind != deploys.KindRollback || d.To.Images["main"] != pinned("a") {
		t.Errorf("deploy 1 is %+v", d)
	}
	p.cluster.finish(target("staging"), "a")
	p.over(1)
	if n := dan.get("/apps/staging/api").doc.Find("#outside").Length(); n != 0 {
		t.Error("it still asks")
	}
	for path, want := range map[string]int{"/confirm?change=99": 404, "/confirm?change=x": 400, "/confirm?change=1&restart=1": 400, "/confirm": 400, "/confirm?restart=2": 400} {
		if a := dan.get("/apps/staging/api" + path); a.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, a.Status, want)
		}
	}
}

// Once a deploy was asked for after a change from outside, "the last" is what ran, healthy, when it was asked for.
func TestLastAfterAChange(t *testing.T) {
	p := newPortal(t, nil, nil)
	p.baseline()
	p.setImage("b")
	p.noticed()
	p.patched(p.start("staging", "c").ID)
	got := confirmed(p.as(deployer).get("/apps/staging/api/confirm?rollback_to=last&replaces=1"))
	if got.Get("seen_to") != digestOf("b") || got.Get("rollback_to") != "1" || got.Get("before") != "1" {
		t.Errorf("goes back to %v", got)
	}
}

func TestRestartFromThePages(t *testing.T) {
	p := newPortal(t, nil, nil)
	p.baseline()
	dan := p.as(deployer)
	same := dan.get("/apps/staging/api/confirm?image=" + tagOf("a"))
	link := same.doc.Find(".say a.btn")
	if link.Text() != "Restart instead" || link.AttrOr("href", "") != dan.get("/apps/staging/api").doc.Find("a#restart").AttrOr("href", "") {
		t.Fatalf("offered: %q to %q", link.Text(), link.AttrOr("href", ""))
	}
	page := dan.get(link.AttrOr("href", ""))
	if page.text("h1") != "Restart apistaging" || page.text("form button.big") != "Restart api in staging" {
		t.Errorf("the page: %q", page.text("main"))
	}
	if a := dan.post("/apps/staging/api/deploys", confirmed(page)); a.Header.Get("Location") != "/deploys/1" {
		t.Fatalf("restarting: %s %q", a.Status, a.text("main"))
	}
	d := p.patched(1)
	if d.Kind != deploys.KindRestart || !d.To.Same(d.From) {
		t.Errorf("deploy 1 is %+v", d)
	}
	// While it hangs, the way back is to the pods of before it.
	back := dan.get("/apps/staging/api/confirm?rollback_to=last&replaces=1")
	if form := confirmed(back); form.Get("rollback_to") != "1" || form.Get("before") != "1" || strings.Contains(back.text("main"), "The same digest already runs") {
		t.Errorf("the way back: %v %q", form, back.text("main"))
	}
	p.cluster.finish(target("staging"), "a")
	if d = p.over(1); d.Status != deploys.Succeeded {
		t.Errorf("%s %s", d.Status, d.Sentence)
	}
	if a := dan.get("/deploys/1"); !strings.Contains(a.text("#deploy-head .kicker"), "restart 1") {
		t.Errorf("its page: %q", a.text("#deploy-head"))
	}
	if a := dan.get("/"); !strings.Contains(a.text("#row-staging-api"), "restarted by dan") {
		t.Errorf("the board says %q", a.text("#row-staging-api"))
	}
}

// The board tells of a change while it is open, without being loaded again.
func TestChangeOnAnOpenBoard(t *testing.T) {
	p := newPortal(t, nil, nil)
	p.baseline()
	s := p.as(deployer).listen("/events", "")
	s.until("")
	p.setImage("b")
	for range 20 {
		if e := s.until(""); strings.Contains(e.data, "outside change by kubectl-set") && strings.Contains(e.data, "Review change") {
			return
		}
	}
	t.Error("20 pictures of the board do not tell of it")
}

// An open app page asks about a change without being loaded again, and everybody by what they may do.
func TestChangeOnAnOpenAppPage(t *testing.T) {
	p := newPortal(t, nil, nil)
	p.baseline()
	dan, ana, vera := p.as(deployer), p.as(admin), p.as(viewer)
	told := map[*browser]string{}
	var streams []*reader
	for _, b := range []*browser{dan, ana, vera} {
		s := b.listen("/apps/staging/api/events", "")
		s.until("")
		streams = append(streams, s)
	}
	p.setImage("b")
	c := p.noticed()
	for i, b := range []*browser{dan, ana, vera} {
		for n := 0; n < 20 && !strings.Contains(told[b], "kubectl-set set"); n++ {
			told[b] = streams[i].until("").data
		}
	}
	for _, b := range []*browser{dan, ana} {
		if !strings.Contains(told[b], `value="adopt `+id(c.ID)+`"`) || !strings.Contains(told[b], "Restore aaaaaaa") {
			t.Errorf("who may adopt it is shown %s", told[b])
		}
	}
	if !strings.Contains(told[vera], "kubectl-set set") || strings.Contains(told[vera], "<form") {
		t.Errorf("who may not is shown %s", told[vera])
	}
}

func TestWithChanges(t *testing.T) {
	at := func(minutes int) time.Time { return time.Date(2026, 11, 23, 14, minutes, 0, 0, time.UTC) }
	past := []deploys.Deploy{{ID: 2, AuditSeq: 20, Status: deploys.Superseded, Patched: at(20), To: deploys.Version{Tag: "two"}},
		{ID: 1, AuditSeq: 10, Status: deploys.Succeeded, Patched: at(10), To: deploys.Version{Tag: "one"}}}
	changes := []deploys.OutsideChange{
		{Seq: 25, Kind: deploys.ChangedRestart, At: at(25), Manager: "kubectl-rollout"},
		{Seq: 21, Kind: deploys.ChangedImage, At: at(21), Manager: "kubectl-set", To: deploys.Version{Tag: "three"}},
		{Seq: 5, Kind: deploys.ChangedImage, At: at(5), To: deploys.Version{Tag: "zero"}}}
	got := withChanges(historyView(past, nil, false), past, changes, nil, deploys.Marks{}, time.Time{})
	var lines []string
	for _, s := range got {
		end := "now"
		if !s.To.IsZero() {
			end = s.To.Format("15:04")
		}
		lines = append(lines, s.Image.Short+" "+s.From.Format("15:04")+"-"+end+" "+s.Who)
	}
	want := "unknown 14:25-now kubectl-rollout|three 14:21-now kubectl-set|two 14:20-now |one 14:10-14:21 |zero 14:05-14:10 somebody"
	if strings.Join(lines, "|") != want || !got[0].Moment || !got[2].Never {
		t.Errorf("%s\nwant %s", strings.Join(lines, "|"), want)
	}
}

// Who manages a workload is told before a deploy: on the board, on the app's page and where it is confirmed.
func TestManagerIsTold(t *testing.T) {
	p := newPortal(t, nil, nil)
	dan := p.as(deployer)
	for manager, fix := range map[string]string{"Flux": "next reconciliation", "Argo CD": "self-heal", "Helm": "next upgrade",
		"k3s manifests folder": "whenever a server starts", "Postgres main": "Change the image there too."} {
		p.cluster.change(func() {
			r := p.cluster.at[target("staging")]
			r.ManagedBy = manager
			p.cluster.at[target("staging")] = r
		})
		want := "managed by " + manager + ", which may revert a deploy"
		for path, at := range map[string]string{"/": "#row-staging-api", "/apps/staging/api": "main"} {
			if got := dan.get(path).text(at); !strings.Contains(got, want) {
				t.Errorf("%s with %s says %q", path, manager, got)
			}
		}
		got := dan.get("/apps/staging/api/confirm?image=" + tagOf("b")).text(".check")
		if !strings.Contains(got, manager+" manages this workload and may revert the deploy.") || !strings.Contains(got, fix) {
			t.Errorf("the confirm page with %s says %q", manager, got)
		}
	}
}
