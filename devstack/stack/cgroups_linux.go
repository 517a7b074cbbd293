package stack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// cgroupMount is one mounted hierarchy: several of version 1, one for each controller, or a single one of version 2.
type cgroupMount struct {
	path string
	v2   bool
}

// cgroupMounts reads the hierarchies from the text of /proc/self/mountinfo.
func cgroupMounts(mountinfo string) []cgroupMount {
	var mounts []cgroupMount
	for lines := bufio.NewScanner(strings.NewReader(mountinfo)); lines.Scan(); {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(kind) == 0 {
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

// makeCgroups makes a parent for each node's pods in every hierarchy, because the kubelet asks for one that exists.
func makeCgroups(mounts []cgroupMount, nodes []realNode) error {
	for _, m := range mounts {
		dirs := []string{filepath.Join(m.path, cgroupParent)}
		for _, n := range nodes {
			dirs = append(dirs, filepath.Join(m.path, cgroupParent, n.name))
		}
		if m.v2 {
			passControllersOn(m.path)
		}
		for _, dir := range dirs {
			if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("create cgroup: %w", err)
			}
			if m.v2 {
				passControllersOn(dir)
				continue
			}
			if err := fillCpuset(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// passControllersOn lets the children of a version 2 cgroup use its controllers. One that cannot be passed on is left out:
// the kubelet names those it misses.
func passControllersOn(dir string) {
	controllers, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return
	}
	for _, name := range strings.Fields(string(controllers)) {
		_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+name), 0o644)
	}
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

// removeCgroups removes everything below our parent. The kernel needs a moment after the last process.
func removeCgroups(ctx context.Context, mounts []cgroupMount) error {
	return pollLast(ctx, 50*time.Millisecond, func() error {
		var errs []error
		for _, m := range mounts {
			errs = append(errs, removeCgroupTree(filepath.Join(m.path, cgroupParent)))
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
