package web

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"deployportal/internal/foreign/foreigntest"
	"deployportal/web/templates"
)

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
		s.echo.GET("/elsewhere", s.healthz)
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
	st.put(framed(t, now, collect), false, []byte(`<hx-partial hx-target="#board-live" hx-swap="outerMorph">
		<div id="board-live"><div hx-get="/canary" hx-trigger="load"></div></div></hx-partial>`))
	tab.Open("/hostile")
	if seen := noticed(tab, 1); !slices.Equal(foreigntest.Detectors(seen), []string{foreigntest.Request}) {
		t.Errorf("an attribute that htmx acts on, over the stream: noticed %q", seen)
	}
	if shape := foreigntest.Get[string](tab, `portalShape(document.getElementById("board-live"))`); !strings.Contains(shape, "hx-get=/canary") {
		t.Errorf("an attribute that htmx acts on, over the stream: the shape is %s", shape)
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
