package scenario_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

var (
	tableFile = flag.String("table", "", "write the table of results to this file")
	slack     = flag.Float64("slack", 2, "how many times its bound each verdict and cause may take; make scenarios takes 1, for a machine with nothing else to do")
	only      = flag.String("only", "", "play only the scenarios whose key matches this regular expression")
)

const (
	password   = "canary-ana-correct-horse"
	giteaToken = "canary-gitea-token-5f2b9c"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == fmt.Sprint(runtime.GOMAXPROCS(0)) {
		_ = f.Value.Set("100") // scenarios wait; how many work at a time is bounded by slots. The value is a number, so it is taken.
	}
	os.Exit(m.Run())
}

// build makes the portal, with the race detector, and a database with ana in it. Overlay is for "go build -overlay": source
// files in whose place others are compiled.
func build(t *testing.T, overlay map[string]string) (binary, database string) {
	t.Helper()
	dir := t.TempDir()
	binary, database = filepath.Join(dir, "portal"), filepath.Join(dir, "portal.db")
	text, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	replaced := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(replaced, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-race", "-overlay", replaced, "-o", binary, "deployportal/cmd/portal").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	add := exec.Command(binary, "--database", database, "user", "add", "ana", "--role=admin")
	add.Stdin = strings.NewReader(password + "\n")
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("portal user add: %v\n%s", err, out)
	}
	return binary, database
}

// chosen leaves out the scenarios that -only does not match.
func chosen(t *testing.T, all []scenario) (out []scenario) {
	t.Helper()
	re, err := regexp.Compile(*only)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if re.MatchString(s.key) {
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		t.Fatalf("no scenario matches %q", *only)
	}
	return out
}
