package web

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"

	"deployportal/web/templates"
)

// component is something that package templates exports.
type component struct {
	name  string
	whole bool // is a page of its own: each drawing is opened by itself
	draw  func(t testing.TB, shape int, now time.Time, text func(int) string) (templ.Component, []slot)
}

func of[T any](name string, draw func(T) templ.Component) component {
	return component{name: name, draw: func(t testing.TB, shape int, now time.Time, text func(int) string) (templ.Component, []slot) {
		p, names := props[T](t, shape, now, text)
		return draw(p), names
	}}
}

// pages are all pages, and messages what a stream brings. A component that is in neither fails the test.
var (
	frame = component{name: "Layout", whole: true, draw: of("", templates.Layout).draw}
	pages = []component{
		frame, of("Account", templates.Account), of("App", templates.App), of("At", templates.At), of("Audit", templates.Audit),
		of("Board", templates.Board), of("Confirm", templates.Confirm), of("Deploy", templates.Deploy), of("Entry", templates.Entry),
		of("Error", templates.Error), of("Find", templates.Find), of("History", templates.History), of("Locks", templates.Locks), of("People", templates.People),
		of("SignIn", templates.SignIn),
	}
	messages = []component{
		of("BoardMessage", templates.BoardMessage), of("AppMessage", templates.AppMessage),
		of("DeployMessage", func(p templates.DeployLiveProps) templ.Component { return templates.DeployMessage(p, false) }),
	}
	parts = []string{"BoardLive", "AppLive", "DeployLive", "StreamDone"} // of the above
)

// TestEveryComponentIsAttacked: the lists above name all there is.
func TestEveryComponentIsAttacked(t *testing.T) {
	known := slices.Clone(parts)
	for _, c := range slices.Concat(pages, messages) {
		known = append(known, c.name)
	}
	files, err := filepath.Glob("../../web/templates/*_templ.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var there []string
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func ([A-Z]\w*)\(.*\) templ\.Component`).FindAllSubmatch(text, -1) {
			there = append(there, string(m[1]))
		}
	}
	if got, want := unique(known), unique(there); !slices.Equal(got, want) {
		t.Errorf("attacked are %q\nthere are    %q", got, want)
	}
}

// undrawn are strings that no page shows.
var undrawn = map[string]string{
	"AuditRow.Code": "for who reads props by program",
	"Page.Nav":      "compared with constants",
}

// TestEveryStringIsAttacked: a string that is added to any props is filled with hostile text and drawn somewhere, by itself.
func TestEveryStringIsAttacked(t *testing.T) {
	filled, shown := map[string]bool{}, map[string]bool{}
	for _, c := range slices.Concat(pages, messages) {
		_, _, f, s := c.worth(t, time.Now())
		maps.Copy(filled, f)
		maps.Copy(shown, s)
	}
	for name := range filled {
		if _, known := undrawn[name]; shown[name] == known {
			t.Errorf("%s is shown: %v, in the list of those that are not: %v", name, shown[name], known)
		}
	}
	if len(shown) < 100 {
		t.Errorf("%d strings are attacked", len(shown))
	}
}

// inMain cuts what a page has between its frame.
func inMain(html string) string {
	_, html, _ = strings.Cut(html, `<main id="main" tabindex="-1">`)
	if i := strings.LastIndex(html, `</main>`); i >= 0 {
		html = html[:i]
	}
	return html
}

func (c component) html(t testing.TB, shape int, now time.Time, text func(int) string) (string, []slot) {
	t.Helper()
	drawn, names := c.draw(t, shape, now, text)
	var b bytes.Buffer
	if err := drawn.Render(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String(), names
}

func word(n int) string { return fmt.Sprintf("w%dq", n) }

// worth gives the fewest shapes, or nearly, that together show every string of a component that any shape shows; the paths
// of these strings; and the names of those that are filled and of those that are shown.
func (c component) worth(t testing.TB, now time.Time) (chosen []int, paths []string, filled, shown map[string]bool) {
	t.Helper()
	var sets []map[string]bool // by shape, the paths that it shows
	all := map[string]bool{}
	filled, shown = map[string]bool{}, map[string]bool{}
	for shape := range shapes {
		html, at := c.html(t, shape, now, word)
		if strings.Contains(html, `<main id="main"`) && !c.whole {
			html = inMain(html)
		}
		set := map[string]bool{}
		for n, p := range at {
			filled[p.name] = true
			if strings.Contains(html, word(n)) {
				set[p.path], all[p.path], shown[p.name] = true, true, true
			}
		}
		sets = append(sets, set)
	}
	for have := map[string]bool{}; len(have) < len(all); {
		gain := func(set map[string]bool) (n int) {
			for path := range set {
				if !have[path] {
					n++
				}
			}
			return n
		}
		best := 0
		for shape, set := range sets {
			if gain(set) > gain(sets[best]) {
				best = shape
			}
		}
		chosen = append(chosen, best)
		maps.Copy(have, sets[best])
	}
	return chosen, slices.Sorted(maps.Keys(all)), filled, shown
}
