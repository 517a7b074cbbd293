package kubetest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// NeedKubelet is Need for tests that want containers to run: the cluster must have real nodes. The test is skipped inside
// a devstack with simulated ones, also with CI=true: which nodes there are is the run's choice.
func NeedKubelet(t testing.TB) *Cluster {
	t.Helper()
	return need(t, "kubelet")
}

// Image is a sample image to push. What its program does is said by variables of its environment: WORKLOAD_START_DELAY,
// WORKLOAD_CRASH_AFTER, WORKLOAD_STATUS and so on; devstack/workloads has them all, as the fields of Behaviour.
type Image struct {
	Repository string            `json:"repository"` // "acme/api"
	Tag        string            `json:"tag"`
	Env        map[string]string `json:"env"`
	Platforms  string            `json:"platforms,omitempty"` // "" (two), "native", "foreign", "foreign-program"
	Variant    string            `json:"variant,omitempty"`   // another manifest around the same config
}

// Pushed tells what the registry has after a push.
type Pushed struct {
	Reference string            `json:"reference"` // host/repository:tag
	Digest    string            `json:"digest"`    // of what the tag names
	Manifests map[string]string `json:"manifests"` // platform -> digest
	Configs   map[string]string `json:"configs"`   // platform -> digest
}

// Login is a registry's user. The zero value is nobody.
type Login struct{ Username, Password string }

// Push builds the images and pushes them to the registry ("127.0.0.1:5000"). The cluster must have real nodes.
func (c *Cluster) Push(t testing.TB, registry string, login Login, images ...Image) []Pushed {
	t.Helper()
	in, err := json.Marshal(map[string]any{
		"registry": registry, "username": login.Username, "password": login.Password, "images": images,
	})
	if err != nil {
		t.Fatalf("encode images: %v", err)
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), c.workloads[0], append(append([]string{}, c.workloads[1:]...), "push")...)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("push images: %v: %s", err, stderr.String())
	}
	var pushed []Pushed
	if err := json.Unmarshal(out, &pushed); err != nil {
		t.Fatalf("decode answer of the image tool: %v", err)
	}
	return pushed
}

// Registry runs an empty registry until the test ends, and returns its host and port. The cluster must have real nodes.
func (c *Cluster) Registry(t testing.TB) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.workloads[0], "registry")
	if _, err := cmd.StdinPipe(); err != nil { // its end is the registry's
		t.Fatalf("start registry: %v", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatalf("start registry: %v", err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start registry: %v", err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // killed by the test's context
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("start registry: %v", err)
	}
	return strings.TrimSpace(address)
}
