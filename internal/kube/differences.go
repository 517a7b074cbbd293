package kube

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"deployportal/internal/deploys"
	"deployportal/internal/foreign"
)

const maxDifferences = 30

// Differences implements deploys.Cluster.
func (c *Cluster) Differences(t deploys.Target, before, after string) []string {
	e, err := c.env(t.Env)
	if err != nil || before == after {
		return nil
	}
	workload, err := c.workload(e, t)
	if err != nil {
		return nil
	}
	sp := e.space()
	if sp == nil {
		return nil
	}
	o := sp.objects(workload)
	templates := map[string]*corev1.PodTemplateSpec{}
	if d := o.Deployment; d != nil { // its newest ReplicaSet comes a moment after its template
		templates[sp.hash(d.UID, d.Generation, &d.Spec.Template)] = &d.Spec.Template
	}
	for _, rs := range o.ReplicaSets {
		templates[sp.hash(rs.UID, rs.Generation, &rs.Spec.Template)] = &rs.Spec.Template
	}
	old, now := templates[before], templates[after]
	if old == nil || now == nil {
		return nil
	}
	app, err := c.App(t)
	if err != nil {
		return nil
	}
	return differences(old, now, app.Containers)
}

// A facet is one part of a template that decides how its containers run.
type facet struct {
	shown string
	whole any // what is compared beside shown, and never shown: it may hold a secret
}

// aValue is all that is said of a variable's value that stands in the template itself: it may be a secret.
const aValue = "a literal value"

// differences lists what is not alike in two pod templates, in words. It is pure. Images of the app's own containers are
// left out: they are what a deploy changes. Of literal values it tells no more than that they changed: also the hash of a short one can be guessed.
func differences(old, now *corev1.PodTemplateSpec, own []string) []string {
	a, b := facets(old), facets(now)
	for _, name := range own {
		delete(a, "container "+name+", image")
		delete(b, "container "+name+", image")
	}
	all := maps.Clone(a)
	maps.Copy(all, b)
	var out []string
	for _, key := range slices.Sorted(maps.Keys(all)) {
		was, had := a[key]
		is, has := b[key]
		switch {
		case had && has && was.shown != is.shown:
			out = append(out, fmt.Sprintf("%s: %s, was %s", key, is.shown, was.shown))
		case had && has && !reflect.DeepEqual(was.whole, is.whole):
			out = append(out, key+": changed")
		case has && !had:
			out = append(out, fmt.Sprintf("%s: %s, was not there", key, is.shown))
		case had && !has:
			out = append(out, fmt.Sprintf("%s: gone, was %s", key, was.shown))
		}
	}
	for i, s := range out {
		out[i] = foreign.Line(s, maxMessage)
	}
	if len(out) > maxDifferences {
		out = append(out[:maxDifferences], fmt.Sprintf("and %d more", len(out)-maxDifferences))
	}
	return out
}

// facets takes the parts of a template by a name that people understand.
func facets(t *corev1.PodTemplateSpec) map[string]facet {
	f := map[string]facet{}
	for _, c := range append(slices.Clone(t.Spec.InitContainers), t.Spec.Containers...) {
		containerFacets(f, "container "+c.Name, c)
	}
	for _, v := range t.Spec.Volumes {
		f["volume "+v.Name] = facet{shown: volumeSource(v), whole: v.VolumeSource}
	}
	for _, s := range t.Spec.ImagePullSecrets {
		f["image pull secret "+s.Name] = facet{shown: "used"}
	}
	f["service account"] = facet{shown: cmp.Or(t.Spec.ServiceAccountName, "default")}
	for k, v := range t.Spec.NodeSelector {
		f["node selector "+k] = facet{shown: v}
	}
	return f
}

func containerFacets(f map[string]facet, name string, c corev1.Container) {
	f[name+", image"] = facet{shown: imageName(c.Image)}
	for _, e := range c.Env {
		f[name+", variable "+e.Name] = facet{shown: envSource(e), whole: e}
	}
	for _, from := range c.EnvFrom {
		switch {
		case from.SecretRef != nil:
			f[name+", variables from Secret "+from.SecretRef.Name] = facet{shown: "used"}
		case from.ConfigMapRef != nil:
			f[name+", variables from ConfigMap "+from.ConfigMapRef.Name] = facet{shown: "used"}
		}
	}
	if len(c.Command) > 0 {
		f[name+", command"] = facet{shown: "set", whole: c.Command}
	}
	if len(c.Args) > 0 {
		f[name+", arguments"] = facet{shown: "set", whole: c.Args}
	}
	for _, p := range []struct {
		name  string
		probe *corev1.Probe
	}{{"startup probe", c.StartupProbe}, {"readiness probe", c.ReadinessProbe}, {"liveness probe", c.LivenessProbe}} {
		if p.probe != nil {
			f[name+", "+p.name] = facet{shown: probeShown(p.probe, c.Ports), whole: *p.probe}
		}
	}
	for kind, list := range map[string]corev1.ResourceList{"limit": c.Resources.Limits, "request": c.Resources.Requests} {
		for res, q := range list {
			f[fmt.Sprintf("%s, %s %s", name, res, kind)] = facet{shown: q.String()}
		}
	}
	for _, m := range c.VolumeMounts {
		f[name+", mount "+m.MountPath] = facet{shown: "volume " + m.Name, whole: m}
	}
	for _, p := range c.Ports {
		f[fmt.Sprintf("%s, port %d", name, p.ContainerPort)] = facet{shown: cmp.Or(string(p.Protocol), "TCP")}
	}
}

// probeShown reads "GET /healthz on port 8000 after 5s, then every 10s, within 1s, 3 times".
func probeShown(p *corev1.Probe, ports []corev1.ContainerPort) string {
	v := viewProbe(p, ports)
	return fmt.Sprintf("%s after %s, then every %s, within %ds, %d times", v.Ask, v.Delay, v.Period, max(p.TimeoutSeconds, 1), v.Threshold)
}

func envSource(e corev1.EnvVar) string {
	switch from := e.ValueFrom; {
	case from == nil && e.Value == "":
		return "empty"
	case from == nil:
		return aValue
	case from.SecretKeyRef != nil:
		return fmt.Sprintf("key %s of Secret %s", from.SecretKeyRef.Key, from.SecretKeyRef.Name)
	case from.ConfigMapKeyRef != nil:
		return fmt.Sprintf("key %s of ConfigMap %s", from.ConfigMapKeyRef.Key, from.ConfigMapKeyRef.Name)
	case from.FieldRef != nil:
		return "field " + from.FieldRef.FieldPath
	}
	return "another source"
}

func volumeSource(v corev1.Volume) string {
	switch {
	case v.Secret != nil:
		return "Secret " + v.Secret.SecretName
	case v.ConfigMap != nil:
		return "ConfigMap " + v.ConfigMap.Name
	case v.PersistentVolumeClaim != nil:
		return "claim " + v.PersistentVolumeClaim.ClaimName
	case v.EmptyDir != nil:
		return "an empty folder"
	}
	return "another source"
}
