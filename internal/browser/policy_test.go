package browser_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"deployportal/internal/testenv"
)

// A collector that hears nothing would let every page pass. This one hears a page that breaks its policy three ways,
// logs an error and throws.
func TestComplaintsAreHeard(t *testing.T) {
	testenv.Chromium(t)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Security-Policy", "default-src 'none'; connect-src 'self'; script-src 'sha256-"+hashOf(badScript)+"'")
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><title>bad</title><link rel="icon" href="data:,">
			<script>inline()</script><p style="color:red">x</p><img src="https://elsewhere.invalid/x.png" alt="">
			<script>` + badScript + `</script>`))
	}))
	defer site.Close()
	p := newTab(t, site.URL)
	p.open("/")
	p.until("all is heard", `window.thrown`)
	want := []string{"policy event: script-src", "policy event: style-src", "policy event: img-src", "policy issue: script-src",
		"policy issue: style-src", "policy issue: img-src", "console: error", "exception: Uncaught", "log: network"}
	p.excuse(".")            // must not excuse the policy
	for _, w := range want { // the browser tells of them in its own time
		testenv.Until(t, 30*time.Second, w+" is heard", func() bool {
			return slices.ContainsFunc(p.heard(), func(s string) bool { return strings.HasPrefix(s, w) })
		})
	}
	if said := p.said(); !slices.ContainsFunc(said, func(s string) bool { return strings.HasPrefix(s, "policy event") }) {
		t.Errorf("excused: %q", said)
	}
	p.forget()
}

const badScript = `console.error("wrong"); fetch("/missing").catch(() => 0).then(() => { setTimeout(() => { window.thrown = true }); throw new Error("thrown"); })`

func hashOf(script string) string {
	sum := sha256.Sum256([]byte(script))
	return base64.StdEncoding.EncodeToString(sum[:])
}
