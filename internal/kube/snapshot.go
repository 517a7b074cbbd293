package kube

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"deployportal/internal/deploys"
	"deployportal/internal/foreign"
)

// The annotations a deploy sets on the Deployment's own metadata.
const (
	annotationDeployID = "deploy-portal/deploy-id"
	annotationRevision = "deployment.kubernetes.io/revision"
)

// bareSuffix and frameSuffix make keys for more hashes of one object.
const (
	bareSuffix  = "/bare"
	frameSuffix = "/frame"
)

const defaultProgressDeadline = 600 * time.Second // what the API server fills in

// Objects is what the cluster holds of one workload. Objects of other owners among them are left out by UID, nil
// ones are skipped.
type Objects struct {
	Deployment  *appsv1.Deployment // nil: there is none
	ReplicaSets []*appsv1.ReplicaSet
	Pods        []*corev1.Pod
	Events      []*corev1.Event // core/v1, about the pods
}

// Snapshot puts the view of one workload together. It is pure and reads the whole anew each time, so a missed change
// cannot leave a trace. It does not change the objects and keeps no reference to them. No content of an object makes
// it panic.
func Snapshot(o Objects, now time.Time) deploys.Rollout { return snapshot(o, now, plainHash) }

func snapshot(o Objects, now time.Time, hash hashFunc) deploys.Rollout {
	r := deploys.Rollout{At: now}
	if o.Deployment == nil {
		return r
	}
	fillDeployment(&r, o.Deployment, hash)

	owned := map[types.UID]string{}
	for _, rs := range o.ReplicaSets {
		if rs == nil || !ownedBy(rs, o.Deployment.UID) {
			continue
		}
		owned[rs.UID] = rs.Name
		r.ReplicaSets = append(r.ReplicaSets, viewReplicaSet(rs, hash))
	}
	slices.SortFunc(r.ReplicaSets, func(a, b deploys.ReplicaSet) int {
		return cmp.Or(cmp.Compare(b.Revision, a.Revision), b.Created.Compare(a.Created), cmp.Compare(a.Name, b.Name))
	})

	told := map[types.UID][]*corev1.Event{}
	for _, e := range o.Events {
		if e != nil {
			told[e.InvolvedObject.UID] = append(told[e.InvolvedObject.UID], e)
		}
	}
	for _, p := range o.Pods {
		if p == nil {
			continue
		}
		owner := metav1.GetControllerOf(p)
		if owner == nil {
			continue
		}
		if name, ok := owned[owner.UID]; ok {
			r.Pods = append(r.Pods, viewPod(p, name, told[p.UID]))
		}
	}
	slices.SortFunc(r.Pods, func(a, b deploys.Pod) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Name, b.Name))
	})
	return r
}

func ownedBy(o metav1.Object, uid types.UID) bool {
	ref := metav1.GetControllerOf(o)
	return ref != nil && ref.UID == uid
}

func fillDeployment(r *deploys.Rollout, d *appsv1.Deployment, hash hashFunc) {
	r.Exists = true
	r.UID = string(d.UID)
	r.ResourceVersion = d.ResourceVersion
	r.Generation = d.Generation
	r.ObservedGeneration = d.Status.ObservedGeneration
	r.Template = hash(d.UID, d.Generation, &d.Spec.Template)
	r.Bare = r.Template
	if bare := bareTemplate(&d.Spec.Template); bare != nil {
		r.Bare = hash(d.UID+bareSuffix, d.Generation, bare)
		r.Restarted = foreign.Line(d.Spec.Template.Annotations[annotationRestarted], 64)
	}
	r.Frame = hash(d.UID+frameSuffix, d.Generation, frame(&d.Spec.Template))
	r.DeployID = number(d.Annotations[annotationDeployID])

	r.Paused = d.Spec.Paused
	r.Recreate = d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType
	r.Desired = 1 // what the API server fills in for a missing value
	if d.Spec.Replicas != nil {
		r.Desired = *d.Spec.Replicas
	}
	r.Replicas = d.Status.Replicas
	r.Updated = d.Status.UpdatedReplicas
	r.Ready = d.Status.ReadyReplicas
	r.Available = d.Status.AvailableReplicas
	r.ProgressDeadline = defaultProgressDeadline
	if s := d.Spec.ProgressDeadlineSeconds; s != nil {
		r.ProgressDeadline = time.Duration(*s) * time.Second
	}
	for _, c := range d.Status.Conditions {
		updated := c.LastUpdateTime.Time
		if updated.IsZero() {
			updated = c.LastTransitionTime.Time
		}
		r.Conditions = append(r.Conditions, condition(string(c.Type), c.Status, c.Reason, c.Message, updated))
	}
	r.Images = images(&d.Spec.Template.Spec)
	for _, c := range d.Spec.Template.Spec.InitContainers {
		r.Init = append(r.Init, c.Name)
	}
	r.ChangedBy, r.ChangedAt = changedBy(d)
	r.ManagedBy = managedBy(d)
}

func viewReplicaSet(rs *appsv1.ReplicaSet, hash hashFunc) deploys.ReplicaSet {
	v := deploys.ReplicaSet{
		Name:     rs.Name,
		UID:      string(rs.UID),
		Template: hash(rs.UID, rs.Generation, &rs.Spec.Template),
		Revision: number(rs.Annotations[annotationRevision]),
		DeployID: number(rs.Annotations[annotationDeployID]),
		Images:   images(&rs.Spec.Template.Spec),
		Created:  rs.CreationTimestamp.Time,
		Desired:  1,
		Replicas: rs.Status.Replicas,
		Ready:    rs.Status.ReadyReplicas,
	}
	if rs.Spec.Replicas != nil {
		v.Desired = *rs.Spec.Replicas
	}
	for _, c := range rs.Status.Conditions {
		v.Conditions = append(v.Conditions, condition(string(c.Type), c.Status, c.Reason, c.Message, c.LastTransitionTime.Time))
	}
	return v
}

func condition(kind string, s corev1.ConditionStatus, reason, message string, updated time.Time) deploys.Condition {
	return deploys.Condition{Type: foreign.Line(kind, maxReason), Status: s == corev1.ConditionTrue, Reason: foreign.Line(reason, maxReason), Message: foreign.Line(message, maxMessage), Updated: updated}
}

// imageName bounds what an API server lets through as the name of an image. One that can be pulled stays as it is.
func imageName(s string) string { return foreign.Line(s, maxMessage) }

func images(s *corev1.PodSpec) map[string]string {
	m := make(map[string]string, len(s.Containers)+len(s.InitContainers))
	for _, c := range s.InitContainers {
		m[c.Name] = imageName(c.Image)
	}
	for _, c := range s.Containers {
		m[c.Name] = imageName(c.Image)
	}
	return m
}

// number reads an annotation that counts from 1; 0 stands for none or nonsense.
func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
