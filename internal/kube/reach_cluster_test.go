package kube_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/kube"
	"deployportal/internal/kube/kubetest"
)

// allow gives or takes a right of the portal's Role ("pods.list"; "pods" for all of a resource) and waits until the API
// server acts on it.
func allow(t *testing.T, ns *kubetest.Namespace, right string, want bool) {
	t.Helper()
	resource, verb, one := strings.Cut(right, ".")
	roles := ns.Admin.RbacV1().Roles(ns.Name)
	role, err := roles.Get(t.Context(), "deploy-portal", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	groups := map[string]string{"deployments": "apps", "replicasets": "apps"}
	var rules []rbacv1.PolicyRule // one per right
	for _, r := range role.Rules {
		for _, res := range r.Resources {
			for _, v := range r.Verbs {
				if res != resource || one && v != verb {
					rules = append(rules, rbacv1.PolicyRule{APIGroups: r.APIGroups, Resources: []string{res}, Verbs: []string{v}})
				}
			}
		}
	}
	verbs := []string{"get", "list", "watch"}
	if one {
		verbs = []string{verb}
	}
	if want {
		rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{groups[resource]}, Resources: []string{resource}, Verbs: verbs})
	}
	role.Rules = rules
	if _, err := roles.Update(t.Context(), role, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(ns.PortalConfig)
	if err != nil {
		t.Fatal(err)
	}
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: ns.Name, Verb: verbs[len(verbs)-1], Group: groups[resource], Resource: resource},
	}}
	err = wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		answer, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		return err == nil && answer.Status.Allowed == want, err
	})
	if err != nil {
		t.Fatalf("wait for %s = %v: %v", right, want, err)
	}
}

func TestClusterWithoutEvents(t *testing.T) {
	ns := kubetest.Need(t).Namespace(t)
	ns.Deployment(t, "api", 1, imageOld)
	allow(t, ns, "events", false)
	c := run(t, ns.PortalConfig, ns.Name)
	until(t, c, api, "a view", func(r deploys.Rollout) bool { return fresh(r) && len(r.Pods) == 1 })
	if err := c.Ready(api); err != nil {
		t.Errorf("Ready = %v", err)
	}
	same(t, "gaps", c.Gaps("prod"), []string{"The portal may not list events in " + ns.Name +
		": give its ServiceAccount the Role in manifests/rbac.yaml. Until then the details of pulls and probes are missing."})
}

func TestClusterWithoutPods(t *testing.T) {
	ns := kubetest.Need(t).Namespace(t)
	ns.Deployment(t, "api", 1, imageOld)
	allow(t, ns, "pods", false)
	c := run(t, ns.PortalConfig, ns.Name)
	want := "The portal may not list pods in " + ns.Name + ": give its ServiceAccount the Role in manifests/rbac.yaml."
	until(t, c, api, "the refusal", func(r deploys.Rollout) bool { return r.Exists && r.StaleWhy == want })
	err := c.Ready(api)
	same(t, "Ready", fmt.Sprint(errs.KindOf(err), ": ", errs.Public(err)), "unavailable: "+want)
	same(t, "gaps", c.Gaps("prod"), []string{want})
	allow(t, ns, "pods", true)
	until(t, c, api, "the pods", func(r deploys.Rollout) bool { return fresh(r) && len(r.Pods) == 1 })
	if err := c.Ready(api); err != nil || len(c.Gaps("prod")) != 0 {
		t.Errorf("Ready = %v, Gaps = %v", err, c.Gaps("prod"))
	}
}

