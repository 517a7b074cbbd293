package deploys

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The graces of the rules.
const (
	configGrace  = 5 * time.Second  // a Secret that was just created may not be in the kubelet's cache yet (kubernetes#74755)
	quotaGrace   = 15 * time.Second // ReplicaFailure also stands during rollouts that then succeed
	crashLoops   = 2                // restarts that make a crash loop
	clockLeeway  = 5 * time.Second  // how far a node's clock may be believed against ours
	noDeadline   = 1<<31 - 1        // progressDeadlineSeconds that means "none"
	deadlineUnit = time.Second
)

// Basis is what a rollout is judged against: what our patch answered and what was asked.
type Basis struct {
	App        App
	UID        string
	Generation int64
	Template   string
	Left       Author // the newest write into the template, as our patch left it
	To         Version
	T0         time.Time
	Usual      map[string]time.Duration // by container: its longest start in the last good deploys
}

// Proof is what is known of a running image's digest.
type Proof string

// What a look-up of a reported digest can give. The zero value means that it was not looked up yet.
const (
	Proven       Proof = "proven"       // the registry says it is the same image by its config
	Different    Proof = "different"    // the registry says it is another image
	Unresolvable Proof = "unresolvable" // the registry cannot tell
)

// Memory is what the judge carries from one snapshot to the next. It is stored with every event, so that a
// restarted portal judges on where the killed one stopped.
type Memory struct {
	Begun    bool                 `json:"begun,omitempty"`   // a snapshot of this rollout was judged
	Seen     time.Time            `json:"seen,omitzero"`     // when the newest snapshot was judged
	Progress time.Time            `json:"progress,omitzero"` // the last progress by our own clock, moved on by every pause
	Spent    time.Duration        `json:"spent,omitempty"`   // of the total limit, pauses left out
	Desired  int32                `json:"desired"`
	Updated  int32                `json:"updated"`
	Old      int32                `json:"old"`
	Ready    int32                `json:"ready"`
	Restarts map[string]int32     `json:"restarts,omitempty"` // pod UID/container -> restarts that are not of this rollout
	Since    map[string]time.Time `json:"since,omitempty"`    // cause, or run of a container -> first seen
	ReadyAt  map[string]ReadyAt   `json:"readyAt,omitempty"`  // by pod UID
	Window   *Window              `json:"window,omitempty"`
	Proven   []string             `json:"proven,omitempty"` // reported digests that prove the image, as the registry said when asked
}

// ReadyAt is when a pod became ready: as its node reported it, and as far as that clock is believed.
type ReadyAt struct {
	Reported time.Time `json:"reported"`
	Believed time.Time `json:"believed"`
}

// Window is the stability window once it is open.
type Window struct {
	Since    time.Time        `json:"since,omitzero"` // when it began; zero in what an older portal stored
	Pods     []string         `json:"pods"`           // UIDs of the pods it was opened with
	Restarts map[string]int32 `json:"restarts"`       // of every container when it was first seen inside the window
}

// Verdict is what the judge says of one snapshot.
type Verdict struct {
	Status   Status    // Running while undecided
	Phase    Phase     // what the rollout is doing while undecided
	Sentence string    // for the page and, when decided, for the audit log
	Note     string    // what a success must add
	Ends     time.Time // holding: when the window ends; zero else
	Again    time.Time // judge again then, even if nothing changes; zero: only on change
	Cause    *Cause    // failed: why
	Causes   []Cause   // what stands in the way of pods, doomed first
}

// Phase is what an undecided rollout is doing.
type Phase string

// The phases.
const (
	PhaseWaiting Phase = "waiting" // the controller has not seen the patch yet
	PhaseRolling Phase = "rolling"
	PhasePaused  Phase = "paused"
	PhaseHolding Phase = "holding" // complete, the stability window runs
	PhaseUnknown Phase = "unknown" // the cluster does not answer
)

