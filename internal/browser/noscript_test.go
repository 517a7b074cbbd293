package browser_test

import (
	"context"
	"encoding/csv"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// Everything but the live updates works without JavaScript. The tests' own questions to the page are still answered.
func TestWithoutScript(t *testing.T) {
	d := theDemo(t)
	tag := otherTag(t, d, "worker")
	p := newTab(t, d.url)
	p.must("switch scripts off", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
	p.signIn(d, "/")
	if get[bool](p, `document.documentElement.classList.contains("js")`) {
		t.Fatal("scripts run")
	}
	p.reloadUntil("worker is idle", `!document.querySelector("#row-prod-worker .strip")`)
	p.open("/apps/prod/worker")
	p.follow(`#images a[href*="image=`+tag+`"]`, "/apps/prod/worker/confirm")
	p.typeIn("#reason", "without script")
	p.follow("button[type=submit].big", `/deploys/\d+`)
	id := p.deployID()
	if got := p.text(".live"); !strings.Contains(got, "as of") {
		t.Errorf("the header says %q, want a fixed moment", got)
	}
	p.reloadUntil("the deploy has succeeded", shows("#deploy-head .kicker .st", "Succeeded"))

	p.open("/audit")
	p.must("choose an app", chromedp.SetValue(chromedp.CSS("#f-app"), "worker"))
	p.must("choose an outcome", chromedp.SetValue(chromedp.CSS("#f-outcome"), "succeeded"))
	p.follow(".filters button[type=submit]", "/audit")
	if got := p.where(); !strings.Contains(got, "app=worker") || !strings.Contains(got, "outcome=succeeded") {
		t.Errorf("the filter leads to %s", got)
	}
	rows := get[[]string](p, `[...document.querySelectorAll("table.audit tbody tr")].map((r) => r.textContent.replace(/\s+/g, " "))`)
	if len(rows) == 0 {
		t.Fatal("no entry fits")
	}
	for _, r := range rows {
		if !strings.Contains(r, "worker in prod") || !strings.Contains(r, "Succeeded") {
			t.Errorf("does not fit the filter: %s", r)
		}
	}
	if want := "deploy " + strconv.FormatInt(id, 10); !strings.Contains(rows[0], want) {
		t.Errorf("the newest entry is %q, want one of %s", rows[0], want)
	}
	p.csv(len(rows))
	p.follow("header .self button", "/sign-in")
}

// csv fetches what the link on the log leads to, with the browser's own cookie.
func (p *tab) csv(rows int) {
	p.t.Helper()
	jar, err := chromedp.Call(p.ctx, network.GetCookies, network.GetCookiesParams{URLs: []string{p.base}})
	if err != nil {
		p.t.Fatal(err)
	}
	href := get[string](p, `document.querySelector('a[href^="/audit.csv"]').getAttribute("href")`)
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.base+href, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, c := range jar.Cookies {
		req.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	lines, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
	if err != nil || resp.StatusCode != http.StatusOK || len(lines) != rows+1 {
		p.t.Errorf("%s: HTTP %d, %d lines with %d rows on the page: %v", href, resp.StatusCode, len(lines), rows, err)
	}
}

// reloadUntil loads the page again and again, as somebody without scripts does.
func (p *tab) reloadUntil(what, js string) {
	p.t.Helper()
	deadline, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	for !get[bool](p, `!!(`+js+`)`) {
		if deadline.Err() != nil {
			p.t.Fatalf("not seen: %s", what)
		}
		p.must("reload", chromedp.Reload())
	}
}
