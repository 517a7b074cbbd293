package gitea

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/foreign"
)

// unknownFor is how long a tag that names no commit is not asked about again. Images can be pushed before the
// commit is, so it must end; an unchanged app should cost one call, so it must not end soon.
const unknownFor = 10 * time.Minute

// shaPrefix is the shortest name of a commit the portal deals in, and the key of the cache.
const shaPrefix = 7

type shaKey struct{ git, prefix string }

type refKey struct{ git, ref string }

type rangeKey struct{ git, from, to string }

// commits remembers commits, which never change, and for a while which references name none.
type commits struct {
	mu      sync.Mutex
	known   *lru[shaKey, []deploys.Commit]
	unknown *lru[refKey, time.Time] // until when
}

func newCommits(limit int) *commits {
	return &commits{known: newLRU[shaKey, []deploys.Commit](limit), unknown: newLRU[refKey, time.Time](limit)}
}

// find gives the one known commit whose SHA begins with ref.
func (s *commits) find(git, ref string) (found deploys.Commit, ok bool) {
	if len(ref) < shaPrefix {
		return found, false
	}
	all, _ := s.known.get(shaKey{git, ref[:shaPrefix]})
	for _, c := range all {
		if strings.HasPrefix(c.SHA, ref) {
			if ok {
				return deploys.Commit{}, false // two answer to it: better none than the wrong one
			}
			found, ok = c, true
		}
	}
	return found, ok
}

func (s *commits) add(git string, c deploys.Commit) {
	if len(c.SHA) < shaPrefix {
		return
	}
	s.mu.Lock() // between get and put
	defer s.mu.Unlock()
	key := shaKey{git, c.SHA[:shaPrefix]}
	all, _ := s.known.get(key)
	for _, o := range all {
		if o.SHA == c.SHA {
			return
		}
	}
	if len(all) < 8 {
		s.known.put(key, append(append([]deploys.Commit(nil), all...), c))
	}
}

// isSHA tells whether s can name a commit.
func isSHA(s string) bool {
	return len(s) >= shaPrefix && len(s) <= 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// splitGit takes "owner/name" apart.
func splitGit(git string) (owner, repo string, err error) {
	owner, repo, ok := strings.Cut(git, "/")
	if !ok || owner == "" || repo == "" || strings.Contains(repo, "/") {
		return "", "", errs.New(errs.Invalid, "%s is not a git repository: want owner/name.", foreign.Line(git, 200))
	}
	return owner, repo, nil
}

// withoutExtras asks for what a list needs: no diff statistics, signatures or files, which cost Gitea a git process each.
func withoutExtras(more ...string) url.Values {
	q := url.Values{"stat": {"false"}, "verification": {"false"}, "files": {"false"}}
	for i := 0; i+1 < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return q
}

// Commit gives the commit that a SHA or the start of one (7 digits or more) names in a git repository
// ("owner/name"). A known one costs no call; that there is none is believed for ten minutes. Errors: errs.NotFound,
// errs.Forbidden (naming the missing scope where Gitea does), errs.Unavailable, errs.Invalid.
func (c *Client) Commit(ctx context.Context, git, sha string) (deploys.Commit, error) {
	sha = strings.ToLower(sha)
	owner, repo, err := splitGit(git)
	if err != nil {
		return deploys.Commit{}, err
	}
	if !isSHA(sha) {
		return deploys.Commit{}, errs.New(errs.Invalid, "%s does not name a commit: want 7 to 64 hexadecimal digits.", foreign.Line(sha, 80))
	}
	if known, ok := c.commits.find(git, sha); ok {
		return known, nil
	}
	gone := errs.New(errs.NotFound, "Gitea has no commit %s in %s.", deploys.ShortTag(sha), git)
	if c.unknownCommit(git, sha) {
		return deploys.Commit{}, gone
	}
	var got apiCommit
	if _, err := c.get(ctx, "repos/"+segments(owner, repo, "git", "commits", sha), withoutExtras(), &got); err != nil {
		err = c.apiFault("GET commit "+git+" "+sha, err, "the commits of "+git, gone.Public)
		if errs.KindOf(err) == errs.NotFound {
			c.commits.unknown.put(refKey{git, sha}, c.now().Add(unknownFor))
		}
		return deploys.Commit{}, err
	}
	commit := got.commit()
	if !strings.HasPrefix(commit.SHA, sha) {
		return deploys.Commit{}, errs.New(errs.Unavailable, "Gitea at %s gave an answer that cannot be read.", c.base.Host)
	}
	c.commits.add(git, commit)
	return commit, nil
}

// CachedCommit gives the commit a tag or SHA names, from memory only.
func (c *Client) CachedCommit(git, tagOrSHA string) (deploys.Commit, bool) {
	return c.commits.find(git, strings.ToLower(tagOrSHA))
}

func (c *Client) unknownCommit(git, sha string) bool {
	until, ok := c.commits.unknown.get(refKey{git, sha})
	return ok && c.now().Before(until)
}

// Range gives what lies between two commits of a git repository: those only in to and those only in from, newest
// first. Two calls the first time, none after. Errors: errs.NotFound when one of them is not there, else as
// Commit.
func (c *Client) Range(ctx context.Context, git, from, to string) (deploys.Range, error) {
	from, to = strings.ToLower(from), strings.ToLower(to)
	for _, sha := range []string{from, to} {
		if !isSHA(sha) {
			return deploys.Range{}, errs.New(errs.Invalid, "%s does not name a commit: want 7 to 64 hexadecimal digits.", foreign.Line(sha, 80))
		}
	}
	if from == to {
		return deploys.Range{}, nil
	}
	key := rangeKey{git, from, to}
	if known, ok := c.ranges.get(key); ok {
		return cloneRange(known), nil
	}
	var r deploys.Range
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		r.Ahead, r.Total, err = c.between(gctx, git, from, to, pageSize)
		return err
	})
	g.Go(func() (err error) {
		r.Lost, r.Behind, err = c.between(gctx, git, to, from, pageSize)
		return err
	})
	if err := g.Wait(); err != nil {
		return deploys.Range{}, c.whichIsGone(ctx, err, git, to, from)
	}
	c.ranges.put(key, r)
	return cloneRange(r), nil
}

