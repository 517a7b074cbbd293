package stack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// errForeign refuses a machine that somebody else's Kubernetes works on.
var errForeign = errors.New("this machine's iptables has the rules of another Kubernetes (chains KUBE-...): real nodes would break it; " +
	"where none is used any more, a restart of the machine takes them away")

// machine is what real nodes change outside the state folder. Everything else they do happens inside mount and process
// namespaces, which go with them.
type machine struct {
	tools  tools
	state  string
	mounts []cgroupMount
	record machineRecord
}

// kernelSettings must be on, so that pods reach each other and Services.
var kernelSettings = []string{
	"net/ipv4/ip_forward", "net/ipv4/conf/all/route_localnet", "net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables",
}

var families = []string{"iptables", "ip6tables"}

// newMachine looks at the machine, takes away what a devstack that was killed has left, and notes how it is then. It
// refuses a machine of somebody else's Kubernetes and touches nothing there.
func newMachine(ctx context.Context, t tools, state string, mounts []cgroupMount) (*machine, error) {
	m := &machine{tools: t, state: state, mounts: mounts}
	left, err := m.leftover(ctx)
	if err != nil {
		return nil, err
	}
	if left != nil {
		if err := left.undo(ctx); err != nil {
			return nil, fmt.Errorf("clean up after a devstack that was killed: %w", err)
		}
	}
	return m, m.look(ctx)
}

// leftover is what a devstack that was killed has left on the machine, nil when there is no trace of one. Its mark alone
// does not say whose the chains of Kubernetes are: another one may have been installed since.
func (m *machine) leftover(ctx context.Context) (*machine, error) {
	other, err := livingKubernetes()
	if err != nil {
		return nil, err
	}
	if other != "" {
		return nil, fmt.Errorf("this machine runs another Kubernetes (%s): real nodes would break it", other)
	}
	saved := ""
	for _, family := range families {
		text, err := m.tools.run(ctx, "", family+"-save")
		if err != nil {
			return nil, err
		}
		saved += text
	}
	found := readLeftovers(saved)
	if found.foreign {
		return nil, errForeign
	}
	left := &machine{tools: m.tools, state: found.state, mounts: m.mounts}
	if found.state == "" {
		left.state = m.state
	}
	if err := left.readRecord(); err != nil {
		return nil, err
	}
	if left.record.Boot == "" && found.before != "" { // its folder is gone
		left.record = recordFromBrief(found.before)
	}
	if !found.ours && left.record.Boot == "" && !m.hasParts() {
		return nil, nil
	}
	return left, nil
}

// hasParts tells whether there is a device or a cgroup of a devstack's name.
func (m *machine) hasParts() bool {
	parts := []string{}
	for n := 1; n <= realNodeCount; n++ {
		parts = append(parts, filepath.Join("/sys/class/net", bridgeName(n)))
	}
	for _, mount := range m.mounts {
		parts = append(parts, filepath.Join(mount.path, cgroupParent), filepath.Join(mount.path, cgroupLeaf))
	}
	return slices.ContainsFunc(parts, func(path string) bool {
		_, err := os.Stat(path)
		return err == nil
	})
}

// look notes the state of the machine and writes it down.
func (m *machine) look(ctx context.Context) error {
	m.record = machineRecord{Boot: bootID(), Settings: map[string]string{}, Tables: map[string][]string{}}
	for _, name := range kernelSettings {
		if value, err := os.ReadFile(filepath.Join("/proc/sys", name)); err == nil {
			m.record.Settings[name] = strings.TrimSpace(string(value))
		}
	}
	for _, family := range families {
		saved, err := m.tools.run(ctx, "", family+"-save")
		if err != nil {
			return err
		}
		m.record.Tables[family] = savedTables(saved)
	}
	if len(neededControllers(m.mounts)) > 0 {
		m.record.Controllers = heldBack(m.mounts)
	}
	return m.writeRecord()
}

// prepare makes the nodes' network devices and cgroups.
func (m *machine) prepare(ctx context.Context, nodes []realNode, pods, services netip.Prefix) error {
	if err := m.letThrough(ctx, pods); err != nil { // first, for its comments
		return err
	}
	if err := makeCgroups(m.mounts, nodes, neededControllers(m.mounts)); err != nil {
		return err
	}
	// Without the bridge filter a Service does not work between two pods of one node. Where it is a module, it is loaded
	// and stays; a machine with any container runtime has it already.
	if _, err := os.Stat("/proc/sys/net/bridge"); err != nil {
		_, _ = command(ctx, "modprobe", "br_netfilter") // the write below says so when it is missing
	}
	for _, name := range kernelSettings {
		if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte("1"), 0o644); err != nil {
			return fmt.Errorf("prepare the machine's network: %w", err)
		}
	}
	for i, n := range nodes {
		// With an address of its own the bridge keeps it when pods come and go; neighbours remember it.
		hardware := fmt.Sprintf("02:de:50:00:00:%02x", i+1)
		for _, args := range [][]string{
			{"link", "add", "name", n.bridge, "address", hardware, "type", "bridge"},
			{"address", "add", netip.PrefixFrom(n.ip, n.subnet.Bits()).String(), "dev", n.bridge},
			{"link", "set", n.bridge, "up"},
		} {
			if _, err := m.tools.run(ctx, "", "ip", args...); err != nil {
				return err
			}
		}
	}
	// Services are reached although this machine may have no other way out; and what no Service answers stays here.
	_, err := m.tools.run(ctx, "", "ip", "route", "add", services.String(), "dev", nodes[0].bridge)
	return err
}

