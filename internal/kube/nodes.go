package kube

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	scheduling "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"deployportal/internal/deploys"
	"deployportal/internal/foreign"
)

// viewNode says what a node is and whether a template's pods can land on it. What runs there already is not looked at.
func viewNode(n *corev1.Node, t *corev1.PodTemplateSpec) deploys.Node {
	v := deploys.Node{
		Name:              foreign.Line(n.Name, 253),
		Platform:          foreign.Line(n.Status.NodeInfo.OperatingSystem+"/"+n.Status.NodeInfo.Architecture, 64),
		AllocatableCPU:    n.Status.Allocatable.Cpu().MilliValue(),
		AllocatableMemory: n.Status.Allocatable.Memory().Value(),
	}
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP && v.Address == "" {
			v.Address = foreign.Line(a.Address, 64)
		}
	}
	v.Why = misfit(n, podOf(t))
	v.Fits = v.Why == ""
	return v
}

// misfit asks what the scheduler asks, with the same code; empty when the pod fits.
func misfit(n *corev1.Node, p *corev1.Pod) string {
	if p.Spec.NodeName != "" && p.Spec.NodeName != n.Name {
		return foreign.Line(fmt.Sprintf("The pods name the node %s.", p.Spec.NodeName), 300)
	}
	cordon := corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}
	if n.Spec.Unschedulable && !scheduling.TolerationsTolerateTaint(p.Spec.Tolerations, &cordon) {
		return "It is cordoned."
	}
	// A node's own parse errors are no match: the API server takes no such template.
	if ok, err := nodeaffinity.GetRequiredNodeAffinity(p).Match(n); err != nil || !ok {
		return "Its labels do not match the pods' node selector or required node affinity."
	}
	taint, found := scheduling.FindMatchingUntoleratedTaint(n.Spec.Taints, p.Spec.Tolerations, func(t *corev1.Taint) bool {
		return t.Effect == corev1.TaintEffectNoSchedule || t.Effect == corev1.TaintEffectNoExecute
	})
	if found {
		return foreign.Line(fmt.Sprintf("The pods do not tolerate its taint %s.", taint.ToString()), 500)
	}
	return ""
}

// trimNode keeps what viewNode reads: a node lists the images it holds, fifty and more.
func trimNode(n *corev1.Node) {
	n.ManagedFields, n.Annotations = nil, nil
	n.Status = corev1.NodeStatus{Allocatable: n.Status.Allocatable, Addresses: n.Status.Addresses, NodeInfo: n.Status.NodeInfo}
}
