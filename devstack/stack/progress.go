package stack

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// Progress tells a person what a start is doing, one line per step. On a terminal the line of the running step counts
// its seconds; elsewhere (CI, a pipe) a line appears every 15 s, so that a long build never looks hung.
// A nil *Progress says nothing.
type Progress struct {
	out   *os.File
	tty   bool
	every time.Duration

	mu sync.Mutex // one line at a time
}

// NewProgress returns a Progress that writes to out.
func NewProgress(out *os.File) *Progress {
	p := &Progress{out: out, every: 15 * time.Second}
	if info, err := out.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 && out.Name() != os.DevNull {
		p.tty, p.every = true, time.Second
	}
	return p
}

// Say prints one line.
func (p *Progress) Say(format string, args ...any) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, format+"\n", args...)
}

// Step begins a step and returns the function that ends it; that one must be called exactly once. The step's first
// line is out before Step returns.
func (p *Progress) Step(what string) (end func(error)) {
	if p == nil {
		return func(error) {}
	}
	start := time.Now()
	p.line(what, start, "")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(p.every)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				p.line(what, start, "")
			}
		}
	}()
	return func(err error) {
		close(stop)
		<-stopped
		if err != nil {
			p.line(what, start, " failed")
			return
		}
		p.line(what, start, " done")
	}
}

// line writes the state of a step. On a terminal it overwrites the line before it until the step has ended.
func (p *Progress) line(what string, start time.Time, end string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	took := time.Since(start)
	text := what + " ..."
	if end != "" {
		text = fmt.Sprintf("%s ...%s after %.1f s", what, end, took.Seconds())
	} else if took >= time.Second {
		text = fmt.Sprintf("%s ... %.0f s", what, took.Seconds())
	}
	switch {
	case !p.tty:
		fmt.Fprintln(p.out, text)
	case end != "":
		fmt.Fprintf(p.out, "\r\x1b[K%s\n", text)
	default:
		fmt.Fprintf(p.out, "\r\x1b[K%s", text)
	}
}
