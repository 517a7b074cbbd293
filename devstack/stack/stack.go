package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Kinds of nodes.
const (
	Simulated = "kwok"    // nothing runs; any OS, no rights needed
	Real      = "kubelet" // containers run; Linux and root only
)

// Options say how to start. The zero value works inside a checkout.
type Options struct {
	// State is the folder for data, keys, logs and devstack.json. Names devstack uses in it are overwritten, others are
	// left alone. Empty means .dev/devstack in the checkout or, where another devstack runs there, .dev/devstack-2 and so on.
	State string
	// Source is the devstack folder of the checkout. Empty means: look for it from the working directory upwards.
	Source string
	// Cache holds built binaries. Empty means deployportal/devstack in the user's cache folder.
	Cache string
	// Nodes is Simulated (also when empty) or Real.
	Nodes string
	// CrashBackoffMax bounds how long real nodes wait between restarts of a crashing container. Zero means Kubernetes'
	// own five minutes.
	CrashBackoffMax time.Duration
	// Gitea asks for a real Gitea with sample data: GiteaReal beside the cluster, GiteaOnly without one. Empty means none.
	Gitea string
	// Progress tells a person what happens. Nil is silent.
	Progress *Progress
}

// Info is what devstack.json says; programs find that file through the variable DEVSTACK.
type Info struct {
	Version         string   `json:"version"`         // of Kubernetes, "v1.34.4"
	AdminKubeconfig string   `json:"adminKubeconfig"` // absolute path
	Kubectl         []string `json:"kubectl"`         // command line that talks to this cluster as administrator
	Server          string   `json:"server"`          // "https://127.0.0.1:PORT"
	State           string   `json:"state"`           // absolute path; logs/ in it has a file per component
	Nodes           string   `json:"nodes"`           // "kwok" or "kubelet"
	// Workloads is the command line of the tool that makes sample images: the first argument of workloads.Push. It is
	// there with real nodes only.
	Workloads []string   `json:"workloads,omitempty"`
	Gitea     *GiteaInfo `json:"gitea,omitempty"` // nil without one
}

// Stack is a running cluster. Its methods may be called from any goroutine.
type Stack struct {
	info      Info
	api       *API
	ports     ports
	caFile    string
	launcher  *launcher
	processes []*process // in the order of their start
	beside    []*process // of Launch
	nodes     []string   // names
	undo      func()     // of what real nodes changed on the machine; nil with simulated ones
	gitea     *gitea

	failed    chan struct{} // closed when a component ends by itself
	closing   chan struct{} // closed by Close
	err       error         // read after failed
	failOnce  sync.Once
	closeOnce sync.Once
	unlock    func()
}

// Start builds what is missing, starts the cluster and returns when the API answers, all nodes are Ready and the
// controllers and the scheduler work. When ctx ends first, or a component ends by itself, everything already started is
// stopped again; the error then names the component and quotes the end of its log.
// After Start has returned, ctx has no meaning for the stack: it runs until Close.
func Start(ctx context.Context, opts Options) (*Stack, error) {
	source, err := findSource(opts.Source)
	if err != nil {
		return nil, err
	}
	state, unlock, err := openState(opts.State, source)
	if err != nil {
		return nil, err
	}
	s := newStack(unlock)
	if err := s.start(ctx, opts, source, state); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func newStack(unlock func()) *Stack {
	return &Stack{unlock: unlock, launcher: newLauncher(), failed: make(chan struct{}), closing: make(chan struct{})}
}

func (s *Stack) start(ctx context.Context, opts Options, source, state string) error {
	cache, err := cacheDir(opts.Cache)
	if err != nil {
		return err
	}
	s.info.State = state
	switch opts.Gitea {
	case "":
	case GiteaReal, GiteaOnly:
		if err := s.startGitea(ctx, source, cache, state, opts.Progress); err != nil {
			return err
		}
	default:
		return fmt.Errorf("unknown kind of Gitea %q: want %s or %s", opts.Gitea, GiteaReal, GiteaOnly)
	}
	if opts.Gitea == GiteaOnly {
		return s.writeInfo()
	}
	return s.startCluster(ctx, opts, source, cache, state)
}

func (s *Stack) startCluster(ctx context.Context, opts Options, source, cache, state string) error {
	kube, kwok, version, err := binaries(source)
	if err != nil {
		return err
	}
	kwokPath, nodes := "", realParts{}
	switch opts.Nodes {
	case "", Simulated:
		opts.Nodes, s.nodes = Simulated, simulatedNodes
	case Real:
		// What is missing is said before a build of minutes.
		if nodes, err = prepareRealNodes(ctx, opts, source, cache); err != nil {
			return err
		}
	default:
		return fmt.Errorf("unknown kind of nodes %q: it must be %s or %s", opts.Nodes, Simulated, Real)
	}
	kubePath, err := kube.ensure(ctx, source, cache, opts.Progress)
	if err != nil {
		return err
	}
	if opts.Nodes == Simulated {
		if kwokPath, err = kwok.ensure(ctx, source, cache, opts.Progress); err != nil {
			return err
		}
	}
	plan, err := newPlan(state, kubePath, kwokPath, version)
	if err != nil {
		return err
	}
	if opts.Nodes == Real {
		if err := s.claimMachine(ctx, opts, plan, nodes); err != nil {
			return err
		}
	}
	s.ports, s.caFile = plan.ports, plan.pki.caFile()
	s.info.Version, s.info.AdminKubeconfig, s.info.Kubectl = version, plan.kubeconfig, plan.kubectl()
	s.info.Server = loopbackURL(plan.ports.api)
	s.info.Nodes, s.info.Workloads = opts.Nodes, nodes.workloads()
	if s.api, err = newAPI(s.info.Server, plan.pki.pem, plan.admin); err != nil {
		return err
	}
	end := opts.Progress.Step("starting " + kube.what)
	err = s.bringUp(ctx, plan)
	end(err)
	return err
}

// bringUp starts the components in the order in which they need each other.
func (s *Stack) bringUp(ctx context.Context, plan *plan) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, errors.New("not ready within 2 minutes"))
	defer cancel()
	// The API server waits for etcd by itself, and its own start takes longer: both at once.
	if err := s.launch(plan, "etcd", plan.etcdArgs()); err != nil {
		return err
	}
	if err := s.launch(plan, "kube-apiserver", plan.apiServerArgs()); err != nil {
		return err
	}
	if err := s.await(ctx, "API server", s.apiReady); err != nil {
		return err
	}
	for _, c := range []struct {
		name string
		argv []string
	}{
		{"kube-controller-manager", plan.controllerArgs()},
		{"kube-scheduler", plan.schedulerArgs()},
	} {
		if err := s.launch(plan, c.name, c.argv); err != nil {
			return err
		}
	}
	startNodes := s.startSimulatedNodes
	if plan.real != nil {
		startNodes = s.startRealNodes
	}
	if err := startNodes(ctx, plan); err != nil {
		return err
	}
	if err := s.await(ctx, "nodes", s.nodesReady); err != nil {
		return err
	}
	if err := s.await(ctx, "controllers", s.controllersReady); err != nil {
		return err
	}
	if err := s.await(ctx, "scheduler", s.schedulerReady); err != nil {
		return err
	}
	return s.writeInfo()
}

