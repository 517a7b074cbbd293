package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"deployportal/internal/gitea"
	"deployportal/internal/gitea/giteatest"
)

// git is a Gitea with a history and the portal's own client of it:
//
//	d - a - b - c    a runs; a and b bring a migration each
//	 \- e            beside it
type git struct {
	*portal
	fake   *giteatest.Server
	client *gitea.Client
	later  atomic.Int64 // how far the client's clock is ahead
}

// elsewhere sends what is meant for the registry's host to the fake.
type elsewhere struct{ host string }

func (e elsewhere) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Host, r.Host = e.host, "git.example.org"
	return transport.RoundTrip(r)
}

func newGit(t *testing.T, tune func(*Server)) *git {
	g := &git{fake: giteatest.New(giteatest.Options{RootURL: "http://git.example.org", Public: true})}
	web := httptest.NewServer(g.fake.Handler())
	t.Cleanup(web.Close)
	at := time.Now().Add(-5 * time.Hour)
	commit := func(letter, parent string, files ...string) giteatest.Commit {
		at = at.Add(time.Hour)
		c := giteatest.Commit{SHA: tagOf(letter), Message: "Commit " + letter, Author: "Ana", At: at, Parent: parent}
		for _, f := range files {
			c.Files = append(c.Files, giteatest.File{Path: f, Status: "added"})
		}
		return c
	}
	g.fake.AddRepo("acme", "api", commit("d", ""), commit("a", "", "migrations/1_users.sql", "main.go"), commit("b", "", "db/2_index.sql"), commit("c", ""),
		commit("e", tagOf("d")))
	for letter, state := range map[string]string{"d": "success", "a": "success", "b": "failure", "c": "pending"} {
		g.fake.SetStatus("acme/api", tagOf(letter), giteatest.Status{Context: "e2e", State: state, TargetURL: "https://ci.example.org/" + letter})
	}
	for _, letter := range []string{"d", "a", "b", "c", "e"} {
		g.fake.PushImage("acme/api", tagOf(letter), giteatest.Image{})
	}
	var err error
	if g.client, err = gitea.New(gitea.Options{URL: "http://git.example.org", Transport: elsewhere{web.Listener.Addr().String()},
		Now: func() time.Time { return time.Now().Add(time.Duration(g.later.Load())) }}); err != nil {
		t.Fatal(err)
	}
	g.portal = newPortal(t, func(o *Options) { o.Catalog = g.client }, tune)
	return g
}

var markup = regexp.MustCompile(`<[^>]*>`)

// words is what a part of the page says, element by element.
func (a response) words(selector string) string {
	html, _ := a.doc.Find(selector).Html() // of a document that was parsed
	return strings.Join(strings.Fields(markup.ReplaceAllString(html, " ")), " ")
}

func (a response) row(letter string) string { return a.words("#image-" + tagOf(letter)) }

func TestAppPageTellsOfCommits(t *testing.T) {
	g := newGit(t, nil)
	a := g.as(admin).get("/apps/staging/api")
	for letter, want := range map[string][]string{
		"c": {"Commit c", "Ana committed 1 h ago", "CI running", "2 commits ahead", "Deploy ccccccc"},
		"b": {"CI failed e2e", "1 commit ahead"},
		"a": {"CI passed", "Running"},
		"d": {"CI passed", "1 commit behind"},
		"e": {"No CI", "Diverged 1 ahead, 1 behind"},
	} {
		for _, s := range want {
			if !strings.Contains(a.row(letter), s) {
				t.Errorf("%s says %q, want %q", letter, a.row(letter), s)
			}
		}
	}
	if href := a.doc.Find("#image-"+tagOf("b")+" .ci a").AttrOr("href", ""); href != "https://ci.example.org/b" {
		t.Errorf("the state leads to %q", href)
	}
	if a.text("#app-commits, #app-registry") != "" {
		t.Errorf("trouble where there is none: %q", a.text("#app-commits, #app-registry"))
	}
}

