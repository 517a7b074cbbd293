package web

import (
	"fmt"
	"strings"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/web/templates"
)

// ciOf is what an app's page says of the CI of one image. Nil where no git repository can tell.
func ciOf(app deploys.App, about deploys.About, img deploys.Listed) *templates.CI {
	if app.Git == "" {
		return nil
	}
	ci, known := about.CI[img.Tag]
	switch {
	case known:
		return &templates.CI{Mark: ciMark(ci.State), Note: someOf(ci.Failed, 2), URL: ci.URL}
	case about.Err != nil:
		return &templates.CI{Mark: ciMark("")} // why stands above the list, once
	case about.Asked:
		return &templates.CI{Mark: ciMark(""), Note: "no such commit"}
	}
	return &templates.CI{Mark: templates.Mark{Tone: templates.Unknown, Word: "CI not read yet"}}
}

// ciMark is a CI state; the zero one means that it is not known.
func ciMark(s deploys.CIState) templates.Mark {
	switch s {
	case deploys.CISuccess:
		return templates.Mark{Tone: templates.OK, Word: "CI passed"}
	case deploys.CIFailure:
		return templates.Mark{Tone: templates.Bad, Word: "CI failed"}
	case deploys.CIPending:
		return templates.Mark{Tone: templates.Busy, Word: "CI running"}
	case deploys.CINone:
		return templates.Mark{Tone: templates.Unknown, Word: "No CI"}
	}
	return templates.Mark{Tone: templates.Unknown, Word: "CI unknown"}
}

// someOf reads "a, b and 3 more"; empty when there is none.
func someOf(names []string, most int) string {
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// distance says where an image stands, seen from the one that runs.
func distance(r deploys.Relation) string {
	switch r.Way() {
	case deploys.WayAhead:
		return plural(r.Ahead, "commit") + " ahead"
	case deploys.WayBehind:
		return plural(r.Behind, "commit") + " behind"
	case deploys.WayDiverged:
		return fmt.Sprintf("%d ahead, %d behind", r.Ahead, r.Behind)
	}
	return "the same commit"
}

// standsInFull says where the image to come stands, in a sentence.
func standsInFull(o offer) string {
	to, from, r := o.to.Short(), o.target.Running.Short(), o.between
	switch r.Way() {
	case deploys.WayAhead:
		return fmt.Sprintf("%s is %s ahead of %s.", to, plural(r.Total, "commit"), from)
	case deploys.WayBehind:
		return fmt.Sprintf("%s is %s behind %s.", to, plural(r.Behind, "commit"), from)
	case deploys.WayDiverged:
		return fmt.Sprintf("%s and %s have diverged: it brings %s and lacks %d that run now.", to, from, plural(r.Total, "commit"), r.Behind)
	}
	return fmt.Sprintf("%s and %s are the same commit.", to, from)
}

// aboutTrouble says why CI states and places in the history are not known. Nil when they are, and when the list's own
// fault says it already.
func aboutTrouble(t targetFacts, about deploys.About) *templates.Trouble {
	if about.Err == nil || t.Images.Err != nil {
		return nil
	}
	return &templates.Trouble{Sentence: errs.Public(about.Err), Detail: "CI states and who is ahead of whom are not known, or old."}
}

// migrationsView lists the migrations of an offer.
func migrationsView(o offer) templates.Migrations {
	files := func(touched []deploys.Touched) (out []templates.TouchedFile) {
		for _, f := range touched {
			out = append(out, templates.TouchedFile{Path: f.Path, How: f.Status, Commit: commitOf(f.Commit)})
		}
		return out
	}
	m := templates.Migrations{Run: files(o.migrations.Ahead), Stay: files(o.migrations.Behind), Unread: o.migrations.Unread}
	m.None = o.commits == nil && len(m.Run)+len(m.Stay)+m.Unread == 0 && o.between.Total+o.between.Behind > 0
	return m
}