// letThrough accepts pods' traffic where the machine's firewall forwards nothing by default, and marks the machine.
func (m *machine) letThrough(ctx context.Context, pods netip.Prefix) error {
	comment := "devstack:" + m.state
	if len(comment) > 255 || strings.ContainsAny(comment, "\"\\\n") {
		comment = "devstack:" // the next start must then use this state folder to find the record
	}
	rules := fmt.Sprintf("*filter\n:%[1]s - [0:0]\n-A %[1]s -s %[2]s -m comment --comment \"%[3]s\" -j ACCEPT\n"+
		"-A %[1]s -d %[2]s -m comment --comment \"devstack-before:%[4]s\" -j ACCEPT\n-I FORWARD 1 -j %[1]s\nCOMMIT\n",
		forwardChain, pods, comment, m.record.brief())
	_, err := m.tools.run(ctx, rules, "iptables-restore", "--noflush")
	return err
}

// undo takes everything away again. It works on any part of it, and on nothing at all. What does not go keeps nothing
// else from going: each step has a time of its own, and what needs only a command comes before what needs others to end.
// The mark goes last and stays when something did, so that the next start knows, whatever became of the state folder.
func (m *machine) undo(ctx context.Context) error {
	var errs []error
	for _, step := range []func(context.Context) error{m.removeKubeRules, m.restoreSettings, m.removeDevices, m.removeCgroups} {
		errs = append(errs, within(ctx, step))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := within(ctx, m.removeMark); err != nil {
		return err
	}
	if err := os.Remove(m.recordFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the record of changes: %w", err)
	}
	return nil
}

func within(ctx context.Context, step func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 20*time.Second, errors.New("not done within 20 s"))
	defer cancel()
	return step(ctx)
}

func (m *machine) restoreSettings(context.Context) error {
	var errs []error
	for name, value := range m.record.Settings {
		if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644); err != nil {
			errs = append(errs, fmt.Errorf("restore a setting of the machine: %w", err))
		}
	}
	return errors.Join(errs...)
}

func (m *machine) removeCgroups(ctx context.Context) error {
	return removeCgroups(ctx, m.mounts, m.record.Controllers)
}

// removeDevices deletes the bridges and what hangs on them: a pod's end goes only some time after the pod.
func (m *machine) removeDevices(ctx context.Context) error {
	for n := 1; n <= realNodeCount; n++ {
		bridge := bridgeName(n)
		ports, err := os.ReadDir(filepath.Join("/sys/class/net", bridge, "brif"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("list ports of %s: %w", bridge, err)
		}
		for _, port := range ports {
			_, _ = m.tools.run(ctx, "", "ip", "link", "delete", port.Name()) // it may go by itself at this moment
		}
		if _, err := m.tools.run(ctx, "", "ip", "link", "delete", bridge); err != nil {
			return err
		}
		err = pollLast(ctx, 20*time.Millisecond, func() error {
			for _, port := range ports {
				if _, err := os.Stat(filepath.Join("/sys/class/net", port.Name())); err == nil {
					return fmt.Errorf("network device %s is still there", port.Name())
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// removeKubeRules takes the chains of Kubernetes out of iptables.
func (m *machine) removeKubeRules(ctx context.Context) error {
	var errs []error
	for _, family := range families {
		errs = append(errs, m.removeChains(ctx, family, kubeChains))
	}
	return errors.Join(errs...)
}

func (m *machine) removeChains(ctx context.Context, family string, chains *regexp.Regexp) error {
	saved, err := m.tools.run(ctx, "", family+"-save")
	if err != nil {
		return err
	}
	if script := removal(saved, chains); script != "" {
		_, err = m.tools.run(ctx, script, family+"-restore", "--noflush")
	}
	return err
}

// removeMark takes devstack's own chain out, and then tables that exist only because of us.
func (m *machine) removeMark(ctx context.Context) error {
	for _, family := range families {
		if err := m.removeChains(ctx, family, markChains); err != nil {
			return err
		}
	}
	for _, family := range families {
		if err := m.removeTables(ctx, family); err != nil {
			return err
		}
	}
	return nil
}

func (m *machine) removeTables(ctx context.Context, family string) error {
	before, known := m.record.Tables[family]
	if _, hasNft := m.tools.find("nft"); !known || !hasNft {
		return nil
	}
	version, err := m.tools.run(ctx, "", family, "--version")
	if err != nil || !strings.Contains(version, "nf_tables") {
		return err
	}
	saved, err := m.tools.run(ctx, "", family+"-save")
	if err != nil {
		return err
	}
	kind := map[string]string{"iptables": "ip", "ip6tables": "ip6"}[family]
	for _, table := range savedTables(saved) {
		if slices.Contains(before, table) || !emptyTable(saved, table) {
			continue
		}
		if _, err := m.tools.run(ctx, "", "nft", "delete", "table", kind, table); err != nil {
			return err
		}
	}
	return nil
}
