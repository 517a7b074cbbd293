package kube

import (
	"cmp"
	"slices"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	podresources "k8s.io/component-helpers/resource"

	"deployportal/internal/deploys"
	"deployportal/internal/foreign"
)

// viewBudgets gives the PodDisruptionBudgets that select a template's pods.
func viewBudgets(all []policyv1.PodDisruptionBudget, t *corev1.PodTemplateSpec, replicas int32) []deploys.Budget {
	var found []deploys.Budget
	for _, b := range all {
		selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
		if err != nil || !selector.Matches(labels.Set(t.Labels)) {
			continue
		}
		allowed, says := allowance(b.Spec, replicas)
		found = append(found, deploys.Budget{Name: foreign.Line(b.Name, 253), Allowed: allowed, Says: foreign.Line(says, 80)})
	}
	slices.SortFunc(found, func(a, b deploys.Budget) int { return cmp.Compare(a.Name, b.Name) })
	return found
}

// allowance is what the disruption controller would allow with every pod well. It rounds both percentages up, and allows
// nothing where a budget says nothing.
func allowance(b policyv1.PodDisruptionBudgetSpec, replicas int32) (allowed int32, says string) {
	switch {
	case b.MaxUnavailable != nil:
		return min(max(scaled(b.MaxUnavailable, replicas, true), 0), replicas), "maxUnavailable " + b.MaxUnavailable.String()
	case b.MinAvailable != nil:
		return max(replicas-scaled(b.MinAvailable, replicas, true), 0), "minAvailable " + b.MinAvailable.String()
	}
	return 0, "neither minAvailable nor maxUnavailable"
}

// viewQuotas gives the limits that a template's pods count against, and whether extra more of them have room.
func viewQuotas(all []corev1.ResourceQuota, t *corev1.PodTemplateSpec, extra int32) []deploys.Quota {
	pod := podOf(t)
	asked := podresources.PodRequests(pod, podresources.PodResourcesOptions{})
	capped := podresources.PodLimits(pod, podresources.PodResourcesOptions{})
	var found []deploys.Quota
	for _, q := range all {
		if !counts(q.Spec, &pod.Spec, bestEffort(asked, capped)) {
			continue
		}
		hard := q.Status.Hard // what is enforced
		if hard == nil {
			hard = q.Spec.Hard
		}
		for name, limit := range hard {
			each, known, ok := perPod(name, asked, capped)
			if !ok {
				continue
			}
			used := q.Status.Used[name]
			found = append(found, deploys.Quota{Name: foreign.Line(q.Name, 253), Resource: foreign.Line(string(name), 253),
				Used: used.String(), Hard: limit.String(), Room: room(used, limit, each, known, extra)})
		}
	}
	slices.SortFunc(found, func(a, b deploys.Quota) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Resource, b.Resource))
	})
	return found
}

// perPod is what one pod takes of a quota's resource. It is not known where the template asks for none of it: the API
// server fills in what a LimitRange says. ok is false for what no pod takes.
func perPod(name corev1.ResourceName, asked, capped corev1.ResourceList) (each resource.Quantity, known, ok bool) {
	list, key := asked, name
	switch {
	case name == corev1.ResourcePods || name == "count/pods":
		return resource.MustParse("1"), true, true
	case strings.HasPrefix(string(name), "limits."):
		list, key = capped, name[len("limits."):]
	case name == corev1.ResourceRequestsStorage || strings.Contains(string(name), ".storageclass."):
		return each, false, false // of claims
	case strings.HasPrefix(string(name), "requests."):
		key = name[len("requests."):]
	case name != corev1.ResourceCPU && name != corev1.ResourceMemory && name != corev1.ResourceEphemeralStorage:
		return each, false, false // of other objects
	}
	each, known = list[key]
	ordinary := key == corev1.ResourceCPU || key == corev1.ResourceMemory || key == corev1.ResourceEphemeralStorage
	return each, known, known || ordinary // a GPU that is not asked for is not filled in either
}

func room(used, limit, each resource.Quantity, known bool, extra int32) bool {
	if !known && extra > 0 {
		return used.Cmp(limit) < 0
	}
	more := each.DeepCopy()
	more.Mul(int64(extra))
	more.Add(used)
	return more.Cmp(limit) <= 0
}

func bestEffort(asked, capped corev1.ResourceList) bool {
	return asked.Cpu().IsZero() && asked.Memory().IsZero() && capped.Cpu().IsZero() && capped.Memory().IsZero()
}

// counts tells whether a quota's scopes take a pod in. A scope that is not known here takes it in: too strict is seen.
func counts(q corev1.ResourceQuotaSpec, p *corev1.PodSpec, bestEffort bool) bool {
	var all []corev1.ScopedResourceSelectorRequirement
	for _, s := range q.Scopes {
		all = append(all, corev1.ScopedResourceSelectorRequirement{ScopeName: s, Operator: corev1.ScopeSelectorOpExists})
	}
	if q.ScopeSelector != nil {
		all = append(all, q.ScopeSelector.MatchExpressions...)
	}
	return !slices.ContainsFunc(all, func(r corev1.ScopedResourceSelectorRequirement) bool { return !inScope(r, p, bestEffort) })
}

func inScope(r corev1.ScopedResourceSelectorRequirement, p *corev1.PodSpec, bestEffort bool) bool {
	switch r.ScopeName {
	case corev1.ResourceQuotaScopeTerminating:
		return p.ActiveDeadlineSeconds != nil
	case corev1.ResourceQuotaScopeNotTerminating:
		return p.ActiveDeadlineSeconds == nil
	case corev1.ResourceQuotaScopeBestEffort:
		return bestEffort
	case corev1.ResourceQuotaScopeNotBestEffort:
		return !bestEffort
	case corev1.ResourceQuotaScopePriorityClass:
		class := p.PriorityClassName
		switch r.Operator {
		case corev1.ScopeSelectorOpIn:
			return slices.Contains(r.Values, class)
		case corev1.ScopeSelectorOpNotIn:
			return !slices.Contains(r.Values, class)
		case corev1.ScopeSelectorOpDoesNotExist:
			return class == ""
		}
		return class != ""
	}
	return true
}

// scalerOf names the HorizontalPodAutoscaler that scales a Deployment; empty when none does.
func scalerOf(all []autoscalingv2.HorizontalPodAutoscaler, deployment string) string {
	for _, h := range all {
		to := h.Spec.ScaleTargetRef
		if to.Kind == "Deployment" && to.Name == deployment && (to.APIVersion == "" || strings.HasPrefix(to.APIVersion, "apps/")) {
			return foreign.Line(h.Name, 253)
		}
	}
	return ""
}
