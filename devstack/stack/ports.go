package stack

import (
	"context"
	"fmt"
	"net"
	"strconv"
)

// ports are what one start listens on, all on 127.0.0.1.
type ports struct {
	etcd, etcdPeer, api, controllers, scheduler, kwok int
	proxyHealth, proxyMetrics                         int // of kube-proxy; the kubelets listen on the nodes' own addresses
}

// freePorts picks ports that nobody uses. All are held open until the last is picked, so they differ from each other.
// Between here and the component's own listen another program may still take one; the start then fails and says so.
func freePorts() (ports, error) {
	var p ports
	for _, port := range []*int{&p.etcd, &p.etcdPeer, &p.api, &p.controllers, &p.scheduler, &p.kwok, &p.proxyHealth, &p.proxyMetrics} {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return ports{}, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close()
		*port = l.Addr().(*net.TCPAddr).Port
	}
	return p, nil
}

// freeTCPPort is freePorts for one.
func freeTCPPort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (p ports) all() []int {
	return []int{p.etcd, p.etcdPeer, p.api, p.controllers, p.scheduler, p.kwok}
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func port(number int) string { return strconv.Itoa(number) }

func loopbackURL(port int) string { return "https://" + loopback(port) }
