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
33 30 0:28 / /var/lib/other/cgroup rw - cgroup2 cgroup2 rw
34 30 0:28 / /sys/fs/cgroups rw - cgroup2 cgroup2 rw
`
	want := []cgroupMount{{path: "/sys/fs/cgroup/cpu,cpuacct"}, {path: "/sys/fs/cgroup/unified", v2: true}}
	if got := cgroupMounts(mountinfo); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A plain folder stands for the hierarchy: which files are read and written is the same.
func TestCgroupsOfVersion1TakeProcesses(t *testing.T) {
	v1 := t.TempDir()
	// The kernel fills a new cgroup with files; here the test does.
	parent := filepath.Join(v1, cgroupParent)
	for dir, text := range map[string]string{v1: "0-1\n", parent: "", filepath.Join(parent, "node-1"): ""} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	mounts := []cgroupMount{{path: v1}, {path: t.TempDir(), v2: true}}
	if err := makeCgroups(mounts, []realNode{{name: "node-1"}}, neededControllers(mounts)); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(parent, "node-1", "cpuset.cpus")); err != nil || string(got) != "0-1\n" {
		t.Errorf("got %q, %v, want the processors of the root", got, err)
	}
	if _, err := os.Stat(filepath.Join(mounts[1].path, cgroupParent, "node-1")); err != nil {
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
		Tables:      map[string][]string{"iptables": {"filter", "nat"}, "ip6tables": {}},
		Controllers: []string{"cpu", "memory"},
	}
	if got := recordFromBrief(want.brief()); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
