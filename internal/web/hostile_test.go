package web

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"deployportal/internal/foreign/foreigntest"
	"deployportal/web/templates"
)

const (
	shapes      = 60               // drawings of a component that are tried
	batch       = 40               // drawings on one page of a browser
	longest     = 1000             // bytes of a payload: about as much as the edges let through
	quietStream = "/hostile/quiet" // tells nothing
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
		of("Error", templates.Error), of("Find", templates.Find), of("History", templates.History), of("People", templates.People),
		of("SignIn", templates.SignIn),
	}
	messages = []component{
		of("BoardMessage", templates.BoardMessage),
		of("DeployMessage", func(p templates.DeployLiveProps) templ.Component { return templates.DeployMessage(p, false) }),
	}
	parts = []string{"BoardLive", "DeployLive", "StreamDone"} // of the above
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

// payload gives the texts from the j-th on, so many of them at a time, for the n-th string: over all j, every string is
// every text once.
func payload(pack []foreigntest.Payload, j, together int) func(int) string {
	return func(n int) string {
		var b strings.Builder
		for i := j; i < min(j+together, len(pack)); i++ {
			text := pack[(i+n)%len(pack)].Text
			b.WriteString(text[:min(len(text), longest)])
		}
		return b.String()
	}
}

// stage serves what the tests draw, behind the portal's own middleware and with its own files.
type stage struct {
	*portal
	mu   sync.Mutex
	bare bool   // without the content policy
	page string // HTML
	news [][]byte
}

func newStage(t *testing.T) *stage {
	st := &stage{}
	show := func(c echo.Context) error {
		st.mu.Lock()
		defer st.mu.Unlock()
		if st.bare {
			c.Response().Header().Del("Content-Security-Policy")
		}
		return c.HTML(http.StatusOK, st.page)
	}
	st.portal = newPortal(t, nil, func(s *Server) {
		s.echo.GET("/hostile", show)
		s.echo.GET("/elsewhere", show)
		s.echo.GET(quietStream, func(c echo.Context) error {
			out := openStream(c, s.times.write)
			st.mu.Lock()
			news := st.news
			st.mu.Unlock()
			for _, data := range news {
				if err := out.send(message(0, "", data)); err != nil {
					return nil
				}
			}
			select { // a stream that ends would be opened again
			case <-c.Request().Context().Done():
			case <-s.streaming.Done():
			}
			return nil
		})
	})
	return st
}

// put makes what is served next.
func (st *stage) put(page string, bare bool, news ...[]byte) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.page, st.bare, st.news = page, bare, news
}

