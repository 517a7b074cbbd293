package web

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"deployportal/internal/auth"
	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/web/static"
	"deployportal/web/templates"
)

// need is what a route asks of who uses it.
type need string

const (
	public     need = "public"      // nobody has to be signed in
	signedIn   need = "signed in"   // somebody is; what the page shows is filtered by what they may see
	viewEnv    need = "view env"    // may see the environment :env
	viewDeploy need = "view deploy" // may see the environment of the deploy :id
	deployEnv  need = "deploy env"  // may deploy in the environment :env
	asks       need = "asks"        // somebody is signed in; the service decides and records a refusal
	manage     need = "manage"      // may manage accounts
)

// route is one line of the only table of routes.
type route struct {
	method string
	path   string
	need   need
	handle echo.HandlerFunc
	stream bool // answers as long as the page is open
}

// routes is every address that is answered. GET never changes anything but what is known of its reader.
func (s *Server) routes() []route {
	const target, person = "/apps/:env/:app", templates.PeopleURL + "/:name/"
	get, post := http.MethodGet, http.MethodPost
	return []route{
		{get, "/healthz", public, s.healthz, false},
		{get, "/readyz", public, s.readyz, false},
		{get, "/version", public, s.version, false},
		{get, "/static/*", public, echo.WrapHandler(static.Handler()), false},

		{post, "/hooks/gitea", public, s.giteaHook, false}, // who sends it proves it by its signature
		{post, "/hooks/slack", public, s.slackHook, false}, // as above

		{get, templates.SignInURL, public, s.signInPage, false},
		{post, templates.SignInURL, public, s.signIn, false},
		{post, templates.SignOutURL, signedIn, s.signOut, false},

		{get, templates.BoardURL, signedIn, s.board, false},
		{get, templates.BoardEventsURL, signedIn, s.boardEvents, true},
		{get, templates.FindURL, signedIn, s.find, false},

		{get, target, viewEnv, s.app, false},
		{get, target + "/events", viewEnv, s.appEvents, true},
		{get, target + "/history", viewEnv, s.history, false},
		{get, target + "/confirm", deployEnv, s.confirm, false},
		{post, target + "/deploys", asks, s.startDeploy, false},
		{post, target + "/adopt", asks, s.adopt, false},

		{get, "/deploys/:id", viewDeploy, s.deploy, false},
		{get, "/deploys/:id/events", viewDeploy, s.deployEvents, true},

		{get, templates.LocksURL, signedIn, s.locks, false},
		{post, templates.LocksURL, asks, s.lock, false},
		{post, templates.LocksURL + "/:id/unlock", asks, s.unlock, false},
		{post, "/bad-images/:id/clear", asks, s.clearImage, false},

		{get, templates.AuditURL, signedIn, s.audit, false},
		{get, templates.AuditCSVURL, signedIn, s.auditCSV, false},
		{get, templates.AtURL, signedIn, s.ranAt, false},
		{get, templates.AuditURL + "/:seq", signedIn, s.entry, false},

		{get, templates.AccountURL, signedIn, s.account, false},
		{post, templates.PasswordURL, signedIn, s.changePassword, false},
		{post, "/account/sessions/:session/revoke", signedIn, s.revoke, false},
		{post, templates.SlackCodeURL, signedIn, s.slackCode, false},
		{post, templates.SlackUnlinkURL, signedIn, s.slackUnlink, false},

		{get, templates.PeopleURL, manage, s.people, false},
		{post, person + templates.PersonDisable, asks, s.disable, false},
		{post, person + templates.PersonEnable, asks, s.enable, false},
		{post, person + templates.PersonRole, asks, s.setRole, false},
		{post, person + templates.PersonUnlink, asks, s.unlinkPerson, false},
	}
}

// giteaHook hands an event of Gitea's to who knows its signature.
func (s *Server) giteaHook(c echo.Context) error {
	if s.GiteaHook == nil {
		return errs.New(errs.NotFound, "No events are taken here.")
	}
	s.GiteaHook.ServeHTTP(c.Response(), c.Request())
	return nil
}

// slackHook hands a command or the press of a button to who knows Slack's signature, which is of the body as it came.
func (s *Server) slackHook(c echo.Context) error {
	if s.SlackHook == nil {
		return errs.New(errs.NotFound, "Nothing of Slack is taken here.")
	}
	s.SlackHook.ServeHTTP(c.Response(), c.Request())
	return nil
}

// isStream tells whether a route's path is that of a stream.
func isStream(path string) bool {
	return path == templates.BoardEventsURL || path == "/apps/:env/:app/events" || path == "/deploys/:id/events"
}

// guard lets a request through to its route when who asks has what the route needs.
func (s *Server) guard(r route) echo.HandlerFunc {
	return func(c echo.Context) error {
		v := visitOf(c)
		if r.need == public {
			return r.handle(c)
		}
		if v.session == nil {
			return s.signInFirst(c)
		}
		if err := s.allow(c, r.need); err != nil {
			return err
		}
		return r.handle(c)
	}
}

// allow checks the need of a route for somebody who is signed in. What a reader may not see does not exist for them
// where only its number was given; an environment's name they typed is refused by name.
func (s *Server) allow(c echo.Context, n need) error {
	v := visitOf(c)
	switch n {
	case signedIn, asks:
		return nil
	case viewEnv:
		return s.Policy.Allow(v.actor, auth.View, param(c, "env"))
	case deployEnv:
		return s.Policy.Allow(v.actor, auth.Deploy, param(c, "env"))
	case manage:
		return s.Policy.Allow(v.actor, auth.Manage, "")
	case viewDeploy:
		id, err := number(c, "id", "deploy")
		if err != nil {
			return err
		}
		if v.deploy, err = s.Deploys.Get(c.Request().Context(), id); err != nil {
			return err
		}
		if s.Policy.Allow(v.actor, auth.View, v.deploy.Target.Env) != nil {
			return deploys.NoDeploy(id)
		}
		return nil
	}
	return errs.New(errs.Forbidden, "Nobody may do this.")
}

// number reads a number out of the path.
func number(c echo.Context, name, what string) (int64, error) {
	raw := c.Param(name)
	n, err := strconv.ParseInt(raw, 10, 64)
	if err != nil || n <= 0 || strings.HasPrefix(raw, "+") {
		return 0, errs.New(errs.NotFound, "There is no such %s.", what)
	}
	return n, nil
}
