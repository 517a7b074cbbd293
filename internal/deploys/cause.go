package deploys

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Cause is why a pod, or the whole rollout, does not get on: what a person needs first at 2 a.m.
type Cause struct {
	Title     string     `json:"title"`              // a few words: "Crash loop"
	Sentence  string     `json:"sentence"`           // what happens, whole
	Advice    string     `json:"advice,omitempty"`   // what to do about it
	Evidence  []Evidence `json:"evidence,omitempty"` // where it shows
	Pod       string     `json:"pod,omitempty"`
	Container string     `json:"container,omitempty"`
	Doomed    bool       `json:"doomed,omitempty"` // waiting will not help
	Quiet     bool       `json:"-"`                // part of a good start so far; told only when the time is up
}

// Evidence is one thing that shows a cause.
type Evidence struct {
	Kind EvidenceKind `json:"kind"`
	At   time.Time    `json:"at,omitzero"`
	Text string       `json:"text"`
}

// Logged tells whether it is a line of a log, and not what a program answered a probe.
func (e Evidence) Logged() bool { return e.Kind == FromLog && e.At.IsZero() }

// EvidenceKind says where a piece of evidence comes from.
type EvidenceKind string

// The kinds of evidence.
const (
	FromCluster  EvidenceKind = "cluster"  // a status or an event of Kubernetes
	FromProbe    EvidenceKind = "probe"    // an answer to a probe
	FromLog      EvidenceKind = "log"      // a line of the container's log
	FromRegistry EvidenceKind = "registry" // what the registry says
	FromSmoke    EvidenceKind = "smoke"    // an answer to a smoke probe
	FromTemplate EvidenceKind = "template" // a difference of the pod template to the last good one
)

// Facts is what was asked beside the watch about this rollout; the judge only reads it.
type Facts struct {
	Pull  PullFact            // what the registry says of the image that a node could not pull
	Proof map[string]Proof    // by image digest as a runtime reports it
	Logs  map[string][]string // by pod UID/container: last lines, oldest first, the ended container's where one ended
}

// PullFact is what the registry said when a node could not pull. The zero value means that it was not asked, or did not
// answer.
type PullFact struct {
	Asked     bool
	Sentence  string   // why it cannot be pulled, as the registry told us; empty: the registry has it and gives it to us
	Moved     string   // the digest that the tag names now, where the asked one is gone
	Refused   bool     // it refuses the portal itself
	Platforms []string // that the image is built for
}

// causes looks at every live target pod for a cause, the most telling first, and forgets grace periods of causes that have gone.
func (j *judge) causes() []Cause {
	seen := map[string]bool{}
	var out []Cause
	for _, p := range j.pods {
		if c, ok := j.podCause(p, seen); ok {
			out = append(out, c)
		}
		for _, c := range p.Containers {
			if cause, ok := j.containerCause(p, c, seen); ok {
				cause.Pod, cause.Container = p.Name, c.Name
				out = append(out, cause)
			}
		}
	}
	if c, ok := j.overlooked(seen); ok {
		out = append(out, c)
	}
	maps.DeleteFunc(j.m.Since, func(key string, _ time.Time) bool { return !seen[key] })
	slices.SortStableFunc(out, func(a, b Cause) int { return a.rank() - b.rank() })
	return out
}

// rank is how late a cause is told: what waiting does not cure comes first, and last what is known from a silence.
func (c Cause) rank() int {
	switch {
	case c.Doomed:
		return 0
	case !c.Quiet:
		return 1
	case len(c.Evidence) > 0:
		return 2
	}
	return 3
}

// standing tells how long a cause has been there without a break, by our own clock: Kubernetes dates no waiting reason.
func (j *judge) standing(key string, seen map[string]bool) time.Duration {
	seen[key] = true
	if _, known := j.m.Since[key]; !known {
		j.m.Since[key] = j.now
	}
	return j.now.Sub(j.m.Since[key])
}

// containerCause is what is wrong with one container.
func (j *judge) containerCause(p Pod, c Container, seen map[string]bool) (Cause, bool) {
	key := p.UID + "/" + c.Name
	restarts := c.Restarts - j.m.Restarts[key]
	if cause, ok := j.anotherImage(p, c); ok {
		return cause, true
	}
	if c.State == "waiting" {
		if cause, ok := j.waitingCause(p, c, key, seen); ok {
			return cause, true
		}
	}
	if cause, ok := j.startupCause(p, c, restarts, seen); ok {
		return cause, true
	}
	if cause, ok := j.endedCause(p, c, restarts); ok {
		return cause, true
	}
	for _, probe := range []*Probe{c.Startup, c.Readiness} {
		if probe != nil && probe.Fails > 0 && !c.Ready && c.State == "running" && !probe.LastFail.Before(c.Since) {
			cause := notReady(p, c, probe)
			// An app that starts says no until it is up: that is what its probes' patience is for.
			cause.Quiet = probe == c.Startup || probe.Fails < probe.Threshold
			cause.Evidence = append(cause.Evidence, logEvidence(j.f.Logs[key])...)
			return cause, true
		}
	}
	cause, ok := unheard(p, c)
	cause.Evidence = logEvidence(j.f.Logs[key])
	return cause, ok
}

