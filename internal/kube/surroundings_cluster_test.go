package kube_test

import (
	"context"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"deployportal/internal/deploys"
	"deployportal/internal/kube"
	"deployportal/internal/kube/kubetest"
	"deployportal/internal/testenv"
)

// clock can be put forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

// asked notes what is requested of an API server.
type asked struct {
	mu    sync.Mutex
	paths []string
}

func (a *asked) of(cfg *rest.Config) *rest.Config {
	own := rest.CopyConfig(cfg)
	own.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			a.mu.Lock()
			a.paths = append(a.paths, r.URL.Path)
			a.mu.Unlock()
			return next.RoundTrip(r)
		})
	})
	return own
}

// count tells how often a path with this end was asked for since the last time.
func (a *asked) count(end string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := len(a.paths)
	a.paths = slices.DeleteFunc(a.paths, func(p string) bool { return strings.HasSuffix(p, end) })
	return before - len(a.paths)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// around starts an adapter and waits for its view.
func around(t testing.TB, cfg *rest.Config, namespace string, now func() time.Time) *kube.Cluster {
	t.Helper()
	c, stop := runOptions(t, kube.Options{Now: now, RegistryHost: "git.example.org",
		Envs: []kube.Env{{Name: "prod", Namespace: namespace, Config: cfg}}})
	t.Cleanup(stop)
	until(t, c, api, "a view", func(r deploys.Rollout) bool { return fresh(r) && r.Exists })
	return c
}

const silence = "The cluster did not answer within 0.7 s."

// inTime asks until the cluster has answered in time, which on a busy machine it may not.
func inTime(t testing.TB, c *kube.Cluster, target deploys.Target) (s deploys.Surroundings) {
	t.Helper()
	testenv.Until(t, patience, "the cluster answers in time", func() bool {
		s = c.Surroundings(t.Context(), target)
		return !slices.Contains(slices.Collect(maps.Values(s.Unseen)), silence)
	})
	return s
}

// template changes the pod template of a Deployment to be.
func template(change func(*corev1.PodSpec)) kubetest.Option {
	return func(d *appsv1.Deployment) { change(&d.Spec.Template.Spec) }
}

// referring gives the one container a ConfigMap's key, and the pods a claim and a ServiceAccount.
func referring(s *corev1.PodSpec) {
	s.ServiceAccountName = "puller"
	s.Containers[0].Env = []corev1.EnvVar{
		{Name: "FLAG", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: "flags"}, Key: "flag"}}},
		{Name: "OTHER", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: "flags"}, Key: "other"}}},
		{Name: "DSN", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: "api-env"}, Key: "DSN"}}},
	}
	s.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
}

const around1 = `
{apiVersion: v1, kind: ServiceAccount, metadata: {name: puller}, imagePullSecrets: [{name: registry}]}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: flags}, data: {flag: "1"}, binaryData: {blob: AAAA}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: keep}, spec: {minAvailable: 2, selector: {matchLabels: {app: api}}}}
---
{apiVersion: v1, kind: ResourceQuota, metadata: {name: few}, spec: {hard: {pods: 2}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: grow}
spec: {maxReplicas: 3, minReplicas: 2, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: api}}
`

// applyText has kubectl apply a manifest in the namespace.
func applyText(t testing.TB, ns *kubetest.Namespace, manifest string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "manifest.yaml")
	if err := os.WriteFile(path, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	ns.Kubectl(t, "apply", "-f", path)
}

func TestClusterSurroundings(t *testing.T) {
	ns := kubetest.Need(t).Namespace(t)
	applyText(t, ns, around1)
	testenv.Until(t, patience, "the quota is counted", func() bool {
		q, err := ns.Admin.CoreV1().ResourceQuotas(ns.Name).Get(t.Context(), "few", metav1.GetOptions{})
		return err == nil && len(q.Status.Used) > 0
	})
	ns.CreateDeployment(t, "api", 2, imageOld, template(referring))
	testenv.Until(t, patience, "both pods are counted", func() bool {
		q, err := ns.Admin.CoreV1().ResourceQuotas(ns.Name).Get(t.Context(), "few", metav1.GetOptions{})
		return err == nil && q.Status.Used.Pods().Value() == 2
	})
	c := around(t, ns.PortalConfig, ns.Name, nil)
	before := time.Now()
	s := inTime(t, c, api)
	if s.At.Before(before) || s.At.After(time.Now()) {
		t.Errorf("At = %v", s.At)
	}
	same(t, "unseen", s.Unseen, map[string]string{"secrets": "The portal may not read Secrets."})
	same(t, "budgets", s.Budgets, []deploys.Budget{{Name: "keep", Allowed: 0, Says: "minAvailable 2"}})
	same(t, "quotas", s.Quotas, []deploys.Quota{{Name: "few", Resource: "pods", Used: "2", Hard: "2"}})
	same(t, "scaler", s.Scaler, "grow")
	same(t, "needs", s.Needs, []deploys.Need{
		{Kind: "ConfigMap", Name: "flags", Keys: []string{"flag"}, By: "container api, env FLAG", Exists: true},
		{Kind: "ConfigMap", Name: "flags", Keys: []string{"other"}, By: "container api, env OTHER", Exists: true, Lacks: []string{"other"}},
		{Kind: "Secret", Name: "api-env", Keys: []string{"DSN"}, By: "container api, env DSN", Unseen: "The portal may not read Secrets."},
		{Kind: "PersistentVolumeClaim", Name: "data", By: "volume data", Exists: true},
		{Kind: "Secret", Name: "registry", By: "imagePullSecrets of ServiceAccount puller", Pull: true, Unseen: "The portal may not read Secrets."},
	})
	w := s.Workload
	same(t, "claims of one node", w.Single, []string{"data"})
	if w.Replicas != 2 || w.MaxSurge != 1 || len(w.Containers) != 1 || w.Containers[0].Startup == nil || w.Containers[0].Startup.Port != 8000 {
		t.Errorf("workload = %+v", w)
	}
	if s.Unseen["nodes"] != "" || len(s.Nodes) < 3 {
		t.Errorf("nodes = %+v", s.Nodes)
	}
}

