package scenario_test

import (
	"regexp"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"deployportal/internal/kube/kubetest"
)

// says makes the sentence's pattern.
var says = regexp.MustCompile

// image is one whose program is told by its environment what to do; devstack/workloads has the variables.
func image(env ...string) kubetest.Image {
	i := kubetest.Image{Env: map[string]string{}}
	for n := 0; n < len(env); n += 2 {
		i.Env["WORKLOAD_"+env[n]] = env[n+1]
	}
	return i
}

const (
	pod  = `pod [a-z0-9]{5}`
	node = `node-\d`

	// The bounds of a verdict, from the click.
	definite = 15 * time.Second // causes that nothing but a person cures
	crashing = 30 * time.Second // a crash loop is two restarts, the second 10 s after the first
	startup  = 8 * time.Second  // the startup probe's budget where a scenario is about it
	stable   = 10 * time.Second // the window in which a good rollout must stay well
)

func scenarios() []scenario {
	var all []scenario
	for _, group := range [][]scenario{wellDone(), images(), configuration(), crashes(), probes(), placed(), meddled(), smoked(), sample(), away()} {
		all = append(all, group...)
	}
	return all
}

func wellDone() []scenario {
	return []scenario{
		{key: "good", name: "a good deploy", within: definite + stable, status: "Succeeded",
			sentence: says(`2 of 2 pods run ` + next + ` and stayed well for 10 s\.`), no: []string{"not proven"}},
		{key: "same-config", name: "pushed again with the same config", within: definite + stable,
			next: kubetest.Image{Variant: "again"}, status: "Succeeded",
			sentence: says(`2 of 2 pods run ` + next + ` and stayed well for 10 s\.`), no: []string{"not proven"}},
	}
}

// images are those that no node can run or get.
func images() []scenario {
	return []scenario{
		{key: "foreign-program", name: "a program for another architecture", keeps: true, within: definite,
			next: kubetest.Image{Platforms: "foreign-program"}, status: "Failed", title: "Wrong architecture",
			sentence: says(`^Container api of ` + pod + ` cannot run on ` + node + `: exec format error\. The image is for another architecture than the node\.$`)},
		{key: "foreign-index", name: "no image for the node's architecture", keeps: true, within: definite,
			next: kubetest.Image{Platforms: "foreign"}, status: "Failed", title: "No image for this architecture",
			sentence: says(`^Container api of ` + pod + ` cannot start: the image is not built for the architecture of ` + node + `, only for linux/arm64\.$`)},
		{key: "deleted", name: "tag deleted between resolve and pull", keeps: true, within: definite, before: deleteAtPull,
			status: "Failed", title: "Image not found",
			sentence: says(`^Image not found: The registry has no tag ` + next + ` in acme/deleted\. It was deleted, or never pushed\.$`)},
		{key: "overwritten", name: "tag pushed again between resolve and pull", keeps: true, within: definite, before: overwriteAtPull,
			status: "Failed", title: "Image overwritten",
			sentence: says(`^The image is gone: the tag ` + next + ` in acme/overwritten was pushed again and names another digest now\.$`)},
		{key: "registry-away", name: "the node cannot reach the registry (deadline 20 s)", keeps: true, within: 25 * time.Second, before: cutAtPull,
			template: func(d *appsv1.Deployment, _ *corev1.PodSpec) { d.Spec.ProgressDeadlineSeconds = seconds(20) },
			status:   "Failed", title: "Registry unreachable from the node",
			sentence: says(`^No progress for 20 s\. Container api of ` + pod + ` cannot start: ` + node + ` cannot reach the registry\.$`)},
		{key: "pull-secret", name: "pull secret with a wrong password", keeps: true, within: definite,
			before: func(st *stage) { st.pullSecret(giteaToken) }, ready: func(st *stage) { st.pullSecret("wrong") },
			template: func(_ *appsv1.Deployment, p *corev1.PodSpec) {
				p.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "registry"}}
			},
			status: "Failed", title: "The registry refuses the node",
			sentence: says(`^Container api of ` + pod + ` cannot start: the registry does not let ` + node + ` pull the image\.$`),
			shows:    []string{"the image is there, and the portal itself may read it"}},
	}
}

// configuration is what is gone when a new pod wants it: the old pods have read it and serve on.
func configuration() []scenario {
	secret := func(st *stage) {
		st.kubectl("create", "secret", "generic", "api-env", "--from-literal=DATABASE_URL=postgres", "--from-literal=OTHER=1")
	}
	remove := func(st *stage) { st.kubectl("delete", "secret", "api-env") }
	fromKey := func(_ *appsv1.Deployment, p *corev1.PodSpec) {
		p.Containers[0].Env = append(p.Containers[0].Env, corev1.EnvVar{Name: "DATABASE_URL", ValueFrom: &corev1.EnvVarSource{
			SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "api-env"}, Key: "DATABASE_URL"}}})
	}
	mounted := func(_ *appsv1.Deployment, p *corev1.PodSpec) {
		p.Volumes = []corev1.Volume{{Name: "env", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "api-env"}}}}
		p.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "env", MountPath: "/env"}}
	}
	return []scenario{
		{key: "secret", name: "missing Secret", keeps: true, within: definite, before: secret, ready: remove, template: fromKey,
			status: "Failed", title: "Secret missing",
			sentence: says(`^Container api of ` + pod + ` cannot start: the Secret "api-env" it refers to does not exist\.$`)},
		{key: "secret-key", name: "missing key in a Secret", keeps: true, within: definite, before: secret, template: fromKey,
			ready: func(st *stage) {
				st.kubectl("patch", "secret", "api-env", "--type=json", `--patch=[{"op":"remove","path":"/data/DATABASE_URL"}]`)
			},
			status: "Failed", title: "Key missing in Secret",
			sentence: says(`^Container api of ` + pod + ` cannot start: the Secret "api-env" has no key "DATABASE_URL"\.$`)},
		{key: "secret-volume", name: "missing Secret of a volume", keeps: true, within: definite, before: secret, ready: remove, template: mounted,
			status: "Failed", title: "Secret missing",
			sentence: says(`^Pod [a-z0-9]{5} cannot start: the Secret "api-env" that it mounts does not exist\.$`)},
		{key: "command", name: "no such program, set outside the portal", keeps: true, within: definite, ready: noSuchProgram,
			status: "Failed", title: "The container cannot be started",
			sentence: says(`^Container api of ` + pod + ` cannot be started: exec: "/nope": stat /nope: no such file or directory\.$`)},
	}
}
