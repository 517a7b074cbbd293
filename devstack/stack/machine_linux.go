package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// errForeign refuses a machine that somebody else's kube-proxy works on.
var errForeign = errors.New("this machine's iptables has the rules of another Kubernetes (chain KUBE-SERVICES): real nodes would break it")

// recordName is the file, in the state folder, that says what a start changed on the machine.
const recordName = "machine.json"

// machine is what real nodes change outside the state folder. Everything else they do happens inside mount and process
// namespaces, which go with them.
type machine struct {
	tools  tools
	state  string
	record machineRecord
}

// machineRecord is what undo must know about the time before. It is written before the first change.
type machineRecord struct {
	Boot     string              `json:"boot"`     // settings are worth nothing after another boot
	Settings map[string]string   `json:"settings"` // below /proc/sys
	Tables   map[string][]string `json:"tables"`   // of iptables and ip6tables
}

// brief is the record in a form that fits into the comment of a rule: settings in their order, tables of each family.
func (r machineRecord) brief() string {
	var settings []string
	for _, name := range kernelSettings {
		settings = append(settings, r.Settings[name])
	}
	parts := []string{strings.Join(settings, ",")}
	for _, family := range families {
		parts = append(parts, strings.Join(r.Tables[family], ","))
	}
	return strings.Join(parts, ";")
}

func recordFromBrief(brief string) machineRecord {
	r := machineRecord{Boot: bootID(), Settings: map[string]string{}, Tables: map[string][]string{}}
	parts := strings.Split(brief, ";")
	for i, value := range strings.Split(parts[0], ",") {
		if i < len(kernelSettings) && (value == "0" || value == "1") {
			r.Settings[kernelSettings[i]] = value
		}
	}
	for i, family := range families {
		if i+1 < len(parts) {
			r.Tables[family] = strings.FieldsFunc(parts[i+1], func(c rune) bool { return c == ',' })
		}
	}
	return r
}

// kernelSettings must be on, so that pods reach each other and Services.
var kernelSettings = []string{
	"net/ipv4/ip_forward", "net/ipv4/conf/all/route_localnet", "net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables",
}

var families = []string{"iptables", "ip6tables"}

// newMachine looks at the machine, takes away what a devstack that was killed has left, and notes how it is then.
func newMachine(ctx context.Context, t tools, state string) (*machine, error) {
	m := &machine{tools: t, state: state}
	saved, err := t.run(ctx, "", "iptables-save")
	if err != nil {
		return nil, err
	}
	found := readLeftovers(saved)
	if found.foreign {
		return nil, errForeign
	}
	leftover := &machine{tools: t, state: found.state}
	if found.state == "" {
		leftover.state = state
	}
	if err := leftover.readRecord(); err != nil {
		return nil, err
	}
	if leftover.record.Boot == "" && found.before != "" { // its folder is gone
		leftover.record = recordFromBrief(found.before)
	}
	if err := leftover.undo(ctx); err != nil {
		return nil, fmt.Errorf("clean up after a devstack that was killed: %w", err)
	}
	return m, m.look(ctx)
}

func (m *machine) recordFile() string { return filepath.Join(m.state, recordName) }

func (m *machine) readRecord() error {
	text, err := os.ReadFile(m.recordFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read what was changed on the machine: %w", err)
	}
	if err := json.Unmarshal(text, &m.record); err != nil {
		return fmt.Errorf("decode %s: %w", m.recordFile(), err)
	}
	if m.record.Boot != bootID() {
		m.record = machineRecord{}
	}
	return nil
}

func bootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // without it every boot looks the same
	return strings.TrimSpace(string(id))
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
	text, err := json.MarshalIndent(m.record, "", "  ")
	if err != nil {
		return fmt.Errorf("encode what is changed on the machine: %w", err)
	}
	if err := os.WriteFile(m.recordFile(), text, 0o600); err != nil {
		return fmt.Errorf("write what is changed on the machine: %w", err)
	}
	return nil
}

// prepare makes the nodes' network devices and cgroups.
func (m *machine) prepare(ctx context.Context, nodes []realNode, pods, services netip.Prefix) error {
	if err := m.letThrough(ctx, pods); err != nil { // first, for its comments
		return err
	}
	mounts, err := machineCgroups()
	if err != nil {
		return err
	}
	if err := makeCgroups(mounts, nodes); err != nil {
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
	_, err = m.tools.run(ctx, "", "ip", "route", "add", services.String(), "dev", nodes[0].bridge)
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

// undo takes everything away again. It works on any part of it, and on nothing at all.
func (m *machine) undo(ctx context.Context) error {
	mounts, err := machineCgroups()
	errs := []error{err, removeCgroups(ctx, mounts), m.removeDevices(ctx)}
	for _, family := range families {
		errs = append(errs, m.removeRules(ctx, family))
	}
	for name, value := range m.record.Settings {
		if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644); err != nil {
			errs = append(errs, fmt.Errorf("restore a setting of the machine: %w", err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := os.Remove(m.recordFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the record of changes: %w", err)
	}
	return nil
}

// removeDevices deletes the bridges and what hangs on them: a pod's end goes only some time after the pod.
func (m *machine) removeDevices(ctx context.Context) error {
	for n := 1; n <= realNodeCount; n++ {
		bridge := fmt.Sprintf("devstack%d", n)
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

// removeRules takes our chains out of iptables, and tables that exist only because of them.
func (m *machine) removeRules(ctx context.Context, family string) error {
	saved, err := m.tools.run(ctx, "", family+"-save")
	if err != nil {
		return err
	}
	if script := removal(saved); script != "" {
		if _, err := m.tools.run(ctx, script, family+"-restore", "--noflush"); err != nil {
			return err
		}
	}
	before, known := m.record.Tables[family]
	if _, hasNft := m.tools.find("nft"); !known || !hasNft {
		return nil
	}
	version, err := m.tools.run(ctx, "", family, "--version")
	if err != nil || !strings.Contains(version, "nf_tables") {
		return err
	}
	if saved, err = m.tools.run(ctx, "", family+"-save"); err != nil {
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
