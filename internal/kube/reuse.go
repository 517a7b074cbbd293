package kube

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"deployportal/internal/deploys"
)

// Reused names the ReplicaSet that the controller uses again, with the pods it still has, once the workload of a target
// is set to these images: the one whose template is then the Deployment's. ok is false when there is none.
func (c *Cluster) Reused(t deploys.Target, images map[string]string) (replicaSet string, ok bool) {
	e, err := c.env(t.Env)
	if err != nil {
		return "", false
	}
	workload, err := c.workload(e, t)
	if err != nil {
		return "", false
	}
	sp := e.space()
	if sp == nil {
		return "", false
	}
	o := sp.objects(workload)
	if o.Deployment == nil {
		return "", false
	}
	return reused(o.Deployment, o.ReplicaSets, images)
}

func reused(d *appsv1.Deployment, sets []*appsv1.ReplicaSet, images map[string]string) (string, bool) {
	then := d.Spec.Template.DeepCopy()
	for _, list := range [][]corev1.Container{then.Spec.InitContainers, then.Spec.Containers} {
		for i, c := range list {
			if image, ok := images[c.Name]; ok {
				list[i].Image = image
			}
		}
	}
	hash := TemplateHash(then)
	for _, rs := range sets {
		if TemplateHash(&rs.Spec.Template) == hash {
			return rs.Name, true
		}
	}
	return "", false
}
