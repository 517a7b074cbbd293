package kube

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func templateWith(change func(*corev1.PodSpec)) *corev1.PodTemplateSpec {
	spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "api", Ports: []corev1.ContainerPort{{ContainerPort: 8000}}}}}
	change(&spec)
	return &corev1.PodTemplateSpec{Spec: spec}
}

// differ gives the differences that two settings of container api make.
func differ(old, now func(*corev1.Container)) []string {
	return differences(templateWith(func(s *corev1.PodSpec) { old(&s.Containers[0]) }), templateWith(func(s *corev1.PodSpec) { now(&s.Containers[0]) }), nil)
}

// TestDifferencesTellNoValue: what is said of a literal value is the same whatever it is, so nothing can be guessed from it;
// and any two that differ are told apart.
func TestDifferencesTellNoValue(t *testing.T) {
	for kind, set := range map[string]func(*corev1.Container, string){
		"variable ADMIN_PIN": func(c *corev1.Container, v string) { c.Env = []corev1.EnvVar{{Name: "ADMIN_PIN", Value: v}} },
		"command":            func(c *corev1.Container, v string) { c.Command = []string{"serve", "--pin", v} },
		"arguments":          func(c *corev1.Container, v string) { c.Args = []string{v} },
		"liveness probe": func(c *corev1.Container, v string) {
			c.LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"redis-cli", "-a", v}}}}
		},
		"readiness probe": func(c *corev1.Container, v string) {
			c.ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/health?pin=" + v, Port: intstr.FromInt32(8000)}}}
		},
	} {
		for pin := range 3000 {
			got := differ(func(c *corev1.Container) { set(c, "4711") }, func(c *corev1.Container) { set(c, fmt.Sprint(10000+pin)) })
			if want := []string{"container api, " + kind + ": changed"}; !slices.Equal(got, want) {
				t.Fatalf("4711 and %d: %q, want %q", 10000+pin, got, want)
			}
		}
	}
	literal := func(c *corev1.Container) { c.Env = []corev1.EnvVar{{Name: "PIN", Value: "4711"}} }
	secret := func(c *corev1.Container) {
		c.Env = []corev1.EnvVar{{Name: "PIN", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: "pins"}, Key: "admin"}}}}
	}
	none := func(*corev1.Container) {}
	for _, c := range []struct {
		old, now func(*corev1.Container)
		want     string
	}{
		{literal, secret, "container api, variable PIN: key admin of Secret pins, was a literal value"},
		{none, literal, "container api, variable PIN: a literal value, was not there"},
		{literal, none, "container api, variable PIN: gone, was a literal value"},
		{func(c *corev1.Container) { c.Args = []string{"--pin=4711"} }, none, "container api, arguments: gone, was set"},
	} {
		if got := differ(c.old, c.now); !slices.Equal(got, []string{c.want}) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestDifferencesOfProbes: what a probe's patience is made of is told, all of it.
func TestDifferencesOfProbes(t *testing.T) {
	probe := func(change func(*corev1.Probe)) func(*corev1.Container) {
		p := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/health", Port: intstr.FromInt32(8000)}},
			InitialDelaySeconds: 5, PeriodSeconds: 10, TimeoutSeconds: 1, FailureThreshold: 3, SuccessThreshold: 1}
		change(p)
		return func(c *corev1.Container) { c.ReadinessProbe = p }
	}
	const head, was = "container api, readiness probe: ", "GET /health on port 8000 after 5s, then every 10s, within 1s, 3 times"
	for want, change := range map[string]func(*corev1.Probe){
		"GET /health on port 8000 after 30s, then every 10s, within 1s, 3 times, was " + was: func(p *corev1.Probe) { p.InitialDelaySeconds = 30 },
		"GET /health on port 8000 after 5s, then every 10s, within 4s, 3 times, was " + was:  func(p *corev1.Probe) { p.TimeoutSeconds = 4 },
		"changed": func(p *corev1.Probe) {
			p.HTTPGet.HTTPHeaders = []corev1.HTTPHeader{{Name: "Authorization", Value: "Bearer canary"}}
		},
	} {
		if got := differ(probe(func(*corev1.Probe) {}), probe(change)); !slices.Equal(got, []string{head + want}) {
			t.Errorf("%q, want %q", got, head+want)
		}
	}
}

// TestDifferencesWithoutWords: a part that has no words of its own is still compared whole.
func TestDifferencesWithoutWords(t *testing.T) {
	host := func(path string) *corev1.PodTemplateSpec {
		return templateWith(func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path}}}}
		})
	}
	if got := differences(host("/a"), host("/b"), nil); !slices.Equal(got, []string{"volume data: changed"}) {
		t.Errorf("%q", got)
	}
}
