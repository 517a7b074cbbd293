// Package testenv decides what happens to a test whose surroundings are missing. It is for tests only.
package testenv

import (
	"os"
	"testing"
)

// Skip ends the test with a reason, which says what is missing and how to get it. With CI=true the test fails
// instead: there a skip would look like a pass.
func Skip(tb testing.TB, reason string) {
	tb.Helper()
	if reason == "" {
		tb.Fatal("testenv.Skip needs a reason")
	}
	if os.Getenv("CI") == "true" {
		tb.Fatalf("skipped with CI=true: %s", reason)
	}
	tb.Skip(reason)
}
