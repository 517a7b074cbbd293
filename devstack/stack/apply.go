package stack

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"deployportal/devstack/samples"

	"sigs.k8s.io/yaml"
)

// Image is what a sample app runs.
type Image struct {
	Tag    string // looks like a commit SHA; its first characters choose the behaviour, see README.md
	Digest string // "sha256:..."; shown as imageID where the image reference pins none. May be empty.
}

// collection says where the objects of a kind live. It knows the kinds that this project's manifests use.
func collection(kind, namespace string) (string, error) {
	core, apps := "/api/v1/namespaces/"+namespace+"/", "/apis/apps/v1/namespaces/"+namespace+"/"
	rbac := "/apis/rbac.authorization.k8s.io/v1/namespaces/" + namespace + "/"
	path, ok := map[string]string{
		"Namespace": "/api/v1/namespaces",
		"ConfigMap": core + "configmaps", "Secret": core + "secrets", "Service": core + "services",
		"ServiceAccount": core + "serviceaccounts", "Deployment": apps + "deployments",
		"Role": rbac + "roles", "RoleBinding": rbac + "rolebindings",
		"ClusterRole":         "/apis/rbac.authorization.k8s.io/v1/clusterroles",
		"ClusterRoleBinding":  "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
		"PodDisruptionBudget": "/apis/policy/v1/namespaces/" + namespace + "/poddisruptionbudgets",
	}[kind]
	if !ok {
		return "", fmt.Errorf("cannot apply a %s", kind)
	}
	return path, nil
}

// ApplyYAML applies the objects of a manifest in their order, as kubectl apply --server-side would. The error
// names the object.
func (a *API) ApplyYAML(ctx context.Context, manifest string) error {
	for _, text := range strings.Split(manifest, "\n---\n") {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(text), &object); err != nil {
			return fmt.Errorf("decode manifest: %w", err)
		}
		if object == nil {
			continue // nothing but comments
		}
		if err := a.applyObject(ctx, object); err != nil {
			return err
		}
	}
	return nil
}

func (a *API) applyObject(ctx context.Context, object map[string]any) error {
	kind, _ := object["kind"].(string)
	meta, _ := object["metadata"].(map[string]any)
	name, _ := meta["name"].(string)
	namespace, _ := meta["namespace"].(string)
	path, err := collection(kind, namespace)
	if err != nil {
		return err
	}
	if err := a.Apply(ctx, path+"/"+name, object); err != nil {
		return fmt.Errorf("apply %s %s: %w", kind, name, err)
	}
	return nil
}

// ApplySamples brings the sample team (namespace honeydue) to the given images: <registryHost>/acme/<app>:<tag> for the
// apps api, admin and worker. It does not wait for the rollouts. Called again with other tags, it deploys those.
// The error says which app has no image given, or carries the API server's answer.
func (s *Stack) ApplySamples(ctx context.Context, registryHost string, images map[string]Image) error {
	names, err := fs.Glob(samples.Files, "*.yaml")
	if err != nil {
		return fmt.Errorf("list samples: %w", err)
	}
	replace := []string{"{{REGISTRY}}", registryHost}
	for app, image := range images {
		replace = append(replace, "{{TAG_"+strings.ToUpper(app)+"}}", image.Tag)
	}
	for _, name := range names {
		text, err := fs.ReadFile(samples.Files, name)
		if err != nil {
			return fmt.Errorf("read sample: %w", err)
		}
		manifest := strings.NewReplacer(replace...).Replace(string(text))
		if strings.Contains(manifest, "{{") {
			return fmt.Errorf("no image given for sample %s", strings.TrimSuffix(name, ".yaml"))
		}
		for _, document := range strings.Split(manifest, "\n---\n") {
			var object map[string]any
			if err := yaml.Unmarshal([]byte(document), &object); err != nil {
				return fmt.Errorf("decode sample %s: %w", name, err)
			}
			annotateDigest(object, images)
			if err := s.api.applyObject(ctx, object); err != nil {
				return err
			}
		}
	}
	return nil
}

// annotateDigest tells the simulated nodes, through the pod template, which digest the tag stands for.
func annotateDigest(object map[string]any, images map[string]Image) {
	meta, _ := object["metadata"].(map[string]any)
	name, _ := meta["name"].(string)
	if object["kind"] != "Deployment" || images[name].Digest == "" {
		return
	}
	spec, _ := object["spec"].(map[string]any)
	template, _ := spec["template"].(map[string]any)
	if podMeta, ok := template["metadata"].(map[string]any); ok {
		podMeta["annotations"] = map[string]any{"devstack/digest": images[name].Digest}
	}
}

// ServiceAccountKubeconfig writes a kubeconfig that acts as a ServiceAccount, with a fresh token that lives a day.
func (s *Stack) ServiceAccountKubeconfig(ctx context.Context, path, namespace, name string) error {
	request := map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
		"spec": map[string]any{"expirationSeconds": int((24 * time.Hour).Seconds())},
	}
	var answer struct{ Status struct{ Token string } }
	where := fmt.Sprintf("/api/v1/namespaces/%s/serviceaccounts/%s/token", namespace, name)
	if err := s.api.Create(ctx, where, request, &answer); err != nil {
		return fmt.Errorf("request token of ServiceAccount %s/%s: %w", namespace, name, err)
	}
	ca, err := os.ReadFile(s.caFile)
	if err != nil {
		return fmt.Errorf("read CA certificate: %w", err)
	}
	return writeKubeconfig(path, s.info.Server, ca, map[string]any{"token": answer.Status.Token})
}

// DeploymentAvailable waits until all pods a Deployment wants are of its present template and available.
func (s *Stack) DeploymentAvailable(ctx context.Context, namespace, name string) error {
	return s.await(ctx, "Deployment "+name, func(ctx context.Context) error {
		var d struct {
			Metadata struct{ Generation int64 }
			Spec     struct{ Replicas int }
			Status   struct {
				ObservedGeneration                           int64
				Replicas, UpdatedReplicas, AvailableReplicas int
			}
		}
		if err := s.api.Get(ctx, "/apis/apps/v1/namespaces/"+namespace+"/deployments/"+name, &d); err != nil {
			return err
		}
		st := d.Status
		if st.ObservedGeneration < d.Metadata.Generation || st.UpdatedReplicas != d.Spec.Replicas || st.Replicas != d.Spec.Replicas || st.AvailableReplicas != d.Spec.Replicas {
			return fmt.Errorf("%d of %d available", st.AvailableReplicas, d.Spec.Replicas)
		}
		return nil
	})
}

// Root is the checkout that a devstack folder belongs to; source as in Options.
func Root(source string) (string, error) {
	source, err := findSource(source)
	return filepath.Dir(source), err
}
