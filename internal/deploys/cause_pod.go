package deploys

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var (
	mountMissing = regexp.MustCompile(`(?i)(secret|configmap) "([^"]+)" not found`)
	mountKey     = regexp.MustCompile(`volume "([^"]+)" : (?:references non-existent (secret)|(configmap) references non-existent config) key: (.+)$`)
	multiAttach  = regexp.MustCompile(`Multi-Attach error for volume "([^"]+)"(?: Volume is already used by pod\(s\) (.+))?`)
)

// preemption is what the scheduler adds about throwing out other pods: true of nearly every pod that waits, and no help.
var preemption = regexp.MustCompile(`\s*(no new claims to deallocate,?)?\s*preemption: .*$`)

// podCause is what keeps a pod from having containers at all.
func (j *judge) podCause(p Pod, seen map[string]bool) (Cause, bool) {
	if p.Waiting == "" || p.Ready {
		return Cause{}, false
	}
	c := Cause{Pod: p.Name, Evidence: []Evidence{{Kind: FromCluster, Text: p.Waiting}}}
	if m := mountMissing.FindStringSubmatch(p.Waiting); m != nil {
		kind := reference(m[1])
		c.Title = kind + " missing"
		c.Sentence = fmt.Sprintf("Pod %s cannot start: the %s %q that it mounts does not exist.", p.Short(), kind, m[2])
		c.Advice = fmt.Sprintf("Create the %s in namespace %s, or correct its name in the pod template.", kind, j.b.App.Namespace)
		c.Doomed = j.standing(p.UID+"/mount", seen) >= configGrace
		return c, true
	}
	if m := mountKey.FindStringSubmatch(p.Waiting); m != nil {
		kind := reference(m[2] + m[3])
		c.Title = "Key missing in " + kind
		c.Sentence = fmt.Sprintf("Pod %s cannot start: the %s that it mounts as volume %q has no key %q.", p.Short(), kind, m[1], m[4])
		c.Advice = fmt.Sprintf("Add the key to the %s in namespace %s, or correct its name in the pod template.", kind, j.b.App.Namespace)
		c.Doomed = j.standing(p.UID+"/mount", seen) >= configGrace
		return c, true
	}
	if m := multiAttach.FindStringSubmatch(p.Waiting); m != nil {
		return j.heldVolume(p, c, m[1], m[2]), true
	}
	if p.Scheduled.IsZero() {
		c.Title = "No node takes the pod"
		c.Sentence = fmt.Sprintf("Pod %s waits for a node: %s", p.Short(), sentence(preemption.ReplaceAllString(p.Waiting, "")))
		c.Advice = "Free or add capacity, or correct the pod's requests, node selector or tolerations."
		return c, true
	}
	c.Title = "The pod is not set up"
	c.Sentence = fmt.Sprintf("Pod %s on %s is not set up yet: %s", p.Short(), p.Node, sentence(p.Waiting))
	c.Advice = "Look at the node: volumes, network and image credentials are set up before containers start."
	return c, true
}

// heldVolume is a volume that only one node can have, and another one has. With the strategy RollingUpdate an old pod, which
// holds it, goes only once the new one is ready.
func (j *judge) heldVolume(p Pod, c Cause, volume, holders string) Cause {
	c.Title = "The volume is held elsewhere"
	has := "another one has it"
	if holders != "" {
		has = "pod " + holders + " has it"
	}
	c.Sentence = fmt.Sprintf("Pod %s waits for volume %s, which only one node can have: %s", p.Short(), volume, has)
	c.Advice = "Use a volume that several nodes can mount, or wait until its holder is gone."
	ofNew := slices.ContainsFunc(j.pods, func(p Pod) bool { return slices.Contains(strings.Split(holders, ", "), p.Name) })
	if !j.r.Recreate && j.othersLive() && !ofNew {
		c.Sentence += ", and old pods stay until the new one is ready. Neither gets on"
		c.Advice = "Set the strategy Recreate, so that the old pod goes first, or use a volume that several nodes can mount."
	}
	c.Sentence += "."
	return c
}

func reference(kind string) string {
	if strings.EqualFold(kind, "configmap") {
		return "ConfigMap"
	}
	return "Secret"
}
