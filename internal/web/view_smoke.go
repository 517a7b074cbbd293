package web

import (
	"fmt"
	"strings"

	"deployportal/internal/deploys"
	"deployportal/web/templates"
)

// shownFailures is how many failed smoke requests a page lists; the dots show the others.
const shownFailures = 10

// smokeBegun is the smoke probes of a deploy once they have begun; nil before, and where there are none.
func smokeBegun(d deploys.Deploy) *deploys.Smoke {
	if d.Smoke == nil || d.Smoke.Began.IsZero() {
		return nil
	}
	return d.Smoke
}

// smokeView makes the part of a deploy's page about its smoke probes; nil before they have begun.
func smokeView(d deploys.Deploy) *templates.SmokeProps {
	s := smokeBegun(d)
	if s == nil {
		return nil
	}
	all, planned := s.Tally(), s.Planned()
	p := &templates.SmokeProps{Summary: smokeSummary(all, planned), Dots: make([]templates.Tone, planned),
		Failed: fmt.Sprintf("%d of %d", all.Failed(), all.Asked), More: max(0, all.Failed()-shownFailures)}
	for _, probe := range s.Probes {
		p.URLs = append(p.URLs, probe.URL)
	}
	for _, r := range s.Results {
		if r.N < 0 || r.N >= planned {
			continue
		}
		if p.Dots[r.N] = templates.OK; r.Fault != "" {
			p.Dots[r.N] = templates.Bad
		}
	}
	p.Label = fmt.Sprintf("%d of %d requests answered, %d failed, %d to come", all.Good, planned, all.Failed(), max(0, planned-all.Asked))
	for _, r := range s.Results {
		if r.Fault != "" && len(p.Failures) < shownFailures {
			p.Failures = append(p.Failures, smokeFailure(r))
		}
	}
	if rows := s.ByAddress(); len(rows) > 1 {
		for _, t := range rows {
			p.Rows = append(p.Rows, smokeRow(*s, t))
		}
	}
	return p
}

func smokeSummary(t deploys.SmokeTally, planned int) string {
	words := []string{fmt.Sprintf("%d of %d answered", t.Good, planned)}
	if t.Failed() > 0 {
		words = append(words, fmt.Sprintf("%d failed", t.Failed()))
	}
	if t.Good > 0 {
		words = append(words, "p50 "+deploys.Millis(t.P50), "p99 "+deploys.Millis(t.P99))
	}
	return strings.Join(words, ", ")
}

func smokeFailure(r deploys.SmokeResult) templates.SmokeFailure {
	f := templates.SmokeFailure{N: r.N + 1, Text: fmt.Sprintf("%s (%s)", r.Fault, deploys.Millis(r.Took))}
	if r.Address != "" {
		f.Text += " from " + r.Address
	}
	return f
}

func smokeRow(s deploys.Smoke, t deploys.SmokeTally) templates.SmokeRow {
	row := templates.SmokeRow{Tone: templates.OK, Name: t.Address, Fault: t.Fault, Answered: fmt.Sprintf("%d of %d", t.Good, t.Asked), P50: "–", P99: "–"}
	if t.Failed() > 0 {
		row.Tone = templates.Bad
	}
	if t.Good > 0 {
		row.P50, row.P99 = deploys.Millis(t.P50), deploys.Millis(t.P99)
	}
	if len(s.Probes) > 1 && t.Probe < len(s.Probes) {
		row.Name = strings.TrimSpace(s.Probes[t.Probe].URL + " " + t.Address)
	}
	return row
}

// smokeStep is the last step of a deploy that has smoke probes.
func smokeStep(d deploys.Deploy) templates.Step {
	step := templates.Step{Name: "Smoke probes", State: templates.StepTodo, Figure: plural(d.Smoke.Planned(), "request")}
	s := smokeBegun(d)
	if s == nil {
		if d.Status == deploys.Succeeded {
			step.Figure = "none sent"
		}
		return step
	}
	t := s.Tally()
	step.Figure = fmt.Sprintf("%d of %d", t.Good, s.Planned())
	switch {
	case d.Active():
		step.State, step.Clock = templates.StepNow, &templates.Clock{From: s.Began}
	case d.Status == deploys.Succeeded && !s.Ended.IsZero():
		step.State = templates.StepDone
	case smokeFailed(d):
		step.State, step.Figure = templates.StepFail, fmt.Sprintf("%d of %d failed", t.Failed(), t.Asked)
	default:
		step.Figure = fmt.Sprintf("ended after %d of %d", t.Asked, s.Planned())
	}
	return step
}

// smokeFailed tells whether a deploy ended because of its smoke probes.
func smokeFailed(d deploys.Deploy) bool {
	s := smokeBegun(d)
	return s != nil && !s.Ended.IsZero() && (d.Status == deploys.Failed || d.Status == deploys.Errored)
}
