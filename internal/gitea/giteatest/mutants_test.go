package giteatest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"deployportal/internal/gitea/giteatest"
	"deployportal/internal/gitea/giteatest/conformance"
)

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
	{name: "id kept", caught: "overwritten tag is a new row", web: firstSeen("id")},
	{name: "created_at kept", caught: "overwritten tag is a new row", web: firstSeen("created_at")},
	{name: "overwritten tag stays in its place", caught: "overwritten tag is a new row", web: list(func(rows []map[string]any) []map[string]any {
		if i := slices.IndexFunc(rows, func(r map[string]any) bool { return r["version"] == "abc1234" }); i == 0 {
			rows = append(rows[1:], rows[0])
		}
		return rows
	})},
	{name: "one event a push", caught: "one event a manifest", relay: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !isPart(versionOf(r)) {
				next.ServeHTTP(w, r)
			}
		})
	}},
	{name: "tag's event first", caught: "events of parts come first", relay: tagFirst},
	{name: "events with a repository", caught: "events name no repository", relay: events(func(v map[string]any) {
		v["repository"] = map[string]any{"id": 1}
	})},
	{name: "events with a package's repository", caught: "events name no repository", relay: events(func(v map[string]any) {
		v["package"].(map[string]any)["repository"] = map[string]any{"id": 1}
	})},
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
	{name: "no status is counted", caught: "no status is pending", web: object("/status$", func(v map[string]any) {
		if v["statuses"] == nil {
			v["total_count"] = 1
		}
	})},
	{name: "groups missing in the ID token", caught: "people and their groups", web: object("/access_token$", func(v map[string]any) {
		token, _ := v["id_token"].(string)
		part := strings.Split(token, ".")
		if len(part) != 3 {
			return
		}
		text, _ := base64.RawURLEncoding.DecodeString(part[1])
		var claims map[string]any
		if json.Unmarshal(text, &claims) == nil {
			delete(claims, "groups")
			v["id_token"] = part[0] + "." + base64.RawURLEncoding.EncodeToString(mustJSON(claims)) + "." + part[2]
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
	{name: "a branch that is not there", caught: "default branch", web: object("^/git/api/v1/repos/[^/]+/[^/]+$", func(v map[string]any) { v["default_branch"] = "trunk" })},
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
