package kube_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/randfill"

	"deployportal/internal/foreign/foreigntest"
	"deployportal/internal/kube"
)

// TestHostileObjects: whatever stands in the objects of a cluster, nothing that acts or hides gets into the view of them,
// and nothing without a bound. Only names are left as they are: an API server takes none but plain ones.
func TestHostileObjects(t *testing.T) {
	seen := map[string]bool{}
	for i, p := range foreigntest.Payloads() {
		o := hostileObjects(int64(i), p.Text[:min(len(p.Text), 8000)])
		foreigntest.Strings(kube.Snapshot(o, now), func(path, text string) {
			seen[path] = seen[path] || text != ""
			if harm := foreigntest.Harm(text); harm != "" || strings.ContainsAny(text, "\n\t") || len(text) > 4*1000 {
				t.Errorf("%.40q: %s is %.60q: %s", p.Text, path, text, harm)
			}
		})
	}
	if len(seen) < 100 {
		t.Errorf("only %d places were looked at", len(seen))
	}
}

// hostileObjects is a workload with a text wherever the API server would let one through.
func hostileObjects(seed int64, text string) kube.Objects {
	fill := randfill.NewWithSeed(seed).NumElements(1, 2).Funcs(
		func(q *resource.Quantity, c randfill.Continue) {
			*q = *resource.NewQuantity(c.Int63(), resource.DecimalSI)
		},
		func(f *metav1.FieldsV1, _ randfill.Continue) { f.Raw = []byte(`{"f:spec":{"f:template":{}}}`) },
		func(s *string, _ randfill.Continue) { *s = text },
		func(s *corev1.PodPhase, _ randfill.Continue) { *s = corev1.PodPhase(text) },
		func(s *corev1.PodConditionType, _ randfill.Continue) { *s = corev1.PodScheduled },
		func(s *corev1.ConditionStatus, _ randfill.Continue) { *s = corev1.ConditionFalse },
		func(s *corev1.URIScheme, _ randfill.Continue) { *s = corev1.URISchemeHTTPS },
	)
	yes := true
	o := kube.Objects{Deployment: &appsv1.Deployment{}, ReplicaSets: make([]*appsv1.ReplicaSet, 2), Pods: make([]*corev1.Pod, 3), Events: make([]*corev1.Event, 24)}
	fill.NilChance(0).Fill(o.Deployment)
	o.Deployment.Name, o.Deployment.UID, o.Deployment.ResourceVersion = "api", "uid", "7"
	plainNames(&o.Deployment.Spec.Template.Spec)
	fill.NilChance(0.4) // of the states of a container only one counts
	for i := range o.ReplicaSets {
		o.ReplicaSets[i] = &appsv1.ReplicaSet{}
		rs := o.ReplicaSets[i]
		fill.Fill(rs)
		rs.Name, rs.UID = fmt.Sprint("api-", i), types.UID(fmt.Sprint("rs", i))
		rs.OwnerReferences = []metav1.OwnerReference{{UID: o.Deployment.UID, Controller: &yes}}
		plainNames(&rs.Spec.Template.Spec)
	}
	for i := range o.Pods {
		o.Pods[i] = &corev1.Pod{}
		p := o.Pods[i]
		fill.Fill(p)
		p.Name, p.UID, p.Spec.NodeName = fmt.Sprint("api-x-", i), types.UID(fmt.Sprint("pod", i)), "node-1"
		p.OwnerReferences = []metav1.OwnerReference{{UID: types.UID(fmt.Sprint("rs", i%2)), Controller: &yes}}
		plainNames(&p.Spec)
		for n := range p.Status.ContainerStatuses {
			p.Status.ContainerStatuses[n].Name = fmt.Sprint("c", n)
		}
		for n := range p.Status.InitContainerStatuses {
			p.Status.InitContainerStatuses[n].Name = fmt.Sprint("i", n)
		}
		if i == 0 {
			p.Status.Phase, p.Status.Conditions = corev1.PodPending, nil // so that events say why it waits
			p.Status.ContainerStatuses, p.Status.InitContainerStatuses = nil, nil
		}
	}
	reasons := []string{"Pulling", "Pulled", "Unhealthy", "Killing", "FailedMount", "FailedScheduling", "FailedCreatePodSandBox", text}
	prefixes := []string{"", "Startup probe failed: ", "Readiness probe failed: ", "Successfully pulled image in "}
	for i := range o.Events {
		o.Events[i] = &corev1.Event{}
		e := o.Events[i]
		fill.Fill(e)
		e.Reason, e.Message = reasons[i%len(reasons)], prefixes[i%len(prefixes)]+text
		e.InvolvedObject.UID, e.InvolvedObject.FieldPath = types.UID(fmt.Sprint("pod", i%3)), "spec.containers{c0}"
		e.LastTimestamp, e.EventTime = metav1.Now(), metav1.MicroTime{}
	}
	return o
}

func plainNames(s *corev1.PodSpec) {
	for i := range s.Containers {
		s.Containers[i].Name = fmt.Sprint("c", i)
	}
	for i := range s.InitContainers {
		s.InitContainers[i].Name = fmt.Sprint("i", i)
	}
	s.EphemeralContainers = slices.Clip(s.EphemeralContainers)[:0]
}
