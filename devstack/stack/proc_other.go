//go:build !unix

package stack

import (
	"os"
	"syscall"
)

func childAttr() *syscall.SysProcAttr { return nil }

// signalGroup can only kill here; etcd's data is thrown away at the end anyway.
func signalGroup(p *os.Process, _ syscall.Signal) error { return p.Kill() }
