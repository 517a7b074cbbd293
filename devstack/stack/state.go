package stack

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// findSource returns the devstack folder of the checkout: the one asked for, or the nearest from the working directory
// upwards.
func findSource(asked string) (string, error) {
	if asked != "" {
		return filepath.Abs(asked)
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the working directory: %w", err)
	}
	for {
		for _, candidate := range []string{dir, filepath.Join(dir, "devstack")} {
			text, err := os.ReadFile(filepath.Join(candidate, "go.mod"))
			if err == nil && strings.HasPrefix(string(text), "module deployportal/devstack\n") {
				return candidate, nil
			}
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("not inside a checkout of deployportal")
		}
		dir = parent
	}
}

// cacheDir returns the folder for built binaries.
func cacheDir(asked string) (string, error) {
	if asked != "" {
		return filepath.Abs(asked)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache folder: %w", err)
	}
	return filepath.Join(dir, "deployportal", "devstack"), nil
}

// openState locks and empties the state folder. A folder that was asked for must be free; without one, the first free of
// the checkout's own is taken.
func openState(asked, source string) (dir string, unlock func(), err error) {
	if asked != "" {
		if dir, err = filepath.Abs(asked); err != nil {
			return "", nil, err
		}
		unlock, err = lockState(dir)
		if errors.Is(err, errLocked) {
			return "", nil, fmt.Errorf("state folder %s is in use by another devstack", dir)
		}
		return dir, unlock, err
	}
	base := filepath.Join(filepath.Dir(source), ".dev", "devstack")
	for n := 1; ; n++ {
		dir = base
		if n > 1 {
			dir = fmt.Sprintf("%s-%d", base, n)
		}
		unlock, err = lockState(dir)
		if !errors.Is(err, errLocked) {
			return dir, unlock, err
		}
	}
}

func lockState(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create state folder: %w", err)
	}
	if unlock, err = tryLock(filepath.Join(dir, "lock")); err != nil {
		return nil, err
	}
	clearState(dir)
	if err := os.RemoveAll(filepath.Join(dir, "logs")); err != nil {
		unlock()
		return nil, fmt.Errorf("remove old logs: %w", err)
	}
	return unlock, nil
}

// clearState removes data and keys by name; logs stay for whoever asks why. What cannot be removed is overwritten by the
// next start or makes it fail, so errors are not worth one here.
func clearState(dir string) {
	for _, name := range []string{
		"etcd", "pki", "tmp", "home", "kubectl-cache", "admin.kubeconfig", "kwok.yaml", "pod-logs", "devstack.json", "nodes", "kube-proxy.yaml", "gitea",
	} {
		os.RemoveAll(filepath.Join(dir, name))
	}
	removeGiteaHome(dir)
}
