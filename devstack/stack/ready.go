package stack

import (
	"context"
	"fmt"
	"net/http"
)

// simulatedNodes are the nodes of kwok, as in the sample team's cluster.
var simulatedNodes = []string{"node-1", "node-2", "node-3"}

// componentEnded records the first component that ended without being told to.
func (s *Stack) componentEnded(p *process) {
	select {
	case <-s.closing:
		return
	default:
	}
	s.failOnce.Do(func() {
		s.err = p.ended()
		close(s.failed)
	})
}

func (s *Stack) apiReady(ctx context.Context) error {
	return s.api.Get(ctx, "/readyz", nil)
}

// createNodes registers the nodes the way a kubelet does: with addresses and sizes in the first call. kwok finds them and
// makes and keeps them Ready.
func createNodes(ctx context.Context, api *API, plan *plan) error {
	for i, name := range simulatedNodes {
		if err := api.Create(ctx, "/api/v1/nodes", node(i+1, name, plan), nil); err != nil {
			return fmt.Errorf("create node %s: %w", name, err)
		}
	}
	return nil
}

func node(number int, name string, plan *plan) map[string]any {
	size := map[string]any{"cpu": "8", "memory": "16Gi", "pods": "110", "ephemeral-storage": "100Gi"}
	return map[string]any{
		"apiVersion": "v1", "kind": "Node",
		"metadata": map[string]any{
			"name": name,
			"labels": map[string]any{
				"kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux", "kubernetes.io/hostname": name,
			},
		},
		"spec": map[string]any{"podCIDR": fmt.Sprintf("10.42.%d.0/24", number)},
		"status": map[string]any{
			"capacity": size, "allocatable": size,
			"daemonEndpoints": map[string]any{"kubeletEndpoint": map[string]any{"Port": plan.ports.kwok}},
			"addresses": []any{
				map[string]any{"type": "InternalIP", "address": fmt.Sprintf("10.90.0.%d", number)},
				map[string]any{"type": "ExternalIP", "address": "127.0.0.1"}, // where kwok really answers for pod logs
				map[string]any{"type": "Hostname", "address": name},
			},
			"nodeInfo": map[string]any{
				"architecture": "amd64", "operatingSystem": "linux", "kubeletVersion": plan.version,
				"containerRuntimeVersion": "containerd://2.1.0", "osImage": "devstack", "kernelVersion": "6.12.0",
				"bootID": "", "machineID": "", "systemUUID": "", "kubeProxyVersion": "",
			},
		},
	}
}

func (s *Stack) nodesReady(ctx context.Context) error {
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Spec     struct{ Taints []struct{ Key string } }
			Status   struct {
				Conditions []struct{ Type, Status string }
			}
		}
	}
	if err := s.api.Get(ctx, "/api/v1/nodes", &list); err != nil {
		return err
	}
	missing := map[string]string{}
	for _, name := range s.nodes {
		missing[name] = "not Ready"
	}
	for _, n := range list.Items {
		for _, c := range n.Status.Conditions {
			if c.Type == "Ready" && c.Status == "True" {
				delete(missing, n.Metadata.Name)
			}
		}
		for _, taint := range n.Spec.Taints { // the node controller takes not-ready away a moment later
			missing[n.Metadata.Name] = "tainted " + taint.Key
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%v", missing)
	}
	return nil
}

// controllersReady asks for what the first pod of a namespace needs and a controller makes.
func (s *Stack) controllersReady(ctx context.Context) error {
	for _, path := range []string{
		"/api/v1/namespaces/default/serviceaccounts/default", "/api/v1/namespaces/default/configmaps/kube-root-ca.crt",
	} {
		if err := s.api.Get(ctx, path, nil); err != nil {
			return err
		}
	}
	return nil
}

// schedulerReady asks the scheduler itself, because nothing in the API tells that it works before a pod needs it.
func (s *Stack) schedulerReady(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, loopbackURL(s.ports.scheduler)+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := s.api.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("scheduler answers %s", resp.Status)
	}
	return nil
}
