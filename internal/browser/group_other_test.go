//go:build unix && !linux

package browser_test

import "syscall"

// ownGroup starts a process in a group of its own, so that it can be interrupted as from a keyboard.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
