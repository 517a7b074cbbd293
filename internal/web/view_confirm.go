package web

import (
	"fmt"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/web/templates"
)

// confirmView makes the confirm page of an offer.
func confirmView(o offer, w wish) templates.ConfirmProps {
	t := o.target
	env, app := t.App.Env, t.App.App
	p := templates.ConfirmProps{
		App: app, Action: templates.DeploysURL(env, app), Cancel: templates.AppURL(env, app),
		From: imageOf(t.Running, t.Commit), To: imageOf(o.to, o.commit), Pushed: o.image.Pushed,
		Same: t.Trouble == nil && o.to.Same(t.Running), Commits: o.commits, Migrations: migrationsView(o), Mind: minds(o),
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
	if o.back != nil {
		p.Rollback, p.RollbackTo, p.Before = true, o.back.Deploy, o.back.Before
		p.Page.Title = "Roll back " + t.App.String() + " to " + p.To.Short
	}
	if w.refused != nil {
		p.Error = errs.Public(w.refused)
	}
	if t.Active != nil {
		p.Replaces = t.Active.ID
		p.ReplaceSay = fmt.Sprintf("Deploy %d to %s, asked for by %s, is under way. It ends as superseded; what it has sent stays until this one is sent.",
			t.Active.ID, t.Active.To.Short(), t.Active.ActorName)
	} else if t.Running.Healthy && !p.Same {
		p.WayBack = "If it fails, a rollback returns to " + t.Running.Short() + ", which runs well now."
	}
	p.Checks, p.Blocked = offerChecks(o)
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
	case errs.KindOf(o.lost) == errs.Invalid:
		checks = append(checks, templates.Check{Mark: block, Sentence: errs.Public(o.lost), Fix: "Push the image under the SHA of its commit and deploy that."})
	case o.lost != nil:
		checks = append(checks, templates.Check{Mark: block, Sentence: errs.Public(o.lost), Fix: "A deploy needs the registry's word for the image. A rollback does not: it works without the registry."})
	}
	blocked = len(checks) > 0
	if t.Rollout != nil && t.Rollout.ManagedBy != "" {
		checks = append(checks, templates.Check{Mark: templates.Mark{Tone: templates.Unknown, Word: "Mind"},
			Sentence: t.Rollout.ManagedBy + " manages this workload and may revert the deploy.", Fix: "Change the image there too."})
	}
	return checks, blocked
}
