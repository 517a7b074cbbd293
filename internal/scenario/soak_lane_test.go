package scenario_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"deployportal/internal/kube/kubetest"
)

// lane is one app of the soak, in a namespace of its own. Its rollouts come one after the other.
type lane struct {
	*stage
	manifest
	current string // the tag that runs well
	count   *tally
	undo    func() // of a trouble that mend takes away
}

// tally is what the lanes have found.
type tally struct {
	mu                        sync.Mutex
	played, rollbacks, repeat int
	wrong                     []string
	took                      map[string][]time.Duration
}

func (c *tally) add(kind string, r result, want expected) (right bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.took[kind] = append(c.took[kind], r.took)
	if !want.met(r) {
		c.wrong = append(c.wrong, fmt.Sprintf("%s: the page says\n\t%s: %s: %s\nwant\n\t%s", kind, r.status, r.title, r.sentence, want))
		return false
	}
	return true
}

func (l *lane) play(t *testing.T, chapters []chapter) {
	l.stage.t = t
	for _, c := range chapters {
		l.manifest = c.manifest
		l.anew()
		for _, r := range c.rollouts {
			if !l.rollout(r) {
				l.anew()
			}
		}
	}
}

// rollout plays one and gets the lane back to where the next can begin; when the portal was wrong it cannot.
func (l *lane) rollout(r *rollout) (right bool) {
	l.tag = r.tag
	if r.kind.before != nil {
		r.kind.before(l, r)
	}
	id, clicked := l.ask(l.url() + "/confirm?image=" + r.tag)
	if r.kind.after != nil {
		l.id = id
		r.kind.after(l, r)
	}
	got := l.verdict(id, clicked)
	right = l.count.add(fmt.Sprintf("%s (%s)", r.kind.name, l.manifest), got, r.want)
	l.count.mu.Lock()
	l.count.played++
	l.count.mu.Unlock()
	if !right {
		l.t.Logf("deploy %d was judged wrong:\n%s\n%s", id, l.page(id).text("main"), l.ns.Kubectl(l.t, "get", "deployments,replicasets,pods,events", "--output=wide"))
	}
	if r.kind.mend != nil {
		r.kind.mend(l)
	}
	switch {
	case !right:
	case got.status == "Succeeded":
		l.current = r.tag
	case got.status == "Failed":
		right = l.rollBack(l.url() + "/confirm?rollback_to=last")
	}
	return right
}

// rollBack goes back to what ran well, which must succeed.
func (l *lane) rollBack(path string) (right bool) {
	id, clicked := l.ask(path)
	got := l.verdict(id, clicked)
	l.count.mu.Lock()
	l.count.rollbacks++
	l.count.mu.Unlock()
	right = l.count.add("rollback", got, well(l.replicas, l.current))
	if !right {
		l.t.Logf("rollback %d:\n%s", id, l.page(id).text("main"))
	}
	return right
}

// ask opens a confirm page and clicks, and waits until the patch is there or the deploy is over. Where the portal was
// killed before it sent the patch, the deploy says so and asks to be asked again: so it is.
func (l *lane) ask(path string) (id int64, clicked time.Time) {
	l.t.Helper()
	for range 50 {
		killed := l.w.portal.killed()
		page := l.w.portal.get(l.t, path)
		f := page.fields(l.t, "form.sheet.form")
		clicked = time.Now()
		answer := l.w.portal.send(l.t, http.MethodPost, f.action, f.values)
		var err error
		id, err = strconv.ParseInt(strings.TrimPrefix(answer.header.Get("Location"), "/deploys/"), 10, 64)
		if err != nil {
			// What runs was not seen yet, or the portal was killed and still reads the cluster: both say to come again.
			if answer.status == http.StatusServiceUnavailable && killed > 0 || answer.status == http.StatusConflict {
				slowly(l.t, time.Minute, "the portal sees the app", func() bool {
					return l.w.portal.send(l.t, http.MethodGet, "/readyz", nil).status == http.StatusOK && l.seen()
				})
				continue
			}
			l.t.Fatalf("no deploy began: %s: %d\n%s", path, answer.status, answer.text("main"))
		}
		status := ""
		slowly(l.t, time.Minute, fmt.Sprintf("the patch of deploy %d is there", id), func() bool {
			status = l.page(id).text("#deploy-head .kicker .st")
			return slices.Contains(over, status) || l.live().Annotations["deploy-portal/deploy-id"] == fmt.Sprint(id)
		})
		if status != "Errored" || l.w.portal.killed() == killed {
			return id, clicked
		}
		l.askedInVain(id)
		if strings.Contains(path, "replaces=") { // that one is over
			path = l.url() + "/confirm?rollback_to=last"
		}
	}
	l.t.Fatalf("%s: no deploy begins", path)
	return 0, time.Time{}
}

// notSent are what a portal says that was killed before its patch landed.
var notSent = says(`^(The portal stopped before applying|The portal (stopped while|lost sight of) this deploy (while it )?was being sent, and the cluster never got it)\. `)

