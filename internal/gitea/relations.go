package gitea

import (
	"context"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/foreign"
)

// Relations says where the commits of tags (or SHAs) stand, seen from the running one. Those that lie straight below
// it cost one call together; any other costs two, 4 commits at a time, once. Tags that name no commit are left out.
// The error is the first fault; what is known is given beside it. Errors as Commit.
func (c *Client) Relations(ctx context.Context, git, running string, tags ...string) (map[string]deploys.Relation, error) {
	running = strings.ToLower(running)
	if !isSHA(running) {
		return nil, errs.New(errs.Invalid, "%s does not name a commit: want 7 to 64 hexadecimal digits.", foreign.Line(running, 80))
	}
	below, err := c.below(ctx, git, running)
	if err != nil {
		return nil, err
	}
	known := map[string]deploys.Relation{}
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, tag := range tags {
		ref := strings.ToLower(tag)
		if !isSHA(ref) || c.unknownCommit(git, ref) {
			continue
		}
		if i := uniquePrefix(below, ref); i >= 0 {
			mu.Lock()
			known[tag] = deploys.Relation{Behind: i}
			mu.Unlock()
			continue
		}
		g.Go(func() error {
			r, err := c.Range(gctx, git, below[0], ref)
			if errs.KindOf(err) == errs.NotFound {
				return nil
			}
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			known[tag] = deploys.Relation{Ahead: r.Total, Behind: r.Behind}
			return nil
		})
	}
	return known, g.Wait()
}

// cachedRelation is what Relations would give for a tag, from memory only.
func (c *Client) cachedRelation(git, running, tag string) (deploys.Relation, bool) {
	running, tag = strings.ToLower(running), strings.ToLower(tag)
	below, ok := c.linear.get(refKey{git, running})
	if !ok || !isSHA(tag) {
		return deploys.Relation{}, false
	}
	if i := uniquePrefix(below, tag); i >= 0 {
		return deploys.Relation{Behind: i}, true
	}
	r, ok := c.ranges.get(rangeKey{git, below[0], tag})
	return deploys.Relation{Ahead: r.Total, Behind: r.Behind}, ok
}

// uniquePrefix finds the one name that begins with ref; -1 when there is none or more.
func uniquePrefix(names []string, ref string) int {
	found := -1
	for i, name := range names {
		if strings.HasPrefix(name, ref) {
			if found >= 0 {
				return -1
			}
			found = i
		}
	}
	return found
}

// below gives a commit and, as far as one page goes, what lies straight below it: each the only parent of the one
// before. There the distance is the number of commits; past a merge it is not.
func (c *Client) below(ctx context.Context, git, sha string) ([]string, error) {
	if known, ok := c.linear.get(refKey{git, sha}); ok {
		return known, nil
	}
	page, _, err := c.rawPage(ctx, git, withoutExtras("sha", sha, "limit", strconv.Itoa(pageSize)))
	if err != nil {
		err = c.apiFault("GET commits "+git+" "+sha, err, "the commits of "+git,
			"Gitea has no commit "+deploys.ShortTag(sha)+" in "+git+".")
		if errs.KindOf(err) == errs.NotFound {
			c.commits.unknown.put(refKey{git, sha}, c.now().Add(unknownFor))
		}
		return nil, err
	}
	if len(page) == 0 || !strings.HasPrefix(strings.ToLower(page[0].SHA), sha) {
		return nil, errs.New(errs.Unavailable, "Gitea at %s gave an answer that cannot be read.", c.base.Host)
	}
	line := []string{strings.ToLower(page[0].SHA)}
	for i := 1; i < len(page); i++ {
		parents := page[i-1].Parents
		if len(parents) != 1 || !strings.EqualFold(parents[0].SHA, page[i].SHA) {
			break
		}
		line = append(line, strings.ToLower(page[i].SHA))
	}
	c.linear.put(refKey{git, sha}, line)
	return line, nil
}

// OnMain tells whether a commit is on its repository's default branch, and that branch's name. Two calls. Errors as Commit.
func (c *Client) OnMain(ctx context.Context, git, sha string) (branch string, on bool, err error) {
	sha = strings.ToLower(sha)
	owner, name, err := splitGit(git)
	if err != nil {
		return "", false, err
	}
	if !isSHA(sha) {
		return "", false, errs.New(errs.Invalid, "%s does not name a commit: want 7 to 64 hexadecimal digits.", foreign.Line(sha, 80))
	}
	var repo struct {
		DefaultBranch string `json:"default_branch"`
	}
	if _, err := c.get(ctx, "repos/"+segments(owner, name), nil, &repo); err != nil {
		return "", false, c.apiFault("GET repository "+git, err, "the repository "+git, "Gitea has no repository "+git+".")
	}
	_, extra, err := c.between(ctx, git, repo.DefaultBranch, sha, 1)
	return foreign.Line(repo.DefaultBranch, 100), err == nil && extra == 0, c.whichIsGone(ctx, err, git, sha)
}

