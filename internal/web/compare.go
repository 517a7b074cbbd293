package web

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/web/templates"
)

// compare tells what Gitea says of the commit to come and of what lies between it and the one that runs. That it cannot
// be told, or not in time, is said and stops nothing.
func (s *Server) compare(ctx context.Context, o *offer) {
	app, from, to := o.target.App, o.target.Running.Tag, o.to.Tag
	o.commit = s.commit(app, o.to)
	switch {
	case app.Git == "":
		o.commits = &templates.Trouble{Sentence: "No git repository is configured for " + app.App + ".", Detail: "So which commits come and go is not known."}
		return
	case !deploys.TagPattern.MatchString(to):
		o.commits = &templates.Trouble{Sentence: "What will run has no tag that names a commit.", Detail: "So which commits come and go is not known."}
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.times.compare)
	defer cancel()
	var g errgroup.Group
	g.Go(func() error {
		if c, err := s.Catalog.Commit(ctx, app.Git, to); err == nil {
			o.commit = c
		}
		return nil
	})
	var between, migrations error
	if deploys.TagPattern.MatchString(from) {
		g.Go(func() error {
			if c, err := s.Catalog.Commit(ctx, app.Git, from); err == nil {
				o.target.Commit = c
			}
			return nil
		})
		g.Go(func() error {
			o.between, between = s.Catalog.Range(ctx, app.Git, from, to)
			return nil
		})
		g.Go(func() error {
			o.migrations, migrations = s.Catalog.Migrations(ctx, app.Git, from, to, app.Migrations...)
			return nil
		})
	}
	_ = g.Wait() // the functions return no error: what one cannot tell the others may
	o.compared = deploys.TagPattern.MatchString(from) && between == nil
	o.commits = unread(o, between, migrations)
}

// unread says what is not known of the commits between two, why, and what to do instead.
func unread(o *offer, between, migrations error) *templates.Trouble {
	from, to := o.target.Running.Tag, o.to.Tag
	switch {
	case !deploys.TagPattern.MatchString(from):
		return &templates.Trouble{Sentence: "What runs now has no tag that names a commit.", Detail: "So which commits come and go, and whether they migrate a database, is not known."}
	case between != nil:
		return &templates.Trouble{Sentence: "Commits cannot be read: " + errs.Public(between),
			Detail: "So which come and go, and whether they migrate a database, is not known. Look for yourself in a clone of " + o.target.App.Git + ":",
			Paste:  fmt.Sprintf("git log --left-right --stat %s...%s", from, to)}
	case migrations != nil:
		return &templates.Trouble{Sentence: "Files cannot be read: " + errs.Public(migrations),
			Detail: "So whether these commits migrate a database is not known. Look for yourself in a clone of " + o.target.App.Git + ":",
			Paste:  fmt.Sprintf("git diff --stat %s %s", from, to)}
	}
	return nil
}
