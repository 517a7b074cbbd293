package web

import (
	"fmt"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/web/templates"
)

// targetFacts is what is known of one target.
type targetFacts struct {
	App       deploys.App
	Prod      bool
	Rollout   *deploys.Rollout
	Trouble   error  // why the cluster's facts cannot be trusted; nil when they can
	Gap       string // what may not be read, where the facts lack only detail; empty: all may
	Health    deploys.Health
	Running   deploys.Version
	Commit    deploys.Commit // of Running
	Since     time.Time      // Running runs since; zero: not known
	By        string         // who brought it: "by ana", "changed from outside by kubectl-set"
	Images    deploys.List
	Active    *deploys.Deploy        // the deploy under way
	Latest    deploys.Deploy         // the newest deploy; the zero one: there was none
	Change    *deploys.OutsideChange // the newest that no deploy made; nil: none
	Locks     []deploys.Lock         // that cover it, the widest first
	Marks     deploys.Marks          // of bad images, of whatever app
	Gone      string                 // what is known to be gone from the registry, in a few words; empty: nothing
	MayDeploy bool
}

// failed tells whether the newest deploy failed and what it left behind is still what is set.
func (t targetFacts) failed() bool {
	return t.Latest.Status == deploys.Failed && t.Latest.Kind == deploys.KindDeploy && t.Running.Same(t.Latest.To)
}

// boardView makes the board. Targets keep their order; those of one environment stand together.
func boardView(targets []targetFacts, now time.Time) (live templates.BoardLiveProps, summary string) {
	live.Now = now
	if len(targets) == 0 {
		live.Teach = teachApps()
		return live, "no app is configured"
	}
	live.Locks = locksOn(targets[0].Locks, func(s deploys.Scope) bool { return s.Env == "" })
	at := map[string]int{}
	for _, t := range targets {
		i, ok := at[t.App.Env]
		if !ok {
			i = len(live.Sheets)
			at[t.App.Env] = i
			live.Sheets = append(live.Sheets, templates.Sheet{Env: t.App.Env, Prod: t.Prod, Meta: "namespace " + t.App.Namespace,
				Locks: locksOn(t.Locks, func(s deploys.Scope) bool { return s.Env != "" && s.App == "" })})
		}
		s := &live.Sheets[i]
		if s.Trouble == nil {
			s.Trouble = clusterTrouble(t)
		}
		s.Rows = append(s.Rows, boardRow(t))
	}
	for i, s := range live.Sheets {
		if i > 0 {
			summary += ", "
		}
		if i == 0 {
			summary += plural(len(s.Rows), "app") + " in " + s.Env
		} else {
			summary += fmt.Sprintf("%d in %s", len(s.Rows), s.Env)
		}
	}
	return live, summary
}

// teachApps is shown where nothing is configured.
func teachApps() *templates.Teach {
	return &templates.Teach{
		Title: "No app yet",
		Text:  "The portal shows and deploys what its configuration names: an environment is a namespace of a cluster, an app is a Deployment in it and the repository of its images.",
		File:  "portal.yaml",
		Paste: "environments:\n- name: prod\n  namespace: acme\napps:\n- name: api\n  image: acme/api # in the registry; without it what the Deployment uses\n  workload: api\n",
	}
}

// clusterTrouble says what stands between the portal and the cluster. Nil when nothing does.
func clusterTrouble(t targetFacts) *templates.Trouble {
	if t.Trouble == nil {
		return gapTrouble(t.Gap, t.App.Namespace)
	}
	tr := &templates.Trouble{Sentence: errs.Public(t.Trouble), Detail: "Deploys of these apps are refused until then."}
	if errs.KindOf(t.Trouble) == errs.Forbidden {
		tr.Detail = "Give the portal's service account the role it comes with, then this passes by itself."
		tr.Paste = grantRole(t.App.Namespace)
	}
	if t.Rollout != nil {
		tr.Known = t.Rollout.StaleSince
	}
	return tr
}

// gapTrouble says what may not be read where that costs only detail. Nil when all may be.
func gapTrouble(gap, namespace string) *templates.Trouble {
	if gap == "" {
		return nil
	}
	return &templates.Trouble{Sentence: gap, Paste: grantRole(namespace)}
}

func grantRole(namespace string) string {
	return "kubectl apply -n " + shellWord(namespace) + " -f manifests/rbac.yaml"
}

