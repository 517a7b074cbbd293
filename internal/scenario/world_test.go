package scenario_test

import (
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/clientcmd"

	"deployportal/internal/gitea/giteatest"
	"deployportal/internal/kube/kubetest"
)

// Tags of every scenario's repository: what runs at first, and what is deployed over it.
const (
	good   = "a1a1a1a"
	next   = "b2b2b2b"
	middle = "c3c3c3c" // good as well, where a scenario needs a deploy before its own
)

// deadline is progressDeadlineSeconds of the Deployments where a scenario says nothing else. Kubernetes' own 600 s would
// make kubectl, for comparison, take ten minutes to each failure.
const deadline = 60

// world is what all scenarios share.
type world struct {
	cluster *kubetest.Cluster
	gitea   *giteatest.Server
	host    string // of the registry, as it stands in image strings
	portal  *portal
	spaces  map[string]*kubetest.Namespace
	ports   map[string]int             // of the nodes, that lead to a scenario's pods
	network string                     // the first three numbers of a node's pod network
	pushed  map[string]kubetest.Pushed // by "key:tag"
	command []string                   // kubectl
	slots   chan struct{}              // how many scenarios roll out at a time
	line    *toxiproxy.Proxy           // between the portal and the API server; nil: nothing
}

// newWorld finds the cluster and starts a registry.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{cluster: kubetest.NeedKubelet(t), spaces: map[string]*kubetest.Namespace{}, pushed: map[string]kubetest.Pushed{},
		ports: map[string]int{}, slots: make(chan struct{}, 6)}
	w.command = kubectlCommand(t)
	w.gitea = giteatest.New(giteatest.Options{
		Accounts: []giteatest.Account{{Name: "portal", Token: giteaToken}},
		Public:   true, // the nodes have no credentials
	})
	server := httptest.NewServer(w.gitea.Handler())
	t.Cleanup(server.Close)
	w.host = strings.TrimPrefix(server.URL, "http://") // a loopback address: the nodes share the machine's network, and speak plain http to it
	return w
}

// push fills the registry.
func (w *world) push(t *testing.T, images []kubetest.Image) {
	t.Helper()
	for i, p := range w.cluster.Push(t, w.host, kubetest.Login{Username: "portal", Password: giteaToken}, images...) {
		w.pushed[strings.TrimPrefix(images[i].Repository, "acme/")+":"+images[i].Tag] = p
	}
}

// serve makes a namespace for every scenario's app and starts the portal over them.
func (w *world) serve(t *testing.T, binary, database string, all []scenario) *portal {
	t.Helper()
	var environments, list strings.Builder
	kubeconfig := ""
	for _, s := range all {
		key, ns := s.key, w.cluster.Namespace(t)
		w.spaces[key] = ns
		if kubeconfig == "" {
			kubeconfig = ns.PortalKubeconfig // one ServiceAccount has its rights in every namespace
			if s.apart {
				kubeconfig = w.detour(t, kubeconfig)
			}
			w.network = networkOf(t, ns)
		}
		smoke, auto := "", "hold"
		if s.smoke != nil {
			smoke = s.smoke(w, w.ports[key])
		}
		if s.goesBack {
			auto = "rollback"
		}
		fmt.Fprintf(&environments, "- {name: %s, namespace: %s, kubeconfig: %q, auto_rollback: %s}\n", key, ns.Name, kubeconfig, auto)
		fmt.Fprintf(&list, "- {name: %s, image: acme/%s, environments: [%s], workload: api, containers: [%s], %s}\n",
			key, key, key, strings.Join(append([]string{"api"}, s.containers...), ", "), smoke)
	}
	dir := t.TempDir()
	token, config := filepath.Join(dir, "token"), filepath.Join(dir, "portal.yaml")
	for name, content := range map[string]string{token: giteaToken + "\n", config: fmt.Sprintf(`
listen: %s
database: %q
gitea: {url: %q, user: portal, token_file: %q}
environments:
%sapps:
%s`, freeAddress(t), database, "http://"+w.host, token, environments.String(), list.String())} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return serve(t, binary, config)
}

// apart gives a world of the same cluster and registry whose portal has one scenario alone.
func (w *world) apart(t *testing.T, binary string, accounts []byte, s scenario) *world {
	t.Helper()
	own := *w
	own.spaces = map[string]*kubetest.Namespace{}
	database := filepath.Join(t.TempDir(), "portal.db")
	if err := os.WriteFile(database, accounts, 0o600); err != nil {
		t.Fatal(err)
	}
	own.portal = own.serve(t, binary, database, []scenario{s})
	return &own
}

// detour puts a line that can be cut between a portal and the API server, and gives the kubeconfig that leads over it.
func (w *world) detour(t *testing.T, kubeconfig string) string {
	t.Helper()
	cfg, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cfg.Clusters {
		server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
		w.line = toxiproxy.NewProxy(server, "cluster", "127.0.0.1:0", strings.TrimPrefix(c.Server, "https://"))
		if err := w.line.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.line.Stop)
		c.Server = "https://" + w.line.Listen
	}
	path := filepath.Join(t.TempDir(), "line.kubeconfig")
	if err := clientcmd.WriteToFile(*cfg, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// networkOf is where the pods of one node are, without the last number: nodes have a network of 256 addresses each.
func networkOf(t *testing.T, ns *kubetest.Namespace) string {
	t.Helper()
	nodes, err := ns.Admin.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range nodes.Items[0].Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			return a.Address[:strings.LastIndexByte(a.Address, '.')]
		}
	}
	t.Fatal("the first node has no address")
	return ""
}

// freeAddress is one that a portal can listen on again after a restart.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// imageOf is an image of an app. The app's name is in the content, so that no node has it before it is deployed there.
func imageOf(app, tag string, i kubetest.Image) kubetest.Image {
	env := map[string]string{"WORKLOAD_NAME": "acme/" + app, "WORKLOAD_VERSION": tag}
	if i.Variant != "" {
		env["WORKLOAD_VERSION"] = good // the same content
	}
	for name, value := range i.Env {
		env[name] = value
	}
	i.Repository, i.Tag, i.Env = "acme/"+app, tag, env
	return i
}

// app is the Deployment of every scenario: probes that are quick to answer, and a grace that a polite app does not need.
func app(s scenario) kubetest.Option {
	return func(d *appsv1.Deployment) {
		progress, grace := int32(deadline), int64(5)
		d.Spec.ProgressDeadlineSeconds = &progress
		d.Spec.Template.Spec.TerminationGracePeriodSeconds = &grace
		d.Spec.Template.Spec.Containers[0].StartupProbe = probe("/healthz", 30)
		d.Spec.Template.Spec.Containers[0].ReadinessProbe = probe("/api/health", 3)
		if s.template != nil {
			s.template(d, &d.Spec.Template.Spec)
		}
	}
}

func probe(path string, failures int32) *corev1.Probe {
	get := &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt32(8000)}
	return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: get}, PeriodSeconds: 1, FailureThreshold: failures}
}