// unheard is a container that is not ready and of whose probes nothing is known: a kubelet sends 25 events of a pod, then
// one in five minutes, and a failing startup probe may have used them up.
func unheard(p Pod, c Container) (Cause, bool) {
	probe := c.Readiness
	if c.Startup != nil && !c.Started {
		probe = c.Startup
	}
	if probe == nil || c.Ready || c.State != "running" {
		return Cause{}, false
	}
	return Cause{Title: "Not ready", Quiet: true,
		Sentence: fmt.Sprintf("%s runs, but is not ready: %s has not passed, and its node has not told what it answers.", who(p, c), probe.Ask),
		Advice:   notReadyAdvice}, true
}

const notReadyAdvice = "See in the log why the app answers like this, or whether the probe asks for the right thing."

// anotherImage is a container that was given, or provably runs, something else than was asked for. Nothing changes that for
// this pod, and a pod that is ready with it is worse than one that fails (docs/adr/0002-another-image.md).
func (j *judge) anotherImage(p Pod, c Container) (Cause, bool) {
	want, ours := j.b.To.Images[c.Name]
	if !ours || j.proofOf(c, want) != Different {
		return Cause{}, false
	}
	cause := Cause{Title: "Another image", Doomed: true}
	if replaced(c, want) {
		cause.Sentence = fmt.Sprintf("%s was given the image %s instead of %s, by an admission webhook perhaps.", who(p, c), brief(c.Image), brief(want))
		cause.Advice = "Find what changes the images of pods: an admission webhook, or a policy that rewrites them to a mirror."
		cause.Evidence = []Evidence{{Kind: FromCluster, Text: "given: " + c.Image}, {Kind: FromCluster, Text: "asked: " + want}}
		return cause, true
	}
	cause.Sentence = fmt.Sprintf("%s runs %s, which the registry says is not the asked image.", who(p, c), brief("@"+c.ImageID))
	cause.Advice = "Find where its node gets images from: a registry mirror, or an image that was put there by hand."
	cause.Evidence = []Evidence{{Kind: FromCluster, Text: "runs: " + c.ImageID}, {Kind: FromCluster, Text: "asked: " + want}}
	return cause, true
}

// brief is an image string with no more of its digest than people compare.
func brief(image string) string {
	name, digest, _ := strings.Cut(image, "@")
	if algorithm, hex, ok := strings.Cut(digest, ":"); ok {
		return strings.TrimPrefix(name+"@"+algorithm+":"+hex[:min(7, len(hex))], "@")
	}
	return name
}

func notReady(p Pod, c Container, probe *Probe) Cause {
	return Cause{Title: "Not ready",
		Sentence: fmt.Sprintf("%s runs, but is not ready: %s gave %s, at least %s.", who(p, c), probe.Ask, probe.Answer, times(probe.Fails)),
		Advice:   notReadyAdvice,
		Evidence: append([]Evidence{{Kind: FromProbe, At: probe.LastFail, Text: probe.Ask + ": " + probe.Answer}}, probeSaid(probe)...)}
}

// who names a container of a pod as people speak of it.
func who(p Pod, c Container) string {
	kind := "Container"
	switch {
	case c.Sidecar:
		kind = "Sidecar"
	case c.Init:
		kind = "Init container"
	}
	return fmt.Sprintf("%s %s of pod %s", kind, c.Name, p.Short())
}

