package web

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"deployportal/internal/audit"
	"deployportal/internal/auth"
)

// told gives the code that an account page shows.
func told(t *testing.T, a response) string {
	t.Helper()
	code, ok := strings.CutPrefix(a.text("#slack-command"), "/deploy link ")
	copied, _ := a.doc.Find("[data-copy^='/deploy link ']").Attr("data-copy")
	if a.StatusCode != 200 || !ok || copied != "/deploy link "+code {
		t.Fatalf("%s: %q, to copy %q", a.Status, a.text("main"), copied)
	}
	return code
}

func (p *portal) redeem(code, user string) error {
	_, err := p.accounts.RedeemLink(p.t.Context(), code, auth.SlackUser{Team: "T0123", Channel: "C0123", User: user}, "req")
	return err
}

func TestLinkToSlack(t *testing.T) {
	p := newPortal(t, func(o *Options) { o.Slack = true }, nil)
	dan, ana := p.as(deployer), p.as(admin)
	if a := dan.get("/account"); a.text("form[action='/account/slack/code'] button") != "Show a code" {
		t.Errorf("not linked: %q", a.text("main"))
	}
	first := told(t, dan.post("/account/slack/code", nil))
	code := told(t, dan.post("/account/slack/code", nil))
	if a := dan.get("/account"); strings.Contains(a.body, code) {
		t.Error("the code is shown twice")
	}
	if p.redeem(first, "U0DAN") == nil {
		t.Error("a code that was replaced is good")
	}
	if err := p.redeem(code, "U0DAN"); err != nil {
		t.Fatal(err)
	}
	a := dan.get("/account")
	if got := a.text("section[aria-labelledby=slack-h] p"); !strings.HasPrefix(got, "You are U0DAN of the workspace T0123, linked ") || !strings.HasSuffix(got, " ago .") && !strings.HasSuffix(got, " ago.") {
		t.Errorf("linked: %q", got)
	}
	if a := dan.post("/account/slack/code", nil); a.StatusCode != 409 || a.text("h1") != "Your account is already linked to U0DAN in Slack. End that link first." {
		t.Errorf("a code for who is linked: %s %q", a.Status, a.text("h1"))
	}
	if strings.Contains(p.log.String(), code) {
		t.Error("the log has a code")
	}

	if a := ana.get("/people"); !strings.Contains(a.text("main"), "U0DAN in Slack") || a.doc.Find("form[action$='/unlink']").Length() != 1 {
		t.Errorf("the people page: %q", a.text("main"))
	}
	if a := p.as(viewer).post("/people/dan/unlink", nil); a.StatusCode != 403 {
		t.Errorf("by somebody else: %s", a.Status)
	}
	if a := ana.post("/people/dan/unlink", nil); a.StatusCode != 303 {
		t.Errorf("by an admin: %s", a.Status)
	}
	if e := p.entries(audit.SlackUnlinked)[0]; e.Actor.Name != admin || e.Subject != deployer || e.Detail != "dan was U0DAN of T0123 in Slack." {
		t.Errorf("the entry is %+v", e)
	}
	if a := ana.get("/audit"); !strings.Contains(a.text("main"), "unlinked from Slack the account") {
		t.Errorf("the log says %q", a.text("main"))
	}

	if err := p.redeem(told(t, dan.post("/account/slack/code", nil)), "U0DAN"); err != nil {
		t.Fatal(err)
	}
	if a := dan.post("/account/slack/unlink", nil); a.StatusCode != 303 || dan.get("/account").doc.Find("form[action='/account/slack/code']").Length() != 1 {
		t.Errorf("by oneself: %s", a.Status)
	}
}

func TestNothingOfSlackWhereItIsNotConfigured(t *testing.T) {
	p := newPortal(t, nil, nil)
	ana := p.as(admin)
	if err := p.accounts.UnlinkAccount(t.Context(), p.actor(admin), admin); err == nil {
		t.Error("ana is linked")
	}
	for _, path := range []string{"/account", "/people"} {
		if a := ana.get(path); strings.Contains(a.text("main"), "Slack") {
			t.Errorf("%s: %q", path, a.text("main"))
		}
	}
	for _, path := range []string{"/account/slack/code", "/account/slack/unlink"} {
		if a := ana.post(path, nil); a.StatusCode != 404 {
			t.Errorf("%s: %s", path, a.Status)
		}
	}
}

// TestSlackHook: what Slack sends comes through as it was sent, without a session; what a page of another site makes a
// browser send does not.
func TestSlackHook(t *testing.T) {
	var got []byte
	var failed error
	p := newPortal(t, func(o *Options) {
		o.SlackHook = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got, failed = io.ReadAll(r.Body)
			w.WriteHeader(http.StatusTeapot)
		})
	}, nil)
	send := func(body string, header http.Header) int {
		r := httptest.NewRequest(http.MethodPost, "/hooks/slack", strings.NewReader(body))
		r.Header = header
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		got, failed = nil, nil
		p.server.ServeHTTP(w, r)
		return w.Code
	}
	body := "command=%2Fdeploy&text=api+abc1234&b=2&a=1%20&" + url.Values{"response_url": {"https://hooks.slack.com/commands/x"}}.Encode()
	if status := send(body, http.Header{"User-Agent": {"Slackbot 1.0"}}); status != http.StatusTeapot || string(got) != body || failed != nil {
		t.Errorf("%d %q %v", status, got, failed)
	}
	if status := send(body, http.Header{"Sec-Fetch-Site": {"cross-site"}}); status != http.StatusForbidden || got != nil {
		t.Errorf("from a browser: %d %q", status, got)
	}
	if send(strings.Repeat("x", maxBody+1), http.Header{}); failed == nil || len(got) > maxBody {
		t.Errorf("more than the portal takes: %d bytes, %v", len(got), failed)
	}
	if strings.Contains(p.log.String(), "abc1234") {
		t.Error("the log has what was asked")
	}
}
