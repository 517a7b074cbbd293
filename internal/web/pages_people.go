package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"deployportal/internal/auth"
	"deployportal/internal/errs"
	"deployportal/web/templates"
)

func (s *Server) account(c echo.Context) error {
	return s.drawAccount(c, http.StatusOK, "", templates.SlackSide{})
}

// drawAccount draws the page of one's own account: refused is why the password was not changed, told the code that is shown
// this once.
func (s *Server) drawAccount(c echo.Context, status int, refused string, told templates.SlackSide) error {
	v := visitOf(c)
	open, err := s.Accounts.Sessions(c.Request().Context(), v.session.AccountID)
	if err != nil {
		return err
	}
	p := templates.AccountProps{Page: s.page(c, "Your account", ""), Grants: grantWords(v.actor.Grants), Local: true, Error: refused}
	for _, o := range open {
		p.Sessions = append(p.Sessions, templates.SessionRow{ID: strconv.FormatInt(o.ID, 10), Device: device(o.UserAgent),
			Addr: o.Actor.Addr, Created: o.Created, Seen: o.Seen, Current: o.ID == v.session.ID})
	}
	if s.Slack {
		links, err := s.Accounts.SlackLinks(c.Request().Context())
		if err != nil {
			return err
		}
		for _, l := range links {
			if l.Account == v.actor.Name {
				told = templates.SlackSide{User: l.User, Team: l.Team, Since: l.Linked}
			}
		}
		p.Slack = &told
	}
	return s.draw(c, status, templates.Account(p))
}

func grantWords(grants []auth.Grant) []string {
	var out []string
	for _, g := range grants {
		where := "in " + g.Env
		if g.Env == "" {
			where = "everywhere"
		}
		out = append(out, string(g.Role)+" "+where)
	}
	return out
}

// device says what a browser calls itself, in the words people use.
func device(agent string) string {
	browser, system := "", ""
	for _, b := range [][2]string{{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}, {"curl/", "curl"}} {
		if browser == "" && strings.Contains(agent, b[0]) {
			browser = b[1]
		}
	}
	for _, o := range [][2]string{{"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Windows", "Windows"}, {"Mac OS X", "macOS"}, {"Linux", "Linux"}} {
		if system == "" && strings.Contains(agent, o[0]) {
			system = o[1]
		}
	}
	switch {
	case browser == "":
		return "Unknown browser"
	case system == "":
		return browser
	}
	return browser + " on " + system
}

func (s *Server) changePassword(c echo.Context) error {
	if _, err := form(c); err != nil {
		return err
	}
	if secret(c, "new") != secret(c, "again") {
		err := errs.New(errs.Invalid, "The two new passwords differ. Nothing was changed.")
		return s.drawAccount(c, s.refuse(c, err), err.Public, templates.SlackSide{})
	}
	token, err := s.Accounts.ChangePassword(c.Request().Context(), *visitOf(c).session, secret(c, "old"), secret(c, "new"))
	if k := errs.KindOf(err); k == errs.Invalid || k == errs.Forbidden || k == errs.TooMany {
		return s.drawAccount(c, s.refuse(c, err), errs.Public(err), templates.SlackSide{})
	}
	if err != nil {
		return err
	}
	c.SetCookie(s.cookie(c, token))
	return see(c, templates.AccountURL)
}

// revoke ends one of one's own sessions. Whose it is is looked up, not believed.
func (s *Server) revoke(c echo.Context) error {
	ctx, v := c.Request().Context(), visitOf(c)
	id, err := number(c, "session", "session of yours")
	if err != nil {
		return err
	}
	open, err := s.Accounts.Sessions(ctx, v.session.AccountID)
	if err != nil {
		return err
	}
	for _, o := range open {
		if o.ID != id {
			continue
		}
		o.Actor = v.actor // who does it, from here
		if err := s.Accounts.SignOut(ctx, o); err != nil {
			return err
		}
		if id == v.session.ID {
			c.SetCookie(s.cookie(c, ""))
			return see(c, templates.SignInURL)
		}
		return see(c, templates.AccountURL)
	}
	return errs.New(errs.NotFound, "There is no such session of yours. It may have ended.")
}

func (s *Server) people(c echo.Context) error {
	all, err := s.Accounts.List(c.Request().Context())
	if err != nil {
		return err
	}
	linked := map[string]auth.SlackLink{}
	if s.Slack {
		links, err := s.Accounts.SlackLinks(c.Request().Context())
		if err != nil {
			return err
		}
		for _, l := range links {
			linked[l.Account] = l
		}
	}
	p := templates.PeopleProps{Page: s.page(c, "People", templates.NavPeople), Envs: s.Cluster.Envs(), Command: s.FirstAccount}
	for _, a := range all {
		p.People = append(p.People, templates.Person{Name: a.Name, Grants: grantWords(a.Grants), Disabled: !a.Disabled.IsZero(),
			Created: a.Created, Seen: a.SignedIn, Audit: templates.AuditURL + "?" + url.Values{"actor": {a.Name}}.Encode(),
			Slack: linked[a.Name].User, Linked: linked[a.Name].Linked})
	}
	return s.draw(c, http.StatusOK, templates.People(p))
}

func (s *Server) disable(c echo.Context) error {
	err := s.Accounts.Disable(c.Request().Context(), visitOf(c).actor, param(c, "name"))
	return s.changed(c, err)
}

func (s *Server) enable(c echo.Context) error {
	err := s.Accounts.Enable(c.Request().Context(), visitOf(c).actor, param(c, "name"))
	return s.changed(c, err)
}

// setRole gives an account one role in one environment, or everywhere where env is empty, and takes its others away.
func (s *Server) setRole(c echo.Context) error {
	get, err := form(c)
	if err != nil {
		return err
	}
	grants := []auth.Grant{{Role: auth.Role(get("role")), Env: get("env")}}
	err = s.Accounts.SetGrants(c.Request().Context(), visitOf(c).actor, param(c, "name"), grants)
	return s.changed(c, err)
}

// slackCode shows a code that links the account, once: the page that shows it is the answer, and nothing else knows it.
func (s *Server) slackCode(c echo.Context) error {
	if !s.Slack {
		return errNoSlack()
	}
	code, until, err := s.Accounts.LinkCode(c.Request().Context(), *visitOf(c).session)
	if err != nil {
		return err
	}
	return s.drawAccount(c, http.StatusOK, "", templates.SlackSide{Command: "/deploy link " + code, Until: until})
}

func (s *Server) slackUnlink(c echo.Context) error {
	if !s.Slack {
		return errNoSlack()
	}
	by := visitOf(c).actor
	if err := s.Accounts.UnlinkAccount(c.Request().Context(), by, by.Name); err != nil {
		return err
	}
	return see(c, templates.AccountURL)
}

func errNoSlack() error {
	return errs.New(errs.NotFound, "This portal has no door in Slack.")
}

func (s *Server) unlinkPerson(c echo.Context) error {
	err := s.Accounts.UnlinkAccount(c.Request().Context(), visitOf(c).actor, param(c, "name"))
	return s.changed(c, err)
}

// changed goes back to the list after a change of an account.
func (s *Server) changed(c echo.Context, err error) error {
	if err != nil {
		return err
	}
	return see(c, templates.PeopleURL)
}
