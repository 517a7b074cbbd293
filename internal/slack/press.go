package slack

import (
	"context"
	"strconv"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// said is what a press is answered with; replaces: in the place of the message that has the button.
type said struct {
	message  Message
	replaces bool
}

// pressed answers a press of a button.
func (d *Door) pressed(ctx context.Context, a ask) {
	if a.action == actionOpen { // a link, which the browser has followed
		return
	}
	var s said
	s.message = d.guarded(a, func() Message {
		switch a.action {
		case actionDeploy, actionCancel:
			// Presses side by side are one: the later are told what the first began.
			one, _, _ := d.presses.Do(a.action+" "+a.value+" "+a.who.Team+" "+a.who.User, func() (any, error) {
				if a.action == actionCancel {
					return d.cancelPlan(ctx, a), nil
				}
				return d.startPlan(ctx, a), nil
			})
			s.replaces = one.(said).replaces
			return one.(said).message
		case actionRollback:
			return d.pressedBack(ctx, a)
		}
		return saySorry(errs.New(errs.Invalid, "This button is not known any more. Ask again with a command."), a.request)
	})
	d.respond(a, s.replaces, s.message)
}

// startPlan sets a plan going, once. Rights are those of now, and the service asks for them.
func (d *Door) startPlan(ctx context.Context, a ask) said {
	actor, err := d.People.SlackActor(ctx, a.who)
	if err != nil { // the plan stays: who links the account can press it then
		d.refuse(ctx, a, err)
		return said{message: saySorry(err, a.request)}
	}
	p, first, sorry := d.takePlan(ctx, a)
	switch {
	case sorry != nil:
		return *sorry
	case !first:
		return d.sayWas(ctx, a, p)
	}
	p.request.Actor, p.request.Key = actor.From(a.who.Addr(), a.request), p.key()
	deploy, err := d.Deploys.Start(ctx, p.request)
	if err != nil {
		d.Log.Info("slack: a deploy is refused", "request", a.request, "err", err)
		return said{saySorry(err, a.request), true}
	}
	if err := began(context.WithoutCancel(ctx), d.DB, p.id, deploy.ID); err != nil {
		d.Log.Error("slack: a plan does not know what it began", "request", a.request, "deploy", deploy.ID, "err", err)
	}
	return said{sayBegun(deploy, d.links()), true}
}

func (d *Door) cancelPlan(ctx context.Context, a ask) said {
	p, first, sorry := d.takePlan(ctx, a)
	switch {
	case sorry != nil:
		return *sorry
	case !first:
		return d.sayWas(ctx, a, p)
	}
	return said{sayWords("Cancelled. Nothing was sent."), true}
}

// takePlan is take, with what is to be said of an error; one that is about somebody else's plan is noted.
func (d *Door) takePlan(ctx context.Context, a ask) (p plan, first bool, sorry *said) {
	p, first, err := take(ctx, d.DB, a.value, a.who)
	if err == nil {
		return p, first, nil
	}
	if errs.KindOf(err) == errs.Forbidden {
		d.refuse(ctx, a, err)
	}
	// Whose plan it is not must not be able to take it off somebody's screen.
	return p, false, &said{saySorry(err, a.request), errs.KindOf(err) == errs.Conflict || errs.KindOf(err) == errs.NotFound}
}

// sayWas says what came of a plan that is ended.
func (d *Door) sayWas(ctx context.Context, a ask, p plan) said {
	if p.deploy == 0 {
		return said{sayWords("This plan is over: it was pressed, cancelled, or asked for anew. What came of it: `/deploy log " + escape(p.request.Target.App) + "`"), true}
	}
	deploy, err := d.Deploys.Get(ctx, p.deploy)
	if err != nil {
		return said{message: saySorry(err, a.request)}
	}
	return said{sayBegun(deploy, d.links()), true}
}

// pressedBack answers the button below a deploy in the channel with a plan of going back, for who has pressed alone.
func (d *Door) pressedBack(ctx context.Context, a ask) Message {
	m, err := d.planBack(ctx, a)
	if err != nil {
		return saySorry(err, a.request)
	}
	return m
}

func (d *Door) planBack(ctx context.Context, a ask) (Message, error) {
	id, err := strconv.ParseInt(a.value, 10, 64)
	if err != nil {
		return Message{}, errs.New(errs.Invalid, "The button names no deploy.")
	}
	of, err := d.Deploys.Get(ctx, id)
	if err != nil {
		return Message{}, err
	}
	app, err := d.Cluster.App(of.Target)
	if err != nil {
		return Message{}, err
	}
	o := offer{request: deploys.Request{Target: of.Target}}
	if err := o.takes(d.Deploys.BackBefore(ctx, of)); err != nil {
		return Message{}, err
	}
	return d.offer(ctx, a, app, o)
}
