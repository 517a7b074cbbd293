package preflight

import (
	"strings"

	"deployportal/internal/deploys"
)

// LabelSingleton on a Deployment says that two of its pods may never run at once.
const LabelSingleton = "deploy-portal/singleton"

// singleton: what must be alone is not, with more replicas, a scaler, or a rollout that overlaps.
func singleton(f Facts) deploys.Check {
	if c, ok := f.unseen("whether it must run alone"); ok {
		return c
	}
	w := f.Around.Workload
	if !f.Tuning.Singleton && w.Labels[LabelSingleton] != "true" {
		return pass("It is not marked as one that must run alone.")
	}
	marked := "configuration: singleton"
	if !f.Tuning.Singleton {
		marked = "label " + LabelSingleton + ": true"
	}
	unseen, hidden := f.Around.Unseen[deploys.PartScalers]
	switch {
	case w.Replicas > 1:
		return with(block("Set replicas to 1.", "It must run alone, but the Deployment asks for %d replicas.", w.Replicas), marked)
	case f.Around.Scaler != "":
		return with(block("Delete the HorizontalPodAutoscaler.", "It must run alone, but the HorizontalPodAutoscaler %s may scale it.", f.Around.Scaler), marked)
	case !w.Recreate && w.MaxSurge > 0:
		return with(warn("Set the strategy to Recreate, or maxSurge to 0 and maxUnavailable to 1.",
			"It must run alone, but during the rollout the old and the new copy run side by side."), marked)
	case hidden:
		return with(unknown("Could not look whether something scales it, and it must run alone. %s", unseen), marked)
	}
	return with(pass("It runs alone: the old pod ends before the new one starts. Nothing serves between."), marked)
}

// volumes: a volume that one node alone can mount keeps a new pod on another node waiting until the old one is gone.
func volumes(f Facts) deploys.Check {
	if c, ok := f.unseen("its volumes", deploys.PartVolumes); ok {
		return c
	}
	w := f.Around.Workload
	switch {
	case len(w.Single) == 0:
		return pass("It has no volume that only one node can mount.")
	case w.Recreate || w.MaxSurge == 0:
		return pass("Its volume %s is free before the new pod wants it.", strings.Join(w.Single, ", "))
	}
	return warn("Set the strategy to Recreate.",
		"Only one node can mount %s, but during the rollout old and new pods want it at once: a new pod on another node waits.", strings.Join(w.Single, ", "))
}

// replicas: a deploy of nothing proves nothing.
func replicas(f Facts) deploys.Check {
	switch n := f.Plan.Seen.Desired; {
	case !f.Plan.Seen.Exists:
		return unknown("How many replicas it asks for is not known.")
	case n == 0:
		return warn("Scale it up to see whether the image runs.", "It is scaled to zero: the deploy succeeds without a pod that proves it.")
	default:
		return pass("It asks for %s.", plural(int(n), "pod"))
	}
}

// scaler: who else sets the number of pods.
func scaler(f Facts) deploys.Check {
	if c, ok := f.unseen("whether something scales it", deploys.PartScalers); ok {
		return c
	}
	name := f.Around.Scaler
	switch {
	case name == "":
		return pass("No HorizontalPodAutoscaler scales it.")
	case f.Around.Workload.Replicas == 0:
		return warn("Scale it up by hand.", "The HorizontalPodAutoscaler %s rests while it is scaled to zero.", name)
	}
	return pass("The HorizontalPodAutoscaler %s may change the number of pods during the rollout.", name)
}

// paused: a paused workload takes the new image and starts nothing.
func paused(f Facts) deploys.Check {
	switch {
	case !f.Plan.Seen.Exists:
		return unknown("Whether its rollouts are paused is not known.")
	case f.Plan.Seen.Paused:
		return block("Resume it: kubectl rollout resume deployment/"+f.Plan.App.Workload+" -n "+f.Plan.App.Namespace,
			"Its rollouts are paused in the cluster: no pod would start.")
	}
	return pass("Its rollouts are not paused.")
}

// setsBack says, by who manages a workload, what to do so that a deploy lasts.
var setsBack = map[string]string{
	"Flux":                 "It sets the workload back at its next reconciliation: change the image in its source too.",
	"Argo CD":              "With self-heal it sets the workload back at once, else at the next sync: change the image in its source too.",
	"Helm":                 "The next upgrade of the release sets the workload back: change the image in its values too.",
	"k3s manifests folder": "k3s applies the file again when it changes and whenever a server starts: change the image there too.",
}

// managed: who may set the workload back.
func managed(f Facts) deploys.Check {
	by := f.Plan.Seen.ManagedBy
	if !f.Plan.Seen.Exists {
		return unknown("Who manages the workload is not known.")
	}
	if by == "" {
		return pass("Nothing else is seen to manage the workload.")
	}
	fix, known := setsBack[by]
	if !known {
		fix = "Change the image there too."
	}
	return warn(fix, "%s manages this workload and may revert the deploy.", by)
}
