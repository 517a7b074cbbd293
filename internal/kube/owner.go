package kube

import (
	"encoding/json"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"deployportal/internal/deploys"
	"deployportal/internal/foreign"
)

// ownsTemplate is what is left of a managed fields entry in a cached Deployment: that it reaches into the template.
const ownsTemplate = `{"f:spec":{"f:template":{}}}`

// changedBy names the field manager that last wrote into the pod template. Entries of a subresource (status, scale)
// cannot hold the template and are left out. The time is that of the manager's last change to anything it owns: the
// API server keeps no finer one.
func changedBy(d *appsv1.Deployment) (manager string, at time.Time) {
	for _, e := range templateEntries(d.ManagedFields) {
		tie := e.Time != nil && e.Time.Time.Equal(at) && manager == deploys.FieldManager // whole seconds: the other came after us
		if e.Time != nil && (manager == "" || e.Time.After(at) || tie) {
			manager, at = e.Manager, e.Time.Time
		} else if manager == "" {
			manager = e.Manager
		}
	}
	return foreign.Line(manager, 128), at
}

func templateEntries(all []metav1.ManagedFieldsEntry) []metav1.ManagedFieldsEntry {
	var found []metav1.ManagedFieldsEntry
	for _, e := range all {
		if e.Subresource == "" && reachesTemplate(e.FieldsV1) {
			found = append(found, e)
		}
	}
	return found
}

func reachesTemplate(f *metav1.FieldsV1) bool {
	if f == nil {
		return false
	}
	if string(f.Raw) == ownsTemplate { // cut down by the cache: no need to parse
		return true
	}
	var fields struct {
		Spec map[string]json.RawMessage `json:"f:spec"`
	}
	if json.Unmarshal(f.Raw, &fields) != nil {
		return false
	}
	_, ok := fields.Spec["f:template"]
	return ok
}

// managedBy names who owns the workload's manifest and may set it back, or is empty. What such a tool writes on the
// object comes first, then the name of a field manager. Argo CD and Flux are asked before Helm: they render charts whose
// label says Helm, and Argo CD up to 2.x leaves no other mark of its own than its field manager.
func managedBy(d *appsv1.Deployment) string {
	label := func(k string) bool { return d.Labels[k] != "" }
	note := func(k string) bool { return d.Annotations[k] != "" }
	switch {
	case label("kustomize.toolkit.fluxcd.io/name"), label("helm.toolkit.fluxcd.io/name"):
		return "Flux"
	case label("argocd.argoproj.io/instance"), note("argocd.argoproj.io/instance"), note("argocd.argoproj.io/tracking-id"):
		return "Argo CD"
	case k3sAddon(d):
		return "k3s manifests folder"
	}
	byField := fieldOwner(d)
	switch {
	case byField == "Flux", byField == "Argo CD":
		return byField
	case d.Labels["app.kubernetes.io/managed-by"] == "Helm", note("meta.helm.sh/release-name"):
		return "Helm"
	case byField != "":
		return byField
	}
	if owner := metav1.GetControllerOfNoCopy(d); owner != nil { // an operator that makes Deployments of its own objects
		return foreign.Line(owner.Kind+" "+owner.Name, 128)
	}
	return ""
}

// fieldOwner names the tool whose field manager wrote into the template.
func fieldOwner(d *appsv1.Deployment) string {
	for _, e := range templateEntries(d.ManagedFields) {
		switch e.Manager {
		case "kustomize-controller", "helm-controller":
			return "Flux"
		case "argocd-controller", "argocd-application-controller":
			return "Argo CD"
		case "helm":
			return "Helm"
		case "deploy@k3s", "k3s":
			return "k3s manifests folder"
		}
	}
	return ""
}

// k3sAddon tells whether k3s' own deploy controller applied the object. Other Rancher tools put the same hash on it but
// name another owner.
func k3sAddon(d *appsv1.Deployment) bool {
	if owner := d.Annotations["objectset.rio.cattle.io/owner-gvk"]; owner != "" {
		return strings.Contains(owner, "k3s.cattle.io") && strings.Contains(owner, "Addon")
	}
	return d.Labels["objectset.rio.cattle.io/hash"] != ""
}
