package kube

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"deployportal/internal/deploys"
	"deployportal/internal/foreign"
)

const (
	maxMessage = 1000 // runes of a message from the cluster that are kept
	maxReason  = 100  // and of the word that stands for it
)

// viewPod puts one pod together. Its events are those about its UID.
func viewPod(p *corev1.Pod, replicaSet string, events []*corev1.Event) deploys.Pod {
	v := deploys.Pod{
		Name:       p.Name,
		UID:        string(p.UID),
		ReplicaSet: replicaSet,
		Node:       p.Spec.NodeName,
		Phase:      foreign.Line(string(p.Status.Phase), maxReason),
		Deleting:   p.DeletionTimestamp != nil,
		Reason:     foreign.Line(p.Status.Reason, maxReason),
		Message:    foreign.Line(p.Status.Message, maxMessage),
		Created:    p.CreationTimestamp.Time,
	}
	if v.Phase == "" {
		v.Phase = string(corev1.PodPending) // nothing has looked at it yet
	}
	for _, c := range p.Status.Conditions {
		switch {
		case c.Type == corev1.PodScheduled && c.Status == corev1.ConditionTrue:
			v.Scheduled = c.LastTransitionTime.Time
		case c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue:
			v.Ready = true
			v.ReadySince = c.LastTransitionTime.Time
		}
	}
	told := tell(events, p.CreationTimestamp.Time)
	for i := range p.Spec.InitContainers {
		c := viewContainer(&p.Spec.InitContainers[i], find(p.Status.InitContainerStatuses, p.Spec.InitContainers[i].Name), told)
		always := p.Spec.InitContainers[i].RestartPolicy
		c.Sidecar = always != nil && *always == corev1.ContainerRestartPolicyAlways
		c.Init = !c.Sidecar
		v.Containers = append(v.Containers, c)
	}
	for i := range p.Spec.Containers {
		c := viewContainer(&p.Spec.Containers[i], find(p.Status.ContainerStatuses, p.Spec.Containers[i].Name), told)
		v.Containers = append(v.Containers, c)
	}
	v.Waiting = waiting(p, v.Containers, told)
	v.NoSecrets = missingSecrets(told)
	return v
}

func find(all []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	if i := slices.IndexFunc(all, func(s corev1.ContainerStatus) bool { return s.Name == name }); i >= 0 {
		return &all[i]
	}
	return nil
}

// waiting says why a pod is not scheduled, or is scheduled and not set up. Events about the setting up outlive their
// cause, so they count only while no container has begun.
func waiting(p *corev1.Pod, containers []deploys.Container, told []said) string {
	if p.Status.Phase != corev1.PodPending && p.Status.Phase != "" {
		return ""
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status != corev1.ConditionTrue {
			if c.Message != "" {
				return foreign.Line(c.Message, maxMessage)
			}
			return foreign.Line(c.Reason, maxMessage)
		}
	}
	for _, c := range containers {
		if c.State != stateWaiting || c.Reason != "" && c.Reason != "ContainerCreating" && c.Reason != "PodInitializing" {
			return "" // something began, or the container itself says what is wrong
		}
	}
	newest := setUp(told)
	if newest.reason == "FailedScheduling" && p.Spec.NodeName != "" {
		return "" // it has a node by now
	}
	return foreign.Line(newest.message, maxMessage)
}

// setUp gives what last hindered the setting up of a pod. A container whose image is pulled, or that is created, shows that
// nothing does any more.
func setUp(told []said) said {
	var newest, hint said
	for _, e := range told {
		switch e.reason {
		case "FailedMount", "FailedAttachVolume", "FailedMapVolume":
			if !vague(e) || !volume(newest) || over(newest, e.last) {
				newest = e
			}
		case "FailedCreatePodSandBox", "NetworkNotReady", "FailedScheduling":
			newest = e
		case "FailedToRetrieveImagePullSecret":
			hint = e // the pull may work without it: it only counts when nothing else is said
		case "Pulling", "Pulled", "Created":
			newest, hint = said{}, said{}
		}
	}
	if newest.reason == "" {
		return hint
	}
	return newest
}

func volume(e said) bool {
	return e.reason == "FailedMount" || e.reason == "FailedAttachVolume" || e.reason == "FailedMapVolume"
}

// vague tells of an event about a volume that hides no other: a kubelet also says, again and again, that not all of them are
// mounted, and a busy one fails for a while to mount the token that every pod has, or to read what it mounts.
func vague(e said) bool {
	return strings.Contains(e.message, `volume "kube-api-access-`) || strings.Contains(e.message, "unmounted volumes=") ||
		strings.Contains(e.message, "failed to sync ")
}

// over tells of a mount that would have failed again by now: a kubelet tries at first after half a second, then each time
// after twice as long. What is said of attaching is said once.
func over(e said, now time.Time) bool {
	const late = 10 * time.Second
	return e.reason == "FailedMount" && now.After(e.last.Add(e.last.Sub(e.first)+late))
}

var unreadSecrets = regexp.MustCompile(`^Unable to retrieve some image pull secrets \(([^)]+)\)`)

// missingSecrets names the image pull secrets that the node last said it cannot read.
func missingSecrets(told []said) (names string) {
	for _, e := range told {
		if m := unreadSecrets.FindStringSubmatch(e.message); m != nil && e.reason == "FailedToRetrieveImagePullSecret" {
			names = foreign.Line(m[1], maxReason)
		}
	}
	return names
}

// The states of a container.
const (
	stateWaiting    = "waiting"
	stateRunning    = "running"
	stateTerminated = "terminated"
)

