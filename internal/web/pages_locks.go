package web

import (
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"deployportal/internal/auth"
	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/foreign"
	"deployportal/web/templates"
)

// lockSpans is how long a lock may be made for on the page; the last is until somebody unlocks it.
var lockSpans = []templates.Choice{
	{Value: "1h", Text: "for an hour"}, {Value: "4h", Text: "for 4 hours"}, {Value: "24h", Text: "for a day"},
	{Value: "168h", Text: "for a week"}, {Value: "720h", Text: "for 30 days"}, {Value: "", Text: "until somebody unlocks it"},
}

// lockWish is a lock as the form says it.
type lockWish struct {
	at, span, reason string
	refused          error
}

func (s *Server) locks(c echo.Context) error {
	return s.drawLocks(c, http.StatusOK, lockWish{at: query(c, maxTyped)("at"), span: "4h"})
}

func (s *Server) drawLocks(c echo.Context, status int, w lockWish) error {
	ctx, v := c.Request().Context(), visitOf(c)
	stand, err := s.Deploys.Locks(ctx)
	if err != nil {
		return err
	}
	marks, err := s.Deploys.BadImages(ctx)
	if err != nil {
		return err
	}
	r := s.rightsOf(v.actor)
	p := templates.LocksProps{Page: s.page(c, "Locks", ""), Reason: w.reason, Scopes: s.lockScopes(v.actor, w.at)}
	for _, l := range stand {
		if l.Scope.Env == "" || r.sees(l.Scope.Env) {
			p.Locks = append(p.Locks, lockView(l, s.Deploys.MayUnlock(v.actor, l)))
		}
	}
	for _, m := range marks {
		if r.sees(m.Target.Env) {
			b := badView(&m)
			b.Where, b.May = "in "+m.Target.Env, s.mayDeploy(c, m.Target.Env)
			app, _ := s.Cluster.App(m.Target) // not configured any more: its commit is not known
			b.Image = imageOf(deploys.Version{Tag: m.Tag, Digest: m.Digest}, s.commit(app, deploys.Version{Tag: m.Tag}))
			p.Bad = append(p.Bad, *b)
		}
	}
	for _, span := range lockSpans {
		span.Chosen = span.Value == w.span
		p.Spans = append(p.Spans, span)
	}
	if w.refused != nil {
		p.Error = errs.Public(w.refused)
	}
	return s.draw(c, status, templates.Locks(p))
}

// lockScopes is all that somebody may lock, the narrowest first: it is what is mostly meant.
func (s *Server) lockScopes(actor auth.Actor, chosen string) (out []templates.Choice) {
	add := func(scope deploys.Scope) {
		if s.Policy.Allow(actor, auth.Lock, scope.Env) == nil {
			at := scope.Env + "/" + scope.App
			out = append(out, templates.Choice{Value: at, Text: scope.String(), Chosen: at == chosen})
		}
	}
	for _, app := range s.Cluster.Apps() {
		add(deploys.Scope(app.Target))
	}
	for _, env := range s.Cluster.Envs() {
		add(deploys.Scope{Env: env})
	}
	add(deploys.Scope{})
	return out
}

func (s *Server) lock(c echo.Context) error {
	get, err := form(c)
	if err != nil {
		return err
	}
	w := lockWish{at: get("at"), span: get("for"), reason: foreign.Line(get("reason"), maxReason)}
	env, app, ok := strings.Cut(w.at, "/")
	if !ok {
		return errs.New(errs.Invalid, "The form is not complete. Open the page again.")
	}
	req := deploys.LockRequest{Scope: deploys.Scope{App: foreign.Line(app, maxName), Env: foreign.Line(env, maxName)}, Reason: w.reason, Actor: visitOf(c).actor}
	if w.span != "" {
		if req.For, err = time.ParseDuration(w.span); err != nil {
			return errs.New(errs.Invalid, "%q is not a length of time, such as 4h.", foreign.Line(w.span, 64))
		}
	}
	_, err = s.Deploys.Lock(c.Request().Context(), req)
	if k := errs.KindOf(err); k == errs.Invalid || k == errs.Conflict {
		w.refused = err
		return s.drawLocks(c, s.refuse(c, err), w)
	}
	if err != nil {
		return err
	}
	return see(c, templates.LocksURL)
}

func (s *Server) unlock(c echo.Context) error {
	id, err := number(c, "id", "lock")
	if err != nil {
		return err
	}
	if err := s.Deploys.Unlock(c.Request().Context(), visitOf(c).actor, id); err != nil {
		return err
	}
	return see(c, templates.LocksURL)
}

func (s *Server) clearImage(c echo.Context) error {
	id, err := number(c, "id", "mark")
	if err != nil {
		return err
	}
	if _, err := s.Deploys.ClearImage(c.Request().Context(), visitOf(c).actor, id); err != nil {
		return err
	}
	return see(c, templates.LocksURL)
}

func lockView(l deploys.Lock, may bool) templates.Lock {
	return templates.Lock{ID: l.ID, Where: l.Scope.Title(), Who: l.OwnerName, Reason: l.Reason, Since: l.Created, Until: l.Expires, May: may}
}

// locksOn gives those of some locks that hold for what a filter takes.
func locksOn(all []deploys.Lock, take func(deploys.Scope) bool) (out []templates.Lock) {
	for _, l := range all {
		if take(l.Scope) {
			out = append(out, lockView(l, false))
		}
	}
	return out
}

// badView is the mark of an image for a page; nil where there is none.
func badView(m *deploys.BadImage) *templates.BadImage {
	if m == nil {
		return nil
	}
	return &templates.BadImage{ID: m.ID, Who: m.ActorName, Reason: m.Reason, At: m.At}
}
