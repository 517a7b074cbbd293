package browser_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestPageGoesLiveWhateverScriptIsLate: a network brings scripts in any order, each as late as it likes. htmx looks at the page
// once, so what it is to find there must know of it by then.
func TestPageGoesLiveWhateverScriptIsLate(t *testing.T) {
	d := theDemo(t)
	to, err := url.Parse(d.url)
	if err != nil {
		t.Fatal(err)
	}
	// behind opens the board through what does something to a script beforehand; pass: the script still comes.
	behind := func(t testing.TB, script string, pass func(*http.Request) bool) *tab {
		proxy := httputil.NewSingleHostReverseProxy(to)
		proxy.FlushInterval = -1 // a stream must not wait for a full buffer
		site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, script) && !pass(r) {
				w.Header().Set("Content-Type", "text/javascript") // and nothing in it
				return
			}
			proxy.ServeHTTP(w, r)
		}))
		t.Cleanup(func() { site.CloseClientConnections(); site.Close() })
		p := newTab(t, site.URL)
		p.signIn(d, "/")
		return p
	}
	lost := behind(t, "/hx-sse-", func(*http.Request) bool { return false })
	for _, late := range []string{"/portal.", "/htmx-", "/hx-sse-"} {
		t.Run(late, func(t *testing.T) {
			p := behind(t, late, func(r *http.Request) bool {
				select {
				case <-time.After(500 * time.Millisecond):
				case <-r.Context().Done():
				}
				return true
			})
			p.until("the page is live", `document.querySelector("#live")?.dataset.state === "ok"`)
		})
	}
	lost.until("a page that never gets its stream says so", shows("#live", "connecting, as of "))
}
