package web

import (
	"context"

	"github.com/labstack/echo/v4"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/web/templates"
)

// changesPage is how many outside changes a page of history lists between its deploys; the audit log has all.
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
	var differs []string
	if t.Change.Kind == deploys.ChangedTemplate {
		differs = s.Cluster.Differences(t.App.Target, t.Change.From.Template, t.Change.To.Template)
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	return outsideView(t, *t.Change, way, differs, key), nil
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
	return s.Deploys.Changes(ctx, t, after, before, changesPage)
}

// adopt asks the service to take what somebody else brought for what shall run. The form names what its reader saw.
func (s *Server) adopt(c echo.Context) error {
	get, err := form(c)
	if err != nil {
		return err
	}
	req := deploys.Request{Target: targetOf(c), Adopt: true, Seen: deploys.Seen{From: get("seen_from")}, Actor: visitOf(c).actor,
		Key: get("key"), Reason: get("reason")}
	if req.Key == "" || len(req.Key) > 200 || req.Seen.From == "" {
		return errs.New(errs.Invalid, "The form is not complete. Open the page again.")
	}
	d, err := s.Deploys.Start(c.Request().Context(), req)
	if err != nil {
		return err
	}
	return see(c, templates.DeployURL(d.ID))
}
