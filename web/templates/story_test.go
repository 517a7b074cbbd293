package templates

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"

	"deployportal/web/static"
)

var storyDir = flag.String("story", "", "write every page state as HTML into this directory")

// now is when the stories are told. It is a fixed moment; pages written with -story tell the time since.
var now = time.Date(2026, 11, 23, 14, 2, 44, 0, time.UTC)

func past(d time.Duration) time.Time { return now.Add(-d) }

const (
	shaOld  = "4be19f2c03d1a9e8f7b6a5c4d3e2f1a0b9c8d7e6"
	shaNew  = "c7750aa91be2f3c4d5e6f7a8b9c0d1e2f3a4b5c6"
	shaMid  = "91d3c4e0aa11bb22cc33dd44ee55ff6677889900"
	shaBad  = "51d20be7766554433221100ffeeddccbbaa99887"
	digOld  = "sha256:1f0c2b3a4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8"
	digNew  = "sha256:9f1ce07a4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e07a"
	hostile = `<script>alert(1)</script>"><img src=x onerror=alert(1)> </hx-partial>`
)

func img(tag, digest, subject string) Image {
	return Image{Short: tag[:7], Tag: tag, Digest: digest, Subject: subject, Author: "Ana Lima", At: past(2 * time.Hour), URL: "https://git.example.org/acme/api/commit/" + tag}
}

var (
	older  = img(shaOld, digOld, "Serialize migrations across replicas")
	newer  = img(shaNew, digNew, "Relax CSP for the landing page")
	middle = img(shaMid, "", "Log the request id on every line of the access log, also for requests that end early")
	broken = img(shaBad, "", "Move the panel under /admin")
)

func page(title, nav string) Page {
	return Page{Title: title, Nav: nav, User: "ana", Admin: true, Now: now}
}

// stories is every state of every page, by file name.
func stories() map[string]templ.Component {
	all := map[string]templ.Component{}
	for _, m := range []map[string]templ.Component{boardStories(), appStories(), deployStories(), auditStories(), peopleStories(), backStories()} {
		for name, c := range m {
			all[name] = c
		}
	}
	return all
}

func render(t *testing.T, c templ.Component) string {
	t.Helper()
	var b bytes.Buffer
	if err := c.Render(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestStory draws every story. With -story DIR it writes them, and the files they need, for a browser.
func TestStory(t *testing.T) {
	for name, c := range stories() {
		html := render(t, c)
		if *storyDir == "" {
			continue
		}
		for _, f := range []string{"portal.css", "portal.js", "icon.svg", "vendor/htmx-4.0.1.min.js", "vendor/hx-sse-4.0.1.min.js"} {
			b, err := os.ReadFile(filepath.Join("../static", f))
			if err != nil {
				t.Fatal(err)
			}
			to := filepath.Join(*storyDir, strings.TrimPrefix(static.Path(f), "/"))
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(to, b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(*storyDir, name+".html"), []byte(html), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
