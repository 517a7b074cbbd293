package kube

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TemplateHash identifies a pod template: equal for a Deployment and the ReplicaSet its controller made of it. It is
// the SHA-256, in hex, of the typed template's JSON, with the label that the controller adds to a ReplicaSet's
// template left out. It does not change the template it is given.
func TemplateHash(t *corev1.PodTemplateSpec) string {
	if t == nil {
		return ""
	}
	bare := *t // a shallow copy is enough: only the label map is replaced
	if _, ok := bare.Labels[appsv1.DefaultDeploymentUniqueLabelKey]; ok {
		bare.Labels = maps.Clone(bare.Labels)
		delete(bare.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	}
	// Typed structs marshal their fields in a fixed order and maps by key, so this JSON is canonical.
	b, err := json.Marshal(bare)
	if err != nil {
		return "" // no template that came from an API server gets here; an empty hash equals no other by rule
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// annotationRestarted is the mark of a restart: what "kubectl rollout restart" writes into a pod template.
const annotationRestarted = "kubectl.kubernetes.io/restartedAt"

// bareTemplate is the template without the mark of a restart; nil where there is none. It shares all else with t.
func bareTemplate(t *corev1.PodTemplateSpec) *corev1.PodTemplateSpec {
	if _, marked := t.Annotations[annotationRestarted]; !marked {
		return nil
	}
	bare := *t
	bare.Annotations = maps.Clone(bare.Annotations)
	delete(bare.Annotations, annotationRestarted)
	return &bare
}

// frame is a template without the mark of a restart and without any image: what no deploy sets. It shares the rest with t.
func frame(t *corev1.PodTemplateSpec) *corev1.PodTemplateSpec {
	f := *t
	if bare := bareTemplate(t); bare != nil {
		f = *bare
	}
	f.Spec.InitContainers, f.Spec.Containers = imageless(f.Spec.InitContainers), imageless(f.Spec.Containers)
	return &f
}

func imageless(all []corev1.Container) []corev1.Container {
	out := slices.Clone(all)
	for i := range out {
		out[i].Image = ""
	}
	return out
}

// hashFunc gives the hash of the template of the object with this UID at this generation.
type hashFunc func(uid types.UID, generation int64, t *corev1.PodTemplateSpec) string

func plainHash(_ types.UID, _ int64, t *corev1.PodTemplateSpec) string { return TemplateHash(t) }
