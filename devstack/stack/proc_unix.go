//go:build unix && !linux

package stack

import (
	"os"
	"syscall"
)

// childAttr gives a child its own process group, so that Ctrl-C in a terminal reaches devstack alone and the teardown
// has an order. There is no parent-death signal here: a devstack killed with SIGKILL leaves its components behind.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func signalGroup(p *os.Process, sig syscall.Signal) error { return syscall.Kill(-p.Pid, sig) }
