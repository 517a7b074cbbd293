package story_test

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is one life of the portal.
type process struct {
	cmd  *exec.Cmd
	out  *lines
	addr string
	dead chan struct{}
}

// lines collects what a process writes.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

var serving = regexp.MustCompile(`msg=serving addr=(\S+)`)

// start starts the portal and waits until it listens.
func (w *world) start() {
	w.t.Helper()
	if w.binary == "" {
		w.binary = binary(w.t)
	}
	p := &process{cmd: exec.Command(w.binary, "--config", w.path("portal.yaml"), "serve"), out: &lines{}, dead: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Env = p.out, p.out, append(os.Environ(), w.env...)
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in ProcessState
		close(p.dead)
	}()
	w.proc = p
	w.all.Cleanup(func() { w.reap(p) })
	w.until("the portal to listen", func() bool {
		select {
		case <-p.dead:
			w.t.Fatalf("the portal ended: %v\n%s", p.cmd.ProcessState, p.out)
		default:
		}
		m := serving.FindStringSubmatch(p.out.String())
		if m != nil {
			p.addr = m[1]
		}
		return m != nil
	})
}

// reap ends a life of the portal and looks for what must be in no log. A race ends the process with another code.
func (w *world) reap(p *process) {
	select {
	case <-p.dead:
	default:
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may end by itself this moment
		select {
		case <-p.dead:
			if code := p.cmd.ProcessState.ExitCode(); code != 0 {
				w.t.Errorf("the portal was told to stop and ended with %v", p.cmd.ProcessState)
			}
		case <-time.After(20 * time.Second):
			_ = p.cmd.Process.Kill()
			w.t.Error("the portal was told to stop and did not")
		}
	}
	log := p.out.String()
	for _, bad := range []string{"DATA RACE", "panic:", passwordOfAna, passwordOfDan, passwordOfVic, giteaToken,
		slackBotToken, slackAppToken, slackSigningSecret} {
		if strings.Contains(log, bad) {
			w.t.Errorf("the log has %q:\n%s", bad, log)
			return
		}
	}
	if w.t.Failed() && p == w.proc {
		w.t.Logf("log of the portal:\n%s", w.log())
	}
}

// stop ends the portal in peace, and closes the test's own view of the database, so that the file is whole by itself.
func (w *world) stop() {
	w.t.Helper()
	if w.db != nil {
		_ = w.db.Close()
		w.db = nil
	}
	w.reap(w.proc)
}

// kill ends the portal as a power cut would: it gets no chance to do anything.
func (w *world) kill() {
	w.t.Helper()
	if err := w.proc.cmd.Process.Kill(); err != nil {
		w.t.Fatal(err)
	}
	<-w.proc.dead
}

// log is what the portal wrote, without the pages it served well.
func (w *world) log() string {
	if w.proc == nil {
		return ""
	}
	var kept []string
	for line := range strings.Lines(w.proc.out.String()) {
		if !strings.Contains(line, " status=200 ") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}
