package kube

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"deployportal/internal/deploys"
	"deployportal/internal/foreign"
)

// The kinds of object that pods refer to.
const (
	secretKind    = "Secret"
	configMapKind = "ConfigMap"
	claimKind     = "PersistentVolumeClaim"
)

// needsOf lists every place where a pod template refers to a Secret, a ConfigMap or a claim: init containers, containers,
// volumes, imagePullSecrets. What the drivers of other volumes (Ceph, iSCSI, Azure) refer to is left out.
func needsOf(t *corev1.PodTemplateSpec) []deploys.Need {
	var l needs
	for _, c := range t.Spec.InitContainers {
		l.container("init container "+c.Name, c)
	}
	for _, c := range t.Spec.Containers {
		l.container("container "+c.Name, c)
	}
	for _, v := range t.Spec.Volumes {
		l.volume(v)
	}
	for _, s := range t.Spec.ImagePullSecrets {
		l.pull(s.Name, "imagePullSecrets")
	}
	return l
}

type needs []deploys.Need

func (l *needs) add(kind, name, by string, optional *bool, keys ...string) {
	if name == "" { // the API server takes it, and nobody can mean anything by it
		return
	}
	for i, k := range keys {
		keys[i] = foreign.Line(k, 253)
	}
	*l = append(*l, deploys.Need{Kind: kind, Name: foreign.Line(name, 253), Keys: keys, By: foreign.Line(by, 400),
		Optional: optional != nil && *optional})
}

func (l *needs) pull(name, by string) {
	before := len(*l)
	l.add(secretKind, name, by, nil)
	for i := range (*l)[before:] {
		(*l)[before+i].Pull = true
	}
}

func (l *needs) container(who string, c corev1.Container) {
	for _, e := range c.Env {
		if e.ValueFrom == nil {
			continue
		}
		by := fmt.Sprintf("%s, env %s", who, e.Name)
		if r := e.ValueFrom.SecretKeyRef; r != nil {
			l.add(secretKind, r.Name, by, r.Optional, r.Key)
		}
		if r := e.ValueFrom.ConfigMapKeyRef; r != nil {
			l.add(configMapKind, r.Name, by, r.Optional, r.Key)
		}
	}
	for _, from := range c.EnvFrom {
		if r := from.SecretRef; r != nil {
			l.add(secretKind, r.Name, who+", envFrom", r.Optional)
		}
		if r := from.ConfigMapRef; r != nil {
			l.add(configMapKind, r.Name, who+", envFrom", r.Optional)
		}
	}
}

func (l *needs) volume(v corev1.Volume) {
	by := "volume " + v.Name
	if s := v.Secret; s != nil {
		l.add(secretKind, s.SecretName, by, s.Optional, itemKeys(s.Items)...)
	}
	if m := v.ConfigMap; m != nil {
		l.add(configMapKind, m.Name, by, m.Optional, itemKeys(m.Items)...)
	}
	if p := v.Projected; p != nil {
		for _, source := range p.Sources {
			if s := source.Secret; s != nil {
				l.add(secretKind, s.Name, by, s.Optional, itemKeys(s.Items)...)
			}
			if m := source.ConfigMap; m != nil {
				l.add(configMapKind, m.Name, by, m.Optional, itemKeys(m.Items)...)
			}
		}
	}
	if d := v.CSI; d != nil && d.NodePublishSecretRef != nil {
		l.add(secretKind, d.NodePublishSecretRef.Name, by, nil)
	}
	if c := v.PersistentVolumeClaim; c != nil {
		l.add(claimKind, c.ClaimName, by, nil)
	}
}

func itemKeys(items []corev1.KeyToPath) []string {
	var keys []string
	for _, i := range items {
		keys = append(keys, i.Key)
	}
	return keys
}