func TestConfirmTellsOfCommits(t *testing.T) {
	g := newGit(t, nil)
	ana := g.as(admin)
	checks := map[string][]string{
		"b": {"Warning CI failed for bbbbbbb: e2e. See what failed before you deploy it. e2e", "Warning 1 migration file may change the database.", "Passes The commit is on main.",
			"Passes bbbbbbb is 1 commit ahead of aaaaaaa."},
		"c": {"Warning CI has not ended for ccccccc: e2e."},
		"e": {"Passes No CI: nothing has reported on eeeeeee.", "Warning eeeeeee and aaaaaaa have diverged: 1 commit that run now will be gone.",
			"Warning Stays in the database: 1 migration. The older code will meet the newer schema.", "Warning The commit eeeeeee is not on main."},
	}
	for letter, want := range map[string]map[string]string{
		"b": {".stands": "bbbbbbb is 1 commit ahead of aaaaaaa.", "section[aria-labelledby=confirm-plus] ol": "bbbbbbb Commit b Ana",
			"section[aria-labelledby=confirm-run] ol": "bbbbbbb db/2_index.sql added", "section[aria-labelledby=confirm-minus]": ""},
		"c": {".stands": "ccccccc is 2 commits ahead of aaaaaaa."},
		"e": {".stands": "eeeeeee and aaaaaaa have diverged: it brings 1 commit and lacks 1 that run now.",
			"section[aria-labelledby=confirm-minus] ol": "aaaaaaa Commit a Ana", "section[aria-labelledby=confirm-plus] ol": "eeeeeee Commit e Ana",
			"section[aria-labelledby=confirm-stay] ol": "aaaaaaa migrations/1_users.sql added"},
	} {
		a := ana.get("/apps/staging/api/confirm?image=" + tagOf(letter))
		for selector, s := range want {
			if got := a.words(selector); got != s {
				t.Errorf("%s: %s says %q, want %q", letter, selector, got, s)
			}
		}
		for _, s := range checks[letter] {
			if got := a.words("section[aria-labelledby=confirm-checks]"); !strings.Contains(got, s) {
				t.Errorf("%s: the checks say %q, want %q", letter, got, s)
			}
		}
	}
	g.cluster.apps[2].Migrations = []string{"main.go"} // api in staging
	if a := ana.get("/apps/staging/api/confirm?image=" + tagOf("e")); a.words("section[aria-labelledby=confirm-stay] ol") != "aaaaaaa main.go added" {
		t.Errorf("with other patterns: %q", a.text("main"))
	}
}

// A rollback names the migrations that it does not undo.
func TestRollbackTellsWhatStays(t *testing.T) {
	g := newGit(t, nil)
	g.catalog.digests[tagOf("d")] = digestOf("d")
	for i, letter := range []string{"d", "a"} {
		g.patched(g.start("staging", letter).ID)
		g.cluster.finish(target("staging"), letter)
		g.over(int64(i + 1))
	}
	a := g.as(admin).get("/apps/staging/api/confirm?rollback_to=1")
	if !strings.Contains(a.words(".swap"), "Commit a") {
		t.Errorf("what runs has no commit: %q", a.words(".swap"))
	}
	for selector, want := range map[string]string{
		".swap > .pad:last-child .line":                `^ddddddd Commit d$`,
		".swap > .pad:last-child .facts":               `ran well for \d+ (s|ms|min).*, \d\d:\d\d UTC to \d\d:\d\d UTC`,
		"section[aria-labelledby=confirm-minus]":       `^Undone: 1 commit run now and will be gone aaaaaaa Commit a Ana$`,
		"section[aria-labelledby=confirm-plus]":        `^$`,
		"section[aria-labelledby=confirm-stay] h2":     `^Not undone: 1 migration$`,
		"section[aria-labelledby=confirm-checks] > ul": `All pods start anew: none of ddddddd with the pod template of now is kept\.`,
	} {
		if got := a.words(selector); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s says %q, want %s", selector, got, want)
		}
	}
	if got := g.as(admin).get("/apps/staging/api/confirm?rollback_to=2").words(".swap > .pad:last-child .facts"); !regexp.MustCompile(`^runs well since \d\d:\d\d UTC$`).MatchString(got) {
		t.Errorf("of what runs: %q", got)
	}
	if a.words(".stands") != "ddddddd is 1 commit behind aaaaaaa." || a.text("#confirm-stay") != "Not undone: 1 migration" ||
		a.text("#confirm-minus") != "Undone: 1 commit" || !strings.Contains(a.text("section[aria-labelledby=confirm-checks]"), "Stays in the database: 1 migration.") {
		t.Errorf("%q", a.text("main"))
	}
}

