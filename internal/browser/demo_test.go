package browser_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"deployportal/internal/testenv"
)

// demo is what "make demo" has started, as somebody who tries the portal for the first time gets it.
type demo struct {
	url, user, password string

	state   string   // folder
	kubectl []string // command line, as administrator
	cmd     *exec.Cmd
	out     *output
	ended   chan struct{}
	err     error // of cmd, once ended is closed
}

var running struct {
	sync.Mutex
	demo *demo
	err  error
}

// theDemo starts the demo for the first test that needs it. The first build of Kubernetes on a machine takes minutes.
func theDemo(t testing.TB) *demo {
	t.Helper()
	testenv.Chromium(t)
	running.Lock()
	defer running.Unlock()
	if running.demo == nil && running.err == nil {
		if f := strings.Fields(*demoArg); len(f) == 4 {
			running.demo = &demo{url: f[0], user: f[1], password: f[2], state: f[3], out: &output{}}
			running.err = running.demo.readInfo()
		} else {
			running.demo, running.err = startDemo()
		}
	}
	if running.err != nil {
		t.Fatal(running.err)
	}
	d := running.demo
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the demo said:\n%s\nthe portal said last:\n%s", d.out, tail(filepath.Join(d.state, "logs", "portal.log"), 3000))
		}
	})
	return d
}

// demoCommand is what the Makefile's target runs; a test compares the two.
var demoCommand = []string{"go", "run", "-C", "devstack", ".", "demo"}

func startDemo() (*demo, error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return nil, err
	}
	state, err := os.MkdirTemp("", "portal-browser-")
	if err != nil {
		return nil, err
	}
	d := &demo{state: state, out: &output{news: make(chan struct{}, 1)}, ended: make(chan struct{})}
	argv := append(demoCommand[:len(demoCommand):len(demoCommand)], "--state", state)
	d.cmd = exec.Command(argv[0], argv[1:]...)
	d.cmd.Dir = root
	d.cmd.Env = append(os.Environ(), "PWD="+root)
	d.cmd.Stdout, d.cmd.Stderr = d.out, d.out
	d.cmd.SysProcAttr = ownGroup()
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the demo is to end with this process, but the kernel looks at the thread that began it
		defer runtime.UnlockOSThread()
		err := d.cmd.Start()
		started <- err
		if err == nil {
			d.err = d.cmd.Wait()
			close(d.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	if err := d.ready(); err != nil {
		return nil, errors.Join(err, d.stop())
	}
	return d, nil
}

var (
	urlLine     = regexp.MustCompile(`(?m)^(http://127\.0\.0\.1:\d+)$`)
	accountLine = regexp.MustCompile(`(?m)^user (\S+) password (\S+)$`)
)

// ready waits for the address and the account that the demo prints, each alone on its line.
func (d *demo) ready() error {
	late := time.NewTimer(15 * time.Minute)
	defer late.Stop()
	for {
		text := d.out.String()
		where, who := urlLine.FindStringSubmatch(text), accountLine.FindStringSubmatch(text)
		if where != nil && who != nil && strings.HasSuffix(strings.TrimSpace(text), "all of it.") {
			d.url, d.user, d.password = where[1], who[1], who[2]
			break
		}
		select {
		case <-d.out.news:
		case <-d.ended:
			return fmt.Errorf("the demo ended: %w\n%s", d.err, d.out)
		case <-late.C:
			return fmt.Errorf("the demo is not ready after 15 minutes:\n%s", d.out)
		}
	}
	return d.readInfo()
}

// readInfo reads how to talk to the cluster past the portal.
func (d *demo) readInfo() error {
	text, err := os.ReadFile(filepath.Join(d.state, "devstack.json"))
	if err != nil {
		return err
	}
	var info struct{ Kubectl []string }
	err = json.Unmarshal(text, &info)
	d.kubectl = info.Kubectl
	return err
}

// stopDemo interrupts the demo as Ctrl-C does and looks for what it left behind.
func stopDemo() error {
	d := running.demo
	if d == nil || d.cmd == nil {
		return nil
	}
	err := d.stop()
	if left := processesNaming(d.state); len(left) > 0 {
		err = errors.Join(err, fmt.Errorf("still running: %q", left))
	}
	if u, bad := url.Parse(d.url); bad == nil {
		if c, dial := net.Dial("tcp", u.Host); dial == nil {
			err = errors.Join(err, c.Close(), errors.New("the portal still answers"))
		}
	}
	entries, bad := os.ReadDir(d.state)
	for _, e := range entries {
		if e.Name() != "logs" && e.Name() != "lock" { // an empty file that is only ever locked
			err = errors.Join(err, fmt.Errorf("%s is left in the state folder", e.Name()))
		}
	}
	return errors.Join(err, bad, os.RemoveAll(d.state))
}

func (d *demo) stop() error {
	_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGINT) // gone already: Wait tells
	select {
	case <-d.ended:
		return nil // "go run" ends with 1 after an interrupt whatever its program did
	case <-time.After(time.Minute):
		return errors.Join(fmt.Errorf("does not stop:\n%s", d.out), syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL))
	}
}

// processesNaming lists the processes whose command line holds a word. Where there is no /proc it knows of none.
func processesNaming(word string) (found []string) {
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err == nil && bytes.Contains(text, []byte(word)) {
			found = append(found, strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
	return found
}

// portalPid is the process that serves now; the demo writes it anew for each portal it starts.
func (d *demo) portalPid(t testing.TB) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(d.state, "demo", "portal.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// tail is the end of a file.
func tail(path string, n int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-n):])
}

// output keeps what a process writes and rings when there is more.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	news chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.news <- struct{}{}:
	default:
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
