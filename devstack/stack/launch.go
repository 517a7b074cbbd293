package stack

import (
	"path/filepath"
	"syscall"
	"time"
)

// Process is a program that runs beside the cluster and is stopped with it.
type Process struct{ p *process }

// Launch starts a program in the stack's care: its output goes to logs/<name>.log, and it dies with the stack and with
// this process. That it ends by itself does not end the stack.
func (s *Stack) Launch(name string, env []string, argv ...string) (*Process, error) {
	p, err := s.launcher.start(name, filepath.Join(s.info.State, "logs"), env, argv...)
	if err != nil {
		return nil, err
	}
	s.beside = append(s.beside, p)
	return &Process{p}, nil
}

// Pid is the process's number.
func (p *Process) Pid() int { return p.p.cmd.Process.Pid }

// Log is the path of the file with its output.
func (p *Process) Log() string { return p.p.log }

// Done is closed when it has ended.
func (p *Process) Done() <-chan struct{} { return p.p.done }

// Ended describes how it ended, with the last lines of its log. Call it after Done.
func (p *Process) Ended() error { return p.p.ended() }

// Stop asks it to end, waits for it, and kills it when the grace is over.
func (p *Process) Stop(grace time.Duration) {
	p.p.signal(syscall.SIGTERM)
	p.p.waitGone(grace)
}
