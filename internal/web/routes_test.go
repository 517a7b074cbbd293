package web

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"deployportal/internal/auth"
)

// pathFor fills in a route's path.
func pathFor(r route, env string, deploy int64) string {
	return strings.NewReplacer(":env", env, ":app", "api", ":id", id(deploy), ":seq", "1", ":session", "999999", ":name", "gina",
		"/static/*", "/static/nothing").Replace(r.path)
}

func formFor(r route, env string) url.Values {
	switch {
	case strings.HasSuffix(r.path, "/deploys"):
		return url.Values{"image": {tagOf("b")}, "seen_from": {digestOf("a")}, "seen_to": {digestOf("b")}, "key": {"k"}}
	case strings.HasSuffix(r.path, "/adopt"):
		return url.Values{"change": {"1"}, "seen_from": {digestOf("a")}, "key": {"adopt"}}
	case r.path == "/locks":
		return url.Values{"at": {env + "/api"}, "for": {"1h"}, "reason": {"r"}}
	case strings.HasSuffix(r.path, "/role"):
		return url.Values{"role": {"viewer"}, "env": {"staging"}}
	}
	return url.Values{}
}

// Every route answers everybody exactly as its line in the table says.
func TestEveryRouteForEverybody(t *testing.T) {
	p := newPortal(t, func(o *Options) { o.Slack = true }, nil)
	deployIn := map[string]int64{}
	for _, env := range []string{"prod", "staging"} {
		d := p.start(env, "b")
		deployIn[env] = d.ID
		p.patched(d.ID)
		p.cluster.finish(target(env), "b")
		p.over(d.ID)
		p.cluster.change(func() { p.cluster.at[target(env)] = p.cluster.healthy(target(env), "a", 9) })
	}
	signedInAs := map[string]*browser{}
	for _, who := range []string{nobody, viewer, onlooker, deployer, admin} {
		signedInAs[who] = p.as(who)
	}
	for _, r := range p.server.routes() {
		for _, env := range []string{"prod", "staging"} {
			for who, b := range signedInAs {
				path := pathFor(r, env, deployIn[env])
				if strings.HasSuffix(path, "/confirm") {
					path += "?image=" + tagOf("b")
				}
				if r.method == http.MethodPost && who != nobody {
					b = p.as(who) // it may end the session
				}
				switch { // of what is there to be taken off
				case strings.HasSuffix(path, "/unlock"):
					path = pathFor(r, env, p.ofAna(env))
				case strings.HasSuffix(path, "/clear"):
					path = pathFor(r, env, p.marked(env, "c"))
				}
				form := formFor(r, env)
				if form.Has("key") {
					form.Set("key", who+env+form.Get("key"))
				}
				a := b.do(r.method, path, form)
				if want := wanted(r, who, env); !slices.Contains(want, a.StatusCode) {
					t.Errorf("%s %s (%s) for %q: %d, want %v", r.method, path, r.need, who, a.StatusCode, want)
				}
			}
		}
	}
}

// wanted is the statuses that a route may answer somebody with.
func wanted(r route, who, env string) []int {
	if strings.HasPrefix(r.path, "/hooks/") { // not configured here; who sends it is known by its signature, not by a session
		return []int{http.StatusNotFound}
	}
	may := func(action auth.Action, in string) bool {
		return auth.Policy{}.Allow(auth.Actor{ID: "x", Grants: []auth.Grant{grants[who]}}, action, in) == nil
	}
	ok := []int{200}
	if r.method == http.MethodPost {
		ok = []int{303}
	}
	switch {
	case strings.HasPrefix(r.path, "/static"):
		return []int{404}
	case r.path == "/sign-in" && r.method == http.MethodPost:
		return []int{401, 429}
	case r.path == "/sign-in" && who != nobody:
		return []int{303}
	case r.need == public:
		return []int{200}
	case who == nobody && (r.method == http.MethodPost || r.stream):
		return []int{401}
	case who == nobody:
		return []int{303}
	case r.need == viewEnv && !may(auth.View, env), r.need == deployEnv && !may(auth.Deploy, env), r.need == manage && !may(auth.Manage, ""):
		return []int{403}
	case r.need == viewDeploy && !may(auth.View, env):
		return []int{404}
	}
	switch {
	case (strings.HasSuffix(r.path, "/deploys") || strings.HasSuffix(r.path, "/adopt")) && !may(auth.Deploy, env), strings.HasPrefix(r.path, "/people/") && !may(auth.Manage, ""):
		return []int{403}
	case strings.HasSuffix(r.path, "/deploys"):
		return []int{303, 409} // the second of the two that may finds it busy
	case strings.HasSuffix(r.path, "/adopt"):
		return []int{303, 409} // and here that it is decided, or being deployed
	case r.path == "/locks" && r.method == http.MethodPost && !may(auth.Lock, env):
		return []int{403}
	case r.path == "/locks" && r.method == http.MethodPost:
		return []int{303, 409} // the second of the two that may
	case (strings.HasSuffix(r.path, "/unlock") || r.path == "/bad-images/:id/clear") && !may(auth.View, env):
		return []int{404, 403}
	case strings.HasSuffix(r.path, "/unlock") && who != admin, r.path == "/bad-images/:id/clear" && !may(auth.Deploy, env):
		return []int{403}
	case strings.HasSuffix(r.path, "/revoke"):
		return []int{404} // not theirs
	case r.path == "/account/slack/code":
		return []int{200} // shown once, by this answer
	case r.path == "/account/slack/unlink", strings.HasSuffix(r.path, "/unlink") && strings.HasPrefix(r.path, "/people/"):
		return []int{404} // nobody is linked
	case r.path == "/account/password":
		return []int{422}
	case r.path == "/audit/:seq" && !may(auth.View, ""):
		return []int{404} // the first entry is about no environment
	case r.path == "/find":
		return []int{303} // nothing was looked for
	}
	return ok
}

