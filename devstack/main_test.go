package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"deployportal/devstack/stack"
)

func TestRunGivesTheCommandAClusterAndItsExitCodeBack(t *testing.T) {
	caller, state := t.TempDir(), t.TempDir()
	t.Setenv("PWD", caller) // what "go run -C" leaves of the caller's folder
	const script = `cp "$DEVSTACK" seen.json && pwd > dir.txt && exit 7`
	err := run(t.Context(), []string{"run", "--state", state, "--", "sh", "-c", script})
	var code exitError
	if !errors.As(err, &code) || code != 7 {
		t.Fatalf("error: got %v, want exit code 7", err)
	}
	text, err := os.ReadFile(filepath.Join(caller, "seen.json"))
	if err != nil {
		t.Fatalf("the command did not run in the caller's folder: %v", err)
	}
	var info stack.Info
	if err := json.Unmarshal(text, &info); err != nil {
		t.Fatal(err)
	}
	if info.State != state || len(info.Kubectl) < 2 || info.AdminKubeconfig == "" || info.Version == "" {
		t.Errorf("devstack.json: got %+v", info)
	}
	dir, err := os.ReadFile(filepath.Join(caller, "dir.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(dir)); got != caller {
		t.Errorf("the command's folder: got %s, want %s", got, caller)
	}
	if _, err := os.Stat(filepath.Join(state, "devstack.json")); !os.IsNotExist(err) {
		t.Errorf("devstack.json after the end: got %v, want it gone", err)
	}
}

// A terminal that is closed sends the signal. Where the test itself runs under nohup, the signal is to stay without effect.
func TestAClosedTerminalEndsIt(t *testing.T) {
	under := signal.Ignored(syscall.SIGHUP)
	ctx, stop := signal.NotifyContext(t.Context(), endSignals()...)
	defer stop()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if under {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Second):
		t.Error("it goes on")
	}
}

func TestWrongCommandLinesShowTheUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"run"}, {"up", "extra"}, {"frobnicate"}, {"run", "--no-such-flag", "--", "true"},
		{"run", "--gitea=fake", "--", "true"}, {"demo", "--gitea=real"}, {"demo", "--nodes=kubelet"}} {
		err := run(t.Context(), args)
		if err == nil || !strings.Contains(err.Error(), "usage:") {
			t.Errorf("devstack %q: got %v, want the usage", args, err)
		}
	}
}
