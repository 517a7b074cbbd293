package kube

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	podresources "k8s.io/component-helpers/resource"

	"deployportal/internal/deploys"
	"deployportal/internal/foreign"
)

// workloadSpec reads a Deployment. Single stays empty: claims are objects of their own.
func workloadSpec(d *appsv1.Deployment) deploys.WorkloadSpec {
	w := deploys.WorkloadSpec{Labels: map[string]string{}, Replicas: 1, Deadline: defaultProgressDeadline,
		Recreate: d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType}
	for k, v := range d.Labels {
		w.Labels[foreign.Line(k, 320)] = foreign.Line(v, 64)
	}
	if d.Spec.Replicas != nil {
		w.Replicas = *d.Spec.Replicas
	}
	if s := d.Spec.ProgressDeadlineSeconds; s != nil {
		w.Deadline = time.Duration(*s) * time.Second
	}
	if !w.Recreate {
		w.MaxSurge, w.MaxUnavailable = fenceposts(d.Spec.Strategy.RollingUpdate, w.Replicas)
	}
	for _, c := range d.Spec.Template.Spec.InitContainers {
		w.Containers = append(w.Containers, containerSpec(c, true))
	}
	for _, c := range d.Spec.Template.Spec.Containers {
		w.Containers = append(w.Containers, containerSpec(c, false))
	}
	asked := podresources.PodRequests(podOf(&d.Spec.Template), podresources.PodResourcesOptions{})
	w.CPU, w.Memory = asked.Cpu().MilliValue(), asked.Memory().Value()
	return w
}

// fenceposts resolves the two limits of a rolling update as the Deployment's controller does: the surge is rounded up, the
// other one down, and when both come to nothing one pod may be away.
func fenceposts(r *appsv1.RollingUpdateDeployment, replicas int32) (surge, unavailable int32) {
	quarter := intstr.FromString("25%") // what the API server fills in
	if r == nil {
		r = &appsv1.RollingUpdateDeployment{}
	}
	surge = scaled(intstr.ValueOrDefault(r.MaxSurge, quarter), replicas, true)
	unavailable = scaled(intstr.ValueOrDefault(r.MaxUnavailable, quarter), replicas, false)
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	return surge, unavailable
}

// scaled is a number, or that share of total. What is neither is 0: the API server takes no such thing.
func scaled(v *intstr.IntOrString, total int32, up bool) int32 {
	n, err := intstr.GetScaledValueFromIntOrPercent(v, int(total), up)
	if err != nil {
		return 0
	}
	return int32(n)
}

// podOf is the pod that a template makes, as far as schedulers and quotas look at it.
func podOf(t *corev1.PodTemplateSpec) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: t.ObjectMeta, Spec: t.Spec}
}

func containerSpec(c corev1.Container, init bool) deploys.ContainerSpec {
	s := deploys.ContainerSpec{Name: foreign.Line(c.Name, 63), Init: init}
	for _, p := range c.Ports {
		s.Ports = append(s.Ports, p.ContainerPort)
		if p.Name != "" {
			s.PortNames = append(s.PortNames, foreign.Line(p.Name, 63))
		}
	}
	s.Startup, s.Readiness, s.Liveness = probeSpec(c.StartupProbe, c.Ports), probeSpec(c.ReadinessProbe, c.Ports), probeSpec(c.LivenessProbe, c.Ports)
	return s
}

func probeSpec(p *corev1.Probe, ports []corev1.ContainerPort) *deploys.ProbeSpec {
	if p == nil {
		return nil
	}
	s := &deploys.ProbeSpec{Probe: *viewProbe(p, ports)}
	var at intstr.IntOrString
	switch {
	case p.HTTPGet != nil:
		at = p.HTTPGet.Port
	case p.TCPSocket != nil:
		at = p.TCPSocket.Port
	case p.GRPC != nil:
		at = intstr.FromInt32(p.GRPC.Port)
	}
	if s.Port = at.IntVal; at.Type == intstr.String {
		s.PortName = foreign.Line(at.StrVal, 63)
		if i := slices.IndexFunc(ports, func(p corev1.ContainerPort) bool { return p.Name == at.StrVal }); i >= 0 {
			s.Port = ports[i].ContainerPort
		}
	}
	return s
}
