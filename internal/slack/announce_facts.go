package slack

import (
	"context"
	"fmt"
	"strings"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// telling gathers what the message of a deploy is made of.
func (a *announcer) telling(ctx context.Context, id int64) (telling, error) {
	d, err := a.Deploys.Get(ctx, id)
	if err != nil {
		return telling{}, fmt.Errorf("reading deploy %d: %w", id, err)
	}
	t := telling{deploy: d, voice: newVoice(a.Options, a.env(d.Target.Env)), at: links(strings.TrimRight(a.PublicURL, "/"))}
	app, err := a.Cluster.App(d.Target)
	if err != nil && errs.KindOf(err) != errs.NotFound {
		return t, err
	}
	if t.app = app; err == nil && d.To.Tag != "" {
		if c, ok := a.Catalog.CachedCommit(app.Git, d.To.Tag); ok {
			t.subject = c.Subject
		}
	}
	if d.Active() {
		return t, nil
	}
	if t.answer, t.answered, err = a.answers(ctx, d); err != nil || d.Status != deploys.Failed {
		return t, err
	}
	_, back, ok, err := a.Deploys.LastGood(ctx, d)
	if ok {
		t.back = back.Short()
	}
	return t, err
}

// answers finds the newest rollback that answers a deploy, and whether it has been rolled back or is about to: as its page does.
func (a *announcer) answers(ctx context.Context, d deploys.Deploy) (newest *deploys.Deploy, answered bool, err error) {
	all, err := a.Deploys.Answers(ctx, d)
	for _, r := range all {
		if !r.TakesBack(d) {
			continue
		}
		if newest == nil || r.ID > newest.ID {
			newest = &r
		}
		answered = answered || r.Holds()
	}
	return newest, answered, err
}
