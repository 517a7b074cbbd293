package web

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"deployportal/web/templates"
)

func (s *Server) board(c echo.Context) error {
	r := s.rightsOf(visitOf(c).actor)
	live, summary, err := s.boardLive(c.Request().Context(), r)
	if err != nil {
		return err
	}
	p := templates.BoardProps{Page: s.page(c, "Board", templates.NavBoard), Summary: summary, Live: live}
	p.Now = live.Now
	p.Stream = s.stream(templates.BoardEventsURL, r.envs, false)
	return s.draw(c, http.StatusOK, templates.Board(p))
}

// boardLive is the board for somebody with these rights.
func (s *Server) boardLive(ctx context.Context, r rights) (templates.BoardLiveProps, string, error) {
	targets, err := s.gather(ctx, r)
	if err != nil {
		return templates.BoardLiveProps{}, "", err
	}
	live, summary := boardView(targets, s.Now())
	if len(r.envs) == 0 && len(s.Cluster.Envs()) > 0 {
		live.Teach = &templates.Teach{Title: "No role yet", Text: "Your account may not see any environment. An administrator of the portal gives it a role."}
		summary = "nothing you may see"
	}
	return live, summary, nil
}
