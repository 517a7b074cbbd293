package testenv

import (
	"testing"
	"time"
)

// Until waits for a condition that something else brings about, and fails the test after limit.
func Until(tb testing.TB, limit time.Duration, what string, ok func() bool) {
	tb.Helper()
	if ok() {
		return
	}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	over := time.NewTimer(limit)
	defer over.Stop()
	for {
		select {
		case <-tick.C:
			if ok() {
				return
			}
		case <-over.C:
			tb.Fatalf("waited %s in vain until %s", limit, what)
		}
	}
}
