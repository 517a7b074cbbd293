package testenv

import (
	"os/exec"
	"testing"
)

// chromiums are the programs that will do; build/prepare.sh looks for the same.
var chromiums = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}

// Chromium gives the path of a Chromium or Chrome. Without one, and with -short, the test ends as by Skip.
func Chromium(tb testing.TB) string {
	tb.Helper()
	if testing.Short() {
		Skip(tb, "starts a browser: run without -short")
	}
	path := findChromium()
	if path == "" {
		Skip(tb, "no Chromium: apt-get install chromium")
	}
	return path
}

func findChromium() string {
	for _, name := range chromiums {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}
