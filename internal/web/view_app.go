package web

import (
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/web/templates"
)

// appView makes the parts of an app's page that come from the target's facts. deployed names the deploys of each
// digest or tag, newest first; platforms those of a tag, where they are known; replaces is the deploy whose place a
// chosen one takes, or 0.
func appView(t targetFacts, deployed map[string][]templates.Link, platforms map[string][]string, bad badImages, replaces int64, now time.Time) templates.AppProps {
	p := templates.AppProps{
		App: t.App.App, Repository: t.App.Repository,
		Health: healthMark(t.Health), Running: imageOf(t.Running, t.Commit),
		Since: t.Since, By: t.By, Ready: ofReady(t.Rollout), CanDeploy: t.MayDeploy && t.Trouble == nil,
	}
	p.Env, p.Prod, p.Now = t.App.Env, t.Prod, now
	if note := targetNote(t); note != "" && (t.Rollout == nil || t.Rollout.StaleSince.IsZero()) {
		p.Note = "This workload: " + note + "."
	}
	p.Locks = locksOn(t.Locks, func(deploys.Scope) bool { return true })
	if t.MayDeploy {
		p.Lock = templates.LockURL(t.App.Env, t.App.App)
	}
	if t.Trouble != nil {
		p.Cluster = clusterTrouble(t)
	}
	if t.Active != nil {
		p.Active = strip(t)
		if replaces == 0 {
			replaces = t.Active.ID // without it, the deploy would be refused; the confirm page says what it replaces
		}
	}
	p.Registry = registryTrouble(t.Images)
	if len(t.Images.Images) == 0 && p.Registry == nil {
		p.Teach = &templates.Teach{
			Title: "No image yet",
			Text:  "Push an image whose tag is the commit's SHA. Other tags, latest among them, are not listed: they can mean something else tomorrow.",
			Paste: "docker build -t " + t.App.Repository + ":$(git rev-parse HEAD) .\ndocker push " + t.App.Repository + ":$(git rev-parse HEAD)",
		}
	}
	at := -1
	for i, img := range t.Images.Images {
		if img.Tag == t.Running.Tag && img.Tag != "" {
			at = i
			break
		}
	}
	for i, img := range t.Images.Images {
		row := templates.ImageRow{
			Image:  imageOf(deploys.Version{Tag: img.Tag}, img.Commit),
			Pushed: img.Pushed, Pusher: img.Pusher, URL: img.URL,
			Platforms: platforms[img.Tag], Deploys: deployed[img.Tag], Place: place(i, at),
		}
		row.Bad = bad.of(deploys.Version{Tag: img.Tag})
		if p.CanDeploy && row.Place != templates.PlaceRunning {
			row.Act = &templates.Act{
				Text: "Deploy " + row.Image.Short, Main: i == 0,
				Href: templates.ConfirmURL(t.App.Env, t.App.App, img.Tag, replaces),
			}
		}
		p.Images = append(p.Images, row)
	}
	return p
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
