package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience bounds every wait of these tests; the slowest thing they wait for takes about 15 s on an idle machine.
const patience = 90 * time.Second

// TestStack starts one real cluster, because a start takes seconds, and proves on it what the others rely on. The
// subtests work in namespaces of their own, at the same time; the teardown is looked at when all are done.
func TestStack(t *testing.T) {
	progress := NewProgress(os.Stderr)
	state := t.TempDir()
	s, err := Start(t.Context(), Options{State: state, Progress: progress})
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(s.Close)

	t.Run("while it runs", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *Stack){
			"devstack.json says where it is":      testInfo,
			"a taken state folder is refused":     testStateTaken,
			"listens on loopback only":            testLoopbackOnly,
			"nodes":                               testNodes,
			"good image":                          testGood,
			"init containers run first":           testInitContainers,
			"slow image":                          testSlow,
			"bad0 crashes again and again":        testCrashes,
			"bad1 is never ready":                 testNeverReady,
			"bad2 cannot be pulled":               testUnpullable,
			"bad3 exits late, once":               testExitsLate,
			"deleted pods go":                     testDelete,
			"sample team":                         testSamples,
			"the portal's rights are rbac.yaml's": testRights,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, s)
			})
		}
	})
	checkTeardown(t, s)
}

func checkTeardown(t *testing.T, s *Stack) {
	pids := make([]int, 0, len(s.processes))
	for _, p := range s.processes {
		pids = append(pids, p.cmd.Process.Pid)
	}
	if len(pids) != 5 {
		t.Errorf("components: got %d, want 5", len(pids))
	}
	if err := s.Err(); err != nil {
		t.Errorf("a component ended by itself: %v", err)
	}
	start := time.Now()
	s.Close()
	t.Logf("Close took %v", time.Since(start))
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("process %d is still there after Close", pid)
		}
	}
	for _, port := range s.ports.all() {
		l, err := net.Listen("tcp4", loopback(port))
		if err != nil {
			t.Errorf("port %d is not free after Close: %v", port, err)
			continue
		}
		l.Close()
	}
	for _, name := range []string{"etcd", "pki", "admin.kubeconfig", "devstack.json"} {
		if _, err := os.Stat(filepath.Join(s.info.State, name)); !os.IsNotExist(err) {
			t.Errorf("%s is still there after Close (%v)", name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(s.info.State, "logs", "etcd.log")); err != nil {
		t.Errorf("logs should stay: %v", err)
	}
}

func testInfo(t *testing.T, s *Stack) {
	text, err := os.ReadFile(s.InfoFile())
	if err != nil {
		t.Fatal(err)
	}
	var info Info
	if err := json.Unmarshal(text, &info); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), info.Kubectl[0], append(info.Kubectl[1:], "version", "--output=json")...).Output()
	if err != nil {
		t.Fatalf("the kubectl of devstack.json: %v", err)
	}
	var version struct{ ClientVersion, ServerVersion struct{ GitVersion string } }
	if err := json.Unmarshal(out, &version); err != nil {
		t.Fatal(err)
	}
	if version.ServerVersion.GitVersion != info.Version || version.ClientVersion.GitVersion != info.Version {
		t.Errorf("versions: got %+v, want %s for both", version, info.Version)
	}
	if !strings.HasPrefix(info.Server, "https://127.0.0.1:") || info.State != s.info.State || info.Nodes != Simulated {
		t.Errorf("server %q, state %q, nodes %q: not ours", info.Server, info.State, info.Nodes)
	}
}

func testStateTaken(t *testing.T, s *Stack) {
	second, err := Start(t.Context(), Options{State: s.info.State})
	if err == nil {
		second.Close()
		t.Fatal("a second stack started in the same state folder")
	}
	if want := "is in use by another devstack"; !strings.Contains(err.Error(), want) {
		t.Errorf("error: got %q, want it to contain %q", err, want)
	}
}

// testLoopbackOnly asks for each port on this machine's other addresses.
func testLoopbackOnly(t *testing.T, s *Stack) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		ip, ok := address.(*net.IPNet)
		if !ok || ip.IP.IsLoopback() || ip.IP.To4() == nil {
			continue
		}
		for _, port := range s.ports.all() {
			conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp4", fmt.Sprintf("%s:%d", ip.IP, port))
			if err == nil {
				conn.Close()
				t.Errorf("port %d answers on %s", port, ip.IP)
			}
		}
	}
	for _, port := range s.ports.all() {
		conn, err := net.Dial("tcp4", loopback(port))
		if err != nil {
			t.Errorf("port %d does not answer on 127.0.0.1, so the check above proves nothing: %v", port, err)
			continue
		}
		conn.Close()
	}
}

func testNodes(t *testing.T, s *Stack) {
	if err := s.nodesReady(t.Context()); err != nil {
		t.Errorf("Start returned before the nodes were Ready: %v", err)
	}
	var list struct {
		Items []struct {
			Metadata struct {
				Name   string
				Labels map[string]string
			}
			Status struct{ Capacity map[string]string }
		}
	}
	if err := s.api.Get(t.Context(), "/api/v1/nodes", &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 3 {
		t.Errorf("nodes: got %d, want 3", len(list.Items))
	}
	for i, n := range list.Items {
		if want := fmt.Sprintf("node-%d", i+1); n.Metadata.Name != want {
			t.Errorf("node %d: got %s, want %s", i, n.Metadata.Name, want)
		}
		if n.Metadata.Labels["kubernetes.io/arch"] != "amd64" || n.Metadata.Labels["kubernetes.io/os"] != "linux" {
			t.Errorf("%s: labels %v", n.Metadata.Name, n.Metadata.Labels)
		}
		if n.Status.Capacity["cpu"] == "" {
			t.Errorf("%s has no capacity", n.Metadata.Name)
		}
	}
}

// A start that cannot work must say which component failed, in that component's own words.
func TestStartFailsWithTheComponentsWords(t *testing.T) {
	state := t.TempDir()
	source, err := findSource("")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := cacheDir("")
	if err != nil {
		t.Fatal(err)
	}
	kube, _, version, err := binaries(source)
	if err != nil {
		t.Fatal(err)
	}
	path, err := kube.ensure(t.Context(), source, cache, NewProgress(os.Stderr))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := newPlan(state, path, path, version)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp4", loopback(plan.ports.etcd))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := newStack(func() {})
	s.info.State = state
	defer s.Close()
	if s.api, err = newAPI(loopbackURL(plan.ports.api), plan.pki.pem, plan.admin); err != nil {
		t.Fatal(err)
	}
	err = s.bringUp(t.Context(), plan)
	if err == nil || !strings.Contains(err.Error(), "etcd ended") || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("error: got %v, want it to say that etcd ended and why", err)
	}
}

// waitFor polls until check is content, and fails the test with check's last complaint.
func waitFor(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := pollLast(ctx, 50*time.Millisecond, func() error { return check(ctx) }); err != nil {
		t.Fatalf("wait for %s: %v", what, err)
	}
}
