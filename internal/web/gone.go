package web

import (
	"context"
	"slices"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/web/templates"
)

// mostSought is how many images of one app are sought in the registry: what runs, what a rollback brings back, and the
// next that ran well.
const mostSought = 5

// gone says what an app would need and the registry no longer has, as far as it is known, and begins to ask for more. past
// is the target's deploys, newest first.
func (s *Server) gone(ctx context.Context, t targetFacts, past []deploys.Deploy) (out []templates.Gone, err error) {
	back, err := s.wayBack(ctx, t)
	if err != nil {
		return nil, err
	}
	seek := []deploys.Version{t.Running, back}
	for _, d := range past {
		if d.CanReturnTo() && len(seek) < mostSought && !slices.ContainsFunc(seek, d.To.Same) {
			seek = append(seek, d.To)
		}
	}
	for _, v := range seek {
		s.Catalog.AskGone(v)
	}
	if s.Catalog.Gone(t.Running) {
		out = append(out, templates.Gone{Of: templates.GoneRuns,
			Sentence: "What runs is gone from the registry: new pods on other nodes could not pull " + t.Running.Short() + ".",
			Todo:     "Deploy an image that is there before a node fails."})
	}
	if s.Catalog.Gone(back) && !back.Same(t.Running) {
		out = append(out, templates.Gone{Of: templates.GoneBack, Sentence: back.NoWayBack(),
			Todo: "Only nodes that still hold it can start it. For the others, give Gitea's cleanup rule what “portal images keep” prints."})
	}
	return out, nil
}

// wayBack is what a rollback without a number brings back; the zero Version where nothing is known that ran well.
func (s *Server) wayBack(ctx context.Context, t targetFacts) (deploys.Version, error) {
	o := offer{target: t}
	if err := s.lookLast(ctx, &o); err != nil && errs.KindOf(err) != errs.NotFound {
		return deploys.Version{}, err
	}
	return o.to, nil
}

// goneWords says for the board what is known to be gone of a target. It asks nobody: the target's own page does. The records
// are read only where what ran before the newest deploy is gone, which is rare; there a rollback may go further back.
func (s *Server) goneWords(ctx context.Context, t targetFacts) (string, error) {
	if s.Catalog.Gone(t.Running) {
		return "What runs is gone from the registry", nil
	}
	if !s.Catalog.Gone(t.Latest.From) {
		return "", nil
	}
	back, err := s.wayBack(ctx, t)
	if err != nil || !s.Catalog.Gone(back) {
		return "", err
	}
	return "The way back is gone from the registry", nil
}
