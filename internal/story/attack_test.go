package story_test

import (
	"bufio"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"deployportal/internal/audit"
)

// TestAttackers: what somebody without the right, or from another site, can send changes nothing.
func TestAttackers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) {
		w.apps = "[{name: api, image: acme/api}]"
		w.envs = "- {name: staging, namespace: " + w.ns.Name + ", kubeconfig: " + w.gate.kubeconfig(w.t, w.ns) + "}"
	})
	action, fields := w.ana.get(confirmPath(v2)).fields(confirmForm)

	w.scene(t, "another site", func() {
		for name, header := range map[string]http.Header{
			"by fetch metadata": {"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}},
			"by origin":         {"Sec-Fetch-Site": {""}, "Origin": {"https://evil.example"}},
		} {
			b := *w.ana
			b.header = header
			b.send(http.MethodPost, action, fields).says(403, "h1", "This request came from another site, so nothing was done.")
			if n := w.count(`SELECT count(*) FROM deploys`); n != 0 {
				t.Fatalf("%s: %d deploys", name, n)
			}
		}
	})
	w.scene(t, "viewer", func() {
		vic := w.signIn("vic", passwordOfVic)
		vic.get(confirmPath(v2)).says(403, "h1", "vic may not deploy in prod: this needs the role deployer.")
		vic.send(http.MethodPost, action, fields).says(403, "h1", "vic may not deploy in prod: this needs the role deployer.")
		w.rejected("vic may not deploy in prod")
		if links := vic.get("/apps/prod/api").doc.Find(`a[href*="/confirm"]`).Length(); links != 0 {
			t.Errorf("a viewer is shown %d links to deploy", links)
		}
	})
	w.scene(t, "deployer of another environment", func() {
		dan := w.signIn("dan", passwordOfDan)
		dan.get("/apps/prod/api").says(403, "h1", "dan may not view in prod")
		dan.send(http.MethodPost, action, fields).says(403, "h1", "dan may not deploy in prod: this needs the role deployer.")
		w.rejected("dan may not deploy in prod")
		if board := dan.get("/"); board.doc.Find("#env-prod").Length() != 0 || board.doc.Find("#env-staging").Length() != 1 {
			t.Error("the board shows another environment than staging")
		}
		dan.get("/apps/staging/api/confirm?image="+v2).says(200, "main", "Deploy "+v2+" to staging")
	})
	w.scene(t, "forged address", func() {
		b := *w.ana
		b.header = http.Header{"X-Forwarded-For": {"6.6.6.6"}, "X-Real-Ip": {"6.6.6.6"}, "Forwarded": {"for=6.6.6.6"}}
		p := b.send(http.MethodPost, action, fields)
		id := idOf(p.header.Get("Location"))
		if e := w.newest(audit.Filter{DeployID: id})[0]; e.Actor.Addr != "127.0.0.1" {
			t.Errorf("the entry says %s", e.Actor.Addr)
		}
		w.over(id, "succeeded", "")
		if strings.Contains(w.proc.out.String(), "6.6.6.6") {
			t.Error("the forged address is in the log")
		}
	})
	w.scene(t, "open redirect", func() {
		for _, next := range []string{"//evil.example", "https://evil.example/", `/\evil.example`, "/\t/evil.example", "/%5cevil.example", "/./\\evil",
			"javascript:alert(1)", "/..//evil.example", "/sign-out"} {
			b := w.anyone()
			form := url.Values{"account": {"ana"}, "password": {passwordOfAna}, "next": {next}}
			if to := b.get("/sign-in?next="+url.QueryEscape(next)).submitRaw(b, "form.form", form).header.Get("Location"); to != "/" {
				t.Errorf("next=%q leads to %q", next, to)
			}
		}
	})
}

// TestSecretsAreNeverShown: passwords, tokens and sessions are in no page, log, export or file.
func TestSecretsAreNeverShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const typed = "canary-typed-into-the-wrong-field"
	b := w.anyone()
	b.get("/sign-in").submitRaw(b, "form.form", url.Values{"account": {typed}, "password": {"x"}})
	b.get("/sign-in").submitRaw(b, "form.form", url.Values{"account": {"ana"}, "password": {typed}})
	w.gitea.SetDown(true)
	w.ana.get(confirmPath(v3))
	w.gitea.SetDown(false)
	w.over(w.ana.deploy(v2), "succeeded", "")
	_, session, _ := strings.Cut(w.ana.cookie, "=")

	shown := map[string]string{"log": w.proc.out.String()}
	for _, path := range []string{"/", "/apps/prod/api", "/apps/prod/api/history", confirmPath(v3), "/deploys/1", "/audit", "/audit.csv", "/audit/1",
		"/people", "/account", "/nowhere"} {
		shown[path] = w.ana.get(path).body
	}
	files, err := filepath.Glob(w.path("portal.db*"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%v %v", files, err)
	}
	for _, f := range files {
		content, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		shown[filepath.Base(f)] = string(content)
	}
	for where, text := range shown {
		for name, secret := range map[string]string{"ana's password": passwordOfAna, "Gitea token": giteaToken, "session": session, "mistyped password": typed} {
			if len(secret) < 10 || strings.Contains(text, secret) {
				t.Errorf("%s: %s is in it", where, name)
			}
		}
	}
	if !strings.Contains(shown["/audit.csv"], "deploy.succeeded") {
		t.Error("the export is empty")
	}
}

// TestDisableEndsStream: the person's open page is told, and gets nothing more.
func TestDisableEndsStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	vic := w.signIn("vic", passwordOfVic)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url()+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", vic.cookie)
	res, err := http.DefaultClient.Do(r)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%v %+v", err, res)
	}
	defer func() { _ = res.Body.Close() }()
	events := bufio.NewScanner(res.Body)
	events.Buffer(nil, 1<<20)
	if !events.Scan() { // it is open
		t.Fatal(events.Err())
	}
	if out, errOut, code := portal(t, "", "--database", w.path("portal.db"), "user", "disable", "vic"); code != 0 || out != "vic is disabled; its sessions have ended.\n" {
		t.Fatalf("%d %q %q", code, out, errOut)
	}
	began, told := time.Now(), false
	for events.Scan() {
		told = told || events.Text() == "event: signed-out"
	}
	const late = 5*time.Second + time.Second // the second is this machine's
	if took := time.Since(began); took > late || !told || events.Err() != nil {
		t.Errorf("the stream ended after %s, told: %t, %v", took, told, events.Err())
	}
	vic.get("/").says(200, "h1", "Sign in")
	p := vic.get("/sign-in").submitRaw(vic, "form.form", url.Values{"account": {"vic"}, "password": {passwordOfVic}})
	if p.status != 401 {
		t.Errorf("a disabled account signs in: %d", p.status)
	}
	if _, _, code := portal(t, "", "--database", w.path("portal.db"), "user", "enable", "vic"); code != 0 {
		t.Error("user enable failed")
	}
	w.signIn("vic", passwordOfVic).get("/").says(200, "h1", "Board")
}
