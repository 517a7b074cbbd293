package deploys

import (
	"context"
	"time"
)

// Finding is what a check came to.
type Finding string

// The findings. Unknown is never taken for Pass: it says who could not be asked.
const (
	Pass       Finding = "pass"
	Warn       Finding = "warn"
	Block      Finding = "block"
	NotChecked Finding = "unknown"
)

// Check is one preflight finding about a deploy that somebody is about to ask for.
type Check struct {
	Name     string   `json:"name"` // "references": what an override and the configuration name
	Finding  Finding  `json:"finding"`
	Sentence string   `json:"sentence"`           // what was found, in one sentence
	Evidence []string `json:"evidence,omitempty"` // what it was read from, a line each
	Fix      string   `json:"fix,omitempty"`      // what to do about it; empty for Pass
}

// Plan is what somebody is about to ask for, as far as it is looked up.
type Plan struct {
	App   App
	Kind  Kind
	Image Image   // as the registry has it; zero for a rollback and a restart, whose registry is asked with To
	From  Version // what runs
	To    Version // what shall run
	Seen  Rollout // what From was read from
}

// Preflight finds out what a deploy would meet; internal/preflight implements it.
type Preflight interface {
	// Checks never fails and answers within about a second: what cannot be asked in time is NotChecked, with a sentence
	// that says who could not be asked.
	Checks(context.Context, Plan) []Check
}

// Surroundings is what a cluster tells of a workload besides its rollout: what its pods need, where they can land, what
// limits them. Every part that could not be read stands in Unseen, and is empty.
type Surroundings struct {
	At       time.Time         // the oldest part was read then
	Unseen   map[string]string // Part... -> why, a sentence; never nil
	Workload WorkloadSpec
	Nodes    []Node   // of the cluster, by name
	Budgets  []Budget // PodDisruptionBudgets that select the pods
	Quotas   []Quota  // of the namespace, those that count the pods
	Scaler   string   // name of the HorizontalPodAutoscaler that scales the workload; empty: none
	Needs    []Need   // Secrets, ConfigMaps and claims that the pods refer to, in the template's order
}

// The parts of Surroundings that may be unseen. Without PartWorkload nothing else is known. PartSecrets, PartConfigMaps and
// PartVolumes are there when at least one Need of theirs could not be looked at; which, stands in the Needs.
const (
	PartWorkload   = "workload"
	PartNodes      = "nodes"
	PartBudgets    = "budgets"
	PartQuotas     = "quotas"
	PartScalers    = "scalers"
	PartSecrets    = "secrets"
	PartConfigMaps = "configmaps"
	PartVolumes    = "volumes"
)

// WorkloadSpec is what the Deployment says about its pods.
type WorkloadSpec struct {
	Labels         map[string]string // of the Deployment
	Replicas       int32
	Recreate       bool
	MaxSurge       int32 // pods above Replicas during a rolling update, as the controller counts them; 0 with Recreate
	MaxUnavailable int32
	Deadline       time.Duration   // progressDeadlineSeconds
	Containers     []ContainerSpec // init containers first
	Single         []string        // claims that only one node can mount (ReadWriteOnce, ReadWriteOncePod)
	CPU, Memory    int64           // asked for by one pod: millicores, bytes; 0: nothing
}

// ContainerSpec is one container of the pod template. Probe has what is asked, and no answers.
type ContainerSpec struct {
	Name                         string
	Init                         bool
	Ports                        []int32 // declared
	PortNames                    []string
	Startup, Readiness, Liveness *ProbeSpec
}

// ProbeSpec is a probe as the template has it.
type ProbeSpec struct {
	Probe
	Port     int32  // 0: none, or a name that no port of the container has
	PortName string // as written, when it is a name
}

// Node is a node on which pods can be. What is free on it is not known: that takes the pods of all namespaces.
type Node struct {
	Name              string
	Platform          string // "linux/amd64"
	Fits              bool   // node selector, required affinity and taints of the template let a pod land on it, and it takes pods
	Why               string // why it does not fit, a sentence
	AllocatableCPU    int64  // what all pods on it can ask for together: millicores
	AllocatableMemory int64  // and bytes
	Address           string // internal address
}

// Budget is a PodDisruptionBudget.
type Budget struct {
	Name    string
	Allowed int32  // disruptions it would allow when all pods are well
	Says    string // "minAvailable 3"
}

// Quota is one limit of a ResourceQuota that one more pod counts against.
type Quota struct {
	Name     string // of the ResourceQuota
	Resource string // "pods", "requests.cpu", ...
	Used     string
	Hard     string
	Room     bool // for as many more pods as a rollout brings at once
}

// Need is one place where the pod template refers to an object, with the keys it takes there. An object that is referred to
// in several places has several. Values are never kept.
type Need struct {
	Kind     string // "Secret", "ConfigMap", "PersistentVolumeClaim"
	Name     string
	Keys     []string // referred to one by one; empty: as a whole
	By       string   // "container api, env DATABASE_URL"
	Optional bool     // pods start without it, and without its keys
	Pull     bool     // an imagePullSecret
	Exists   bool
	Lacks    []string // keys of Keys that it has not; nil where it does not exist
	Unseen   string   // why it could not be looked at, a sentence; Exists means nothing then
}
