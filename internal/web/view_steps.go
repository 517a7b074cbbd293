package web

import (
	"fmt"
	"time"

	"deployportal/internal/deploys"
	"deployportal/web/templates"
)

// deploySteps are the four steps every deploy takes, and the smoke probes where there are some.
func deploySteps(f deployFacts) []templates.Step {
	d, r := f.Deploy, f.Rollout
	recorded := templates.Step{Name: "Recorded", State: templates.StepDone, Figure: fmt.Sprintf("audit %d", d.AuditSeq)}
	patched := templates.Step{Name: "Patched", State: templates.StepTodo}
	rolling := templates.Step{Name: "Rolling out", State: templates.StepTodo}
	holding := templates.Step{Name: "Holding steady", State: templates.StepTodo}
	if f.App.Stability > 0 {
		holding.Figure = templates.Dur(f.App.Stability)
	}
	steadySince, complete := f.Deploy.RolledOut(f.Rollout)
	if d.Kind == deploys.KindAdopt {
		return []templates.Step{recorded}
	}
	var at *templates.Step // the step an active deploy is at, or an ended one ended in
	switch {
	case d.Status == deploys.Succeeded:
		patched.State, patched.Figure = templates.StepDone, templates.Took(between(d.Created, d.Patched))
		rolling.State, holding.State = templates.StepDone, templates.StepDone
		if !d.Patched.IsZero() {
			rolling.Figure = templates.Took(max(0, between(d.Patched, steadyUntil(d))-f.App.Stability))
		}
	case smokeBegun(d) != nil && (d.Active() || smokeFailed(d)):
		patched.State, patched.Figure = templates.StepDone, templates.Took(between(d.Created, d.Patched))
		rolling.State, holding.State = templates.StepDone, templates.StepDone
		rolling.Figure = templates.Took(max(0, between(d.Patched, steadyUntil(d))-f.App.Stability))
	case d.Patched.IsZero():
		at = &patched
		if d.Status == deploys.Pending {
			at.Figure = "waiting its turn"
		}
		at.Clock = &templates.Clock{From: d.Created, To: d.Finished}
	default:
		patched.State, patched.Figure = templates.StepDone, templates.Took(between(d.Created, d.Patched))
		at = &rolling
		if complete {
			rolling.State, rolling.Figure = templates.StepDone, templates.Took(between(d.Patched, steadySince))
			at = &holding
			at.Figure, at.Clock = "", &templates.Clock{From: steadySince, Limit: f.App.Stability}
		} else {
			rolling.Figure = rollingFigure(r)
			rolling.Clock = &templates.Clock{From: d.Patched}
		}
	}
	if at != nil {
		at.State = templates.StepNow
		if !active(d.Status) {
			at.State, at.Clock = templates.StepFail, nil
			took := templates.Took(between(d.Created, d.Finished))
			at.Figure = string(d.Status) + " after " + took
			if d.Status == deploys.Superseded {
				at.State = templates.StepTodo // nothing went wrong with it
			}
		}
	}
	all := []templates.Step{recorded, patched, rolling, holding}
	if d.Smoke != nil {
		all = append(all, smokeStep(d))
	}
	return all
}

// steadyUntil is when the stability window had passed.
func steadyUntil(d deploys.Deploy) time.Time {
	if s := smokeBegun(d); s != nil {
		return s.Began
	}
	return d.Finished
}

func rollingFigure(r *deploys.Rollout) string {
	if r == nil {
		return "nothing seen yet"
	}
	if r.Desired == 0 {
		return "no pod wanted"
	}
	if r.Paused {
		return "paused in the cluster"
	}
	return fmt.Sprintf("%d of %d pods new", min(r.Updated, r.Desired), r.Desired)
}
