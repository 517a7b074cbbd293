package auth

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"deployportal/internal/errs"
)

// At most computing passwords are hashed at once, because each takes 19 MiB and a core; at most queueing wait,
// because a longer queue would only make everybody's sign-in slow.
const (
	computing = 2
	queueing  = 64
)

// LimitError is the cause of every errs.TooMany of this package, for a Retry-After header.
type LimitError struct {
	RetryAfter time.Duration
}

// Error gives the text for the log.
func (e *LimitError) Error() string { return fmt.Sprintf("retry after %s", e.RetryAfter) }

// slots is a semaphore with a bounded queue.
type slots struct {
	free    chan struct{}
	waiting atomic.Int64
}

func newSlots() *slots { return &slots{free: make(chan struct{}, computing)} }

// acquire waits for a slot, which the caller gives back with release. errs.TooMany when the queue is full,
// errs.Unavailable when ctx ends first.
func (s *slots) acquire(ctx context.Context) error {
	select {
	case s.free <- struct{}{}:
		return nil
	default:
	}
	defer s.waiting.Add(-1)
	if s.waiting.Add(1) > queueing {
		return errs.Wrap(&LimitError{RetryAfter: 2 * time.Second}, errs.TooMany,
			"Too many people are signing in right now. Try again in a few seconds.")
	}
	select {
	case s.free <- struct{}{}:
		return nil
	case <-ctx.Done():
		return errs.Wrap(ctx.Err(), errs.Unavailable, "The portal was too busy to check the password. Try again.")
	}
}

func (s *slots) release() { <-s.free }
