package stack

import (
	"os"
	"syscall"
)

// childAttr gives a child its own process group, so that Ctrl-C in a terminal reaches devstack alone and the teardown
// has an order, and has the kernel kill it when the starting thread ends.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

func signalGroup(p *os.Process, sig syscall.Signal) error { return syscall.Kill(-p.Pid, sig) }
