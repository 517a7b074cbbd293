//go:build unix

package stack

import (
	"os"
	"syscall"
)

// nobody is a user that no account stands for, for a program that refuses to run as root. The zero value is whoever
// we are.
type nobody struct{ id uint32 }

// nobodyID is in Debian's reserved range below 65534, so neither an account nor another program has it.
const nobodyID = 65533

// unprivileged gives a user for a program that refuses root: nobody when we are root, else ourselves.
func unprivileged() nobody {
	if os.Geteuid() == 0 {
		return nobody{nobodyID}
	}
	return nobody{}
}

func (n nobody) other() bool { return n.id != 0 }

func (n nobody) apply(a *syscall.SysProcAttr) *syscall.SysProcAttr {
	if n.other() {
		a.Credential = &syscall.Credential{Uid: n.id, Gid: n.id}
	}
	return a
}

// own makes a file the user's.
func (n nobody) own(path string) error {
	if !n.other() {
		return nil
	}
	return os.Lchown(path, int(n.id), int(n.id))
}
