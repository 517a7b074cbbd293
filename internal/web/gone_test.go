package web

import (
	"slices"
	"strings"
	"testing"
	"time"

	"deployportal/internal/gitea/giteatest"
)

// An image that a cleanup rule deletes is told on the open page by itself, once asked for all who look, and on the board
// from memory.
func TestAppStreamTellsWhatIsGone(t *testing.T) {
	hand := &hand{}
	g := newGit(t, func(s *Server) { s.times.ticker = hand.ticker })
	g.cluster.digests = map[string]string{}
	for i, letter := range []string{"d", "b", "c"} {
		digest := g.fake.PushImage("acme/api", tagOf(letter), giteatest.Image{}) // the one that is there already
		g.catalog.digests[tagOf(letter)], g.cluster.digests[letter] = digest, digest
		g.patched(g.start("staging", letter).ID)
		g.cluster.finish(target("staging"), letter)
		g.over(int64(i + 1))
	}
	ana := g.as(admin)
	seen, err := g.server.target(t.Context(), target("staging"), true)
	if err != nil {
		t.Fatal(err)
	}
	back, err := g.server.wayBack(t.Context(), seen)
	if err != nil || seen.Running.Tag != tagOf("c") || back.Tag != tagOf("b") {
		t.Fatalf("%s runs, and the way back is %s: %v", seen.Running.Short(), back.Short(), err)
	}
	const (
		noWayBack = "The way back is gone: the registry no longer has bbbbbbb."
		runs      = "What runs is gone from the registry: new pods on other nodes could not pull ccccccc."
	)
	s := ana.listen("/apps/staging/api/events", "")
	if first := s.until("").data; strings.Contains(first, "gone-") {
		t.Errorf("before anything was deleted: %q", first)
	}
	// later lets the answers grow old, and waits for the page to say something else.
	later := func(now time.Duration, ok func(string) bool) {
		t.Helper()
		<-g.client.AskGone(seen.Running)
		<-g.client.AskGone(back) // what was asked before is answered: what is asked now is asked anew
		g.later.Store(int64(now))
		hand.tick(g.server.times.ask)
		for !ok(s.until("").data) {
			continue
		}
	}
	if got := ana.get("/").words("#row-staging-api"); strings.Contains(got, "gone") {
		t.Errorf("the board: %q", got)
	}
	g.fake.DeleteTag("acme/api", tagOf("b"))
	later(5*time.Minute, func(page string) bool { return strings.Contains(page, noWayBack) })
	page := ana.get("/apps/staging/api")
	if got := page.text("#gone-back b"); got != noWayBack || page.doc.Find("#gone-runs").Length() != 0 {
		t.Errorf("the page: %q", page.text("#app-runs"))
	}
	var marked []string
	for _, span := range page.doc.Find("#app-past .span").EachIter() {
		if strings.Contains(span.Text(), "Gone from the registry") {
			marked = append(marked, strings.TrimSpace(span.Find(".sha").Text()))
		}
	}
	if !slices.Equal(marked, []string{"bbbbbbb"}) {
		t.Errorf("marked in the history: %q", marked)
	}
	if got := ana.get("/").words("#row-staging-api"); !strings.Contains(got, "The way back is gone from the registry") {
		t.Errorf("the board: %q", got)
	}
	if got := ana.get("/").words("#row-prod-api"); strings.Contains(got, "gone") {
		t.Errorf("the board, of what nobody looked at: %q", got)
	}
	g.fake.DeleteTag("acme/api", tagOf("c"))
	later(11*time.Minute, func(page string) bool { return strings.Contains(page, runs) && strings.Contains(page, noWayBack) })
	if got := ana.get("/").words("#row-staging-api"); !strings.Contains(got, "What runs is gone from the registry") {
		t.Errorf("the board: %q", got)
	}

	g.fake.Reset()
	for range 20 {
		ana.get("/apps/staging/api")
		ana.get("/")
		ana.listen("/apps/staging/api/events", "").until("")
	}
	if n := slices.ContainsFunc(g.fake.Requests(), func(r giteatest.Request) bool { return strings.Contains(r.Path, "/manifests/") }); n {
		t.Errorf("viewers cost calls: %+v", g.fake.Requests())
	}

	g.fake.SetDown(true)
	later(17*time.Minute, func(page string) bool { return !strings.Contains(page, "gone-") })
}
