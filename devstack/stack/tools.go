package stack

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// tools are the programs of the distribution that real nodes are made of. Where the machine does not have them, devstack
// unpacks Debian's packages into a folder of its cache, without installing them: no service is set up or started, and
// nothing of the machine is replaced.
type tools struct {
	root string // the folder; empty when the machine has everything
}

// nodeTools are the programs that must be there.
var nodeTools = []string{
	"containerd", "containerd-shim-runc-v2", "ctr", "runc", "ip", "mount", "umount",
	"iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore",
}

// nodePackages are Debian's packages with all of these. nft is needed only to take away tables that were not there before.
var nodePackages = []string{"containerd", "runc", "containernetworking-plugins", "iptables", "nftables", "iproute2"}

// path is the search path, with the folder seen at root. The unpacked iptables comes last: a machine that has its own
// must be spoken to with that, because the two kinds of iptables do not see each other's rules.
func (t tools) path(root string) string {
	const system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	if t.root == "" {
		return system
	}
	return root + "/usr/bin:" + root + "/usr/sbin:" + root + "/sbin:" + root + "/bin:" + system + ":" + root + "/devstack"
}

// env is the environment of a program that uses the tools.
func (t tools) env(root string) []string {
	env := []string{"PATH=" + t.path(root), "HOME=/root", "LANG=C"}
	if t.root == "" {
		return env
	}
	var libraries []string
	for _, pattern := range []string{"usr/lib/*-linux-gnu", "lib/*-linux-gnu"} {
		found, _ := filepath.Glob(filepath.Join(t.root, pattern)) // the pattern is well formed
		for _, dir := range found {
			libraries = append(libraries, root+strings.TrimPrefix(dir, t.root))
		}
	}
	if len(libraries) > 0 {
		env = append(env, "LD_LIBRARY_PATH="+strings.Join(libraries, ":"), "XTABLES_LIBDIR="+libraries[0]+"/xtables")
	}
	return env
}

// find looks a program up as a program with this environment would.
func (t tools) find(name string) (string, bool) {
	for _, dir := range filepath.SplitList(t.path(t.root)) {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 && !info.IsDir() {
			return path, true
		}
	}
	return "", false
}

// cniDir is where the network plugins are, with the folder seen at root.
func (t tools) cniDir(root string) string {
	if t.root != "" {
		if _, err := os.Stat(filepath.Join(t.root, "usr/lib/cni/bridge")); err == nil {
			return root + "/usr/lib/cni"
		}
	}
	if _, err := os.Stat("/usr/lib/cni/bridge"); err == nil {
		return "/usr/lib/cni"
	}
	return "/opt/cni/bin"
}

// missing lists what is neither in the folder nor on the machine.
func (t tools) missing() []string {
	var missing []string
	for _, name := range nodeTools {
		if _, ok := t.find(name); !ok {
			missing = append(missing, name)
		}
	}
	for _, name := range []string{"bridge", "host-local", "loopback"} {
		path := filepath.Join(t.cniDir(t.root), name)
		if _, err := os.Stat(path); err != nil {
			missing = append(missing, fmt.Sprintf("the network plugin %s", name))
		}
	}
	return missing
}
