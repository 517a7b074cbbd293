package preflight

import (
	"fmt"
	"strings"

	"deployportal/internal/deploys"
)

// drains: a budget that allows nothing keeps a node from being emptied.
func drains(f Facts) deploys.Check {
	if c, ok := f.unseen("its PodDisruptionBudgets", deploys.PartBudgets); ok {
		return c
	}
	for _, b := range f.Around.Budgets {
		if b.Allowed <= 0 {
			return warn("Let it allow one, or run one more pod.",
				"The PodDisruptionBudget %s (%s) lets no pod be moved even when all are well: a node under them cannot be drained.", b.Name, b.Says)
		}
	}
	return pass("No PodDisruptionBudget keeps its nodes from being drained.")
}

// quota: pods beyond it are refused.
func quota(f Facts) deploys.Check {
	if c, ok := f.unseen("the namespace's quotas", deploys.PartQuotas); ok {
		return c
	}
	var full []string
	for _, q := range f.Around.Quotas {
		if !q.Room {
			full = append(full, fmt.Sprintf("%s of %s: %s of %s used", q.Resource, q.Name, q.Used, q.Hard))
		}
	}
	w := f.Around.Workload
	switch {
	case len(full) == 0:
		return pass("The namespace's quotas have room for the pods of a rollout.")
	case w.MaxUnavailable == 0 && !w.Recreate:
		return with(block("Raise the quota, or let the rollout take a pod down first (maxUnavailable 1).",
			"The quota has no room for a new pod, and the rollout may take no old one down first: %s.", some(full, 2)), full...)
	}
	return with(warn("Raise the quota, or the rollout goes on only as old pods end.",
		"The quota has no room for the pods that a rollout brings: %s.", some(full, 2)), full...)
}

// room: a pod that fits on no node waits for ever.
func room(f Facts) deploys.Check {
	if c, ok := f.unseen("the nodes", deploys.PartNodes); ok {
		return c
	}
	w := f.Around.Workload
	var why, small []string
	for _, n := range f.Around.Nodes {
		switch {
		case !n.Fits:
			why = append(why, n.Name+": "+n.Why)
		case n.AllocatableCPU < w.CPU || n.AllocatableMemory < w.Memory:
			small = append(small, fmt.Sprintf("%s: too small for a pod that asks for %s", n.Name, asks(w)))
		default:
			return pass("At least one node takes its pods and is big enough for one.")
		}
	}
	return with(warn("Correct the node selector, tolerations or requests of the pod template, or add a node.",
		"No node takes these pods as they are: a new one would wait to be scheduled."), append(small, why...)...)
}

func asks(w deploys.WorkloadSpec) string {
	return strings.TrimSpace(fmt.Sprintf("%d m CPU and %d MiB", w.CPU, w.Memory>>20))
}
