package deploys

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

var (
	missingRef = regexp.MustCompile(`(?i)(secret|configmap) "([^"]+)" not found`)
	missingKey = regexp.MustCompile(`(?i)couldn't find key (\S+) in (secret|configmap) (\S+)`)
	refusedRe  = regexp.MustCompile(`(?i)\b(401|403|unauthorized|forbidden|denied|authorization failed|no basic auth credentials|failed to authorize)\b`)
	platformRe = regexp.MustCompile(`(?i)no match for platform|does not match the specified platform`)
	reachRe    = regexp.MustCompile(`(?i)dial tcp|no such host|i/o timeout|connection refused|connection reset|tls|x509|server gave http response|deadline exceeded|EOF|50[0-9] `)
)

// waitingCause is why a container does not start.
func (j *judge) waitingCause(p Pod, c Container, key string, seen map[string]bool) (Cause, bool) {
	cause := Cause{Evidence: []Evidence{{Kind: FromCluster, Text: strings.TrimSpace(c.Reason + " " + c.Message)}}}
	switch c.Reason {
	case "ErrImagePull", "ImagePullBackOff":
		return j.pullCause(p, c, cause, key, seen), true
	case "InvalidImageName":
		cause.Title, cause.Doomed = "Invalid image name", true
		cause.Sentence = fmt.Sprintf("%s cannot start: %q is not the name of an image.", who(p, c), c.Image)
		cause.Advice = "Correct the image in the Deployment."
	case "ErrImageNeverPull":
		cause.Title, cause.Doomed = "Image not on the node", true
		cause.Sentence = fmt.Sprintf("%s cannot start: its imagePullPolicy is Never and %s does not have the image.", who(p, c), p.Node)
		cause.Advice = "Set imagePullPolicy to IfNotPresent."
	case "CreateContainerConfigError":
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
		cause.Title = map[string]string{"ImageInspectError": "The image cannot be read", "RegistryUnavailable": "Registry unreachable from the node",
			"SignatureValidationFailed": "Image signature refused"}[c.Reason]
		cause.Sentence = fmt.Sprintf("%s cannot start: %s", who(p, c), sentence(first(c.Message, c.Reason)))
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

const livenessAdvice = "The app started and answered, and then failed this probe: see in the log why, or whether the probe asks for the right thing."

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

// pullCause crosses what the node said with what the registry says.
func (j *judge) pullCause(p Pod, c Container, cause Cause, key string, seen map[string]bool) Cause {
	f := j.f.Pull
	cause.Title = "Image not pulled"
	cause.Advice = "Look at the node's way to the registry."
	cause.Sentence = fmt.Sprintf("%s cannot start: %s could not pull its image.", who(p, c), orNode(p.Node))
	repo := j.b.To.Repository[strings.IndexByte(j.b.To.Repository, '/')+1:]
	_, ours := j.b.To.Images[c.Name]
	switch {
	case !ours:
		cause.Sentence = fmt.Sprintf("%s cannot start: its image %s, which this deploy does not set, cannot be pulled.", who(p, c), c.Image)
		cause.Advice = "Correct the image of this container in the Deployment."
		cause.Doomed = strings.Contains(c.Message, "not found")
	case f.Asked && f.Sentence != "" && f.Moved != "":
		cause.Title, cause.Doomed = "Image overwritten", true
		cause.Sentence = fmt.Sprintf("The image is gone: the tag %s in %s was pushed again and names another digest now.", j.b.To.Short(), repo)
		cause.Advice = "Deploy the tag anew to take the image that it names now."
		cause.Evidence = append(cause.Evidence, Evidence{Kind: FromRegistry, Text: "the tag now names " + f.Moved})
	case f.Asked && f.Refused:
		cause.Title, cause.Doomed = "The registry refuses the image", true
		cause.Sentence = fmt.Sprintf("%s cannot start: %s", who(p, c), f.Sentence)
		cause.Advice = "Check the rights of the registry's accounts: the portal's and the nodes'."
		cause.Evidence = append(cause.Evidence, Evidence{Kind: FromRegistry, Text: f.Sentence})
	case f.Asked && f.Sentence != "":
		cause.Title, cause.Doomed = "Image not found", true
		cause.Sentence = NotFound(f.Sentence)
		cause.Advice = "Push the image again, or deploy one that the registry still has."
		cause.Evidence = append(cause.Evidence, Evidence{Kind: FromRegistry, Text: f.Sentence})
	case platformRe.MatchString(c.Message):
		cause.Title, cause.Doomed = "No image for this architecture", true
		cause.Sentence = fmt.Sprintf("%s cannot start: the image is not built for the architecture of %s%s.", who(p, c), orNode(p.Node), builtFor(f.Platforms, j.b.To.Platforms))
		cause.Advice = buildAdvice
	case refusedRe.MatchString(c.Message):
		cause.Title = "The registry refuses the node"
		cause.Doomed = f.Asked && j.standing(key+"/refused", seen) >= configGrace
		cause.Sentence = fmt.Sprintf("%s cannot start: the registry does not let %s pull the image.", who(p, c), orNode(p.Node))
		cause.Advice = "Check the imagePullSecrets of the pod template, or registries.yaml on the node: the credentials are missing or wrong."
		if f.Asked && f.Sentence == "" {
			cause.Evidence = append(cause.Evidence, Evidence{Kind: FromRegistry, Text: "the image is there, and the portal itself may read it"})
		}
	case reachRe.MatchString(c.Message):
		cause.Title = "Registry unreachable from the node"
		cause.Sentence = fmt.Sprintf("%s cannot start: %s cannot reach the registry.", who(p, c), orNode(p.Node))
	case f.Asked && f.Sentence == "":
		cause.Evidence = append(cause.Evidence, Evidence{Kind: FromRegistry, Text: "the image is there, and the portal itself may read it"})
	}
	return cause
}

func orNode(name string) string {
	if name == "" {
		return "the node"
	}
	return name
}

func builtFor(lists ...[]string) string {
	for _, l := range lists {
		if len(l) > 0 {
			return ", only for " + strings.Join(l, ", ")
		}
	}
	return ""
}

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
	cause.Evidence = append(cause.Evidence, probeSaid(probe)...)
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
