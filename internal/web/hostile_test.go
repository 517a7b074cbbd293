package web

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"deployportal/internal/foreign/foreigntest"
)

const (
	shapes      = 60               // drawings of a component that are tried
	batch       = 100              // drawings on one page of a browser
	longest     = 400              // bytes of a payload: what makes one harmful is in fewer
	quietStream = "/hostile/quiet" // tells nothing
)

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

// variant wraps one of many drawings on a page. Once their elements are looked at one in ten is shown: fonts for all the
// strange letters would take most of the time, and letters run nothing.
func variant(html string) string { return `<section data-variant hidden>` + html + `</section>` }

const (
	shapesOfVariants = `[...document.querySelectorAll("[data-variant]")].map((v, i) => { const shape = portalShape(v); v.hidden = i % 10 > 0; return shape; })`
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
				together = 8 // what this shape adds to the first is little
			}
			if c.whole {
				together, most = 8, 1
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
const collect = `<div id="app-live"></div><div id="board-live"></div><div id="deploy-live"></div>`

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
