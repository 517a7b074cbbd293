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
	lines := strings.SplitN(rest, "\n", 3)
	if want := strings.Join(demoCommand, " "); len(lines) < 2 || strings.TrimSpace(lines[1]) != want {
		t.Errorf("make demo runs %q, the tests start %q", lines[1:2], want)
	}
}
