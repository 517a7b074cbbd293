package stack

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// process is a running component.
type process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how it ended; read after done
}

// launcher starts components so that they die with this process, even when it is killed outright.
//
// On Linux the kernel does that (parent-death signal), but it counts the *thread* that started the child as the parent.
// So all starts happen on one goroutine that is locked to its thread and lives until close.
type launcher struct {
	requests chan func()
	once     sync.Once
}

func newLauncher() *launcher {
	l := &launcher{requests: make(chan func())}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread() // the thread goes back to the runtime instead of ending
		for request := range l.requests {
			request()
		}
	}()
	return l
}

// close ends the launcher. Components must have ended before: their parent thread may be reused from here on.
func (l *launcher) close() { l.once.Do(func() { close(l.requests) }) }

// start runs a component with its output in logs/<name>.log.
func (l *launcher) start(name, logs string, env []string, argv ...string) (*process, error) {
	return l.startAs(childAttr(), name, logs, env, argv...)
}

// startAs is start for a child that differs from the others in its attributes.
func (l *launcher) startAs(attr *syscall.SysProcAttr, name, logs string, env []string, argv ...string) (*process, error) {
	return l.startIn(logs, attr, name, logs, env, argv...)
}

// startIn is startAs in a folder of its own.
func (l *launcher) startIn(dir string, attr *syscall.SysProcAttr, name, logs string, env []string, argv ...string) (*process, error) {
	path := filepath.Join(logs, name+".log")
	out, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("create log of %s: %w", name, err)
	}
	defer out.Close() // the child has its own copy
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Dir, cmd.Env = dir, env
	cmd.SysProcAttr = attr
	started := make(chan error)
	l.requests <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{name: name, log: path, cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// signal asks the process to end; a process that has ended already is fine.
func (p *process) signal(sig syscall.Signal) {
	select {
	case <-p.done: // its number may belong to somebody else by now
	default:
		_ = signalGroup(p.cmd.Process, sig)
	}
}

// waitGone waits until the process has ended, and kills it when the grace is over.
func (p *process) waitGone(grace time.Duration) {
	select {
	case <-p.done:
		return
	case <-time.After(grace):
	}
	p.signal(syscall.SIGKILL)
	<-p.done
}

// ended describes an unexpected end, with what the component said last.
func (p *process) ended() error {
	reason := "exit status 0"
	if p.err != nil {
		reason = p.err.Error()
	}
	return fmt.Errorf("%s ended: %s; the last lines of %s:\n%s", p.name, reason, p.log, tail(p.log, 12))
}

// tail returns the last lines of a file that may be long.
func tail(path string, lines int) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	const most = 16 << 10
	if info, err := f.Stat(); err == nil && info.Size() > most {
		_, _ = f.Seek(-most, io.SeekEnd) // on failure the start of the file is shown, still of use
	}
	text, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return err.Error()
	}
	return lastLines(string(text), lines)
}
