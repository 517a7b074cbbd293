package gitea

import (
	"cmp"
	"context"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/foreign"
)

// How long a state is believed. A build that has ended may be run again, but seldom is; where nothing was reported for
// an hour after the commit, nothing will be.
const (
	endedFor    = 10 * time.Minute
	pendingFor  = 15 * time.Second
	reportsIn   = time.Hour
	givenUpFrom = 24 * time.Hour // a build that hangs since then
)

type ciEntry struct {
	ci    deploys.CI
	until time.Time
}

type apiStatuses struct {
	State    string `json:"state"`
	Total    int    `json:"total_count"`
	Statuses []struct {
		Status    string `json:"status"`
		Context   string `json:"context"`
		TargetURL string `json:"target_url"`
	} `json:"statuses"`
}

// CI gives the combined state of the commits that tags (or SHAs) of a git repository name. It asks for those it does
// not know, 4 at a time, so call it with what a page shows. What has ended is believed for ten minutes, what has not
// for 15 s, unless the commit is so old that nothing is to be expected. Tags that name no commit are left out. The
// error is the first fault; what is known is given beside it, an old state too. Errors as Commit.
func (c *Client) CI(ctx context.Context, git string, tags ...string) (map[string]deploys.CI, error) {
	known := map[string]deploys.CI{}
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, tag := range tags {
		sha := c.fullSHA(git, tag)
		if !isSHA(sha) {
			continue
		}
		entry, ok := c.states.get(refKey{git, sha})
		if ok {
			mu.Lock()
			known[tag] = entry.ci
			mu.Unlock()
		}
		if ok && c.now().Before(entry.until) || c.unknownCommit(git, sha) {
			continue
		}
		g.Go(func() error {
			ci, err := c.readCI(gctx, git, sha)
			if errs.KindOf(err) == errs.NotFound {
				return nil
			}
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			known[tag] = ci
			return nil
		})
	}
	return known, g.Wait()
}

// CachedCI gives the state of the commit a tag or SHA names as last seen, from memory only.
func (c *Client) CachedCI(git, tagOrSHA string) (deploys.CI, bool) {
	entry, ok := c.states.get(refKey{git, c.fullSHA(git, tagOrSHA)})
	return entry.ci, ok
}

// fullSHA is the commit's whole name where it is known, else what was given, so that a short tag and its SHA share
// what is known of them.
func (c *Client) fullSHA(git, ref string) string {
	ref = strings.ToLower(ref)
	if commit, ok := c.commits.find(git, ref); ok {
		return commit.SHA
	}
	return ref
}

func (c *Client) readCI(ctx context.Context, git, sha string) (deploys.CI, error) {
	owner, repo, err := splitGit(git)
	if err != nil {
		return deploys.CI{}, err
	}
	var got apiStatuses
	if _, err := c.get(ctx, "repos/"+segments(owner, repo, "commits", sha, "status"), nil, &got); err != nil {
		err = c.apiFault("GET status "+git+" "+sha, err, "the CI states of "+git, "Gitea has no commit "+deploys.ShortTag(sha)+" in "+git+".")
		if errs.KindOf(err) == errs.NotFound {
			c.commits.unknown.put(refKey{git, sha}, c.now().Add(unknownFor))
		}
		return deploys.CI{}, err
	}
	ci := got.ci()
	c.states.put(refKey{git, sha}, ciEntry{ci, c.now().Add(c.lifeOf(git, sha, ci.State))})
	return ci, nil
}

func (c *Client) lifeOf(git, sha string, state deploys.CIState) time.Duration {
	commit, known := c.commits.find(git, sha)
	age := c.now().Sub(commit.At)
	switch {
	case state == deploys.CISuccess || state == deploys.CIFailure,
		known && state == deploys.CINone && age > reportsIn, known && age > givenUpFrom:
		return endedFor
	}
	return pendingFor
}

// ci makes the domain's state. Gitea calls a commit nobody reported on "pending"; an unknown word is pending too,
// because nothing has been proved.
func (a apiStatuses) ci() deploys.CI {
	ci := deploys.CI{State: deploys.CIPending, Total: max(a.Total, len(a.Statuses))}
	switch {
	case ci.Total == 0:
		return deploys.CI{State: deploys.CINone}
	case a.State == "success":
		ci.State = deploys.CISuccess
	case a.State == "failure" || a.State == "error" || a.State == "warning":
		ci.State = deploys.CIFailure
	}
	const most = 10
	var first, failed, waiting string
	for _, s := range a.Statuses {
		name, link := foreign.Line(s.Context, 100), webURL(s.TargetURL)
		first = cmp.Or(first, link)
		switch s.Status {
		case "success", "skipped":
		case "failure", "error", "warning":
			failed = cmp.Or(failed, link)
			if len(ci.Failed) < most {
				ci.Failed = append(ci.Failed, name)
			}
		default:
			waiting = cmp.Or(waiting, link)
			if len(ci.Waiting) < most {
				ci.Waiting = append(ci.Waiting, name)
			}
		}
	}
	ci.URL = cmp.Or(failed, waiting, first)
	return ci
}