// Judge decides what a snapshot means for a deploy. It is pure: the same arguments give the same verdict. It
// believes counts only with the generation they belong to, never a ProgressDeadlineExceeded condition, and it says
// succeeded only of pods that are there, ready and run the asked digest.
func Judge(b Basis, f Facts, m Memory, r Rollout, now time.Time) (Verdict, Memory) {
	j := judge{b: b, f: f, m: m.clone(), r: r, now: now}
	v := j.verdict()
	if v.Status == "" {
		v.Status = Running
	}
	return v, j.m
}

type judge struct {
	b    Basis
	f    Facts
	m    Memory
	r    Rollout
	now  time.Time
	pods []Pod // live pods of the target ReplicaSet
}

func (j *judge) verdict() Verdict {
	if !j.r.StaleSince.IsZero() {
		j.pause()
		return Verdict{Phase: PhaseUnknown, Sentence: "Unknown since " + clock(j.r.StaleSince) + ": " + j.r.StaleWhy}
	}
	if v, gone := j.superseded(); gone {
		return v
	}
	if j.r.Generation < j.b.Generation || j.r.ObservedGeneration < j.r.Generation {
		return j.waiting()
	}
	j.pods = j.r.podsOf(j.b.Template)
	j.remember()
	if j.r.Paused {
		j.pause()
		return Verdict{Phase: PhasePaused, Causes: j.undecided(j.causes()), Sentence: "The workload is paused: nothing rolls out until it is resumed (kubectl rollout resume)."}
	}
	j.advance()
	causes := j.causes()
	for _, decide := range []func([]Cause) (Verdict, bool){j.crashedInWindow, j.complete, j.doomed, j.refused, j.late} {
		if v, ok := decide(causes); ok {
			v.Causes = loud(causes)
			return v
		}
	}
	return Verdict{Phase: PhaseRolling, Sentence: j.progress(), Again: j.again(), Causes: j.undecided(causes)}
}

// undecided are the causes to show while nothing is decided.
func (j *judge) undecided(causes []Cause) []Cause {
	if c, ok := j.creationRefused(); ok {
		c.Doomed = false // not yet
		causes = append(causes, c)
	}
	return loud(causes)
}

// loud leaves out what a good start shows too.
func loud(causes []Cause) []Cause {
	return slices.DeleteFunc(slices.Clone(causes), func(c Cause) bool { return c.Quiet })
}

// superseded is rule 1: the object is another one, or its template is not ours any more. A higher generation alone
// says nothing: scaling bumps it too.
func (j *judge) superseded() (Verdict, bool) {
	name := j.b.App.Workload
	end := func(format string, args ...any) (Verdict, bool) {
		return Verdict{Status: Superseded, Sentence: fmt.Sprintf(format, args...)}, true
	}
	switch {
	case !j.r.Exists:
		return end("The Deployment %s was deleted while this deploy was rolling out.", name)
	case j.r.UID != j.b.UID:
		return end("The Deployment %s was deleted and created anew while this deploy was rolling out.", name)
	case j.r.Generation >= j.b.Generation && j.r.Template != j.b.Template:
		return end("%s was changed by %s.", name, j.r.Author().since(j.b.Left))
	}
	return Verdict{}, false
}

// waiting is a change that the deployment controller has not seen: ours, or a later one such as of the number of pods. That
// one's time begins when it is first seen, since the rollout may be complete and its last progress long ago.
func (j *judge) waiting() Verdict {
	j.m.Seen = j.now
	if j.m.Progress.IsZero() {
		j.m.Progress = j.now
	}
	since, what := j.m.Progress, "the change"
	if j.r.ObservedGeneration >= j.b.Generation {
		since, what = j.now.Add(-j.standing("behind", map[string]bool{})), "a later change"
	}
	ends := since.Add(j.deadline())
	if !j.now.Before(ends) {
		return Verdict{Status: Failed, Sentence: fmt.Sprintf(
			"Kubernetes did not take %s up within %s: its deployment controller may be down.", what, short(j.deadline()))}
	}
	return Verdict{Phase: PhaseWaiting, Sentence: "Waiting for Kubernetes to take the change up.", Again: ends}
}

