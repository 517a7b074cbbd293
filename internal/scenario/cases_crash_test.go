package scenario_test

import (
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"deployportal/internal/gitea/giteatest"
	"deployportal/internal/kube/kubetest"
)

// crashes are programs that end by themselves.
func crashes() []scenario {
	return []scenario{
		{key: "crash", name: "crash after the start", keeps: true, within: crashing,
			next:   image("CRASH_AFTER", "300ms", "LAST_WORDS", "fatal error: sync: unlock of unlocked mutex", "EXIT_CODE", "2"),
			status: "Failed", title: "Crash loop",
			sentence: says(`^Container api of ` + pod + ` ended with exit code 2 and was started again \d times\. It said: fatal error: sync: unlock of unlocked mutex\.$`),
			shows:    []string{"Serving now: 2 pods of " + good}, then: rollBack},
		{key: "goes-back", name: "the same, where the portal rolls back by itself", keeps: true, within: crashing, before: commits, goesBack: true,
			next:   image("CRASH_AFTER", "300ms", "LAST_WORDS", "fatal error: sync: unlock of unlocked mutex", "EXIT_CODE", "2"),
			status: "Failed", title: "Crash loop",
			sentence: says(`^Container api of ` + pod + ` ended with exit code 2 and was started again \d times\. It said: fatal error: sync: unlock of unlocked mutex\.$`),
			then:     wentBack},
		{key: "database", name: "wrong name of the database, set outside the portal", within: crashing, ready: goodThenWrong, keeps: true,
			status: "Failed", title: "Crash loop",
			sentence: says(`^Container api of ` + pod + ` ended with exit code 1 and was started again \d times\. It said: server error: ERROR: database "honeydue" does not exist \(SQLSTATE 3D000\)\.$`),
			shows:    []string{"Not as in the last good deploy:", "container api, variable DATABASE_NAME: a literal value, was not there", "container api, variable WORKLOAD_CRASH_AFTER: a literal value, was not there"}},
		{key: "oom", name: "out of memory", keeps: true, within: crashing, next: image("EAT_MIB", "200"),
			template: func(_ *appsv1.Deployment, p *corev1.PodSpec) {
				p.Containers[0].Resources.Limits = memory("64Mi")
			},
			status: "Failed", title: "Out of memory",
			sentence: says(`^Container api of ` + pod + ` was killed for using more memory than its limit of 64Mi and was started again \d times\.$`)},
		{key: "init", name: "init container fails", keeps: true, within: crashing, containers: []string{"migrate"},
			next: image("LAST_WORDS", "error: migration 0042 failed: column exists", "EXIT_CODE", "3"),
			template: func(_ *appsv1.Deployment, p *corev1.PodSpec) {
				p.InitContainers = []corev1.Container{{Name: "migrate", Image: p.Containers[0].Image, Env: variables("WORKLOAD_CRASH_AFTER", "100ms")}}
			},
			status: "Failed", title: "Init container fails",
			sentence: says(`^Init container migrate of ` + pod + ` ended with exit code 3 and was started again \d times\. It said: error: migration 0042 failed: column exists\.$`)},
		{key: "sidecar", name: "sidecar crashes, the app is fine", within: 50 * time.Second, // between its ends the pod is ready, and the rollout goes on
			containers: []string{"proxy"},
			next:       image("CRASH_AFTER", "300ms", "LAST_WORDS", "fatal: no upstream", "EXIT_CODE", "4"),
			template:   withProxy,
			status:     "Failed", title: "Crash loop",
			sentence: says(`^Container proxy of ` + pod + ` ended with exit code 4 and was started again \d times\. It said: fatal: no upstream\.$`)},
		{key: "native-sidecar", name: "sidecar of the new kind crashes", within: crashing + 10*time.Second, containers: []string{"proxy"},
			next:     image("CRASH_AFTER", "300ms", "LAST_WORDS", "fatal: no upstream", "EXIT_CODE", "4"),
			template: withNativeProxy,
			status:   "Failed", title: "Crash loop",
			sentence: says(`^Sidecar proxy of ` + pod + ` ended with exit code 4 and was started again \d times\. It said: fatal: no upstream\.$`)},
		{key: "window", name: "ends 5 s after it was ready", replicas: 1, within: 20 * time.Second,
			next:   image("EXIT_AFTER_READY", "5s", "LAST_WORDS", "panic: lost connection", "EXIT_CODE", "1"),
			status: "Failed", title: "It did not stay up",
			sentence: says(`^Container api of ` + pod + ` ended with exit code 1 after all pods were ready, within the 10 s in which they must stay well\. It said: panic: lost connection\.$`)},
	}
}

