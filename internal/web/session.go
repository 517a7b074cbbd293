package web

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"deployportal/internal/auth"
	"deployportal/internal/errs"
	"deployportal/web/templates"
)

// The session's cookie. Browsers take the first only with Secure, Path=/ and no Domain, so that no other host and no
// plain connection can plant one. Chromium and Firefox also do so over plain http on the own machine; elsewhere plain
// http has to make do with the second.
const (
	cookieSecure = "__Host-portal"
	cookiePlain  = "portal"
)

// cookie is the session's cookie as this request may carry it.
func (s *Server) cookie(c echo.Context, token string) *http.Cookie {
	k := &http.Cookie{Name: cookiePlain, Value: token, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if visitOf(c).secure || loopback(c.Request().Host) {
		k.Name, k.Secure = cookieSecure, true
	}
	k.MaxAge = int(auth.SessionLife / time.Second)
	if token == "" {
		k.MaxAge = -1
	}
	return k
}

// loopback tells whether a browser that uses this host talks to its own machine.
func loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && ip.IsLoopback()
}

// readSession finds out who asks. That nobody is signed in is no error here: the route says what it needs.
func (s *Server) readSession(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		v := visitOf(c)
		k, err := c.Request().Cookie(s.cookie(c, "").Name)
		if err != nil || quiet(c.Request().URL.Path) {
			return next(c)
		}
		session, err := s.Accounts.Session(c.Request().Context(), k.Value)
		switch {
		case err == nil:
			session.Actor = session.Actor.From(v.addr, v.id)
			v.session, v.actor = &session, session.Actor
		case errs.KindOf(err) != errs.Unauthenticated:
			v.unread = err
		}
		return next(c)
	}
}

// signInFirst answers a request that needs somebody and has nobody: a page leads to the sign-in and back, a form says
// that nothing was done, and a stream ends, because its reader would take a page for news.
func (s *Server) signInFirst(c echo.Context) error {
	v := visitOf(c)
	if v.unread != nil {
		return v.unread
	}
	r := c.Request()
	switch {
	case isStream(c.Path()) || r.Header.Get("HX-Request") != "":
		return errs.New(errs.Unauthenticated, "You are signed out. Sign in again.")
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		target := templates.SignInURL
		if here := localPath(r.URL.RequestURI()); here != templates.BoardURL {
			target += "?" + url.Values{"next": {here}}.Encode()
		}
		return see(c, target)
	}
	back := templates.BoardURL
	if env, app := param(c, "env"), param(c, "app"); env != "" && app != "" {
		back = templates.AppURL(env, app)
	}
	return s.drawSignIn(c, http.StatusUnauthorized, templates.SignInProps{Next: back,
		Message: "You are signed out, so nothing was done. Sign in and ask again."})
}

// localPath gives back a path of ours that a browser can be sent to, and the board for everything else: what looks like
// a path may be another host ("//evil", "/\evil", "/\tevil").
func localPath(next string) string {
	if len(next) > 2000 || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") {
		return templates.BoardURL
	}
	for _, r := range next {
		if r <= ' ' || r == '\\' || r == 0x7f {
			return templates.BoardURL
		}
	}
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" || strings.ContainsRune(u.Path, '\\') {
		return templates.BoardURL
	}
	if clean := path.Clean(u.Path); clean != u.Path && clean+"/" != u.Path || strings.HasPrefix(u.Path, "//") {
		return templates.BoardURL
	}
	if u.Path == templates.SignInURL || u.Path == templates.SignOutURL || quiet(u.Path) {
		return templates.BoardURL
	}
	return u.RequestURI()
}

func (s *Server) signInPage(c echo.Context) error {
	next := localPath(query(c, maxTyped)("next"))
	if visitOf(c).session != nil {
		return see(c, next)
	}
	return s.drawSignIn(c, http.StatusOK, templates.SignInProps{Next: next})
}

func (s *Server) drawSignIn(c echo.Context, status int, p templates.SignInProps) error {
	any, err := s.Accounts.Any(c.Request().Context())
	if err != nil {
		return err
	}
	if !any {
		p.FirstRun = s.FirstAccount
	}
	p.Page = s.page(c, "Sign in", "")
	p.User, p.Admin = "", false
	return s.draw(c, status, templates.SignIn(p))
}

func (s *Server) signIn(c echo.Context) error {
	get, err := form(c)
	if err != nil {
		return err
	}
	v := visitOf(c)
	name, next := get("account"), localPath(get("next"))
	token, err := s.Accounts.SignIn(c.Request().Context(), name, secret(c, "password"), v.addr, c.Request().UserAgent(), v.id)
	if err != nil {
		if k := errs.KindOf(err); k != errs.Unauthenticated && k != errs.TooMany && k != errs.Unavailable {
			return err
		}
		// What was typed as a name may be a password; it goes back to who typed it and nowhere else.
		return s.drawSignIn(c, s.refuse(c, err), templates.SignInProps{Account: name, Next: next, Message: errs.Public(err)})
	}
	c.SetCookie(s.cookie(c, token))
	return see(c, next)
}

func (s *Server) signOut(c echo.Context) error {
	if err := s.Accounts.SignOut(c.Request().Context(), *visitOf(c).session); err != nil {
		return err
	}
	c.SetCookie(s.cookie(c, ""))
	return see(c, templates.SignInURL)
}