// MigrationPatterns are the files that count as migrations where nothing else is configured.
var MigrationPatterns = []string{"migrations/", "db/migrate/", "*.sql"}

// changes are the files that the commits of one side of a range touched.
type changes struct {
	files  []deploys.Touched
	unread int
}

// mostFiles bounds what is kept of one side of a range.
const mostFiles = 2000

// Migrations gives the migrations that commits between two changed, on both sides. A pattern that ends in a slash
// names a folder wherever it is; any other is matched against the file's name and against its whole path, as
// path.Match does. No patterns: MigrationPatterns. Two calls the first time, none after. Gitea works for each commit
// here, up to 50 on either side, so ask when somebody is about to deploy, not for a list. Errors as Range.
func (c *Client) Migrations(ctx context.Context, git, from, to string, patterns ...string) (deploys.Migrations, error) {
	from, to = strings.ToLower(from), strings.ToLower(to)
	for _, sha := range []string{from, to} {
		if !isSHA(sha) {
			return deploys.Migrations{}, errs.New(errs.Invalid, "%s does not name a commit: want 7 to 64 hexadecimal digits.", foreign.Line(sha, 80))
		}
	}
	if from == to {
		return deploys.Migrations{}, nil
	}
	if len(patterns) == 0 {
		patterns = MigrationPatterns
	}
	var ahead, behind changes
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		ahead, err = c.changed(gctx, git, from, to)
		return err
	})
	g.Go(func() (err error) {
		behind, err = c.changed(gctx, git, to, from)
		return err
	})
	if err := g.Wait(); err != nil {
		return deploys.Migrations{}, c.whichIsGone(ctx, err, git, to, from)
	}
	return deploys.Migrations{
		Ahead: matching(ahead.files, patterns), Behind: matching(behind.files, patterns),
		Unread: ahead.unread + behind.unread,
	}, nil
}

// changed gives the files that commits in to and not in from touched.
func (c *Client) changed(ctx context.Context, git, from, to string) (changes, error) {
	key := rangeKey{git, from, to}
	if known, ok := c.files.get(key); ok {
		return known, nil
	}
	query := withoutExtras("sha", to, "not", from, "limit", strconv.Itoa(pageSize), "files", "true")
	page, n, err := c.rawPage(ctx, git, query)
	if err != nil {
		return changes{}, c.apiFault("GET files "+git+" "+from+".."+to, err, "the commits of "+git,
			"Gitea does not know both of "+deploys.ShortTag(from)+" and "+deploys.ShortTag(to)+" in "+git+".")
	}
	found := changes{unread: n - len(page)}
	for _, a := range page {
		commit := a.commit()
		slices.SortFunc(a.Files, func(x, y fileOfCommit) int { return strings.Compare(x.Filename, y.Filename) })
		keep := min(len(a.Files), mostFiles-len(found.files))
		if keep < len(a.Files) {
			found.unread++
		}
		for _, f := range a.Files[:keep] {
			found.files = append(found.files, deploys.Touched{Path: f.Filename, Status: foreign.Line(f.Status, 20), Commit: commit})
		}
	}
	c.files.put(key, found)
	return found, nil
}

func matching(files []deploys.Touched, patterns []string) (found []deploys.Touched) {
	for _, f := range files {
		if slices.ContainsFunc(patterns, func(p string) bool { return isMigration(f.Path, p) }) {
			f.Path = foreign.Line(f.Path, 300) // only now: a path that was cut could fit no pattern any more
			found = append(found, f)
		}
	}
	return found
}

func isMigration(file, pattern string) bool {
	if folder, ok := strings.CutSuffix(pattern, "/"); ok {
		return strings.HasPrefix(file, folder+"/") || strings.Contains(file, "/"+folder+"/")
	}
	for _, name := range []string{file, path.Base(file)} {
		if ok, err := path.Match(pattern, name); ok && err == nil {
			return true
		}
	}
	return false
}
