package stack

import (
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// plan is everything a start has decided before it starts the first component.
type plan struct {
	kube, kwok string // binaries
	version    string
	state      string
	ports      ports

	pki         *pki
	admin       keyPair
	serving     keyPair // shown by every component that listens
	tokenSigner string
	kubeconfig  string
	services    netip.Prefix // addresses of Services
	real        *realPlan    // nil with simulated nodes
	tools       tools        // of real nodes
}

// realPlan is what a start with real nodes has decided.
type realPlan struct {
	nodes           []realNode
	pods            netip.Prefix
	node, images    string // binaries
	crashBackoffMax time.Duration
}

func (p *plan) path(elem ...string) string {
	return filepath.Join(append([]string{p.state}, elem...)...)
}

// newPlan chooses ports and makes keys and the administrator's kubeconfig in the state folder.
func newPlan(state, kube, kwok, version string) (*plan, error) {
	p := &plan{kube: kube, kwok: kwok, version: version, state: state, services: simulatedServices}
	p.kubeconfig = p.path("admin.kubeconfig")
	var err error
	if p.ports, err = freePorts(); err != nil {
		return nil, err
	}
	if p.pki, err = newPKI(p.path("pki")); err != nil {
		return nil, err
	}
	// The components are administrators too. Their RBAC is not what devstack is there to try, and one identity saves a
	// token request per controller at each start.
	if p.admin, err = p.pki.issue("admin", "devstack-admin", "system:masters"); err != nil {
		return nil, err
	}
	if p.serving, err = p.pki.issue("serving", "devstack", ""); err != nil {
		return nil, err
	}
	if p.tokenSigner, err = p.pki.signer(); err != nil {
		return nil, err
	}
	for _, dir := range []string{"logs", "tmp", "home"} {
		if err := os.MkdirAll(p.path(dir), 0o700); err != nil {
			return nil, err
		}
	}
	return p, writeKubeconfig(p.kubeconfig, loopbackURL(p.ports.api), p.pki.pem, p.admin.user())
}

// env keeps the components' own ideas of where to write (home, temporary files) inside the state folder.
func (p *plan) env() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + p.path("home"), "TMPDIR=" + p.path("tmp"),
		"KWOK_WORKDIR=" + p.path("home", "kwok"),
	}
}

func (p *plan) etcdArgs() []string {
	client, peer := loopbackURL(p.ports.etcd), loopbackURL(p.ports.etcdPeer)
	return []string{
		p.kube, "etcd",
		"--data-dir=" + p.path("etcd"),
		"--unsafe-no-fsync", // the data lives no longer than the process
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=default=" + peer,
		"--client-cert-auth", "--trusted-ca-file=" + p.pki.caFile(),
		"--cert-file=" + p.serving.certFile, "--key-file=" + p.serving.keyFile,
		"--peer-client-cert-auth", "--peer-trusted-ca-file=" + p.pki.caFile(),
		"--peer-cert-file=" + p.serving.certFile, "--peer-key-file=" + p.serving.keyFile,
		"--log-level=warn",
	}
}

func (p *plan) apiServerArgs() []string {
	// Pod logs are served by kwok on this machine, whatever address a node shows to people; a kubelet listens on its node's.
	addressTypes := "ExternalIP"
	if p.real != nil {
		addressTypes = "InternalIP"
	}
	return []string{
		p.kube, "kube-apiserver",
		"--etcd-servers=" + loopbackURL(p.ports.etcd), "--etcd-cafile=" + p.pki.caFile(),
		"--etcd-certfile=" + p.admin.certFile, "--etcd-keyfile=" + p.admin.keyFile,
		"--bind-address=127.0.0.1", "--secure-port=" + port(p.ports.api),
		"--tls-cert-file=" + p.serving.certFile, "--tls-private-key-file=" + p.serving.keyFile,
		"--client-ca-file=" + p.pki.caFile(), "--cert-dir=" + p.path("pki"),
		"--authorization-mode=Node,RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + p.tokenSigner, "--service-account-signing-key-file=" + p.tokenSigner,
		"--service-cluster-ip-range=" + p.services.String(),
		"--allow-privileged=true",
		// No pod ever calls back, and a loopback address is refused as an endpoint: publish none.
		"--endpoint-reconciler-type=none", "--advertise-address=192.0.2.1",
		"--kubelet-preferred-address-types=" + addressTypes,
		"--kubelet-client-certificate=" + p.admin.certFile, "--kubelet-client-key=" + p.admin.keyFile,
	}
}

func (p *plan) controllerArgs() []string {
	return append(p.clientArgs("kube-controller-manager", p.ports.controllers),
		"--service-account-private-key-file="+p.tokenSigner, "--root-ca-file="+p.pki.caFile(),
		"--use-service-account-credentials=false",
		"--kube-api-qps=200", "--kube-api-burst=400", // the defaults throttle a test suite, not a cluster of three nodes
	)
}

func (p *plan) schedulerArgs() []string {
	return append(p.clientArgs("kube-scheduler", p.ports.scheduler), "--kube-api-qps=200", "--kube-api-burst=400")
}

// clientArgs is what the controller manager and the scheduler have in common.
func (p *plan) clientArgs(component string, listen int) []string {
	return []string{
		p.kube, component,
		"--kubeconfig=" + p.kubeconfig, "--leader-elect=false",
		// Who may ask them is known here: looking it up in the cluster fails noisily in the first seconds of its life.
		"--authentication-skip-lookup", "--client-ca-file=" + p.pki.caFile(),
		"--authentication-kubeconfig=" + p.kubeconfig, "--authorization-kubeconfig=" + p.kubeconfig,
		"--bind-address=127.0.0.1", "--secure-port=" + port(listen),
		"--tls-cert-file=" + p.serving.certFile, "--tls-private-key-file=" + p.serving.keyFile,
	}
}

func (p *plan) kwokArgs() []string {
	return []string{
		p.kwok, "--config=" + p.path("kwok.yaml"), "--kubeconfig=" + p.kubeconfig, "--manage-all-nodes=true", "--enable-crds=Logs",
		"--node-lease-duration-seconds=40", "--node-ip=127.0.0.1",
		"--server-address=" + loopback(p.ports.kwok), "--node-port=" + port(p.ports.kwok),
		"--tls-cert-file=" + p.serving.certFile, "--tls-private-key-file=" + p.serving.keyFile,
	}
}

// kubectl is the command line that talks to this stack, cache included.
func (p *plan) kubectl() []string {
	return []string{p.kube, "kubectl", "--kubeconfig=" + p.kubeconfig, "--cache-dir=" + p.path("kubectl-cache")}
}
