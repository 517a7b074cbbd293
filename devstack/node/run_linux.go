package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// run is a node's whole life. It expects to be process 1 of its own process and mount namespaces: then the end of this
// process, however it comes, ends every container and undoes every mount, and the kernel sees to it.
func run(path string) error {
	if os.Getpid() != 1 {
		return errors.New("must be process 1 of a process namespace")
	}
	c, err := readConfig(path)
	if err != nil {
		return err
	}
	if err := prepareMounts(c); err != nil {
		return err
	}
	os.Clearenv() // what follows is found, and runs, with the node's own environment
	for _, variable := range c.Env {
		name, value, _ := strings.Cut(variable, "=")
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	runtime, err := start(c.Runtime)
	if err != nil {
		return err
	}
	reaped := make(chan exit, 16)
	go reap(reaped)
	if err := waitSocket(c.Socket, runtime, reaped); err != nil {
		return err
	}
	for _, command := range c.Once {
		pid, err := start(command)
		if err != nil {
			return err
		}
		for e := range reaped {
			if e.pid == runtime {
				return fmt.Errorf("container runtime ended: %v", e)
			}
			if e.pid != pid {
				continue
			}
			if !e.ok() {
				return fmt.Errorf("%s: %v", command.Argv[0], e)
			}
			break
		}
	}
	kubelet, err := start(c.Kubelet)
	if err != nil {
		return err
	}
	for e := range reaped {
		switch e.pid {
		case runtime:
			return fmt.Errorf("container runtime ended: %v", e)
		case kubelet:
			return fmt.Errorf("kubelet ended: %v", e)
		}
	}
	return nil
}

// exit is how a child ended.
type exit struct {
	pid    int
	status syscall.WaitStatus
}

func (e exit) ok() bool { return e.status.Exited() && e.status.ExitStatus() == 0 }

// String says it for people.
func (e exit) String() string {
	if e.status.Signaled() {
		return "killed by " + e.status.Signal().String()
	}
	return fmt.Sprintf("exit status %d", e.status.ExitStatus())
}

// reap collects every ended child: process 1 gets the orphans of the whole node.
func reap(out chan<- exit) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.ECHILD): // the runtime is started before the first call, so it is gone
			close(out)
			return
		case err == nil && pid > 0:
			out <- exit{pid, status}
		}
	}
}

// start runs a command without waiting. os/exec is not used, because it would wait for its children itself and lose them
// to reap.
func start(c command) (int, error) {
	program, err := exec.LookPath(c.Argv[0])
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", c.Argv[0], err)
	}
	log, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, fmt.Errorf("open log of %s: %w", c.Argv[0], err)
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, fmt.Errorf("open %s: %w", os.DevNull, err)
	}
	defer null.Close()
	pid, err := syscall.ForkExec(program, c.Argv, &syscall.ProcAttr{
		Dir: "/", Env: os.Environ(), Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
	})
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", c.Argv[0], err)
	}
	return pid, nil
}

// waitSocket waits until something accepts connections on the socket. devstack bounds the wait from outside.
func waitSocket(path string, runtime int, reaped <-chan exit) error {
	for {
		conn, err := net.Dial("unix", path)
		if err == nil {
			return conn.Close()
		}
		select {
		case e := <-reaped:
			if e.pid == runtime {
				return fmt.Errorf("container runtime ended: %v", e)
			}
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// prepareMounts gives the node the folders a machine of its own would have. Nothing of it is seen outside, and nothing
// outside is written, except below Dir.
func prepareMounts(c *config) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	// Held open, because the folders may lie below one that is covered in a moment.
	binds := map[string]string{".": c.Dir}
	for name, path := range c.Binds {
		binds[name] = path
	}
	held := map[string]*os.File{}
	for name, path := range binds {
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("open folder for the node: %w", err)
		}
		defer f.Close()
		held[name] = f
	}
	const resolv = "/etc/resolv.conf" // often a link into /run
	resolver, _ := os.ReadFile(resolv)
	resolverPath, _ := filepath.EvalSymlinks(resolv)
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	if _, err := os.Stat(resolv); err != nil && resolverPath != "" {
		if err := os.MkdirAll(filepath.Dir(resolverPath), 0o755); err == nil {
			_ = os.WriteFile(resolverPath, resolver, 0o644) // without it only names cannot be resolved
		}
	}
	const inside = "/run/devstack"
	if err := bind(held["."], inside); err != nil {
		return err
	}
	delete(held, ".")
	for name, f := range held {
		if err := bind(f, filepath.Join(inside, name)); err != nil {
			return err
		}
	}
	for name, at := range map[string]string{"var-lib": "/var/lib", "var-log": "/var/log"} {
		if err := syscall.Mount(filepath.Join(inside, name), at, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s: %w", at, err)
		}
	}
	if err := showKernelSettings(c.Kernel); err != nil {
		return err
	}
	// Containers may ask for mounts that propagate; that works among the node's own mounts.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share mounts inside the node: %w", err)
	}
	return nil
}

func bind(f *os.File, at string) error {
	if err := os.MkdirAll(at, 0o755); err != nil {
		return fmt.Errorf("create %s: %w", at, err)
	}
	if err := syscall.Mount(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), at, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", at, err)
	}
	return nil
}

func showKernelSettings(settings map[string]string) error {
	const dir = "/run/kernel-settings"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("create %s: %w", dir, err)
	}
	for name, value := range settings {
		real := filepath.Join("/proc/sys", name)
		if _, err := os.Stat(real); err != nil {
			continue // this kernel does not have it
		}
		shown := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(shown, []byte(value+"\n"), 0o644); err != nil {
			return fmt.Errorf("write %s: %w", shown, err)
		}
		if err := syscall.Mount(shown, real, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("cover %s: %w", real, err)
		}
	}
	return nil
}
