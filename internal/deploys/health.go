package deploys

// stuck maps what a kubelet calls a container that cannot go on, and that waiting a moment does not help, to a word for it.
var stuck = map[string]string{
	"CrashLoopBackOff": "Crashing",
	"ErrImagePull":     "No image", "ImagePullBackOff": "No image", "InvalidImageName": "No image", "ErrImageNeverPull": "No image",
	"RegistryUnavailable": "No image", "ImageInspectError": "No image", "SignatureValidationFailed": "No image",
	"CreateContainerConfigError": "Not configured",
	"CreateContainerError":       "Cannot start", "RunContainerError": "Cannot start", "PostStartHookError": "Cannot start", startError: "Cannot start",
}

// Stuck is a word for why a container that does not run cannot go on: "Crashing"; empty where it runs, or may soon.
func (c Container) Stuck() string {
	if c.State == "running" {
		return ""
	}
	return stuck[c.Reason]
}

// HealthOf tells how a workload is now. A stale view is unknown: what was true is not what is.
func HealthOf(r Rollout) Health {
	switch {
	case !r.Exists || !r.StaleSince.IsZero():
		return Unknown
	case r.ObservedGeneration < r.Generation:
		return Progressing
	case r.Available == r.Desired && r.Updated == r.Desired && r.Replicas == r.Updated:
		return Healthy
	}
	for _, p := range r.Pods {
		if !p.Live() {
			continue
		}
		for _, c := range p.Containers {
			if c.State == "waiting" && c.Stuck() != "" {
				return Degraded
			}
		}
	}
	if r.Updated == r.Desired && r.Replicas == r.Updated && completedOnce(r.Conditions) {
		return Degraded // it was complete and has lost pods since
	}
	return Progressing
}

func completedOnce(conds []Condition) bool {
	for _, c := range conds {
		if c.Type == "Progressing" {
			return c.Reason == "NewReplicaSetAvailable" || c.Reason == "ProgressDeadlineExceeded"
		}
	}
	return false
}
