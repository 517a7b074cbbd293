package scenario_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"deployportal/internal/gitea/giteatest"
)

// placed are pods that the cluster does not take.
func placed() []scenario {
	return []scenario{
		{key: "quota", name: "quota exceeded", keeps: true, within: 20 * time.Second,
			ready:  func(st *stage) { st.fillQuota(2) },
			status: "Failed", title: "Quota exceeded",
			sentence: says(`^Kubernetes refuses to create the pods: pods "api-[a-z0-9-]+" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2\.$`)},
		{key: "quota-goes-on", name: "quota is full, the old pods make room", within: time.Minute, ready: func(st *stage) { st.fillQuota(2) }, after: askAgain,
			template: func(d *appsv1.Deployment, _ *corev1.PodSpec) {
				one := intstr.FromInt32(1)
				d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxSurge: &one, MaxUnavailable: &one}
			},
			status: "Succeeded", sentence: says(`2 of 2 pods run ` + next + ` and stayed well for 10 s\.`)},
		{key: "admission", name: "an admission policy refuses the pods", keeps: true, within: 20 * time.Second, ready: refusePods,
			status: "Failed", title: "Pods are refused",
			sentence: says(`^Kubernetes refuses to create the pods: pods "api-[a-z0-9-]+" is forbidden: ValidatingAdmissionPolicy '\S+' with binding '\S+' denied request: images must be signed\.$`)},
		{key: "unschedulable", name: "no node takes it (deadline 20 s)", keeps: true, within: 25 * time.Second,
			before: func(st *stage) { st.label(`"yes"`) }, ready: func(st *stage) { st.label("null") },
			template: func(d *appsv1.Deployment, p *corev1.PodSpec) {
				d.Spec.ProgressDeadlineSeconds = seconds(20)
				p.NodeSelector = map[string]string{"scenario": "yes"}
			},
			status: "Failed", title: "No node takes the pod",
			sentence: says(`^No progress for 20 s\. Pod [a-z0-9]{5} waits for a node: 0/2 nodes are available: 2 node\(s\) didn't match Pod's node affinity/selector\.$`)},
	}
}

// meddled are rollouts that somebody touches.
func meddled() []scenario {
	slow := image("START_DELAY", "5s")
	return []scenario{
		{key: "paused", name: "paused while it rolls out, and resumed", within: 40 * time.Second, next: slow, after: pauseAndResume,
			status: "Succeeded", sentence: says(`2 of 2 pods run ` + next + ` and stayed well for 10 s\.`), no: []string{"not proven"}},
		{key: "scaled", name: "kubectl scale while it rolls out", within: 40 * time.Second, next: slow,
			after:  func(st *stage) { st.rolling(); st.kubectl("scale", "deployment/api", "--replicas=3") },
			status: "Succeeded", sentence: says(`3 of 3 pods run ` + next + ` and stayed well for 10 s\.`), no: []string{"not proven"}},
		{key: "recreate", name: "the old pods go first (Recreate)", within: 40 * time.Second, next: slow,
			template: recreate, status: "Succeeded", sentence: says(`2 of 2 pods run ` + next + ` and stayed well for 10 s\.`)},
		{key: "overlooked", name: "Recreate while an evicted pod lies around, until it is deleted", within: time.Minute, ready: leaveEndedPod, after: clearWhenNamed,
			template: recreate, status: "Succeeded", sentence: says(`2 of 2 pods run ` + next + ` and stayed well for 10 s\.`)},
		{key: "evicted", name: "a node ends a new pod, which is replaced", within: 45 * time.Second, next: slow, after: endOnePod,
			status: "Succeeded", sentence: says(`2 of 2 pods run ` + next + ` and stayed well for 10 s\.`)},
		{key: "mirror", name: "a webhook gives the pods another image", keeps: true, within: definite, ready: func(st *stage) { rewriteImages(st) },
			status: "Failed", title: "Another image",
			sentence: says(`^Container api of ` + pod + ` was given the image \S+:` + good + `@sha256:\w{7} instead of \S+:` + next + `@sha256:\w{7}, by an admission webhook perhaps\.$`)},
		{key: "set-image", name: "kubectl set image while it rolls out", within: 30 * time.Second, next: slow, after: setImage,
			status: "Superseded", sentence: says(`^api was changed by kubectl-set at \d\d:\d\d:\d\d UTC\.$`)},
		{key: "undo", name: "kubectl rollout undo while it rolls out", within: 30 * time.Second, next: slow, after: undo,
			status: "Superseded", sentence: says(`^api was changed by kubectl at \d\d:\d\d:\d\d UTC\.$`)},
		{key: "rollback", name: "rolled back while it hangs", keeps: true, within: 20 * time.Second, next: image("STATUS", "/api/health=503"),
			after: rollBackNow, status: "Superseded", sentence: says(`^Replaced by a rollback of ana\.$`)},
	}
}