// Gitea away: what was seen is shown with its age, and the confirm page says what to do without it.
func TestCommitsWithoutGitea(t *testing.T) {
	g := newGit(t, nil)
	ana := g.as(admin)
	ana.get("/apps/staging/api")
	g.fake.SetDown(true)
	g.client.Refresh(t.Context(), g.cluster.apps[2])
	a := ana.get("/apps/staging/api")
	if !strings.Contains(a.text("#app-registry"), "Gitea at git.example.org cannot be reached. Showing what was known") || a.doc.Find("#app-registry time").Length() != 1 {
		t.Errorf("the list's age: %q", a.text("#app-registry"))
	}
	if !strings.Contains(a.row("b"), "CI failed") || !strings.Contains(a.row("e"), "Diverged") {
		t.Errorf("what was known is gone: %q", a.text("#images"))
	}
	p := g.patched(g.start("staging", "b").ID)
	g.cluster.finish(target("staging"), "b")
	g.over(p.ID)
	a = ana.get("/apps/staging/api/confirm?rollback_to=last")
	for _, want := range []string{"Commits cannot be read: Gitea at git.example.org cannot be reached.", "So which come and go, and whether they migrate a database, is not known.",
		"git log --left-right --stat " + tagOf("b") + "..." + tagOf("a")} {
		if !strings.Contains(a.text("#confirm-commits"), want) {
			t.Errorf("%q, want %q", a.text("#confirm-commits"), want)
		}
	}
	if got := a.text("section[aria-labelledby=confirm-checks]"); !strings.Contains(got, "Could not ask Gitea about migrations. Gitea at git.example.org cannot be reached.") || a.doc.Find("form button.big").Length() != 1 {
		t.Errorf("the checks: %q", got)
	}
}

// A Gitea that takes its time holds no page up for longer than is said.
func TestCommitsOfASlowGitea(t *testing.T) {
	g := newGit(t, func(s *Server) { s.times.wait, s.times.compare = 20*time.Millisecond, 20*time.Millisecond })
	ana := g.as(admin)
	g.client.Refresh(t.Context(), g.cluster.apps[2])
	gate := make(chan struct{})
	release := g.fake.Intercept(giteatest.OnPath("/api/v1/repos/", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		select {
		case <-gate:
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}))
	defer release()
	a := ana.get("/apps/staging/api")
	if a.StatusCode != 200 || !strings.Contains(a.row("b"), "CI not read yet") || !strings.Contains(a.row("b"), "newer") {
		t.Errorf("%s %q", a.Status, a.text("#images"))
	}
	a = ana.get("/apps/staging/api/confirm?image=" + tagOf("b"))
	if a.StatusCode != 200 || !strings.Contains(a.text("#confirm-commits"), "it did not answer in time") || !strings.Contains(a.text("main"), "Could not ask Gitea about its CI state.") {
		t.Errorf("%s %q", a.Status, a.text("main"))
	}
	s := ana.listen("/apps/staging/api/events", "")
	if e := s.until(""); !strings.Contains(e.data, "CI not read yet") {
		t.Errorf("the stream begins with %q", e.data)
	}
	close(gate)
	for !strings.Contains(s.until("").data, "CI failed") { // the answer to who asked first is for everybody
		continue
	}
}

// A build that ends is told to an open page.
func TestAppStreamFollowsCI(t *testing.T) {
	hand := &hand{}
	g := newGit(t, func(s *Server) { s.times.ticker = hand.ticker })
	s := g.as(admin).listen("/apps/staging/api/events", "")
	g.client.Refresh(t.Context(), g.cluster.apps[2])
	for !strings.Contains(s.until("").data, "CI running") {
		continue
	}
	<-g.client.Ask(g.cluster.apps[2], tagOf("a")) // all that was asked before is answered: what is asked now is asked anew
	g.fake.SetStatus("acme/api", tagOf("c"), giteatest.Status{Context: "e2e", State: "success"})
	g.later.Store(int64(g.server.times.ask))
	hand.tick(g.server.times.ask)
	for strings.Contains(s.until("").data, "CI running") {
		continue
	}
}

