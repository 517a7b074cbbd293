package kube

import (
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"deployportal/internal/foreign/foreigntest"
)

func TestProbeFailure(t *testing.T) {
	for _, c := range []struct {
		message, kind, short, said string
		http                       int
	}{
		{"Startup probe failed: HTTP probe failed with statuscode: 503", "startup", "HTTP 503", "", 503},
		{`Readiness probe failed: Get "http://10.42.0.7:8080/healthz": dial tcp 10.42.0.7:8080: connect: connection refused`, "readiness", "connection refused", "", 0},
		{`Liveness probe failed: Get "http://10.42.0.7:8080/": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`, "liveness", "timed out", "", 0},
		{"Readiness probe failed: dial tcp 10.42.0.7:5432: i/o timeout", "readiness", "timed out", "", 0},
		{"(combined from similar events): Startup probe failed: HTTP probe failed with statuscode: 404", "startup", "HTTP 404", "", 404},
		{`Readiness probe failed: service unhealthy (responded with "NOT_SERVING")`, "readiness", "gRPC answered NOT_SERVING", "", 0},
		{`Readiness probe failed: timeout: failed to connect service "10.0.0.1:9000" within 1s: context deadline exceeded`, "readiness", "timed out", "", 0},
		{"Startup probe failed: error: this server does not implement the grpc health protocol (grpc.health.v1.Health): unknown service", "startup", "no gRPC health service", "", 0},
		{"Liveness probe failed: pg_isready: no\nanswer\x1b[31m", "liveness", "an error", "pg_isready: no answer", 0},
		{"Liveness probe failed: ", "liveness", "failed without a word", "", 0},
		{"Liveness probe failed:", "liveness", "failed without a word", "", 0},
		{`Readiness probe errored and resulted in unknown state: command "x" timed out`, "readiness", "timed out", "", 0},
		{"Readiness probe errored: rpc error: oops", "readiness", "an error", "rpc error: oops", 0},
		{`Startup probe failed: Get "http://10.0.0.1:80/": EOF`, "startup", "closed without an answer", "", 0},
		{`Startup probe failed: Get "https://10.0.0.1:80/": http: server gave HTTP response to HTTPS client`, "startup", "plain HTTP on an HTTPS probe", "", 0},
		{"Startup probe failed: HTTP probe failed with statuscode: 99999999999999999999", "startup", "an error", "HTTP probe failed with statuscode: 99999999999999999999", 0},
		{"Liveness probe failed: AUTH failed: hunter2 is wrong", "liveness", "an error", "AUTH failed: hunter2 is wrong", 0},
		{`Readiness probe failed: Get "http://10.0.0.1:80/health?key=hunter2": net/http: HTTP/1.x transport connection broken`, "readiness", "an error", "net/http: HTTP/1.x transport connection broken", 0},
	} {
		kind, output, ok := probeFailure(c.message)
		short, said, http := answer(output)
		if !ok || kind != c.kind || short != c.short || said != c.said || http != c.http {
			t.Errorf("%q = %q, %q, %q, %d, %v; want %q, %q, %q, %d", c.message, kind, short, said, http, ok, c.kind, c.short, c.said, c.http)
		}
	}
	for _, other := range []string{"", "probe failed: x", "Startup probe warning: Probe terminated redirects", "startup probe failed: x"} {
		if kind, _, ok := probeFailure(other); ok {
			t.Errorf("%q is taken for a failed %s probe", other, kind)
		}
	}
}

func TestProbeKill(t *testing.T) {
	for message, want := range map[string]string{
		"Container api failed startup probe, will be restarted":   "startup",
		"Container api failed liveness probe, will be restarted":  "liveness",
		"Container apii failed liveness probe, will be restarted": "",
		"Stopping container api":                                  "",
		"Container api definition changed, will be restarted":     "",
	} {
		if kind, ok := probeKill(message, "api"); kind != want || ok != (want != "") {
			t.Errorf("%q = %q, %v", message, kind, ok)
		}
	}
}

func TestPulled(t *testing.T) {
	for message, want := range map[string]string{
		`Successfully pulled image "a/b:c" in 1.2s (1.2s including waiting). Image size: 12 bytes.`: "1.2s",
		`Successfully pulled image "a/b:c" in 2m3.4s (3m including waiting)`:                        "2m3.4s",
		`Successfully pulled image "a/b:c" in 812ms`:                                                "812ms",
		`Container image "a/b:c" already present on machine`:                                        "present",
		`Container image "a/b:c" already present on machine and can be accessed by the pod`:         "present",
	} {
		if got := pulled(message); got != want {
			t.Errorf("pulled(%q) = %q", message, got)
		}
	}
}

