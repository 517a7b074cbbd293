package conformance

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
)

// recorder is a T that notes failures.
type recorder struct {
	ctx    context.Context
	cancel context.CancelFunc

	mu       sync.Mutex
	faults   []string
	cleanups []func()
}

func newRecorder(ctx context.Context) *recorder {
	ctx, cancel := context.WithCancel(ctx)
	return &recorder{ctx: ctx, cancel: cancel}
}

// do runs f to its end or to its first Fatal.
func (r *recorder) do(f func()) {
	done := make(chan struct{})
	go func() { // Fatal ends its goroutine
		defer close(done)
		f()
	}()
	<-done
}

// end does what *testing.T does after a test.
func (r *recorder) end() {
	r.cancel()
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
}

func (r *recorder) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.faults, "\n")
}

func (r *recorder) Helper() {}

func (r *recorder) Context() context.Context { return r.ctx }

func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Fatal(args ...any) { r.Fatalf("%s", fmt.Sprint(args...)) }
