package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"deployportal/internal/auth"
	"deployportal/internal/deploys"
	"deployportal/web/templates"
)

// historyPage is how many deploys a page of history lists.
const historyPage = 30

func targetOf(c echo.Context) deploys.Target {
	return deploys.Target{App: c.Param("app"), Env: c.Param("env")}
}

func (s *Server) mayDeploy(c echo.Context, env string) bool {
	return s.Policy.Allow(visitOf(c).actor, auth.Deploy, env) == nil
}

func deployIn(d deploys.Deploy) string {
	return fmt.Sprintf("%s %d in %s", d.Kind, d.ID, d.Target.Env)
}

func (s *Server) app(c echo.Context) error {
	ctx, target := c.Request().Context(), targetOf(c)
	t, err := s.target(ctx, target, s.mayDeploy(c, target.Env))
	if err != nil {
		return err
	}
	t.Images = s.Catalog.Images(ctx, t.App)
	t.Commit = s.commit(t.App, t.Running) // the list may just have brought it
	past, err := s.Deploys.History(ctx, target, 0, historyPage)
	if err != nil {
		return err
	}
	deployed := map[string][]templates.Link{}
	for _, d := range past {
		if links := deployed[d.To.Tag]; d.To.Tag != "" && len(links) < 3 {
			deployed[d.To.Tag] = append(links, templates.Link{Text: string(d.Kind) + " " + strconv.FormatInt(d.ID, 10), Href: templates.DeployURL(d.ID)})
		}
	}
	var replaces int64
	if n, err := strconv.ParseInt(c.QueryParam("replaces"), 10, 64); err == nil && t.Active != nil && n == t.Active.ID {
		replaces = n
	}
	page := s.pageIn(c, target.String(), target.Env)
	bad, err := s.badImages(ctx, t.App.Repository)
	if err != nil {
		return err
	}
	p := appView(t, deployed, nil, bad, replaces, page.Now)
	p.Page = page
	p.Elsewhere = s.elsewhere(c, target)
	p.History, _, _ = s.spans(past, t, bad, time.Time{})
	p.History = p.History[:min(len(p.History), 8)]
	return s.draw(c, http.StatusOK, templates.App(p))
}

// elsewhere links the same app in other environments the reader may see.
func (s *Server) elsewhere(c echo.Context, t deploys.Target) []templates.Link {
	var out []templates.Link
	r := s.rightsOf(visitOf(c).actor)
	for _, app := range s.Cluster.Apps() {
		if app.App == t.App && app.Env != t.Env && r.sees(app.Env) {
			out = append(out, templates.Link{Text: "in " + app.Env, Href: templates.AppURL(app.Env, app.App)})
		}
	}
	return out
}

func (s *Server) history(c echo.Context) error {
	ctx, target := c.Request().Context(), targetOf(c)
	t, err := s.target(ctx, target, s.mayDeploy(c, target.Env))
	if err != nil {
		return err
	}
	before, _ := strconv.ParseInt(c.QueryParam("before"), 10, 64) // not a number: from the newest
	until, _ := time.Parse(time.RFC3339, c.QueryParam("until"))   // not a time: not known
	past, err := s.Deploys.History(ctx, target, before, historyPage+1)
	if err != nil {
		return err
	}
	more := len(past) > historyPage
	past = past[:min(len(past), historyPage)]
	bad, err := s.badImages(ctx, t.App.Repository)
	if err != nil {
		return err
	}
	p := templates.HistoryProps{Page: s.pageIn(c, "What ran when: "+target.String(), target.Env), App: target.App}
	var last int64
	p.Spans, until, last = s.spans(past, t, bad, until)
	if more {
		q := url.Values{"before": {strconv.FormatInt(last, 10)}}
		if !until.IsZero() {
			q.Set("until", until.UTC().Format(time.RFC3339))
		}
		p.Older = templates.HistoryURL(target.Env, target.App) + "?" + q.Encode()
	}
	return s.draw(c, http.StatusOK, templates.History(p))
}

// spans tells what ran when from deploys, newest first. until is when the newest of them stopped to run, zero for the
// newest of all; the one returned is that for the page of older ones, which begins below last.
func (s *Server) spans(past []deploys.Deploy, t targetFacts, bad badImages, until time.Time) (out []templates.Span, _ time.Time, last int64) {
	commits := map[string]deploys.Commit{}
	for _, d := range past {
		commits[d.To.Tag] = s.commit(t.App, d.To)
	}
	out = historyView(past, commits, t.MayDeploy)
	newest := true
	for i, d := range past {
		last = d.ID
		out[i].Bad = bad.of(d.To)
		if outside(d, past[i+1:]) {
			out[i].Sentence += " Before it ran " + d.From.Short() + ", which somebody else than the portal had brought."
		}
		if d.Status != deploys.Succeeded {
			continue
		}
		if newest {
			newest = false
			out[i].To = until
			runs := until.IsZero() && (t.Running.Same(d.To) || t.Trouble != nil)
			if until.IsZero() && !runs { // something else runs, and no deploy brought it
				out[i].To = changedAt(t, d)
				out[i].Sentence = "Somebody else than the portal changed it after that."
			}
			if t.MayDeploy && !runs && d.CanReturnTo() {
				out[i].Back = &templates.Act{Text: "Roll back to this", Href: templates.RollbackURL(t.App.Env, t.App.App, d.ID, 0), Danger: true}
			}
		}
		until = out[i].From
	}
	return out, until, last
}

// changedAt is when somebody else changed what d had brought, or the end of d where that is not known.
func changedAt(t targetFacts, d deploys.Deploy) time.Time {
	if t.Rollout != nil && t.Rollout.ChangedAt.After(d.Finished) {
		return t.Rollout.ChangedAt
	}
	return d.Finished
}

// outside tells whether what ran when d was asked for is not what the deploys before it had brought.
func outside(d deploys.Deploy, before []deploys.Deploy) bool {
	for _, b := range before {
		if b.Status == deploys.Succeeded {
			return d.From.Digest != "" && b.To.Digest != "" && !d.From.Same(b.To)
		}
	}
	return false
}

// bounded is the time a page gives a question that goes over the network.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 5*time.Second)
}
