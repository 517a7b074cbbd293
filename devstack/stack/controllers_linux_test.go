package stack

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// needsRoot ends a test of what only root may do.
func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("needs root")
	}
	t.Skip("needs root")
}

// A cgroup with a process in it stands for the root that a container sees: the kernel refuses both the same. The
// controllers are whichever the machine's version 2 hierarchy has; one of version 1 beside it has taken most away.
func TestCgroupsOfVersion2PassControllersOn(t *testing.T) {
	needsRoot(t)
	root, controllers := cgroupWithControllers(t)
	inside := filepath.Join(root, "cgroup.procs")
	process := exec.CommandContext(t.Context(), "cat")
	if _, err := process.StdinPipe(); err != nil { // held open: its end is the process's
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = process.Wait() }) // killed by the test's context
	pid := strconv.Itoa(process.Process.Pid)
	if err := os.WriteFile(inside, []byte(pid), 0o644); err != nil {
		t.Fatal(err)
	}
	mounts := []cgroupMount{{path: root, v2: true}}
	held := heldBack(mounts)
	if !slices.Equal(held, controllers) {
		t.Errorf("held back before: got %v, want %v", held, controllers)
	}
	if err := makeCgroups(mounts, []realNode{{name: "node-1"}}, controllers); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, filepath.Join(root, cgroupParent, "node-1", "cgroup.subtree_control")); !slices.Equal(got, controllers) {
		t.Errorf("the node passes %v on to its pods, want %v", got, controllers)
	}
	if got := lines(t, filepath.Join(root, cgroupLeaf, "cgroup.procs")); !slices.Equal(got, []string{pid}) {
		t.Errorf("processes in the leaf: got %v, want %s", got, pid)
	}
	undo := func(ctx context.Context) error { return removeCgroups(ctx, mounts, nil) } // knows nothing of the time before
	if err := within(t.Context(), undo); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, inside); !slices.Equal(got, []string{pid}) {
		t.Errorf("processes of the root afterwards: got %v, want %s", got, pid)
	}
	if got := heldBack(mounts); !slices.Equal(got, controllers) {
		t.Errorf("held back afterwards: got %v, want %v", got, controllers)
	}
	for _, name := range []string{cgroupParent, cgroupLeaf} {
		if _, err := os.Stat(filepath.Join(root, name)); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
}

// Without a process nothing moves; then the record alone says what to switch off, and what was on before stays on.
func TestCgroupsOfVersion2AreAsBefore(t *testing.T) {
	needsRoot(t)
	root, controllers := cgroupWithControllers(t)
	mounts := []cgroupMount{{path: root, v2: true}}
	for _, before := range [][]string{nil, controllers} {
		for _, name := range before {
			if err := switchController(root, "+"+name); err != nil {
				t.Fatal(err)
			}
		}
		record := heldBack(mounts)
		if err := makeCgroups(mounts, nil, controllers); err != nil {
			t.Fatal(err)
		}
		undo := func(ctx context.Context) error { return removeCgroups(ctx, mounts, record) }
		if err := within(t.Context(), undo); err != nil {
			t.Fatal(err)
		}
		if got := lines(t, filepath.Join(root, "cgroup.subtree_control")); !slices.Equal(got, before) {
			t.Errorf("passed on: got %v, want %v as before", got, before)
		}
	}
}

func TestANeededControllerThatIsMissingIsNamed(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{"cgroup.controllers": "cpu memory\n", "cgroup.subtree_control": ""} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mounts := []cgroupMount{{path: root, v2: true}}
	err := makeCgroups(mounts, nil, neededControllers(mounts))
	if err == nil || !strings.Contains(err.Error(), "no controller pids") {
		t.Errorf("got %v, want pids named", err)
	}
}

// cgroupWithControllers makes an empty cgroup in the machine's version 2 hierarchy and gives it controllers.
func cgroupWithControllers(t *testing.T) (dir string, controllers []string) {
	t.Helper()
	mounts, err := machineCgroups()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(mounts, func(m cgroupMount) bool { return m.v2 })
	if i < 0 {
		t.Fatal("this machine has no cgroups of version 2 mounted at /sys/fs/cgroup")
	}
	root := mounts[i].path
	for _, name := range heldBack(mounts) {
		if err := switchController(root, "+"+name); err == nil {
			t.Cleanup(func() { _ = switchController(root, "-"+name) }) // somebody else may have come to use it
		}
	}
	if dir, err = os.MkdirTemp(root, "devstack-test-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := removeCgroupTree(dir); err != nil {
			t.Error(err)
		}
	})
	if controllers = lines(t, filepath.Join(dir, "cgroup.controllers")); len(controllers) == 0 {
		t.Fatalf("%s has no controller", root)
	}
	return dir, controllers
}

// lines are the words of a file of a cgroup.
func lines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(text))
}
