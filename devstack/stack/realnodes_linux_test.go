package stack

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"deployportal/devstack/workloads"
)

// realParent, when set, makes TestRealNodes play the devstack that is going to be killed; its value is the state folder.
const realParent = "DEVSTACK_TEST_REAL_PARENT"

// realCase is one subtest: a namespace, and a registry to push to.
type realCase struct {
	s        *Stack
	ns       string
	registry string
}

// TestRealNodes lets one devstack with real nodes be killed outright, starts a second one, which must clean up after it,
// proves on that what pods look like, and looks at the machine when it has ended: it must be as before the first.
func TestRealNodes(t *testing.T) {
	if state := os.Getenv(realParent); state != "" {
		playParent(t, state)
		return
	}
	needsRoot(t)
	other := startContainerd(t)
	before := lookAtMachine(t)
	killParent(t, before["processes"])

	started := time.Now()
	s, err := Start(t.Context(), Options{State: t.TempDir(), Nodes: Real, Progress: NewProgress(os.Stderr)})
	if err != nil {
		t.Fatalf("Start after a devstack was killed: %v", err)
	}
	t.Cleanup(s.Close)
	t.Logf("Start took %v", time.Since(started))
	registry := startRegistry(t, s)
	t.Run("while it runs", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, realCase){
			"nodes": testRealNodes, "good": testRealGood, "slow": testRealSlow, "lock": testRealLock,
			"crash": testRealCrash, "crash-database": testRealCrashDatabase, "exit-later": testRealExitLater,
			"imagepull": testRealPull, "platform": testRealPlatform, "execformat": testRealExecFormat,
			"oom": testRealOOM, "startup404": testRealStartup404, "secret": testRealSecret, "secret-key": testRealSecretKey,
			"secret-volume": testRealSecretVolume, "unready": testRealUnready, "init": testRealInit,
			"same-config": testRealSameConfig, "samples": testRealSamples,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, realCase{s: s, ns: namespace(t, s, "real-"+name), registry: registry})
			})
		}
	})
	if err := s.Err(); err != nil {
		t.Errorf("a component ended by itself: %v", err)
	}
	started = time.Now()
	s.Close()
	t.Logf("Close took %v", time.Since(started))
	before.compare(t, lookAtMachine(t))
	other.check(t)
}

// playParent starts real nodes and a pod on them, says so, and waits for its end.
func playParent(t *testing.T, state string) {
	s, err := Start(t.Context(), Options{State: state, Nodes: Real})
	if err != nil {
		t.Fatal(err)
	}
	c := realCase{s: s, ns: namespace(t, s, "doomed"), registry: startRegistry(t, s)}
	c.deploy(t, c.push(t, workloads.Image{}), 2, nil)
	waitAvailable(t, s, c.ns, "api", 2)
	fmt.Println("it runs")
	select {}
}

// killParent has another process start real nodes, and kills it. It returns when only these processes are left.
func killParent(t *testing.T, before string) {
	t.Helper()
	state := t.TempDir()
	parent := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRealNodes$", "-test.v")
	parent.Env = append(os.Environ(), realParent+"="+state)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	said := ""
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said += lines.Text() + "\n"
		if lines.Text() == "it runs" {
			break
		}
	}
	if !strings.HasSuffix(said, "it runs\n") {
		t.Fatalf("the devstack to be killed did not start:\n%s", said)
	}
	if err := parent.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // an error by design: it was killed
	waitFor(t, "every process of the killed devstack to be gone", func(context.Context) error {
		if left := nodeProcesses(t); left != before {
			return fmt.Errorf("there are:\n%s\nand before there were:\n%s", left, before)
		}
		return nil
	})
	if err := os.RemoveAll(state); err != nil { // the clean-up must not depend on it
		t.Fatal(err)
	}
	if _, err := os.Stat("/sys/class/net/devstack1"); err != nil {
		t.Errorf("the killed devstack left no device behind, so the clean-up after it proves nothing: %v", err)
	}
}

// startRegistry runs an empty registry until the test ends.
func startRegistry(t *testing.T, s *Stack) string {
	t.Helper()
	tool := exec.CommandContext(t.Context(), s.info.Workloads[0], "registry")
	if _, err := tool.StdinPipe(); err != nil { // held open: its end is the registry's
		t.Fatal(err)
	}
	out, err := tool.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tool.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tool.Wait() }) // killed by the test's context
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("start registry: %v", err)
	}
	return strings.TrimSpace(address)
}

// push pushes an image under a repository and a tag of the case's own, and returns its reference.
func (c realCase) push(t *testing.T, image workloads.Image) string {
	t.Helper()
	return c.pushed(t, image).Reference
}

func (c realCase) pushed(t *testing.T, image workloads.Image) workloads.Pushed {
	t.Helper()
	if image.Repository == "" {
		image.Repository = "acme/" + c.ns
	}
	if image.Tag == "" {
		image.Tag = fmt.Sprintf("%040x", len(c.ns)*7919+len(image.Behaviour.CrashAfter)+len(image.Platforms))
	}
	pushed, err := workloads.Push(t.Context(), c.s.info.Workloads, workloads.Request{
		Registry: c.registry, Images: []workloads.Image{image},
	})
	if err != nil {
		t.Fatal(err)
	}
	return pushed[0]
}

// deploy applies a Deployment "api" with quick probes; edit may change the container and the pod.
func (c realCase) deploy(t *testing.T, image string, replicas int, edit func(container, pod map[string]any)) {
	t.Helper()
	probe := func(failures int) map[string]any {
		return map[string]any{
			"httpGet": map[string]any{"path": "/api/health", "port": 8000}, "periodSeconds": 1, "failureThreshold": failures,
		}
	}
	container := map[string]any{
		"name": "api", "image": image, "startupProbe": probe(30), "readinessProbe": probe(3),
		"ports": []any{map[string]any{"name": "http", "containerPort": 8000}},
	}
	pod := map[string]any{"containers": []any{container}, "terminationGracePeriodSeconds": 5}
	if edit != nil {
		edit(container, pod)
	}
	labels := map[string]any{"app": "api"}
	err := c.s.api.applyObject(t.Context(), map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": map[string]any{"name": "api", "namespace": c.ns},
		"spec": map[string]any{
			"replicas": replicas, "selector": map[string]any{"matchLabels": labels},
			"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": pod},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// get asks a URL until it answers 200, and returns the body.
func get(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	body := ""
	waitFor(t, url, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if body = string(text); err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", resp.Status, body)
		}
		return err
	})
	return body
}
