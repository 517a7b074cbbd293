package deploys

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var (
	missingRef = regexp.MustCompile(`(?i)(secret|configmap) "([^"]+)" not found`)
	missingKey = regexp.MustCompile(`(?i)couldn't find key (\S+) in (secret|configmap) (\S+)`)
	unsynced   = regexp.MustCompile(`failed to sync \S+ cache`)
)

// waitingCause is why a container does not start.
func (j *judge) waitingCause(p Pod, c Container, key string, seen map[string]bool) (Cause, bool) {
	cause := Cause{Evidence: []Evidence{{Kind: FromCluster, Text: strings.TrimSpace(c.Reason + " " + c.Message)}}}
	reason, message := lastTry(c)
	switch reason {
	case "ErrImagePull", "ImagePullBackOff":
		return j.pullCause(p, c, message, cause, key, seen), true
	case "InvalidImageName":
		cause.Title, cause.Doomed = "Invalid image name", true
		cause.Sentence = fmt.Sprintf("%s cannot start: %q is not the name of an image.", who(p, c), c.Image)
		cause.Advice = "Correct the image in the Deployment."
	case "ErrImageNeverPull":
		cause.Title, cause.Doomed = "Image not on the node", true
		cause.Sentence = fmt.Sprintf("%s cannot start: its imagePullPolicy is Never and %s does not have the image.", who(p, c), p.Node)
		cause.Advice = "Set imagePullPolicy to IfNotPresent."
	case "CreateContainerConfigError":
		if unsynced.MatchString(c.Message) {
			cause.Title = "The node has not read its configuration"
			cause.Sentence = fmt.Sprintf("%s cannot start yet: %s could not read its Secrets and ConfigMaps in time, and tries again.", who(p, c), orNode(p.Node))
			cause.Advice = "Wait. If it stays, look at the node and its way to the API server."
			return cause, true // a kubelet gives up after a second, which says nothing of what it wanted to read
		}
		cause = j.configCause(p, c, cause)
		cause.Doomed = j.standing(key+"/config", seen) >= configGrace
	case "CreateContainerError", "RunContainerError", "PostStartHookError":
		if strings.Contains(c.Message, "exec format error") || c.Last != nil && c.Last.Reason == startError {
			return Cause{}, false // endedCause names it
		}
		cause.Title = "The container cannot be started"
		cause.Sentence = fmt.Sprintf("%s cannot be started: %s", who(p, c), sentence(first(c.Message, c.Reason)))
		cause.Advice = "Correct its command, mounts or hooks in the pod template."
	case "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed":
		cause.Title = map[string]string{"ImageInspectError": "The image cannot be read", "RegistryUnavailable": unreachable,
			"SignatureValidationFailed": "Image signature refused"}[reason]
		cause.Sentence = fmt.Sprintf("%s cannot start: %s", who(p, c), sentence(first(message, reason)))
		cause.Advice = "Look at the node's container runtime: the portal cannot see more of this."
	default:
		return Cause{}, false
	}
	return cause, true
}

// startError is the reason of a container whose program the runtime could not even begin.
const startError = "StartError"

// runtimeWords are the layers of a runtime that a message comes through before it says what was wrong.
var runtimeWords = regexp.MustCompile(`^.*(?:unable to start container process: |error during container init: )`)

// cannotStart is a program that cannot be begun at all: it is not in the image, or may not be run. The second time says
// that it was no accident of the node. Nothing of it is in a log, for nothing ran.
func cannotStart(p Pod, c Container, restarts int32) (Cause, bool) {
	if c.Last == nil || c.Last.Reason != startError || c.Last.Message == "" {
		return Cause{}, false
	}
	words := strings.TrimSuffix(runtimeWords.ReplaceAllString(c.Last.Message, ""), ": unknown")
	return Cause{Title: "The container cannot be started", Doomed: restarts > 0,
		Sentence: fmt.Sprintf("%s cannot be started: %s", who(p, c), sentence(words)),
		Advice:   "Correct the command in the pod template, or the image: it does not have this program, or may not run it.",
		Evidence: []Evidence{lastWords(c)}}, true
}

