package stack

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"sigs.k8s.io/yaml"
)

// inNode is where a node sees its own folder. It has mounts of its own, so all nodes use the same paths, and those of the
// container runtime and the kubelet are their default ones.
const inNode = "/run/devstack"

// pauseImage is what holds the namespaces of a pod; it is imported into each node and never pulled.
const pauseImage = "devstack.invalid/pause:1"

// cgroupParent is above everything that runs in pods.
const cgroupParent = "devstack"

// realNode is a node that runs containers.
type realNode struct {
	name   string
	bridge string       // network device
	subnet netip.Prefix // of its pods
	ip     netip.Addr   // of the bridge, and of the node
	dir    string       // outside
}

// pkiUser is the node's identity at the API server.
func (n realNode) pkiUser() (user, group string) { return "system:node:" + n.name, "system:nodes" }

// kubeletConfig is the kubelet's configuration. It differs from a node of production only where several nodes share a
// machine that is not theirs, and in how soon things are looked at.
func (n realNode) kubeletConfig(dns netip.Addr, crashBackoffMax time.Duration) map[string]any {
	config := map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"address": n.ip.String(), "port": 10250, "healthzPort": 0, "readOnlyPort": 0,
		"authentication": map[string]any{
			"anonymous": map[string]any{"enabled": false}, "webhook": map[string]any{"enabled": false},
			"x509": map[string]any{"clientCAFile": inNode + "/ca.crt"},
		},
		"authorization": map[string]any{"mode": "AlwaysAllow"}, // whoever our authority has certified
		"tlsCertFile":   inNode + "/serving.crt", "tlsPrivateKeyFile": inNode + "/serving.key",
		"containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
		"cgroupDriver":             "cgroupfs", "cgroupRoot": "/" + cgroupParent + "/" + n.name,
		"enforceNodeAllocatable": []string{"none"},
		"failSwapOn":             false, "failCgroupV1": false,
		"makeIPTablesUtilChains": false, // kube-proxy makes those it needs
		"resolvConf":             inNode + "/resolv.conf",
		"clusterDomain":          "cluster.local",
		// There is no DNS server behind it. Without an address every pod would get a warning event.
		"clusterDNS":      []string{dns.String()},
		"volumePluginDir": inNode + "/volume-plugins",
		// The disk is the machine's, and may be nearly full: no pod goes and no image is thrown away for that.
		"localStorageCapacityIsolation": false,
		"imageGCHighThresholdPercent":   100,
		"evictionHard": map[string]any{
			"nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%", "imagefs.inodesFree": "0%",
			"memory.available": "0%",
		},
		"syncFrequency": "10s", "nodeStatusUpdateFrequency": "5s",
		"serializeImagePulls": false, "registryPullQPS": 0,
		// An eventRecordQPS of 0 is not "unlimited", as the API's words have it: client-go takes it for its own default of 5,
		// and the probes of a hundred pods that end delay what the next ones say by half a minute.
		"eventRecordQPS": 200, "eventBurst": 400,
		"kubeAPIQPS": 200, "kubeAPIBurst": 400,
	}
	if crashBackoffMax > 0 {
		config["featureGates"] = map[string]any{"KubeletCrashLoopBackOffMax": true}
		config["crashLoopBackOff"] = map[string]any{"maxContainerRestartPeriod": crashBackoffMax.String()}
	}
	return config
}

// dnsAddress is the customary address of a cluster's DNS server.
func dnsAddress(services netip.Prefix) netip.Addr {
	a := services.Addr().As4()
	a[3] = 10
	return netip.AddrFrom4(a)
}

// containerdConfig keeps to paths inside the node, except for the network plugins.
func (n realNode) containerdConfig(cniDir, snapshotter string) string {
	return fmt.Sprintf(`version = 2
# opt makes a folder in /opt; the others look for file systems that are not used.
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp",
]

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = %q
# The kubelet asks for scores below this process's own, which the kernel refuses where root has not all rights.
restrict_oom_score_adj = true
# Loading a profile would change the machine.
disable_apparmor = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = %q
conf_dir = %q

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = %q

# A registry on a loopback address is spoken to in plain http without further words. A hosts.toml may be put here for others.
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = %q
`, pauseImage, cniDir, inNode+"/cni", snapshotter, inNode+"/certs.d")
}

func (n realNode) cniConfig() map[string]any {
	return map[string]any{
		"cniVersion": "0.4.0", "name": "devstack",
		"plugins": []any{map[string]any{
			"type": "bridge", "bridge": n.bridge, "isGateway": true, "hairpinMode": true,
			"ipam": map[string]any{
				"type":   "host-local",
				"ranges": []any{[]any{map[string]any{"subnet": n.subnet.String()}}},
				"routes": []any{map[string]any{"dst": "0.0.0.0/0"}},
			},
		}},
	}
}

