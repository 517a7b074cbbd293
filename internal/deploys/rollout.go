package deploys

import (
	"strings"
	"time"
)

// Rollout is what the cluster is doing with one workload, as seen at one instant. It is an observation: it is
// shown and judged, never the truth about a deploy. The zero value means nothing was seen yet.
type Rollout struct {
	At         time.Time `json:"at"`                  // when this view was put together
	StaleSince time.Time `json:"staleSince,omitzero"` // the cluster has not answered since; zero while it does
	StaleWhy   string    `json:"staleWhy,omitempty"`  // a sentence for StaleSince
	Partial    bool      `json:"partial,omitempty"`   // stale only for want of a right to read pods or ReplicaSets: the Deployment is as shown
	Exists     bool      `json:"exists"`              // false: there is no such Deployment

	UID                string `json:"uid,omitempty"`
	ResourceVersion    string `json:"resourceVersion,omitempty"`
	Generation         int64  `json:"generation,omitempty"`
	ObservedGeneration int64  `json:"observedGeneration,omitempty"`
	Template           string `json:"template,omitempty"`  // TemplateHash of the pod template, pod-template-hash label aside
	Bare               string `json:"bare,omitempty"`      // Template without the mark of a restart; the same where there is none
	Frame              string `json:"frame,omitempty"`     // hash of Bare's template without any image; empty: not known
	Restarted          string `json:"restarted,omitempty"` // the mark: kubectl's restartedAt in the pod template; empty: none
	DeployID           int64  `json:"deployId,omitempty"`  // our annotation on the Deployment; 0: none

	Paused           bool          `json:"paused,omitempty"`
	Recreate         bool          `json:"recreate,omitempty"` // strategy Recreate: no pod between old and new is expected
	Desired          int32         `json:"desired"`
	Replicas         int32         `json:"replicas"`
	Updated          int32         `json:"updated"`
	Ready            int32         `json:"ready"`
	Available        int32         `json:"available"`
	ProgressDeadline time.Duration `json:"progressDeadline,omitempty"`
	Conditions       []Condition   `json:"conditions,omitempty"`

	Images    map[string]string `json:"images,omitempty"`    // container and init container name -> image string
	Init      []string          `json:"init,omitempty"`      // names of the init containers among them
	ChangedBy string            `json:"changedBy,omitempty"` // field manager that last wrote the pod template
	ChangedAt time.Time         `json:"changedAt,omitzero"`
	ManagedBy string            `json:"managedBy,omitempty"` // "Flux", "Argo CD", "Helm", "k3s manifests folder", an operator's object ("Postgres main"), or empty

	ReplicaSets []ReplicaSet `json:"replicaSets,omitempty"` // owned by UID; newest revision first
	Pods        []Pod        `json:"pods,omitempty"`        // of those ReplicaSets; oldest first
}

// Condition is one condition of a Deployment or ReplicaSet.
type Condition struct {
	Type    string    `json:"type"`
	Status  bool      `json:"status"`
	Reason  string    `json:"reason,omitempty"`
	Message string    `json:"message,omitempty"`
	Updated time.Time `json:"updated,omitzero"` // lastUpdateTime, else lastTransitionTime
}

// ReplicaSet is one generation of pods.
type ReplicaSet struct {
	Name       string            `json:"name"`
	UID        string            `json:"uid"`
	Template   string            `json:"template"` // comparable with Rollout.Template
	Revision   int64             `json:"revision"`
	DeployID   int64             `json:"deployId,omitempty"` // our annotation as the controller copied it
	Images     map[string]string `json:"images,omitempty"`
	Created    time.Time         `json:"created"`
	Desired    int32             `json:"desired"`
	Replicas   int32             `json:"replicas"`
	Ready      int32             `json:"ready"`
	Conditions []Condition       `json:"conditions,omitempty"`
}

// Pod is one pod of the workload.
type Pod struct {
	Name       string      `json:"name"`
	UID        string      `json:"uid"`
	ReplicaSet string      `json:"replicaSet"` // name of its owner
	Node       string      `json:"node,omitempty"`
	Phase      string      `json:"phase"` // Pending, Running, Succeeded, Failed, Unknown
	Deleting   bool        `json:"deleting,omitempty"`
	Reason     string      `json:"reason,omitempty"` // status.reason: Evicted, Preempting, ...
	Message    string      `json:"message,omitempty"`
	Created    time.Time   `json:"created"`
	Scheduled  time.Time   `json:"scheduled,omitzero"`
	Waiting    string      `json:"waiting,omitempty"`   // why it is not scheduled or set up yet: the scheduler's or kubelet's sentence
	NoSecrets  string      `json:"noSecrets,omitempty"` // image pull secrets that its node could not read, as it named them: "regcred, other"
	Ready      bool        `json:"ready,omitempty"`
	ReadySince time.Time   `json:"readySince,omitzero"`  // last transition to Ready; zero while not ready
	Containers []Container `json:"containers,omitempty"` // init containers first, in the order of the spec
}

