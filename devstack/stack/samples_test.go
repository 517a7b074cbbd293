package stack

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func testSamples(t *testing.T, s *Stack) {
	image := func(fill string) Image {
		return Image{Tag: "abc" + fill, Digest: "sha256:" + strings.Repeat(fill[:1], 64)}
	}
	images := map[string]Image{"api": image("1111"), "admin": image("2222"), "worker": image("3333")}
	if err := s.ApplySamples(t.Context(), "registry.test:5000", map[string]Image{"api": images["api"]}); err == nil {
		t.Error("ApplySamples without an image for admin: got no error")
	}
	if err := s.ApplySamples(t.Context(), "registry.test:5000", images); err != nil {
		t.Fatal(err)
	}
	for app, replicas := range map[string]int{"api": 3, "admin": 1, "worker": 1} {
		waitAvailable(t, s, "honeydue", app, replicas)
		var list struct{ Items []pod }
		if err := s.api.Get(t.Context(), "/api/v1/namespaces/honeydue/pods?labelSelector=app%3D"+app, &list); err != nil {
			t.Fatal(err)
		}
		if len(list.Items) != replicas {
			t.Errorf("pods of %s: got %d, want %d", app, len(list.Items), replicas)
		}
		for _, p := range list.Items {
			want := "registry.test:5000/acme/" + app + "@" + images[app].Digest
			if p.first().ImageID != want {
				t.Errorf("imageID of %s: got %q, want %q", app, p.first().ImageID, want)
			}
		}
	}
}

// testRights asks the API server for everything rbac.yaml grants and for what must stay refused, and then tries the
// worst of it with a real token.
func testRights(t *testing.T, s *Stack) {
	text, err := os.ReadFile(filepath.Join("..", "..", "manifests", "rbac.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	mine, other := namespace(t, s, "rights"), namespace(t, s, "rights-other")
	if err := s.api.ApplyYAML(t.Context(), strings.ReplaceAll(string(text), "namespace: honeydue", "namespace: "+mine)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the new Role to be in force", func(ctx context.Context) error {
		if !portalMay(t, s, mine, "patch", "deployments.apps") {
			return errors.New("patch is still refused")
		}
		if !portalMay(t, s, "", "list", "nodes") {
			return errors.New("to list nodes is still refused")
		}
		return nil
	})
	verbs := []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}
	granted := map[string]string{ // resource -> verbs; what is missing here must be refused
		"deployments.apps": "get list watch patch", "replicasets.apps": "get list watch", "pods": "get list watch",
		"events": "get list watch", "pods/log": "get", "pods/exec": "", "pods/eviction": "", "pods/portforward": "",
		"secrets": "", "configmaps": "get", "persistentvolumeclaims": "get", "serviceaccounts": "get", "resourcequotas": "list",
		"poddisruptionbudgets.policy": "list", "horizontalpodautoscalers.autoscaling": "list",
		"services": "", "serviceaccounts/token": "",
		"deployments/scale.apps": "", "deployments/status.apps": "", "statefulsets.apps": "", "daemonsets.apps": "",
		"roles.rbac.authorization.k8s.io": "", "rolebindings.rbac.authorization.k8s.io": "", "namespaces": "",
	}
	for resource, allowed := range granted {
		for _, verb := range verbs {
			want := slices.Contains(strings.Fields(allowed), verb)
			if got := portalMay(t, s, mine, verb, resource); got != want {
				t.Errorf("may %s %s in its namespace: got %v, want %v", verb, resource, got, want)
			}
			if portalMay(t, s, other, verb, resource) {
				t.Errorf("may %s %s in another namespace", verb, resource)
			}
		}
	}
	for _, verb := range verbs { // nodes are in no namespace
		if got := portalMay(t, s, "", verb, "nodes"); got != (verb == "list") {
			t.Errorf("may %s nodes: got %v", verb, got)
		}
	}
	tryToken(t, s, mine, other)
}

// portalMay asks whether the portal's ServiceAccount may do something. Resources are written resource[/sub][.group].
func portalMay(t *testing.T, s *Stack, namespace, verb, resource string) bool {
	t.Helper()
	name, group, _ := strings.Cut(resource, ".")
	name, sub, _ := strings.Cut(name, "/")
	review := map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
		"spec": map[string]any{
			"user":   "system:serviceaccount:deploy-portal:deploy-portal",
			"groups": []string{"system:serviceaccounts", "system:serviceaccounts:deploy-portal", "system:authenticated"},
			"resourceAttributes": map[string]any{
				"namespace": namespace, "verb": verb, "group": group, "resource": name, "subresource": sub,
			},
		},
	}
	var answer struct{ Status struct{ Allowed bool } }
	if err := s.api.Create(t.Context(), "/apis/authorization.k8s.io/v1/subjectaccessreviews", review, &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Status.Allowed
}

// tryToken runs kubectl with a token of the ServiceAccount: the reviews above are only as good as the name in them.
func tryToken(t *testing.T, s *Stack, mine, other string) {
	deploy(t, s, mine, 1, repository+":abc1234", "", "")
	deploy(t, s, other, 1, repository+":abc1234", "", "")
	kubeconfig := filepath.Join(t.TempDir(), "portal.kubeconfig")
	if err := s.ServiceAccountKubeconfig(t.Context(), kubeconfig, "deploy-portal", "deploy-portal"); err != nil {
		t.Fatal(err)
	}
	const patch = `{"metadata":{"annotations":{"tried":"yes"}}}`
	for _, try := range []struct {
		args   string
		wantOK bool
	}{
		{"--namespace=" + mine + " patch deployment api --patch " + patch, true},
		{"--namespace=" + mine + " get pods,events,replicasets", true},
		{"get --raw /readyz", true},
		{"--namespace=" + mine + " get secrets", false},
		{"--namespace=" + mine + " delete deployment api", false},
		{"--namespace=" + other + " patch deployment api --patch " + patch, false},
		{"--namespace=" + other + " get pods", false},
	} {
		args := append([]string{"kubectl", "--kubeconfig=" + kubeconfig, "--cache-dir=" + t.TempDir()}, strings.Fields(try.args)...)
		out, err := exec.CommandContext(t.Context(), s.info.Kubectl[0], args...).CombinedOutput()
		forbidden := strings.Contains(string(out), "Forbidden")
		if try.wantOK != (err == nil) || try.wantOK == forbidden {
			t.Errorf("kubectl %s: got %v, want success %v:\n%s", try.args, err, try.wantOK, out)
		}
	}
}