func boardRow(t targetFacts) templates.Row {
	env, app := t.App.Env, t.App.App
	row := templates.Row{
		App: app, Href: templates.AppURL(env, app),
		Health: healthMark(t.Health), Running: imageOf(t.Running, t.Commit), Bad: badView(t.Marks.Of(t.Running)),
		Since: t.Since, By: t.By, Ready: ofReady(t.Rollout), Note: notes(openNote(t), targetNote(t)), Gone: t.Gone,
		Locks: locksOn(t.Locks, func(s deploys.Scope) bool { return s.App != "" }),
	}
	if row.Newer, row.NewestAt, row.NewNote = newer(t); row.Newer > 0 {
		row.NewestBad = badView(t.Marks.Of(listed(t.App, t.Images.Images[0])))
	}
	if t.Active != nil {
		row.Active = strip(t)
		row.Act = &templates.Act{Text: "Open deploy", Href: templates.DeployURL(t.Active.ID)}
		return row
	}
	if t.MayDeploy && t.Trouble == nil {
		row.Act = &templates.Act{Text: "Deploy", Href: row.Href}
		switch {
		case t.Change != nil && t.Change.Open:
			row.Act = &templates.Act{Text: "Review change", Href: row.Href + "#outside"}
		case t.Health == deploys.Degraded, t.failed():
			row.Act = &templates.Act{Text: "Roll back", Href: templates.RollbackURL(env, app, 0, 0), Danger: true}
		case len(t.Locks) > 0:
			row.Act.Text = "Open"
		case row.Newer > 0:
			row.Act = &templates.Act{Text: "Deploy newest", Href: templates.ConfirmURL(env, app, t.Images.Images[0].Tag, 0)}
		}
	}
	return row
}

// targetNote is what a reader must know besides: the Deployment is missing, paused, or somebody else's.
func targetNote(t targetFacts) string {
	r := t.Rollout
	switch {
	case r == nil:
		return ""
	case !r.StaleSince.IsZero():
		return "not seen since " + r.StaleSince.UTC().Format("15:04 UTC")
	case !r.Exists:
		return "there is no Deployment " + t.App.Workload + " in " + t.App.Namespace
	case r.Paused:
		return "paused in the cluster"
	}
	return managedNote(r)
}

// newer counts the images that were pushed after the running one.
func newer(t targetFacts) (n int, newest time.Time, note string) {
	if len(t.Images.Images) == 0 {
		if t.Images.Err != nil || t.Images.Fetched.IsZero() {
			return 0, newest, "images not known"
		}
		return 0, newest, "no image in the registry"
	}
	for i, img := range t.Images.Images {
		if img.Tag == t.Running.Tag && t.Running.Tag != "" {
			if i == 0 {
				return 0, newest, "up to date"
			}
			return i, t.Images.Images[0].Pushed, ""
		}
	}
	return 0, newest, "not among the listed images"
}

// strip is the deploy under way, small enough for a row.
func strip(t targetFacts) *templates.Strip {
	d := *t.Active
	f := deployFacts{Deploy: d, Rollout: t.Rollout, App: t.App}
	if f.Rollout == nil {
		f.Rollout = d.Rollout
	}
	s := &templates.Strip{Href: templates.DeployURL(d.ID), Mark: liveMark(f), Image: imageOf(d.To, deploys.Commit{}), Clock: &templates.Clock{From: d.Created}}
	r := f.Rollout
	if d.Patched.IsZero() || r == nil || !r.Exists || r.Desired == 0 {
		s.Words = "not patched yet"
		if !d.Patched.IsZero() {
			s.Words = "nothing seen yet"
		}
		return s
	}
	s.Total = int(r.Desired)
	for _, p := range r.Pods {
		if p.Ready && p.Live() && f.Deploy.Brought(f.Rollout, p) {
			s.Done++
		}
		if !f.Deploy.Brought(f.Rollout, p) || !p.Live() || p.Ready || s.What != "" || !r.StaleSince.IsZero() {
			continue
		}
		for _, c := range p.Containers {
			if c.State == "running" && !c.Started && c.Startup != nil && !c.Since.IsZero() {
				s.What, s.Clock = "startup probe", &templates.Clock{From: c.Since, Limit: c.Startup.Budget()}
				break
			}
		}
	}
	s.Done = min(s.Done, s.Total)
	s.Words = fmt.Sprintf("%d of %d new pods ready", s.Done, s.Total)
	return s
}
