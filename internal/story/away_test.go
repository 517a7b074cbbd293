package story_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"deployportal/internal/kube/kubetest"
)

// TestGiteaDown: pages work, a deploy says what is missing, and the way back needs no registry.
func TestGiteaDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.ana.deploy(v2)
	w.over(first, "succeeded", "")
	form := w.ana.get(confirmPath(v3))

	w.gitea.SetDown(true)
	w.ana.get("/").says(200, "main", v2)
	w.until("the app's list to be too old to be shown as it is", func() bool {
		return strings.Contains(w.ana.get("/apps/prod/api").text("#app-registry"), "Gitea at "+w.host)
	})
	w.ana.get("/apps/prod/api/history").says(200, "main", "deploy 1")
	p := w.ana.get(confirmPath(v3))
	p.says(200, "main", "A deploy needs the registry's word for the image. A rollback does not: it works without the registry.")
	if p.doc.Find(confirmForm+" button").Length() != 0 {
		t.Error("the page has a button though the image is not known")
	}
	w.refused(form, nil, 503, "cannot be reached")

	back := w.ana.ask(fmt.Sprintf("/apps/prod/api/confirm?rollback_to=%d&before=1", first)).deployID()
	w.over(back, "succeeded", "2 of 2 pods run "+v1)
	w.gitea.SetDown(false)
	w.runs(w.pinned(v1))
	w.thenDeploys(v3)
}

// TestClusterDownAtStart: the portal starts, says what it cannot see, and recovers by itself.
func TestClusterDownAtStart(t *testing.T) {
	t.Parallel()
	w := newStage(t)
	w.ns.CreateDeployment(t, "api", 2, w.pinned(v1), kubetest.WithoutProbes())
	w.gate.close()
	w.start()
	w.ana = w.signIn("ana", passwordOfAna)
	w.until("the board to say it", func() bool { return w.ana.get("/").shows("The cluster cannot be reached since ") })
	w.ana.get("/").says(200, "main", "Deploys of these apps are refused until then.")
	w.ana.get(confirmPath(v2)).says(200, "main", "A deploy is possible once the cluster is seen again.")
	if p := w.anyone().send(http.MethodGet, "/readyz", nil); p.status != 200 || !strings.Contains(p.body, "prod: stale since") {
		t.Errorf("readyz: %d %q", p.status, p.body)
	}
	w.gate.open()
	w.ns.WaitDeployment(t, "api", "available", kubetest.Available)
	w.thenDeploys(v2)
}

// TestClusterLostInMidRollout: unknown, never failed; when the cluster is back the verdict is the right one.
func TestClusterLostInMidRollout(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ tag, status, sentence string }{
		"to succeed": {v2, "succeeded", "2 of 2 pods run " + v2},
		"to fail":    {crashes, "failed", "ended with exit code 2 and was started again "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world) { w.stability = "3s" }, probes(0))
			id := w.ana.deploy(c.tag)
			w.until("the patch to be recorded", func() bool { return w.row(id).patched })
			form := w.ana.get(confirmPath(v3))
			w.gate.close()
			path := fmt.Sprintf("/deploys/%d", id)
			w.until("the page to say unknown", func() bool {
				return strings.HasPrefix(w.ana.get(path).text("#deploy-head .kicker .st"), "Unknown since ")
			})
			w.ana.get(path).says(200, "#deploy-stale", "The cluster cannot be reached since ")
			w.refused(form, nil, 503, "The cluster cannot be reached since ")
			if r := w.row(id); r.over {
				t.Errorf("over while nothing is known: %+v", r)
			}
			w.gate.open()
			w.over(id, c.status, c.sentence)
			w.whole()
		})
	}
}

// TestAnswerLost: the patch lands, its answer does not come back, and the portal lives: it finds out by reading.
func TestAnswerLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h := w.gate.hold(isPatch, true)
	id := w.ana.deploy(v2)
	w.reached(h)
	h.drop()
	w.over(id, "succeeded", "2 of 2 pods run "+v2)
	if n := len(w.gate.patches()); n != 1 {
		t.Errorf("%d patches, want 1: it was not sent again", n)
	}
	w.thenDeploys(v3)
}

