package scenario_test

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// probes are apps that run and do not answer as they are asked.
func probes() []scenario {
	budget := func(_ *appsv1.Deployment, p *corev1.PodSpec) {
		p.Containers[0].StartupProbe = probe("/healthz", 8) // startup, at a period of a second
	}
	short := func(d *appsv1.Deployment, _ *corev1.PodSpec) { d.Spec.ProgressDeadlineSeconds = seconds(20) }
	return []scenario{
		{key: "startup-404", name: "startup probe asks for a path that is not there", keeps: true, within: startup + 5*time.Second,
			next: image("STATUS", "/healthz=404"), template: budget, status: "Failed", title: "The startup probe gets 404",
			sentence: says(`^Container api of ` + pod + ` runs, but GET /healthz on port 8000 was answered with HTTP 404 at least \d+ times in its whole budget of 8 s\.$`),
			shows:    []string{"The image and the port are fine."}},
		{key: "startup-503", name: "startup probe gets 503", keeps: true, named: startup + 5*time.Second, within: 2*startup + 5*time.Second,
			next: image("STATUS", "/healthz=503"), template: budget, status: "Failed", title: "Killed by its startup probe",
			sentence: says(`^Container api of ` + pod + ` did not start within the 8 s that its startup probe allows: GET /healthz on port 8000 gave HTTP 503, at least \d+ times\.$`),
			shows:    []string{"failureThreshold above 8 at a period of 1 s"}},
		{key: "startup-refused", name: "startup takes longer than its probe allows", keeps: true, named: startup + 5*time.Second, within: 2*startup + 5*time.Second,
			next: image("START_DELAY", "5m"), template: budget, status: "Failed", title: "Killed by its startup probe",
			sentence: says(`^Container api of ` + pod + ` did not start within the 8 s that its startup probe allows: GET /healthz on port 8000 gave connection refused, at least \d+ times\.$`),
			shows:    []string{"failureThreshold above 8 at a period of 1 s"}},
		{key: "liveness", name: "liveness probe fails once it serves", replicas: 1, within: 20 * time.Second,
			next: image("STATUS", "/=500"), status: "Failed", title: "It did not stay up",
			template: func(_ *appsv1.Deployment, p *corev1.PodSpec) { p.Containers[0].LivenessProbe = probe("/", 5) },
			sentence: says(`^Container api of ` + pod + ` was killed by its liveness probe after all pods were ready, within the 10 s in which they must stay well: GET / on port 8000 gave HTTP 500, at least \d+ times\.$`)},
		{key: "never-ready", name: "readiness never passes (deadline 20 s)", keeps: true, named: 25 * time.Second, within: 25 * time.Second,
			next: image("STATUS", "/api/health=503"), template: short, status: "Failed", title: "Never ready",
			sentence: says(`^No progress for 20 s\. Container api of ` + pod + ` runs, but is not ready: GET /api/health on port 8000 gave HTTP 503, at least \d+ times\.$`), then: rollBackOnStale},
	}
}

func seconds(n int32) *int32 { return &n }
