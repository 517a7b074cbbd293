package kube

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"

	"deployportal/internal/foreign"
)

// kind is one sort of object that is watched.
type kind struct {
	group    string // "apps" or "" for core
	resource string // as the API and RBAC name it
	selector string // field selector, so that the API server leaves out what nobody reads
	needed   bool   // without it a deploy cannot be followed; else only detail is missing
	object   runtime.Object
	list     func() runtime.Object
	indexers cache.Indexers
}

// The indexes by which a view finds its objects.
const (
	byOwner = "owner" // UID of the controlling owner
	byAbout = "about" // UID of the object an event is about
)

// The places of the kinds in kinds() and in everything kept per kind.
const (
	deployments = iota
	replicaSets
	pods
	events
)

func kinds() []kind {
	owner := cache.Indexers{byOwner: ownerUID}
	return []kind{
		deployments: {group: "apps", resource: "deployments", needed: true, object: &appsv1.Deployment{},
			list: func() runtime.Object { return &appsv1.DeploymentList{} }},
		replicaSets: {group: "apps", resource: "replicasets", needed: true, object: &appsv1.ReplicaSet{},
			list: func() runtime.Object { return &appsv1.ReplicaSetList{} }, indexers: owner},
		pods: {resource: "pods", needed: true, object: &corev1.Pod{},
			list: func() runtime.Object { return &corev1.PodList{} }, indexers: owner},
		events: {resource: "events", selector: "involvedObject.kind=Pod", object: &corev1.Event{},
			list: func() runtime.Object { return &corev1.EventList{} }, indexers: cache.Indexers{byAbout: aboutUID}},
	}
}

func ownerUID(o any) ([]string, error) {
	m, ok := o.(metav1.Object)
	if !ok {
		return nil, nil
	}
	ref := metav1.GetControllerOfNoCopy(m)
	if ref == nil {
		return nil, nil
	}
	return []string{string(ref.UID)}, nil
}

func aboutUID(o any) ([]string, error) {
	e, ok := o.(*corev1.Event)
	if !ok || e.InvolvedObject.UID == "" {
		return nil, nil
	}
	return []string{string(e.InvolvedObject.UID)}, nil
}

// trim cuts an object down to what the package reads before it is kept. It may change the object: nobody else has it.
func trim(o any) (any, error) {
	switch o := o.(type) {
	case *appsv1.Deployment:
		trimDeployment(o)
	case *appsv1.ReplicaSet:
		o.ManagedFields = nil
		delete(o.Annotations, corev1.LastAppliedConfigAnnotation)
	case *corev1.Pod:
		trimPod(o)
	case *corev1.Event:
		trimEvent(o)
	}
	return o, nil
}

// trimDeployment keeps of the managed fields who owns a part of the template. Annotations all stay: a patch must know
// whether there is a map to add to.
func trimDeployment(d *appsv1.Deployment) {
	kept := templateEntries(d.ManagedFields)
	for i := range kept {
		kept[i].FieldsV1 = &metav1.FieldsV1{Raw: []byte(ownsTemplate)}
	}
	d.ManagedFields = kept
}

func trimPod(p *corev1.Pod) {
	p.ManagedFields, p.Annotations, p.Labels = nil, nil, nil
	p.Spec = corev1.PodSpec{
		NodeName:       p.Spec.NodeName,
		InitContainers: trimContainers(p.Spec.InitContainers),
		Containers:     trimContainers(p.Spec.Containers),
	}
	p.Status.EphemeralContainerStatuses = nil
}

func trimContainers(all []corev1.Container) []corev1.Container {
	kept := make([]corev1.Container, len(all))
	for i, c := range all {
		kept[i] = corev1.Container{
			Name: c.Name, Image: c.Image, Ports: c.Ports, RestartPolicy: c.RestartPolicy,
			StartupProbe: c.StartupProbe, ReadinessProbe: c.ReadinessProbe, LivenessProbe: c.LivenessProbe,
			Resources: corev1.ResourceRequirements{Limits: c.Resources.Limits},
		}
	}
	return kept
}

func trimEvent(e *corev1.Event) {
	*e = corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Name: e.Name, Namespace: e.Namespace, UID: e.UID,
			ResourceVersion: e.ResourceVersion, CreationTimestamp: e.CreationTimestamp,
		},
		InvolvedObject: e.InvolvedObject, Reason: e.Reason, Message: foreign.Line(e.Message, 2*maxMessage), Count: e.Count, Series: e.Series,
		FirstTimestamp: e.FirstTimestamp, LastTimestamp: e.LastTimestamp, EventTime: e.EventTime,
	}
}
