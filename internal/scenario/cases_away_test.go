package scenario_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"deployportal/internal/kube/kubetest"
)

// away are rollouts that the portal does not see to their end without a break.
func away() []scenario {
	slow := image("START_DELAY", "5s")
	return []scenario{
		{key: "api-away", name: "the API server cannot be reached for 25 s", apart: true, within: time.Minute, next: slow, after: cutOff,
			status: "Succeeded", sentence: says(`2 of 2 pods run ` + next + ` and stayed well for 10 s\.`), no: []string{"not proven", "Unknown since"}},
		{key: "killed", name: "the portal is killed while it rolls out", apart: true, within: 45 * time.Second, next: slow, after: killPortal,
			status: "Succeeded", sentence: says(`2 of 2 pods run ` + next + ` and stayed well for 10 s\.`), no: []string{"not proven"}, then: onePair},
	}
}

// cutOff takes the API server away from the portal alone, and gives it back after a while in which the page has said so.
func cutOff(st *stage) {
	st.rolling()
	st.w.line.Stop()
	gone := time.Now()
	slowly(st.t, time.Minute, "the page says unknown", func() bool {
		p := st.page(st.id)
		return strings.HasPrefix(p.text("#deploy-head .kicker .st"), "Unknown since ") && strings.Contains(p.text("#deploy-stale"), "The cluster cannot be reached since ")
	})
	slowly(st.t, time.Minute, "25 s have passed", func() bool {
		if word := st.page(st.id).text("#deploy-head .kicker .st"); slices.Contains(over, word) {
			st.t.Fatalf("%s, though the cluster cannot be seen", word)
		}
		return time.Since(gone) > 25*time.Second
	})
	if err := st.w.line.Start(); err != nil {
		st.t.Fatal(err)
	}
}

func killPortal(st *stage) {
	st.rolling()
	if err := st.w.portal.kill(); err != nil {
		st.t.Fatal(err)
	}
}

// onePair finds, in the log, who asked and how it ended, once each.
func onePair(st *stage) {
	var lines []string
	rows := st.w.portal.get(st.t, "/audit?app="+st.s.key).doc.Find("table.audit tbody td.what p.line")
	for i := range rows.Length() {
		lines = append(lines, strings.Join(strings.Fields(rows.Eq(i).Text()), " "))
	}
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "deploy succeeded for ") || !strings.HasPrefix(lines[1], "asked to deploy ") {
		st.t.Errorf("the log has %q, want who asked and that it succeeded", lines)
	}
}

// sample are what the sample team's apps are: one whose replicas queue for the lock of their migrations, one that must
// run alone, and one that is switched off.
func sample() []scenario {
	lock := ""
	alone := func(d *appsv1.Deployment, p *corev1.PodSpec) {
		recreate(d, p)
		d.Labels["deploy-portal/singleton"] = "true"
	}
	return []scenario{
		{key: "queue", name: "first deploy, replicas queue on a lock", replicas: 3, within: time.Minute,
			before: func(st *stage) { lock = st.lock() }, after: showsClock,
			template: func(d *appsv1.Deployment, p *corev1.PodSpec) {
				p.Containers[0].Env, p.Containers[0].StartupProbe = variables("WORKLOAD_LOCK", lock, "WORKLOAD_LOCK_HOLD", "3s"), probe("/healthz", 40)
				all := intstr.FromString("100%")
				d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxSurge: &all}
			},
			status: "Succeeded", sentence: says(`3 of 3 pods run ` + next + ` and stayed well for 10 s\.`), no: []string{"not proven"}},
		{key: "singleton", name: "one that must run alone (Recreate)", replicas: 1, within: 40 * time.Second, next: image("START_DELAY", "5s"),
			template: alone, ready: expectsGap, after: servesNothing, status: "Succeeded", sentence: says(`1 of 1 pod runs ` + next + ` and stayed well for 10 s\.`)},
		{key: "switched-off", name: "scaled to 0", within: definite, ready: switchOff,
			status: "Succeeded", sentence: says(`The image is set\. No pod runs it: the workload is scaled to 0\.`), shows: []string{"scaled to 0, nothing was proven"}},
	}
}

// lock sets up the service that gives one after the other their turn, and gives its URL.
func (st *stage) lock() string {
	st.t.Helper()
	st.ns.CreateDeployment(st.t, "lock", 1, st.w.pinned(st.s.key, good), func(d *appsv1.Deployment) {
		c := &d.Spec.Template.Spec.Containers[0]
		c.Env, c.StartupProbe, c.ReadinessProbe = variables("WORKLOAD_LOCK_SERVER", "1"), nil, probe("/healthz", 3)
	})
	st.ns.WaitDeployment(st.t, "lock", "available", kubetest.Available)
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "lock"}, Spec: corev1.ServiceSpec{
		Selector: map[string]string{"app": "lock"}, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8000)}}}}
	s, err := st.ns.Admin.CoreV1().Services(st.ns.Name).Create(st.t.Context(), s, metav1.CreateOptions{})
	if err != nil {
		st.t.Fatal(err)
	}
	return fmt.Sprintf("http://%s/lock", s.Spec.ClusterIP)
}

// showsClock reads, of a pod that waits for its turn, how much of its startup budget has passed.
func showsClock(st *stage) {
	slowly(st.t, time.Minute, "the page shows a startup clock", func() bool {
		return startupClock.MatchString(st.page(st.id).text("#deploy-pods"))
	})
}

var startupClock = says(`\d s of 40 s`)

// expectsGap reads on the confirm page what is to be expected.
func expectsGap(st *stage) {
	if text := st.w.portal.get(st.t, st.url()+"/confirm?image="+st.tag).text("main"); !strings.Contains(text, "the old pod ends before the new one starts. Nothing serves between.") {
		st.t.Errorf("the confirm page does not tell of the gap:\n%s", text)
	}
}

// servesNothing waits for the gap, in which the deploy is still under way.
func servesNothing(st *stage) {
	st.ns.WaitDeployment(st.t, "api", "without a pod that serves", func(d *appsv1.Deployment) bool { return d.Status.AvailableReplicas == 0 })
	slowly(st.t, 4*time.Second, "the page says so too", func() bool { // the new pod takes 5 s
		return st.page(st.id).text("#deploy-head .kicker .st") == "Rolling out"
	})
}

func switchOff(st *stage) {
	st.kubectl("scale", "deployment/api", "--replicas=0")
	st.ns.WaitDeployment(st.t, "api", "scaled to 0", kubetest.Available)
}