// withNativeProxy adds a container that starts before the app and stays.
func withNativeProxy(_ *appsv1.Deployment, p *corev1.PodSpec) {
	withProxy(nil, p)
	always := corev1.ContainerRestartPolicyAlways
	proxy := p.Containers[1]
	proxy.RestartPolicy, proxy.ReadinessProbe = &always, probe("/", 1)
	proxy.ReadinessProbe.HTTPGet.Port.IntVal = 9000
	p.InitContainers, p.Containers = []corev1.Container{proxy}, p.Containers[:1]
}

// rollBack goes back when the deadline has long passed and Kubernetes says so in a condition, which then is stale.
func rollBack(st *stage) {
	id, clicked := st.w.portal.click(st.t, st.page(st.id), "#deploy-head .acts form")
	st.ended(id, "Succeeded")
	if took := time.Since(clicked); took > 2*stable {
		st.t.Errorf("the rollback took %.1f s; its pods were there", took.Seconds())
	}
	if after := st.pods(); !subset(st.before, after) || len(after) != len(st.before) {
		st.t.Errorf("pods %v served before, %v after the rollback", st.before, after)
	}
}

// rollBackOnStale goes back at once after a failure by the deadline, when the condition that says so stands.
func rollBackOnStale(st *stage) {
	if !slices.ContainsFunc(st.live().Status.Conditions, func(c appsv1.DeploymentCondition) bool { return c.Reason == "ProgressDeadlineExceeded" }) {
		st.t.Errorf("the deadline's condition does not stand: %+v", st.live().Status.Conditions)
	}
	rollBack(st)
}

// commits gives the app a history without migrations: only then does the portal roll back by itself.
func commits(st *stage) {
	var all []giteatest.Commit
	for _, tag := range []string{good, middle, next} {
		all = append(all, giteatest.Commit{SHA: tag + strings.Repeat("0", 40-len(tag)), Message: "Commit " + tag, Author: "ana"})
	}
	st.w.gitea.AddRepo("acme", st.s.key, all...)
}

// wentBack finds the rollback that the portal made by itself: to what ran before its first deploy, on the very pods that
// served all along.
func wentBack(st *stage) {
	link := st.page(st.id).doc.Find(`#deploy-head .facts span:contains("Rolled back automatically by") a`)
	id, err := strconv.ParseInt(strings.TrimPrefix(link.AttrOr("href", ""), "/deploys/"), 10, 64)
	if err != nil {
		st.t.Fatalf("no rollback is named:\n%s", st.page(st.id).text("main"))
	}
	st.ended(id, "Succeeded")
	if page := st.page(id).text("main"); !strings.Contains(page, "2 of 2 pods run "+good) {
		st.t.Errorf("the rollback's page does not say what runs:\n%s", page)
	}
	if after := st.pods(); !subset(st.before, after) || len(after) != len(st.before) {
		st.t.Errorf("pods %v served before, %v after the rollback", st.before, after)
	}
}

// noSuchProgram sets a command beside the portal that the image does not have; the next deploy inherits it.
func noSuchProgram(st *stage) {
	st.kubectl("patch", "deployment", "api", `--patch={"spec":{"template":{"spec":{"containers":[{"name":"api","command":["/nope"]}]}}}}`)
	st.ns.WaitDeployment(st.t, "api", "unhealthy", func(d *appsv1.Deployment) bool {
		return d.Status.ObservedGeneration >= d.Generation && d.Status.UpdatedReplicas > 0 && !kubetest.Available(d)
	})
}

func memory(limit string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(limit)}
}

func variables(pairs ...string) (out []corev1.EnvVar) {
	for n := 0; n < len(pairs); n += 2 {
		out = append(out, corev1.EnvVar{Name: pairs[n], Value: pairs[n+1]})
	}
	return out
}

// withProxy adds a container of the same image. What the image says about crashing is unsaid for the app.
func withProxy(_ *appsv1.Deployment, p *corev1.PodSpec) {
	p.Containers[0].Env = variables("WORKLOAD_CRASH_AFTER", "")
	p.Containers = append(p.Containers, corev1.Container{Name: "proxy", Image: p.Containers[0].Image, Env: variables("WORKLOAD_PORT", "9000")})
}

// goodThenWrong deploys once, well, and then sets variables beside the portal, as a script of the team might: the first
// pod with them crashes, and the next deploy inherits them.
func goodThenWrong(st *stage) {
	id, _ := st.w.portal.confirm(st.t, st.url()+"/confirm?image="+middle)
	st.ended(id, "Succeeded")
	st.kubectl("set", "env", "deployment/api", "DATABASE_NAME=honeydue", "WORKLOAD_CRASH_AFTER=300ms", "WORKLOAD_EXIT_CODE=1",
		`WORKLOAD_LAST_WORDS=server error: ERROR: database "honeydue" does not exist (SQLSTATE 3D000)`)
	st.ns.WaitDeployment(st.t, "api", "unhealthy", func(d *appsv1.Deployment) bool {
		return d.Status.ObservedGeneration >= d.Generation && d.Status.UpdatedReplicas > 0 && !kubetest.Available(d)
	})
}
