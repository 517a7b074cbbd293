package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"deployportal/internal/audit"
	"deployportal/internal/auth"
)

// Without a session every page leads to the sign-in and back to itself.
func TestSignInLeadsBack(t *testing.T) {
	p := newPortal(t, nil, nil)
	b := p.as(nobody)
	path := "/apps/staging/api/confirm?image=" + tagOf("b")
	a := b.get(path)
	if a.StatusCode != 303 || a.Header.Get("Location") != "/sign-in?"+(url.Values{"next": {path}}).Encode() {
		t.Fatalf("%s to %s", a.Status, a.Header.Get("Location"))
	}
	a = b.get(a.Header.Get("Location"))
	next, _ := a.doc.Find("form [name=next]").Attr("value")
	a = b.post("/sign-in", url.Values{"account": {deployer}, "password": {password}, "next": {next}})
	if a.StatusCode != 303 || a.Header.Get("Location") != path {
		t.Errorf("%s to %s", a.Status, a.Header.Get("Location"))
	}
	if a := b.get(path); a.StatusCode != 200 {
		t.Errorf("%s", a.Status)
	}
	if a := b.get("/sign-in?next=%2Faudit"); a.StatusCode != 303 || a.Header.Get("Location") != "/audit" {
		t.Errorf("signed in already: %s to %s", a.Status, a.Header.Get("Location"))
	}
}

func TestSessionExpires(t *testing.T) {
	p := newPortal(t, nil, nil)
	dan := p.as(deployer)
	p.ahead.Store(int64(auth.SessionIdle - 1e9))
	if a := dan.get("/account"); a.StatusCode != 200 {
		t.Fatalf("just before its end: %s", a.Status)
	}
	p.ahead.Store(int64(2*auth.SessionIdle + 1e9))
	if a := dan.get("/account"); a.StatusCode != 303 || a.Header.Get("Location") != "/sign-in?next=%2Faccount" {
		t.Errorf("a page after its end: %s to %s", a.Status, a.Header.Get("Location"))
	}
	a := dan.post("/apps/staging/api/deploys", url.Values{"image": {tagOf("b")}, "key": {"k"}})
	if a.StatusCode != 401 || a.text("[role=alert]") != "You are signed out, so nothing was done. Sign in and ask again." {
		t.Errorf("a form after its end: %s %q", a.Status, a.text("[role=alert]"))
	}
	if next, _ := a.doc.Find("[name=next]").Attr("value"); next != "/apps/staging/api" {
		t.Errorf("it leads back to %s", next)
	}
	if a := dan.get("/events"); a.StatusCode != 401 {
		t.Errorf("a stream after its end: %s", a.Status)
	}
}

func TestLocalPath(t *testing.T) {
	for next, want := range map[string]string{
		"/": "/", "/audit?env=prod&sha=ab%26c": "/audit?env=prod&sha=ab%26c", "/apps/prod/a%2Fb": "/apps/prod/a%2Fb", "/deploys/12": "/deploys/12",
	} {
		if got := localPath(next); got != want {
			t.Errorf("%q became %q", next, got)
		}
	}
	for _, evil := range []string{"", "audit", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil", "https://evil.example", "/\t/evil.example",
		"/\n/evil", " //evil", "/%5Cevil.example", "/./ /evil", "/.//evil.example", "/a/..//evil.example", "javascript:alert(1)", "/%zz", "/%2f%2fevil/..//x",
		"/sign-out", "/sign-in?next=/", "/static/x", "//user@evil", "http:/evil", "/" + strings.Repeat("a", 3000), "/\x7fevil", "/%2f/evil.example"} {
		if got := localPath(evil); got != "/" {
			t.Errorf("%q became %q", evil, got)
		}
	}
}

func FuzzLocalPath(f *testing.F) {
	for _, s := range []string{"/", "//e", "/a?b=c", "/%2F", "/\\", "/a/../b"} {
		f.Add(s)
	}
	base, err := url.Parse("https://portal.example.org/sign-in")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, next string) {
		got := localPath(next)
		u, err := base.Parse(got)
		if err != nil || u.Host != base.Host || u.Scheme != "https" || !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") || strings.ContainsAny(got, "\\\r\n\t") {
			t.Errorf("%q became %q", next, got)
		}
		if localPath(got) != got {
			t.Errorf("%q became %q, which becomes %q", next, got, localPath(got))
		}
	})
}

