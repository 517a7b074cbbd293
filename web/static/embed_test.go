package static

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Vendored files are what their publisher shipped, and every one is recorded.
func TestVendorHashes(t *testing.T) {
	f, err := os.Open("vendor/HASHES")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	recorded := map[string]string{}
	for s := bufio.NewScanner(f); s.Scan(); {
		if hash, name, ok := strings.Cut(s.Text(), "  "); ok && !strings.HasPrefix(hash, "#") {
			recorded[name] = hash
		}
	}
	found, err := filepath.Glob("vendor/*.js")
	if err != nil || len(found) == 0 {
		t.Fatalf("no vendored scripts: %v", err)
	}
	for _, file := range found {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha512.Sum384(b)
		if got := "sha384-" + base64.StdEncoding.EncodeToString(sum[:]); got != recorded[filepath.Base(file)] {
			t.Errorf("%s has %s, recorded is %q", file, got, recorded[filepath.Base(file)])
		}
	}
	if len(found) != len(recorded) {
		t.Errorf("%d files, %d recorded", len(found), len(recorded))
	}
}

func get(t *testing.T, method, path, encoding string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	if encoding != "" {
		r.Header.Set("Accept-Encoding", encoding)
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w.Result()
}

func TestHandler(t *testing.T) {
	p := Path("portal.css")
	if !regexp.MustCompile(`^/static/portal\.[0-9a-f]{8}\.css$`).MatchString(p) {
		t.Fatalf("path %s", p)
	}
	want, err := os.ReadFile("portal.css")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		encoding string
		zipped   bool
	}{{"", false}, {"br, gzip;q=0.8", true}, {"gzip; q=0", false}, {"br", false}} {
		res := get(t, "GET", p, c.encoding)
		if (res.Header.Get("Content-Encoding") == "gzip") != c.zipped {
			t.Errorf("%q: encoding %q", c.encoding, res.Header.Get("Content-Encoding"))
			continue
		}
		var body io.Reader = res.Body
		if c.zipped {
			if body, err = gzip.NewReader(body); err != nil {
				t.Fatal(err)
			}
		}
		if got, _ := io.ReadAll(body); !bytes.Equal(got, want) {
			t.Errorf("%q: the body differs", c.encoding)
		}
		if cc := res.Header.Get("Cache-Control"); !strings.Contains(cc, "immutable") || res.Header.Get("Vary") == "" {
			t.Errorf("%q: headers %v", c.encoding, res.Header)
		}
	}
	kinds := map[string]string{"portal.css": "text/css", "portal.js": "text/javascript", "icon.svg": "image/svg+xml", "vendor/htmx-4.0.1.min.js": "text/javascript"}
	for name, kind := range kinds {
		res := get(t, "HEAD", Path(name), "")
		if body, _ := io.ReadAll(res.Body); res.StatusCode != 200 || len(body) != 0 || !strings.HasPrefix(res.Header.Get("Content-Type"), kind) {
			t.Errorf("%s: %s %s", name, res.Status, res.Header.Get("Content-Type"))
		}
	}
}

func TestHandlerRefuses(t *testing.T) {
	for _, p := range []string{"/static/", "/static/vendor/", "/static/portal.css", "/static/embed.go", "/static/../embed.go", "/static/portal.00000000.css"} {
		if res := get(t, "GET", p, "gzip"); res.StatusCode != 404 || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %s, %s", p, res.Status, res.Header.Get("Cache-Control"))
		}
	}
	if res := get(t, "POST", Path("portal.js"), ""); res.StatusCode != 405 {
		t.Errorf("POST: %s", res.Status)
	}
	defer func() {
		if recover() == nil {
			t.Error("a name that does not exist has a path")
		}
	}()
	Path("nothing.css")
}

// What a browser must load for the first paint stays small. The HTML of a page has a budget of its own.
func TestWeight(t *testing.T) {
	total := 0
	byName, _ := assets()
	for name, a := range byName {
		t.Logf("%-28s %6d, gzip %6d", name, len(a.body), len(a.gzip()))
		total += len(a.gzip())
	}
	if total > 35_000 {
		t.Errorf("%d bytes of css and js, compressed", total)
	}
}
