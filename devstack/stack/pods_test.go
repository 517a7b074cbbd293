package stack

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const repository = "registry.test:5000/acme/api"

// pod is what these tests look at.
type pod struct {
	Metadata struct {
		Name, UID         string
		DeletionTimestamp *time.Time
	}
	Status struct {
		Phase, PodIP, HostIP string
		StartTime            time.Time
		Conditions           []struct {
			Type, Status, Reason, Message string
			LastTransitionTime            time.Time
		}
		InitContainerStatuses []container
		ContainerStatuses     []container
	}
}

type container struct {
	Name, Image, ImageID, ContainerID string
	Ready, Started                    bool
	RestartCount                      int
	State, LastState                  struct {
		Waiting    *struct{ Reason, Message string }
		Running    *struct{ StartedAt time.Time }
		Terminated *struct {
			ExitCode              int
			Reason                string
			StartedAt, FinishedAt time.Time
		}
	}
}

func (p pod) condition(kind string) string {
	for _, c := range p.Status.Conditions {
		if c.Type == kind {
			return c.Status
		}
	}
	return ""
}

func (p pod) transition(kind string) (at time.Time) {
	for _, c := range p.Status.Conditions {
		if c.Type == kind {
			at = c.LastTransitionTime
		}
	}
	return at
}

// first is container 0, or an empty one before there is any.
func (p pod) first() container {
	if len(p.Status.ContainerStatuses) == 0 {
		return container{}
	}
	return p.Status.ContainerStatuses[0]
}

// namespace makes a namespace for one test; the whole cluster goes away soon, so nobody deletes it.
func namespace(t *testing.T, s *Stack, name string) string {
	t.Helper()
	object := map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name}}
	if err := s.api.Create(t.Context(), "/api/v1/namespaces", object, nil); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "ServiceAccount default in "+name, func(ctx context.Context) error {
		return s.api.Get(ctx, "/api/v1/namespaces/"+name+"/serviceaccounts/default", nil)
	})
	return name
}

// deploy applies a Deployment "api" with probes. initImage may be empty.
func deploy(t *testing.T, s *Stack, namespace string, replicas int, image, digest, initImage string) {
	t.Helper()
	probe := map[string]any{"httpGet": map[string]any{"path": "/api/health", "port": 8000}}
	spec := map[string]any{"containers": []any{map[string]any{
		"name": "api", "image": image, "startupProbe": probe, "readinessProbe": probe,
	}}}
	if initImage != "" {
		spec["initContainers"] = []any{map[string]any{"name": "one", "image": initImage}, map[string]any{"name": "two", "image": initImage}}
	}
	meta := map[string]any{"labels": map[string]any{"app": "api"}}
	if digest != "" {
		meta["annotations"] = map[string]any{"devstack/digest": digest}
	}
	object := map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": map[string]any{"name": "api", "namespace": namespace},
		"spec": map[string]any{
			"replicas": replicas, "selector": map[string]any{"matchLabels": map[string]any{"app": "api"}},
			"template": map[string]any{"metadata": meta, "spec": spec},
		},
	}
	if err := s.api.applyObject(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

func pods(ctx context.Context, s *Stack, namespace string) ([]pod, error) {
	var list struct{ Items []pod }
	err := s.api.Get(ctx, "/api/v1/namespaces/"+namespace+"/pods", &list)
	return list.Items, err
}

// waitPod waits until the namespace's only pod is ok, and returns it. It looks often: some states last 300 ms.
func waitPod(t *testing.T, s *Stack, namespace, what string, ok func(pod) bool) pod {
	t.Helper()
	var found pod
	waitFor(t, what, func(ctx context.Context) error {
		list, err := pods(ctx, s, namespace)
		if err != nil {
			return err
		}
		if len(list) != 1 {
			return fmt.Errorf("%d pods", len(list))
		}
		if found = list[0]; !ok(found) {
			return fmt.Errorf("pod is %+v", found.Status)
		}
		return nil
	})
	return found
}

func waitAvailable(t *testing.T, s *Stack, namespace, name string, replicas int) {
	t.Helper()
	waitFor(t, name+" to be available", func(ctx context.Context) error {
		var d struct {
			Metadata struct{ Generation int }
			Status   struct{ ObservedGeneration, Replicas, UpdatedReplicas, AvailableReplicas int }
		}
		if err := s.api.Get(ctx, "/apis/apps/v1/namespaces/"+namespace+"/deployments/"+name, &d); err != nil {
			return err
		}
		st := d.Status
		if st.ObservedGeneration < d.Metadata.Generation || st.UpdatedReplicas != replicas ||
			st.AvailableReplicas != replicas || st.Replicas != replicas {
			return fmt.Errorf("status is %+v", st)
		}
		return nil
	})
}

// waitEvent waits for an event about a pod of the namespace and returns how often it was told.
func waitEvent(t *testing.T, s *Stack, namespace, kind, reason, text string) int {
	t.Helper()
	count := 0
	waitFor(t, "event "+reason, func(ctx context.Context) error {
		var list struct {
			Items []struct {
				Type, Reason, Message string
				Count                 int
				Source                struct{ Component, Host string }
				InvolvedObject        struct{ Kind, UID, FieldPath string }
			}
		}
		if err := s.api.Get(ctx, "/api/v1/namespaces/"+namespace+"/events", &list); err != nil {
			return err
		}
		seen := []string{}
		for _, e := range list.Items {
			if e.Type == kind && e.Reason == reason && strings.Contains(e.Message, text) && e.Source.Component == "kubelet" &&
				e.InvolvedObject.UID != "" && strings.HasPrefix(e.InvolvedObject.FieldPath, "spec.") {
				count = e.Count
				return nil
			}
			seen = append(seen, e.Reason+": "+e.Message)
		}
		return fmt.Errorf("seen: %s", strings.Join(seen, "; "))
	})
	return count
}

// podLog reads a pod's log through the API server. It waits for it, because the log comes a moment after the start.
func podLog(t *testing.T, s *Stack, namespace, name, args string) string {
	t.Helper()
	var text string
	waitFor(t, "the log of "+name, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.info.Server+"/api/v1/namespaces/"+namespace+"/pods/"+name+"/log"+args, nil)
		if err != nil {
			return err
		}
		resp, err := s.api.http.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		if text = string(body); resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", resp.Status, text)
		}
		return nil
	})
	return text
}
