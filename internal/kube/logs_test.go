package kube

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// TestLostLog: a kubelet's excuse is not what the program said, and a program may say much the same.
func TestLostLog(t *testing.T) {
	const path = "/var/log/pods/t-1_api-5799d45c5f-m7l6p_b5bbe03b/migrate/1.log"
	for text, want := range map[string]bool{
		`failed to try resolving symlinks in path "` + path + `": lstat ` + path + `: no such file or directory`: true,
		"unable to retrieve container logs for containerd://0123abcd":                                            true,
		"starting\nfailed to try resolving symlinks in path \"/x\": lstat /x: no such file or directory":         false,
		"failed to try resolving symlinks in path \"/x\": lstat /x: no such file or directory\nexit 1":           false,
		"error: migration 0042 failed: column exists":                                                            false,
		"": false,
	} {
		if got := lost.MatchString(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestDifferences(t *testing.T) {
	template := func(change func(*corev1.Container)) *corev1.PodTemplateSpec {
		c := corev1.Container{Name: "api", Image: "a:1", Env: []corev1.EnvVar{{Name: "DB", Value: "s3cret-canary"},
			{Name: "KEY", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "keys"}, Key: "api"}}}},
			Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"memory": resource.MustParse("64Mi")}}}
		if change != nil {
			change(&c)
		}
		return &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{c}}}
	}
	got := strings.Join(differences(template(nil), template(func(c *corev1.Container) {
		c.Image = "a:2"
		c.Env = []corev1.EnvVar{{Name: "DB", Value: "other-canary"}, {Name: "NEW"}}
		c.Resources.Limits["memory"] = resource.MustParse("32Mi")
	}), []string{"api"}), "\n")
	for _, want := range []string{"container api, memory limit: 32Mi, was 64Mi", "container api, variable DB: changed",
		"container api, variable KEY: gone, was key api of Secret keys", "container api, variable NEW: empty, was not there"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "canary") || strings.Contains(got, "a:2") {
		t.Errorf("a value or the image is shown:\n%s", got)
	}
	sidecar := differences(template(nil), template(func(c *corev1.Container) { c.Image = "a:2" }), []string{"another"})
	if len(sidecar) != 1 || sidecar[0] != "container api, image: a:2, was a:1" {
		t.Errorf("the image of a container that no deploy sets: %q", sidecar)
	}
	if d := differences(template(nil), template(nil), nil); d != nil {
		t.Errorf("equal templates differ: %v", d)
	}
}