func viewContainer(spec *corev1.Container, s *corev1.ContainerStatus, told []said) deploys.Container {
	c := deploys.Container{Name: spec.Name, Image: imageName(spec.Image), State: stateWaiting}
	if s != nil {
		fillStatus(&c, s)
		c.Started = c.State == stateRunning && spec.StartupProbe == nil
		if s.Started != nil {
			c.Started = *s.Started
		}
	}
	if q, ok := spec.Resources.Limits[corev1.ResourceMemory]; ok {
		c.MemoryLimit = q.String()
	}
	c.Startup = viewProbe(spec.StartupProbe, spec.Ports)
	c.Readiness = viewProbe(spec.ReadinessProbe, spec.Ports)
	c.Liveness = viewProbe(spec.LivenessProbe, spec.Ports)
	hear(&c, slices.DeleteFunc(slices.Clone(told), func(e said) bool { return e.container != spec.Name }))
	return c
}

// hookFailure is how a kubelet tells of a container's hook: with its whole command, or its path, and all that it said.
var hookFailure = regexp.MustCompile(`^(?:Exec|HTTP) lifecycle hook \(.*$`)

func fillStatus(c *deploys.Container, s *corev1.ContainerStatus) {
	c.ImageID = digest(s.ImageID)
	c.Restarts = s.RestartCount
	c.Ready = s.Ready
	switch {
	case s.State.Running != nil:
		c.State = stateRunning
		c.Since = s.State.Running.StartedAt.Time
	case s.State.Terminated != nil:
		c.State = stateTerminated
		c.Reason = foreign.Line(s.State.Terminated.Reason, maxReason)
		c.Message = foreign.Line(s.State.Terminated.Message, maxMessage)
		c.Last = exit(s.State.Terminated)
	case s.State.Waiting != nil:
		c.Reason = foreign.Line(s.State.Waiting.Reason, maxReason)
		c.Message = hookFailure.ReplaceAllString(foreign.Line(s.State.Waiting.Message, maxMessage), "its postStart hook failed")
	}
	if c.Last == nil && s.LastTerminationState.Terminated != nil {
		c.Last = exit(s.LastTerminationState.Terminated)
	}
}

func exit(t *corev1.ContainerStateTerminated) *deploys.Exit {
	return &deploys.Exit{
		Code: t.ExitCode, Signal: t.Signal, Reason: foreign.Line(t.Reason, maxReason), Message: foreign.Line(t.Message, maxMessage),
		Started: t.StartedAt.Time, Finished: t.FinishedAt.Time,
	}
}

// digest takes the digest out of an imageID. Runtimes write "repo@sha256:...", "docker-pullable://repo@sha256:..." or
// "sha256:..." alone; anything else gives none.
func digest(imageID string) string {
	const algorithm, length = "sha256:", 64
	i := strings.LastIndex(imageID, algorithm)
	if i < 0 || i > 0 && imageID[i-1] != '@' && imageID[i-1] != '/' {
		return ""
	}
	sum := imageID[i+len(algorithm):]
	if len(sum) != length || strings.Trim(sum, "0123456789abcdef") != "" {
		return ""
	}
	return algorithm + sum
}

// said is an event about a pod as Snapshot uses it.
type said struct {
	container   string // empty: about the pod
	reason      string
	message     string
	count       int32
	first, last time.Time
}

// skew is how far a node's clock may be behind the API server's. Events are stamped by the node's.
const skew = time.Minute

// tell takes what is said about a pod, oldest first. An event from before the pod was created is about another one
// with the same name.
func tell(events []*corev1.Event, created time.Time) []said {
	all := make([]said, 0, len(events))
	for _, e := range events {
		s := said{
			container: fieldContainer(e.InvolvedObject.FieldPath),
			reason:    e.Reason,
			message:   e.Message,
			count:     max(e.Count, 1),
			first:     firstTime(e),
			last:      lastTime(e),
		}
		if e.Series != nil {
			s.count = max(s.count, e.Series.Count)
		}
		if s.last.Before(created.Add(-skew)) {
			continue
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b said) int {
		return cmp.Or(a.last.Compare(b.last), cmp.Compare(order(a), order(b)), a.first.Compare(b.first), cmp.Compare(a.message, b.message))
	})
	return all
}

// order decides within one second, the finest that the old recorder writes: a pod is set up before images are pulled, a pull
// begins before it ends, and a probe has failed before its container is killed for it.
func order(s said) int {
	switch {
	case volume(s), s.reason == "FailedToRetrieveImagePullSecret":
		return 0
	case s.reason == "Pulling":
		return 1
	case s.reason == "Killing":
		return 3
	}
	return 2
}

// lastTime is when an event last happened. The old recorder writes lastTimestamp, the new one eventTime and a series;
// an event with none of them happened when it was written.
func lastTime(e *corev1.Event) time.Time {
	at := e.LastTimestamp.Time
	if e.EventTime.After(at) {
		at = e.EventTime.Time
	}
	if e.Series != nil && e.Series.LastObservedTime.After(at) {
		at = e.Series.LastObservedTime.Time
	}
	if at.IsZero() {
		at = e.CreationTimestamp.Time
	}
	return at
}

func firstTime(e *corev1.Event) time.Time {
	for _, t := range []time.Time{e.FirstTimestamp.Time, e.EventTime.Time} {
		if !t.IsZero() {
			return t
		}
	}
	return lastTime(e)
}

// fieldContainer takes NAME out of "spec.containers{NAME}" or "spec.initContainers{NAME}".
func fieldContainer(path string) string {
	for _, prefix := range []string{"spec.containers{", "spec.initContainers{"} {
		if rest, ok := strings.CutPrefix(path, prefix); ok {
			if name, ok := strings.CutSuffix(rest, "}"); ok {
				return name
			}
		}
	}
	return ""
}