func TestClusterOutOfReach(t *testing.T) {
	for name, how := range map[string]struct {
		mode int
		away time.Duration
	}{"cut": {cut, 20 * time.Second}, "swallowed": {swallows, 12 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			ns := kubetest.Need(t).Namespace(t)
			ns.Deployment(t, "api", 1, imageOld)
			cfg, p := through(t, ns.PortalConfig)
			outOfReach := goleak.IgnoreCurrent()
			c, stop := runFor(t, cfg, ns.Name)
			until(t, c, api, "a view", func(r deploys.Rollout) bool { return fresh(r) && r.Exists })

			p.set(how.mode)
			begin := time.Now()
			r := until(t, c, api, "staleness", stale)
			took := time.Since(begin)
			t.Logf("stale after %v: %s", took, r.StaleWhy)
			if took > 10*time.Second || !r.Exists {
				t.Errorf("stale after %v, view %+v", took, r)
			}
			if since := r.StaleSince; since.After(begin.Add(time.Second)) || since.Before(begin.Add(-10*time.Second)) {
				t.Errorf("StaleSince = %v, cut at %v", since, begin)
			}
			err := c.Ready(api)
			want := "unavailable: The cluster cannot be reached since " + r.StaleSince.UTC().Format("15:04 UTC") + "."
			same(t, "Ready", fmt.Sprint(errs.KindOf(err), ": ", errs.Public(err)), want)
			if _, err := c.Live(t.Context(), api); errs.KindOf(err) != errs.Unavailable {
				t.Errorf("Live = %v", err)
			}

			// What happens meanwhile is seen afterwards; a long outage has client-go wait up to a minute before it tries again.
			patch := []byte(`{"metadata":{"annotations":{"deploy-portal/deploy-id":"99"}}}`)
			if _, err := ns.Admin.AppsV1().Deployments(ns.Name).Patch(t.Context(), "api", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
				t.Fatal(err)
			}
			<-time.After(how.away)
			p.set(passes)
			begin = time.Now()
			r = until(t, c, api, "a fresh view", fresh)
			took = time.Since(begin)
			t.Logf("fresh after %v", took)
			if took > 10*time.Second || r.DeployID != 99 {
				t.Errorf("fresh after %v, deploy %d", took, r.DeployID)
			}
			if err := c.Ready(api); err != nil {
				t.Errorf("Ready = %v", err)
			}
			stop()
			if r, err := c.Rollout(api); err != nil || fresh(r) {
				t.Errorf("after the end of Run: %+v, %v", r, err)
			}
			goleak.VerifyNone(t, outOfReach, goleak.IgnoreAnyFunction("deployportal/internal/kube_test.(*proxy).serve"),
				goleak.IgnoreAnyFunction("deployportal/internal/kube_test.(*proxy).copy"))
		})
	}
}

// Connections that died without a word: something between dropped them, the API server is well.
func TestClusterDeadConnections(t *testing.T) {
	for name, spare := range map[string]int{"all": 0, "those of the watches": 1} {
		t.Run(name, func(t *testing.T) {
			ns := kubetest.Need(t).Namespace(t)
			ns.Deployment(t, "api", 1, imageOld)
			cfg, p := through(t, ns.PortalConfig)
			c := run(t, cfg, ns.Name)
			until(t, c, api, "a view", func(r deploys.Rollout) bool { return fresh(r) && r.Exists })
			p.deafen(spare)
			begin := time.Now()
			patch := []byte(`{"metadata":{"annotations":{"deploy-portal/deploy-id":"99"}}}`)
			if _, err := ns.Admin.AppsV1().Deployments(ns.Name).Patch(t.Context(), "api", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
				t.Fatal(err)
			}
			until(t, c, api, "the change", func(r deploys.Rollout) bool { return fresh(r) && r.DeployID == 99 })
			took := time.Since(begin)
			t.Logf("seen after %v", took)
			if took > 15*time.Second {
				t.Errorf("seen after %v", took)
			}
		})
	}
}

