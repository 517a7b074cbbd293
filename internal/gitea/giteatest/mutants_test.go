package giteatest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

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

// firstIDs keeps the id that a version had when it was first listed.
func firstIDs() giteatest.Interceptor {
	var mu sync.Mutex
	ids := map[any]any{}
	return list(func(rows []map[string]any) []map[string]any {
		mu.Lock()
		defer mu.Unlock()
		for _, row := range rows {
			key := row["name"].(string) + ":" + row["version"].(string)
			if ids[key] == nil {
				ids[key] = row["id"]
			}
			row["id"] = ids[key]
		}
		return rows
	})
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

var mutants = []mutant{
	{name: "one challenge", caught: "two challenges", web: header(func(h http.Header) {
		if c := h.Values("WWW-Authenticate"); len(c) == 2 {
			h["Www-Authenticate"] = []string{c[0]}
		}
	})},
	{name: "both challenges in one header", caught: "two challenges", web: header(func(h http.Header) {
		if c := h.Values("WWW-Authenticate"); len(c) == 2 {
			h["Www-Authenticate"] = []string{c[0] + ", " + c[1]}
		}
	})},
	{name: "sign-in token with expires_in", caught: "sign-in token", web: object("^/v2/token$", func(v map[string]any) { v["expires_in"] = 300 })},
	{name: "sign-in token of five minutes", caught: "sign-in token", web: object("^/v2/token$", func(v map[string]any) {
		part := strings.Split(v["token"].(string), ".")
		v["token"] = part[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"nbf":0,"exp":300}`)) + "." + part[2]
	})},
	{name: "no link on the last page of tags", caught: "link on every tag list", web: edit(func(r *http.Request, res *httptest.ResponseRecorder) []byte {
		if !r.URL.Query().Has("n") || r.URL.Query().Has("last") {
			res.Header().Del("Link")
		}
		return res.Body.Bytes()
	})},
	{name: "accept honoured", caught: "accept is ignored", web: edit(func(r *http.Request, res *httptest.ResponseRecorder) []byte {
		accept := r.Header.Get("Accept")
		if strings.Contains(r.URL.Path, "/manifests/") && accept != "" && !strings.Contains(accept, res.Header().Get("Content-Type")) {
			res.Code = http.StatusNotFound
		}
		return res.Body.Bytes()
	})},
	{name: "case kept", caught: "lower-cased tags", web: caseKept()},
	{name: "refusal in the registry's JSON", caught: "refusal of the registry is text", web: edit(func(_ *http.Request, res *httptest.ResponseRecorder) []byte {
		if strings.Contains(res.Body.String(), "reqPackageAccess") {
			return []byte(`{"errors":[{"code":"DENIED","message":"reqPackageAccess"}]}`)
		}
		return res.Body.Bytes()
	})},
	{name: "unpolluted list", caught: "list holds untagged parts", web: list(func(rows []map[string]any) []map[string]any {
		return slices.DeleteFunc(rows, func(r map[string]any) bool { return isPart(r["version"]) })
	})},
	{name: "oldest first", caught: "list is newest first", web: list(func(rows []map[string]any) []map[string]any {
		slices.Reverse(rows)
		return rows
	})},
	{name: "no total", caught: "list is paged and counted", web: header(func(h http.Header) { h.Del("X-Total-Count") })},
	{name: "repository linked", caught: "no repository is linked", web: list(func(rows []map[string]any) []map[string]any {
		for _, r := range rows {
			r["repository"] = map[string]any{"full_name": "acme/" + r["name"].(string)}
		}
		return rows
	})},
	{name: "old digest alive", caught: "old digest is gone", web: remembered()},
	{name: "id kept", caught: "overwritten tag is a new row", web: firstIDs()},
	{name: "one event a push", caught: "one event a manifest", relay: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !isPart(versionOf(r)) {
				next.ServeHTTP(w, r)
			}
		})
	}},
	{name: "tag's event first", caught: "events of parts come first", relay: tagFirst},
	{name: "events with a repository", caught: "events name no repository", relay: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(bytes.Replace(body, []byte(`"repository": null`), []byte(`"repository": {"id": 1}`), 1)))
			next.ServeHTTP(w, r)
		})
	}},
	{name: "signature of something else", caught: "events are signed", relay: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(append(body, '\n')))
			next.ServeHTTP(w, r)
		})
	}},
	{name: "event on cleanup", caught: "cleanup sends no event", clean: withEvent},
	{name: "cleanup counts tags", caught: "cleanup counts untagged parts", clean: func(f *mutated, image string) {
		for i := range 5 { // what it deleted comes back
			f.s.PushImage("acme/"+image, "000000"+strconv.Itoa(i), giteatest.MultiArch())
		}
	}},
	{name: "no status is success", caught: "no status is pending", web: object("/status$", func(v map[string]any) {
		if v["total_count"] == 0.0 {
			v["state"] = "success"
		}
	})},
	{name: "no status is an empty list", caught: "no status is pending", web: object("/status$", func(v map[string]any) {
		if v["statuses"] == nil {
			v["statuses"] = []any{}
		}
	})},
	{name: "groups missing", caught: "people and their groups", web: object("/userinfo$", func(v map[string]any) { delete(v, "groups") })},
	{name: "groups without teams", caught: "people and their groups", web: object("/userinfo$", func(v map[string]any) { v["groups"] = []string{"acme"} })},
	{name: "403 without url", caught: "missing scope", web: object("^/git/api/v1/", func(v map[string]any) { delete(v, "url") })},
	{name: "403 without scopes", caught: "missing scope", web: object("^/git/api/v1/", func(v map[string]any) {
		if m, ok := v["message"].(string); ok && strings.Contains(m, "required=") {
			v["message"] = "forbidden"
		}
	})},
	{name: "files always", caught: "files of commits", web: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		q := r.URL.Query()
		q.Del("files")
		r.URL.RawQuery = q.Encode()
		next.ServeHTTP(w, r)
	}},
}

func TestSuiteCatchesEveryMutant(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			failed := conformance.Failing(t.Context(), func(ct conformance.T) conformance.Backend {
				f := &mutated{fake: newFake(ct), m: m, events: map[string]string{}}
				if m.web != nil {
					f.s.Intercept(m.web)
				}
				return f
			}, m.caught)
			if failed[m.caught] == "" {
				t.Errorf("the case %q passes; failed: %v", m.caught, failed)
			} else {
				t.Logf("caught: %s", failed[m.caught])
			}
		})
	}
}

// The recorder must not see faults where there are none, or every mutant would look caught.
func TestFailingFindsNothingInTheFake(t *testing.T) {
	failed := conformance.Failing(t.Context(), func(ct conformance.T) conformance.Backend {
		return &mutated{fake: newFake(ct), events: map[string]string{}}
	})
	if len(failed) > 0 {
		t.Errorf("failed: %v", failed)
	}
}
