package web

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"deployportal/internal/auth"
	"deployportal/internal/deploys"
	"deployportal/web/templates"
)

func (s *Server) deploy(c echo.Context) error {
	ctx, d := c.Request().Context(), visitOf(c).deploy
	f, err := s.deployFacts(ctx, d, s.mayDeploy(c, d.Target.Env))
	if err != nil {
		return err
	}
	if f.Events, err = s.Deploys.Events(ctx, d.ID, 0); err != nil {
		return err
	}
	live := deployView(f)
	p := templates.DeployProps{Page: s.pageIn(c, live.Mark.Word+": "+d.Target.String()+" to "+live.To.Short, d.Target.Env), Live: live}
	p.Now = live.Now
	if !f.settled() {
		// After what is on the page: an event that came while it was read is sent once more rather than never.
		p.Stream = s.stream(templates.DeployEventsURL(d.ID, d.Seq), []string{d.Target.Env}, true)
	}
	return s.draw(c, http.StatusOK, templates.Deploy(p))
}

// deployFacts is all of a deploy's page but its events.
func (s *Server) deployFacts(ctx context.Context, d deploys.Deploy, mayDeploy bool) (deployFacts, error) {
	f := deployFacts{Deploy: d, Prod: s.prod(d.Target.Env), MayDeploy: mayDeploy, Now: s.Now()}
	app, err := s.Cluster.App(d.Target)
	if err != nil { // not configured any more; what is recorded is shown all the same
		app = deploys.App{Target: d.Target, Repository: d.To.Repository, Workload: d.Target.App}
	}
	f.App, f.To, f.From = app, s.commit(app, d.To), s.commit(app, d.From)
	f.Gap = s.gap(d.Target.Env)
	marks, err := s.Deploys.Marks(ctx)
	if err != nil {
		return f, err
	}
	f.Bad = marks.Of(d.To)
	recent, err := s.Deploys.History(ctx, d.Target, 0, 20)
	if err != nil {
		return f, err
	}
	answers, err := s.Deploys.Answers(ctx, d)
	if err != nil {
		return f, err
	}
	if c, landed, err := s.Deploys.Landed(ctx, d); err != nil {
		return f, err
	} else if landed {
		f.Landed = &c
	}
	f.Related, f.Answered, f.Answer = related(d, answers)
	f.Usually = usually(d, recent)
	if len(recent) > 0 {
		f.Newest = recent[0].ID
	}
	f.Passed = slices.ContainsFunc(recent, func(r deploys.Deploy) bool { return r.ID > d.ID && !r.Patched.IsZero() && !r.To.Same(d.To) })
	if back, v, ok, err := s.Deploys.LastGood(ctx, d); err != nil {
		return f, err
	} else if ok {
		f.Back = &wayBack{Return: back, To: v}
	}
	return f, nil
}

// related finds the deploys that belong to d, both ways, whether one of them has rolled it back or is about to, and the
// newest that tried to.
func related(d deploys.Deploy, answers []deploys.Deploy) (out []templates.Related, answered bool, newest *deploys.Deploy) {
	if d.Replaces != 0 {
		out = append(out, templates.Related{Text: "Took the place of", ID: d.Replaces})
	}
	switch {
	case d.Automatic():
		out = append(out, templates.Related{Text: "Answers the failure of", ID: d.RollbackOf})
	case d.RollbackOf != 0:
		out = append(out, templates.Related{Text: "Goes back by", ID: d.RollbackOf})
	}
	for _, r := range answers {
		if r.Replaces == d.ID {
			out = append(out, templates.Related{Text: "Replaced by", ID: r.ID})
		}
		switch {
		case r.TakesBack(d):
			newest, answered = &r, answered || r.Holds()
			out = append(out, templates.Related{Text: rolledBack(r), ID: r.ID, Say: string(r.Status)})
		case r.Kind == deploys.KindRollback:
			out = append(out, templates.Related{Text: "Brought back by", ID: r.ID})
		}
	}
	return out, answered, newest
}

// rolledBack says of a rollback, before its number, what became of it.
func rolledBack(r deploys.Deploy) string {
	switch {
	case !r.Holds():
		return "Not rolled back by"
	case r.Automatic():
		return "Rolled back automatically by"
	}
	return "Rolled back by"
}

// usually is the median of what the last deploys of the target that succeeded took; 0 with fewer than three.
func usually(d deploys.Deploy, recent []deploys.Deploy) time.Duration {
	var took []time.Duration
	for _, r := range recent {
		if r.ID != d.ID && r.Status == deploys.Succeeded && r.Kind == d.Kind {
			took = append(took, r.Finished.Sub(r.Created))
		}
	}
	if len(took) < 3 {
		return 0
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// mayView tells whether somebody may see an environment.
func (s *Server) mayView(actor auth.Actor, env string) bool {
	return s.Policy.Allow(actor, auth.View, env) == nil
}
