package deploys

import (
	"fmt"
	"slices"
	"time"
)

// startupCause is a startup probe that has had its chance: one whole budget where the app answers and says no (4xx), two
// where nothing answers or it says that it is not ready (5xx).
func (j *judge) startupCause(p Pod, c Container, restarts int32, seen map[string]bool) (Cause, bool) {
	probe := c.Startup
	if probe == nil || c.Started {
		return Cause{}, false
	}
	ran := time.Duration(0)
	if c.State == "running" {
		j.standing(runOf(p, c), seen)
		ran = j.now.Sub(j.begun(p, c))
	}
	if probe.Fails == 0 || probe.LastFail.Before(j.b.T0) {
		return j.outlasted(p, c, restarts)
	}
	budgets, code, fails := probe.Kills, probe.Through, probe.ThroughFails
	if probe.LastKill.Before(j.b.T0) || c.Last != nil && probe.LastKill.Before(c.Last.Started) {
		budgets, code = 0, 0 // of an earlier rollout, or it has ended in another way since
	}
	// The kubelet's last probe of a budget falls on its end; its word that it kills may be late or rate limited.
	if !probe.LastFail.Before(c.Since) && ran >= probe.Budget()+probe.Period && !probe.LastKill.After(c.Since) {
		budgets++
		if code == 0 && !probe.FirstFail.After(c.Since.Add(probe.Delay+probe.Period+probe.Budget()/4)) {
			code, fails = probe.HTTP, min(probe.Fails, probe.Threshold)
		}
	}
	if budgets == 0 {
		return Cause{}, false
	}
	cause := Cause{Evidence: []Evidence{{Kind: FromProbe, At: probe.LastFail, Text: fmt.Sprintf("%s: %s, at least %s", probe.Ask, probe.Answer, times(probe.Fails))}}}
	cause.Evidence = append(cause.Evidence, probeSaid(probe)...)
	if !probe.LastKill.IsZero() {
		cause.Evidence = append(cause.Evidence, Evidence{Kind: FromCluster, At: probe.LastKill, Text: "failed its startup probe and is restarted"})
	}
	cause.Evidence = append(cause.Evidence, logEvidence(j.f.Logs[p.UID+"/"+c.Name])...)
	if code >= 400 && code < 500 {
		cause.Title = fmt.Sprintf("The startup probe gets %d", code)
		cause.Sentence = fmt.Sprintf("%s runs, but %s was answered with HTTP %d at least %s in its whole budget of %s.",
			who(p, c), probe.Ask, code, times(fails), short(probe.Budget()))
		cause.Advice = "The image and the port are fine. Does this version serve the path, or should the probe ask for another?"
		cause.Doomed = true
		return cause, true
	}
	cause.Title = killedByStartup
	cause.Sentence = fmt.Sprintf("%s did not start within the %s that its startup probe allows: %s gave %s, at least %s.",
		who(p, c), short(probe.Budget()), probe.Ask, probe.Answer, times(probe.Fails))
	cause.Advice, cause.Doomed = j.moreTime(c), budgets >= 2
	return cause, true
}

// runOf is the key by which Memory.Since knows one run of a container.
func runOf(p Pod, c Container) string { return fmt.Sprintf("%s/%s/run %d", p.UID, c.Name, c.Restarts) }

// begun is when a running container began, by its node's clock only as far as that is not behind ours: else its first failure
// would pass for the end of its budget.
func (j *judge) begun(p Pod, c Container) time.Time {
	return later(c.Since, j.m.Since[runOf(p, c)].Add(-clockLeeway))
}

const killedByStartup = "Killed by its startup probe"

// moreTime is what to do about a startup probe that kills.
func (j *judge) moreTime(c Container) string {
	probe, usual := c.Startup, j.b.Usual[c.Name]
	advice := fmt.Sprintf("Give it more time: failureThreshold above %d at a period of %s, or find why it starts so slowly.", probe.Threshold, short(probe.Period))
	if usual > probe.Budget() {
		advice = fmt.Sprintf("The last starts took up to %s: the budget should be above that. %s", short(usual), advice)
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
	return Cause{Title: killedByStartup, Doomed: restarts >= crashLoops, Advice: j.moreTime(c),
		Sentence: fmt.Sprintf("%s did not start within the %s that its startup probe allows: it was ended after %s, and %s had not passed.",
			who(p, c), short(probe.Budget()), short(ran), probe.Ask),
		Evidence: append([]Evidence{lastWords(c)}, logEvidence(j.f.Logs[p.UID+"/"+c.Name])...)}, true
}
