package stack

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// childOfTest, when set, makes TestChildrenDieWithUs play the parent that is going to be killed.
const childOfTest = "DEVSTACK_TEST_PARENT"

// A devstack that is killed outright cannot tear anything down: the kernel has to.
func TestChildrenDieWithUs(t *testing.T) {
	if os.Getenv(childOfTest) != "" {
		p, err := newLauncher().start("sleeper", os.Getenv(childOfTest), os.Environ(), "sleep", "300")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("pid %d\n", p.cmd.Process.Pid)
		<-p.done // never: either end is a kill
		return
	}
	parent := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChildrenDieWithUs$")
	parent.Env = append(os.Environ(), childOfTest+"="+t.TempDir())
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	pid := 0
	for lines := bufio.NewScanner(out); pid == 0 && lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "pid "); ok {
			if pid, err = strconv.Atoi(text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if pid == 0 || !alive(pid) {
		t.Fatalf("the parent did not start a child (pid %d)", pid)
	}
	if err := parent.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // an error by design: it was killed
	waitFor(t, "the child to die", func(context.Context) error {
		if running(pid) {
			return fmt.Errorf("process %d still runs", pid)
		}
		return nil
	})
}

// running is alive, but not content with a zombie: a container's init may be slow to reap an orphan.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}
