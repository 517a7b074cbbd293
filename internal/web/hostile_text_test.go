package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"deployportal/internal/audit"
	"deployportal/internal/foreign"
	"deployportal/internal/foreign/foreigntest"
	"deployportal/web/templates"
)

// asked are the ways in which somebody's text comes to a page and back.
func asked(s string) map[string]string {
	q, p := url.QueryEscape(s), url.PathEscape(s)
	return map[string]string{
		"find": "/find?q=" + q, "app": "/apps/prod/" + p, "env": "/apps/" + p + "/api", "history": "/apps/prod/" + p + "/history",
		"image": "/apps/prod/api/confirm?image=" + q, "rollback": "/apps/prod/api/confirm?rollback_to=" + q,
		"replaces": "/apps/prod/api/confirm?image=" + q + "&replaces=" + q, "deploy": "/deploys/" + p, "entry": "/audit/" + p,
		"filters": "/audit?app=" + q + "&env=" + q + "&actor=" + q + "&action=" + q + "&outcome=" + q + "&sha=" + q,
		"times":   "/audit?from=" + q + "&to=" + q, "before": "/audit?before=" + q, "at": "/audit/at?time=" + q, "lock": "/locks?at=" + q, "next": "/sign-in?next=" + q, "none": "/" + p,
	}
}

// TestHostileAddresses: what a link says comes back harmless, whatever it is, and sends nobody away.
func TestHostileAddresses(t *testing.T) {
	p := newPortal(t, nil, nil)
	ana := p.as(admin)
	pages := 0
	for _, payload := range foreigntest.Payloads() {
		for name, address := range asked(payload.Text[:min(len(payload.Text), 1000)]) {
			a := ana.get(address)
			if a.StatusCode >= 500 {
				t.Errorf("%s with %.40q: %s", name, payload.Text, a.Status)
			}
			if harm := foreigntest.Harm(a.doc.Text()); harm != "" {
				t.Errorf("%s with %.40q shows %s", name, payload.Text, harm)
			}
			if to := a.Header.Get("Location"); to != "" && !local(to) {
				t.Errorf("%s with %.40q leads to %q", name, payload.Text, to)
			}
			if ana.cookie == nil {
				t.Fatalf("%s with %.40q signs out", name, payload.Text)
			}
			pages++
		}
	}
	t.Logf("%d pages", pages)
}

// local tells whether a browser that is sent there stays here.
func local(to string) bool {
	base, _ := url.Parse("http://portal.example")
	u, err := base.Parse(to)
	return err == nil && u.Host == base.Host && u.Scheme == "http" && strings.HasPrefix(to, "/") && !strings.ContainsAny(to, "\\\r\n\t ") && !strings.HasPrefix(to, "//")
}

// TestHostileRedirect: what a sign-in leads to is a path of ours, in one header of one line.
func TestHostileRedirect(t *testing.T) {
	p := newPortal(t, nil, nil)
	for _, payload := range foreigntest.Payloads() {
		text := payload.Text[:min(len(payload.Text), 4000)]
		for _, next := range []string{text, "/" + text, "/audit?x=" + text} {
			if got := localPath(foreign.Line(next, maxTyped)); !local(got) {
				t.Errorf("%.60q leads to %q", next, got)
			}
			// And past the cleaning, as the second line of defence.
			if got := localPath(next); !local(got) {
				t.Errorf("%.60q leads to %q", next, got)
			}
		}
	}
	b := p.as(nobody)
	for _, next := range []string{"/audit\r\nSet-Cookie: x=y", "/audit?x\nLocation: https://canary.invalid/", "//canary.invalid", "/\\canary.invalid"} {
		a := b.post("/sign-in", url.Values{"account": {admin}, "password": {password}, "next": {next}})
		if a.StatusCode != http.StatusSeeOther || len(a.Header["Location"]) != 1 || !local(a.Header.Get("Location")) || len(a.Cookies()) != 1 {
			t.Errorf("%q: %s %q", next, a.Status, a.Header)
		}
	}
}

