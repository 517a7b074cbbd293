package web

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"deployportal/internal/deploys"
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

func (s *Server) find(c echo.Context) error {
	query := query(c, maxSought)("q")
	p := templates.FindProps{Page: s.page(c, "Find", "")}
	p.Query = query
	if query == "" {
		return see(c, templates.BoardURL)
	}
	targets, err := s.gather(c.Request().Context(), s.rightsOf(visitOf(c).actor))
	if err != nil {
		return err
	}
	low := strings.ToLower(query)
	byTag := map[string]int{}
	for _, t := range targets {
		if strings.Contains(strings.ToLower(t.App.App), low) {
			p.Targets = append(p.Targets, templates.FoundTarget{App: t.App.App, Env: t.App.Env, Prod: t.Prod,
				Health: healthMark(t.Health), Running: imageOf(t.Running, t.Commit), Href: templates.AppURL(t.App.Env, t.App.App)})
		}
		history, err := s.Deploys.History(c.Request().Context(), t.App.Target, 0, 100)
		if err != nil {
			return err
		}
		for _, f := range foundImages(t, history, low) {
			key := f.App + " " + f.Image.Tag + " " + f.Image.Digest
			i, known := byTag[key]
			if !known {
				byTag[key] = len(p.Images)
				p.Images = append(p.Images, f)
				continue
			}
			p.Images[i].Where = append(p.Images[i].Where, f.Where...)
		}
	}
	return s.draw(c, http.StatusOK, templates.Find(p))
}

// foundImages gives the images of a target that fit: listed, running or once deployed.
func foundImages(t targetFacts, history []deploys.Deploy, low string) []templates.FoundImage {
	const most = 50
	fits := func(tag, digest, subject string) bool {
		return len(low) >= 4 && (strings.HasPrefix(tag, low) || strings.HasPrefix(digest, low) || strings.HasPrefix(digest, "sha256:"+low)) ||
			len(low) >= 3 && strings.Contains(strings.ToLower(subject), low)
	}
	var out []templates.FoundImage
	add := func(img templates.Image, where templates.Link) {
		i := slices.IndexFunc(out, func(f templates.FoundImage) bool { return f.Image.Tag == img.Tag })
		if i < 0 && len(out) < most {
			out, i = append(out, templates.FoundImage{App: t.App.App, Image: templates.Image{Tag: img.Tag}}), len(out)
		}
		if i < 0 {
			return
		}
		if out[i].Image.Short == "" || out[i].Image.Subject == "" && img.Subject != "" {
			out[i].Image = img
		}
		if where.Href != "" && len(out[i].Where) < 5 {
			out[i].Where = append(out[i].Where, where)
		}
	}
	page := templates.AppURL(t.App.Env, t.App.App)
	if fits(t.Running.Tag, t.Running.Digest, t.Commit.Subject) {
		add(imageOf(t.Running, t.Commit), templates.Link{Text: "runs in " + t.App.Env, Href: page})
	}
	for _, img := range t.Images.Images {
		if fits(img.Tag, "", img.Commit.Subject) {
			add(imageOf(deploys.Version{Tag: img.Tag}, img.Commit), templates.Link{})
			if i := slices.IndexFunc(out, func(f templates.FoundImage) bool { return f.Image.Tag == img.Tag }); i >= 0 {
				out[i].Pushed = img.Pushed
			}
		}
	}
	for _, d := range history {
		if fits(d.To.Tag, d.To.Digest, "") {
			add(imageOf(d.To, deploys.Commit{}), templates.Link{Text: deployIn(d), Href: templates.DeployURL(d.ID)})
		}
	}
	return out
}
