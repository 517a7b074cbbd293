package stack

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
)

func TestCgroupMountsOfBothVersions(t *testing.T) {
	const mountinfo = `30 1 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
`
	want := []cgroupMount{{path: "/sys/fs/cgroup/cpu,cpuacct"}, {path: "/sys/fs/cgroup/unified", v2: true}}
	if got := cgroupMounts(mountinfo); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A plain folder stands for the hierarchy: which files are read and written is the same.
func TestCgroupsAreMadeForBothVersions(t *testing.T) {
	v1, v2 := t.TempDir(), t.TempDir()
	for path, text := range map[string]string{
		filepath.Join(v1, "cpuset.cpus"): "0-1\n", filepath.Join(v1, "cpuset.mems"): "0\n",
		filepath.Join(v2, "cgroup.controllers"): "memory\n", filepath.Join(v2, "cgroup.subtree_control"): "",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mounts := []cgroupMount{{path: v1}, {path: v2, v2: true}}
	// The kernel fills a new cgroup with files; here the test does.
	parent := filepath.Join(v1, cgroupParent)
	for _, dir := range []string{parent, filepath.Join(parent, "node-1")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := makeCgroups(mounts, []realNode{{name: "node-1"}}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(parent, "node-1", "cpuset.cpus"): "0-1\n", filepath.Join(v2, "cgroup.subtree_control"): "+memory",
	} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v, want %q", path, got, err, want)
		}
	}
	if _, err := os.Stat(filepath.Join(v2, cgroupParent, "node-1")); err != nil {
		t.Error(err)
	}
}

func TestReleaseName(t *testing.T) {
	if got := releaseName("NAME=\"Debian\"\nVERSION_ID=\"12\"\nID=debian\n"); got != "debian-12" {
		t.Errorf("got %q", got)
	}
}

func TestTheRecordSurvivesInAComment(t *testing.T) {
	want := machineRecord{
		Boot: bootID(), Settings: map[string]string{kernelSettings[0]: "0", kernelSettings[2]: "1"},
		Tables: map[string][]string{"iptables": {"filter", "nat"}, "ip6tables": {}},
	}
	if got := recordFromBrief(want.brief()); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
