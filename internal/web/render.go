package web

import (
	"bytes"
	"fmt"
	"net/http"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"deployportal/internal/auth"
	"deployportal/web/templates"
)

// page fills in what every page has in common.
func (s *Server) page(c echo.Context, title, nav string) templates.Page {
	v := visitOf(c)
	return templates.Page{
		Title: title, Nav: nav, User: v.actor.Name, Now: s.Now(),
		Admin: s.Policy.Allow(v.actor, auth.Manage, "") == nil,
	}
}

// pageIn is page for one that is about an environment.
func (s *Server) pageIn(c echo.Context, title, env string) templates.Page {
	p := s.page(c, title, templates.NavBoard)
	p.Env, p.Prod = env, s.prod(env)
	return p
}

// draw sends a page. It is drawn whole first, so that a fault in it becomes an error and not half a page.
func (s *Server) draw(c echo.Context, status int, page templ.Component) error {
	var b bytes.Buffer
	if err := page.Render(c.Request().Context(), &b); err != nil {
		return fmt.Errorf("drawing a page: %w", err)
	}
	return c.HTMLBlob(status, b.Bytes())
}

// see sends the browser on after a change, with a GET.
func see(c echo.Context, path string) error { return c.Redirect(http.StatusSeeOther, path) }
