package deploys

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Smoker sends an app's smoke probes; internal/smoke implements it.
type Smoker interface {
	// Probes tells what is asked of an app after a rollout; nil: nothing. It answers from memory.
	Probes(App) []SmokeProbe
	// Smoke sends all of it. each is called with every answer, one call at a time, in the order in which they come. to is
	// what shall answer, from what ran before. It returns when every request has come to its end, or soon after ctx has
	// ended, with ctx's error. errs.Unavailable, before the first request: it is not known where to send them.
	Smoke(ctx context.Context, app App, from, to Version, each func(SmokeResult)) error
}

// SmokeProbe is one configured smoke probe.
type SmokeProbe struct {
	URL      string `json:"url"`
	Requests int    `json:"requests"`
	Allowed  int    `json:"allowed,omitempty"` // failures that do not matter
	Version  bool   `json:"version,omitempty"` // the answer must name the deployed tag
}

// SmokeResult is what became of one request.
type SmokeResult struct {
	N       int           `json:"n"`           // its place among all requests of the deploy, from 0
	Probe   int           `json:"p,omitempty"` // its place in Smoke.Probes
	Address string        `json:"a,omitempty"` // where it was sent; empty: where the name led
	After   time.Duration `json:"o"`           // sent so long after the first
	Took    time.Duration `json:"t"`
	Status  int           `json:"s,omitempty"`   // of the answer; 0: none came
	Fault   string        `json:"f,omitempty"`   // why it failed, a few words; empty: it did not
	Old     bool          `json:"old,omitempty"` // it failed because the version before answered
}

// Smoke is the smoke probes of a deploy, and what came of them so far.
type Smoke struct {
	Probes  []SmokeProbe  `json:"probes"`
	Began   time.Time     `json:"began,omitzero"`    // of the last run; zero: they have not begun
	Ended   time.Time     `json:"ended,omitzero"`    // zero: they run, or were cut off
	Results []SmokeResult `json:"results,omitempty"` // in the order in which the answers came
}

// Planned is how many requests there are in all.
func (s Smoke) Planned() (n int) {
	for _, p := range s.Probes {
		n += p.Requests
	}
	return n
}

// SmokeTally is what a group of requests came to.
type SmokeTally struct {
	Probe    int    // whose requests they are
	Address  string // that they were sent to; empty: where the name led
	Asked    int
	Good     int
	P50, P99 time.Duration // of those that were good
	Fault    string        // the most frequent one
}

// Failed is how many were not good.
func (t SmokeTally) Failed() int { return t.Asked - t.Good }

// Tally counts all results so far.
func (s Smoke) Tally() SmokeTally { return tally(s.Results) }

// ByAddress counts the results of each probe by the address they were sent to, in the order of the first request.
func (s Smoke) ByAddress() (out []SmokeTally) {
	type key struct {
		probe   int
		address string
	}
	groups, order := map[key][]SmokeResult{}, []key(nil)
	for _, r := range byNumber(s.Results) {
		k := key{r.Probe, r.Address}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], r)
	}
	for _, k := range order {
		t := tally(groups[k])
		t.Probe, t.Address = k.probe, k.address
		out = append(out, t)
	}
	return out
}

func byNumber(list []SmokeResult) []SmokeResult {
	return slices.SortedFunc(slices.Values(list), func(a, b SmokeResult) int { return cmp.Compare(a.N, b.N) })
}

func tally(list []SmokeResult) SmokeTally {
	t := SmokeTally{Asked: len(list)}
	var took []time.Duration
	for _, r := range list {
		if r.Fault == "" {
			took = append(took, r.Took)
		}
	}
	slices.Sort(took)
	t.Good, t.P50, t.P99 = len(took), quantile(took, 0.5), quantile(took, 0.99)
	if f := faults(list); len(f) > 0 {
		t.Fault = f[0].text
	}
	return t
}

