package kubetest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"
)

const (
	// exampleNamespace is the app namespace that manifests/rbac.yaml is written for.
	exampleNamespace = "honeydue"
	// portal is the name of the portal's namespace and, in it, of its ServiceAccount.
	portal = "deploy-portal"
)

// applyRBAC applies manifests/rbac.yaml as an operator would for one more namespace: with that namespace's name put for
// the example's. The portal's own namespace and ServiceAccount are shared by all tests, as is its right to see nodes.
func (ns *Namespace) applyRBAC(ctx context.Context, t testing.TB) {
	t.Helper()
	ns.applyManifest(ctx, t, "rbac.yaml", func(map[string]any) {})
}

// AllowSecrets applies manifests/secrets-optin.yaml with these names, and waits until the portal may get them.
func (ns *Namespace) AllowSecrets(t testing.TB, names ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ns.applyManifest(ctx, t, "secrets-optin.yaml", func(object map[string]any) {
		if rules, ok := object["rules"].([]any); ok {
			rules[0].(map[string]any)["resourceNames"] = names
		}
	})
	for _, name := range names {
		ns.waitForRight(ctx, t, authorizationv1.ResourceAttributes{Verb: "get", Resource: "secrets", Name: name})
	}
}

// applyManifest applies a file of manifests, each object as edit leaves it.
func (ns *Namespace) applyManifest(ctx context.Context, t testing.TB, file string, edit func(map[string]any)) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(moduleRoot(t), "manifests", file))
	if err != nil {
		t.Fatalf("read manifest: %v", err)
	}
	for _, document := range strings.Split(string(text), "\n---\n") {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatalf("decode %s: %v", file, err)
		}
		meta, _ := object["metadata"].(map[string]any)
		if meta["namespace"] == exampleNamespace {
			meta["namespace"] = ns.Name
		}
		edit(object)
		ns.apply(ctx, t, object)
	}
}

func (ns *Namespace) apply(ctx context.Context, t testing.TB, object map[string]any) {
	t.Helper()
	kind, _ := object["kind"].(string)
	meta, _ := object["metadata"].(map[string]any)
	name, _ := meta["name"].(string)
	namespace, _ := meta["namespace"].(string)
	data, err := yaml.Marshal(object)
	if err != nil {
		t.Fatalf("encode %s %s: %v", kind, name, err)
	}
	force := true
	opts := metav1.PatchOptions{FieldManager: "kubetest", Force: &force}
	core, rbac := ns.Admin.CoreV1(), ns.Admin.RbacV1()
	switch kind {
	case "Namespace":
		_, err = core.Namespaces().Patch(ctx, name, types.ApplyPatchType, data, opts)
	case "ServiceAccount":
		_, err = core.ServiceAccounts(namespace).Patch(ctx, name, types.ApplyPatchType, data, opts)
	case "Role":
		_, err = rbac.Roles(namespace).Patch(ctx, name, types.ApplyPatchType, data, opts)
	case "RoleBinding":
		_, err = rbac.RoleBindings(namespace).Patch(ctx, name, types.ApplyPatchType, data, opts)
	case "ClusterRole":
		_, err = rbac.ClusterRoles().Patch(ctx, name, types.ApplyPatchType, data, opts)
	case "ClusterRoleBinding":
		_, err = rbac.ClusterRoleBindings().Patch(ctx, name, types.ApplyPatchType, data, opts)
	default:
		t.Fatalf("a manifest has a %s: teach kubetest to apply it", kind)
	}
	if err != nil {
		t.Fatalf("apply %s %s: %v", kind, name, err)
	}
}

// waitForDefaultAccount waits for what a controller puts into a new namespace and pods need.
func (ns *Namespace) waitForDefaultAccount(ctx context.Context, t testing.TB) {
	t.Helper()
	err := wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		_, err := ns.Admin.CoreV1().ServiceAccounts(ns.Name).Get(ctx, "default", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		t.Fatalf("wait for ServiceAccount default: %v", err)
	}
}

// writePortalKubeconfig asks for a token of the portal's ServiceAccount, as a mounted one would be.
func (ns *Namespace) writePortalKubeconfig(ctx context.Context, t testing.TB) {
	t.Helper()
	hour := int64(3600)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &hour}}
	token, err := ns.Admin.CoreV1().ServiceAccounts(portal).CreateToken(ctx, portal, request, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("request token: %v", err)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["devstack"] = &clientcmdapi.Cluster{
		Server: ns.AdminConfig.Host, CertificateAuthorityData: ns.AdminConfig.CAData,
	}
	config.AuthInfos[portal] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	config.Contexts["devstack"] = &clientcmdapi.Context{Cluster: "devstack", AuthInfo: portal, Namespace: ns.Name}
	config.CurrentContext = "devstack"
	if err := clientcmd.WriteToFile(*config, ns.PortalKubeconfig); err != nil {
		t.Fatalf("write kubeconfig: %v", err)
	}
}

// waitForRights waits until the API server's authorizer has seen the new Role: it learns of it through a watch, so the
// first requests after the creation can still be refused.
func (ns *Namespace) waitForRights(ctx context.Context, t testing.TB) {
	t.Helper()
	ns.waitForRight(ctx, t, authorizationv1.ResourceAttributes{Verb: "patch", Group: "apps", Resource: "deployments"})
	ns.waitForRight(ctx, t, authorizationv1.ResourceAttributes{Verb: "list", Resource: "nodes"})
}

func (ns *Namespace) waitForRight(ctx context.Context, t testing.TB, right authorizationv1.ResourceAttributes) {
	t.Helper()
	right.Namespace = ns.Name
	client, err := kubernetes.NewForConfig(ns.PortalConfig)
	if err != nil {
		t.Fatalf("make the portal's client: %v", err)
	}
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &right}}
	err = wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		answer, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			return false, err
		}
		return answer.Status.Allowed, nil
	})
	if err != nil {
		t.Fatalf("wait for the portal's rights: %v", err)
	}
}

// moduleRoot finds the checkout: tests run in their package's folder.
func moduleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatalf("find the working directory: %v", err)
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module deployportal\n") {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod of module deployportal above the working directory")
		}
		dir = parent
	}
}
