package web

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"deployportal/internal/deploys"
	"deployportal/internal/sqlite"
)

// A marked image says so wherever it stands, with the reason.
func TestMarksAreSeenEverywhere(t *testing.T) {
	p := newPortal(t, nil, nil)
	p.patched(p.start("staging", "b").ID)
	p.cluster.finish(target("staging"), "b")
	p.over(1)
	p.marked("staging", "b")
	p.marked("staging", "c") // the newest of the list
	ana := p.as(admin)
	for _, c := range []struct {
		path, where string
		n           int
	}{
		{"/", "#row-staging-api .what", 1},
		{"/", "#row-staging-api .newer", 1},
		{"/", "#row-staging-worker .what", 0}, // runs another
		{"/apps/staging/api", "#app-runs", 1},
		{"/apps/staging/api", "#app-list", 2},
		{"/apps/staging/api", "#app-past", 1},
		{"/apps/staging/api/history", "main", 1},
		{"/apps/staging/api/confirm?image=" + tagOf("a"), ".swap", 1},
		{"/deploys/1", "#deploy-head", 1},
		{"/find?q=api", "main", 1},
		{"/find?q=bbbb", "main", 2}, // of api and of worker, whose repository is the same here
		{"/find?q=commit+c", "main", 2},
		{"/audit/at?time=2126-01-01T00:00", "main", 1},
	} {
		page := ana.get(c.path)
		marks := page.doc.Find(c.where + " a.st.bad[href^='/locks#mark-']")
		if marks.Length() != c.n || c.n > 0 && !strings.Contains(page.text(c.where), "it leaks") {
			t.Errorf("%s, %s: %d marks, want %d: %q", c.path, c.where, marks.Length(), c.n, page.text(c.where))
		}
	}
}

// The same image in another repository is the same image: the page asks for the reason without which it would be refused.
func TestMarkOfAnotherRepository(t *testing.T) {
	p := newPortal(t, nil, nil)
	p.marked("staging", "b")
	err := p.db.Write(context.Background(), func(tx *sqlite.Tx) error {
		_, err := tx.Exec(context.Background(), `UPDATE bad_images SET repository = 'git.example.org/acme/old'`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ana := p.as(admin)
	page := ana.get("/apps/staging/api/confirm?image=" + tagOf("b"))
	if _, required := page.doc.Find("#reason").Attr("required"); !required || !strings.Contains(page.text("main"), "bbbbbbb was marked as bad by ana") {
		t.Errorf("the page says %q", page.text("main"))
	}
	form := confirmed(page)
	if a := ana.post("/apps/staging/api/deploys", form); a.StatusCode != 422 {
		t.Errorf("without a reason: %s", a.Status)
	}
	form.Set("reason", "it is needed all the same")
	a := ana.post("/apps/staging/api/deploys", form)
	if a.StatusCode != 303 {
		t.Fatalf("with a reason: %s %q", a.Status, a.text("main"))
	}
	p.patched(1)
	p.cluster.finish(target("staging"), "b")
	if d := p.over(1); d.Status != deploys.Succeeded || d.Reason != "it is needed all the same" {
		t.Errorf("%s %s, %q", d.Status, d.Sentence, d.Reason)
	}
}

// A search reads deploys of all targets at once, and finds what is neither listed nor runs any more.
func TestFindWhatWasDeployedOnce(t *testing.T) {
	p := newPortal(t, nil, nil)
	for i, letter := range []string{"b", "c"} {
		p.patched(p.start("staging", letter).ID)
		p.cluster.finish(target("staging"), letter)
		p.over(int64(i + 1))
	}
	p.catalog.mu.Lock()
	p.catalog.list.Images = nil
	p.catalog.mu.Unlock()
	for _, word := range []string{"bbbb", "BBBB", "sha256:bbb", digestOf("b")} {
		page := p.as(viewer).get("/find?q=" + url.QueryEscape(word))
		if got := page.text("main ul.rows"); !strings.Contains(got, "deploy 1 in staging") || strings.Contains(got, "deploy 2") {
			t.Errorf("%q finds %q", word, got)
		}
	}
	if got := p.as(viewer).get("/find?q=bbb").text("main"); !strings.Contains(got, "Nothing by that name") {
		t.Errorf("three characters find %q", got)
	}
}
