package scenario_test

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"deployportal/internal/kube/kubetest"
)

// scenario is one way for a rollout to go.
type scenario struct {
	key, name  string
	replicas   int32                           // 0: 2
	next       kubetest.Image                  // what is deployed over the good image
	containers []string                        // more that the deploy sets the image of
	smoke      func(w *world, port int) string // the app's smoke probes, as they are configured; port is its own on every node
	goesBack   bool                            // the portal answers a failure with a rollback
	apart      bool                            // it has a portal of its own, since something is done to it
	template   func(*appsv1.Deployment, *corev1.PodSpec)
	before     func(*stage) // before the Deployment is made
	ready      func(*stage) // when the good image serves, before the click
	after      func(*stage) // after the click

	status   string         // as the page says it
	title    string         // of the cause; empty: none is shown
	sentence *regexp.Regexp // of the outcome
	named    time.Duration  // from the click until the page names the cause, on an idle machine; 0: definite
	within   time.Duration  // from the click to the verdict, likewise
	keeps    bool           // the pods that served before serve still
	shows    []string       // more that the outcome must say
	then     func(*stage)   // after the verdict and kubectl's
	no       []string       // what the page must not say
}

// stage is one scenario as it is played.
type stage struct {
	t      *testing.T
	w      *world
	s      scenario
	ns     *kubetest.Namespace
	tag    string // what is deployed
	id     int64
	before []string // UIDs of the pods that served before the click
}

// over is the word at the head of a deploy's page when it is over.
var over = []string{"Succeeded", "Failed", "Errored", "Superseded"}

func (w *world) play(t *testing.T, s scenario) result {
	st := &stage{t: t, w: w, s: s, ns: w.spaces[s.key], tag: next}
	w.slots <- struct{}{}
	free := func() { <-w.slots }
	defer func() { free() }()

	if s.before != nil {
		s.before(st)
	}
	replicas := s.replicas
	if replicas == 0 {
		replicas = 2
	}
	st.ns.CreateDeployment(t, "api", replicas, w.pinned(s.key, good), app(s))
	st.ns.WaitDeployment(t, "api", "available", kubetest.Available)
	slowly(t, time.Minute, "the portal sees the app", func() bool {
		return strings.Contains(w.portal.get(t, st.url()).text("main"), "Healthy")
	})
	if s.ready != nil {
		s.ready(st)
	}
	st.before = st.pods()

	id, clicked := w.portal.confirm(t, st.url()+"/confirm?image="+st.tag)
	st.id = id
	kubectl := st.rolloutStatus(clicked)
	if s.after != nil {
		s.after(st)
	}
	var p *page
	r, shown := result{scenario: s}, map[string]time.Duration{}
	slowly(t, 3*time.Minute, fmt.Sprintf("deploy %d is over", id), func() bool {
		p = w.portal.get(t, fmt.Sprintf("/deploys/%d", id))
		r.took, r.status = time.Since(clicked), p.text("#deploy-head .kicker .st")
		_, r.title, _ = strings.Cut(p.text("#deploy-outcome > .st"), ": ")
		if _, known := shown[r.title]; !known {
			shown[r.title] = r.took
		}
		return slices.Contains(over, r.status)
	})
	r.sentence, r.named = p.text("#deploy-why"), shown[r.title]
	st.judge(p, r)
	st.shoot(p.path)
	r.sentence = strings.ReplaceAll(r.sentence, st.ns.Name, "NAMESPACE")
	free()
	free = func() {} // waiting for kubectl takes no place
	r.kubectl = <-kubectl
	if s.then != nil {
		s.then(st)
	}
	return r
}

// judge compares what the page says with what it should say.
func (st *stage) judge(p *page, r result) {
	t, s := st.t, st.s
	said := r.sentence
	if r.status == "Succeeded" {
		said = p.text("main") // a success has no outcome to explain
	}
	if r.status != s.status || r.title != s.title || !s.sentence.MatchString(said) {
		t.Errorf("the page says\n\t%s: %s: %s\nwant\n\t%s: %s: %s\n%s", r.status, r.title, said, s.status, s.title, s.sentence, p.text("main"))
	}
	for _, text := range s.shows {
		if !strings.Contains(p.text("main"), text) {
			t.Errorf("the page does not say %q:\n%s", text, p.text("main"))
		}
	}
	for _, text := range s.no {
		if strings.Contains(p.text("main"), text) {
			t.Errorf("the page says %q:\n%s", text, p.text("main"))
		}
	}
	named := s.named
	if named == 0 {
		named = definite
	}
	if r.title == "" {
		r.named = 0 // nothing is to be named
	}
	for what, d := range map[string]struct{ took, limit time.Duration }{"the verdict": {r.took, s.within}, "the cause": {r.named, named}} {
		if limit := time.Duration(*slack * float64(d.limit)); d.took > limit {
			t.Errorf("%s took %.1f s, want at most %v: %g times its bound", what, d.took.Seconds(), limit, *slack)
		}
	}
	if after := st.pods(); s.keeps && !subset(st.before, after) {
		t.Errorf("pods %v served before; %v do now", st.before, after)
	}
	if t.Failed() {
		t.Log(st.ns.Kubectl(t, "get", "pods,events", "--output=wide"))
	}
}

func subset(a, b []string) bool {
	return !slices.ContainsFunc(a, func(s string) bool { return !slices.Contains(b, s) })
}

func (st *stage) url() string { return "/apps/" + st.s.key + "/" + st.s.key }

// pinned is the image string of a tag as the portal writes it.
func (w *world) pinned(key, tag string) string {
	p := w.pushed[key+":"+tag]
	return p.Reference + "@" + p.Digest
}

// pods gives the UIDs of the pods that serve.
func (st *stage) pods() (uids []string) {
	st.t.Helper()
	list, err := st.ns.Admin.CoreV1().Pods(st.ns.Name).List(st.t.Context(), metav1.ListOptions{})
	if err != nil {
		st.t.Fatal(err)
	}
	for _, p := range list.Items {
		if p.DeletionTimestamp == nil && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		}) {
			uids = append(uids, string(p.UID))
		}
	}
	return uids
}

// live reads the Deployment from the API server.
func (st *stage) live() *appsv1.Deployment {
	st.t.Helper()
	d, err := st.ns.Admin.AppsV1().Deployments(st.ns.Name).Get(st.t.Context(), "api", metav1.GetOptions{})
	if err != nil {
		st.t.Fatal(err)
	}
	return d
}

func (st *stage) kubectl(args ...string) { st.t.Helper(); st.ns.Kubectl(st.t, args...) }

// verdict is what kubectl says, and when.
type verdict struct {
	words string
	took  time.Duration
}

// rolloutStatus runs "kubectl rollout status" from the moment on at which the deploy's patch is there.
func (st *stage) rolloutStatus(clicked time.Time) <-chan verdict {
	st.t.Helper()
	slowly(st.t, time.Minute, "the patch is there", func() bool {
		return st.live().Annotations["deploy-portal/deploy-id"] == fmt.Sprint(st.id)
	})
	argv := st.w.kubectl(st.ns.Name, "rollout", "status", "deployment/api", "--timeout=90s")
	done := make(chan verdict, 1)
	cmd := exec.CommandContext(st.t.Context(), argv[0], argv[1:]...)
	go func() {
		out, _ := cmd.CombinedOutput() // its words say how it ended
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		done <- verdict{lines[len(lines)-1], time.Since(clicked)}
	}()
	return done
}
