package deploys

import (
	"fmt"
	"slices"
	"time"
)

// startupCause is a startup probe that has had its chance: one whole budget where the app answers and says no (4xx), two
// where nothing answers or it says that it is not ready (5xx).
func (j *judge) startupCause(p Pod, c Container, restarts int32) (Cause, bool) {
	probe := c.Startup
	if probe == nil || c.Started {
		return Cause{}, false
	}
	if probe.Fails == 0 || probe.LastFail.Before(j.b.T0) {
		return j.outlasted(p, c, restarts)
	}
	budgets := probe.Kills
	if probe.LastKill.Before(j.b.T0) {
		budgets = 0
	}
	// The kubelet's last probe of a budget falls on its end; its word that it kills may be late or rate limited.
	if c.State == "running" && !probe.LastFail.Before(c.Since) && j.now.Sub(c.Since) >= probe.Budget()+probe.Period && !probe.LastKill.After(c.Since) {
		budgets++
	}
	if budgets == 0 {
		return Cause{}, false
	}
	cause := Cause{Evidence: []Evidence{{Kind: FromProbe, At: probe.LastFail, Text: fmt.Sprintf("%s: %s, at least %s", probe.Ask, probe.Answer, times(probe.Fails))}}}
	if !probe.LastKill.IsZero() {
		cause.Evidence = append(cause.Evidence, Evidence{Kind: FromCluster, At: probe.LastKill, Text: "failed its startup probe and is restarted"})
	}
	cause.Evidence = append(cause.Evidence, logEvidence(j.f.Logs[p.UID+"/"+c.Name])...)
	if probe.HTTP >= 400 && probe.HTTP < 500 {
		cause.Title = fmt.Sprintf("The startup probe gets %d", probe.HTTP)
		cause.Sentence = fmt.Sprintf("%s runs, but %s was answered with HTTP %d at least %s in its whole budget of %s.",
			who(p, c), probe.Ask, probe.HTTP, times(probe.Fails), short(probe.Budget()))
		cause.Advice = "The image and the port are fine. Does this version serve the path, or should the probe ask for another?"
		cause.Doomed = true
		return cause, true
	}
	cause.Title = killedByStartup
	cause.Sentence = fmt.Sprintf("%s did not start within the %s that its startup probe allows: %s gave %s, at least %s.",
		who(p, c), short(probe.Budget()), probe.Ask, probe.Answer, times(probe.Fails))
	cause.Advice, cause.Doomed = j.moreTime(probe), budgets >= 2
	return cause, true
}

const killedByStartup = "Killed by its startup probe"

// moreTime is what to do about a startup probe that kills.
func (j *judge) moreTime(probe *Probe) string {
	advice := fmt.Sprintf("Give it more time: failureThreshold above %d at a period of %s, or find why it starts so slowly.", probe.Threshold, short(probe.Period))
	if j.b.Usual > probe.Budget() {
		advice = fmt.Sprintf("The last starts took up to %s: the budget should be above that. %s", short(j.b.Usual), advice)
	}
	return advice
}

// outlasted is a container that the kubelet has ended for its startup probe without a word of it: its events are rate
// limited, and may be late. It ended as one that is told to, when its budget was over, and no pod has been ready yet.
func (j *judge) outlasted(p Pod, c Container, restarts int32) (Cause, bool) {
	const grace = 30 * time.Second // that a container has by default to end
	probe, last := c.Startup, c.Last
	heard := func(other *Probe) bool { return other != nil && other.LastFail.After(last.Started) }
	switch {
	case last == nil, last.Started.IsZero(), last.Finished.Before(j.b.T0), last.Reason == "OOMKilled", j.m.Ready > 0:
		return Cause{}, false
	case !slices.Contains([]int32{0, 137, 143}, last.Code), heard(c.Readiness), heard(c.Liveness):
		return Cause{}, false
	}
	ran := last.Finished.Sub(last.Started)
	if ran < probe.Budget()-probe.Period || ran > probe.Budget()+probe.Period+grace {
		return Cause{}, false
	}
	return Cause{Title: killedByStartup, Doomed: restarts >= crashLoops, Advice: j.moreTime(probe),
		Sentence: fmt.Sprintf("%s did not start within the %s that its startup probe allows: it was ended after %s, and %s had not passed.",
			who(p, c), short(probe.Budget()), short(ran), probe.Ask),
		Evidence: append([]Evidence{lastWords(c)}, logEvidence(j.f.Logs[p.UID+"/"+c.Name])...)}, true
}