func TestOpenRedirectsAreNone(t *testing.T) {
	p := newPortal(t, nil, nil)
	a := p.as(nobody).post("/sign-in", url.Values{"account": {admin}, "password": {password}, "next": {"//evil.example/"}})
	if a.Header.Get("Location") != "/" {
		t.Errorf("sent to %s", a.Header.Get("Location"))
	}
}

func TestCookie(t *testing.T) {
	proxy := netip.MustParsePrefix("10.0.0.0/8")
	for _, c := range []struct {
		host, peer, proto, public string
		name                      string
	}{
		{"localhost:8080", "127.0.0.1:1", "", "", cookieSecure},
		{"127.0.0.1:8080", "127.0.0.1:1", "", "", cookieSecure},
		{"[::1]:8080", "[::1]:1", "", "", cookieSecure},
		{"portal.lan", "192.168.0.4:1", "", "", cookiePlain},
		{"portal.lan", "192.168.0.4:1", "https", "", cookiePlain}, // anybody can write that
		{"portal.lan", "10.0.0.4:1", "https", "", cookieSecure},
		{"portal.lan", "10.0.0.4:1", "http", "", cookiePlain},
		{"portal.lan", "192.168.0.4:1", "", "https://portal.lan", cookieSecure},
		{"localhost.evil.example", "192.168.0.4:1", "", "", cookiePlain},
	} {
		s := &Server{Options: Options{TrustedProxies: []netip.Prefix{proxy}, PublicURL: c.public}, cross: http.NewCrossOriginProtection()}
		if err := s.setPublicURL(); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "http://"+c.host+"/", nil)
		r.RemoteAddr = c.peer
		r.Header.Set("X-Forwarded-Proto", c.proto)
		e := echoContext(r)
		e.Set(visitKey, &visit{secure: s.secure(r)})
		k := s.cookie(e, "token")
		if k.Name != c.name || k.Secure != (c.name == cookieSecure) || !k.HttpOnly || k.SameSite != http.SameSiteLaxMode || k.Path != "/" || k.Domain != "" {
			t.Errorf("%+v: %+v", c, k)
		}
	}
}

// Another name or another value of the cookie is nobody's.
func TestForeignCookies(t *testing.T) {
	p := newPortal(t, nil, nil)
	ana := p.as(admin)
	good := *ana.cookie
	for _, k := range []http.Cookie{{Name: cookiePlain, Value: good.Value}, {Name: good.Name, Value: good.Value + "x"}, {Name: good.Name, Value: "x"}, {Name: good.Name}} {
		ana.cookie = &k
		if a := ana.get("/account"); a.StatusCode != 303 {
			t.Errorf("%s=%q: %s", k.Name, k.Value, a.Status)
		}
	}
	ana.cookie = &good
	if a := p.as(admin); a.cookie.Value == good.Value {
		t.Error("two sign-ins have the same token")
	}
	if a := ana.post("/sign-out", nil); a.StatusCode != 303 || ana.cookie != nil {
		t.Errorf("sign-out: %s, cookie %v", a.Status, ana.cookie)
	}
	ana.cookie = &good
	if a := ana.get("/account"); a.StatusCode != 303 {
		t.Errorf("the cookie still counts after the sign-out: %s", a.Status)
	}
}

