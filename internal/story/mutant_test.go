package story_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"deployportal/internal/kube/kubetest"
)

// edit is one change to a source file.
type edit struct{ file, old, new string }

// mutant builds the portal with a fault in it. What is to be replaced must be there exactly once, so that a plant cannot
// rot. The sources themselves are not touched.
func mutant(t testing.TB, edits ...edit) string {
	t.Helper()
	dir := t.TempDir()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	replaced := map[string]string{}
	for _, e := range edits {
		original, planted := filepath.Join(root, e.file), filepath.Join(dir, strings.ReplaceAll(e.file, "/", "_"))
		text, err := os.ReadFile(original)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), e.old); n != 1 {
			t.Fatalf("%s has %d times what the plant replaces, want once:\n%s", e.file, n, e.old)
		}
		if err := os.WriteFile(planted, []byte(strings.Replace(string(text), e.old, e.new, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		replaced[original] = planted
	}
	kubetest.Need(t) // a plant that has rotted is found without a cluster; what it does is not
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	built := filepath.Join(dir, "portal")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-race", "-overlay", filepath.Join(dir, "overlay.json"), "-o", built, "deployportal/cmd/portal").CombinedOutput()
	if err != nil {
		t.Fatalf("go build -overlay: %v\n%s", err, out)
	}
	return built
}
