package gitea

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

const (
	pollEvery  = 60 * time.Second
	lookAgain  = 500 * time.Millisecond // while there is no app: right after a start the cluster has not named any
	maxBackoff = 5 * time.Minute
	parallel   = 4
)

// Run keeps the lists of the apps fresh until ctx ends: all of them as soon as there are any, then every 60 s, at most 4 at a time.
// While Gitea cannot be reached it asks less and less often, up to every 5 min, and for one app only. It returns when
// its last call has ended.
func (c *Client) Run(ctx context.Context, apps func() []deploys.App) {
	for failed := 0; ; {
		list := distinct(apps())
		if c.round(ctx, list, failed > 0) {
			failed = 0
		} else {
			failed++
		}
		wait := backoff(failed)
		if len(list) == 0 {
			wait = lookAgain
		}
		select {
		case <-ctx.Done():
			return
		case <-c.after(wait):
		}
	}
}

// backoff is the wait after so many failed rounds in a row.
func backoff(failed int) time.Duration {
	return min(pollEvery<<min(max(failed-1, 0), 8), maxBackoff)
}

// distinct leaves out environments that share an app's list.
func distinct(apps []deploys.App) []deploys.App {
	seen := map[listKey]bool{}
	var out []deploys.App
	for _, a := range apps {
		if !seen[keyOf(a)] {
			seen[keyOf(a)] = true
			out = append(out, a)
		}
	}
	return out
}

// round refreshes every app and tells whether Gitea could be reached. After a failed round the first app is the
// scout: the others are asked only once it got an answer.
func (c *Client) round(ctx context.Context, apps []deploys.App, scout bool) bool {
	if len(apps) == 0 || c.leftAlone() {
		return true
	}
	if scout {
		if !reached(c.Refresh(ctx, apps[0])) {
			return false
		}
		apps = apps[1:]
	}
	ok := make([]bool, len(apps))
	var g errgroup.Group
	g.SetLimit(parallel)
	for i, a := range apps {
		g.Go(func() error {
			ok[i] = ctx.Err() != nil || c.leftAlone() || reached(c.Refresh(ctx, a))
			return nil
		})
	}
	_ = g.Wait() // the functions return no error
	for _, o := range ok {
		if !o {
			return false
		}
	}
	return true
}

// reached tells whether Gitea answered, whatever it said.
func reached(l deploys.List) bool { return errs.KindOf(l.Err) != errs.Unavailable }
