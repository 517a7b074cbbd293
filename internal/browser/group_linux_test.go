package browser_test

import "syscall"

// ownGroup starts a process in a group of its own, so that it can be interrupted as from a keyboard. When the tests are
// killed, as by their time limit, it is told to end.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
