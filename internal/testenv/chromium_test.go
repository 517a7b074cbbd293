package testenv

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestChromiumUnderAnyOfItsNames(t *testing.T) {
	for _, name := range chromiums {
		dir := t.TempDir()
		want := filepath.Join(dir, name)
		if err := os.WriteFile(want, []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", dir)
		if got := findChromium(); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	t.Setenv("PATH", t.TempDir())
	if got := findChromium(); got != "" {
		t.Errorf("nothing is there: got %q", got)
	}
}

// What prepare.sh is content with, tests must find.
func TestPrepareLooksForTheSameBrowsers(t *testing.T) {
	script, err := os.ReadFile("../../build/prepare.sh")
	if err != nil {
		t.Fatal(err)
	}
	if want := "\nneed chromium " + strings.Join(chromiums, " ") + "\n"; !strings.Contains(string(script), want) {
		t.Errorf("build/prepare.sh has no line %q", strings.TrimSpace(want))
	}
}