// proxyConfig is kube-proxy's. One serves all nodes, because they share the machine's network.
func proxyConfig(kubeconfig, node string, pods netip.Prefix, health, metrics int) map[string]any {
	return map[string]any{
		"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
		"clientConnection": map[string]any{"kubeconfig": kubeconfig},
		"mode":             "iptables", "hostnameOverride": node,
		"clusterCIDR": pods.String(), "detectLocalMode": "ClusterCIDR",
		// A NodePort answers on this machine and on the nodes' addresses, not on the network this machine is in.
		"nodePortAddresses":  []string{"127.0.0.0/8", pods.String()},
		"healthzBindAddress": loopback(health), "metricsBindAddress": loopback(metrics),
		"iptables": map[string]any{"minSyncPeriod": "100ms"},
		// Zero leaves the machine's own settings alone.
		"conntrack": map[string]any{
			"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s",
		},
	}
}

// nodeProgram is the configuration of the program that is the node's first process; devstack/node/config.go explains it.
type nodeProgram struct {
	Dir     string
	Binds   map[string]string
	Kernel  map[string]string
	Env     []string
	Runtime nodeCommand
	Socket  string
	Once    []nodeCommand
	Kubelet nodeCommand
}

type nodeCommand struct {
	Argv []string
	Log  string
}

// program says how the node starts.
func (n realNode) program(plan *plan) nodeProgram {
	logs := inNode + "/logs/" + n.name
	c := nodeProgram{
		Dir:   n.dir,
		Binds: map[string]string{"logs": plan.path("logs"), "kube": filepath.Dir(plan.kube)},
		// What the kubelet would otherwise set on the whole machine.
		Kernel: map[string]string{
			"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
			"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
		},
		Env:     plan.tools.env(inNode + "/tools"),
		Runtime: nodeCommand{[]string{"containerd", "--config=" + inNode + "/containerd.toml"}, logs + "-containerd.log"},
		Socket:  "/run/containerd/containerd.sock",
		Once: []nodeCommand{{
			[]string{"ctr", "--namespace=k8s.io", "images", "import", inNode + "/pause.tar"}, logs + "-containerd.log",
		}},
		Kubelet: nodeCommand{[]string{
			inNode + "/kube/" + filepath.Base(plan.kube), "kubelet", "--config=" + inNode + "/kubelet.yaml",
			"--kubeconfig=" + inNode + "/kubelet.kubeconfig", "--hostname-override=" + n.name, "--node-ip=" + n.ip.String(),
		}, logs + "-kubelet.log"},
	}
	if plan.tools.root != "" {
		c.Binds["tools"] = plan.tools.root
	}
	return c
}

// write puts the node's folder in place.
func (n realNode) write(plan *plan, pause []byte, snapshotter string) error {
	user, group := n.pkiUser()
	identity, err := plan.pki.issue(n.name, user, group)
	if err != nil {
		return err
	}
	for _, dir := range []string{"var-lib", "var-log", "cni", "certs.d", "volume-plugins"} {
		if err := os.MkdirAll(filepath.Join(n.dir, dir), 0o755); err != nil {
			return fmt.Errorf("create folder of %s: %w", n.name, err)
		}
	}
	if err := writeKubeconfig(filepath.Join(n.dir, "kubelet.kubeconfig"), loopbackURL(plan.ports.api), plan.pki.pem, identity.user()); err != nil {
		return err
	}
	kubelet, err := yaml.Marshal(n.kubeletConfig(dnsAddress(plan.services), plan.real.crashBackoffMax))
	if err != nil {
		return fmt.Errorf("encode configuration of the kubelet: %w", err)
	}
	cni, err := json.Marshal(n.cniConfig())
	if err != nil {
		return fmt.Errorf("encode network configuration: %w", err)
	}
	program, err := json.Marshal(n.program(plan))
	if err != nil {
		return fmt.Errorf("encode configuration of %s: %w", n.name, err)
	}
	for name, content := range map[string][]byte{
		"ca.crt": plan.pki.pem, "serving.crt": plan.serving.certPEM, "serving.key": plan.serving.keyPEM,
		"kubelet.yaml": kubelet, "cni/10-devstack.conflist": cni, "node.json": program, "pause.tar": pause,
		"containerd.toml": []byte(n.containerdConfig(plan.tools.cniDir(inNode+"/tools"), snapshotter)),
		"resolv.conf":     []byte("nameserver 127.0.0.1\n"),
	} {
		if err := os.WriteFile(filepath.Join(n.dir, filepath.FromSlash(name)), content, 0o600); err != nil {
			return fmt.Errorf("write %s of %s: %w", name, n.name, err)
		}
	}
	return nil
}
