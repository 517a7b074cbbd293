package kube_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/kube"
	"deployportal/internal/kube/kubetest"
)

const imageOld = "git.example.org/acme/api:aaaaaaa@" + digestOld

// change is a deploy of an image against what a rollout shows.
func change(r deploys.Rollout, image string) deploys.Change {
	return deploys.Change{Target: api, UID: r.UID, ResourceVersion: r.ResourceVersion, Images: map[string]string{"api": image},
		Annotations: map[string]string{"deploy-portal/deploy-id": "42", "deploy-portal/audit": "7:abc", "kubernetes.io/change-cause": "deploy 42: a~b/c"}}
}

// apply deploys an image as the domain does: a guard that failed is read again.
func apply(t *testing.T, c *kube.Cluster, image string) deploys.Applied {
	t.Helper()
	for range 10 {
		r, err := c.Live(t.Context(), api)
		if err != nil {
			t.Fatal(err)
		}
		a, err := c.Apply(t.Context(), change(r, image))
		if err == nil {
			return a
		}
		if !errors.Is(err, deploys.ErrStale) {
			t.Fatal(err)
		}
	}
	t.Fatal("the guard failed ten times")
	return deploys.Applied{}
}

// settled says that a template runs everywhere, and nothing else does.
func settled(template string) func(deploys.Rollout) bool {
	return func(r deploys.Rollout) bool {
		if !fresh(r) || r.Template != template || r.ObservedGeneration < r.Generation || r.Updated != r.Desired || r.Replicas != r.Desired ||
			r.Available != r.Desired || len(r.ReplicaSets) == 0 {
			return false
		}
		ready := 0
		for _, p := range r.Pods {
			i := slices.IndexFunc(r.ReplicaSets, func(rs deploys.ReplicaSet) bool { return rs.Name == p.ReplicaSet })
			switch {
			case !p.Live():
			case i < 0 || r.ReplicaSets[i].Template != template:
				return false
			case p.Ready:
				ready++
			}
		}
		return ready == int(r.Desired)
	}
}

func TestClusterDeployIsSeenToTheEnd(t *testing.T) {
	ns := kubetest.Need(t).Namespace(t)
	ns.Deployment(t, "api", 3, imageOld, elaborate)
	c := run(t, ns.PortalConfig, ns.Name)
	r := until(t, c, api, "the old image", func(r deploys.Rollout) bool { return fresh(r) && r.Exists && settled(r.Template)(r) })
	if err := c.Ready(api); err != nil {
		t.Fatalf("Ready = %v", err)
	}
	a := apply(t, c, imageNew)
	if a.UID != r.UID || a.Generation != r.Generation+1 || a.Template == r.Template || a.Template == "" {
		t.Errorf("Applied = %+v after %+v", a, r)
	}
	r = until(t, c, api, "the new image", settled(a.Template))
	var target deploys.ReplicaSet
	for _, rs := range r.ReplicaSets {
		if rs.Template == a.Template {
			target = rs
		}
	}
	same(t, "the ReplicaSet's deploy", []int64{r.DeployID, target.DeployID, target.Revision}, []int64{42, 42, 2})
	same(t, "who changed it", r.ChangedBy, "deploy-portal")
	for _, p := range r.Pods {
		if p.ReplicaSet != target.Name || !p.Live() {
			continue
		}
		k := p.Containers[0]
		same(t, "what runs", []string{k.Image, k.ImageID, k.State}, []string{imageNew, digestNew, "running"})
		if !k.Started || p.ReadySince.IsZero() || p.Scheduled.IsZero() || k.Pulled == "" {
			t.Errorf("pod = %+v", p)
		}
	}
	live, err := c.Live(t.Context(), api)
	if err != nil || live.Template != a.Template || live.UID != a.UID {
		t.Errorf("Live = %+v, %v", live, err)
	}
	if i, err := c.Info("prod"); err != nil || !strings.HasPrefix(i.Version, "v1.") || i.Namespace != ns.Name {
		t.Errorf("Info = %+v, %v", i, err)
	}
}

