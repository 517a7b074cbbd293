// Package kubetest gives tests a real Kubernetes cluster: the one that devstack runs around "make test". Each test gets a
// namespace of its own, and in it the rights the portal has in production (manifests/rbac.yaml) beside an administrator's.
//
//	func TestApply(t *testing.T) {
//		ns := kubetest.Need(t).Namespace(t)
//		ns.Deployment(t, "api", 3, "registry.test/acme/api:abc1234")
//		...
//	}
//
// How pods behave is chosen by the image's tag: devstack/README.md has the table. Tests that want containers to run say
// NeedKubelet instead, and push images of their own:
//
//	c := kubetest.NeedKubelet(t)
//	image := c.Push(t, c.Registry(t), kubetest.Login{}, kubetest.Image{Repository: "acme/api", Tag: "0a1b2c3d"})[0]
package kubetest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"deployportal/internal/testenv"
)

// patience is how long a helper waits for the cluster before it fails the test. Simulated pods take seconds; the rest is
// for a busy machine.
const patience = 60 * time.Second

// Cluster is the cluster that DEVSTACK names.
type Cluster struct {
	kubectl   []string
	workloads []string
	config    *rest.Config
	client    kubernetes.Interface
}

// Namespace is a namespace of one test. It is deleted when the test ends.
type Namespace struct {
	Name string
	// PortalKubeconfig is the path of a kubeconfig with a token of the portal's ServiceAccount: exactly the rights of
	// manifests/rbac.yaml in this namespace.
	PortalKubeconfig string
	// PortalConfig is the same as PortalKubeconfig, loaded.
	PortalConfig *rest.Config
	// Admin has all rights in the whole cluster.
	Admin kubernetes.Interface
	// AdminConfig is what Admin was made from.
	AdminConfig *rest.Config

	kubectl []string
}

// Need returns a cluster with simulated nodes, or skips the test when it runs outside devstack. With CI=true that is a
// failure instead: a skip would look like a pass there. Inside a devstack with real nodes the test is skipped: images that
// only say how a pod is to behave cannot be pulled.
func Need(t testing.TB) *Cluster {
	t.Helper()
	return need(t, "kwok")
}

// need returns the cluster if it has that kind of nodes.
func need(t testing.TB, nodes string) *Cluster {
	t.Helper()
	path := os.Getenv("DEVSTACK")
	if path == "" {
		testenv.Skip(t, `needs devstack: run through "make test"`)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read DEVSTACK: %v", err)
	}
	var info struct {
		AdminKubeconfig string   `json:"adminKubeconfig"`
		Kubectl         []string `json:"kubectl"`
		Nodes           string   `json:"nodes"`
		Workloads       []string `json:"workloads"`
	}
	if err := json.Unmarshal(text, &info); err != nil {
		t.Fatalf("decode %s: %v", path, err)
	}
	if info.Nodes == "" {
		info.Nodes = "kwok"
	}
	if info.Nodes != nodes {
		testenv.Skip(t, fmt.Sprintf("needs devstack with --nodes=%s, and runs in one with %s: choose tests by name (TestReal...)", nodes, info.Nodes))
	}
	config := loadConfig(t, info.AdminKubeconfig)
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatalf("make administrator's client: %v", err)
	}
	return &Cluster{kubectl: info.Kubectl, workloads: info.Workloads, config: config, client: client}
}

// Namespace creates a namespace with the portal's rights in it and registers its deletion, which is not waited for.
// When it returns the rights are in force and pods can be created.
func (c *Cluster) Namespace(t testing.TB) *Namespace {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ns := &Namespace{Name: "t-" + randomHex(t), Admin: c.client, AdminConfig: c.config, kubectl: c.kubectl}
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns.Name}}
	if _, err := c.client.CoreV1().Namespaces().Create(ctx, object, metav1.CreateOptions{}); err != nil {
		t.Fatalf("create namespace: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // t.Context has ended by now
		defer cancel()
		if err := c.client.CoreV1().Namespaces().Delete(ctx, ns.Name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("delete namespace %s: %v", ns.Name, err)
		}
	})
	ns.applyRBAC(ctx, t)
	ns.waitForDefaultAccount(ctx, t)
	ns.PortalKubeconfig = filepath.Join(t.TempDir(), "portal.kubeconfig")
	ns.writePortalKubeconfig(ctx, t)
	ns.PortalConfig = loadConfig(t, ns.PortalKubeconfig)
	ns.waitForRights(ctx, t)
	return ns
}

// Kubectl runs kubectl as administrator in this namespace and returns what it printed. The test fails when kubectl does.
func (ns *Namespace) Kubectl(t testing.TB, args ...string) string {
	t.Helper()
	argv := append(append([]string{}, ns.kubectl...), "--namespace="+ns.Name)
	argv = append(argv, args...)
	out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %q: %v\n%s", args, err, out)
	}
	return string(out)
}

func loadConfig(t testing.TB, path string) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatalf("load kubeconfig: %v", err)
	}
	config.QPS, config.Burst = 200, 400 // client-go's own limit of 5 a second would make tests slow, not the cluster kind
	return config
}

func randomHex(t testing.TB) string {
	t.Helper()
	b := make([]byte, 5)
	if _, err := rand.Read(b); err != nil {
		t.Fatalf("make a random name: %v", err)
	}
	return hex.EncodeToString(b)
}
