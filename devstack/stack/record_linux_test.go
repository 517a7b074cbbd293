package stack

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// record writes the objects of the case's namespace to $DEVSTACK_RECORD/<scenario>/objects.yaml: what a real cluster says,
// for tests that judge it without one. Names that differ with every run are replaced by fixed ones.
func record(t *testing.T, c realCase, scenario string) {
	t.Helper()
	dir := os.Getenv("DEVSTACK_RECORD")
	if dir == "" {
		return
	}
	argv := append(append([]string{}, c.s.info.Kubectl...), "--namespace="+c.ns, "get", "deployments,replicasets,pods,events", "--output=json")
	text, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).Output()
	if err != nil {
		t.Fatalf("kubectl get: %v", err)
	}
	text = bytes.ReplaceAll(text, []byte(c.registry), []byte("127.0.0.1:5000"))
	text = bytes.ReplaceAll(text, []byte("acme/"+c.ns), []byte("acme/api"))
	text = bytes.ReplaceAll(text, []byte(c.ns), []byte("honeydue"))
	var list struct{ Items []map[string]any }
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	var documents []string
	for _, object := range list.Items {
		trim(object)
		document, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, string(document))
	}
	path := filepath.Join(dir, scenario, "objects.yaml")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	head := fmt.Sprintf("# Recorded from real nodes, Kubernetes %s: go test -run TestRealNodes in devstack/stack, with DEVSTACK_RECORD.\n", c.s.info.Version)
	if err := os.WriteFile(path, []byte(head+strings.Join(documents, "---\n")), 0o644); err != nil {
		t.Fatal(err)
	}
}

// trim drops what says nothing about the scenario.
func trim(object map[string]any) {
	if meta, ok := object["metadata"].(map[string]any); ok {
		delete(meta, "managedFields")
	}
	spec, _ := object["spec"].(map[string]any)
	drop := func(pod map[string]any) {
		for _, name := range []string{"tolerations", "schedulerName", "securityContext", "enableServiceLinks", "preemptionPolicy", "priority"} {
			delete(pod, name)
		}
		dropToken(pod)
	}
	switch object["kind"] {
	case "Pod":
		drop(spec)
	case "Deployment", "ReplicaSet":
		if template, ok := spec["template"].(map[string]any); ok {
			if pod, ok := template["spec"].(map[string]any); ok {
				drop(pod)
			}
		}
	}
	if status, ok := object["status"].(map[string]any); ok && object["kind"] == "Pod" {
		for _, kind := range []string{"containerStatuses", "initContainerStatuses"} {
			statuses, _ := status[kind].([]any)
			for _, s := range statuses {
				if s, ok := s.(map[string]any); ok {
					delete(s, "volumeMounts")
					delete(s, "user")
				}
			}
		}
	}
}

// dropToken removes the ServiceAccount's token, which every pod gets mounted.
func dropToken(pod map[string]any) {
	keep := func(list any) []any {
		var kept []any
		items, _ := list.([]any)
		for _, item := range items {
			m, _ := item.(map[string]any)
			if name, _ := m["name"].(string); !strings.HasPrefix(name, "kube-api-access-") {
				kept = append(kept, item)
			}
		}
		return kept
	}
	set := func(object map[string]any, name string) {
		if kept := keep(object[name]); len(kept) > 0 {
			object[name] = kept
		} else {
			delete(object, name)
		}
	}
	set(pod, "volumes")
	for _, kind := range []string{"containers", "initContainers"} {
		containers, _ := pod[kind].([]any)
		for _, container := range containers {
			if container, ok := container.(map[string]any); ok {
				set(container, "volumeMounts")
				for _, name := range []string{"terminationMessagePath", "terminationMessagePolicy"} {
					delete(container, name)
				}
			}
		}
	}
}
