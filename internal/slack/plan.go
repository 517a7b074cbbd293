package slack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"deployportal/internal/auth"
	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/foreign"
)

// offer is what a plan says: what somebody wants a target to run, held against what is known.
type offer struct {
	facts
	env     Env
	request deploys.Request
	image   deploys.Image // of a deploy, as the registry has it
	to      deploys.Version

	commit  deploys.Commit // of to
	between deploys.Range
	unread  string // why between is not known, a sentence; empty: it is
	checks  []deploys.Check
	mark    *deploys.BadImage // of to
	bad     string            // why what runs is marked as bad by this rollback; empty: it is not

	closed []objection // what nothing in Slack gets past
	asker  string      // the account's name; empty: nobody that may act
	only   string      // why the asker may only look, a sentence

	plan    string    // its id; empty: there is no button
	expires time.Time // of the plan
}

// objection is what stands against a plan, and what to do about it.
type objection struct{ sentence, fix string }

func (o *offer) object(sentence, fix string) { o.closed = append(o.closed, objection{sentence, fix}) }

func (o *offer) isBack() bool { return o.request.Return != nil }

// offerDeploy is the plan of a deploy.
func (d *Door) offerDeploy(ctx context.Context, a ask, c command) (Message, error) {
	app, err := d.find(&c)
	if err != nil {
		return Message{}, err
	}
	asking, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	tag, err := d.findImage(asking, app, c.image)
	var several ambiguous
	if errors.As(err, &several) {
		return sayChoices(app, several), nil
	}
	if err != nil {
		return Message{}, err
	}
	o := offer{request: deploys.Request{Target: app.Target, Image: tag, Reason: c.reason}}
	if o.image, err = d.Catalog.Resolve(asking, app.Repository, tag); err != nil {
		if errs.KindOf(err) == errs.NotFound {
			err = errs.Wrap(err, errs.NotFound, "%s", deploys.NotFound(errs.Public(err)))
		}
		return Message{}, late(asking, err, "The registry did not answer in time, so the image cannot be told. Try again.")
	}
	o.to = deploys.Version{Repository: o.image.Repository, Tag: o.image.Tag, Digest: o.image.Digest}
	return d.offer(ctx, a, app, o)
}

// late says in words that the time was over, where that is what err comes of.
func late(ctx context.Context, err error, sentence string) error {
	if ctx.Err() != nil {
		return errs.Wrap(err, errs.Unavailable, "%s", sentence)
	}
	return err
}

// offerBack is the plan of a rollback: to what ran well last, or to an image that is named.
func (d *Door) offerBack(ctx context.Context, a ask, c command) (Message, error) {
	app, err := d.find(&c)
	if err != nil {
		return Message{}, err
	}
	known, err := d.look(ctx, app)
	if err != nil {
		return Message{}, err
	}
	o := offer{request: deploys.Request{Target: app.Target, Reason: c.reason}}
	if c.image == "" {
		err = o.takes(d.Deploys.WayBack(ctx, app.Target, known[0].running))
	} else {
		err = d.earlier(ctx, app.Target, c.image, &o)
	}
	if err != nil {
		return Message{}, err
	}
	return d.offer(ctx, a, app, o)
}

// takes notes what a rollback brings back.
func (o *offer) takes(back deploys.ReturnTo, v deploys.Version, err error) error {
	o.request.Return, o.to = &back, v
	return err
}

// farBack is how many deploys of a target are looked at for an image to go back to.
const farBack = 100

// earlier finds the newest deploy that brought an image and ran well; else the newest that found it running well.
func (d *Door) earlier(ctx context.Context, t deploys.Target, word string, o *offer) error {
	history, err := d.Deploys.History(ctx, t, 0, farBack)
	if err != nil {
		return err
	}
	tags := map[string]bool{}
	for _, before := range []bool{false, true} {
		for _, past := range history {
			to, ran := past.To, past.CanReturnTo()
			if before {
				to, ran = past.From, past.CanReturnBefore()
			}
			if !ran || !means(word, to.Tag) && word != to.Digest {
				continue
			}
			tags[to.Tag] = true
			if o.request.Return == nil {
				o.request.Return, o.to = &deploys.ReturnTo{Deploy: past.ID, Before: before}, to
			}
		}
	}
	switch shown := foreign.Line(word, 80); {
	case len(tags) > 1:
		return errs.New(errs.Invalid, "%s names several images that ran in %s: %s. Give more of it.", shown, t, listed(slices.Sorted(maps.Keys(tags)), "and"))
	case len(tags) == 0:
		return errs.New(errs.NotFound, "The portal knows of no %s that ran well in %s. A rollback only goes back to what did; deploy it instead: /deploy %s %s to %s",
			shown, t, t.App, shown, t.Env)
	}
	return nil
}

// offer holds what is wanted against what is known, and keeps a plan of it for who may set it going.
func (d *Door) offer(ctx context.Context, a ask, app deploys.App, o offer) (Message, error) {
	known, err := d.look(ctx, app)
	if err != nil {
		return Message{}, err
	}
	o.facts, o.env = known[0], d.envOf(app.Env)
	marks, err := d.Deploys.Marks(ctx)
	if err != nil {
		return Message{}, err
	}
	o.mark = marks.Of(o.to)
	why, err := d.Deploys.WhyBad(ctx, app.Target, o.running)
	if err != nil {
		return Message{}, err
	}
	o.condemn(why)
	d.compare(ctx, &o)
	o.judge()
	d.whoAsks(ctx, a, &o)
	if len(o.closed) > 0 || o.only != "" {
		return sayPlan(o, d.links()), nil
	}
	o.request.Seen = deploys.Seen{From: o.running.ID(), To: o.to.ID()}
	p, err := keep(ctx, d.DB, plan{who: a.who, command: o.command(), request: o.request})
	if err != nil {
		return Message{}, err
	}
	o.plan, o.expires = p.id, p.expires
	return sayPlan(o, d.links()), nil
}

