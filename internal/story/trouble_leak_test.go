package story_test

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"syscall"
	"testing"
	"time"
)

// TestClusterTroubleFindsTheFault: a portal that keeps the view it has replaced is one that leaks, and so is one that
// leaves a single goroutine behind each time.
func TestClusterTroubleFindsTheFault(t *testing.T) {
	t.Parallel()
	for name, with := range map[string]string{"view": "\t_ = old\n", "goroutine": "\told.stop()\n\tgo func() { select {} }()\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n tally
			leaks := mutant(t, edit{"internal/kube/site.go", "s.bells.ringAll(s)\n\told.stop()\n", "s.bells.ringAll(s)\n" + with})
			trouble{3 * time.Second, true, answering(http.StatusTooManyRequests, func(*http.Request) bool { return true })}.happen(t, leaks, &n)
			n.mustFind(t, wrongLeak)
		})
	}
}

// leaves compares the goroutines of the portal with those of one that has just been started and lived no trouble.
func (w *world) leaves(n *tally) {
	after := w.goroutines()
	w.start()
	w.seen()
	w.ana.get("/")
	before := w.goroutines()
	for _, by := range slices.Sorted(maps.Keys(after)) {
		allowed := 2 // a connection more to browser or API server
		if by == "net/http.(*Transport).dialConn" {
			allowed += 2 * 8 // the idle connections to Gitea that the pool may keep, of two goroutines each
		}
		if more := after[by] - before[by]; more > allowed {
			n.wrong(wrongLeak, "%d more than in a new portal were created by %s", more, by)
		}
	}
}

var creator = regexp.MustCompile(`(?m)^created by (\S+)`)

// goroutines ends the portal with the signal that has it name its goroutines, and counts them by who created them.
func (w *world) goroutines() map[string]int {
	w.t.Helper()
	plainClient.CloseIdleConnections() // each is a goroutine there
	if err := w.proc.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		w.t.Fatal(err)
	}
	w.wait(w.proc.dead, "the portal to end")
	count, sum := map[string]int{}, 0
	for _, m := range creator.FindAllStringSubmatch(w.proc.out.String(), -1) {
		count[m[1]]++
		sum++
	}
	if sum < 10 {
		w.t.Fatalf("only %d goroutines are named:\n%s", sum, w.proc.out)
	}
	w.t.Logf("%d goroutines", sum)
	return count
}
