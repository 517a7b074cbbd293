package story_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the stories about the command line alone. Each begins in a folder with accounts.db, a database that
// has the accounts of the other stories; $TAKEN is an address where somebody
// listens already, $FLAKY is a newFlaky.
func TestScripts(t *testing.T) {
	t.Parallel()
	bin := filepath.Dir(binary(t))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	flaky := newFlaky(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Setenv("TAKEN", taken.Addr().String())
			e.Setenv("ANA", passwordOfAna)
			e.Setenv("FLAKY", flaky.URL)
			accounts, err := os.ReadFile(filepath.Join(bin, "accounts.db"))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(e.WorkDir, "accounts.db"), accounts, 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"forge":  forgeCommand,
			"status": statusCommand,
			"await":  awaitCommand,
		},
	})
}

// forgeCommand runs SQL on a database without its guards: forge FILE SQL...
func forgeCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: forge FILE SQL...")
	}
	ts.Check(forgeFile(ts.MkAbs(args[0]), args[1:]...))
}

// statusCommand runs the portal and checks its exact exit code: status CODE ARGS... Standard input is what a preceding
// "stdin" set, and its output is what "stdout" and "stderr" look at.
func statusCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status CODE ARGS...")
	}
	err := ts.Exec("portal", args[1:]...)
	code := "0"
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = strconv.Itoa(exit.ExitCode())
	case err != nil:
		ts.Fatalf("portal: %v", err)
	}
	if code != args[0] {
		ts.Fatalf("exit code %s, want %s", code, args[0])
	}
}

// awaitCommand waits until a file holds a text: await FILE TEXT.
func awaitCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE TEXT")
	}
	var text []byte
	ok := poll(func() bool {
		var err error
		text, err = os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && strings.Contains(string(text), args[1])
	})
	if !ok {
		ts.Fatalf("%s does not say %q: %s", args[0], args[1], text)
	}
}
