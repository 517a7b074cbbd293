package stack

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// look is what a machine looks like: parts that real nodes touch, each as sorted lines.
type look map[string]string

// lifetimes of an address and a route run down by themselves where a router or DHCP gave them.
var lifetimes = regexp.MustCompile(` ?(valid_lft|preferred_lft|expires) \S+`)

// runtimes are the names below /run that container runtimes and Kubernetes use. The rest of it changes with every login
// and timer of a machine.
var runtimes = regexp.MustCompile(`^/run/(containerd|docker|runc|crun|crio|nri|cni|netns|kube|flannel|xtables|devstack)`)

func ofRuntimes(tree string) string {
	var kept strings.Builder
	for line := range strings.Lines(tree) {
		if runtimes.MatchString(line) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// lookAtMachine takes down everything that real nodes could leave behind, while no devstack has any.
func lookAtMachine(t *testing.T) look {
	t.Helper()
	unlock, err := machineLock(t.Context(), NewProgress(os.Stderr))
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	read := func(path string) string {
		text, _ := os.ReadFile(path)
		return string(text)
	}
	l := look{
		"processes": nodeProcesses(t),
		"mounts":    mountsOfInterest(read("/proc/self/mountinfo")),
		"users":     read("/etc/passwd") + read("/etc/group"),
		"/run":      ofRuntimes(tree("/run", 4)), "/opt": tree("/opt", 1), "/etc": tree("/etc", 1),
		"/var/lib": tree("/var/lib", 1), "/var/log": tree("/var/log", 1), "/usr/libexec": tree("/usr/libexec", 1),
		"/usr/sbin": tree("/usr/sbin", 1),
	}
	tools := machineTools(t)
	for _, name := range []string{"ip -o link", "ip -o address", "ip route", "ip netns", "iptables-save", "ip6tables-save", "nft list ruleset"} {
		fields := strings.Fields(name)
		out, err := tools.run(t.Context(), "", fields[0], fields[1:]...)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out) {
			if !strings.HasPrefix(line, "#") { // the date
				l[name] += lifetimes.ReplaceAllString(line, "")
			}
		}
	}
	for _, pattern := range []string{"kernel/panic*", "kernel/keys/*", "vm/*overcommit*", "vm/panic*", "net/ipv4/ip_*",
		"net/ipv4/conf/all/*", "net/ipv4/conf/default/*", "net/bridge/*", "net/netfilter/*max*", "net/netfilter/*established"} {
		names, err := filepath.Glob(filepath.Join("/proc/sys", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			l["settings"] += name + " " + read(name)
		}
	}
	mounts, err := machineCgroups()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		for line := range strings.Lines(tree(m.path, 3)) {
			if strings.Contains(line, cgroupParent) || strings.Contains(line, "kube") {
				l["cgroups"] += line
			}
		}
		if m.v2 {
			passed := strings.Fields(read(filepath.Join(m.path, "cgroup.subtree_control")))
			l["controllers"] += m.path + " " + strings.Join(passed, " ") + "\n"
		}
	}
	return l
}

// nodeProcesses lists the processes that run in real nodes or serve them.
func nodeProcesses(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, name := range found {
		text, err := os.ReadFile(name)
		argv := strings.Split(string(text), "\x00")
		if err != nil || len(argv) < 2 {
			continue
		}
		switch program := filepath.Base(argv[0]); {
		case strings.HasPrefix(program, "containerd"), program == "runc", program == "app", program == "pause",
			program == "node" && argv[1] == "run", program == "kube" && (argv[1] == "kubelet" || argv[1] == "kube-proxy"):
			list = append(list, strings.Join(argv, " "))
		}
	}
	slices.Sort(list)
	return strings.Join(list, "\n")
}

// mountsOfInterest drops mounts in folders for temporary files, except in those of this test: other tests that run on the
// machine mount there.
func mountsOfInterest(mountinfo string) string {
	var kept strings.Builder
	for line := range strings.Lines(mountinfo) {
		at := strings.Fields(line)[4]
		if !strings.HasPrefix(at, os.TempDir()+"/") || strings.HasPrefix(at, filepath.Join(os.TempDir(), "TestRealNodes")) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// tree lists the folders and files below root.
func tree(root string, depth int) string {
	var out strings.Builder
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // it went while we looked
		}
		fmt.Fprintln(&out, path)
		if rel, err := filepath.Rel(root, path); err == nil && d.IsDir() && rel != "." && strings.Count(rel, "/")+1 >= depth {
			return filepath.SkipDir
		}
		return nil
	})
	return out.String()
}

// compare names what is there now and was not before, and the other way round.
func (l look) compare(t *testing.T, now look) {
	t.Helper()
	parts := map[string]bool{}
	for part := range l {
		parts[part] = true
	}
	for part := range now {
		parts[part] = true // a part that was empty before
	}
	for part := range parts {
		old, after := strings.Split(l[part], "\n"), strings.Split(now[part], "\n")
		for _, line := range after {
			if !slices.Contains(old, line) {
				t.Errorf("%s: was not there before: %s", part, line)
			}
		}
		for _, line := range old {
			if !slices.Contains(after, line) {
				t.Errorf("%s: is not there any more: %s", part, line)
			}
		}
	}
}

func TestTheLookLeavesOutWhatChangesByItself(t *testing.T) {
	const address = "2: eth0    inet 10.0.2.15/24 scope global dynamic eth0\\       valid_lft 86399sec preferred_lft 14399sec\n"
	if got, want := lifetimes.ReplaceAllString(address, ""), "2: eth0    inet 10.0.2.15/24 scope global dynamic eth0\\      \n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	const run = "/run/containerd/containerd.sock\n/run/netns/cni-1\n/run/systemd/sessions/4\n/run/user/0\n"
	if got, want := ofRuntimes(run), "/run/containerd/containerd.sock\n/run/netns/cni-1\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The lock must keep a second devstack out, and let it in as soon as the first is done.
func TestOneDevstackWithRealNodesAtATime(t *testing.T) {
	unlock, err := machineLock(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := machineLock(ctx, nil); err == nil {
		t.Error("two hold the lock")
	}
	unlock()
	again, err := machineLock(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	again()
}
