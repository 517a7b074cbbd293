package gitea

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/foreign"
)

const (
	wantImages = 30 // tags a list is filled up to
	maxPages   = 10 // pages of packages read for them: with two platforms and attestations a tag takes five rows
	maxLookups = 5  // commits looked up one by one in one refresh
)

// mark tells whether a package has changed: how many versions there are and the ids of the newest page. A push adds
// an id, an overwritten tag has a new one, and a deletion anywhere lowers the total.
type mark struct {
	total int
	ids   string
}

func markOf(total int, page []apiPackage) mark {
	var ids strings.Builder
	for _, p := range page {
		ids.WriteString(strconv.FormatInt(p.ID, 36) + " ")
	}
	return mark{total, ids.String()}
}

// packagePage reads one page of a package's versions, newest push first.
func (c *Client) packagePage(ctx context.Context, repository string, page int) ([]apiPackage, int, error) {
	owner, name, err := c.packageName(repository)
	if err != nil {
		return nil, 0, err
	}
	var rows []apiPackage
	query := url.Values{"limit": {strconv.Itoa(pageSize)}, "page": {strconv.Itoa(page)}}
	h, err := c.get(ctx, "packages/"+segments(owner, "container", name), query, &rows)
	if err != nil {
		what := owner + "/" + name
		return nil, 0, c.apiFault(fmt.Sprintf("GET packages %s page %d", what, page), err, "the images of "+what,
			"Gitea has no container image "+what+".")
	}
	return rows, total(h), nil
}

func (c *Client) packageName(repository string) (owner, name string, err error) {
	repo, err := c.repository(repository)
	if err != nil {
		return "", "", err
	}
	owner, name, _ = strings.Cut(repo.RepositoryStr(), "/")
	return owner, name, nil
}

// collector gathers the images out of pages of rows.
type collector struct {
	keep  func(tag string) bool
	ids   map[int64]bool
	tags  map[string]bool
	found []deploys.Listed
}

// add takes a page's rows. Most of them are the untagged parts of multi-platform images. A push between two pages
// shifts rows onto the next one, so a row may come twice.
func (s *collector) add(rows []apiPackage) {
	for _, p := range rows {
		tag := p.Version
		if strings.HasPrefix(tag, "sha256:") || !s.keep(tag) || s.ids[p.ID] || s.tags[tag] {
			continue
		}
		s.ids[p.ID], s.tags[tag] = true, true
		i := deploys.Listed{ID: p.ID, Tag: tag, Pushed: p.CreatedAt.UTC(), URL: webURL(p.HTMLURL)}
		if p.Creator != nil {
			i.Pusher = foreign.Line(p.Creator.Login, 100)
		}
		s.found = append(s.found, i)
	}
}

// readImages goes on from the first page until there are enough images or no more pages.
func (c *Client) readImages(ctx context.Context, repository string, first []apiPackage) ([]deploys.Listed, error) {
	s := collector{keep: c.pattern.MatchString, ids: map[int64]bool{}, tags: map[string]bool{}}
	s.add(first)
	rows := first
	for page := 2; len(rows) >= pageSize && len(s.found) < wantImages && page <= maxPages; page++ {
		var err error
		if rows, _, err = c.packagePage(ctx, repository, page); err != nil {
			return nil, err
		}
		s.add(rows)
	}
	return s.found, nil
}

// fillCommits finds the commits behind the tags: what is known, then a page of history that begins at the newest tag
// still unknown, then a few single look-ups. The newest push may be an old commit built again, whose history lacks
// the later ones; then a second page is cheaper than looking each up. The first error ends the asking and is returned
// beside what is known by then.
func (c *Client) fillCommits(ctx context.Context, git string, images []deploys.Listed) error {
	if git == "" {
		return nil
	}
	open := c.knownCommits(git, images)
	for page := 0; len(open) > 1 && (page == 0 || page == 1 && len(open) > maxLookups); page++ {
		_, _, err := c.commitPage(ctx, git, withoutExtras("sha", open[0], "limit", strconv.Itoa(pageSize)))
		if err != nil {
			err = c.apiFault("GET commits "+git+" "+open[0], err, "the commits of "+git, "Gitea has no commits of "+git+".")
			if errs.KindOf(err) != errs.NotFound {
				return err
			}
			break // the tag may just not be a commit; the single look-ups tell
		}
		open = c.knownCommits(git, images)
	}
	for _, tag := range open[:min(len(open), maxLookups)] {
		if _, err := c.Commit(ctx, git, tag); err != nil && errs.KindOf(err) != errs.NotFound {
			return err
		}
	}
	c.knownCommits(git, images)
	return nil
}

// knownCommits fills in what memory has and returns the tags worth asking about.
func (c *Client) knownCommits(git string, images []deploys.Listed) (open []string) {
	for i := range images {
		tag := images[i].Tag
		if commit, ok := c.commits.find(git, tag); ok {
			images[i].Commit = commit
		} else if isSHA(tag) && !c.unknownCommit(git, tag) && images[i].Commit.SHA == "" {
			open = append(open, tag)
		}
	}
	return open
}
