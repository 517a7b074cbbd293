package stack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// cgroupMount is one mounted hierarchy: several of version 1, one for each controller, or a single one of version 2.
type cgroupMount struct {
	path string
	v2   bool
}

// cgroupLeaf is where the processes of a version 2 root are kept while it passes controllers on.
const cgroupLeaf = cgroupParent + "-others"

// cgroupMounts reads the hierarchies from the text of /proc/self/mountinfo: those that a kubelet uses. What is mounted
// elsewhere is one of them again.
func cgroupMounts(mountinfo string) []cgroupMount {
	var mounts []cgroupMount
	for lines := bufio.NewScanner(strings.NewReader(mountinfo)); lines.Scan(); {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(kind) == 0 || !strings.HasPrefix(fields[4]+"/", "/sys/fs/cgroup/") {
			continue
		}
		switch kind[0] {
		case "cgroup":
			mounts = append(mounts, cgroupMount{path: fields[4]})
		case "cgroup2":
			mounts = append(mounts, cgroupMount{path: fields[4], v2: true})
		}
	}
	return mounts
}

func machineCgroups() ([]cgroupMount, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	return cgroupMounts(string(text)), nil
}

// neededControllers are those without which a kubelet does not start. Where there are hierarchies of version 1 it uses
// those alone, and nothing has to be passed on.
func neededControllers(mounts []cgroupMount) []string {
	if slices.ContainsFunc(mounts, func(m cgroupMount) bool { return !m.v2 }) {
		return nil
	}
	return []string{"cpu", "memory", "pids"}
}

// makeCgroups makes a parent for each node's pods in every hierarchy, because the kubelet asks for one that exists. A
// needed controller that they do not get is an error.
func makeCgroups(mounts []cgroupMount, nodes []realNode, need []string) error {
	for _, m := range mounts {
		dirs := []string{filepath.Join(m.path, cgroupParent)}
		for _, n := range nodes {
			dirs = append(dirs, filepath.Join(m.path, cgroupParent, n.name))
		}
		passOn := m.v2 && len(need) > 0
		if passOn {
			if err := passControllersOn(m.path, need); err != nil {
				return err
			}
		}
		for _, dir := range dirs {
			if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("create cgroup: %w", err)
			}
			if passOn {
				if err := passControllersOn(dir, need); err != nil {
					return err
				}
			}
			if m.v2 {
				continue
			}
			if err := fillCpuset(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// fillCpuset copies the parent's processors and memory nodes: a new cpuset of version 1 is empty and takes no process.
func fillCpuset(dir string) error {
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		own := filepath.Join(dir, name)
		if _, err := os.Stat(own); err != nil {
			continue // another controller
		}
		value, err := os.ReadFile(filepath.Join(filepath.Dir(dir), name))
		if err != nil {
			return fmt.Errorf("read parent's cpuset: %w", err)
		}
		if err := os.WriteFile(own, value, 0o644); err != nil {
			return fmt.Errorf("fill cpuset: %w", err)
		}
	}
	return nil
}

// removeCgroups removes everything below our parent, and has the roots of version 2 hold these controllers back again.
// The kernel needs a moment after the last process.
func removeCgroups(ctx context.Context, mounts []cgroupMount, controllers []string) error {
	return pollLast(ctx, 50*time.Millisecond, func() error {
		var errs []error
		for _, m := range mounts {
			err := removeCgroupTree(filepath.Join(m.path, cgroupParent))
			if err == nil && m.v2 {
				err = holdBack(m.path, controllers)
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
}

func removeCgroupTree(root string) error {
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list cgroup: %w", err)
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		if err := removeCgroupTree(filepath.Join(root, entry.Name())); err != nil {
			return err
		}
	}
	if err := os.Remove(root); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove cgroup: %w", err)
	}
	return nil
}