// TestClusterNodes: nodes of another architecture, and who may land on them. Its own node takes no pod of another test.
func TestClusterNodes(t *testing.T) {
	ns := kubetest.Need(t).Namespace(t)
	nodes := ns.Admin.CoreV1().Nodes()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: ns.Name, Labels: map[string]string{"only": ns.Name}},
		Spec:   corev1.NodeSpec{Taints: []corev1.Taint{{Key: "only", Value: ns.Name, Effect: corev1.TaintEffectNoExecute}}},
		Status: corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{OperatingSystem: "linux", Architecture: "arm64"}}}
	if _, err := nodes.Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := nodes.Delete(context.Background(), ns.Name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("delete node %s: %v", ns.Name, err)
		}
	})
	ns.CreateDeployment(t, "api", 0, imageOld)
	ns.CreateDeployment(t, "arm", 0, imageOld, template(func(s *corev1.PodSpec) {
		s.NodeSelector = map[string]string{"only": ns.Name}
		s.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	}))
	c := around(t, ns.PortalConfig, ns.Name, nil)
	arm := deploys.Target{App: "arm", Env: "prod"}
	until(t, c, arm, "the other workload", func(r deploys.Rollout) bool { return r.Exists })
	landing := func(target deploys.Target) (all int, own bool, platforms []string) {
		for _, n := range inTime(t, c, target).Nodes {
			if n.Fits {
				all++
				own = own || n.Name == ns.Name
				platforms = append(platforms, n.Platform)
			}
		}
		slices.Sort(platforms)
		return all, own, slices.Compact(platforms)
	}
	if all, own, _ := landing(api); all < 3 || own {
		t.Errorf("pods that tolerate nothing fit %d nodes, the tainted one: %v", all, own)
	}
	if all, own, platforms := landing(arm); all != 1 || !own || !cmp.Equal(platforms, []string{"linux/arm64"}) {
		t.Errorf("pods that choose the node fit %d nodes, it: %v, platforms %v", all, own, platforms)
	}
}

// TestClusterSurroundingsAreRemembered: whoever asks at the same time, or within a minute, costs no call; what is missing
// is looked for again soon; a fact of more than a minute is not told.
func TestClusterSurroundingsAreRemembered(t *testing.T) {
	ns := kubetest.Need(t).Namespace(t)
	ns.CreateDeployment(t, "api", 0, imageOld, template(func(s *corev1.PodSpec) {
		s.Containers[0].EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "late"}}}}
	}))
	var a asked
	var now clock
	cfg, p := through(t, ns.PortalConfig)
	c := around(t, a.of(cfg), ns.Name, now.now)
	inTime(t, c, api)
	testenv.Until(t, patience, "twenty are answered in time", func() bool {
		now.forward(kube.FactKeep)
		a.count("")
		var silent atomic.Bool
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if s := c.Surroundings(t.Context(), api); len(s.Unseen) > 0 {
					silent.Store(true)
				}
			})
		}
		all.Wait()
		return !silent.Load()
	})
	same(t, "asked by twenty", []int{a.count("/nodes"), a.count("/resourcequotas"), a.count("/configmaps/late"), a.count("/secrets")}, []int{1, 1, 1, 0})

	applyText(t, ns, "{apiVersion: v1, kind: ConfigMap, metadata: {name: late}}")
	if s := c.Surroundings(t.Context(), api); s.Needs[0].Exists {
		t.Errorf("it is there at once: is a missing one not remembered at all? %+v", s.Needs)
	}
	now.forward(kube.FactRetry)
	s := inTime(t, c, api)
	same(t, "asked after the retry", []int{a.count("/nodes"), a.count("/resourcequotas"), min(a.count("/configmaps/late"), 1)}, []int{0, 0, 1})
	if !s.Needs[0].Exists || s.Unseen["configmaps"] != "" {
		t.Errorf("needs = %+v", s.Needs)
	}
	now.forward(kube.FactRetry)
	c.Surroundings(t.Context(), api)
	same(t, "asked when all is well", a.count("/configmaps/late")+a.count("/nodes"), 0)

	p.set(swallows)
	if s := c.Surroundings(t.Context(), api); len(s.Unseen) != 0 {
		t.Errorf("what is remembered is not told: %v", s.Unseen)
	}
	now.forward(kube.FactKeep)
	begin := time.Now()
	s = c.Surroundings(t.Context(), api)
	if took := time.Since(begin); took < 600*time.Millisecond || took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	same(t, "unseen", s.Unseen, map[string]string{"nodes": silence, "budgets": silence, "quotas": silence, "scalers": silence, "configmaps": silence})
	if len(s.Nodes) > 0 || s.Needs[0].Unseen != silence {
		t.Errorf("old facts are told: %+v", s)
	}
	p.set(passes)
	until(t, c, api, "a view again", fresh)
	testenv.Until(t, patience, "all is seen again", func() bool { return len(c.Surroundings(t.Context(), api).Unseen) == 0 })
}

