package giteatest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"deployportal/internal/gitea/giteatest"
	"deployportal/internal/gitea/giteatest/conformance"
)

// A mutant is the fake with one of Gitea's ways taken from it. The suite must miss it, in the case that is about it.
type mutant struct {
	name   string
	caught string                // the case that must fail
	web    giteatest.Interceptor // before every request
	relay  func(http.Handler) http.Handler
	clean  func(f *mutated, image string)
}

// mutated is a fake whose events go through a relay and whose cleanup may do more.
type mutated struct {
	*fake
	m      mutant
	events map[string]string // url -> secret
}

func (f *mutated) Hook(t conformance.T, url, secret string) {
	f.events[url] = secret
	if f.m.relay == nil {
		f.fake.Hook(t, url, secret)
		return
	}
	relay := httptest.NewServer(f.m.relay(forward(url)))
	t.Cleanup(relay.Close)
	f.fake.Hook(t, relay.URL, secret)
}

func (f *mutated) Cleanup(t conformance.T, image string, keep int) {
	f.fake.Cleanup(t, image, keep)
	if f.m.clean != nil {
		f.m.clean(f, image)
	}
}

// forward sends a request on as it came.
func forward(url string) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequestWithContext(r.Context(), r.Method, url, r.Body)
		if err != nil {
			return
		}
		req.Header = r.Header.Clone()
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
		}
	})
}

// edit changes answers on their way out.
func edit(f func(r *http.Request, res *httptest.ResponseRecorder) []byte) giteatest.Interceptor {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		res := httptest.NewRecorder()
		next.ServeHTTP(res, r)
		body := f(r, res)
		maps.Copy(w.Header(), res.Header())
		if r.Method != http.MethodHead {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		}
		w.WriteHeader(res.Code)
		_, _ = w.Write(body)
	}
}

// header changes only headers.
func header(f func(h http.Header)) giteatest.Interceptor {
	return edit(func(_ *http.Request, res *httptest.ResponseRecorder) []byte {
		f(res.Header())
		return res.Body.Bytes()
	})
}

// object changes JSON objects at paths that match.
func object(path string, f func(v map[string]any)) giteatest.Interceptor {
	return edit(func(r *http.Request, res *httptest.ResponseRecorder) []byte {
		var v map[string]any
		if !regexp.MustCompile(path).MatchString(r.URL.Path) || json.Unmarshal(res.Body.Bytes(), &v) != nil {
			return res.Body.Bytes()
		}
		f(v)
		return mustJSON(v)
	})
}

// list changes the list of an image's versions.
func list(f func(rows []map[string]any) []map[string]any) giteatest.Interceptor {
	return edit(func(r *http.Request, res *httptest.ResponseRecorder) []byte {
		var rows []map[string]any
		if !strings.Contains(r.URL.Path, "/container/") || json.Unmarshal(res.Body.Bytes(), &rows) != nil {
			return res.Body.Bytes()
		}
		return mustJSON(f(rows))
	})
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func isPart(version any) bool { return strings.HasPrefix(version.(string), "sha256:") }

// versionOf reads an event and leaves the request as it was.
func versionOf(r *http.Request) string {
	body, _ := io.ReadAll(r.Body) // a cut one is no JSON
	r.Body = io.NopCloser(bytes.NewReader(body))
	var e struct{ Package struct{ Version string } }
	_ = json.Unmarshal(body, &e)
	return e.Package.Version
}

// remembered answers what was there once: manifests by their digest.
func remembered() giteatest.Interceptor {
	var mu sync.Mutex
	old := map[string][]byte{}
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		mu.Lock()
		defer mu.Unlock()
		name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			res := httptest.NewRecorder()
			next.ServeHTTP(res, r)
			old[res.Header().Get("Docker-Content-Digest")] = body
			maps.Copy(w.Header(), res.Header())
			w.WriteHeader(res.Code)
			return
		}
		if body, ok := old[name]; ok && r.Method != http.MethodPut {
			w.Header().Set("Docker-Content-Digest", name)
			_, _ = w.Write(body)
			return
		}
		next.ServeHTTP(w, r)
	}
}

// firstSeen keeps what a field of a version was when it was first listed.
func firstSeen(field string) giteatest.Interceptor {
	var mu sync.Mutex
	seen := map[any]any{}
	return list(func(rows []map[string]any) []map[string]any {
		mu.Lock()
		defer mu.Unlock()
		for _, row := range rows {
			key := row["name"].(string) + ":" + row["version"].(string)
			if seen[key] == nil {
				seen[key] = row[field]
			}
			row[field] = seen[key]
		}
		return rows
	})
}

// events changes events on their way, and signs nothing anew.
func events(f func(v map[string]any)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body) // a cut one is no JSON
			var v map[string]any
			if json.Unmarshal(body, &v) == nil {
				f(v)
				body, _ = json.MarshalIndent(v, "", "  ") // it was JSON before
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			next.ServeHTTP(w, r)
		})
	}
}

// caseKept lists tags as they were pushed.
func caseKept() giteatest.Interceptor {
	var mu sync.Mutex
	pushed := map[string]string{}
	return edit(func(r *http.Request, res *httptest.ResponseRecorder) []byte {
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodPut {
			tag := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
			pushed[strings.ToLower(tag)] = tag
		}
		body := res.Body.String()
		if strings.HasSuffix(r.URL.Path, "/tags/list") {
			for lower, tag := range pushed {
				body = strings.ReplaceAll(body, `"`+lower+`"`, `"`+tag+`"`)
			}
		}
		return []byte(body)
	})
}

// tagFirst holds the events of parts back until the tag's has gone out.
func tagFirst(next http.Handler) http.Handler {
	var held []*http.Request
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isPart(versionOf(r)) {
			body, _ := io.ReadAll(r.Body)
			later := r.Clone(r.Context())
			later.Body = io.NopCloser(bytes.NewReader(body))
			held = append(held, later)
			return
		}
		next.ServeHTTP(w, r)
		for _, h := range held {
			next.ServeHTTP(w, h.WithContext(r.Context()))
		}
		held = nil
	})
}

// withEvent sends an event that Gitea does not send, through the fake's own queue: it pushes and deletes a tag.
func withEvent(f *mutated, image string) {
	f.s.PushImage("acme/"+image, "removed", giteatest.Image{})
	f.s.DeleteTag("acme/"+image, "removed")
}
