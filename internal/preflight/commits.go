package preflight

import (
	"cmp"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// mute tells that commits have nothing to say about this plan, or why they cannot.
func (f Facts) mute(about string) (c deploys.Check, ok bool) {
	switch {
	case f.Plan.App.Git == "":
		return unknown("Could not ask Gitea about %s: no git repository is configured for %s.", about, f.Plan.App.App), true
	case !deploys.TagPattern.MatchString(f.Plan.To.Tag):
		return unknown("Could not ask Gitea about %s: what shall run has no tag that names a commit.", about), true
	}
	return c, false
}

// ci: what builds and tests said of the commit.
func ci(f Facts) deploys.Check {
	if f.restores() {
		return none
	}
	if c, ok := f.mute("its CI state"); ok {
		return c
	}
	short, v := f.Plan.To.Short(), f.CI.Value
	switch {
	case f.CI.Err != nil:
		return unasked("Gitea", "its CI state", f.CI.Err)
	case v.State == deploys.CISuccess:
		return pass("%s passed for %s.", plural(v.Total, "check"), short)
	case v.State == deploys.CIFailure:
		return with(warn("See what failed before you deploy it.", "CI failed for %s: %s.", short, cmp.Or(some(v.Failed, 3), "the combined state")), v.Failed...)
	case v.State == deploys.CIPending:
		return with(warn("Wait until it has ended.", "CI has not ended for %s: %s.", short, cmp.Or(some(v.Waiting, 3), "the combined state")), v.Waiting...)
	}
	return pass("No CI: nothing has reported on %s.", short)
}

// branch: what is not on the main branch can be lost with the next deploy.
func branch(f Facts) deploys.Check {
	if f.restores() {
		return none
	}
	if c, ok := f.mute("the main branch"); ok {
		return c
	}
	b := f.Branch.Value
	switch {
	case f.Branch.Err != nil:
		return unasked("Gitea", "the main branch", f.Branch.Err)
	case b.Holds:
		return pass("The commit is on %s.", b.Name)
	}
	return warn("Merge it, or the next deploy takes it away again.", "The commit %s is not on %s.", f.Plan.To.Short(), b.Name)
}

// direction: whether what runs now is part of what comes.
func direction(f Facts) deploys.Check {
	if f.restores() {
		return none
	}
	if c, ok := f.mute("what lies between the two commits"); ok {
		return c
	}
	from, to, r := f.Plan.From.Short(), f.Plan.To.Short(), f.Between.Value
	switch {
	case !deploys.TagPattern.MatchString(f.Plan.From.Tag):
		return unknown("What runs now has no tag that names a commit, so which commits come and go is not known.")
	case f.Between.Err != nil:
		return unasked("Gitea", "what lies between the two commits", f.Between.Err)
	}
	switch r.Way() {
	case deploys.WayAhead:
		return pass("%s is %s ahead of %s.", to, plural(r.Total, "commit"), from)
	case deploys.WayBehind:
		return warn("Deploy a newer image, or roll back if that is what you want.", "It goes back: %s that run now will be gone.", plural(r.Behind, "commit"))
	case deploys.WayDiverged:
		return warn("Merge both, and deploy the merge.", "%s and %s have diverged: %s that run now will be gone.", to, from, plural(r.Behind, "commit"))
	}
	return pass("%s and %s are the same commit.", to, from)
}

// migrations: what a way back does not undo.
func migrations(f Facts) deploys.Check {
	if f.Plan.Kind == deploys.KindRestart {
		return none
	}
	if c, ok := f.mute("migrations"); ok {
		return c
	}
	m := f.Migrations.Value
	switch {
	case !deploys.TagPattern.MatchString(f.Plan.From.Tag):
		return unknown("What runs now has no tag that names a commit, so whether migrations come is not known.")
	case f.Migrations.Err != nil:
		return unasked("Gitea", "migrations", f.Migrations.Err)
	case len(m.Behind) > 0:
		return with(warn("See whether the older code works with the newer schema.",
			"Stays in the database: %s. The older code will meet the newer schema.", plural(len(m.Behind), "migration")), paths(m.Behind)...)
	case len(m.Ahead) > 0:
		return with(warn("See that the code of now works with the new schema, for the time both run.",
			"%s may change the database. Going back later does not undo that.", plural(len(m.Ahead), "migration file")), paths(m.Ahead)...)
	case m.Unread > 0:
		return unknown("%s were not looked at for migrations.", plural(m.Unread, "older commit"))
	}
	return pass("No commit between them touches a migration.")
}

func paths(files []deploys.Touched) (out []string) {
	for _, t := range files[:min(len(files), 20)] {
		out = append(out, t.Path)
	}
	return out
}

// gone tells whether a source says that there is no such thing, rather than nothing at all.
func gone(err error) bool { return errs.KindOf(err) == errs.NotFound }