// askedInVain counts a deploy that a kill ended, and looks whether that is true: it says so, and its patch is not there.
func (l *lane) askedInVain(id int64) {
	sentence, live := l.page(id).text("#deploy-why"), l.live().Annotations["deploy-portal/deploy-id"]
	l.count.mu.Lock()
	defer l.count.mu.Unlock()
	l.count.repeat++
	if live == fmt.Sprint(id) || !notSent.MatchString(sentence) {
		l.count.wrong = append(l.count.wrong, fmt.Sprintf("after a kill: deploy %d is errored, the Deployment has the mark of %s: %s", id, live, sentence))
	}
}

func (l *lane) verdict(id int64, clicked time.Time) result {
	l.t.Helper()
	var p *page
	slowly(l.t, 4*time.Minute, fmt.Sprintf("deploy %d is over", id), func() bool {
		p = l.page(id)
		return slices.Contains(over, p.text("#deploy-head .kicker .st"))
	})
	r := result{took: time.Since(clicked), status: p.text("#deploy-head .kicker .st"), sentence: p.text("#deploy-why")}
	_, r.title, _ = strings.Cut(p.text("#deploy-outcome > .st"), ": ")
	if r.status == "Succeeded" {
		r.sentence = p.text("main")
		if strings.Contains(r.sentence, "not proven") {
			r.title = "not proven"
		}
	}
	return r
}

// seen tells whether the portal knows how the app is, well or not.
func (l *lane) seen() bool {
	return !strings.Contains(l.w.portal.get(l.t, l.url()).text("main"), "Unknown")
}

func (l *lane) healthy() bool {
	return strings.Contains(l.w.portal.get(l.t, l.url()).text("main"), "Healthy")
}

// anew makes the Deployment anew, with the good image.
func (l *lane) anew() {
	l.t.Helper()
	ctx, deployments := l.t.Context(), l.ns.Admin.AppsV1().Deployments(l.ns.Name)
	foreground := metav1.DeletePropagationForeground
	if err := deployments.Delete(ctx, "api", metav1.DeleteOptions{PropagationPolicy: &foreground}); err != nil && !apierrors.IsNotFound(err) {
		l.t.Fatal(err)
	}
	slowly(l.t, 2*time.Minute, "the pods are gone", func() bool {
		pods, err := l.ns.Admin.CoreV1().Pods(l.ns.Name).List(ctx, metav1.ListOptions{})
		_, gone := deployments.Get(ctx, "api", metav1.GetOptions{})
		return err == nil && len(pods.Items) == 0 && apierrors.IsNotFound(gone)
	})
	makeSecret(l)
	l.ns.CreateDeployment(l.t, "api", l.replicas, l.w.pinned(l.s.key, good), l.deployment)
	l.ns.WaitDeployment(l.t, "api", "available", kubetest.Available)
	slowly(l.t, time.Minute, "the portal sees the app", l.healthy)
	l.current = good
}

// deployment makes a Deployment out of the manifest.
func (l *lane) deployment(d *appsv1.Deployment) {
	app(scenario{})(d)
	if l.recreate {
		d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	}
	d.Spec.ProgressDeadlineSeconds = &l.manifest.deadline
	c := &d.Spec.Template.Spec.Containers[0]
	c.StartupProbe = probe("/healthz", l.budget)
	if l.small {
		c.Resources.Limits = memory("64Mi")
	}
	if l.liveness {
		c.LivenessProbe = probe("/", 3)
	}
	c.Env = append(c.Env, corev1.EnvVar{Name: "DATABASE_URL", ValueFrom: &corev1.EnvVarSource{
		SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "api-env"}, Key: "DATABASE_URL"}}})
}

func makeSecret(l *lane) {
	l.t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "api-env"}, StringData: map[string]string{"DATABASE_URL": "postgres"}}
	if _, err := l.ns.Admin.CoreV1().Secrets(l.ns.Name).Create(l.t.Context(), secret, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		l.t.Fatal(err)
	}
}

func deleteSecret(l *lane, _ *rollout) { l.kubectl("delete", "secret", "api-env") }

func scaleUp(l *lane, _ *rollout) {
	l.rolling()
	l.kubectl("scale", "deployment/api", fmt.Sprintf("--replicas=%d", l.replicas+1))
}

func scaleBack(l *lane) {
	l.kubectl("scale", "deployment/api", fmt.Sprintf("--replicas=%d", l.replicas))
	l.ns.WaitDeployment(l.t, "api", "scaled back", kubetest.Available)
	slowly(l.t, time.Minute, "the portal sees the app", l.healthy)
}

func freeQuota(l *lane) { l.kubectl("delete", "quota", "small") }

// rollBackHanging goes back as soon as the page shows the probe that fails; the pods which served must not be touched.
func rollBackHanging(l *lane, _ *rollout) {
	before := l.pods()
	slowly(l.t, time.Minute, "the page shows the failing probe", func() bool {
		return strings.Contains(l.page(l.id).text("#deploy-outcome"), "GET /api/health on port 8000 gave HTTP 503")
	})
	if !l.rollBack(fmt.Sprintf("%s/confirm?rollback_to=last&replaces=%d", l.url(), l.id)) {
		return
	}
	if after := l.pods(); !subset(before, after) || len(after) != len(before) {
		l.count.mu.Lock()
		defer l.count.mu.Unlock()
		l.count.wrong = append(l.count.wrong, fmt.Sprintf("rolled back while it hangs: pods %v served before, %v after", before, after))
	}
}
