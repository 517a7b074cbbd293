package kube

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/foreign"
)

// op is one operation of a JSON patch (RFC 6902). "add" on a member that is there replaces it.
type op struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"` // none to remove
}

// patchOf writes a change down against the Deployment at the very resourceVersion that guards it. The patch tests the
// UID and each container's name at its place, and writes the resourceVersion: the API server answers 409 when the
// object is at another. A container that is not there is errs.Invalid and names those that are.
func patchOf(d *appsv1.Deployment, change deploys.Change) ([]byte, error) {
	ops := []op{
		{"test", "/metadata/uid", change.UID},
		{"replace", "/metadata/resourceVersion", change.ResourceVersion},
	}
	for _, name := range slices.Sorted(maps.Keys(change.Images)) {
		at := containerPath(&d.Spec.Template.Spec, name)
		if at == "" {
			return nil, errs.New(errs.Invalid, "The Deployment %s has no container named %s; it has: %s.",
				d.Name, foreign.Line(name, 64), strings.Join(containerNames(&d.Spec.Template.Spec), ", "))
		}
		ops = append(ops, op{"test", at + "/name", name}, op{"add", at + "/image", change.Images[name]})
	}
	ops = append(ops, restartOps(d, change.Restarted)...)
	if len(change.Annotations) > 0 && d.Annotations == nil {
		ops = append(ops, op{"add", "/metadata/annotations", map[string]string{}})
	}
	for _, key := range slices.Sorted(maps.Keys(change.Annotations)) {
		ops = append(ops, op{"add", "/metadata/annotations/" + pointer.Replace(key), change.Annotations[key]})
	}
	b, err := json.Marshal(ops)
	if err != nil {
		return nil, fmt.Errorf("json.Marshal(patch): %w", err)
	}
	return b, nil
}

// restartOps sets the mark of a restart in the pod template, or takes it away. Nothing else of ours ever goes there: a
// mark is what makes the template another one, so that the pods are made anew, and taking it back finds the old
// ReplicaSet again.
func restartOps(d *appsv1.Deployment, mark *string) []op {
	const annotations = "/spec/template/metadata/annotations"
	path := annotations + "/" + pointer.Replace(annotationRestarted)
	was, marked := d.Spec.Template.Annotations[annotationRestarted]
	switch {
	case mark == nil, marked && *mark == was, !marked && *mark == "":
		return nil
	case *mark == "":
		return []op{{Op: "remove", Path: path}}
	case d.Spec.Template.Annotations == nil:
		return []op{{"add", annotations, map[string]string{annotationRestarted: *mark}}}
	}
	return []op{{"add", path, *mark}}
}

// pointer escapes a member's name for a path (RFC 6901).
var pointer = strings.NewReplacer("~", "~0", "/", "~1")

func containerPath(s *corev1.PodSpec, name string) string {
	named := func(c corev1.Container) bool { return c.Name == name }
	if i := slices.IndexFunc(s.Containers, named); i >= 0 {
		return fmt.Sprintf("/spec/template/spec/containers/%d", i)
	}
	if i := slices.IndexFunc(s.InitContainers, named); i >= 0 {
		return fmt.Sprintf("/spec/template/spec/initContainers/%d", i)
	}
	return ""
}

func containerNames(s *corev1.PodSpec) []string {
	var names []string
	for _, c := range slices.Concat(s.Containers, s.InitContainers) {
		names = append(names, c.Name)
	}
	return names
}