func times(n int32) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// ended is a container that has ended since the rollout began.
func (j *judge) endedCause(p Pod, c Container, restarts int32) (Cause, bool) {
	down := c.State == "terminated" && !(c.Init && c.Last != nil && c.Last.Code == 0) || c.Reason == "CrashLoopBackOff"
	if c.Ready {
		return Cause{}, false
	}
	text := c.Message
	if c.Last != nil && (down || !c.Last.Finished.Before(j.b.T0)) {
		text += " " + c.Last.Message
	}
	lines := j.f.Logs[p.UID+"/"+c.Name]
	if strings.Contains(text, "exec format error") || (restarts > 0 || down) && slices.ContainsFunc(lines, execFormat) {
		return j.wrongArchitecture(p, c, lines), true
	}
	if restarts <= 0 && !down {
		return Cause{}, false
	}
	if cause, ok := cannotStart(p, c, restarts); ok {
		return cause, true
	}
	cause := Cause{Title: "Crash loop", Doomed: restarts >= crashLoops && down,
		Advice: "Read the log, correct the app or its configuration, and deploy again."}
	again := ""
	if restarts > 0 {
		again = fmt.Sprintf(" and was started again %s", times(restarts))
	} else {
		cause.Title = "The container ended"
	}
	if c.Init && !c.Sidecar {
		cause.Title = "Init container fails"
	}
	cause.Sentence = fmt.Sprintf("%s ended%s%s.", who(p, c), exit(c.Last), again)
	if c.Last != nil && c.Last.Reason == "OOMKilled" {
		cause.Title = "Out of memory"
		cause.Sentence = fmt.Sprintf("%s was killed for using more memory than its limit%s%s.", who(p, c), limit(c), again)
		cause.Advice = "Raise the memory limit, or find what the app holds."
	}
	if probe := j.killedByLiveness(c); probe != nil {
		cause.Title = "Killed by its liveness probe"
		cause.Sentence = fmt.Sprintf("%s was killed%s: its liveness probe failed, %s gave %s, at least %s.", who(p, c), again, probe.Ask, probe.Answer, times(probe.Fails))
		cause.Advice = livenessAdvice
		cause.Evidence = probeSaid(probe)
		if c.Startup == nil {
			cause.Advice += " An app that only starts slowly needs a startup probe: no liveness probe is sent before that has passed."
		}
	}
	if c.Last != nil {
		cause.Evidence = append(cause.Evidence, lastWords(c))
	}
	if line := telling(lines); line != "" && cause.Title != "Out of memory" && cause.Title != "Killed by its liveness probe" {
		cause.Sentence = quoting(cause.Sentence, line)
	}
	cause.Evidence = append(cause.Evidence, logEvidence(lines)...)
	return cause, true
}

// lastWords is how a container ended. Its message can be the end of its log (terminationMessagePolicy), so it begins with
// a word by which who may tell no log lines knows it.
func lastWords(c Container) Evidence {
	return Evidence{Kind: FromCluster, At: c.Last.Finished, Text: strings.TrimSpace("ended" + exit(c.Last) + " " + c.Last.Message)}
}

func limit(c Container) string {
	if c.MemoryLimit == "" {
		return ""
	}
	return " of " + c.MemoryLimit
}

// buildAdvice names both architectures: which one the node has is not known here, and one of them the image has already.
const buildAdvice = "Build the image for the node's architecture too, for example with docker buildx build --platform linux/amd64,linux/arm64."

func execFormat(line string) bool { return strings.Contains(line, "exec format error") }

func (j *judge) wrongArchitecture(p Pod, c Container, lines []string) Cause {
	cause := Cause{Title: "Wrong architecture", Doomed: true,
		Sentence: fmt.Sprintf("%s cannot run on %s: exec format error. The image is for another architecture than the node.", who(p, c), p.Node),
		Advice:   buildAdvice}
	if c.Message != "" && c.State != "terminated" {
		cause.Evidence = append(cause.Evidence, Evidence{Kind: FromCluster, Text: c.Message})
	}
	if c.Last != nil && c.Last.Message != "" {
		cause.Evidence = append(cause.Evidence, lastWords(c))
	}
	if len(j.b.To.Platforms) > 0 {
		cause.Evidence = append(cause.Evidence, Evidence{Kind: FromRegistry, Text: "the image is built for " + strings.Join(j.b.To.Platforms, ", ")})
	}
	cause.Evidence = append(cause.Evidence, logEvidence(lines)...)
	return cause
}

const evidenceLines = 10

// logEvidence is the end of a log. Its lines have no time of their own, by which Evidence.Logged knows them.
func logEvidence(lines []string) (out []Evidence) {
	for _, line := range lines[max(0, len(lines)-evidenceLines):] {
		out = append(out, Evidence{Kind: FromLog, Text: line})
	}
	return out
}

var (
	fatal = regexp.MustCompile(`(?i)\b(panic|fatal|segfault|segmentation fault|unhandled|uncaught)\b`)
	fault = regexp.MustCompile(`(?i)\b(error|exception|failed|cannot|can't|denied|refused|does not exist|not found)\b`)
	frame = regexp.MustCompile(`^(\s|goroutine \d|at |created by |\.\.\.|exit status \d|[\w./*()-]+\(.*\)$)`)
)

// telling picks the line of a log that most likely says why a container ended: the first fatal one (what follows it is
// its trace), else the last that speaks of an error, else the last that is no stack frame.
func telling(lines []string) string {
	last, faulty := "", ""
	for _, line := range lines {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || frame.MatchString(line):
			continue
		case fatal.MatchString(line):
			return line
		case fault.MatchString(line):
			faulty = line
		}
		last = line
	}
	if faulty != "" {
		return faulty
	}
	return last
}