// complete is rule 3.
func (j *judge) complete(_ []Cause) (Verdict, bool) {
	r := j.r
	switch {
	case r.Desired == 0 && r.Replicas == 0:
		return Verdict{Status: Succeeded, Sentence: "The image is set. No pod runs it: the workload is scaled to 0.", Note: "scaled to 0, nothing was proven"}, true
	case r.Desired == 0, r.Updated != r.Desired, r.Replicas != r.Desired, r.Available != r.Desired, j.othersLive():
		return Verdict{}, false
	case int32(len(j.pods)) != r.Desired || slices.ContainsFunc(j.pods, func(p Pod) bool { return !p.Ready }):
		return Verdict{}, false
	}
	proof := j.proof()
	if proof == "" || proof == Different {
		return Verdict{}, false
	}
	v := j.hold(proof)
	return v, v.Status != "" || v.Phase != ""
}

// othersLive tells whether a pod of another ReplicaSet still runs or waits to run.
func (j *judge) othersLive() bool {
	return slices.ContainsFunc(j.r.Pods, func(p Pod) bool {
		return p.Live() && !slices.ContainsFunc(j.pods, func(t Pod) bool { return t.UID == p.UID })
	})
}

// window is the stability window, opened with the pods that are there when there is none, or when none of its pods is left:
// then nothing has stayed well. It begins with the latest of its pods to become ready, and begins later when one of them
// becomes ready again. A pod that was replaced, or came later, changes nothing.
func (j *judge) window() *Window {
	held := func(p Pod) bool { return j.m.Window != nil && slices.Contains(j.m.Window.Pods, p.UID) }
	if !slices.ContainsFunc(j.pods, held) {
		w := &Window{Restarts: map[string]int32{}}
		for _, p := range j.pods {
			w.Pods = append(w.Pods, p.UID)
			for _, c := range p.Containers {
				w.Restarts[p.UID+"/"+c.Name] = c.Restarts
			}
		}
		j.m.Window = w
	}
	w := j.m.Window
	for _, p := range j.pods {
		if held(p) {
			w.Since = later(w.Since, j.m.ReadyAt[p.UID].Believed)
		}
	}
	w.Since = earlier(w.Since, j.now) // the clock was put back
	return w
}

// hold opens the stability window and tells when it ends. The zero verdict: it cannot end well.
func (j *judge) hold(proof Proof) Verdict {
	ends := j.window().Since.Add(j.b.App.Stability)
	if j.now.Before(ends) {
		return Verdict{Phase: PhaseHolding, Ends: ends, Again: ends,
			Sentence: fmt.Sprintf("%s ready; must stay well until %s.", count(j.r.Desired, j.r.Desired), clock(ends))}
	}
	if slices.ContainsFunc(j.pods, j.ending) {
		if j.overdue() {
			return Verdict{} // it does not end: the deadline decides
		}
		return Verdict{Phase: PhaseHolding, Ends: ends, Again: j.now.Add(time.Second),
			Sentence: "A liveness probe has failed and its container is being ended. Waiting to see how it ended."}
	}
	run := "run"
	if j.r.Desired == 1 {
		run = "runs"
	}
	v := Verdict{Status: Succeeded, Sentence: fmt.Sprintf("%s %s %s and stayed well for %s.",
		count(j.r.Desired, j.r.Desired), run, j.b.To.Short(), short(j.b.App.Stability))}
	if proof == Unresolvable {
		v.Note = "digest pinned, not proven: the registry could not tell what image the node reports"
		if _, _, pinned := SplitImage(j.b.To.Images[j.b.App.Containers[0]]); pinned == "" {
			v.Note = "not proven: what ran before was not pinned to a digest"
		}
	}
	return v
}

