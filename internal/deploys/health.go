package deploys

// stuck are the waiting reasons that will not go away by waiting a moment.
var stuck = map[string]bool{
	"CrashLoopBackOff": true, "ErrImagePull": true, "ImagePullBackOff": true, "InvalidImageName": true,
	"ErrImageNeverPull": true, "CreateContainerConfigError": true, "CreateContainerError": true, "RunContainerError": true,
	"RegistryUnavailable": true, "ImageInspectError": true, "SignatureValidationFailed": true, "PostStartHookError": true,
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
			if stuck[c.Reason] && c.State == "waiting" {
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