// TestNoRight: what the portal may not do is named by verb and kind, nothing changes, and giving it back is enough.
func TestNoRight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.scene(t, "patch deployments", func() {
		back := w.without("patch", "deployments")
		id := w.ana.deploy(v2)
		w.over(id, "errored", "The portal may not patch deployments in "+w.ns.Name+".")
		w.ana.get(fmt.Sprintf("/deploys/%d", id)).says(200, "main", "Nothing was changed in the cluster.")
		w.runs(w.pinned(v1))
		back()
		w.thenDeploys(v2)
	})
	w.scene(t, "watch events", func() {
		back := w.without("list", "events")
		w.kill() // open watches outlive their right
		w.start()
		w.seen()
		w.thenDeploys(v3)
		back()
	})
	w.scene(t, "list pods", func() {
		form := w.ana.get(confirmPath(v1))
		back := w.without("list", "pods")
		w.kill()
		w.start()
		const sentence = "The portal may not list pods in "
		w.until("the board to say it", func() bool { return w.ana.get("/").shows(sentence + w.ns.Name) })
		w.ana.get("/").says(200, "main", "kubectl apply -n "+w.ns.Name+" -f manifests/rbac.yaml")
		w.refused(form, nil, 503, sentence+w.ns.Name)
		w.runs(w.pinned(v3))
		back()
		w.thenDeploys(v1)
	})
}

// without takes one right of the portal's Role away until back is called.
func (w *world) without(verb, resource string) (back func()) {
	w.t.Helper()
	roles := w.ns.Admin.RbacV1().Roles(w.ns.Name)
	role, err := roles.Get(w.t.Context(), "deploy-portal", metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	less := role.DeepCopy()
	less.Rules = nil
	for _, r := range role.Rules {
		for _, res := range r.Resources {
			for _, v := range r.Verbs {
				if res != resource || v != verb {
					one := r
					one.Resources, one.Verbs = []string{res}, []string{v}
					less.Rules = append(less.Rules, one)
				}
			}
		}
	}
	if _, err := roles.Update(w.t.Context(), less, metav1.UpdateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	w.mayNot(verb, resource, true)
	return func() {
		less.Rules = role.Rules
		less.ResourceVersion = ""
		if _, err := roles.Update(w.t.Context(), less, metav1.UpdateOptions{}); err != nil {
			w.t.Fatal(err)
		}
		w.mayNot(verb, resource, false)
	}
}

// mayNot waits until the API server acts on a changed Role.
func (w *world) mayNot(verb, resource string, want bool) {
	w.t.Helper()
	group := map[string]string{"deployments": "apps"}[resource]
	review := &authorizationv1.LocalSubjectAccessReview{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns.Name},
		Spec: authorizationv1.SubjectAccessReviewSpec{User: "system:serviceaccount:deploy-portal:deploy-portal",
			ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: w.ns.Name, Verb: verb, Group: group, Resource: resource}}}
	w.until("the right to be in force", func() bool {
		answer, err := w.ns.Admin.AuthorizationV1().LocalSubjectAccessReviews(w.ns.Name).Create(w.t.Context(), review, metav1.CreateOptions{})
		if err != nil {
			w.t.Fatal(err)
		}
		return answer.Status.Allowed != want
	})
}

// TestPolicyRefuses: the sentence of the cluster's own policy reaches the person.
func TestPolicyRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.forbidImage(v2, "not on a Friday")
	id := w.ana.deploy(v2)
	w.over(id, "errored", "The cluster refused the change: ")
	if r := w.row(id); !strings.Contains(r.sentence, "not on a Friday") {
		t.Errorf("the sentence: %s", r.sentence)
	}
	w.runs(w.pinned(v1))
	w.thenDeploys(v3)
}

// forbidImage has the API server refuse Deployments with this tag in the namespace.
func (w *world) forbidImage(tag, sentence string) {
	w.t.Helper()
	name, admin := w.ns.Name, w.ns.Admin.AdmissionregistrationV1()
	rule := admissionv1.RuleWithOperations{Operations: []admissionv1.OperationType{"UPDATE"},
		Rule: admissionv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"deployments"}}}
	policy := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: rule}}},
		Validations: []admissionv1.Validation{{Message: sentence,
			Expression: "!object.spec.template.spec.containers.exists(c, c.image.contains(':" + tag + "'))"}},
	}}
	only := &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": name}}}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: name, MatchResources: only,
			ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}}}
	if _, err := admin.ValidatingAdmissionPolicies().Create(w.t.Context(), policy, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	if _, err := admin.ValidatingAdmissionPolicyBindings().Create(w.t.Context(), binding, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = admin.ValidatingAdmissionPolicyBindings().Delete(ctx, name, metav1.DeleteOptions{}) // they match a namespace that goes away too
		_ = admin.ValidatingAdmissionPolicies().Delete(ctx, name, metav1.DeleteOptions{})
	})
	try := fmt.Appendf(nil, `{"spec":{"template":{"spec":{"containers":[{"name":"api","image":"x:%s"}]}}}}`, tag)
	w.until("the policy to be in force", func() bool {
		_, err := w.ns.Admin.AppsV1().Deployments(name).Patch(w.t.Context(), "api", types.StrategicMergePatchType, try,
			metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
		return err != nil
	})
}
