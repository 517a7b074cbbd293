package stack

import (
	"regexp"
	"strings"
)

// kubeChains are the chains of kube-proxy and kubelet. A start refuses a machine on which they are somebody else's, so
// whatever bears these names later is ours.
var kubeChains = regexp.MustCompile(`^KUBE-`)

// markChains is devstack's own, by which it knows a machine again.
var markChains = regexp.MustCompile(`^DEVSTACK-`)

// forwardChain lets pods' traffic through where the machine's firewall forwards nothing. The comments of its rules are
// for a later start, which may see what a devstack that was killed has left: one names the state folder, the other says
// how the machine was before, because that folder may be gone.
const forwardChain = "DEVSTACK-FORWARD"

var (
	stateMarker  = regexp.MustCompile(`^-A ` + forwardChain + ` .*--comment "?devstack:([^"]*?)"? -j`)
	beforeMarker = regexp.MustCompile(`^-A ` + forwardChain + ` .*--comment "?devstack-before:([^"]*?)"? -j`)
)

// leftovers is what the rules tell about whoever made them.
type leftovers struct {
	foreign bool   // there are chains of a Kubernetes that no devstack has started
	ours    bool   // a devstack was here
	state   string // its state folder; may be empty
	before  string // machineRecord.brief; may be empty
}

// readLeftovers looks through the output of iptables-save, of all families one after the other. Any chain of Kubernetes
// counts: where kube-proxy has none, because Cilium or nftables does its work, the kubelet still has its own.
func readLeftovers(saved string) leftovers {
	var found leftovers
	kube := false
	for line := range strings.Lines(saved) {
		line = strings.TrimSpace(line)
		if m := stateMarker.FindStringSubmatch(line); m != nil {
			found.ours, found.state = true, m[1]
		}
		if m := beforeMarker.FindStringSubmatch(line); m != nil {
			found.before = m[1]
		}
		kube = kube || strings.HasPrefix(line, ":") && kubeChains.MatchString(line[1:])
	}
	found.foreign = kube && !found.ours
	return found
}

// savedTables lists the tables in the output of iptables-save.
func savedTables(saved string) []string {
	var tables []string
	for line := range strings.Lines(saved) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "*"); ok {
			tables = append(tables, name)
		}
	}
	return tables
}

// removal turns the output of iptables-save into the input of iptables-restore --noflush that takes these chains out,
// with every rule that leads to them. All other rules stay as they are. It is empty when none of them is there.
func removal(saved string, ours *regexp.Regexp) string {
	var out, rules, chains strings.Builder
	table := ""
	for line := range strings.Lines(saved) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "*"):
			table = line
			rules.Reset()
			chains.Reset()
		case strings.HasPrefix(line, ":"):
			if name, _, _ := strings.Cut(line[1:], " "); ours.MatchString(name) {
				rules.WriteString("-F " + name + "\n") // all are emptied first, because they lead to each other
				chains.WriteString("-X " + name + "\n")
			}
		case strings.HasPrefix(line, "-A "):
			fields := strings.Fields(line)
			if !ours.MatchString(fields[1]) && leadsTo(ours, fields) {
				rules.WriteString("-D " + strings.TrimPrefix(line, "-A ") + "\n")
			}
		case line == "COMMIT" && rules.Len() > 0:
			out.WriteString(table + "\n" + rules.String() + chains.String() + "COMMIT\n")
		}
	}
	return out.String()
}

func leadsTo(ours *regexp.Regexp, fields []string) bool {
	for i, field := range fields[:len(fields)-1] {
		if (field == "-j" || field == "-g") && ours.MatchString(fields[i+1]) {
			return true
		}
	}
	return false
}

// emptyTable tells whether a table in the output of iptables-save has no rules, no chains of anybody's making and no policy but to accept.
func emptyTable(saved, table string) bool {
	inside := false
	for line := range strings.Lines(saved) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "*"):
			inside = line == "*"+table
		case inside && strings.HasPrefix(line, "-A "), inside && strings.HasPrefix(line, ":") && !strings.Contains(line, " ACCEPT "):
			return false
		}
	}
	return true
}
