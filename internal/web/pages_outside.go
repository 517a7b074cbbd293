package web

import (
	"context"
	"strconv"

	"github.com/labstack/echo/v4"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/foreign"
	"deployportal/web/templates"
)

// changesPage is how many outside changes a page of history lists between its deploys; that there are more is said, and the
// audit log has all.
const changesPage = 100

// outside is what an app's page says about an outside change that waits for a decision; nil when none does.
func (s *Server) outside(ctx context.Context, t targetFacts) (*templates.Outside, error) {
	if t.Change == nil || !t.Change.Open {
		return nil, nil
	}
	back, v, ok, err := s.Deploys.KnownGood(ctx, t.App.Target)
	if err != nil {
		return nil, err
	}
	var way *wayBack
	if ok {
		way = &wayBack{Return: back, To: v}
	}
	c := *t.Change
	differs := s.Cluster.Differences(t.App.Target, c.From.Template, c.To.Template)
	return outsideView(t, c, way, differs), nil
}

// changes lists the outside changes between the oldest deploy of a page of history (0: all that came before) and the
// newest of the page after it.
func (s *Server) changes(ctx context.Context, t deploys.Target, past []deploys.Deploy, more bool, newer int64) ([]deploys.OutsideChange, error) {
	var after, before int64
	if more && len(past) > 0 {
		after = past[len(past)-1].AuditSeq
	}
	if newer > 0 {
		d, err := s.Deploys.Get(ctx, newer)
		if err != nil && errs.KindOf(err) != errs.NotFound {
			return nil, err
		}
		before = d.AuditSeq
	}
	return s.Deploys.Changes(ctx, t, after, before, changesPage+1)
}

// adopt asks the service to take what somebody else brought for what shall run. The form names what its reader saw.
func (s *Server) adopt(c echo.Context) error {
	get, err := form(c)
	if err != nil {
		return err
	}
	change, _ := strconv.ParseInt(get("change"), 10, 64) // not a number: refused below
	req := deploys.Request{Target: targetOf(c), Adopt: change, Seen: deploys.Seen{From: get("seen_from")}, Actor: visitOf(c).actor,
		Key: get("key"), Reason: foreign.Line(get("reason"), maxReason)}
	if req.Key == "" || len(req.Key) > 200 || req.Seen.From == "" || change <= 0 {
		return errs.New(errs.Invalid, "The form is not complete. Open the page again.")
	}
	d, err := s.Deploys.Start(c.Request().Context(), req)
	if err != nil {
		return err
	}
	return see(c, templates.DeployURL(d.ID))
}

// lookBefore finds what ran before an outside change, if that is what undoing it brings back.
func (s *Server) lookBefore(ctx context.Context, change int64, o *offer) error {
	back, v, ok, err := s.Deploys.KnownGood(ctx, o.target.App.Target)
	switch {
	case err != nil:
		return err
	case !ok || back.Change != change:
		return errs.New(errs.NotFound, "What is to be brought back is not known any more. Open the page of %s again.", o.target.App.Target)
	}
	o.back, o.to = &back, v
	return nil
}

// lookLast finds what a rollback without a number brings back: what was meant to run, where somebody else has changed it
// since the newest deploy, or what ran well before that deploy.
func (s *Server) lookLast(ctx context.Context, o *offer) error {
	back, v, err := s.Deploys.WayBack(ctx, o.target.App.Target, o.target.Running)
	if err == nil {
		o.back, o.to = &back, v
	}
	return err
}