// command is what is meant, in one form for all the ways to type it.
func (o *offer) command() string {
	verb := verbDeploy
	if o.isBack() {
		verb = verbRollback
	}
	return foreign.Line(fmt.Sprintf("%s %s %s %s", verb, o.app.Target, o.to.ID(), o.request.Reason), mostTyped)
}

func (d *Door) envOf(name string) Env {
	for _, e := range d.Envs {
		if e.Name == name {
			return e
		}
	}
	return Env{Name: name}
}

// compare asks Gitea what lies between what runs and what comes, and what a deploy would meet. What it cannot tell is said.
func (d *Door) compare(ctx context.Context, o *offer) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	app, from, to := o.app, o.running.Tag, o.to.Tag
	o.commit, _ = d.Catalog.CachedCommit(app.Git, to)
	var beside together
	switch {
	case app.Git == "":
		o.unread = "No git repository is configured for " + app.App + ", so which commits come and go is not known."
	case !deploys.TagPattern.MatchString(to):
		o.unread = "What will run has no tag that names a commit, so which commits come and go is not known."
	default:
		if o.commit.SHA == "" {
			beside.do(func() {
				if c, err := d.Catalog.Commit(ctx, app.Git, to); err == nil {
					o.commit = c
				}
			})
		}
		if !deploys.TagPattern.MatchString(from) {
			o.unread = "What runs now has no tag that names a commit, so which commits come and go is not known."
			break
		}
		beside.do(func() {
			between, err := d.Catalog.Range(ctx, app.Git, from, to)
			if err != nil {
				o.unread = "Which commits come and go is not known: " + errs.Public(late(ctx, err, "Gitea did not answer in time."))
			}
			o.between = between
		})
	}
	if d.Preflight != nil && o.trouble == nil && o.rollout.Exists {
		kind := deploys.KindDeploy
		if o.isBack() {
			kind = deploys.KindRollback
		}
		beside.do(func() {
			o.checks = d.Preflight.Checks(ctx, deploys.Plan{App: app, Kind: kind, Image: o.image, From: o.running, To: o.to, Seen: o.rollout})
		})
	}
	beside.wait()
}

// condemn has a rollback mark what runs as bad where its deploy tells why (empty: it does not), as the browser's form proposes it.
func (o *offer) condemn(why string) {
	if why == "" || !o.isBack() || o.running.Digest == "" || o.to.Same(o.running) {
		return
	}
	o.bad, o.request.MarkBad = cmp.Or(o.request.Reason, why), true
}

// judge finds what Slack's button cannot get past. Service.Start decides; this is only not to offer what it refuses.
func (o *offer) judge() {
	t := o.app.Target
	switch {
	case o.trouble != nil:
		o.object(errs.Public(o.trouble), "A deploy is possible once the cluster is seen again.")
		return
	case !o.rollout.Exists:
		o.object(fmt.Sprintf("There is no Deployment %s in namespace %s.", o.app.Workload, o.app.Namespace), "")
		return
	}
	if err := deploys.Misconfigured(o.app, o.rollout); err != nil {
		o.object(errs.Public(err), "")
	}
	undoes := o.isBack() && o.request.Return.Before && o.to.Restarted != o.running.Restarted // a restart, of the same image
	if o.to.Same(o.running) && !undoes {
		o.object(fmt.Sprintf("%s runs %s already.", t, o.to.Short()), "Choose another image, or restart it in the browser to get new pods.")
	}
	if a := o.active; a != nil {
		o.object(fmt.Sprintf("Deploy %d to %s, asked for by %s, is under way.", a.ID, a.To.Short(), a.ActorName), "Wait until it is over, or take its place in the browser.")
	}
	for _, l := range o.locks {
		switch {
		case !o.isBack():
			o.object(l.Says()+" "+l.Keeps(t), l.OwnerName+" or an admin can unlock it.")
		case o.request.Reason == "":
			o.object(l.Says(), fmt.Sprintf("A rollback passes the lock with a reason: /deploy rollback %s in %s because ...", t.App, t.Env))
		}
	}
	if o.mark != nil && o.request.Reason == "" {
		o.object(o.mark.Says(), "If it is to run all the same, ask again with a reason at the end: because ...")
	}
	for _, c := range o.checks {
		if c.Finding == deploys.Block {
			o.object(c.Sentence, strings.TrimSpace(c.Fix+" An admin can override that with a reason, in the browser."))
		}
	}
}

// whoAsks finds out whether the asker may set the plan going.
func (d *Door) whoAsks(ctx context.Context, a ask, o *offer) {
	actor, err := d.People.SlackActor(ctx, a.who)
	if err == nil {
		o.asker = actor.Name
		err = d.Policy.Allow(actor, auth.Deploy, o.app.Env)
	}
	if err != nil {
		o.only = errs.Public(err)
	}
}
