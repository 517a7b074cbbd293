package browser_test

import (
	"fmt"
	"strings"
	"testing"
)

// row is an image's row on an app's page.
func row(tag string) string { return "#image-" + tag }

// An app's page that is open says what becomes of a deploy that somebody else asks for, without being loaded again, and
// its list does not move under who looks.
func TestAppPageIsLive(t *testing.T) {
	d := theDemo(t)
	tag := otherTag(t, d, "admin")
	looks := newTab(t, d.url)
	looks.signIn(d, "/apps/prod/admin")
	looks.until("the page is live", `document.querySelector("#live").dataset.state === "ok"`)
	was := looks.text("#images .running .sha")
	if was == tag[:7] || was == "" {
		t.Fatalf("%s runs already", was)
	}
	get[bool](looks, `(window.kept = document.querySelector(`+quote(row(tag))+`)) && true`)
	loads := looks.loadCount()

	acts := newTab(t, d.url)
	acts.signIn(d, "/")
	id := acts.deploy("admin", tag)
	looks.until("the deploy under way is shown", `document.querySelector('#app-runs a.strip[href="/deploys/`+fmt.Sprint(id)+`"]')`)
	looks.until("what will run is marked", shows("#images .running .sha", tag[:7]))
	looks.until("the deploy has its place in the past", `!document.querySelector("#app-runs a.strip") && `+shows("#app-past .rows li", "Succeeded")+
		` && document.querySelector('#app-past .rows li a[href="/deploys/`+fmt.Sprint(id)+`"]')`)
	looks.until("it says what runs", shows("#app-runs .line", tag[:7]))
	if got := looks.loadCount(); got != loads {
		t.Errorf("the page was loaded %d times, want %d", got, loads)
	}
	if !get[bool](looks, `window.kept === document.querySelector(`+quote(row(tag))+`)`) {
		t.Error("the row was made anew, not brought up to date")
	}
}

// The sample has CI states and a branch of every kind. The app's page shows them, and the confirm page says them beside
// the button.
func TestAppPageTellsOfCommits(t *testing.T) {
	d := theDemo(t)
	api := sample(t)["api"]
	branch := ""
	for _, c := range api.Commits {
		if c.Parent != "" {
			branch = c.SHA
		}
	}
	p := newTab(t, d.url)
	p.signIn(d, "/")
	p.idle("api")
	p.open("/apps/prod/api")
	for tag, want := range map[string]string{api.Tags[0]: "CI passed", api.FailingTag: "CI failed", branch: "No CI"} {
		p.until(tag[:7]+" says "+want, shows(row(tag)+" .ci", want))
	}
	p.until("the branch has diverged", shows(row(branch)+" .place", "Diverged"))
	p.until("the others lie on one line", `[...document.querySelectorAll("#images .image:not(.running) .place")].filter((e) => /\d commits? (ahead|behind)/.test(e.textContent)).length >= 8`)

	p.open("/apps/prod/api/confirm?image=" + api.FailingTag)
	const checks = `section[aria-labelledby="confirm-checks"]`
	if got := p.text(checks); !strings.Contains(got, "CI failed for") || !strings.Contains(got, "ci/test") {
		t.Errorf("the checks: %q", got)
	}
	p.open("/apps/prod/api/confirm?image=" + branch)
	if got := p.text(checks); !strings.Contains(got, "have diverged") || !strings.Contains(got, "is not on main") {
		t.Errorf("the checks: %q", got)
	}
	oldest := api.Tags[len(api.Tags)-1]
	p.open("/apps/prod/api/confirm?image=" + oldest)
	if got := p.text(`section[aria-labelledby="confirm-stay"]`); !strings.Contains(got, "migrations/0011_migration_lock.sql") {
		t.Errorf("what is not undone: %q", got)
	}
}