// Live tells whether the pod counts: not on its way out and not a finished one that its ReplicaSet replaces.
func (p Pod) Live() bool {
	return !p.Deleting && (p.Phase == "Pending" || p.Phase == "Running" || p.Phase == "Unknown")
}

// Short is the part of the pod's name that tells it from its siblings: "7qpfx".
func (p Pod) Short() string { return strings.TrimPrefix(p.Name, p.ReplicaSet+"-") }

// Container is one container of a pod.
type Container struct {
	Name     string `json:"name"`
	Init     bool   `json:"init,omitempty"`    // an init container that must end before the app starts
	Sidecar  bool   `json:"sidecar,omitempty"` // an init container that stays (restartPolicy Always)
	Image    string `json:"image"`             // of the pod's spec
	ImageID  string `json:"imageId,omitempty"` // digest the runtime reports, "sha256:..."; empty before it runs
	Restarts int32  `json:"restarts,omitempty"`
	Ready    bool   `json:"ready,omitempty"`
	Started  bool   `json:"started,omitempty"` // the startup probe has passed, or there is none and it runs

	State   string    `json:"state"` // waiting, running, terminated
	Reason  string    `json:"reason,omitempty"`
	Message string    `json:"message,omitempty"`
	Since   time.Time `json:"since,omitzero"` // running: started at
	Last    *Exit     `json:"last,omitempty"` // the newest end of this container, current or previous

	MemoryLimit string `json:"memoryLimit,omitempty"` // as written: "64Mi"; empty: none

	PullStart time.Time `json:"pullStart,omitzero"` // from events; zero when not seen
	Pulled    string    `json:"pulled,omitempty"`   // "1.2s" or "present" as the kubelet said; empty while pulling

	Startup   *Probe `json:"startup,omitempty"`
	Readiness *Probe `json:"readiness,omitempty"`
	Liveness  *Probe `json:"liveness,omitempty"`
}

// Exit is one end of a container.
type Exit struct {
	Code     int32     `json:"code"`
	Signal   int32     `json:"signal,omitempty"`
	Reason   string    `json:"reason,omitempty"` // Error, OOMKilled, Completed, ...
	Message  string    `json:"message,omitempty"`
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished"`
}

// Probe is one probe of a container and what the kubelet has said of it. Events are rate limited: Fails is a
// lower bound.
type Probe struct {
	Ask       string        `json:"ask"` // "GET /api/health on port 8000", "TCP connect to port 5432", "exec pg_isready", "gRPC on port 9000"; no arguments and no query
	Delay     time.Duration `json:"delay,omitempty"`
	Period    time.Duration `json:"period"`
	Threshold int32         `json:"threshold"`          // consecutive failures that decide
	Answer    string        `json:"answer,omitempty"`   // last failure in short: "HTTP 503", "connection refused", "timed out", "an error"
	Said      string        `json:"said,omitempty"`     // what was said in it that has no short words, a program's output for instance: as private as a log
	HTTP      int           `json:"http,omitempty"`     // status code of the last failure; 0 when it was not an HTTP answer
	Fails     int32         `json:"fails,omitempty"`    // times that it gave this answer
	FirstFail time.Time     `json:"firstFail,omitzero"` // since when no other answer was heard
	LastFail  time.Time     `json:"lastFail,omitzero"`
	Kills     int32         `json:"kills,omitempty"` // times the kubelet said it will restart the container for this probe
	LastKill  time.Time     `json:"lastKill,omitzero"`

	// The status code that was the only answer in the budget that ended with LastKill, and how often at least; 0: there were others, or none.
	Through      int   `json:"through,omitempty"`
	ThroughFails int32 `json:"throughFails,omitempty"`
}

// Budget is how long a startup probe lets a container take: delay + threshold x period.
func (p Probe) Budget() time.Duration { return p.Delay + time.Duration(p.Threshold)*p.Period }

// Health is the state of a workload now, whatever any deploy once ended with.
type Health string

// The states of health.
const (
	Healthy     Health = "healthy"
	Progressing Health = "progressing"
	Degraded    Health = "degraded"
	Unknown     Health = "unknown"
)