// startSimulatedNodes starts kwok and gives it nodes.
func (s *Stack) startSimulatedNodes(ctx context.Context, plan *plan) error {
	if err := writeKwokConfig(plan); err != nil {
		return err
	}
	if err := createLogsKind(ctx, s.api); err != nil {
		return err
	}
	if err := s.launch(plan, "kwok", plan.kwokArgs()); err != nil {
		return err
	}
	return createNodes(ctx, s.api, plan)
}

// launch starts a component and watches that it stays.
func (s *Stack) launch(plan *plan, name string, argv []string) error {
	p, err := s.launcher.start(name, plan.path("logs"), plan.env(), argv...)
	if err != nil {
		return err
	}
	s.watch(p)
	return nil
}

// watch counts a process among the components: its end is a failure of the stack.
func (s *Stack) watch(p *process) {
	s.processes = append(s.processes, p)
	go func() {
		<-p.done
		s.componentEnded(p)
	}()
}

// await polls a readiness check and gives up at once when a component has ended.
func (s *Stack) await(ctx context.Context, what string, check func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-s.failed:
			cancel(s.err)
		case <-ctx.Done():
		}
	}()
	err := pollLast(ctx, 50*time.Millisecond, func() error { return check(ctx) })
	if err == nil {
		return nil
	}
	select {
	case <-s.failed:
		return s.err // without the "last" of the check: the component's own words are the cause
	default:
		return fmt.Errorf("wait for %s: %w", what, err)
	}
}

// Info says where the cluster is.
func (s *Stack) Info() Info { return s.info }

// InfoFile is the path of devstack.json, the value for the variable DEVSTACK.
func (s *Stack) InfoFile() string { return filepath.Join(s.info.State, "devstack.json") }

// API is an administrator's client of the cluster.
func (s *Stack) API() *API { return s.api }

// Failed is closed when a component ended by itself; Err then says which.
func (s *Stack) Failed() <-chan struct{} { return s.failed }

// Err is nil until Failed is closed.
func (s *Stack) Err() error {
	select {
	case <-s.failed:
		return s.err
	default:
		return nil
	}
}

// Close stops the cluster and removes its data and keys; the logs stay. It returns when every process is gone.
// Further calls do nothing.
func (s *Stack) Close() {
	s.closeOnce.Do(func() {
		close(s.closing)
		s.stopAll()
		s.launcher.close()
		if s.undo != nil {
			s.undo()
		}
		if s.info.State != "" {
			clearState(s.info.State)
		}
		s.unlock()
	})
}

// stopAll ends the components, last started first. Only etcd gets time to end by itself: nothing of the others outlives
// the stack, and the API server's polite end takes a minute while watches are open.
func (s *Stack) stopAll() {
	for i := len(s.beside) - 1; i >= 0; i-- {
		s.beside[i].signal(syscall.SIGTERM)
		s.beside[i].waitGone(5 * time.Second)
	}
	s.gitea.stop(0) // its data is thrown away
	for i := len(s.processes) - 1; i >= 0; i-- {
		if s.processes[i].name != "etcd" {
			s.processes[i].signal(syscall.SIGKILL)
		}
	}
	for i := len(s.processes) - 1; i >= 0; i-- {
		s.processes[i].signal(syscall.SIGTERM)
		s.processes[i].waitGone(3 * time.Second)
	}
}

// writeInfo writes devstack.json as the last act of a start: whoever sees the file can use the cluster.
func (s *Stack) writeInfo() error {
	text, err := json.MarshalIndent(s.info, "", "  ")
	if err != nil {
		return fmt.Errorf("encode devstack.json: %w", err)
	}
	tmp := s.InfoFile() + ".tmp"
	if err := os.WriteFile(tmp, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write devstack.json: %w", err)
	}
	if err := os.Rename(tmp, s.InfoFile()); err != nil {
		return fmt.Errorf("put devstack.json in place: %w", err)
	}
	return nil
}
