package deploys

import (
	"context"

	"deployportal/internal/auth"
	"deployportal/internal/errs"
)

// resolve fills in what shall run; of a deploy also the plan's image.
func (s *Service) resolve(ctx context.Context, app App, req Request, d *Deploy, plan *Plan) error {
	switch {
	case req.Restart:
		d.Kind = KindRestart
		return nil // compare fills in what runs
	case req.Adopt != 0:
		d.Kind = KindAdopt
		return nil
	case req.Return == nil:
		img, err := s.registry.Resolve(ctx, app.Repository, req.Image)
		if err != nil {
			return err
		}
		plan.Image, d.To = img, deployedVersion(app, img)
		return nil
	}
	d.Kind, d.RollbackOf = KindRollback, req.Return.Deploy
	if req.Return.Change != 0 {
		return s.resolveChange(ctx, req, d)
	}
	back, err := s.Get(ctx, req.Return.Deploy)
	switch {
	case err != nil:
		return err
	case s.policy.Allow(req.Actor, auth.View, back.Target.Env) != nil:
		return NoDeploy(back.ID)
	case back.Target != req.Target:
		return errs.New(errs.Invalid, "Deploy %d was of %s, not of %s. Choose one of this app's history.", back.ID, back.Target, req.Target)
	case req.Return.Before && back.CanReturnBefore():
		d.To = back.From
	case !req.Return.Before && back.CanReturnTo():
		d.To = back.Ran()
	case req.Return.Before:
		return errs.New(errs.Invalid, "What ran before deploy %d did not run well, so nothing goes back to it. Choose another image.", back.ID)
	default:
		return errs.New(errs.Invalid, "Deploy %d did not succeed, so nothing goes back to it. Choose another image.", back.ID)
	}
	return nil
}

// resolveChange fills in what ran before an outside change.
func (s *Service) resolveChange(ctx context.Context, req Request, d *Deploy) error {
	c, err := s.change(ctx, req.Target, req.Return.Change)
	switch {
	case err != nil:
		return err
	case !c.From.Healthy || len(c.From.Images) == 0:
		return errs.New(errs.Invalid, "What ran before that change was not seen healthy, so nothing goes back to it. Choose another image.")
	}
	d.RollbackOf, d.To = 0, c.From
	return nil
}

// compare fills in what runs, and refuses what would do nothing or something else than was seen.
func (s *Service) compare(ctx context.Context, app App, req Request, d *Deploy, plan *Plan) error {
	r, err := s.cluster.Rollout(req.Target)
	if err != nil {
		return err
	}
	plan.Seen = r
	if !r.Exists {
		return errs.New(errs.NotFound, "There is no Deployment %s in namespace %s. Create it, or correct the configuration of %s.", app.Workload, app.Namespace, app.App)
	}
	for name := range d.To.Images {
		if err := lacks(app, r, name); err != nil {
			return err
		}
	}
	d.From = runningVersion(app, r)
	if req.Restart || req.Adopt != 0 {
		if err := asIs(app, r, d); err != nil {
			return err
		}
	} else if d.Kind == KindDeploy {
		d.To.Restarted = d.From.Restarted
	}
	if req.Seen.From != "" && req.Seen.From != d.From.ID() {
		return errs.New(errs.Conflict, "%s does not run what you were shown (%s) but %s (%s). Look again and confirm anew.",
			d.Target, req.Seen.From, d.From.Short(), d.From.ID())
	}
	if req.Seen.To != "" && req.Seen.To != d.To.ID() {
		return errs.New(errs.Conflict, "The tag %s does not name what you were shown (%s) any more but %s. Look again and confirm anew.",
			d.To.Short(), req.Seen.To, d.To.ID())
	}
	if req.Restart || req.Adopt != 0 {
		return s.proofs(ctx, &d.To, d.Target)
	}
	undoes := req.Return != nil && req.Return.Before && d.To.Restarted != d.From.Restarted // a restart, of the same image
	if !undoes && same(d.To, d.From) {
		if d.From.Healthy {
			return errs.New(errs.Invalid, "%s already runs %s. Nothing was sent. Choose another image, or restart it to get new pods.", d.Target, d.To.Short())
		}
		return errs.New(errs.Invalid, "%s is already set to %s, though it is not healthy. Setting it again would change nothing, so nothing was sent. Roll back, choose another image, or restart it to get new pods.", d.Target, d.To.Short())
	}
	return nil
}

// Misconfigured tells, as errs.Invalid, that a configured container is not in the workload: no deploy can be meant then.
func Misconfigured(app App, r Rollout) error {
	for _, name := range app.Containers {
		if err := lacks(app, r, name); err != nil {
			return err
		}
	}
	return nil
}

func lacks(app App, r Rollout, name string) error {
	if _, ok := r.Images[name]; ok {
		return nil
	}
	return errs.New(errs.Invalid, "The Deployment %s has no container %q; it has %s. Correct the configuration of %s.",
		app.Workload, name, names(r.Images), app.App)
}

// same tells whether every container already has the image it shall get: the same string, the same digest, or the same
// tag whose digest the running pods prove.
func same(to, from Version) bool {
	for name, want := range to.Images {
		have := from.Images[name]
		wantRepo, wantTag, wantDigest := SplitImage(want)
		haveRepo, haveTag, haveDigest := SplitImage(have)
		proven := haveDigest == "" && from.Same(to) && haveRepo == wantRepo && haveTag == wantTag
		if have != want && !proven && (wantDigest == "" || wantDigest != haveDigest) {
			return false
		}
	}
	return true
}
