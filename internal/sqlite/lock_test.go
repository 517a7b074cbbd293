//go:build unix

package sqlite_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"

	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

// children are what this test binary does instead of testing when it is started by child.
var children = map[string]func(path string) error{"lock": lockChild, "ioerr": ioErrChild}

func TestMain(m *testing.M) {
	if do := children[os.Getenv("SQLITE_TEST_CHILD")]; do != nil {
		if err := do(os.Getenv("SQLITE_TEST_PATH")); err != nil {
			fmt.Println("child:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child starts this binary as another process that does one thing with path.
func child(t *testing.T, what, path string) *osexec.Cmd {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := osexec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), "SQLITE_TEST_CHILD="+what, "SQLITE_TEST_PATH="+path)
	cmd.Stderr = os.Stderr
	return cmd
}

// lockChild takes the lock, says so and holds it until it is killed.
func lockChild(path string) error {
	if _, err := sqlite.Lock(path); err != nil {
		return err
	}
	fmt.Println("held")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

func refused(t *testing.T, path string) {
	t.Helper()
	release, err := sqlite.Lock(path)
	if errs.KindOf(err) != errs.Conflict || errs.Public(err) != "Another portal already serves "+path+"." || release != nil {
		t.Errorf("a second taker got %v", err)
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "portal 100%.db")
	release, err := sqlite.Lock(path)
	must(t, err)
	refused(t, path)
	out, err := child(t, "lock", path).Output()
	if err == nil || !strings.Contains(string(out), "Another portal already serves") {
		t.Errorf("another process got %q %v", out, err)
	}
	db := openAt(t, path) // the lock is not SQLite's: short commands work beside it
	must(t, exec(db, `CREATE TABLE x (n)`))
	must(t, release())
	again, err := sqlite.Lock(path)
	must(t, err)
	must(t, again())
}

// TestLockOfTheDead: a killed portal leaves no lock behind, though its file stays.
func TestLockOfTheDead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "portal.db")
	cmd := child(t, "lock", path)
	in, err := cmd.StdinPipe()
	must(t, err)
	defer func() { _ = in.Close() }()
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("%q %v", line, err)
	}
	refused(t, path)
	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // it tells of the kill
	release, err := sqlite.Lock(path)
	must(t, err)
	must(t, release())
}

func TestLockNowhere(t *testing.T) {
	if release, err := sqlite.Lock(filepath.Join(t.TempDir(), "no", "portal.db")); err == nil || release != nil {
		t.Errorf("a lock in no folder: %v", err)
	}
}