func TestClusterDiscoversApps(t *testing.T) {
	cluster := kubetest.Need(t)
	prod, staging := cluster.Namespace(t), cluster.Namespace(t)
	prod.CreateDeployment(t, "api", 0, "git.example.org/acme/api:aaaaaaa", func(d *appsv1.Deployment) {
		s := &d.Spec.Template.Spec
		s.Containers = append([]corev1.Container{{Name: "proxy", Image: "proxy:1"}}, s.Containers...)
		s.InitContainers = []corev1.Container{{Name: "migrate", Image: "git.example.org/acme/api:aaaaaaa"}, {Name: "wait", Image: "git.example.org/acme/wait:1"}}
	})
	prod.CreateDeployment(t, "redis", 0, "redis:8")
	staging.CreateDeployment(t, "admin", 0, "git.example.org/acme/web/admin:bbbbbbb")
	c, err := kube.New(kube.Options{RegistryHost: "git.example.org", Envs: []kube.Env{
		{Name: "staging", Namespace: staging.Name, Config: prod.PortalConfig}, {Name: "prod", Namespace: prod.Name, Config: prod.PortalConfig}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	defer func() { cancel(); <-done }()
	until(t, c, api, "the api", func(r deploys.Rollout) bool { return fresh(r) && r.Exists })
	until(t, c, deploys.Target{App: "admin", Env: "staging"}, "the admin", func(r deploys.Rollout) bool { return fresh(r) && r.Exists })
	same(t, "apps", c.Apps(), []deploys.App{
		{Target: deploys.Target{App: "admin", Env: "staging"}, Repository: "git.example.org/acme/web/admin", Git: "acme/web", Namespace: staging.Name,
			Workload: "admin", Containers: []string{"admin"}, Stability: 10 * time.Second, Limit: 30 * time.Minute},
		{Target: api, Repository: "git.example.org/acme/api", Git: "acme/api", Namespace: prod.Name,
			Workload: "api", Containers: []string{"api", "migrate"}, Stability: 10 * time.Second, Limit: 30 * time.Minute},
	})
	_, err = c.App(deploys.Target{App: "redis", Env: "prod"})
	same(t, "redis", sort(err), `not found: There is no app "redis" in prod; there is api.`)
}

// Without a list of apps and the right to list Deployments nobody can tell whether there is an app: it is not denied.
func TestClusterDiscoversNothingWithoutDeployments(t *testing.T) {
	ns := kubetest.Need(t).Namespace(t)
	ns.Deployment(t, "api", 1, imageOld)
	allow(t, ns, "deployments.list", false)
	c := run(t, ns.PortalConfig, ns.Name)
	want := "The portal may not list deployments in " + ns.Name + ": give its ServiceAccount the Role in manifests/rbac.yaml."
	until(t, c, api, "the refusal", func(r deploys.Rollout) bool { return r.StaleWhy == want })
	_, err := c.App(api)
	same(t, "App", sort(err), "unavailable: "+want)
	allow(t, ns, "deployments.list", true)
	until(t, c, api, "the Deployment", func(r deploys.Rollout) bool { return fresh(r) && r.Exists })
	if _, err := c.App(api); err != nil {
		t.Errorf("App = %v", err)
	}
}

func TestClusterNotThereAtTheStart(t *testing.T) {
	ns := kubetest.Need(t).Namespace(t)
	ns.Deployment(t, "api", 1, imageOld)
	cfg, p := through(t, ns.PortalConfig)
	p.set(cut)
	c := run(t, cfg, ns.Name)
	r := until(t, c, api, "the reason", func(r deploys.Rollout) bool { return strings.HasPrefix(r.StaleWhy, "The cluster cannot be reached") })
	if r.Exists || errs.KindOf(c.Ready(api)) != errs.Unavailable {
		t.Errorf("rollout %+v, Ready %v", r, c.Ready(api))
	}
	if _, err := c.App(api); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("App = %v", err)
	}
	p.set(passes)
	until(t, c, api, "a view", func(r deploys.Rollout) bool { return fresh(r) && r.Exists })
	app, err := c.App(api)
	if err != nil || app.Repository != "git.example.org/acme/api" || app.Git != "acme/api" || !slices.Equal(app.Containers, []string{"api"}) {
		t.Errorf("App = %+v, %v", app, err)
	}
}

func TestClusterNamespaceDeleted(t *testing.T) {
	ns := kubetest.Need(t).Namespace(t)
	ns.Deployment(t, "api", 1, imageOld)
	c := run(t, ns.PortalConfig, ns.Name)
	until(t, c, api, "a view", func(r deploys.Rollout) bool { return fresh(r) && r.Exists })
	ns.Kubectl(t, "delete", "deployment,replicaset,pod", "--all", "--wait=false")
	if err := ns.Admin.RbacV1().RoleBindings(ns.Name).Delete(t.Context(), "deploy-portal", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	until(t, c, api, "the end of the Deployment", func(r deploys.Rollout) bool { return !r.Exists })
	if _, err := c.Live(t.Context(), api); errs.KindOf(err) != errs.Forbidden && err != nil {
		t.Errorf("Live = %v", err)
	}
}

func TestClusterBells(t *testing.T) {
	ns := kubetest.Need(t).Namespace(t)
	ns.Deployment(t, "api", 1, imageOld)
	begin := time.Now()
	c := run(t, ns.PortalConfig, ns.Name)
	until(t, c, api, "a view", func(r deploys.Rollout) bool { return fresh(r) && r.Exists })
	t.Logf("from New to a fresh view: %v", time.Since(begin))
	bell, stop := c.Watch(api)
	defer stop()
	other, stopOther := c.Watch(deploys.Target{App: "other", Env: "prod"})
	defer stopOther()
	every, stopEvery := c.WatchAll()
	defer stopEvery()
	drain(bell, other, every)
	var took, late []time.Duration
	for i := range 200 {
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"deploy-portal/deploy-id":"%d"}}}`, i+1)
		begin := time.Now()
		if _, err := ns.Admin.AppsV1().Deployments(ns.Name).Patch(t.Context(), "api", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		answered := time.Now()
		until(t, c, api, "the change", func(r deploys.Rollout) bool { return r.DeployID == int64(i+1) })
		took, late = append(took, time.Since(begin)), append(late, time.Since(answered))
	}
	slices.Sort(took)
	slices.Sort(late)
	t.Logf("from the API server's answer to its sight: median %v, p99 %v, worst %v", late[100], late[197], late[199])
	t.Logf("from sending a change to its sight: median %v, p99 %v, worst %v", took[100], took[197], took[199])
	select {
	case <-bell:
	default:
		t.Error("the bell did not ring")
	}
	select {
	case <-every:
	default:
		t.Error("the bell for everything did not ring")
	}
	select {
	case <-other:
		t.Error("the bell of another target rang")
	default:
	}
}

func drain(bells ...<-chan struct{}) {
	for _, b := range bells {
		select {
		case <-b:
		default:
		}
	}
}
