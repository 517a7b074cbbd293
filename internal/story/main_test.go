package story_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// The accounts of every story and their passwords. The passwords are canaries: TestSecretsAreNeverShown looks for them.
const (
	passwordOfAna = "canary-ana-correct-horse"  // may do everything
	passwordOfDan = "canary-dan-battery-staple" // deploys in staging, sees prod
	passwordOfVic = "canary-vic-only-looks-on"  // sees everything, deploys nothing
	giteaToken    = "canary-gitea-token-5f2b9c"
)

// built is what all tests of the package share: the binary, and a database that has the accounts already, because
// hashing a password takes long by design.
var built struct {
	dir    string
	binary string
	once   sync.Once
	err    error
}

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == fmt.Sprint(runtime.GOMAXPROCS(0)) {
		_ = f.Value.Set("10") // stories wait for a cluster; they do not compute. The value is a number, so it is taken.
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "portal-story-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	built.dir, built.binary = dir, filepath.Join(dir, "portal")
	return m.Run()
}

// binary builds the portal once, with the race detector, and gives its path.
func binary(t testing.TB) string {
	t.Helper()
	built.once.Do(func() {
		out, err := exec.Command("go", "build", "-race", "-o", built.binary, "deployportal/cmd/portal").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("go build: %w\n%s", err, out)
			return
		}
		built.err = addAccounts(filepath.Join(built.dir, "accounts.db"))
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.binary
}

func addAccounts(db string) error {
	for _, args := range [][]string{
		{passwordOfAna, "user", "add", "ana", "--role=admin"},
		{passwordOfVic, "user", "add", "vic", "--role=viewer"},
		{passwordOfDan, "user", "add", "dan", "--role=deployer", "--env=staging"},
	} {
		cmd := exec.Command(built.binary, append([]string{"--database", db}, args[1:]...)...)
		cmd.Stdin = strings.NewReader(args[0] + "\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("portal %q: %w\n%s", args[1:], err, out)
		}
	}
	return nil
}

// portal runs a short command of the binary and gives what it printed and its exit code.
func portal(t testing.TB, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(binary(t), args...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("portal %q: %v", args, err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}
