package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"sigs.k8s.io/yaml"
)

// prepareRealNodes says what is missing for real nodes, and builds and fetches the rest.
func prepareRealNodes(ctx context.Context, opts Options, source, cache string) (realParts, error) {
	var parts realParts
	if os.Geteuid() != 0 {
		return parts, errors.New("real nodes need root: they mount file systems and change the network; simulated ones do not")
	}
	var err error
	if parts.tools, err = ensureTools(ctx, cache, opts.Progress); err != nil {
		return parts, err
	}
	node, app, images := nodeBinaries()
	for _, b := range []struct {
		binary binary
		path   *string
	}{{node, &parts.node}, {app, &parts.app}, {images, &parts.images}} {
		if *b.path, err = b.binary.ensure(ctx, source, cache, opts.Progress); err != nil {
			return parts, err
		}
	}
	return parts, nil
}

// claimMachine waits until no other devstack has real nodes on this machine, cleans up after one that was killed, and
// chooses addresses. From here on Close has something to undo.
func (s *Stack) claimMachine(ctx context.Context, opts Options, plan *plan, parts realParts) error {
	unclaim, err := machineLock(ctx, opts.Progress)
	if err != nil {
		return err
	}
	s.undo = unclaim
	mounts, err := machineCgroups()
	if err != nil {
		return err
	}
	m, err := newMachine(ctx, parts.tools, plan.state, mounts)
	if err != nil {
		return err
	}
	s.undo = func() {
		defer unclaim()
		if err := m.undo(context.Background()); err != nil { // each of its steps has an end
			opts.Progress.Say("devstack could not clean up all of it (the next start with real nodes tries again): %v", err)
		}
	}
	used, err := usedNetworks()
	if err != nil {
		return err
	}
	real := &realPlan{node: parts.node, images: parts.images, crashBackoffMax: opts.CrashBackoffMax}
	if real.pods, plan.services, err = pickNetworks(used); err != nil {
		return err
	}
	real.nodes = newRealNodes(real.pods, func(name string) string { return plan.path("nodes", name) })
	for _, n := range real.nodes {
		s.nodes = append(s.nodes, n.name)
	}
	plan.real, plan.tools = real, parts.tools
	return within(ctx, func(ctx context.Context) error { return m.prepare(ctx, real.nodes, real.pods, plan.services) })
}

// machineLock keeps a second devstack with real nodes away: both would write the same rules of iptables. The lock is a
// name in the machine's network namespace, which is just what is fought over; it leaves no file and goes with the process.
func machineLock(ctx context.Context, progress *Progress) (unlock func(), err error) {
	try := func() (bool, error) {
		l, err := net.Listen("unix", "@deployportal-devstack-nodes")
		if errors.Is(err, syscall.EADDRINUSE) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("claim this machine: %w", err)
		}
		unlock = func() { l.Close() }
		return true, nil
	}
	if ok, err := try(); ok || err != nil {
		return unlock, err
	}
	end := progress.Step("another devstack has real nodes on this machine, waiting")
	err = poll(ctx, 200*time.Millisecond, try)
	end(err)
	return unlock, err
}

// startRealNodes starts kube-proxy and the nodes. It does not wait until they are Ready.
func (s *Stack) startRealNodes(ctx context.Context, plan *plan) error {
	pause, err := pauseTar(ctx, plan)
	if err != nil {
		return err
	}
	for _, n := range plan.real.nodes {
		if err := n.write(plan, pause, snapshotter(plan.state)); err != nil {
			return err
		}
		p, err := s.launcher.startAs(nodeAttr(), n.name, plan.path("logs"), plan.env(), plan.real.node, "run", filepath.Join(n.dir, "node.json"))
		if err != nil {
			return err
		}
		s.watch(p)
	}
	config, err := yaml.Marshal(proxyConfig(plan.kubeconfig, plan.real.nodes[0].name, plan.real.pods, plan.ports.proxyHealth, plan.ports.proxyMetrics))
	if err != nil {
		return fmt.Errorf("encode configuration of kube-proxy: %w", err)
	}
	path := plan.path("kube-proxy.yaml")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		return fmt.Errorf("write configuration of kube-proxy: %w", err)
	}
	env := append(plan.env(), plan.tools.env(plan.tools.root)...) // of two values for a name the later one counts
	p, err := s.launcher.start("kube-proxy", plan.path("logs"), env, plan.kube, "kube-proxy", "--config="+path)
	if err != nil {
		return err
	}
	s.watch(p)
	return s.await(ctx, "kube-proxy", s.proxyReady)
}

// nodeAttr gives a node process and mount namespaces of its own, whose first process it is. The kernel kills everything in
// them when that ends, and that when devstack ends.
func nodeAttr() *syscall.SysProcAttr {
	attr := childAttr()
	attr.Cloneflags = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS
	return attr
}

// pauseTar is the pause image: the node's own program under another name.
func pauseTar(ctx context.Context, plan *plan) ([]byte, error) {
	if err := os.MkdirAll(plan.path("nodes"), 0o755); err != nil {
		return nil, fmt.Errorf("create folder of the nodes: %w", err)
	}
	path := plan.path("nodes", "pause.tar")
	if _, err := command(ctx, plan.real.images, "pause", plan.real.node, path); err != nil {
		return nil, err
	}
	pause, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read pause image: %w", err)
	}
	return pause, nil
}

// snapshotter chooses how images are laid over each other: an overlay on an overlay is refused by the kernel, and that is
// what a checkout in a container lies on.
func snapshotter(dir string) string {
	var fs syscall.Statfs_t
	const overlay = 0x794c7630
	if err := syscall.Statfs(dir, &fs); err == nil && fs.Type == overlay {
		return "native"
	}
	return "overlayfs"
}

// proxyReady asks kube-proxy whether the rules are in place.
func (s *Stack) proxyReady(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+loopback(s.ports.proxyHealth)+"/healthz", nil)
	if err != nil {
		return err
	}
	resp, err := s.api.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("kube-proxy answers %s", resp.Status)
	}
	return nil
}
