package story_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

var seed = flag.Uint64("harness.seed", 0, "seed of contention and crash; 0: a new one")

// tally is what a harness found to be wrong: how often, by kind, and the first of each in words.
type tally struct {
	mu    sync.Mutex
	count map[string]int
	first map[string]string
}

func (n *tally) wrong(kind, format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.count == nil {
		n.count, n.first = map[string]int{}, map[string]string{}
	}
	if n.count[kind]++; n.count[kind] == 1 {
		n.first[kind] = fmt.Sprintf(format, args...)
	}
}

func (n *tally) of(kinds ...string) (sum int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, k := range kinds {
		sum += n.count[k]
	}
	return sum
}

func (n *tally) all() (sum int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.count {
		sum += c
	}
	return sum
}

// judge fails the test for everything that is wrong.
func (n *tally) judge(t testing.TB) {
	t.Helper()
	for _, kind := range slices.Sorted(maps.Keys(n.count)) {
		t.Errorf("%s: %d times, first: %s", kind, n.count[kind], n.first[kind])
	}
}

// mustFind fails the test unless a planted fault was found as what it is.
func (n *tally) mustFind(t testing.TB, kind string) {
	t.Helper()
	t.Logf("found: %v", n.first)
	if n.of(kind) == 0 {
		t.Errorf("the planted fault was not found as %q; found: %v", kind, n.first)
	}
}

// wrongLength is a harness that did not come to its end.
const wrongLength = "not all was played"

// tooLong tells, and takes down, that the test's own time is nearly over: what was found until then is still to be told.
func (n *tally) tooLong(t testing.TB) bool {
	limit, ok := t.(interface{ Deadline() (time.Time, bool) })
	if !ok {
		return false
	}
	end, ok := limit.Deadline()
	if ok = ok && time.Until(end) < time.Minute; ok {
		n.wrong(wrongLength, "the time that -timeout gives is over")
	}
	return ok
}

// seeded gives a source of random numbers and says how to have the same again.
func seeded(t testing.TB) *rand.Rand {
	t.Helper()
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	fmt.Printf("%s: -harness.seed=%d\n", t.Name(), s)
	return rand.New(rand.NewPCG(s, 0))
}
