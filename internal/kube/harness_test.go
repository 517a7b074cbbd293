package kube_test

import (
	"context"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/rest"

	"deployportal/internal/deploys"
	"deployportal/internal/kube"
)

// patience is how long a test waits for something to happen before it fails.
const patience = 60 * time.Second

var api = deploys.Target{App: "api", Env: "prod"}

// run starts an adapter over one namespace and stops it with the test.
func run(t testing.TB, cfg *rest.Config, namespace string, apps ...kube.AppConfig) *kube.Cluster {
	t.Helper()
	c, stop := runFor(t, cfg, namespace, apps...)
	t.Cleanup(stop)
	return c
}

// runFor is run with the end in the caller's hands.
func runFor(t testing.TB, cfg *rest.Config, namespace string, apps ...kube.AppConfig) (c *kube.Cluster, stop func()) {
	t.Helper()
	return runOptions(t, kube.Options{
		Envs: []kube.Env{{Name: "prod", Namespace: namespace, Config: cfg}}, Apps: apps, RegistryHost: "git.example.org",
	})
}

// runOptions is runFor with everything in the caller's hands.
func runOptions(t testing.TB, o kube.Options) (c *kube.Cluster, stop func()) {
	t.Helper()
	c, err := kube.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	var once sync.Once
	return c, func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run = %v", err)
			}
		})
	}
}

// until waits with a target's bell until ok, and gives the rollout as it was then.
func until(t testing.TB, c *kube.Cluster, target deploys.Target, what string, ok func(deploys.Rollout) bool) deploys.Rollout {
	t.Helper()
	bell, stop := c.Watch(target)
	defer stop()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		r, err := c.Rollout(target)
		if err != nil {
			t.Fatalf("Rollout(%v): %v", target, err)
		}
		if ok(r) {
			return r
		}
		select {
		case <-bell:
		case <-late.C:
			t.Fatalf("waited in vain for %s; Ready: %v; last: %+v", what, c.Ready(target), r)
		}
	}
}

func fresh(r deploys.Rollout) bool { return r.StaleSince.IsZero() }
func stale(r deploys.Rollout) bool { return !r.StaleSince.IsZero() }

// proxy stands between the adapter and the API server and can be made to fail.
type proxy struct {
	t      testing.TB
	to     string
	listen net.Listener

	mu    sync.Mutex
	mode  int
	count int // connections accepted so far
	deaf  int // those below this number and not the first spared are swallowed; see deafen
	spare int
	conns map[net.Conn]struct{}
	wake  chan struct{} // closed when the mode changes
}

const (
	passes   = iota
	cut      // every connection is closed, new ones at once
	swallows // connections stay and are accepted, but nothing comes through
)

// through gives a config that reaches the same API server through a proxy.
func through(t testing.TB, cfg *rest.Config) (*rest.Config, *proxy) {
	t.Helper()
	u, err := url.Parse(cfg.Host)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, to: u.Host, listen: l, conns: map[net.Conn]struct{}{}, wake: make(chan struct{})}
	go p.accept()
	t.Cleanup(p.close)
	own := rest.CopyConfig(cfg)
	own.Host = u.Scheme + "://" + l.Addr().String()
	return own, p
}

func (p *proxy) close() {
	_ = p.listen.Close()
	p.set(cut)
}

func (p *proxy) set(mode int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = mode
	close(p.wake)
	p.wake = make(chan struct{})
	if mode == cut {
		for c := range p.conns {
			_ = c.Close()
		}
	}
}

// deafen swallows what the connections there are carry, the first ones accepted aside; new ones pass.
func (p *proxy) deafen(spare int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf, p.spare = p.count, spare
}

func (p *proxy) accept() {
	for {
		c, err := p.listen.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		number := p.count
		p.count++
		p.mu.Unlock()
		go p.serve(c, number)
	}
}

func (p *proxy) serve(c net.Conn, number int) {
	defer c.Close()
	if !p.keep(c) {
		return
	}
	defer p.forget(c)
	up, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer up.Close()
	if !p.keep(up) {
		return
	}
	defer p.forget(up)
	done := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{c, up}, {up, c}} {
		go func() {
			p.copy(way[1], way[0], number)
			_ = c.Close()
			_ = up.Close()
			done <- struct{}{}
		}()
	}
	<-done
	<-done
}

func (p *proxy) copy(to, from net.Conn, number int) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		for {
			p.mu.Lock()
			mode, wake, deaf := p.mode, p.wake, number < p.deaf && number >= p.spare
			p.mu.Unlock()
			if mode != swallows && !deaf || mode == cut {
				break
			}
			<-wake
		}
		if err != nil {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = struct{}{}
	return p.mode != cut
}

func (p *proxy) forget(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// elaborate gives a Deployment's template what is written in more than one way.
func elaborate(d *appsv1.Deployment) {
	s := &d.Spec.Template.Spec
	s.Containers[0].Resources = corev1.ResourceRequirements{
		Requests: corev1.ResourceList{"cpu": resource.MustParse("1000m"), "memory": resource.MustParse("536870912")},
		Limits:   corev1.ResourceList{"cpu": resource.MustParse("1.5"), "memory": resource.MustParse("1024Mi")},
	}
	s.Volumes = []corev1.Volume{{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	s.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "tmp", MountPath: "/tmp"}}
	s.Containers[0].Env = []corev1.EnvVar{}
	s.NodeSelector = map[string]string{}
	d.Spec.Template.Annotations = map[string]string{"a": "<b>&"}
}