func TestForwardedForCannotBeForged(t *testing.T) {
	for _, c := range []struct {
		trusted string
		header  []string
		want    string
	}{
		{"", []string{"1.2.3.4"}, "127.0.0.1"},
		{"10.0.0.0/8", []string{"1.2.3.4"}, "127.0.0.1"},
		{"127.0.0.0/8", nil, "127.0.0.1"},
		{"127.0.0.0/8", []string{"6.6.6.6, 1.2.3.4"}, "1.2.3.4"},
		{"127.0.0.0/8", []string{"6.6.6.6", "1.2.3.4, 127.0.0.2"}, "1.2.3.4"},
		{"127.0.0.0/8", []string{"6.6.6.6, rubbish"}, "127.0.0.1"},
		{"127.0.0.0/8", []string{"6.6.6.6, ::ffff:1.2.3.4"}, "1.2.3.4"},
	} {
		p := newPortal(t, func(o *Options) {
			if c.trusted != "" {
				o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(c.trusted)}
			}
		}, nil)
		b := p.as(nobody)
		b.header = http.Header{"X-Forwarded-For": c.header, "X-Real-Ip": {"6.6.6.6"}, "Forwarded": {"for=6.6.6.6"}, "X-Request-Id": {"mine"}, "X-Webauth-User": {"ana"}}
		b.post("/sign-in", url.Values{"account": {admin}, "password": {password}})
		e := p.entries(audit.SignedIn)[0]
		if e.Actor.Addr != c.want || e.RequestID == "mine" || e.RequestID == "" {
			t.Errorf("%+v: the entry says %s, request %s", c, e.Actor.Addr, e.RequestID)
		}
	}
}

func TestSignInIsRefused(t *testing.T) {
	p := newPortal(t, nil, nil)
	b := p.as(nobody)
	for i := range 11 {
		a := b.post("/sign-in", url.Values{"account": {"Vera"}, "password": {"wrong-canary-password"}, "next": {"/audit"}})
		want := 401
		if i == 10 {
			want = 429
		}
		account, _ := a.doc.Find("[name=account]").Attr("value")
		next, _ := a.doc.Find("[name=next]").Attr("value")
		if a.StatusCode != want || account != "Vera" || next != "/audit" || (a.Header.Get("Retry-After") == "") != (want == 401) || strings.Contains(a.body, "wrong-canary") {
			t.Fatalf("try %d: %s, account %q, next %q, Retry-After %q", i, a.Status, account, next, a.Header.Get("Retry-After"))
		}
	}
	if strings.Contains(p.log.String(), "wrong-canary") {
		t.Error("the log has a password")
	}
	if a := b.post("/sign-in", url.Values{"account": {viewer}, "password": {password}}); a.StatusCode != 429 {
		t.Errorf("the right password while locked: %s", a.Status)
	}
}

func TestFirstRun(t *testing.T) {
	p := newPortal(t, func(o *Options) { o.Accounts = empty{o.Accounts}; o.FirstAccount = "portal user add ana --role admin" }, nil)
	a := p.as(nobody).get("/sign-in")
	if a.text("#first-run") != "portal user add ana --role admin" || a.doc.Find("form").Length() != 0 {
		t.Errorf("the page of a portal without accounts: %q", a.text("main"))
	}
}

type empty struct{ Accounts }

func (empty) Any(context.Context) (bool, error) { return false, nil }

func TestOwnAccount(t *testing.T) {
	p := newPortal(t, nil, nil)
	one, two, other := p.as(deployer), p.as(deployer), p.as(viewer)
	a := one.get("/account")
	rows := a.doc.Find("main li form")
	if rows.Length() != 2 || a.text(".head p") != "deployer in staging" {
		t.Fatalf("%d sessions, %q", rows.Length(), a.text(".head p"))
	}
	newest, _ := rows.First().Attr("action")
	if a := other.post(newest, nil); a.StatusCode != 404 {
		t.Errorf("ending another's session: %s", a.Status)
	}
	if a := one.post(newest, nil); a.StatusCode != 303 || two.get("/account").StatusCode != 303 {
		t.Errorf("ending one's own other session: %s", a.Status)
	}
	a = one.post("/account/password", url.Values{"old": {"no"}, "new": {"a whole new password"}, "again": {"a whole new password"}})
	if a.StatusCode != 403 || a.text("[role=alert]") != "The old password is not right." {
		t.Errorf("with a wrong password: %s %q", a.Status, a.text("[role=alert]"))
	}
	a = one.post("/account/password", url.Values{"old": {password}, "new": {"a whole new password"}, "again": {"another"}})
	if a.StatusCode != 422 {
		t.Errorf("with two new ones: %s", a.Status)
	}
	was := one.cookie.Value
	a = one.post("/account/password", url.Values{"old": {password}, "new": {"a whole new password"}, "again": {"a whole new password"}})
	if a.StatusCode != 303 || one.cookie.Value == was || one.get("/account").StatusCode != 200 {
		t.Errorf("changing the password: %s", a.Status)
	}
}
