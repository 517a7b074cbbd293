package stack

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"deployportal/devstack/workloads"
)

// secretReference deploys with a reference to a Secret.
func (c realCase) secretReference(t *testing.T, name, key string) pod {
	t.Helper()
	c.deploy(t, c.push(t, workloads.Image{}), 1, func(container, _ map[string]any) {
		container["env"] = []any{map[string]any{
			"name": "DATABASE_PASSWORD", "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": name, "key": key}},
		}}
	})
	return waitPod(t, c.s, c.ns, "a configuration error", func(p pod) bool { return p.waiting() == "CreateContainerConfigError" })
}

func testRealSecret(t *testing.T, c realCase) {
	p := c.secretReference(t, "api-secrets", "database-password")
	if got, want := p.first().State.Waiting.Message, `secret "api-secrets" not found`; got != want {
		t.Errorf("message: got %q, want %q", got, want)
	}
	record(t, c, "secret")
}

func testRealSecretKey(t *testing.T, c realCase) {
	err := c.s.api.applyObject(t.Context(), map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "api-secrets", "namespace": c.ns},
		"stringData": map[string]any{"other": "x"},
	})
	if err != nil {
		t.Fatal(err)
	}
	p := c.secretReference(t, "api-secrets", "database-password")
	if got, want := p.first().State.Waiting.Message, "couldn't find key database-password in Secret "+c.ns+"/api-secrets"; got != want {
		t.Errorf("message: got %q, want %q", got, want)
	}
	record(t, c, "secret-key")
}

func testRealSecretVolume(t *testing.T, c realCase) {
	c.deploy(t, c.push(t, workloads.Image{}), 1, func(container, pod map[string]any) {
		container["volumeMounts"] = []any{map[string]any{"name": "tls", "mountPath": "/tls"}}
		pod["volumes"] = []any{map[string]any{"name": "tls", "secret": map[string]any{"secretName": "api-tls"}}}
	})
	waitFor(t, "event FailedMount", func(ctx context.Context) error {
		var list struct {
			Items []struct{ Reason, Message string }
		}
		if err := c.s.api.Get(ctx, "/api/v1/namespaces/"+c.ns+"/events", &list); err != nil {
			return err
		}
		for _, e := range list.Items {
			if e.Reason == "FailedMount" && strings.Contains(e.Message, `secret "api-tls" not found`) {
				return nil
			}
		}
		return fmt.Errorf("%d other events", len(list.Items))
	})
	waitPod(t, c.s, c.ns, "waiting", func(p pod) bool { return p.waiting() == "ContainerCreating" })
	record(t, c, "secret-volume")
}

func testRealUnready(t *testing.T, c realCase) {
	c.deploy(t, c.push(t, workloads.Image{Behaviour: workloads.Behaviour{Status: "/ready=503"}}), 1, func(container, _ map[string]any) {
		container["readinessProbe"] = map[string]any{"httpGet": map[string]any{"path": "/ready", "port": 8000}, "periodSeconds": 1}
	})
	waitEvent(t, c.s, c.ns, "Warning", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
	p := waitPod(t, c.s, c.ns, "running", func(p pod) bool { return p.first().State.Running != nil && p.first().Started })
	if p.condition("Ready") != "False" || p.first().RestartCount > 0 {
		t.Errorf("status: got %+v, want running, not ready, never restarted", p.Status)
	}
	record(t, c, "unready")
}

func testRealInit(t *testing.T, c realCase) {
	migrate := c.push(t, workloads.Image{Repository: "acme/migrate", Behaviour: workloads.Crash("migration 0042 failed: column exists", 1)})
	c.deploy(t, c.push(t, workloads.Image{}), 1, func(_, pod map[string]any) {
		pod["initContainers"] = []any{map[string]any{"name": "migrate", "image": migrate}}
	})
	p := waitPod(t, c.s, c.ns, "a crash loop of the init container", func(p pod) bool {
		return len(p.Status.InitContainerStatuses) == 1 && p.Status.InitContainerStatuses[0].State.Waiting != nil &&
			p.Status.InitContainerStatuses[0].State.Waiting.Reason == "CrashLoopBackOff"
	})
	if p.waiting() != "PodInitializing" {
		t.Errorf("the app waits for %q, want PodInitializing", p.waiting())
	}
	record(t, c, "init")
}

// waiting is the reason for which the first container waits, if it does.
func (p pod) waiting() string {
	if w := p.first().State.Waiting; w != nil {
		return w.Reason
	}
	return ""
}

// waitAnyPod is waitPod where there are several.
func (c realCase) waitAnyPod(t *testing.T, what string, ok func(pod) bool) pod {
	t.Helper()
	var found pod
	waitFor(t, what, func(ctx context.Context) error {
		list, err := pods(ctx, c.s, c.ns)
		if err != nil {
			return err
		}
		for _, p := range list {
			if ok(p) {
				found = p
				return nil
			}
		}
		return fmt.Errorf("pods are %+v", list)
	})
	return found
}
