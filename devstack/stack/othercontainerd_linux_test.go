package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// otherContainerd is the container runtime of a machine that has one, at the socket where everybody expects it. Real
// nodes must not touch it.
type otherContainerd struct {
	tools tools
	inode uint64 // of the socket
	pid   int    // zero for the machine's own; the test's has a container that runs
}

const (
	containerdSocket = "/run/containerd/containerd.sock"
	otherContainer   = "devstack-test-other"
)

// startContainerd starts one with a folder of its own, and takes it and its container away when the test ends. On a machine
// that has one it looks at that instead.
func startContainerd(t *testing.T) otherContainerd {
	t.Helper()
	if _, err := os.Stat(containerdSocket); err == nil {
		return otherContainerd{tools: machineTools(t), inode: socketInode(t)}
	}
	_, err := os.Stat(filepath.Dir(containerdSocket))
	ownFolder := os.IsNotExist(err)
	source, err := findSource("")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := cacheDir("")
	if err != nil {
		t.Fatal(err)
	}
	parts, err := prepareRealNodes(t.Context(), Options{Progress: NewProgress(os.Stderr)}, source, cache)
	if err != nil {
		t.Fatal(err)
	}
	o := otherContainerd{tools: parts.tools}
	dir := t.TempDir()
	config := filepath.Join(dir, "config.toml")
	text := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n"+
		"[plugins.\"io.containerd.internal.v1.opt\"]\npath = %q\n",
		filepath.Join(dir, "root"), filepath.Join(dir, "state"), containerdSocket, filepath.Join(dir, "opt"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	program, _ := o.tools.find("containerd") // ensureTools has found it
	daemon := exec.Command(program, "--config", config)
	daemon.Env = o.tools.env(o.tools.root)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the child has its own copy
	daemon.Stdout, daemon.Stderr, daemon.SysProcAttr = log, log, childAttr()
	l := newLauncher()
	started := make(chan error)
	l.requests <- func() { started <- daemon.Start() }
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.stop(t, daemon, l, ownFolder) })
	o.pid = daemon.Process.Pid
	waitFor(t, "containerd", func(ctx context.Context) error {
		_, err := o.ctr(ctx, "version")
		return err
	})
	o.inode = socketInode(t)
	pause := filepath.Join(dir, "pause.tar")
	if _, err := command(t.Context(), parts.images, "pause", parts.node, pause); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"images", "import", "--snapshotter", snapshotter(dir), pause},
		{"run", "--detach", "--null-io", "--snapshotter", snapshotter(dir), pauseImage, otherContainer},
	} {
		if _, err := o.ctr(t.Context(), args...); err != nil {
			t.Fatalf("%v\n%s", err, tail(log.Name(), 12))
		}
	}
	return o
}

func (o otherContainerd) ctr(ctx context.Context, args ...string) (string, error) {
	return o.tools.run(ctx, "", "ctr", append([]string{"--address", containerdSocket, "--timeout", "20s"}, args...)...)
}

func socketInode(t *testing.T) uint64 {
	t.Helper()
	var info syscall.Stat_t
	if err := syscall.Stat(containerdSocket, &info); err != nil {
		t.Fatal(err)
	}
	return info.Ino
}

// check fails the test unless the runtime is the same process at the same socket, and its container runs.
func (o otherContainerd) check(t *testing.T) {
	t.Helper()
	if got := socketInode(t); got != o.inode {
		t.Errorf("%s is another one: inode %d, was %d", containerdSocket, got, o.inode)
	}
	tasks, err := o.ctr(t.Context(), "tasks", "list")
	if err != nil {
		t.Errorf("the machine's containerd does not answer: %v", err)
	}
	if o.pid == 0 {
		return
	}
	if program, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", o.pid)); err != nil || strings.TrimSpace(string(program)) != "containerd" {
		t.Errorf("containerd, process %d: got %q, %v", o.pid, program, err)
	}
	if !strings.Contains(tasks, otherContainer) || !strings.Contains(tasks, "RUNNING") {
		t.Errorf("its container: got %q, want %s RUNNING", tasks, otherContainer)
	}
}

func (o otherContainerd) stop(t *testing.T, daemon *exec.Cmd, l *launcher, ownFolder bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, err := o.ctr(ctx, "tasks", "delete", "--force", otherContainer)
	_, errContainer := o.ctr(ctx, "containers", "delete", otherContainer)
	if err := errors.Join(err, errContainer, daemon.Process.Signal(syscall.SIGTERM), daemon.Wait()); err != nil {
		t.Errorf("stop the other containerd: %v", err)
	}
	l.close()
	if !ownFolder {
		return
	}
	if err := os.RemoveAll(filepath.Dir(containerdSocket)); err != nil {
		t.Error(err)
	}
}