// TestClusterSurroundingsWithoutRights: a portal with no more rights than deploys take. Everything else stands in Unseen.
func TestClusterSurroundingsWithoutRights(t *testing.T) {
	ns := kubetest.Need(t).Namespace(t)
	ns.CreateDeployment(t, "api", 0, imageOld, template(referring))
	c := around(t, bare(t, ns), ns.Name, nil)
	s := inTime(t, c, api)
	in := " in " + ns.Name + "."
	same(t, "unseen", s.Unseen, map[string]string{
		"nodes": "The portal may not list nodes.", "budgets": "The portal may not list poddisruptionbudgets" + in,
		"quotas": "The portal may not list resourcequotas" + in, "scalers": "The portal may not list horizontalpodautoscalers" + in,
		"configmaps": "The portal may not get ConfigMap flags" + in, "volumes": "The portal may not get PersistentVolumeClaim data" + in,
		"secrets": "The portal may not read Secrets.",
	})
	for _, n := range s.Needs {
		if n.Unseen == "" || n.Exists {
			t.Errorf("need %+v", n)
		}
	}
	if len(s.Needs) != 4 || len(s.Nodes) != 0 || s.Workload.MaxUnavailable != 1 {
		t.Errorf("surroundings = %+v", s)
	}
	unknown := c.Surroundings(t.Context(), deploys.Target{App: "moon", Env: "prod"})
	same(t, "no such app", unknown.Unseen, map[string]string{"workload": "There is no Deployment moon" + in})
}

// bare is the portal before it looked around: its rights are those of a ServiceAccount of the test's.
func bare(t *testing.T, ns *kubetest.Namespace) *rest.Config {
	t.Helper()
	opts := metav1.CreateOptions{}
	meta := metav1.ObjectMeta{Name: "bare"}
	watch := []string{"get", "list", "watch"}
	role := &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"apps"}, Resources: []string{"deployments", "replicasets"}, Verbs: watch},
		{APIGroups: []string{""}, Resources: []string{"pods", "events"}, Verbs: watch}}}
	binding := &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "bare"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "bare", Namespace: ns.Name}}}
	accounts := ns.Admin.CoreV1().ServiceAccounts(ns.Name)
	if _, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: meta}, opts); err != nil {
		t.Fatal(err)
	}
	if _, err := ns.Admin.RbacV1().Roles(ns.Name).Create(t.Context(), role, opts); err != nil {
		t.Fatal(err)
	}
	if _, err := ns.Admin.RbacV1().RoleBindings(ns.Name).Create(t.Context(), binding, opts); err != nil {
		t.Fatal(err)
	}
	token, err := accounts.CreateToken(t.Context(), "bare", &authenticationv1.TokenRequest{}, opts)
	if err != nil {
		t.Fatal(err)
	}
	cfg := rest.AnonymousClientConfig(ns.PortalConfig)
	cfg.BearerToken = token.Status.Token
	return cfg
}

// BenchmarkSurroundings: all that the checks ask of a cluster, remembered. Target: under 5 ms.
func BenchmarkSurroundings(b *testing.B) {
	ns := kubetest.Need(b).Namespace(b)
	applyText(b, ns, around1)
	ns.CreateDeployment(b, "api", 0, imageOld, template(referring))
	c := around(b, ns.PortalConfig, ns.Name, nil)
	if s := inTime(b, c, api); len(s.Nodes) == 0 || len(s.Budgets) == 0 {
		b.Fatalf("surroundings = %+v", s)
	}
	for b.Loop() {
		c.Surroundings(b.Context(), api)
	}
	b.ReportMetric(float64(5*time.Millisecond), "target-ns/op")
}
