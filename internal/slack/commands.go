package slack

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"deployportal/internal/auth"
	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// command answers a command.
func (d *Door) command(ctx context.Context, a ask) Message {
	m, err := d.commanded(ctx, a)
	if err != nil {
		if errs.KindOf(err) == errs.Internal {
			d.Log.Error("slack: a command failed", "request", a.request, "err", err)
		}
		return saySorry(err, a.request)
	}
	return m
}

func (d *Door) commanded(ctx context.Context, a ask) (Message, error) {
	c, err := parse(a.text)
	if err != nil {
		return Message{}, err
	}
	switch c.verb {
	case verbHome:
		return sayHome(d.Cluster.Apps()), nil
	case verbDeploy:
		return d.offerDeploy(ctx, a, c)
	case verbRollback:
		return d.offerBack(ctx, a, c)
	case verbList:
		return d.list(ctx, c)
	case verbStatus:
		return d.status(ctx, c)
	case verbLog:
		return d.log(ctx, c)
	case verbLock:
		return d.lock(ctx, a, c)
	case verbUnlock:
		return d.unlock(ctx, a, c)
	case verbLink:
		return d.link(ctx, a, c)
	case verbUnlink:
		if err := d.People.UnlinkSlack(ctx, a.who, a.request); err != nil {
			return Message{}, err
		}
		return sayWords("You are not linked any more. You can still look; to deploy from here, link your account again."), nil
	}
	return sayHelp(), nil
}

// apps gives the app that a command means, in the environment it names or in all.
func (d *Door) apps(c command) ([]deploys.App, error) {
	switch {
	case c.app == "":
		return d.Cluster.Apps(), nil
	case c.env == "":
		return d.named(c.app)
	}
	app, err := d.find(&c)
	return []deploys.App{app}, err
}

// about is how long a list waits for CI states that were never read.
const about = 2 * time.Second

func (d *Door) list(ctx context.Context, c command) (Message, error) {
	apps, err := d.apps(c)
	if err != nil {
		return Message{}, err
	}
	known, err := d.look(ctx, apps...)
	if err != nil {
		return Message{}, err
	}
	asking, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	l := images{app: apps[0], list: d.Catalog.Images(asking, apps[0]), runs: map[string][]string{}, voice: newVoice(d.Options, Env{})}
	for _, f := range known {
		l.envs = append(l.envs, f.app.Env)
		if f.running.Tag != "" {
			l.runs[f.running.Tag] = append(l.runs[f.running.Tag], f.app.Env)
		}
	}
	if l.marks, err = d.Deploys.Marks(ctx); err != nil {
		return Message{}, err
	}
	running := known[0].running.Tag
	wait := time.NewTimer(about)
	defer wait.Stop()
	select {
	case <-d.Catalog.Ask(apps[0], running):
	case <-wait.C:
	case <-asking.Done():
	}
	l.about = d.Catalog.About(apps[0], running)
	return sayImages(l, d.links()), nil
}

func (d *Door) status(ctx context.Context, c command) (Message, error) {
	apps, err := d.apps(c)
	if err != nil {
		return Message{}, err
	}
	known, err := d.look(ctx, apps...)
	if err != nil {
		return Message{}, err
	}
	return sayStatus(known, d.links()), nil
}

// mostPast is how many deploys a log shows.
const mostPast = 8

func (d *Door) log(ctx context.Context, c command) (Message, error) {
	apps, err := d.apps(c)
	if err != nil {
		return Message{}, err
	}
	var past []deploys.Deploy
	for _, app := range apps {
		some, err := d.Deploys.History(ctx, app.Target, 0, mostPast)
		if err != nil {
			return Message{}, err
		}
		past = append(past, some...)
	}
	for i, p := range past { // it may quote the log of a container
		past[i].Sentence = newVoice(d.Options, d.envOf(p.Target.Env)).clear(p.Sentence)
	}
	slices.SortFunc(past, func(a, b deploys.Deploy) int { return cmp.Compare(b.ID, a.ID) })
	voices := func(env string) voice { return newVoice(d.Options, d.envOf(env)) }
	return sayLog(apps, past[:min(len(past), mostPast)], voices, d.links()), nil
}

// actor gives who asks, for what only a linked account may do. That somebody could not be known is noted.
func (d *Door) actor(ctx context.Context, a ask) (auth.Actor, error) {
	actor, err := d.People.SlackActor(ctx, a.who)
	if err != nil {
		d.refuse(ctx, a, err)
		return actor, err
	}
	return actor.From(a.who.Addr(), a.request), nil
}

func (d *Door) lock(ctx context.Context, a ask, c command) (Message, error) {
	app, err := d.find(&c)
	if err != nil {
		return Message{}, err
	}
	actor, err := d.actor(ctx, a)
	if err != nil {
		return Message{}, err
	}
	l, err := d.Deploys.Lock(ctx, deploys.LockRequest{Scope: deploys.Scope(app.Target), Reason: c.reason, For: c.lasts, Actor: actor})
	if err != nil {
		return Message{}, err
	}
	return sayWords(escape(l.Says()) + " Until then nothing is deployed to it; a rollback passes with a reason."), nil
}

func (d *Door) unlock(ctx context.Context, a ask, c command) (Message, error) {
	app, err := d.find(&c)
	if err != nil {
		return Message{}, err
	}
	actor, err := d.actor(ctx, a)
	if err != nil {
		return Message{}, err
	}
	locks, err := d.Deploys.Locks(ctx)
	if err != nil {
		return Message{}, err
	}
	for _, l := range locks {
		if l.Scope == deploys.Scope(app.Target) {
			if err := d.Deploys.Unlock(ctx, actor, l.ID); err != nil {
				return Message{}, err
			}
			return sayWords(text(fmt.Sprintf("%s is unlocked. %s had locked it: “%s”.", app, l.OwnerName, l.Reason), 700)), nil
		}
	}
	for _, l := range locks {
		if l.Scope.Covers(app.Target) {
			return Message{}, errs.New(errs.NotFound, "%s That is more than %s, so it is unlocked in the browser.", l.Says(), app.Target)
		}
	}
	return Message{}, errs.New(errs.NotFound, "%s is not locked.", app.Target)
}

func (d *Door) link(ctx context.Context, a ask, c command) (Message, error) {
	l, err := d.People.RedeemLink(ctx, strings.TrimSpace(c.code), a.who, a.request)
	if err != nil {
		return Message{}, err
	}
	return sayWords("You are linked to the account *" + escape(l.Account) + "*. What you ask for here is done in its name. The portal's account page shows the link; `/deploy unlink` ends it."), nil
}
