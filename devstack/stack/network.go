package stack

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
)

// realNodeCount is how many nodes a cluster with real nodes has: enough to see pods spread, few enough for a laptop.
const realNodeCount = 2

// simulatedServices is the address range of Services where nothing is ever sent to one.
var simulatedServices = netip.MustParsePrefix("10.96.0.0/16")

// pickNetworks chooses address ranges for pods and Services that overlap none of those in use.
func pickNetworks(used []netip.Prefix) (pods, services netip.Prefix, err error) {
	free := func(candidates ...string) (netip.Prefix, error) {
		for _, candidate := range candidates {
			prefix := netip.MustParsePrefix(candidate)
			taken := false
			for _, u := range used {
				taken = taken || (u.Bits() > 0 && u.Overlaps(prefix)) // a default route overlaps everything
			}
			if !taken {
				return prefix, nil
			}
		}
		return netip.Prefix{}, errors.New("every address range devstack knows for pods and Services is in use on this machine")
	}
	if pods, err = free("10.123.0.0/16", "10.211.0.0/16", "172.29.0.0/16", "192.168.0.0/16"); err != nil {
		return pods, services, err
	}
	services, err = free("10.96.0.0/16", "10.97.0.0/16", "10.219.0.0/16", "172.28.0.0/16")
	return pods, services, err
}

// usedNetworks are the address ranges this machine has addresses in or routes to.
func usedNetworks() ([]netip.Prefix, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	var used []netip.Prefix
	for _, a := range addresses {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().Is4() {
			used = append(used, prefix.Masked())
		}
	}
	table, err := os.Open("/proc/net/route")
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	defer table.Close()
	for lines := bufio.NewScanner(table); lines.Scan(); {
		if prefix, ok := parseRoute(lines.Text()); ok {
			used = append(used, prefix)
		}
	}
	return used, nil
}

// parseRoute reads a line of /proc/net/route, in which addresses are hexadecimal and backwards.
func parseRoute(line string) (netip.Prefix, bool) {
	fields := strings.Fields(line)
	if len(fields) < 8 {
		return netip.Prefix{}, false
	}
	address, err1 := hex.DecodeString(fields[1])
	mask, err2 := hex.DecodeString(fields[7])
	if err1 != nil || err2 != nil || len(address) != 4 || len(mask) != 4 {
		return netip.Prefix{}, false
	}
	ones, _ := net.IPv4Mask(mask[3], mask[2], mask[1], mask[0]).Size()
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{address[3], address[2], address[1], address[0]}), ones), true
}

// newRealNodes lays the nodes out: the n-th one owns the n-th /24 of the pods' range.
func newRealNodes(pods netip.Prefix, dir func(name string) string) []realNode {
	base := pods.Addr().As4()
	nodes := make([]realNode, 0, realNodeCount)
	for n := 1; n <= realNodeCount; n++ {
		name := fmt.Sprintf("node-%d", n)
		subnet := netip.PrefixFrom(netip.AddrFrom4([4]byte{base[0], base[1], byte(n), 0}), 24)
		nodes = append(nodes, realNode{
			name: name, bridge: bridgeName(n), subnet: subnet, ip: subnet.Addr().Next(), dir: dir(name),
		})
	}
	return nodes
}

func bridgeName(n int) string { return fmt.Sprintf("devstack%d", n) }
