package preflight

import (
	"fmt"
	"strings"
	"time"

	"deployportal/internal/deploys"
)

// startup: a probe that gives up before the app is up restarts it for ever; a deadline that passes before the probe gives
// up calls a rollout failed that is only slow.
func startup(f Facts) deploys.Check {
	if c, ok := f.unseen("its probes"); ok {
		return c
	}
	if f.Starts.Err != nil {
		return unasked("the portal's records", "how long its starts took", f.Starts.Err)
	}
	var short, fixes, said []string
	w := f.Around.Workload
	compared := false
	for _, c := range w.Containers {
		kind, p := "startup", c.Startup
		if p == nil {
			kind, p = "liveness", c.Liveness
		}
		if c.Init || p == nil {
			continue
		}
		budget, took := p.Budget(), f.Starts.Value.Containers[c.Name]
		evidence := fmt.Sprintf("%s probe of %s: %s", kind, c.Name, budgetWords(p.Probe))
		compared = compared || len(took) > 0
		if needed := 3 * longest(took) / 2; len(took) > 0 && budget < max(longest(took), 5*p95(took)/4) {
			short = append(short, fmt.Sprintf("the %s probe of %s gives up after %s, and its slowest of %s took %s", kind, c.Name, words(budget), plural(len(took), "start"), words(longest(took))))
			fixes = append(fixes, fmt.Sprintf("Give it %s: failureThreshold %d.", words(needed), thresholdFor(p.Probe, needed)))
			evidence += fmt.Sprintf("; starts: p95 %s, longest %s", words(p95(took)), words(longest(took)))
		}
		if w.Deadline > 0 && budget >= w.Deadline {
			short = append(short, fmt.Sprintf("the %s probe of %s allows a start of %s, but a rollout is given up after %s without progress", kind, c.Name, words(budget), words(w.Deadline)))
			fixes = append(fixes, fmt.Sprintf("Set progressDeadlineSeconds to more than %d.", int(budget.Seconds())))
		}
		said = append(said, evidence)
	}
	if pods := f.Starts.Value.Pods; len(pods) > 0 && w.Deadline > 0 && longest(pods) >= w.Deadline {
		short = append(short, fmt.Sprintf("a rollout is given up after %s without progress, and the slowest of %s took %s", words(w.Deadline), plural(len(pods), "start"), words(longest(pods))))
		fixes = append(fixes, fmt.Sprintf("Set progressDeadlineSeconds to %d.", int((3*longest(pods)/2).Seconds())))
	}
	switch {
	case len(short) > 0:
		sentence := strings.Join(short, "; ")
		return with(warn(strings.Join(fixes, " "), "%s.", strings.ToUpper(sentence[:1])+sentence[1:]), said...)
	case len(said) == 0:
		return pass("No startup or liveness probe ends a slow start.")
	case !compared:
		return with(unknown("No start of it was seen yet, so its startup budget has nothing to be compared with."), said...)
	}
	return with(pass("Its probes leave more time than its starts took."), said...)
}

func budgetWords(p deploys.Probe) string {
	return fmt.Sprintf("%s (%d failures, %s apart, from %s on)", words(p.Budget()), p.Threshold, words(p.Period), words(p.Delay))
}

// thresholdFor is the failureThreshold that makes a budget.
func thresholdFor(p deploys.Probe, needed time.Duration) int64 {
	period := max(p.Period, time.Second)
	return max(1, int64((needed-p.Delay+period-1)/period))
}

// longest and p95 read a list that is sorted; an empty one is 0.
func longest(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	return d[len(d)-1]
}

func p95(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	return d[(95*len(d)+99)/100-1] // the nearest rank
}

// words reads a time in whole seconds, as probes are written: "90 s", "12 min".
func words(d time.Duration) string {
	d = d.Round(time.Second)
	if d >= 2*time.Minute && d%time.Minute == 0 {
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}