func recreate(d *appsv1.Deployment, _ *corev1.PodSpec) {
	d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
}

// rollBackNow clicks as soon as the page shows the probe that fails, and checks that the pods which served have not been
// touched when the rollback has succeeded.
func rollBackNow(st *stage) {
	var p *page
	slowly(st.t, time.Minute, "the page shows the failing probe", func() bool {
		p = st.page(st.id)
		return strings.Contains(p.text("#deploy-outcome"), "GET /api/health on port 8000 gave HTTP 503")
	})
	link := p.doc.Find("a.btn.danger")
	if link.Text() != "Roll back now" {
		st.t.Fatalf("the act is %q", link.Text())
	}
	id, clicked := st.w.portal.confirm(st.t, link.AttrOr("href", ""))
	st.ended(id, "Succeeded")
	if took := time.Since(clicked); took > 2*stable {
		st.t.Errorf("the rollback took %.1f s; its pods were there", took.Seconds())
	}
	if after := st.pods(); !subset(st.before, after) || len(after) != len(st.before) {
		st.t.Errorf("pods %v served before, %v after the rollback", st.before, after)
	}
}

func (st *stage) page(id int64) *page { return st.w.portal.get(st.t, fmt.Sprintf("/deploys/%d", id)) }

// ended waits until a deploy is over.
func (st *stage) ended(id int64, status string) {
	st.t.Helper()
	var p *page
	slowly(st.t, 2*time.Minute, fmt.Sprintf("deploy %d is over", id), func() bool {
		p = st.page(id)
		return slices.Contains(over, p.text("#deploy-head .kicker .st"))
	})
	if word := p.text("#deploy-head .kicker .st"); word != status {
		st.t.Fatalf("deploy %d: %s, want %s:\n%s", id, word, status, p.text("main"))
	}
}

// deleteAtPull deletes the tag in the moment in which a node asks for the image: the portal has resolved it by then.
func deleteAtPull(st *stage) { st.atPull(func(image, tag string) { st.w.gitea.DeleteTag(image, tag) }) }

// overwriteAtPull pushes something else under the tag in that moment.
func overwriteAtPull(st *stage) {
	var once sync.Once
	st.atPull(func(image, tag string) {
		once.Do(func() { st.w.gitea.PushImage(image, tag, giteatest.MultiArch()) })
	})
}

// cutAtPull breaks the connection of every node that asks.
func cutAtPull(st *stage) { st.atPull(func(string, string) { panic(http.ErrAbortHandler) }) }

// atPull calls f whenever a node asks for the image that is deployed, before the answer.
func (st *stage) atPull(f func(image, tag string)) {
	image, tag := "acme/"+st.s.key, st.tag
	digest := st.w.pushed[st.s.key+":"+tag].Digest
	st.w.gitea.Intercept(func(w http.ResponseWriter, r *http.Request, onward http.Handler) {
		if strings.HasPrefix(r.UserAgent(), "containerd/") && strings.HasSuffix(r.URL.Path, image+"/manifests/"+digest) {
			f(image, tag)
		}
		onward.ServeHTTP(w, r)
	})
}

// pullSecret makes the Secret with which nodes sign in to the registry.
func (st *stage) pullSecret(password string) {
	st.t.Helper()
	auth := base64.StdEncoding.EncodeToString([]byte("portal:" + password))
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "registry"}, Type: corev1.SecretTypeDockerConfigJson,
		Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, st.w.host, auth))}}
	secrets := st.ns.Admin.CoreV1().Secrets(st.ns.Name)
	if _, err := secrets.Create(st.t.Context(), secret, metav1.CreateOptions{}); err == nil {
		return
	}
	if _, err := secrets.Update(st.t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		st.t.Fatal(err)
	}
}

// fillQuota lets no more pods into the namespace than there are, once those that end have gone.
func (st *stage) fillQuota(pods int) {
	st.t.Helper()
	st.kubectl("create", "quota", "small", fmt.Sprintf("--hard=pods=%d", pods))
	slowly(st.t, time.Minute, "the quota is counted", func() bool {
		q, err := st.ns.Admin.CoreV1().ResourceQuotas(st.ns.Name).Get(st.t.Context(), "small", metav1.GetOptions{})
		return err == nil && q.Status.Used.Pods().Value() == int64(pods)
	})
}

// label sets a label of every node, or takes it away.
func (st *stage) label(value string) {
	st.t.Helper()
	nodes, err := st.ns.Admin.CoreV1().Nodes().List(st.t.Context(), metav1.ListOptions{})
	if err != nil {
		st.t.Fatal(err)
	}
	for _, n := range nodes.Items {
		patch := []byte(`{"metadata":{"labels":{"scenario":` + value + `}}}`)
		if _, err := st.ns.Admin.CoreV1().Nodes().Patch(st.t.Context(), n.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			st.t.Fatal(err)
		}
	}
}
