package stack

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// kubernetesPrograms are those of Kubernetes and its distributions that work on a machine's network. devstack's own are
// all one program of another name.
var kubernetesPrograms = []string{"kubelet", "kube-proxy", "k3s-server", "k3s-agent", "kubelite"}

// livingKubernetes names a process of another Kubernetes in this network namespace, empty when there is none. One in a
// container with a network of its own is in nobody's way.
func livingKubernetes() (string, error) {
	network, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return "", fmt.Errorf("find out the network namespace: %w", err)
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return "", fmt.Errorf("list processes: %w", err)
	}
	for _, dir := range processes {
		name, err := os.ReadFile(filepath.Join(dir, "comm"))
		program := strings.TrimSpace(string(name))
		if err != nil || !slices.Contains(kubernetesPrograms, program) {
			continue
		}
		if its, err := os.Readlink(filepath.Join(dir, "ns/net")); err == nil && its == network {
			return fmt.Sprintf("%s, process %s", program, filepath.Base(dir)), nil
		}
	}
	return "", nil
}
