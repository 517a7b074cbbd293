package web

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"deployportal/internal/audit"
	"deployportal/internal/auth"
	"deployportal/internal/deploys"
	"deployportal/web/templates"
)

// historyPage is how many deploys a page of history lists.
const historyPage = 30

func targetOf(c echo.Context) deploys.Target {
	return deploys.Target{App: param(c, "app"), Env: param(c, "env")}
}

func (s *Server) mayDeploy(c echo.Context, env string) bool {
	return s.Policy.Allow(visitOf(c).actor, auth.Deploy, env) == nil
}

func (s *Server) app(c echo.Context) error {
	ctx, target := c.Request().Context(), targetOf(c)
	t, err := s.target(ctx, target, s.mayDeploy(c, target.Env))
	if err != nil {
		return err
	}
	if t.Images = s.Catalog.Images(ctx, t.App); t.Images.Err == nil { // else Gitea has been waited for long enough
		s.awaitAbout(ctx, t)
	}
	p := templates.AppProps{Page: s.pageIn(c, target.String(), target.Env), App: t.App.App, Repository: t.App.Repository, Elsewhere: s.elsewhere(c, target)}
	if p.Live, err = s.appLive(ctx, t); err != nil {
		return err
	}
	p.Live.Now = p.Now
	p.Stream = s.stream(templates.AppEventsURL(target.Env, target.App), []string{target.Env}, false)
	return s.draw(c, http.StatusOK, templates.App(p))
}

// awaitAbout gives Gitea a moment to tell of the commits, so that most pages have them at their first paint. What comes
// later comes by the stream.
func (s *Server) awaitAbout(ctx context.Context, t targetFacts) {
	late := time.NewTimer(s.times.wait)
	defer late.Stop()
	select {
	case <-s.Catalog.Ask(t.App, t.Running.Tag):
	case <-late.C:
	case <-ctx.Done():
	}
}

// appLive is the live part of an app's page, but for its moment. It waits for no network. Whether the registry still has
// what runs and what could come back is asked from here on; the answer rings.
func (s *Server) appLive(ctx context.Context, t targetFacts) (templates.AppLiveProps, error) {
	past, err := s.Deploys.History(ctx, t.App.Target, 0, historyPage)
	if err != nil {
		return templates.AppLiveProps{}, err
	}
	changes, err := s.changes(ctx, t.App.Target, past, len(past) == historyPage, 0)
	if err != nil {
		return templates.AppLiveProps{}, err
	}
	deployed := map[string][]templates.Link{}
	for _, d := range past {
		if links := deployed[d.To.Tag]; d.To.Tag != "" && len(links) < 3 {
			deployed[d.To.Tag] = append(links, templates.Link{Text: kindWord(d.Kind) + " " + strconv.FormatInt(d.ID, 10), Href: templates.DeployURL(d.ID)})
		}
	}
	t.Commit = s.commit(t.App, t.Running) // the list may just have brought it
	p := appView(t, s.Catalog.About(t.App, t.Running.Tag), deployed)
	if p.Gone, err = s.gone(ctx, t, past); err != nil {
		return p, err
	}
	if p.Outside, err = s.outside(ctx, t); err != nil {
		return p, err
	}
	p.History, _, _ = s.spans(past, changes, t, time.Time{})
	p.History = p.History[:min(len(p.History), 8)]
	return p, nil
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
	changes, err := s.changes(ctx, target, past, more, before)
	if err != nil {
		return err
	}
	p := templates.HistoryProps{Page: s.pageIn(c, "What ran when: "+target.String(), target.Env), App: target.App}
	if len(changes) > changesPage {
		changes = changes[:changesPage]
		p.LeftOut = templates.AuditURL + "?" + url.Values{"action": {audit.ChangeOutside}, "app": {target.App}, "env": {target.Env}}.Encode()
	}
	var last int64
	p.Spans, until, last = s.spans(past, changes, t, until)
	if more {
		q := url.Values{"before": {strconv.FormatInt(last, 10)}}
		if !until.IsZero() {
			q.Set("until", until.UTC().Format(time.RFC3339))
		}
		p.Older = templates.HistoryURL(target.Env, target.App) + "?" + q.Encode()
	}
	return s.draw(c, http.StatusOK, templates.History(p))
}

// spans tells what ran when from deploys and outside changes, newest first. until is when the newest of them stopped to
// run, zero for the newest of all; the one returned is that for the page of older ones, which begins below last.
func (s *Server) spans(past []deploys.Deploy, changes []deploys.OutsideChange, t targetFacts, until time.Time) (out []templates.Span, _ time.Time, last int64) {
	commits := map[string]deploys.Commit{}
	for _, d := range past {
		commits[d.To.Tag] = s.commit(t.App, d.To)
	}
	for _, c := range changes {
		commits[c.To.Tag] = s.commit(t.App, c.To)
	}
	out = historyView(past, commits, t.MayDeploy)
	newest := true
	for i, d := range past {
		last = d.ID
		out[i].Bad = badView(t.Marks.Of(d.To))
		out[i].Gone = d.CanReturnTo() && s.Catalog.Gone(d.To)
		if d.Status != deploys.Succeeded || !newest {
			continue
		}
		newest = false
		runs := until.IsZero() && (t.Running.Same(d.To) || t.Trouble != nil)
		if t.MayDeploy && !runs && d.CanReturnTo() {
			out[i].Back = &templates.Act{Text: "Roll back to this", Href: templates.RollbackURL(t.App.Env, t.App.App, d.ID, 0), Danger: true}
		}
	}
	out = withChanges(out, past, changes, commits, t.Marks, until)
	for _, span := range out {
		if !span.Never && !span.Moment && span.Outcome.Tone != templates.Busy {
			until = span.From
		}
	}
	return out, until, last
}

// bounded is the time a page gives a question that goes over the network.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 5*time.Second)
}
