package deploys

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// troubles looks at every live target pod for a cause, doomed ones first, and forgets causes that have gone.
func (j *judge) troubles() []Trouble {
	seen := map[string]bool{}
	var out []Trouble
	for _, p := range j.pods {
		if p.Waiting != "" && !p.Ready {
			out = append(out, Trouble{Pod: p.Name, Sentence: fmt.Sprintf("Pod %s waits: %s", p.Name, sentence(p.Waiting))})
		}
		for _, c := range p.Containers {
			key := p.UID + "/" + c.Name
			what, doomed := j.trouble(c, c.Restarts-j.m.Restarts[key], key, seen)
			if what != "" {
				out = append(out, Trouble{Pod: p.Name, Container: c.Name, Doomed: doomed,
					Sentence: fmt.Sprintf("Container %s of pod %s %s", c.Name, p.Name, what)})
			}
		}
	}
	maps.DeleteFunc(j.m.Since, func(key string, _ time.Time) bool { return !seen[key] })
	slices.SortStableFunc(out, func(a, b Trouble) int {
		switch {
		case a.Doomed == b.Doomed:
			return 0
		case a.Doomed:
			return -1
		}
		return 1
	})
	return out
}

// trouble says what is wrong with one container, as the rest of a sentence, and whether waiting cannot help.
func (j *judge) trouble(c Container, restarts int32, key string, seen map[string]bool) (string, bool) {
	if c.State == "waiting" {
		if what, doomed := j.waitingTrouble(c, key, seen); what != "" {
			return what, doomed
		}
	}
	text := c.Message
	if c.Last != nil {
		text += c.Last.Message
	}
	switch down := c.State == "terminated" || c.Reason == "CrashLoopBackOff"; {
	case strings.Contains(text, "exec format error"):
		return "cannot run: exec format error. The image is for another architecture than the node.", true
	case probeDooms(c.Startup, c, j.now, j.b.T0):
		return fmt.Sprintf("never answered its startup probe: %s gave %s, at least %d times, within its %s.",
			c.Startup.Ask, c.Startup.Answer, c.Startup.Fails, short(c.Startup.Budget())), true
	case restarts >= crashLoops && down && !c.Ready:
		return fmt.Sprintf("crashes again and again: %d restarts, it last ended%s.", restarts, exit(c.Last)), true
	case restarts > 0 && !c.Ready:
		return fmt.Sprintf("ended%s and was started again.", exit(c.Last)), false
	}
	for _, p := range []*Probe{c.Startup, c.Readiness} {
		if p != nil && p.Fails > 0 && !c.Ready && c.State == "running" && !p.LastFail.Before(c.Since) {
			return fmt.Sprintf("is not ready: %s gave %s, at least %d times.", p.Ask, p.Answer, p.Fails), false
		}
	}
	return "", false
}

func (j *judge) waitingTrouble(c Container, key string, seen map[string]bool) (string, bool) {
	since := func() time.Duration {
		id := key + "/" + c.Reason
		seen[id] = true
		if _, known := j.m.Since[id]; !known {
			j.m.Since[id] = j.now
		}
		return j.now.Sub(j.m.Since[id])
	}
	switch c.Reason {
	case "ErrImagePull", "ImagePullBackOff":
		if j.f.Pull != "" {
			return "cannot start: " + j.f.Pull, true
		}
		return "cannot start: its image is not pulled. " + sentence(c.Message), false
	case "InvalidImageName", "ErrImageNeverPull":
		return "cannot start: " + c.Reason + ". " + sentence(c.Message), true
	case "CreateContainerConfigError":
		return "cannot start: " + sentence(c.Message), since() >= configGrace
	case "CreateContainerError", "RunContainerError", "PostStartHookError", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed":
		if strings.Contains(c.Message, "exec format error") {
			return "", false
		}
		return "cannot start: " + c.Reason + ". " + sentence(c.Message), false
	}
	return "", false
}

// probeDooms tells whether the startup probe has had its chance: one whole budget where the app answers and says no
// (4xx), two where nothing answers or it says that it is not ready (5xx).
func probeDooms(p *Probe, c Container, now, t0 time.Time) bool {
	if p == nil || p.Fails == 0 || c.Started || p.LastFail.Before(t0) {
		return false
	}
	budgets := p.Kills
	if p.LastKill.Before(t0) {
		budgets = 0
	}
	// The kubelet's last probe of a budget falls on its end; its word that it kills may be late or rate limited.
	if c.State == "running" && !p.LastFail.Before(c.Since) && now.Sub(c.Since) >= p.Budget()+p.Period && !p.LastKill.After(c.Since) {
		budgets++
	}
	if p.HTTP >= 400 && p.HTTP < 500 {
		return budgets >= 1
	}
	return budgets >= 2
}

// exit tells how a container ended: " with exit code 2 (OOMKilled)".
func exit(e *Exit) string {
	if e == nil {
		return ""
	}
	s := fmt.Sprintf(" with exit code %d", e.Code)
	if e.Reason != "" && e.Reason != "Error" && e.Reason != "Completed" {
		s += " (" + e.Reason + ")"
	}
	return s
}
