package web

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

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
	replaces int64
	reason   string
	key      string
	refused  error // why the last try did not succeed
}

func readWish(get func(string) string) (wish, error) {
	w := wish{image: get("image"), rollback: get("rollback_to"), before: get("before") == "1", reason: foreign.Line(get("reason"), maxReason), key: get("key")}
	if (w.image == "") == (w.rollback == "") {
		return w, errs.New(errs.Invalid, "Name either an image or a deploy to return to.")
	}
	if raw := get("replaces"); raw != "" {
		n, err := strconv.ParseInt(raw, 10, 64)
		if err != nil || n < 0 {
			return w, errs.New(errs.Invalid, "What is to be replaced is not the number of a deploy.")
		}
		w.replaces = n
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
	ci         deploys.CI
	ciFault    error // why ci is not known
	compared   bool  // between is known
	between    deploys.Range
	migrations deploys.Migrations
	commits    *templates.Trouble // why some of this is not known
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
	page := s.pageIn(c, "Confirm", o.target.App.Env)
	p := confirmView(o, w)
	page.Title = p.Page.Title
	p.Page, p.Who = page, page.User
	return s.draw(c, status, templates.Confirm(p))
}

// offer looks up what a wish means. errs.NotFound and errs.Invalid where it means nothing; a registry or a Gitea that
// cannot be reached is part of the offer.
func (s *Server) offer(ctx context.Context, t deploys.Target, w wish) (offer, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var o offer
	var err error
	if o.target, err = s.target(ctx, t, true); err != nil {
		return o, err
	}
	if w.rollback != "" {
		err = s.lookBack(ctx, w, &o)
	} else {
		err = s.lookUp(ctx, w, &o)
	}
	if err != nil {
		return o, err
	}
	if o.lost == nil { // Gitea is the registry: who waited for the one need not wait for the other too
		s.compare(ctx, &o)
	}
	return o, nil
}

// lookUp finds the image that a deploy is to bring.
func (s *Server) lookUp(ctx context.Context, w wish, o *offer) error {
	if err := s.Deploys.CheckImage(w.image); err != nil {
		o.lost, o.to = err, deploys.Version{Repository: o.target.App.Repository, Tag: foreign.Line(w.image, 64)}
		return nil
	}
	img, err := s.Catalog.Resolve(ctx, o.target.App.Repository, w.image)
	switch errs.KindOf(err) {
	case errs.NotFound, errs.Invalid:
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
	if w.rollback == "last" {
		newest, err := s.Deploys.History(ctx, t, 0, 1)
		if err != nil {
			return err
		}
		if len(newest) > 0 {
			back, v, ok, err := s.Deploys.LastGood(ctx, newest[0])
			if err != nil {
				return err
			}
			if ok {
				o.back, o.to = &back, v
				return nil
			}
		}
		return errs.New(errs.NotFound, "The portal knows no earlier image of %s that ran well. Deploy one from the list instead.", t)
	}
	id, err := strconv.ParseInt(w.rollback, 10, 64)
	if err != nil {
		return errs.New(errs.Invalid, "%q is not the number of a deploy.", foreign.Line(w.rollback, 64))
	}
	d, err := s.Deploys.Get(ctx, id)
	if err == nil && d.Target != t {
		err = errs.New(errs.NotFound, "There is no deploy %d of %s.", id, t)
	}
	if err != nil {
		return err
	}
	switch {
	case w.before && d.CanReturnBefore():
		o.to = d.From
	case !w.before && d.CanReturnTo():
		o.to = d.To
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
	req := deploys.Request{Target: targetOf(c), Image: w.image, Seen: deploys.Seen{From: get("seen_from"), To: get("seen_to")},
		Replaces: w.replaces, Actor: v.actor, Key: w.key, Reason: w.reason}
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
