package web

import (
	"fmt"
	"slices"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/web/templates"
)

// confirmView makes the confirm page of an offer.
func confirmView(o offer, w wish, now time.Time) templates.ConfirmProps {
	t := o.target
	env, app := t.App.Env, t.App.App
	p := templates.ConfirmProps{
		App: app, Action: templates.DeploysURL(env, app), Cancel: templates.AppURL(env, app),
		From: imageOf(t.Running, t.Commit), To: imageOf(o.to, o.commit), Pushed: o.image.Pushed,
		Same: t.Trouble == nil && o.to.Same(t.Running), Commits: o.commits, Migrations: migrationsView(o),
		Plus: commitList(o.between.Ahead, o.between.Total), Minus: commitList(o.between.Lost, o.between.Behind),
		Reason: w.reason, Key: w.key, SeenFrom: t.Running.ID(), SeenTo: o.to.ID(),
	}
	if o.compared && !p.Same {
		p.Stands = standsInFull(o)
	}
	for _, m := range o.image.Manifests {
		p.Platforms = append(p.Platforms, m.Platform)
	}
	p.Page.Title = "Deploy " + p.To.Short + " to " + t.App.String()
	if w.restart {
		p.Restart, p.Same = true, false
		p.Page.Title = "Restart " + t.App.String()
		p.WayBack = "New pods of the same image take the place of the old ones, as many at a time as the workload allows."
		if t.Rollout != nil && t.Rollout.Recreate {
			p.WayBack = "The workload is set to Recreate: all its pods end before the new ones start. Nothing serves between."
		}
	}
	if p.Same && o.back == nil && t.Rollout != nil && t.Rollout.Exists {
		p.Instead = &templates.Act{Text: "Restart instead", Href: templates.RestartURL(env, app, w.replaces)}
	}
	if o.back != nil {
		p.Rollback, p.RollbackTo, p.Before, p.Undo = true, o.back.Deploy, o.back.Before, o.back.Change
		if o.back.Before && o.to.Restarted != t.Running.Restarted {
			p.Same = false // it undoes a restart
		}
		p.Page.Title = "Roll back " + t.App.String() + " to " + p.To.Short
	}
	if w.refused != nil {
		p.Error = errs.Public(w.refused)
	}
	if t.Active != nil {
		p.Replaces = t.Active.ID
		p.ReplaceSay = fmt.Sprintf("Deploy %d to %s, asked for by %s, is under way. It ends as superseded; what it has sent stays until this one is sent.",
			t.Active.ID, t.Active.To.Short(), t.Active.ActorName)
	} else if t.Running.Healthy && !p.Same && !p.Restart {
		p.WayBack = "If it fails, a rollback returns to " + t.Running.Short() + ", which runs well now."
	}
	behindView(&p, o, w, now)
	p.Checks, p.Blocked = offerChecks(o)
	preflightView(&p, o, w)
	return p
}

// mostCommits is how many commits a list shows; that there are more is said.
const mostCommits = 20

func commitList(list []deploys.Commit, total int) templates.CommitList {
	l := templates.CommitList{Total: max(total, len(list))}
	for _, c := range list[:min(len(list), mostCommits)] {
		l.Commits = append(l.Commits, commitOf(c))
	}
	return l
}

// offerChecks says what speaks against an offer, and whether it cannot be granted.
func offerChecks(o offer) (checks []templates.Check, blocked bool) {
	block := templates.Mark{Tone: templates.Bad, Word: "Blocks"}
	t := o.target
	switch {
	case t.Trouble != nil:
		checks = append(checks, templates.Check{Mark: block, Sentence: errs.Public(t.Trouble), Fix: "A deploy is possible once the cluster is seen again."})
	case t.Rollout != nil && !t.Rollout.Exists:
		checks = append(checks, templates.Check{Mark: block, Sentence: fmt.Sprintf("There is no Deployment %s in namespace %s.", t.App.Workload, t.App.Namespace)})
	case t.Rollout != nil:
		if err := deploys.Misconfigured(t.App, *t.Rollout); err != nil {
			checks = append(checks, templates.Check{Mark: block, Sentence: errs.Public(err)})
		}
	}
	switch {
	case errs.KindOf(o.lost) == errs.NotFound:
		checks = append(checks, templates.Check{Mark: block, Sentence: deploys.NotFound(errs.Public(o.lost)), Fix: "Build and push it again."})
	case errs.KindOf(o.lost) == errs.Invalid:
		checks = append(checks, templates.Check{Mark: block, Sentence: errs.Public(o.lost)})
	case o.lost != nil:
		checks = append(checks, templates.Check{Mark: block, Sentence: errs.Public(o.lost), Fix: "A deploy needs the registry's word for the image. A rollback does not: it works without the registry."})
	}
	closed, more := behindChecks(o)
	checks = append(checks, closed...)
	blocked = len(checks) > 0
	return append(checks, more...), blocked
}

var findings = map[deploys.Finding]templates.Mark{
	deploys.Block: {Tone: templates.Bad, Word: "Blocks"}, deploys.Warn: {Tone: templates.Busy, Word: "Warning"},
	deploys.NotChecked: {Tone: templates.Unknown, Word: "Not known"}, deploys.Pass: {Tone: templates.OK, Word: "Passes"},
}

// preflightView puts the preflight checks on the page, behind what stands there already, which nobody can override.
func preflightView(p *templates.ConfirmProps, o offer, w wish) {
	for _, c := range o.checks {
		shown := templates.Check{Mark: findings[c.Finding], Sentence: c.Sentence, Fix: c.Fix, Evidence: c.Evidence}
		switch {
		case c.Finding == deploys.Pass:
			shown.Fix = ""
			p.Passed = append(p.Passed, shown)
			continue
		case c.Finding != deploys.Block:
		case o.may:
			p.NeedReason = true
			p.Overrides = append(p.Overrides, templates.Override{Check: c.Name, Sentence: c.Sentence, Ticked: slices.Contains(w.overrides, c.Name)})
		default:
			p.Held = true
		}
		p.Checks = append(p.Checks, shown)
	}
}