// quantile is the smallest value that so great a share of them does not exceed.
func quantile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(math.Ceil(share*float64(len(sorted))))-1]
}

type smokeFault struct {
	text  string
	times int
	first time.Duration
}

// faults lists what went wrong, the most frequent first.
func faults(list []SmokeResult) (out []smokeFault) {
	for _, r := range list {
		if r.Fault == "" {
			continue
		}
		i := slices.IndexFunc(out, func(f smokeFault) bool { return f.text == r.Fault })
		if i < 0 {
			out, i = append(out, smokeFault{text: r.Fault, first: r.After}), len(out)
		}
		out[i].times++
		out[i].first = min(out[i].first, r.After)
	}
	slices.SortStableFunc(out, func(a, b smokeFault) int { return cmp.Compare(b.times, a.times) })
	return out
}

// Note is what a success says of its smoke probes. to is what they asked for.
func (s Smoke) Note(to Version) string {
	t := s.Tally()
	note := fmt.Sprintf("%d of %d requests answered, p99 %s", t.Good, t.Asked, Millis(t.P99))
	if t.Failed() > 0 {
		note = fmt.Sprintf("%d of %d requests answered, %d failed as is allowed, p99 %s", t.Good, t.Asked, t.Failed(), Millis(t.P99))
	}
	if to.Tag == "" && slices.ContainsFunc(s.Probes, func(p SmokeProbe) bool { return p.Version }) {
		note += "; which version answered was not checked, for the image has no tag"
	}
	return note
}

// Cause says why the smoke probes failed, by the first probe with more failures than are allowed; nil when there is none.
// It is pure.
func (s Smoke) Cause() *Cause {
	for i, p := range s.Probes {
		var asked, failed []SmokeResult
		for _, r := range byNumber(s.Results) {
			if r.Probe != i {
				continue
			}
			asked = append(asked, r)
			if r.Fault != "" {
				failed = append(failed, r)
			}
		}
		if len(failed) > p.Allowed {
			return s.cause(p, i, asked, failed)
		}
	}
	return nil
}

func (s Smoke) cause(p SmokeProbe, i int, asked, failed []SmokeResult) *Cause {
	all, what := faults(failed), []string(nil)
	for _, f := range all[:min(2, len(all))] {
		text := f.text
		if len(all) > 1 {
			text += fmt.Sprintf(" (%s)", times(int32(f.times)))
		}
		what = append(what, text)
	}
	if len(all) > 2 {
		what = append(what, "and others")
	}
	c := &Cause{Title: "Smoke probes"}
	c.Sentence = fmt.Sprintf("%d of %d requests to %s failed: %s", len(failed), len(asked), p.URL, sentence(strings.Join(what, ", ")))
	pattern, advice := patternOf(asked, failed)
	if pattern != "" {
		c.Sentence += " " + pattern
	}
	c.Advice = advice
	if old := slices.IndexFunc(failed, func(r SmokeResult) bool { return r.Old }); old >= 0 {
		c.Title = "The old version still answers"
		c.Advice = "Look for pods of the old version that still get requests (the Service's selector, another Deployment), and for a cache in front."
	}
	for _, f := range all[:min(evidenceLines, len(all))] {
		text := fmt.Sprintf("%s: %s", f.text, times(int32(f.times)))
		if f.first >= time.Millisecond {
			text += ", first after " + Millis(f.first)
		}
		c.Evidence = append(c.Evidence, Evidence{Kind: FromSmoke, Text: text})
	}
	for _, t := range s.ByAddress() {
		if t.Probe == i && t.Address != "" && len(c.Evidence) < 2*evidenceLines {
			c.Evidence = append(c.Evidence, Evidence{Kind: FromSmoke, Text: fmt.Sprintf("%s: %d of %d answered", t.Address, t.Good, t.Asked)})
		}
	}
	return c
}

// Millis writes how long an answer took, as people read it.
func Millis(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return short(d)
	case d >= time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Millisecond:
		return "under 1 ms"
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}
