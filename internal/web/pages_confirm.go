package web

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"regexp"
	"strconv"

	"github.com/labstack/echo/v4"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
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

	markBad, lockTarget bool // the ticks of a rollback

	refused error // why the last try did not succeed
}

func readWish(get func(string) string) (wish, error) {
	w := wish{image: get("image"), rollback: get("rollback_to"), before: get("before") == "1", reason: get("reason"), key: get("key"),
		markBad: get("mark_bad") == "1", lockTarget: get("lock") == "1"}
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
	target    targetFacts
	back      *deploys.ReturnTo // nil for a deploy
	to        deploys.Version
	image     deploys.Image // of a deploy, as the registry has it
	commit    deploys.Commit
	lost      error // why the image to come cannot be told; the wish cannot be granted then
	between   deploys.Range
	undone    []deploys.Commit
	noCommits string
	behind
}

func (s *Server) confirm(c echo.Context) error {
	w, err := readWish(c.QueryParam)
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
	p := confirmView(o, w, page.Now)
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
	s.compare(ctx, &o)
	return o, s.lookBehind(ctx, &o)
}

// lookUp finds the image that a deploy is to bring.
func (s *Server) lookUp(ctx context.Context, w wish, o *offer) error {
	img, err := s.Catalog.Resolve(ctx, o.target.App.Repository, w.image)
	switch errs.KindOf(err) {
	case errs.NotFound, errs.Invalid:
		return err
	}
	if err != nil {
		o.lost, o.to = err, deploys.Version{Repository: o.target.App.Repository, Tag: w.image}
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
		return errs.New(errs.Invalid, "%q is not the number of a deploy.", cut(w.rollback))
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

var shaLike = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

// compare tells which commits come and go. That it cannot be told is said and stops nothing.
func (s *Server) compare(ctx context.Context, o *offer) {
	app, from, to := o.target.App, o.target.Running.Tag, o.to.Tag
	o.commit = s.commit(app, o.to)
	switch {
	case o.lost != nil:
		o.noCommits = "Which commits lie between the two is not looked up while the registry does not answer."
		return
	case app.Git == "":
		o.noCommits = "No git repository is configured for " + app.App + ", so commits cannot be told."
		return
	case !shaLike.MatchString(from):
		o.noCommits = "What runs now has no tag that names a commit, so commits cannot be told."
		return
	case !shaLike.MatchString(to):
		o.noCommits = "What will run has no tag that names a commit, so commits cannot be told."
		return
	}
	if o.commit.SHA == "" {
		if c, err := s.Catalog.Commit(ctx, app.Git, to); err == nil {
			o.commit = c
		}
	}
	var err error
	if o.between, err = s.Catalog.Range(ctx, app.Git, from, to); err != nil {
		o.noCommits = errs.Public(err)
		return
	}
	if o.between.Behind > 0 {
		back, err := s.Catalog.Range(ctx, app.Git, to, from)
		if err == nil {
			o.undone = back.Ahead
		}
	}
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
		Replaces: w.replaces, Actor: v.actor, Key: w.key, Reason: w.reason,
		MarkBad: w.markBad, LockTarget: w.lockTarget}
	if w.rollback != "" {
		id, err := strconv.ParseInt(w.rollback, 10, 64)
		if err != nil {
			return errs.New(errs.Invalid, "%q is not the number of a deploy.", cut(w.rollback))
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

// cut makes what somebody typed fit for a sentence.
func cut(s string) string {
	if r := []rune(s); len(r) > 64 {
		return string(r[:64]) + "…"
	}
	return s
}
