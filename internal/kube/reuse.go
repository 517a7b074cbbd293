package kube

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"deployportal/internal/deploys"
)

// Reused names the ReplicaSet that the controller uses again, with the pods it still has, once a rollback has set the
// workload of a target to the images of a version and to the mark of a restart it ran with: the one whose template is then
// the Deployment's. ok is false when there is none.
func (c *Cluster) Reused(t deploys.Target, v deploys.Version) (replicaSet string, ok bool) {
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
	return reused(o.Deployment, o.ReplicaSets, v)
}

func reused(d *appsv1.Deployment, sets []*appsv1.ReplicaSet, v deploys.Version) (string, bool) {
	then := d.Spec.Template.DeepCopy()
	for _, list := range [][]corev1.Container{then.Spec.InitContainers, then.Spec.Containers} {
		for i, c := range list {
			if image, ok := v.Images[c.Name]; ok {
				list[i].Image = image
			}
		}
	}
	if v.Restarted == "" {
		delete(then.Annotations, annotationRestarted)
	} else {
		metav1.SetMetaDataAnnotation(&then.ObjectMeta, annotationRestarted, v.Restarted)
	}
	hash := TemplateHash(then)
	for _, rs := range sets {
		if TemplateHash(&rs.Spec.Template) == hash {
			return rs.Name, true
		}
	}
	return "", false
}
