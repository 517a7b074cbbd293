package web

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

func (s *Server) healthz(c echo.Context) error { return c.String(http.StatusOK, "ok\n") }

func (s *Server) version(c echo.Context) error { return c.String(http.StatusOK, s.Version+"\n") }

// readyz tells whether the portal can do its work: the database answers and deploys are taken. A cluster that cannot be
// reached is said and does not count: the pages are needed most then.
func (s *Server) readyz(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), 2*time.Second)
	defer cancel()
	var one int
	if _, err := sqlite.Row(s.Store.QueryRow(ctx, `SELECT 1 -- web.readyz`).Scan(&one)); err != nil {
		return errs.Wrap(err, errs.Unavailable, "The database does not answer.")
	}
	if !s.Deploys.Running() {
		return errs.New(errs.Unavailable, "The portal is starting or stopping.")
	}
	var b strings.Builder
	b.WriteString("ready\n")
	for _, env := range s.Cluster.Envs() {
		if info, err := s.Cluster.Info(env); err == nil && !info.StaleSince.IsZero() {
			fmt.Fprintf(&b, "%s: stale since %s\n", env, info.StaleSince.UTC().Format(time.RFC3339))
		}
	}
	return c.String(http.StatusOK, b.String())
}