// Only what the table holds is answered, and a stream is known as one.
func TestTableIsComplete(t *testing.T) {
	p := newPortal(t, nil, nil)
	table := map[string]route{}
	for _, r := range p.server.routes() {
		table[r.method+" "+r.path] = r
		if r.stream != isStream(r.path) {
			t.Errorf("%s: the table and isStream differ", r.path)
		}
		if r.need == "" {
			t.Errorf("%s %s says nothing of what it needs", r.method, r.path)
		}
	}
	for _, r := range p.server.echo.Routes() {
		if _, ok := table[r.Method+" "+r.Path]; !ok && r.Method != "echo_route_not_found" {
			t.Errorf("%s %s is answered and not in the table", r.Method, r.Path)
		}
	}
	if a := p.as(admin).get("/nothing"); a.StatusCode != 404 || a.text("h1") != "There is no such page." || a.text("header .self a") != admin {
		t.Errorf("no such page: %s %q", a.Status, a.text("h1"))
	}
	if a := p.as(admin).post("/audit", nil); a.StatusCode != 405 {
		t.Errorf("a method that is not there: %s", a.Status)
	}
}

// What another site makes a browser send does nothing, on every route that could do something.
func TestCrossSiteIsRefused(t *testing.T) {
	p := newPortal(t, func(o *Options) { o.PublicURL = "http://portal.example.org" }, nil)
	ana := p.as(admin)
	head := p.entries("")[0].Seq
	for _, h := range []http.Header{
		{"Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}},
		{"Sec-Fetch-Site": nil, "Origin": {"https://evil.example"}}, {"Sec-Fetch-Site": nil, "Origin": {"null"}},
	} {
		for _, r := range p.server.routes() {
			if r.method == http.MethodGet {
				continue
			}
			ana.header = h
			a := ana.post(pathFor(r, "staging", 1), formFor(r, "staging"))
			if a.StatusCode != 403 || a.text("h1") != "This request came from another site, so nothing was done." {
				t.Errorf("%s with %v: %s %q", r.path, h, a.Status, a.text("h1"))
			}
		}
	}
	if now := p.entries("")[0].Seq; now != head {
		t.Errorf("%d entries were written", now-head)
	}
	ana.header = http.Header{"Sec-Fetch-Site": nil, "Origin": {"http://portal.example.org"}} // through a proxy that rewrites Host
	if a := ana.post("/sign-out", nil); a.StatusCode != 303 {
		t.Errorf("our own origin through a proxy: %s", a.Status)
	}
}

// Every page carries the headers that protect it, word for word.
func TestHeaders(t *testing.T) {
	for _, public := range []string{"", "https://portal.example.org"} {
		p := newPortal(t, func(o *Options) { o.PublicURL = public }, nil)
		d := p.start("staging", "b")
		ana := p.as(admin)
		for _, r := range p.server.routes() {
			a := ana.do(r.method, pathFor(r, "staging", d.ID), nil)
			if r.method == http.MethodPost {
				ana = p.as(admin)
			}
			want := map[string]string{
				"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
				"X-Content-Type-Options":  "nosniff", "Referrer-Policy": "same-origin", "X-Frame-Options": "DENY", "Cache-Control": "no-store",
				"Strict-Transport-Security": "",
			}
			if public != "" {
				want["Strict-Transport-Security"] = "max-age=31536000"
			}
			for name, value := range want {
				if got := a.Header.Get(name); got != value {
					t.Errorf("%s %s: %s is %q", r.method, r.path, name, got)
				}
			}
			if n := len(a.Header.Get("X-Request-Id")); n != 16 {
				t.Errorf("%s: a request id of %d characters", r.path, n)
			}
			for _, bad := range []string{"[style]", "style", "script:not([src])", "[onclick]", "[hx-on]"} {
				if n := a.doc.Find(bad).Length(); n > 0 {
					t.Errorf("%s: %d times %s, which the policy forbids", r.path, n, bad)
				}
			}
		}
	}
}

func TestBodyLimit(t *testing.T) {
	p := newPortal(t, nil, nil)
	a := p.as(nobody).post("/sign-in", url.Values{"account": {strings.Repeat("x", maxBody)}})
	if a.StatusCode != 413 {
		t.Errorf("a body too large: %s", a.Status)
	}
}

func TestHealth(t *testing.T) {
	p := newPortal(t, nil, nil)
	p.cluster.lose("The cluster cannot be reached since 02:10 UTC.")
	a := p.as(nobody).get("/readyz")
	if a.StatusCode != 200 || !strings.Contains(a.body, "prod: stale since ") {
		t.Errorf("ready with the cluster lost: %s %q", a.Status, a.body)
	}
	if a := p.as(nobody).get("/version"); a.body != "test\n" {
		t.Errorf("version %q", a.body)
	}
	_ = p.db.Close()
	if a := p.as(nobody).get("/readyz"); a.StatusCode != 503 || strings.Contains(a.body, "sql") {
		t.Errorf("ready without a database: %s %q", a.Status, a.body)
	}
	if a := p.as(nobody).get("/healthz"); a.StatusCode != 200 {
		t.Errorf("health: %s", fmt.Sprint(a.StatusCode))
	}
}
