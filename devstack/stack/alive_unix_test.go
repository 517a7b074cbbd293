//go:build unix

package stack

import "syscall"

// alive says whether a process exists. A zombie counts as alive: Close promises to have waited for its children.
func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }
