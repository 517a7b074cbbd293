package preflight

import (
	"context"
	"sync"
	"time"

	"deployportal/internal/errs"
)

const (
	believed   = 60 * time.Second       // how long an answer is not asked for again
	patience   = 700 * time.Millisecond // how long a check waits for one
	longestAsk = 10 * time.Second       // how long a question goes on for those who ask next
	mostKept   = 4096
)

// memo remembers the answers of one source. A question is asked once for all who want it, and goes on when they have lost
// patience, so that the next one finds its answer. Faults are not remembered.
type memo[K comparable, V any] struct {
	mu  sync.Mutex
	has map[K]*answer[V]
}

type answer[V any] struct {
	done chan struct{} // closed at its end
	at   time.Time     // of its end
	Said[V]
}

// old tells whether an answer is there that must not be believed any more. Called with the memo's lock.
func (a *answer[V]) old() bool {
	select {
	case <-a.done:
		return a.Err != nil || time.Since(a.at) > believed
	default:
		return false
	}
}

// ask gives an answer that is at most a minute old, or errs.Unavailable when none comes in time.
func (m *memo[K, V]) ask(ctx context.Context, key K, f func(context.Context) (V, error)) Said[V] {
	m.mu.Lock()
	if m.has == nil || len(m.has) >= mostKept {
		m.has = map[K]*answer[V]{}
	}
	a, ok := m.has[key]
	if !ok || a.old() {
		a = &answer[V]{done: make(chan struct{})}
		m.has[key] = a
		go m.begin(context.WithoutCancel(ctx), a, f)
	}
	m.mu.Unlock()
	return inTime(ctx, a.done, func() Said[V] { return a.Said })
}

func (m *memo[K, V]) begin(ctx context.Context, a *answer[V], f func(context.Context) (V, error)) {
	ctx, cancel := context.WithTimeout(ctx, longestAsk)
	defer cancel()
	v, err := f(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	a.Value, a.Err, a.at = v, err, time.Now()
	close(a.done)
}

// inTime waits for an answer as long as a check waits.
func inTime[V any](ctx context.Context, done <-chan struct{}, read func() Said[V]) Said[V] {
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-done:
		return read()
	case <-late.C:
	case <-ctx.Done():
	}
	return Said[V]{Err: errs.New(errs.Unavailable, "It has not answered within %d ms. Look again in a moment.", patience.Milliseconds())}
}

// once asks a source whose answers are not remembered: it has a memory of its own, or what it tells changes as people mend it.
func once[V any](ctx context.Context, f func(context.Context) (V, error)) Said[V] {
	var m memo[struct{}, V]
	return m.ask(ctx, struct{}{}, f)
}