func TestClusterApplyChangesNothingElse(t *testing.T) {
	ns := kubetest.Need(t).Namespace(t)
	ns.CreateDeployment(t, "api", 1, imageOld, func(d *appsv1.Deployment) {
		s := &d.Spec.Template.Spec
		s.Containers = append(s.Containers, corev1.Container{Name: "sidecar", Image: "proxy:1", Env: []corev1.EnvVar{{Name: "A", Value: "1"}}})
		s.InitContainers = []corev1.Container{{Name: "wait", Image: "wait:1"}, {Name: "migrate", Image: imageOld, Command: []string{"m"}}}
		d.Spec.Paused = true // so that no controller writes between the two reads
	})
	client := ns.Admin.AppsV1().Deployments(ns.Name)
	before := ns.WaitDeployment(t, "api", "observed", func(d *appsv1.Deployment) bool {
		return d.Status.ObservedGeneration == d.Generation && len(d.Status.Conditions) > 0
	})
	c := run(t, ns.PortalConfig, ns.Name)
	until(t, c, api, "the Deployment", func(r deploys.Rollout) bool { return fresh(r) && r.Paused })
	r, err := c.Live(t.Context(), api)
	if err != nil {
		t.Fatal(err)
	}
	ch := change(r, imageNew)
	ch.Images["migrate"] = imageNew
	if _, err := c.Apply(t.Context(), ch); err != nil {
		t.Fatal(err)
	}
	after, err := client.Get(t.Context(), "api", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := before.DeepCopy()
	want.Spec.Template.Spec.Containers[0].Image = imageNew
	want.Spec.Template.Spec.InitContainers[1].Image = imageNew
	if want.Annotations == nil {
		want.Annotations = map[string]string{}
	}
	for k, v := range ch.Annotations {
		want.Annotations[k] = v
	}
	for _, d := range []*appsv1.Deployment{want, after} {
		d.ResourceVersion, d.Generation, d.ManagedFields, d.Status = "", 0, nil, appsv1.DeploymentStatus{}
		delete(d.Annotations, "deployment.kubernetes.io/revision")
	}
	same(t, "the Deployment", after, want)
}

func TestClusterApplyIsGuarded(t *testing.T) {
	ns := kubetest.Need(t).Namespace(t)
	ns.Deployment(t, "api", 1, imageOld)
	client := ns.Admin.AppsV1().Deployments(ns.Name)
	c := run(t, ns.PortalConfig, ns.Name)
	until(t, c, api, "a view", fresh)
	past, err := c.Live(t.Context(), api)
	if err != nil {
		t.Fatal(err)
	}
	patch := []byte(`{"metadata":{"labels":{"somebody":"else"}}}`)
	if _, err := client.Patch(t.Context(), "api", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err = c.Apply(t.Context(), change(past, imageNew)); !errors.Is(err, deploys.ErrStale) || !apierrors.IsConflict(err) {
		t.Errorf("Apply with a past guard = %v, want the API server's 409 as ErrStale", err)
	}
	unknown := past
	unknown.ResourceVersion = "1"
	if _, err = c.Apply(t.Context(), change(unknown, imageNew)); !errors.Is(err, deploys.ErrStale) {
		t.Errorf("Apply with an unknown guard = %v", err)
	}
	misspelt := change(past, imageNew)
	misspelt.Images = map[string]string{"apii": imageNew}
	_, err = c.Apply(t.Context(), misspelt)
	same(t, "a misspelt container", fmt.Sprint(errs.KindOf(err), ": ", errs.Public(err)), "invalid: The Deployment api has no container named apii; it has: api.")
	d, err := client.Get(t.Context(), "api", metav1.GetOptions{})
	if err != nil || d.Spec.Template.Spec.Containers[0].Image != imageOld || d.Annotations["deploy-portal/deploy-id"] != "" {
		t.Errorf("something was changed: %+v, %v", d, err)
	}
	none := deploys.Target{App: "nobody", Env: "prod"}
	if r, err := c.Live(t.Context(), none); err != nil || r.Exists {
		t.Errorf("Live(nobody) = %+v, %v", r, err)
	}
	if err := client.Delete(t.Context(), "api", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err = c.Apply(t.Context(), change(past, imageNew)); errs.KindOf(err) != errs.NotFound && !errors.Is(err, deploys.ErrStale) {
		t.Errorf("Apply to what is gone = %v", err)
	}
	until(t, c, api, "the end of the Deployment", func(r deploys.Rollout) bool { return !r.Exists })
}

// Of many changes guarded by the same reading exactly one lands.
func TestClusterOneOfManyLands(t *testing.T) {
	ns := kubetest.Need(t).Namespace(t)
	ns.CreateDeployment(t, "api", 0, imageOld, func(d *appsv1.Deployment) { d.Spec.Paused = true })
	ns.WaitDeployment(t, "api", "observed", func(d *appsv1.Deployment) bool {
		return d.Status.ObservedGeneration == d.Generation && len(d.Status.Conditions) > 0
	})
	c := run(t, ns.PortalConfig, ns.Name)
	until(t, c, api, "a view", fresh)
	r, err := c.Live(t.Context(), api)
	if err != nil {
		t.Fatal(err)
	}
	const many = 20
	outcomes := make(chan string, many)
	for i := range many {
		go func() {
			_, err := c.Apply(context.Background(), change(r, fmt.Sprintf("git.example.org/acme/api:%07x", i)))
			outcomes <- sort(err)
		}()
	}
	count := map[string]int{}
	for range many {
		count[<-outcomes]++
	}
	same(t, "outcomes", count, map[string]int{"none": 1, "stale": many - 1})
}

func TestClusterRollbackKeepsTheOldPods(t *testing.T) {
	ns := kubetest.Need(t).Namespace(t)
	ns.Deployment(t, "api", 3, imageOld)
	c := run(t, ns.PortalConfig, ns.Name)
	before := until(t, c, api, "the old image", func(r deploys.Rollout) bool { return fresh(r) && r.Exists && settled(r.Template)(r) })
	bad := apply(t, c, "git.example.org/acme/api:bad1bad@"+digestNew)
	until(t, c, api, "a failed readiness probe", func(r deploys.Rollout) bool {
		return slices.ContainsFunc(r.Pods, func(p deploys.Pod) bool {
			k := p.Containers[0]
			return k.Image != imageOld && k.Readiness != nil && k.Readiness.HTTP == 503 && k.Readiness.Answer == "HTTP 503"
		})
	})
	back := apply(t, c, imageOld)
	if back.Template != before.Template || back.Template == bad.Template {
		t.Errorf("templates: before %s, back %s", before.Template, back.Template)
	}
	after := until(t, c, api, "the old image again", settled(back.Template))
	same(t, "ReplicaSets", len(after.ReplicaSets), 2)
	alive := map[string]bool{}
	for _, p := range after.Pods {
		alive[p.UID] = p.Live()
	}
	for _, p := range before.Pods {
		if !alive[p.UID] {
			t.Errorf("pod %s did not survive", p.Name)
		}
	}
}

func TestClusterRefusals(t *testing.T) {
	ns := kubetest.Need(t).Namespace(t)
	ns.Deployment(t, "api", 1, imageOld)
	c := run(t, ns.PortalConfig, ns.Name)
	until(t, c, api, "a view", func(r deploys.Rollout) bool { return fresh(r) && r.Exists })

	t.Run("no image", func(t *testing.T) {
		r, err := c.Live(t.Context(), api)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Apply(t.Context(), change(r, ""))
		if errs.KindOf(err) != errs.Invalid || !strings.Contains(errs.Public(err), "Required value") {
			t.Errorf("Apply = %v", err)
		}
	})
	t.Run("a policy", func(t *testing.T) { refusedByPolicy(t, ns, c) })
	t.Run("no right to patch", func(t *testing.T) {
		allow(t, ns, "deployments.patch", false)
		_, err := applyLive(t, c, imageNew)
		same(t, "Apply", fmt.Sprint(errs.KindOf(err), ": ", errs.Public(err)), "forbidden: The portal may not patch deployments in "+ns.Name+".")
		if err := c.Ready(api); err != nil {
			t.Errorf("Ready = %v", err)
		}
	})
	t.Run("no right to get", func(t *testing.T) {
		allow(t, ns, "deployments.get", false)
		_, err := c.Live(t.Context(), api)
		same(t, "Live", fmt.Sprint(errs.KindOf(err), ": ", errs.Public(err)), "forbidden: The portal may not get deployments in "+ns.Name+".")
	})
}

func applyLive(t *testing.T, c *kube.Cluster, image string) (deploys.Applied, error) {
	t.Helper()
	r, err := c.Live(t.Context(), api)
	if err != nil {
		t.Fatal(err)
	}
	return c.Apply(t.Context(), change(r, image))
}

func refusedByPolicy(t *testing.T, ns *kubetest.Namespace, c *kube.Cluster) {
	rule := admissionv1.RuleWithOperations{Operations: []admissionv1.OperationType{"UPDATE"},
		Rule: admissionv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"deployments"}}}
	policy := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: ns.Name}, Spec: admissionv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: rule}}},
		Validations: []admissionv1.Validation{{Message: "not on a Friday",
			Expression: "!object.spec.template.spec.containers.exists(c, c.image.contains(':friday'))"}},
	}}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: ns.Name},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: ns.Name, ValidationActions: []admissionv1.ValidationAction{"Deny"},
			MatchResources: &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": ns.Name}}}}}
	admin := ns.Admin.AdmissionregistrationV1()
	if _, err := admin.ValidatingAdmissionPolicies().Create(t.Context(), policy, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	defer admin.ValidatingAdmissionPolicies().Delete(t.Context(), ns.Name, metav1.DeleteOptions{})
	if _, err := admin.ValidatingAdmissionPolicyBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	defer admin.ValidatingAdmissionPolicyBindings().Delete(t.Context(), ns.Name, metav1.DeleteOptions{})
	// The API server takes a policy up some time after it answered that it has it.
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if _, err = applyLive(t, c, "git.example.org/acme/api:friday"); err != nil && !errors.Is(err, deploys.ErrStale) {
			break
		}
	}
	if errs.KindOf(err) != errs.Invalid || !strings.Contains(errs.Public(err), "not on a Friday") {
		t.Errorf("Apply = %v, %q", err, errs.Public(err))
	}
}
