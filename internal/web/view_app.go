package web

import (
	"slices"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/web/templates"
)

// appView makes the parts of an app's page that come from the target's facts and from what is known of the commits.
// deployed names the deploys of each tag, newest first.
func appView(t targetFacts, about deploys.About, deployed map[string][]templates.Link) templates.AppLiveProps {
	p := templates.AppLiveProps{
		Env: t.App.Env, App: t.App.App,
		Health: healthMark(t.Health), Running: imageOf(t.Running, t.Commit), Bad: badView(t.Marks.Of(t.Running)),
		Since: t.Since, By: t.By, Ready: ofReady(t.Rollout),
		Cluster: clusterTrouble(t), Registry: registryTrouble(t.Images), Commits: aboutTrouble(t, about),
	}
	if t.MayDeploy && t.Trouble == nil && t.Active == nil && t.Rollout != nil && t.Rollout.Exists {
		p.Restart = &templates.Act{Text: "Restart", Href: templates.RestartURL(t.App.Env, t.App.App, 0)}
	}
	if note := targetNote(t); note != "" && (t.Rollout == nil || t.Rollout.StaleSince.IsZero()) {
		p.Note = "This workload: " + note + "."
	}
	p.Locks = locksOn(t.Locks, func(deploys.Scope) bool { return true })
	if t.MayDeploy {
		p.Lock = templates.LockURL(t.App.Env, t.App.App)
	}
	var replaces int64
	if t.Active != nil {
		p.Active = strip(t)
		replaces = t.Active.ID // without it, the deploy would be refused; the confirm page says what it replaces
	}
	if len(t.Images.Images) == 0 && p.Registry == nil {
		p.Teach = &templates.Teach{
			Title: "No image yet",
			Text:  "Push an image whose tag is the commit's SHA. Other tags, latest among them, are not listed: they can mean something else tomorrow.",
			Paste: "docker build -t " + shellWord(t.App.Repository) + ":$(git rev-parse HEAD) .\ndocker push " + shellWord(t.App.Repository) + ":$(git rev-parse HEAD)",
		}
	}
	at := slices.IndexFunc(t.Images.Images, func(i deploys.Listed) bool { return i.Tag == t.Running.Tag && i.Tag != "" })
	for i, img := range t.Images.Images {
		row := templates.ImageRow{
			Image:  imageOf(deploys.Version{Tag: img.Tag}, img.Commit),
			Pushed: img.Pushed, Pusher: img.Pusher, URL: img.URL,
			CI: ciOf(t.App, about, img), Deploys: deployed[img.Tag], Place: place(i, at),
		}
		row.Bad = badView(t.Marks.Of(listed(t.App, img)))
		if r, ok := about.Relations[img.Tag]; ok {
			row.Stands, row.Aside = distance(r), r.Way() == deploys.WayDiverged
		}
		if t.MayDeploy && t.Trouble == nil && row.Place != templates.PlaceRunning {
			row.Act = &templates.Act{
				Text: "Deploy " + row.Image.Short, Main: i == 0,
				Href: templates.ConfirmURL(t.App.Env, t.App.App, img.Tag, replaces),
			}
		}
		p.Images = append(p.Images, row)
	}
	return p
}

// listed is an image of an app's list, which knows no digest.
func listed(app deploys.App, img deploys.Listed) deploys.Version {
	return deploys.Version{Repository: app.Repository, Tag: img.Tag}
}

// place is where the image at i stands against the running one at running; -1: it is not in the list.
func place(i, running int) templates.Place {
	switch {
	case running < 0:
		return templates.PlaceUnknown
	case i == running:
		return templates.PlaceRunning
	case i < running:
		return templates.PlaceNewer
	default:
		return templates.PlaceOlder
	}
}

// registryTrouble says why a list is old or missing. Nil when it is neither.
func registryTrouble(l deploys.List) *templates.Trouble {
	if l.Err == nil {
		return nil
	}
	tr := &templates.Trouble{Sentence: errs.Public(l.Err), Known: l.Fetched}
	if l.Fetched.IsZero() {
		tr.Detail = "No image has been seen since the portal started."
	}
	return tr
}
