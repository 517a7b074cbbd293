package stack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// passControllersOn lets the children of a version 2 cgroup use its controllers. One that cannot be passed on is left out,
// unless it is needed.
func passControllersOn(dir string, need []string) error {
	have, err := controllersIn(dir, "cgroup.controllers")
	if err != nil {
		return err
	}
	for _, name := range need {
		if !slices.Contains(have, name) {
			return fmt.Errorf("%s has no controller %s to pass on to real nodes", dir, name)
		}
	}
	for _, name := range have {
		err := switchController(dir, "+"+name)
		if errors.Is(err, syscall.EBUSY) && slices.Contains(need, name) {
			// The root that a container sees has processes, and one that has passes nothing on: they go into a leaf.
			if err = moveProcesses(dir, filepath.Join(dir, cgroupLeaf)); err == nil {
				err = switchController(dir, "+"+name)
			}
		}
		if err != nil && slices.Contains(need, name) {
			return err
		}
	}
	return nil
}

// heldBack are the controllers that the roots of version 2 do not pass on.
func heldBack(mounts []cgroupMount) []string {
	var held []string
	for _, m := range mounts {
		if !m.v2 {
			continue
		}
		have, _ := controllersIn(m.path, "cgroup.controllers") // what cannot be read is said by passControllersOn
		passed, _ := controllersIn(m.path, "cgroup.subtree_control")
		for _, name := range have {
			if !slices.Contains(passed, name) {
				held = append(held, name)
			}
		}
	}
	return held
}

// holdBack is the way back from passControllersOn at a root. Processes in the leaf say that it had some, so that it has
// passed nothing on before, whatever is known of that time.
func holdBack(root string, controllers []string) error {
	leaf := filepath.Join(root, cgroupLeaf)
	_, err := os.Stat(leaf)
	moved := err == nil
	if moved {
		if controllers, err = controllersIn(root, "cgroup.subtree_control"); err != nil {
			return err
		}
	}
	for _, name := range controllers {
		err := switchController(root, "-"+name)
		if errors.Is(err, syscall.EBUSY) && !moved {
			continue // somebody else's cgroups have come to use it
		}
		if err != nil {
			return err
		}
	}
	if !moved {
		return nil
	}
	if err := moveProcesses(leaf, root); err != nil {
		return err
	}
	if err := os.Remove(leaf); err != nil {
		return fmt.Errorf("remove cgroup: %w", err)
	}
	return nil
}

func controllersIn(dir, name string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil, fmt.Errorf("read controllers: %w", err)
	}
	return strings.Fields(string(text)), nil
}

func switchController(dir, change string) error {
	if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte(change), 0o644); err != nil {
		return fmt.Errorf("switch controller %s: %w", change, err)
	}
	return nil
}

// moveProcesses empties a cgroup into another one, which it makes. Processes that are born meanwhile are moved too.
func moveProcesses(from, to string) error {
	if err := os.Mkdir(to, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create cgroup: %w", err)
	}
	for range 100 {
		text, err := os.ReadFile(filepath.Join(from, "cgroup.procs"))
		if err != nil {
			return fmt.Errorf("list processes of a cgroup: %w", err)
		}
		if len(text) == 0 {
			return nil
		}
		for _, pid := range strings.Fields(string(text)) {
			err := os.WriteFile(filepath.Join(to, "cgroup.procs"), []byte(pid), 0o644)
			if err != nil && !errors.Is(err, syscall.ESRCH) { // it may have ended
				return fmt.Errorf("move process %s to another cgroup: %w", pid, err)
			}
		}
	}
	return fmt.Errorf("processes are born in %s faster than they can be moved", from)
}
