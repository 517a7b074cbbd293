package web

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"

	"deployportal/internal/auth"
	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/foreign"
	"deployportal/web/templates"
)

// wish is what somebody wants a target to run, as a link or a form says it.
type wish struct {
	image    string // a tag or digest; empty for a rollback
	rollback string // "last" or the id of a deploy
	before   bool   // not what that deploy brought, but what ran before it
	restart  bool   // the same image in new pods
	change   int64  // what ran before this outside change; 0: none
	replaces int64
	reason   string
	key      string

	markBad, lockTarget bool     // the ticks of a rollback
	overrides           []string // the ticks beside checks that block

	refused error // why the last try did not succeed
}

func readWish(get func(string) string) (wish, error) {
	w := wish{image: get("image"), rollback: get("rollback_to"), before: get("before") == "1", restart: get("restart") == "1",
		reason: foreign.Line(get("reason"), maxReason), key: get("key"), markBad: get("mark_bad") == "1", lockTarget: get("lock") == "1"}
	asked := 0
	for _, name := range []string{"image", "rollback_to", "restart", "change"} {
		if get(name) != "" {
			asked++
		}
	}
	if asked != 1 {
		return w, errs.New(errs.Invalid, "Name one thing to do: an image, a deploy to return to, or a restart.")
	}
	for name, into := range map[string]*int64{"replaces": &w.replaces, "change": &w.change} {
		raw := get(name)
		if raw == "" {
			continue
		}
		n, err := strconv.ParseInt(raw, 10, 64)
		if err != nil || n < 0 {
			return w, errs.New(errs.Invalid, "%q is not the number of a deploy or of a change.", foreign.Line(raw, 64))
		}
		*into = n
	}
	if w.image+w.rollback == "" && !w.restart && w.change == 0 {
		return w, errs.New(errs.Invalid, "Name one thing to do: an image, a deploy to return to, or a restart.")
	}
	return w, nil
}

// offer is a wish held against what is known: all that the confirm page shows.
type offer struct {
	target targetFacts
	back   *deploys.ReturnTo // nil for a deploy
	to     deploys.Version
	image  deploys.Image // of a deploy, as the registry has it
	lost   error         // why the image to come cannot be told; the wish cannot be granted then

	commit     deploys.Commit // of to
	compared   bool           // between is known
	between    deploys.Range
	migrations deploys.Migrations
	commits    *templates.Trouble // why some of this is not known
	checks     []deploys.Check
	may        bool // the reader may override those that block
	behind
}

func (s *Server) confirm(c echo.Context) error {
	w, err := readWish(query(c, maxTyped))
	if err != nil {
		return err
	}
	if w.key, err = newKey(); err != nil {
		return err
	}
	return s.drawConfirm(c, http.StatusOK, w)
}

func newKey() (string, error) {
	raw := make([]byte, 16)
	_, err := rand.Read(raw)
	return hex.EncodeToString(raw), err
}

func (s *Server) drawConfirm(c echo.Context, status int, w wish) error {
	o, err := s.offer(c.Request().Context(), targetOf(c), w)
	if err != nil {
		return err
	}
	o.may = s.Policy.Allow(visitOf(c).actor, auth.Override, o.target.App.Env) == nil
	if status == http.StatusOK && errs.KindOf(o.lost) == errs.NotFound {
		status = http.StatusNotFound
	}
	page := s.pageIn(c, "Confirm", o.target.App.Env)
	p := confirmView(o, w, page.Now)
	page.Title = p.Page.Title
	p.Page, p.Who = page, page.User
	return s.draw(c, status, templates.Confirm(p))
}

// offer looks up what a wish means. errs.NotFound and errs.Invalid where it means nothing; an image that the registry does
// not have, a registry or a Gitea that cannot be reached are part of the offer.
func (s *Server) offer(ctx context.Context, t deploys.Target, w wish) (offer, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var o offer
	var err error
	if o.target, err = s.target(ctx, t, true); err != nil {
		return o, err
	}
	switch {
	case w.restart:
		o.to, o.commit = o.target.Running, o.target.Commit
		o.checks = s.preflight(ctx, w, o)
		return o, s.lookBehind(ctx, &o)
	case w.rollback != "" || w.change != 0:
		err = s.lookBack(ctx, w, &o)
	default:
		err = s.lookUp(ctx, w, &o)
	}
	if err != nil {
		return o, err
	}
	var both errgroup.Group
	if o.lost == nil { // Gitea is the registry: who waited for the one need not wait for the other too
		both.Go(func() error {
			s.compare(ctx, &o)
			return nil
		})
	}
	both.Go(func() error { return s.lookBehind(ctx, &o) })
	err = both.Wait()
	o.checks = s.preflight(ctx, w, o) // asks about the same commits, which are remembered by now
	return o, err
}

