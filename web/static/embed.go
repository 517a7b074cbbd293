// Package static holds the files a browser needs: one stylesheet, one script, the mark, and the vendored htmx. They
// are embedded and served under names that carry a hash of their content, so that a browser keeps them for good and
// still never mixes two versions.
package static

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

//go:embed portal.css portal.js icon.svg vendor/*.js
var files embed.FS

// prefix is where Handler is mounted.
const prefix = "/static/"

// asset is one file, ready to be sent.
type asset struct {
	path string // with prefix and hash
	kind string
	body []byte
	gzip func() []byte
}

// assets reads every file once: by its plain name, and by its path.
var assets = sync.OnceValues(func() (byName, byPath map[string]*asset) {
	byName, byPath = map[string]*asset{}, map[string]*asset{}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		ext := path.Ext(name)
		a := &asset{
			path: prefix + strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:4]) + ext,
			kind: mime.TypeByExtension(ext),
			body: body,
			gzip: sync.OnceValue(func() []byte { return squeeze(body) }),
		}
		// The table of the operating system may be empty in a small container.
		switch ext {
		case ".css":
			a.kind = "text/css; charset=utf-8"
		case ".js":
			a.kind = "text/javascript; charset=utf-8"
		case ".svg":
			a.kind = "image/svg+xml"
		}
		byName[name], byPath[a.path] = a, a
		return nil
	})
	if err != nil {
		panic("static: reading embedded files: " + err.Error()) // the compiler put them there
	}
	return byName, byPath
})

// Path gives the URL path of a file, "/static/portal.3f2a91c0.css" for "portal.css". It panics for a name that is not
// embedded: that is a slip of the pen, and every page would show it.
func Path(name string) string {
	byName, _ := assets()
	a, ok := byName[name]
	if !ok {
		panic("static: there is no file " + name)
	}
	return a.path
}

// Handler serves the files under the paths that Path gives, to be kept for a year. It answers 404 to everything else,
// plain names and directories included.
func Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, byPath := assets()
		a, ok := byPath[r.URL.Path]
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		switch {
		case !ok:
			h.Set("Cache-Control", "no-store") // a later version may have it
			http.Error(w, "There is no such file.", http.StatusNotFound)
			return
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "Only GET and HEAD are served here.", http.StatusMethodNotAllowed)
			return
		}
		body := a.body
		h.Set("Vary", "Accept-Encoding")
		if takesGzip(r.Header.Values("Accept-Encoding")) {
			if z := a.gzip(); len(z) < len(body) {
				body = z
				h.Set("Content-Encoding", "gzip")
			}
		}
		h.Set("Content-Type", a.kind)
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("Content-Length", strconv.Itoa(len(body)))
		if r.Method == http.MethodGet {
			_, _ = w.Write(body) // the reader has gone; nobody is left to tell
		}
	})
}

// takesGzip tells whether a request accepts gzip: named, and not with q=0.
func takesGzip(headers []string) bool {
	for part := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		name, params, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q, ok := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
			return !ok || strings.Trim(q, "0.") != ""
		}
	}
	return false
}

func squeeze(body []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is one that exists
	_, _ = w.Write(body)                                  // a buffer does not fail
	_ = w.Close()
	return b.Bytes()
}