// crashedInWindow is the second half of rule 3: a container that ends inside the window fails the deploy.
func (j *judge) crashedInWindow(_ []Cause) (Verdict, bool) {
	w := j.m.Window
	if w == nil {
		return Verdict{}, false
	}
	for _, p := range j.pods {
		for _, c := range p.Containers {
			key := p.UID + "/" + c.Name
			base, known := w.Restarts[key]
			if !known {
				w.Restarts[key] = j.m.Restarts[key]
				base = j.m.Restarts[key]
			}
			if c.Init || (c.Restarts <= base && c.State != "terminated") {
				continue
			}
			lines := j.f.Logs[p.UID+"/"+c.Name]
			cause := Cause{Title: "It did not stay up", Pod: p.Name, Container: c.Name, Doomed: true, Evidence: logEvidence(lines),
				Sentence: fmt.Sprintf("%s ended%s after all pods were ready, within the %s in which they must stay well.",
					who(p, c), exit(c.Last), short(j.b.App.Stability)),
				Advice: "Read the log: it starts, answers its probes, and then ends."}
			if probe := j.killedByLiveness(c); probe != nil {
				cause.Sentence = fmt.Sprintf("%s was killed by its liveness probe after all pods were ready, within the %s in which they must stay well: %s gave %s, at least %s.",
					who(p, c), short(j.b.App.Stability), probe.Ask, probe.Answer, times(probe.Fails))
				cause.Advice, cause.Evidence = livenessAdvice, append(probeSaid(probe), cause.Evidence...)
			} else if line := telling(lines); line != "" {
				cause.Sentence = quoting(cause.Sentence, line)
			}
			return failed(cause), true
		}
	}
	return Verdict{}, false
}

// failed is the verdict of a cause.
func failed(c Cause) Verdict { return Verdict{Status: Failed, Sentence: c.Sentence, Cause: &c} }

// proof tells whether every target pod provably runs the asked digest: Proven, Unresolvable, or empty while a
// look-up is under way; Different when one provably runs something else.
func (j *judge) proof() Proof {
	all := Proven
	for _, p := range j.pods {
		for _, c := range p.Containers {
			want, ours := j.b.To.Images[c.Name]
			if !ours {
				continue
			}
			switch got := j.proofOf(c, want); {
			case got == Different:
				return Different
			case got == "", got == Unresolvable && all == Proven:
				all = got
			}
		}
	}
	return all
}

func (j *judge) proofOf(c Container, want string) Proof {
	switch {
	case replaced(c, want):
		return Different
	case c.ImageID == "":
		return ""
	case slices.Contains(j.b.To.Proofs, c.ImageID):
		return Proven
	}
	return j.f.Proof[c.ImageID]
}

// replaced tells whether a pod was made with another image than the template asks for. Where nothing is pinned, a digest may
// be added and another registry be named: what the pod then runs, its digest tells.
func replaced(c Container, want string) bool {
	repository, tag, pinned := SplitImage(want)
	given, givenTag, digest := SplitImage(c.Image)
	if pinned != "" {
		return digest != pinned
	}
	path := repository[strings.IndexByte(repository, '/')+1:]
	return givenTag != tag || !strings.HasSuffix("/"+given, "/"+path)
}

// Unproven lists the reported digests of ready target pods that the registry must be asked about.
func (b Basis) Unproven(r Rollout) []string {
	var out []string
	for _, p := range r.podsOf(b.Template) {
		for _, c := range p.Containers {
			if _, ours := b.To.Images[c.Name]; ours && p.Ready && c.ImageID != "" &&
				!slices.Contains(b.To.Proofs, c.ImageID) && !slices.Contains(out, c.ImageID) {
				out = append(out, c.ImageID)
			}
		}
	}
	return out
}

// PullFails tells whether a target pod waits for the asked image and its node could not pull it.
func (b Basis) PullFails(r Rollout) bool {
	for _, p := range r.podsOf(b.Template) {
		for _, c := range p.Containers {
			if _, ours := b.To.Images[c.Name]; ours && c.State == "waiting" && pullReason(c.Reason) {
				return true
			}
		}
	}
	return false
}

func pullReason(reason string) bool { return reason == "ErrImagePull" || reason == "ImagePullBackOff" }