// overlooked tells of a rollout with the strategy Recreate that Kubernetes has forgotten: its deployment controller looks
// again when the last of all pods is gone (deletePod in pkg/controller/deployment), so a pod that has ended and lies around,
// an evicted one for instance, keeps it from noticing that the old ones are.
func (j *judge) overlooked(seen map[string]bool) (Cause, bool) {
	if !j.r.Recreate || j.r.Desired == 0 || len(j.r.Pods) == 0 || slices.ContainsFunc(j.r.Pods, func(p Pod) bool { return p.Live() || p.Deleting }) ||
		slices.ContainsFunc(j.r.ReplicaSets, func(rs ReplicaSet) bool { return rs.Desired > 0 }) || j.standing("overlooked", seen) < configGrace {
		return Cause{}, false
	}
	p := j.r.Pods[0]
	how := ""
	if p.Reason != "" {
		how = " (" + p.Reason + ")"
	}
	return Cause{Title: "Kubernetes has lost sight of the rollout", Pod: p.Name,
		Sentence: fmt.Sprintf("The old pods are gone and no new one is begun: pod %s, which has ended%s, is still there, and with the strategy Recreate Kubernetes then does not look again.", p.Short(), how),
		Advice:   fmt.Sprintf("Delete what is left of it: kubectl -n %s delete pod %s. The rollout goes on at once.", j.b.App.Namespace, p.Name)}, true
}

const livenessAdvice = "See in the log why the app fails this probe, or whether the probe asks for the right thing."

// killedByLiveness gives the liveness probe of a container whose newest end it brought about, in this rollout.
func (j *judge) killedByLiveness(c Container) *Probe {
	probe := c.Liveness
	if probe == nil || probe.Kills == 0 || probe.Fails == 0 || probe.LastKill.Before(j.b.T0) || c.Last == nil || c.Last.Finished.Before(probe.LastKill) {
		return nil
	}
	return probe
}

// ending tells of a pod with a container that runs and that the kubelet has said it kills for its liveness probe: what
// that was about will be seen in a moment, so nothing is said of it before.
func (j *judge) ending(p Pod) bool {
	return slices.ContainsFunc(p.Containers, func(c Container) bool {
		probe := c.Liveness
		return probe != nil && probe.Kills > 0 && c.State == "running" && !probe.LastKill.Before(j.b.T0) && probe.LastKill.After(c.Since)
	})
}

func first(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

// configCause names the Secret, the ConfigMap or the key in it that is not there.
func (j *judge) configCause(p Pod, c Container, cause Cause) Cause {
	where := "in namespace " + j.b.App.Namespace
	if m := missingKey.FindStringSubmatch(c.Message); m != nil {
		kind, name := reference(m[2]), m[3][strings.LastIndexByte(m[3], '/')+1:]
		cause.Title = "Key missing in " + kind
		cause.Sentence = fmt.Sprintf("%s cannot start: the %s %q has no key %q.", who(p, c), kind, name, m[1])
		cause.Advice = fmt.Sprintf("Add the key to the %s %s, or correct its name in the pod template.", kind, where)
		return cause
	}
	if m := missingRef.FindStringSubmatch(c.Message); m != nil {
		kind := reference(m[1])
		cause.Title = kind + " missing"
		cause.Sentence = fmt.Sprintf("%s cannot start: the %s %q it refers to does not exist.", who(p, c), kind, m[2])
		cause.Advice = fmt.Sprintf("Create the %s %s, or correct its name in the pod template.", kind, where)
		return cause
	}
	cause.Title = "The container's configuration is wrong"
	cause.Sentence = fmt.Sprintf("%s cannot start: %s", who(p, c), sentence(first(c.Message, c.Reason)))
	cause.Advice = "Correct the pod template."
	return cause
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
