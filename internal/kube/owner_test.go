package kube

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestManagedBy reads every mark that a tool leaves on a workload it may set back.
func TestManagedBy(t *testing.T) {
	labels := func(kv ...string) *appsv1.Deployment {
		return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Labels: pairs(kv)}}
	}
	notes := func(kv ...string) *appsv1.Deployment {
		return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Annotations: pairs(kv)}}
	}
	manager := func(name string) *appsv1.Deployment {
		return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{
			{Manager: name, FieldsV1: &metav1.FieldsV1{Raw: []byte(`{"f:spec":{"f:template":{"f:spec":{}}}}`)}}}}}
	}
	owner := func(kind, name string, controls bool) *appsv1.Deployment {
		return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{{Kind: kind, Name: name, Controller: &controls}}}}
	}
	addon := notes("objectset.rio.cattle.io/owner-gvk", "k3s.cattle.io/v1, Kind=Addon")
	addon.Labels = pairs([]string{"objectset.rio.cattle.io/hash", "abc"})
	fleet := notes("objectset.rio.cattle.io/owner-gvk", "fleet.cattle.io/v1alpha1, Kind=Bundle")
	fleet.Labels = addon.Labels
	chart := labels("app.kubernetes.io/managed-by", "Helm", "argocd.argoproj.io/instance", "api")
	argo2 := manager("argocd-controller")
	argo2.Labels = pairs([]string{"app.kubernetes.io/managed-by", "Helm", "app.kubernetes.io/instance", "api"})
	release := manager("helm-controller")
	release.Labels = pairs([]string{"app.kubernetes.io/managed-by", "Helm"})
	for name, c := range map[string]struct {
		d    *appsv1.Deployment
		want string
	}{
		"nobody":                            {labels(), ""},
		"Flux Kustomization":                {labels("kustomize.toolkit.fluxcd.io/name", "apps"), "Flux"},
		"Flux HelmRelease":                  {labels("helm.toolkit.fluxcd.io/name", "api", "app.kubernetes.io/managed-by", "Helm"), "Flux"},
		"Argo CD by label":                  {labels("argocd.argoproj.io/instance", "api"), "Argo CD"},
		"Argo CD by tracking id":            {notes("argocd.argoproj.io/tracking-id", "api:apps/Deployment:acme/api"), "Argo CD"},
		"Argo CD renders a chart":           {chart, "Argo CD"},
		"Argo CD 2 renders a chart":         {argo2, "Argo CD"},
		"Flux's field renders a chart":      {release, "Flux"},
		"k3s addon":                         {addon, "k3s manifests folder"},
		"k3s addon, by its label alone":     {labels("objectset.rio.cattle.io/hash", "abc"), "k3s manifests folder"},
		"another Rancher tool":              {fleet, ""},
		"Helm by label":                     {labels("app.kubernetes.io/managed-by", "Helm"), "Helm"},
		"Helm by release":                   {notes("meta.helm.sh/release-name", "api"), "Helm"},
		"kustomize-controller's field":      {manager("kustomize-controller"), "Flux"},
		"Argo CD's field":                   {manager("argocd-controller"), "Argo CD"},
		"Helm's field":                      {manager("helm"), "Helm"},
		"k3s' field":                        {manager("deploy@k3s"), "k3s manifests folder"},
		"kubectl's field":                   {manager("kubectl-client-side-apply"), ""},
		"an operator's object":              {owner("Postgres", "main", true), "Postgres main"},
		"an owner that does not control it": {owner("Postgres", "main", false), ""},
	} {
		if got := managedBy(c.d); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func pairs(kv []string) map[string]string {
	m := map[string]string{}
	for i := 0; i+1 < len(kv); i += 2 {
		m[kv[i]] = kv[i+1]
	}
	return m
}
