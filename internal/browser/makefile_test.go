package browser_test

import (
	"os"
	"strings"
	"testing"
)

// The tests start what people start.
func TestMakeDemoIsWhatTheTestsStart(t *testing.T) {
	text, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\ndemo:")
	recipe, _, _ := strings.Cut(rest, "\n\n")
	if want := "\n\t" + strings.Join(demoCommand, " ") + "\n"; !strings.Contains(recipe+"\n", want) {
		t.Errorf("make demo runs %q, the tests start %q", recipe, want)
	}
}
