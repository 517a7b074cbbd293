package auth

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/errs"
)

// gate makes every computation wait, and counts how many run at once.
type gate struct {
	entered chan struct{}
	open    chan struct{}
}

func (f *fixture) gate() *gate {
	g := &gate{entered: make(chan struct{}, 1000), open: make(chan struct{})}
	f.derive = func(password, salt []byte, p Params) []byte {
		g.entered <- struct{}{}
		<-g.open
		return argon2id(password, salt, p)
	}
	return g
}

func (f *fixture) awaitQueue(n int64) {
	f.t.Helper()
	for deadline := time.Now().Add(time.Minute); f.slots.waiting.Load() != n; runtime.Gosched() {
		if time.Now().After(deadline) {
			f.t.Fatalf("%d are waiting, want %d", f.slots.waiting.Load(), n)
		}
	}
}

func TestAtMostTwoComputationsAndABoundedQueue(t *testing.T) {
	f := newFixture(t)
	g := f.gate()
	var wg sync.WaitGroup
	for i := range computing + queueing {
		wg.Go(func() {
			if err := f.try("bob", bobsPassword, v6(i)); err != nil {
				t.Errorf("attempt %d: %v", i, err)
			}
		})
	}
	f.awaitQueue(queueing)
	if n := len(g.entered); n != 2 {
		t.Errorf("%d compute at once, want 2", n)
	}
	err := f.try("bob", bobsPassword, office)
	wantKind(t, err, errs.TooMany)
	if retryAfter(t, err) <= 0 {
		t.Error("nothing says when to try again")
	}
	if e := f.last(audit.SignInRefused); e.Subject != "bob" || !strings.Contains(e.Detail, "Too many people") {
		t.Errorf("the entry is %+v", e)
	}
	close(g.open)
	wg.Wait()
	if f.count("sessions") != computing+queueing {
		t.Errorf("%d sessions", f.count("sessions"))
	}
}

func TestWaitingEndsWithTheRequest(t *testing.T) {
	f := newFixture(t)
	g := f.gate()
	var wg sync.WaitGroup
	for range computing {
		wg.Go(func() { _ = f.try("bob", bobsPassword, office) })
	}
	for range computing {
		<-g.entered
	}
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() {
		f.awaitQueue(1)
		cancel()
	})
	_, err := f.SignIn(ctx, "bob", bobsPassword, office, "", "")
	wantKind(t, err, errs.Unavailable)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the cause is lost: %v", err)
	}
	f.awaitQueue(0)
	close(g.open)
	wg.Wait()
}

// TestLeavingEarlyStillCounts: who hangs up during the computation has used up a try.
func TestLeavingEarlyStillCounts(t *testing.T) {
	f := newFixture(t)
	for range 10 {
		ctx, cancel := context.WithCancel(t.Context())
		f.derive = func(password, salt []byte, p Params) []byte {
			cancel()
			return argon2id(password, salt, p)
		}
		_, err := f.SignIn(ctx, "bob", "certainly not this", office, "", "")
		wantKind(t, err, errs.Unauthenticated)
	}
	wantKind(t, f.try("bob", bobsPassword, office), errs.TooMany)
}

func TestFiftyAtOnce(t *testing.T) {
	f := newFixture(t)
	tokens := make([]string, 50)
	var wg sync.WaitGroup
	for i := range tokens {
		wg.Go(func() {
			var err error
			if tokens[i], err = f.SignIn(t.Context(), "bob", bobsPassword, v6(i), "", fmt.Sprint(i)); err != nil {
				t.Errorf("sign-in %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, token := range tokens {
		s, err := f.Session(t.Context(), token)
		must(t, err)
		if seen[token] || s.Actor.Name != "bob" {
			t.Error("a token was given twice, or to another")
		}
		seen[token] = true
	}
	if n := len(f.entries(audit.SignedIn)); n != 50 {
		t.Errorf("%d entries, want 50", n)
	}
}

// TestGuessesAtOnceGetNoMoreAnswers: fifty at the same time learn no more than ten one after the other.
func TestGuessesAtOnceGetNoMoreAnswers(t *testing.T) {
	f := newFixture(t)
	var mu sync.Mutex
	kinds := map[errs.Kind]int{}
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			err := f.try("bob", "certainly not this", v6(i))
			mu.Lock()
			defer mu.Unlock()
			kinds[errs.KindOf(err)]++
		})
	}
	wg.Wait()
	if kinds[errs.Unauthenticated] != 10 || kinds[errs.TooMany] != 40 {
		t.Errorf("answers by kind: %v, want 10 unauthenticated and 40 too many", kinds)
	}
}