// TestHostileForms: what is typed is kept harmless, in the deploy, in the log and on the page that refuses; a password is
// taken to the byte.
func TestHostileForms(t *testing.T) {
	p := newPortal(t, nil, nil)
	ana := p.as(admin)
	form := confirmed(ana.get("/apps/prod/api/confirm?image=" + tagOf("b")))
	for _, payload := range foreigntest.Payloads() {
		s := payload.Text[:min(len(payload.Text), 2000)]
		refused := url.Values{"image": {s}, "rollback_to": {""}, "reason": {s}, "key": {s}, "seen_from": {s}, "seen_to": {s}, "replaces": {""}}
		a := ana.post("/apps/prod/api/deploys", refused)
		if a.StatusCode < 400 || a.StatusCode >= 500 {
			t.Errorf("%.40q: %s", s, a.Status)
		}
		a2 := ana.post(templates.PersonURL("gina", templates.PersonRole), url.Values{"role": {s}, "env": {s}})
		a3 := ana.post(templates.PersonURL(strings.ReplaceAll(s, "/", ""), templates.PersonDisable), nil)
		a4 := ana.post(templates.LocksURL, url.Values{"at": {s + "/" + s}, "for": {s}, "reason": {s}})
		for _, a := range []response{a, a2, a3, a4} {
			if harm := foreigntest.Harm(a.doc.Text()); harm != "" || a.StatusCode >= 500 {
				t.Errorf("%.40q: %s shows %s", s, a.Status, harm)
			}
		}
	}
	form.Set("reason", "a\u202eb \x1b[31mred\x1b[0m\n"+strings.Repeat("x", 1000))
	a := ana.post("/apps/prod/api/deploys", form)
	if a.StatusCode != http.StatusSeeOther {
		t.Fatal(a.Status, a.text("main"))
	}
	foreigntest.Strings(p.entries(""), func(path, s string) {
		if harm := foreigntest.Harm(s); harm != "" || strings.ContainsAny(s, "\n\t") {
			t.Errorf("the audit log has %s in %s: %.60q", harm, path, s)
		}
	})
	if got := p.entries(audit.DeployRequested)[0].Reason; !strings.HasPrefix(got, "ab red xxx") || len([]rune(got)) != maxReason {
		t.Errorf("the reason is %.40q with %d runes", got, len([]rune(got)))
	}
	odd := "  pass\u200bword with \u202e  spaces  "
	if a := ana.post(templates.PasswordURL, url.Values{"old": {password}, "new": {odd}, "again": {odd}}); a.StatusCode != http.StatusSeeOther {
		t.Fatal(a.Status, a.text("main"))
	}
	if a := p.as(nobody).post("/sign-in", url.Values{"account": {admin}, "password": {odd}}); a.StatusCode != http.StatusSeeOther {
		t.Errorf("a password of strange characters is not taken: %s", a.Status)
	}
}

// TestHostileLog: a request writes one line, in printable ASCII where the text is not ours, so that nothing is forged into
// the portal's own log and no terminal obeys it.
func TestHostileLog(t *testing.T) {
	p := newPortal(t, nil, nil)
	line := regexp.MustCompile(`^time=\S+ level=(DEBUG|INFO|WARN|ERROR) msg=`)
	for _, payload := range foreigntest.Payloads() {
		before := len(p.log.String())
		s := payload.Text[:min(len(payload.Text), 4000)]
		r := httptest.NewRequest(http.MethodGet, "/apps/prod/api", nil)
		r.URL.Path = "/" + s // as it is after decoding
		r.Header.Set("User-Agent", s)
		r.Header.Set("X-Forwarded-For", s)
		r.Header.Set("Referer", s)
		r.Header.Set("X-Request-Id", s)
		r.Header.Set("Cookie", "__Host-portal="+s)
		w := httptest.NewRecorder()
		p.server.ServeHTTP(w, r)
		for name, values := range w.Header() {
			for _, v := range values {
				if strings.ContainsAny(v, "\r\n") || name == "Set-Cookie" {
					t.Errorf("%.40q: header %s: %q", s, name, v)
				}
			}
		}
		said := strings.TrimSuffix(p.log.String()[before:], "\n")
		lines := strings.Split(said, "\n")
		for _, l := range lines {
			if !line.MatchString(l) || foreigntest.Harm(l) != "" || strings.Contains(l, "\t") {
				t.Errorf("%.40q: the log says %.200q: %s", s, l, foreigntest.Harm(l))
			}
		}
		if len(lines) != 1 {
			t.Errorf("%.40q: the log says %.400q", s, said)
		}
	}
	// A user agent is kept with its session.
	token, err := p.accounts.SignIn(t.Context(), admin, password, "10.0.0.7", "Firefox/1 \u202e\x1b[31m\n"+strings.Repeat("x", 1000), "r")
	if err != nil {
		t.Fatal(err)
	}
	session, err := p.accounts.Session(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if s := session.UserAgent; !strings.HasPrefix(s, "Firefox/1 xxx") || foreigntest.Harm(s) != "" || len(s) > 303 {
		t.Errorf("the session has %q", s)
	}
}
