//go:build !unix

package stack

import (
	"errors"
	"fmt"
	"os"
)

// errLocked says that another process holds the lock.
var errLocked = errors.New("locked by another process")

// tryLock takes an exclusive lock by creating the file. A killed process leaves the file behind: delete it by hand.
func tryLock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, errLocked
	}
	if err != nil {
		return nil, fmt.Errorf("create lock file: %w", err)
	}
	return func() { f.Close(); os.Remove(path) }, nil
}
