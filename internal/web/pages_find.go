package web

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"deployportal/internal/deploys"
	"deployportal/web/templates"
)

// mostFound is how many deploys a search reads, and how many images of one target it lists.
const (
	mostFound       = 500
	mostFoundImages = 50
)

func (s *Server) find(c echo.Context) error {
	ctx, query := c.Request().Context(), query(c, maxSought)("q")
	p := templates.FindProps{Page: s.page(c, "Find", "")}
	p.Query = query
	if query == "" {
		return see(c, templates.BoardURL)
	}
	r := s.rightsOf(visitOf(c).actor)
	targets, err := s.gather(ctx, r)
	if err != nil {
		return err
	}
	low := strings.ToLower(query)
	all, err := s.Deploys.Brought(ctx, r.envs, low, mostFound)
	if err != nil {
		return err
	}
	brought := map[deploys.Target][]deploys.Brought{}
	for _, b := range all {
		brought[b.Target] = append(brought[b.Target], b)
	}
	for _, t := range targets {
		if strings.Contains(strings.ToLower(t.App.App), low) {
			p.Targets = append(p.Targets, templates.FoundTarget{App: t.App.App, Env: t.App.Env, Prod: t.Prod, Health: healthMark(t.Health),
				Running: imageOf(t.Running, t.Commit), Bad: badView(t.Marks.Of(t.Running)), Href: templates.AppURL(t.App.Env, t.App.App)})
		}
		for _, f := range foundImages(t, brought[t.App.Target], low) {
			p.Images = merged(p.Images, f)
		}
	}
	return s.draw(c, http.StatusOK, templates.Find(p))
}

// merged adds an image to those found, or to what was found of it in another environment: a list knows no digest.
func merged(all []templates.FoundImage, f templates.FoundImage) []templates.FoundImage {
	i := slices.IndexFunc(all, func(o templates.FoundImage) bool {
		a, b := o.Image, f.Image
		return o.App == f.App && a.Tag == b.Tag && (a.Digest == b.Digest || a.Tag != "" && (a.Digest == "" || b.Digest == ""))
	})
	if i < 0 {
		return append(all, f)
	}
	o := &all[i]
	if o.Where = append(o.Where, f.Where...); o.Image.Digest == "" {
		o.Image.Digest = f.Image.Digest
	}
	if o.Bad == nil {
		o.Bad = f.Bad
	}
	return all
}

// foundImages gives the images of a target that fit: listed, running, or brought by deploys, which fit all.
func foundImages(t targetFacts, brought []deploys.Brought, low string) []templates.FoundImage {
	fits := func(tag, digest, subject string) bool {
		return len(low) >= 4 && (strings.HasPrefix(tag, low) || strings.HasPrefix(digest, low) || strings.HasPrefix(digest, "sha256:"+low)) ||
			len(low) >= 3 && strings.Contains(strings.ToLower(subject), low)
	}
	var out []templates.FoundImage
	add := func(v deploys.Version, c deploys.Commit, where templates.Link) *templates.FoundImage {
		i := slices.IndexFunc(out, func(f templates.FoundImage) bool { return f.Image.Tag == v.Tag })
		if i < 0 && len(out) == mostFoundImages {
			return nil
		}
		if i < 0 {
			out, i = append(out, templates.FoundImage{App: t.App.App, Image: imageOf(v, c)}), len(out)
		}
		f := &out[i]
		if f.Image.Subject == "" && c.Subject != "" {
			f.Image = imageOf(v, c)
		}
		if f.Bad == nil {
			f.Bad = badView(t.Marks.Of(v))
		}
		if where.Href != "" && len(f.Where) < 5 {
			f.Where = append(f.Where, where)
		}
		return f
	}
	if fits(t.Running.Tag, t.Running.Digest, t.Commit.Subject) {
		add(t.Running, t.Commit, templates.Link{Text: "runs in " + t.App.Env, Href: templates.AppURL(t.App.Env, t.App.App)})
	}
	for _, img := range t.Images.Images {
		if fits(img.Tag, "", img.Commit.Subject) {
			if f := add(listed(t.App, img), img.Commit, templates.Link{}); f != nil {
				f.Pushed = img.Pushed
			}
		}
	}
	for _, b := range brought {
		add(b.To, deploys.Commit{}, templates.Link{Text: fmt.Sprintf("%s %d in %s", kindWord(b.Kind), b.ID, b.Target.Env), Href: templates.DeployURL(b.ID)})
	}
	return out
}
