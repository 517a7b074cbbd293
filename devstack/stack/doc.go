// Package stack starts and stops a development cluster: a real Kubernetes control plane (etcd, API server, controller
// manager, scheduler) and, as its nodes, kwok. Everything listens on 127.0.0.1 with free ports, every key is made anew
// by each start, and nothing is written outside the state folder and the user's cache folder.
//
// With Options.Nodes = Real its nodes are kubelets with containerd, and containers run. That changes the machine (network
// devices, iptables, cgroups, kernel settings for routing); Close takes it back, and where devstack was killed, the next start.
//
// Start does it all:
//
//	s, err := stack.Start(ctx, stack.Options{State: ".dev/devstack", Progress: stack.NewProgress(os.Stderr)})
//	if err != nil { ... }
//	defer s.Close()
//
// The binaries come from the two modules beside this one (kube, kwok) and are built by the first start.
package stack
