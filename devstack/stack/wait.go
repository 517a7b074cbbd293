package stack

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// poll calls check until it answers true or an error, or until ctx ends; the first call is at once.
func poll(ctx context.Context, every time.Duration, check func() (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		ok, err := check()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// pollLast is poll for checks whose error means "not yet". When ctx ends, its error carries the last one, because that
// says what was missing.
func pollLast(ctx context.Context, every time.Duration, check func() error) error {
	var last error
	err := poll(ctx, every, func() (bool, error) {
		err := check()
		if err == nil || last == nil || ctx.Err() == nil { // a call that ctx cut short has nothing to say
			last = err
		}
		return err == nil, nil
	})
	if err != nil && last != nil && !errors.Is(last, err) {
		return fmt.Errorf("%w (last: %v)", err, last)
	}
	return err
}

// lastLines returns at most the last n lines of text.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}
