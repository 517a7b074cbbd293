package stack

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ownNetwork, when set, makes TestMachineIsLeftAsItWas play in the network namespace of its own that it was given.
const ownNetwork = "DEVSTACK_TEST_OWN_NETWORK"

// The network of the machine is a namespace of the test's own here, and folders stand for its cgroups: nothing of the
// machine is touched.
func TestMachineIsLeftAsItWas(t *testing.T) {
	if os.Getenv(ownNetwork) == "" {
		needsRoot(t)
		machineTools(t) // fetched here, where there is a network to fetch them from
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMachineIsLeftAsItWas$", "-test.v")
		child.Env = append(os.Environ(), ownNetwork+"=yes")
		child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
		if out, err := child.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	// /sys shows the network it was mounted in.
	if err := errors.Join(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""), syscall.Mount("sysfs", "/sys", "sysfs", 0, "")); err != nil {
		t.Fatal(err)
	}
	n := network{tools: machineTools(t), cgroups: t.TempDir()}
	n.run(t, "*filter\n:MINE - [0:0]\n-A MINE -j ACCEPT\nCOMMIT\n", "iptables-restore", "--noflush")
	t.Run("no trace", n.testTrace)
	t.Run("a part that does not go", n.testStuck)
	t.Run("chains of another Kubernetes", n.testForeign)
	t.Run("another Kubernetes beside a mark", n.testLiving)
}

// machineTools are those of real nodes.
func machineTools(t *testing.T) tools {
	t.Helper()
	cache, err := cacheDir("")
	if err != nil {
		t.Fatal(err)
	}
	found, err := ensureTools(t.Context(), cache, NewProgress(os.Stderr))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// network is the namespace and what stands for the machine beside it.
type network struct {
	tools   tools
	cgroups string
}

func (n network) run(t *testing.T, input, name string, args ...string) string {
	t.Helper()
	out, err := n.tools.run(t.Context(), input, name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// rules are those of both families, without the counters and dates in between.
func (n network) rules(t *testing.T) string {
	t.Helper()
	var kept strings.Builder
	for _, family := range families {
		for line := range strings.Lines(n.run(t, "", family+"-save")) {
			if !strings.HasPrefix(line, "#") {
				kept.WriteString(strings.Split(line, " [")[0])
			}
		}
	}
	return kept.String()
}

func (n network) claim(t *testing.T, state string) (*machine, error) {
	t.Helper()
	return newMachine(t.Context(), n.tools, state, []cgroupMount{{path: n.cgroups}})
}

// prepare does to the network what a start with real nodes does, and kube-proxy after it.
func (n network) prepare(t *testing.T, m *machine) {
	t.Helper()
	pods := netip.MustParsePrefix("10.123.0.0/16")
	nodes := newRealNodes(pods, func(string) string { return t.TempDir() })
	if err := m.prepare(t.Context(), nodes, pods, netip.MustParsePrefix("10.96.0.0/16")); err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		n.run(t, "*nat\n:KUBE-SERVICES - [0:0]\n-A OUTPUT -j KUBE-SERVICES\nCOMMIT\n", family+"-restore", "--noflush")
	}
}

// Nothing is undone on a machine where no devstack was; a device alone tells that one was.
func (n network) testTrace(t *testing.T) {
	m := &machine{tools: n.tools, state: t.TempDir(), mounts: []cgroupMount{{path: n.cgroups}}}
	if left, err := m.leftover(t.Context()); err != nil || left != nil {
		t.Errorf("a machine without a trace: got %+v, %v", left, err)
	}
	n.run(t, "", "ip", "link", "add", "name", bridgeName(2), "type", "bridge")
	if left, err := m.leftover(t.Context()); err != nil || left == nil {
		t.Errorf("a device that was left: got %+v, %v", left, err)
	}
	n.run(t, "", "ip", "link", "delete", bridgeName(2))
}

// What a stuck cgroup keeps is the mark alone: by that the next start, in another folder, takes away the rest.
func (n network) testStuck(t *testing.T) {
	before := n.rules(t)
	m, err := n.claim(t, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	forwarded := readSetting(t)
	n.prepare(t, m)
	stuck := filepath.Join(n.cgroups, cgroupParent, "node-1", "process")
	if err := os.WriteFile(stuck, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if err := m.undo(ctx); err == nil {
		t.Error("a cgroup that stays was not said")
	}
	if got := n.rules(t); strings.Contains(got, "KUBE-") || !readLeftovers(got).ours {
		t.Errorf("want the mark and no chain of Kubernetes, got:\n%s", got)
	}
	for i := 1; i <= realNodeCount; i++ {
		if _, err := os.Stat("/sys/class/net/" + bridgeName(i)); err == nil {
			t.Errorf("device %s is still there", bridgeName(i))
		}
	}
	if got := readSetting(t); got != forwarded {
		t.Errorf("%s: got %q, want %q as before", kernelSettings[0], got, forwarded)
	}
	if err := errors.Join(os.Remove(stuck), os.RemoveAll(m.state)); err != nil {
		t.Fatal(err)
	}
	if _, err := n.claim(t, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if got := n.rules(t); got != before {
		t.Errorf("rules: got:\n%s\nwant:\n%s", got, before)
	}
	if _, err := os.Stat(filepath.Join(n.cgroups, cgroupParent)); !os.IsNotExist(err) {
		t.Errorf("the cgroup is still there: %v", err)
	}
}

func readSetting(t *testing.T) string {
	t.Helper()
	value, err := os.ReadFile(filepath.Join("/proc/sys", kernelSettings[0]))
	if err != nil {
		t.Fatal(err)
	}
	return string(value)
}

func (n network) testForeign(t *testing.T) {
	for _, family := range families {
		n.run(t, "*mangle\n:KUBE-KUBELET-CANARY - [0:0]\nCOMMIT\n", family+"-restore", "--noflush")
		before := n.rules(t)
		if _, err := n.claim(t, t.TempDir()); !errors.Is(err, errForeign) {
			t.Errorf("%s: got %v, want a refusal", family, err)
		}
		if got := n.rules(t); got != before {
			t.Errorf("%s: rules were changed: got:\n%s\nwant:\n%s", family, got, before)
		}
		n.run(t, "*mangle\n-X KUBE-KUBELET-CANARY\nCOMMIT\n", family+"-restore", "--noflush")
	}
}

// A devstack was killed, then another Kubernetes was installed, and its chains stand beside the mark.
func (n network) testLiving(t *testing.T) {
	state := t.TempDir()
	m, err := n.claim(t, state)
	if err != nil {
		t.Fatal(err)
	}
	n.prepare(t, m)
	cat, err := exec.LookPath("cat")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "kubelet")
	if err := copyFile(cat, program); err != nil {
		t.Fatal(err)
	}
	kubelet := exec.CommandContext(t.Context(), program)
	input, err := kubelet.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := kubelet.Start(); err != nil {
		t.Fatal(err)
	}
	before := n.rules(t)
	if _, err := n.claim(t, state); err == nil || !strings.Contains(err.Error(), "kubelet") {
		t.Errorf("got %v, want the kubelet named", err)
	}
	if got := n.rules(t); got != before {
		t.Errorf("rules were changed: got:\n%s\nwant:\n%s", got, before)
	}
	if err := errors.Join(input.Close(), kubelet.Wait()); err != nil {
		t.Fatal(err)
	}
	if _, err := n.claim(t, state); err != nil {
		t.Fatal(err)
	}
	if got := n.rules(t); strings.Contains(got, "KUBE-") || strings.Contains(got, "DEVSTACK-") {
		t.Errorf("what the killed one left is still there:\n%s", got)
	}
}