// preflight asks what a deploy would meet. Where it cannot be asked for at all there is nothing to say.
func (s *Server) preflight(ctx context.Context, w wish, o offer) []deploys.Check {
	t := o.target
	if s.Preflight == nil || o.lost != nil || t.Rollout == nil || !t.Rollout.Exists {
		return nil
	}
	kind := deploys.KindDeploy
	switch {
	case w.restart:
		kind = deploys.KindRestart
	case o.back != nil:
		kind = deploys.KindRollback
	}
	return s.Preflight.Checks(ctx, deploys.Plan{App: t.App, Kind: kind, Image: o.image, From: t.Running, To: o.to, Seen: *t.Rollout})
}

// lookUp finds the image that a deploy is to bring.
func (s *Server) lookUp(ctx context.Context, w wish, o *offer) error {
	if err := s.Deploys.CheckImage(w.image); err != nil {
		o.lost, o.to = err, deploys.Version{Repository: o.target.App.Repository, Tag: foreign.Line(w.image, 64)}
		return nil
	}
	img, err := s.Catalog.Resolve(ctx, o.target.App.Repository, w.image)
	if errs.KindOf(err) == errs.Invalid {
		return err
	}
	if err != nil {
		o.lost, o.to = err, deploys.Version{Repository: o.target.App.Repository, Tag: foreign.Line(w.image, 128)}
		return nil
	}
	o.image, o.to = img, deploys.Version{Repository: img.Repository, Tag: img.Tag, Digest: img.Digest}
	return nil
}

// lookBack finds the image that a rollback is to bring back. It asks no registry: the nodes may hold the image.
func (s *Server) lookBack(ctx context.Context, w wish, o *offer) error {
	t := o.target.App.Target
	switch {
	case w.change != 0:
		return s.lookBefore(ctx, w.change, o)
	case w.rollback == "last":
		return s.lookLast(ctx, o)
	}
	id, err := strconv.ParseInt(w.rollback, 10, 64)
	if err != nil {
		return errs.New(errs.Invalid, "%q is not the number of a deploy.", foreign.Line(w.rollback, 64))
	}
	d, err := s.Deploys.Get(ctx, id)
	if errs.KindOf(err) == errs.NotFound || err == nil && d.Target != t { // one answer: it may be hidden from the reader
		return errs.New(errs.NotFound, "There is no deploy %d of %s.", id, t)
	}
	if err != nil {
		return err
	}
	switch {
	case w.before && d.CanReturnBefore():
		o.to = d.From
	case !w.before && d.CanReturnTo():
		o.to = d.Ran()
	default:
		return errs.New(errs.Invalid, "Nothing goes back to deploy %d: what it stands for did not run well.", id)
	}
	o.back = &deploys.ReturnTo{Deploy: id, Before: w.before}
	return nil
}

// startDeploy asks for what the form says. Who may, what is free and what has changed is for the service to say; a
// refusal comes back with the page and what was typed.
func (s *Server) startDeploy(c echo.Context) error {
	get, err := form(c)
	if err != nil {
		return err
	}
	v := visitOf(c)
	w, err := readWish(get)
	if err != nil {
		return err
	}
	w.overrides = ticked(c, "override")
	req := deploys.Request{Target: targetOf(c), Image: w.image, Seen: deploys.Seen{From: get("seen_from"), To: get("seen_to")},
		Replaces: w.replaces, Actor: v.actor, Key: w.key, Reason: w.reason, Restart: w.restart, MarkBad: w.markBad, LockTarget: w.lockTarget,
		Overrides: w.overrides}
	if w.change != 0 {
		req.Return = &deploys.ReturnTo{Change: w.change}
	}
	if w.rollback != "" {
		id, err := strconv.ParseInt(w.rollback, 10, 64)
		if err != nil {
			return errs.New(errs.Invalid, "%q is not the number of a deploy.", foreign.Line(w.rollback, 64))
		}
		req.Return = &deploys.ReturnTo{Deploy: id, Before: w.before}
	}
	if req.Key == "" || len(req.Key) > 200 || req.Seen.From == "" || req.Seen.To == "" {
		// Without them a second click would be a second deploy, and what was clicked need not be what runs.
		return errs.New(errs.Invalid, "The form is not complete. Open the page again.")
	}
	d, err := s.Deploys.Start(c.Request().Context(), req)
	if err == nil {
		return see(c, templates.DeployURL(d.ID))
	}
	if !s.mayDeploy(c, req.Target.Env) || errs.KindOf(err) == errs.Internal {
		return err
	}
	w.refused = err
	status := s.refuse(c, err)
	if drawn := s.drawConfirm(c, status, w); drawn != nil {
		return err // the page cannot be made: then the reason alone
	}
	return nil
}
