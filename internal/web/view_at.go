package web

import (
	"deployportal/internal/deploys"
	"deployportal/web/templates"
)

// atRow is what one target ran at one moment.
func (s *Server) atRow(r deploys.Ran, marks deploys.Marks) templates.AtRow {
	var commit deploys.Commit
	if app, err := s.Cluster.App(r.Target); err == nil {
		commit = s.commit(app, r.Version)
	}
	row := templates.AtRow{App: r.Target.App, Href: templates.AppURL(r.Target.Env, r.Target.App), Image: imageOf(r.Version, commit), Bad: badView(marks.Of(r.Version))}
	if c := r.Change; c != nil {
		if !r.Before {
			row.Since, row.Who = c.At, byManager(*c)
		}
		switch {
		case r.Before:
			row.Note = "as the portal saw it later"
		case c.Kind == deploys.ChangedGone:
			row.Note = "the Deployment was deleted, not through the portal"
		default:
			row.Note = "outside change"
		}
		return row
	}
	if !r.Before {
		row.Since, row.Who, row.Deploy = r.Deploy.Finished, r.Deploy.ActorName, r.Deploy.ID
	}
	switch {
	case r.Rolling:
		row.Running = r.Deploy.ID
	case r.Unsure:
		row.Note = "somebody else than the portal changed it"
	case r.Before:
		row.Note = "as the portal saw it later"
	}
	return row
}