// whichIsGone names the commit that is not there. Gitea answers 404 for an unknown sha parameter and 500 for an
// unknown not, so its own answer does not tell.
func (c *Client) whichIsGone(ctx context.Context, err error, git string, shas ...string) error {
	var answer *statusError
	if !errors.As(err, &answer) || answer.plain || (answer.status != http.StatusNotFound && answer.status != http.StatusInternalServerError) {
		return err
	}
	for _, sha := range shas {
		if _, gone := c.Commit(ctx, git, sha); errs.KindOf(gone) == errs.NotFound {
			return gone
		}
	}
	return err
}

func cloneRange(r deploys.Range) deploys.Range {
	r.Ahead = append([]deploys.Commit(nil), r.Ahead...)
	r.Lost = append([]deploys.Commit(nil), r.Lost...)
	return r
}

// between gives up to limit commits that are in to and not in from, and how many there are in all.
func (c *Client) between(ctx context.Context, git, from, to string, limit int) ([]deploys.Commit, int, error) {
	found, n, err := c.commitPage(ctx, git, withoutExtras("sha", to, "not", from, "limit", strconv.Itoa(limit)))
	if err != nil {
		return nil, 0, c.apiFault("GET commits "+git+" "+from+".."+to, err, "the commits of "+git,
			"Gitea does not know both of "+deploys.ShortTag(from)+" and "+deploys.ShortTag(to)+" in "+git+".")
	}
	return found, n, nil
}

// commitPage reads one page of a repository's history and remembers its commits. Errors are raw.
func (c *Client) commitPage(ctx context.Context, git string, query url.Values) ([]deploys.Commit, int, error) {
	page, n, err := c.rawPage(ctx, git, query)
	found := make([]deploys.Commit, 0, len(page))
	for _, a := range page {
		found = append(found, a.commit())
	}
	return found, n, err
}

// rawPage is commitPage with all that Gitea says of a commit.
func (c *Client) rawPage(ctx context.Context, git string, query url.Values) ([]apiCommit, int, error) {
	owner, repo, err := splitGit(git)
	if err != nil {
		return nil, 0, err
	}
	var page []apiCommit
	h, err := c.get(ctx, "repos/"+segments(owner, repo, "commits"), query, &page)
	if err != nil {
		return nil, 0, err
	}
	page = page[:min(len(page), pageSize)]
	for _, a := range page {
		c.commits.add(git, a.commit())
	}
	return page, max(total(h), len(page)), nil
}