func TestDigest(t *testing.T) {
	const d = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	for id, want := range map[string]string{
		"git.example.org/acme/api@" + d:              d,
		"docker-pullable://git.example.org/api@" + d: d,
		"docker://" + d:                              d, d: d,
		"": "", "git.example.org/acme/api:tag": "", "sha256:123": "", "xsha256:" + strings.Repeat("1", 64): "", d + "1": "",
	} {
		if got := digest(id); got != want {
			t.Errorf("digest(%q) = %q", id, got)
		}
	}
}

func TestAsk(t *testing.T) {
	service := "db"
	ports := []corev1.ContainerPort{{Name: "web", ContainerPort: 8443}}
	for want, h := range map[string]corev1.ProbeHandler{
		"GET /api/health on port 8000":          {HTTPGet: &corev1.HTTPGetAction{Path: "/api/health", Port: intstr.FromInt32(8000)}},
		"GET / on port 8443 over HTTPS":         {HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromString("web"), Scheme: "HTTPS"}},
		"GET / on example.org port http":        {HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromString("http"), Host: "example.org"}},
		"TCP connect to port 5432":              {TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(5432)}},
		"exec redis-cli":                        {Exec: &corev1.ExecAction{Command: []string{"redis-cli", "-a", "hunter2", "ping"}}},
		"GET /healthz?… on port 8000":           {HTTPGet: &corev1.HTTPGetAction{Path: "/healthz?key=hunter2", Port: intstr.FromInt32(8000)}},
		"gRPC on port 9000":                     {GRPC: &corev1.GRPCAction{Port: 9000}},
		"gRPC db on port 9000":                  {GRPC: &corev1.GRPCAction{Port: 9000, Service: &service}},
		"probe":                                 {},
		"GET " + strings.Repeat("/", 195) + "…": {HTTPGet: &corev1.HTTPGetAction{Path: strings.Repeat("/", 300)}},
	} {
		if got := ask(&corev1.Probe{ProbeHandler: h}, ports); got != want {
			t.Errorf("ask = %q, want %q", got, want)
		}
	}
}

// TestCommandsStayOut: the arguments of a probe's or a hook's command and a probe's query are nowhere in the view of a pod.
// What a probe's program said is kept apart.
func TestCommandsStayOut(t *testing.T) {
	exec := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"redis-cli", "-a", "canary", "ping"}}}}
	get := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/health?key=canary", Port: intstr.FromInt32(80)}}}
	word := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"redis-cli -a canary ping"}}}}
	for _, message := range []string{
		`Exec lifecycle hook ([sh -c login canary]) for Container "api" in Pod "api-1_acme(1)" failed - error: command 'sh -c login canary' exited with 1: , message: "canary"`,
		`HTTP lifecycle hook (/login?key=canary) for Container "api" in Pod "api-1_acme(1)" failed - error: no`,
	} {
		pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "api", StartupProbe: exec, ReadinessProbe: get, LivenessProbe: word}}},
			Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "api",
				State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PostStartHookError", Message: message}}}}}}
		event := func(message string) *corev1.Event {
			return &corev1.Event{InvolvedObject: corev1.ObjectReference{FieldPath: "spec.containers{api}"}, Reason: "Unhealthy", Message: message}
		}
		v := viewPod(pod, "rs", []*corev1.Event{event("Startup probe failed: canary is wrong"), event(`Readiness probe failed: Get "http://10.0.0.1/health?key=canary": odd`)})
		c := &v.Containers[0]
		if c.Startup.Said != "canary is wrong" || c.Readiness.Said != "odd" || c.Message != "its postStart hook failed" {
			t.Errorf("%q, %q, %q", c.Startup.Said, c.Readiness.Said, c.Message)
		}
		c.Startup.Said = ""
		if all, err := json.Marshal(v); err != nil || strings.Contains(string(all), "canary") {
			t.Errorf("%v: %s", err, all)
		}
	}
}

func FuzzTexts(f *testing.F) {
	f.Add("(combined from similar events): Startup probe failed: HTTP probe failed with statuscode: 503")
	f.Add(`Successfully pulled image "x" in 1.2s (1.2s including waiting).`)
	f.Add("Container api failed startup probe, will be restarted")
	f.Add("spec.containers{api}")
	f.Add("a\u202eb\x00\xff\n\n c")
	f.Fuzz(func(t *testing.T, s string) {
		_, output, _ := probeFailure(s)
		short, said, _ := answer(output)
		for _, text := range []string{short, said, pulled(s)} {
			if harm := foreigntest.Harm(text); harm != "" {
				t.Errorf("%q is not fit to be shown: %s", text, harm)
			}
		}
		probeKill(s, "api")
		digest(s)
		fieldContainer(s)
		number(s)
	})
}