// framed puts HTML into a page as it is, with the live connection, so that htmx looks at all of it.
func framed(t testing.TB, now time.Time, html string) string {
	t.Helper()
	inner := templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, html)
		return err
	})
	page := templates.Page{Title: "Hostile", User: "ana", Now: now, Stream: &templates.Stream{URL: quietStream}}
	var b bytes.Buffer
	if err := templates.Layout(page).Render(templ.WithChildren(context.Background(), inner), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// variant wraps one of many drawings on a page.
func variant(html string) string { return `<section data-variant>` + html + `</section>` }

const (
	shapesOfVariants = `[...document.querySelectorAll("[data-variant]")].map(portalShape)`
	shapeOfDocument  = `portalShape(document.documentElement)`
)

// TestHostileTextInChromium: every text of the pack in every string that any page shows, drawn by the real components,
// served with the real headers and scripts. Nothing runs, nothing is asked for, nobody is led away, and the elements and
// attributes are those that a harmless word makes.
func TestHostileTextInChromium(t *testing.T) {
	st := newStage(t)
	tab := foreigntest.Watch(t, st.base)
	pack, now := foreigntest.Payloads(), st.now()
	fields, pairs, drawings := 0, 0, 0
	for _, c := range pages {
		began := time.Now()
		chosen, paths, _, _ := c.worth(t, now)
		for i, shape := range chosen {
			html, at := c.html(t, shape, now, word)
			if !c.whole {
				html = variant(inMain(html))
			}
			want := st.shapes(t, tab, c.whole, now, html)[0]
			together, most := 1, batch
			if i > 0 {
				together = 4 // what this shape adds to the first is little
			}
			if c.whole {
				together, most = 4, 1
			}
			for first := 0; first < len(pack); first += most * together {
				var b strings.Builder
				n := 0
				for j := first; j < min(first+most*together, len(pack)); j += together {
					html, _ := c.html(t, shape, now, payload(pack, j, together))
					if !c.whole {
						html = variant(inMain(html))
					}
					b.WriteString(html)
					n++
				}
				st.same(t, c, first, n, want, st.shapes(t, tab, c.whole, now, b.String()))
				drawings += n
			}
			pairs += len(pack) * len(at)
		}
		fields += len(paths)
		t.Logf("%-8s %3d strings shown, %d shapes, %v", c.name, len(paths), len(chosen), time.Since(began).Round(time.Millisecond))
	}
	if len(pack) < 200 || fields < 100 || pairs < 200*fields {
		t.Errorf("%d payloads in %d strings", len(pack), fields)
	}
	t.Logf("%d payloads x %d strings of pages = %d, in %d drawings with %d places: executions 0", len(pack), fields, len(pack)*fields, drawings, pairs)
}

// shapes opens a page and gives the shapes on it, after nothing was noticed.
func (st *stage) shapes(t *testing.T, tab *foreigntest.Tab, whole bool, now time.Time, html string) []string {
	t.Helper()
	if whole {
		st.put(html, false)
	} else {
		st.put(framed(t, now, html), false)
	}
	tab.Open("/hostile")
	var shapes []string
	if whole {
		shapes = []string{foreigntest.Get[string](tab, shapeOfDocument)}
	} else {
		shapes = foreigntest.Get[[]string](tab, shapesOfVariants)
	}
	for _, n := range tab.Noticed() {
		t.Errorf("%s: %s", n.Detector, n.What)
	}
	return shapes
}

// same fails the test unless n drawings have the shape that a word makes.
func (st *stage) same(t *testing.T, c component, first, n int, want string, got []string) {
	t.Helper()
	for i, shape := range got {
		if shape != want {
			at := 0
			for at < min(len(shape), len(want)) && shape[at] == want[at] {
				at++
			}
			t.Fatalf("%s, drawing %d from payload %d on, has other elements:\n...%.200s\nwhere a word makes\n...%.200s",
				c.name, i, first, shape[max(0, at-60):], want[max(0, at-60):])
		}
	}
	if len(got) != n {
		t.Fatalf("%s from payload %d on: %d drawings are there, want %d", c.name, first, len(got), n)
	}
}

// collect notes the shape of what each message of a stream has left, and counts them.
const collect = `<div id="board-live"></div><div id="deploy-live"></div>`

// TestHostileTextOverTheStream: the same through the live stream, where htmx swaps what comes into an open page and acts
// on attributes in it.
func TestHostileTextOverTheStream(t *testing.T) {
	st := newStage(t)
	tab := foreigntest.Watch(t, st.base)
	pack, now := foreigntest.Payloads(), st.now()
	fields := 0
	for _, c := range messages {
		chosen, paths, _, _ := c.worth(t, now)
		for _, shape := range chosen {
			html, _ := c.html(t, shape, now, word)
			news := [][]byte{[]byte(html)}
			for j := range pack {
				html, _ := c.html(t, shape, now, payload(pack, j, 1))
				news = append(news, []byte(html))
			}
			got := st.follow(t, tab, now, news)
			st.same(t, c, 0, len(pack), got[0], got[1:])
			for _, n := range tab.Noticed() {
				t.Errorf("%s: %s", n.Detector, n.What)
			}
		}
		fields += len(paths)
		t.Logf("%-14s %3d strings shown, %d shapes", c.name, len(paths), len(chosen))
	}
	if len(pack) < 200 || fields < 30 {
		t.Errorf("%d payloads in %d strings", len(pack), fields)
	}
	t.Logf("%d payloads x %d strings of stream messages = %d: executions 0", len(pack), fields, len(pack)*fields)
}

// follow opens a live page, lets messages come and gives the shape of the page after each.
func (st *stage) follow(t *testing.T, tab *foreigntest.Tab, now time.Time, news [][]byte) []string {
	t.Helper()
	st.put(framed(t, now, collect), false, news...)
	tab.Open("/hostile")
	tab.Until(strconv.Itoa(len(news))+" messages are in the page", fmt.Sprintf(`window.portalShapes?.length >= %d`, len(news)))
	return foreigntest.Get[[]string](tab, `window.portalShapes`)
}

// TestDetectors: each detector sees what it is there for, and no other has to. Without this the tests above could pass
// by being blind.
func TestDetectors(t *testing.T) {
	st := newStage(t)
	tab := foreigntest.Watch(t, st.base)
	now := st.now()
	want := st.shapes(t, tab, false, now, variant("word"))[0]
	for _, c := range []struct {
		name, html string
		bare       bool
		sees       []string
		structure  bool
	}{
		{"nothing", "word", false, nil, false},
		{"a dialog", `<script>alert(1)</script>`, true, []string{foreigntest.Dialog}, true},
		{"a call", `<script>portalHit("x")</script>`, true, []string{foreigntest.Call}, true},
		{"a handler that the policy stops", `<img src="/static/x" onerror="portalHit(1)">`, false, []string{foreigntest.Policy}, true},
		{"a script that the policy stops", `<script>portalHit(1)</script>`, false, []string{foreigntest.Policy}, true},
		{"a style that the policy stops", `<p style="color:red">x</p>`, false, []string{foreigntest.Policy}, true},
		{"a picture of ours", `<img src="/canary">`, false, []string{foreigntest.Request}, true},
		{"a picture of others", `<img src="http://canary.invalid/">`, true, []string{foreigntest.Request}, true},
		{"an attribute that htmx acts on", `<div hx-get="/canary" hx-trigger="load"></div>`, false, []string{foreigntest.Request}, true},
		{"a way out", `<meta http-equiv="refresh" content="0;url=/elsewhere">`, false, []string{foreigntest.Navigation}, true},
		{"a frame", `<iframe></iframe>`, true, []string{foreigntest.Navigation}, true},
		{"an element", `<b>word</b>`, false, nil, true},
		{"a link that runs", `<a href="javascript:portalHit(1)">word</a>`, false, nil, true},
	} {
		st.put(framed(t, now, variant(c.html)), c.bare)
		tab.Open("/hostile")
		shape := foreigntest.Get[[]string](tab, shapesOfVariants)
		if seen := noticed(tab, len(c.sees)); !slices.Equal(foreigntest.Detectors(seen), c.sees) {
			t.Errorf("%s: noticed %q, want %q", c.name, seen, c.sees)
		}
		if len(shape) == 1 && (shape[0] != want) != c.structure {
			t.Errorf("%s: the shape is %s", c.name, shape[0])
		}
	}
	part := func(html string) []byte {
		return []byte(`<hx-partial hx-target="#board-live" hx-swap="outerMorph"><div id="board-live">` + html + `</div></hx-partial>`)
	}
	shapes := st.follow(t, tab, now, [][]byte{part("word"), part(`<div hx-get="/canary" hx-trigger="load"></div>`)})
	if seen := noticed(tab, 1); !slices.Equal(foreigntest.Detectors(seen), []string{foreigntest.Request}) || shapes[0] == shapes[1] {
		t.Errorf("an attribute that htmx acts on, over the stream: noticed %q", seen)
	}
}

// noticed waits for so many notices: what is planted may take its time on a busy machine.
func noticed(tab *foreigntest.Tab, n int) []foreigntest.Notice {
	seen := tab.Noticed()
	for late := time.Now().Add(20 * time.Second); len(seen) < n && time.Now().Before(late); {
		seen = append(seen, tab.Noticed()...)
	}
	return seen
}