// A tag that is no commit is refused before the click, in the words of the service, and by the service all the same.
func TestConfirmRefusesOtherTags(t *testing.T) {
	p := newPortal(t, nil, nil)
	dan := p.as(deployer)
	const why = `The tag "latest" is not a commit SHA. Only images tagged with one are deployed: another tag can name something else tomorrow. Push the image under the SHA of its commit.`
	a := dan.get("/apps/staging/api/confirm?image=latest")
	if a.StatusCode != 200 || !strings.Contains(a.text("section[aria-labelledby=confirm-checks]"), why) || a.doc.Find("form button.big").Length() != 0 {
		t.Errorf("%s %q", a.Status, a.text("main"))
	}
	form := url.Values{"image": {"latest"}, "seen_from": {digestOf("a")}, "seen_to": {digestOf("b")}, "key": {"k"}}
	if a := dan.post("/apps/staging/api/deploys", form); a.StatusCode != 422 || a.text("#confirm-error") != why {
		t.Errorf("%s %q", a.Status, a.text("main"))
	}
	a = dan.get("/apps/staging/api/confirm?image=" + strings.Repeat("x", 500))
	if a.StatusCode != 200 || !strings.Contains(a.text("main"), "A tag has at most 128 characters.") || strings.Contains(a.body, strings.Repeat("x", 65)) {
		t.Errorf("%s %q", a.Status, a.text("main"))
	}
}

// An open app page is told of a push, a deploy and a change in the cluster, each reader with what they may do, and all
// by one drawing.
func TestAppStream(t *testing.T) {
	p := newPortal(t, nil, nil)
	dan, vera := p.as(deployer), p.as(viewer)
	page := dan.get("/apps/staging/api")
	if at := page.doc.Find("#stream").AttrOr("hx-sse:connect", ""); at != "/apps/staging/api/events" {
		t.Fatalf("the page connects to %q", at)
	}
	acts, looks := dan.listen("/apps/staging/api/events", ""), vera.listen("/apps/staging/api/events", "")
	first := acts.until("").data
	html, err := page.doc.Find("#app-live #images").Html()
	if err != nil || !strings.Contains(first, `hx-target="#app-live"`) || !strings.Contains(first, strings.TrimSpace(html)) {
		t.Errorf("the stream draws another page than the first paint: %q", first)
	}
	if e := looks.until(""); strings.Contains(e.data, "/confirm?") || !strings.Contains(e.data, "image-"+tagOf("c")) {
		t.Errorf("a viewer gets %q", e.data)
	}
	p.catalog.push("d")
	for !strings.Contains(acts.until("").data, `id="image-`+tagOf("d")+`"`) {
		continue
	}
	p.start("staging", "b")
	for _, s := range []*reader{acts, looks} {
		for !strings.Contains(s.until("").data, `class="strip busy" href="/deploys/1"`) {
			continue
		}
	}
	p.patched(1)
	p.cluster.finish(target("staging"), "b")
	for !strings.Contains(acts.until("").data, "deploy 1</a>") {
		continue
	}
	p.cluster.lose("The cluster cannot be reached since 02:10 UTC.")
	for !strings.Contains(looks.until("").data, "The cluster cannot be reached since 02:10 UTC.") {
		continue
	}
	if n := len(p.server.rooms.open); n != 2 {
		t.Errorf("%d rooms for two kinds of reader", n)
	}
	if a := dan.get("/apps/staging/nothing/events"); a.StatusCode != 404 {
		t.Errorf("the stream of an app that is not there: %s", a.Status)
	}
}

// Viewers cost Gitea nothing: what a page shows is asked for once, and not again while nothing can have changed.
func TestAppViewersCostGiteaNothing(t *testing.T) {
	g := newGit(t, nil)
	ana := g.as(admin)
	ana.get("/apps/staging/api")
	seen, err := g.server.target(t.Context(), target("staging"), true)
	if err != nil {
		t.Fatal(err)
	}
	<-g.client.AskGone(seen.Running)
	g.fake.Reset()
	for range 50 {
		s := ana.listen("/apps/staging/api/events", "")
		s.until("")
		ana.get("/apps/staging/api")
	}
	calls := slices.DeleteFunc(g.fake.Requests(), func(r giteatest.Request) bool { return r.Status == 0 })
	if len(calls) > 4 { // a list older than 15 s, or a build that runs, when the machine is slow
		t.Errorf("50 viewers cost %d calls: %+v", len(calls), calls)
	}
}
