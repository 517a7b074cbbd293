package web

import (
	"strings"
	"testing"

	"deployportal/internal/audit"
	"deployportal/internal/deploys"
	"deployportal/internal/sqlite"
)

// copyChange records a change n times more.
func (p *portal) copyChange(c deploys.OutsideChange, n int) {
	p.t.Helper()
	ctx := p.t.Context()
	err := p.db.Write(ctx, func(tx *sqlite.Tx) error {
		for range n {
			e, err := audit.Append(ctx, tx, audit.Entry{Actor: audit.Actor{ID: "cluster:x", Name: "cluster:x", Source: "system", Method: "none"},
				Action: audit.ChangeOutside, App: c.Target.App, Env: c.Target.Env})
			if err != nil {
				return err
			}
			_, err = tx.Exec(ctx, `INSERT INTO outside_changes (app, env, kind, manager, changed_at, noticed_at, from_version, to_version, asks, audit_seq)
				SELECT app, env, kind, manager, changed_at, noticed_at, from_version, to_version, asks, ? FROM outside_changes WHERE id = ?`, e.Seq, c.ID)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// setMore is setImage with another part of the pod template.
func (p *portal) setMore(letter string) {
	p.cluster.change(func() {
		t := target("staging")
		old := p.cluster.at[t]
		old.Frame, old.Generation, old.ObservedGeneration = "frame", 2, 2 // scaled: the view is taken anew
		p.cluster.at[t] = old
	})
	p.until("the frame is known", func() bool {
		n := 0
		_ = p.db.QueryRow(p.t.Context(), `SELECT count(*) FROM sightings WHERE version LIKE '%"frame":"frame"%'`).Scan(&n)
		return n == 1
	})
	p.cluster.change(func() {
		t := target("staging")
		r := p.cluster.healthy(t, letter, p.cluster.at[t].Generation+1)
		r.Frame, r.ChangedBy, r.ChangedAt = "another", "kubectl-edit", p.now()
		p.cluster.at[t] = r
		p.cluster.different = []string{"container main, variable DEBUG: a literal value, was not there"}
	})
}

// A change of the image and of more names both, and who restores the image is told beforehand what stays.
func TestRestoreTellsWhatStays(t *testing.T) {
	p := newPortal(t, nil, nil)
	p.baseline()
	dan := p.as(deployer)
	p.setMore("b")
	p.noticed()
	page := dan.get("/apps/staging/api")
	for _, want := range []string{"kubectl-edit set bbbbbbb in place of aaaaaaa", "variable DEBUG", "Restoring sets the images back; the other parts of the pod template stay as they are now"} {
		if got := page.text("#outside"); !strings.Contains(got, want) {
			t.Errorf("no %q: %q", want, got)
		}
	}
	confirm := dan.get(page.doc.Find("#outside a.danger").AttrOr("href", ""))
	want := "Only images are set back. The pod template is not as it was when aaaaaaa ran, and stays as it is now: container main, variable DEBUG: a literal value, was not there."
	if got := confirm.text("main"); !strings.Contains(got, want) {
		t.Errorf("the page that confirms it says %q", got)
	}
	p.cluster.change(func() { p.cluster.different = nil })
	if got := dan.get("/apps/staging/api").text("#outside"); !strings.Contains(got, goneTemplate) {
		t.Errorf("where the old template is gone: %q", got)
	}
}

// What does not run any more is not offered to be adopted, and a form that names another change is refused.
func TestAdoptOnlyWhatStands(t *testing.T) {
	c := deploys.OutsideChange{ID: 7, Kind: deploys.ChangedImage, Open: true, To: deploys.Version{Tag: tagOf("b"), Template: "b", Bare: "b", Images: map[string]string{"main": pinned("b")}}}
	facts := targetFacts{App: deploys.App{Target: target("staging")}, MayDeploy: true, Change: &c, Running: deploys.Version{Tag: tagOf("c"), Healthy: true, Images: map[string]string{"main": pinned("c")}}}
	for template, offered := range map[string]bool{"b": true, "c": false} {
		facts.Rollout = &deploys.Rollout{Exists: true, Template: template, Bare: template}
		o := outsideView(facts, c, nil, nil)
		if (o.Adopt != nil) != offered || !offered && !strings.Contains(o.Todo, "does not run any more") {
			t.Errorf("while %s runs: %+v", template, o)
		}
	}
	p := newPortal(t, nil, nil)
	p.baseline()
	dan := p.as(deployer)
	p.setImage("b")
	p.noticed()
	form := confirmed(dan.get("/apps/staging/api"))
	form.Set("change", "99")
	if a := dan.post("/apps/staging/api/adopt", form); a.StatusCode != 409 || !strings.Contains(a.text("h1"), "was changed again") {
		t.Errorf("another change: %s %q", a.Status, a.text("h1"))
	}
	form.Del("change")
	if a := dan.post("/apps/staging/api/adopt", form); a.StatusCode != 422 {
		t.Errorf("no change: %s", a.Status)
	}
}

// The page of a deploy that was given up does not say that nothing was changed once its patch has landed.
func TestLandedLateIsTold(t *testing.T) {
	f := deployFacts{Deploy: deploys.Deploy{ID: 7, Target: target("staging"), Status: deploys.Errored, Sentence: "No answer."}}
	for _, c := range []struct {
		note   string
		landed *deploys.OutsideChange
		want   string
	}{{"", nil, "Nothing was changed in the cluster."}, {"its patch may still land", nil, ""},
		{"its patch may still land", &deploys.OutsideChange{Deploy: 7}, "Its patch landed after it was given up"}} {
		f.Deploy.Note, f.Landed = c.note, c.landed
		if got := deployOutcome(f).Detail; !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("with %q and %+v it says %q", c.note, c.landed, got)
		}
	}
}

// A page of history with too many changes says that it leaves some out.
func TestHistoryTellsWhatItLeavesOut(t *testing.T) {
	p := newPortal(t, nil, nil)
	p.baseline()
	p.setImage("b")
	c := p.noticed()
	dan := p.as(deployer)
	const link = `a[href^="/audit?action=change.outside"]`
	if n := dan.get("/apps/staging/api/history").doc.Find(link).Length(); n != 0 {
		t.Errorf("%d links where nothing is left out", n)
	}
	p.copyChange(c, changesPage)
	if n := dan.get("/apps/staging/api/history").doc.Find(link).Length(); n != 1 {
		t.Errorf("%d links where one change is left out", n)
	}
}

// What restores a change and what goes back in the history may be the same act; each has an id of its own.
func TestRestoreHasItsOwnID(t *testing.T) {
	p := newPortal(t, nil, nil)
	p.baseline()
	p.patched(p.start("staging", "b").ID)
	p.cluster.finish(target("staging"), "b")
	p.over(1)
	p.setImage("c")
	p.noticed()
	doc := p.as(deployer).get("/apps/staging/api").doc
	href := doc.Find("#outside a.danger").AttrOr("href", "")
	ids := map[string]bool{}
	same := doc.Find(`a[href="` + href + `"]`)
	for _, n := range same.EachIter() {
		ids[n.AttrOr("id", "")] = true
	}
	if same.Length() != 2 || len(ids) != 2 {
		t.Errorf("%d acts with the ids %v", same.Length(), ids)
	}
}
