package story_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
)

// browser does what a person's browser does: it keeps a cookie, opens pages, follows links and fills in forms.
type browser struct {
	t      testing.TB
	w      *world
	cookie string // "name=value"; empty: signed out
	header http.Header
}

// page is one answer.
type page struct {
	t      testing.TB
	path   string
	status int
	header http.Header
	body   string
	doc    *goquery.Document
}

var plainClient = &http.Client{
	Timeout:       30 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// anyone is a browser without a session.
func (w *world) anyone() *browser { return &browser{t: w.t, w: w, header: http.Header{}} }

// signIn fills in the sign-in form.
func (w *world) signIn(name, password string) *browser {
	w.t.Helper()
	b := w.anyone()
	p := b.get("/sign-in").submitRaw(b, "form.form", url.Values{"account": {name}, "password": {password}})
	if p.status != http.StatusSeeOther || b.cookie == "" {
		w.t.Fatalf("sign-in as %s: %d\n%s", name, p.status, p.text("main"))
	}
	return b
}

// send makes one request, without following where it leads.
func (b *browser) send(method, path string, form url.Values) *page {
	b.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.w.url()+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", b.w.url())
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for name, values := range b.header {
		r.Header[name] = values
	}
	if b.cookie != "" {
		r.Header.Set("Cookie", b.cookie)
	}
	res, err := plainClient.Do(r)
	if err != nil {
		b.t.Fatalf("%s %s: %v\n%s", method, path, err, b.w.log())
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	for _, c := range res.Cookies() {
		b.cookie = c.Name + "=" + c.Value
	}
	p := &page{t: b.t, path: path, status: res.StatusCode, header: res.Header, body: string(text)}
	if p.doc, err = goquery.NewDocumentFromReader(strings.NewReader(p.body)); err != nil {
		b.t.Fatal(err)
	}
	return p
}

// get opens a page and goes where it leads.
func (b *browser) get(path string) *page {
	b.t.Helper()
	p := b.send(http.MethodGet, path, nil)
	for range 5 {
		if p.status != http.StatusSeeOther {
			return p
		}
		p = b.send(http.MethodGet, p.header.Get("Location"), nil)
	}
	b.t.Fatalf("GET %s leads nowhere", path)
	return nil
}

// fields are what a form sends when nothing is typed.
func (p *page) fields(form string) (action string, fields url.Values) {
	p.t.Helper()
	f := p.doc.Find(form)
	if f.Length() != 1 {
		p.t.Fatalf("%s has %d forms %q, status %d:\n%s", p.path, f.Length(), form, p.status, p.text("body"))
	}
	fields = url.Values{}
	f.Find("input[name]:not([type=checkbox]), input[checked]").Each(func(_ int, s *goquery.Selection) { fields.Add(s.AttrOr("name", ""), s.AttrOr("value", "")) })
	return f.AttrOr("action", p.path), fields
}

// submitRaw sends a form with some fields filled in and gives the answer itself.
func (p *page) submitRaw(b *browser, form string, typed url.Values) *page {
	p.t.Helper()
	action, fields := p.fields(form)
	for name, values := range typed {
		fields[name] = values
	}
	return b.send(http.MethodPost, action, fields)
}

// submit is submitRaw and goes where the answer leads.
func (p *page) submit(b *browser, form string, typed url.Values) *page {
	p.t.Helper()
	if p = p.submitRaw(b, form, typed); p.status == http.StatusSeeOther {
		return b.get(p.header.Get("Location"))
	}
	return p
}

// text is what a person reads in a part of the page.
func (p *page) text(selector string) string {
	return strings.Join(strings.Fields(p.doc.Find(selector).Text()), " ")
}

// says fails the test unless a page has this status and its part says this.
func (p *page) says(status int, selector, sentence string) *page {
	p.t.Helper()
	if p.status != status || !strings.Contains(p.text(selector), sentence) {
		p.t.Errorf("%s: %d, want %d; %s says\n\t%s\nwant\n\t%s", p.path, p.status, status, selector, p.text(selector), sentence)
	}
	return p
}

const confirmForm = "form.sheet.form"

// confirmPath is where a link "Deploy abc1234" leads.
func confirmPath(tag string) string { return "/apps/prod/api/confirm?image=" + tag }

// ask opens a confirm page and submits it.
func (b *browser) ask(path string) *page {
	b.t.Helper()
	return b.get(path).submit(b, confirmForm, nil)
}

// deploy asks for a tag and gives the id of the deploy that began.
func (b *browser) deploy(tag string) int64 {
	b.t.Helper()
	return b.ask(confirmPath(tag)).deployID()
}

// deployID reads the id out of a deploy's page.
func (p *page) deployID() int64 {
	p.t.Helper()
	if id := idOf(p.path); id > 0 && p.status == http.StatusOK {
		return id
	}
	p.t.Fatalf("no deploy began: %s, %d\n%s", p.path, p.status, p.text("main"))
	return 0
}

// shows tells whether a page says something, for conditions that are waited for.
func (p *page) shows(sentence string) bool { return strings.Contains(p.text("main"), sentence) }

// post sends ana's form without judging what comes back.
func (w *world) post(action string, fields url.Values) (*http.Response, error) {
	return w.postAs(w.ana, action, fields)
}

func (w *world) postAs(b *browser, action string, fields url.Values) (*http.Response, error) {
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.url()+action, strings.NewReader(fields.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", w.url())
	r.Header.Set("Cookie", b.cookie)
	return plainClient.Do(r)
}
