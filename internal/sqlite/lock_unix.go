//go:build unix

package sqlite

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"deployportal/internal/errs"
)

// Lock takes the exclusive lock that only one serving portal holds, on path+".lock": locking the database file
// itself would drop SQLite's own locks when the handle is closed. The lock ends with release or with the process.
// errs.Conflict when another process holds it, errs.Unavailable when there can be none.
func Lock(path string) (release func() error, err error) {
	name := path + ".lock"
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "The database's folder cannot be written: %s cannot be opened.", name)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errors.Join(errs.New(errs.Conflict, "Another portal already serves %s.", path), f.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("flock(%s): %w", name, err), f.Close())
	}
	return f.Close, nil
}
