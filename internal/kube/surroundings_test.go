package kube_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"

	"deployportal/internal/deploys"
	"deployportal/internal/kube"
)

// parse reads one object as kubectl would.
func parse[T any](t testing.TB, text string) *T {
	t.Helper()
	o := new(T)
	if err := yaml.UnmarshalStrict([]byte(text), o); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return o
}

// parts reads objects separated by lines of dashes.
func parts[T any](t testing.TB, text string) []T {
	t.Helper()
	var all []T
	for _, one := range strings.Split(text, "\n---\n") {
		all = append(all, *parse[T](t, one))
	}
	return all
}

func TestNeeds(t *testing.T) {
	template := parse[corev1.PodTemplateSpec](t, `
spec:
  imagePullSecrets: [{name: registry}]
  initContainers:
  - name: migrate
    env:
    - {name: DSN, valueFrom: {secretKeyRef: {name: db, key: admin}}}
  containers:
  - name: api
    env:
    - {name: PLAIN, value: x}
    - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: DSN, valueFrom: {secretKeyRef: {name: db, key: dsn}}}
    - {name: FLAG, valueFrom: {configMapKeyRef: {name: flags, key: flag, optional: true}}}
    envFrom:
    - {prefix: A_, secretRef: {name: env}}
    - {configMapRef: {name: settings, optional: true}}
  volumes:
  - {name: tls, secret: {secretName: api-tls, items: [{key: tls.crt, path: c}, {key: tls.key, path: k}]}}
  - {name: whole, configMap: {name: nginx, optional: true}}
  - {name: data, persistentVolumeClaim: {claimName: data}}
  - {name: own, ephemeral: {volumeClaimTemplate: {spec: {}}}}
  - name: kube-api-access
    projected:
      sources:
      - {serviceAccountToken: {path: token}}
      - {configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}}
      - {secret: {name: extra, optional: true}}
  - {name: vault, csi: {driver: d, nodePublishSecretRef: {name: vault-login}}}
  - {name: tmp, emptyDir: {}}
`)
	same(t, "needs", kube.NeedsOf(template), []deploys.Need{
		{Kind: "Secret", Name: "db", Keys: []string{"admin"}, By: "init container migrate, env DSN"},
		{Kind: "Secret", Name: "db", Keys: []string{"dsn"}, By: "container api, env DSN"},
		{Kind: "ConfigMap", Name: "flags", Keys: []string{"flag"}, By: "container api, env FLAG", Optional: true},
		{Kind: "Secret", Name: "env", By: "container api, envFrom"},
		{Kind: "ConfigMap", Name: "settings", By: "container api, envFrom", Optional: true},
		{Kind: "Secret", Name: "api-tls", Keys: []string{"tls.crt", "tls.key"}, By: "volume tls"},
		{Kind: "ConfigMap", Name: "nginx", By: "volume whole", Optional: true},
		{Kind: "PersistentVolumeClaim", Name: "data", By: "volume data"},
		{Kind: "ConfigMap", Name: "kube-root-ca.crt", Keys: []string{"ca.crt"}, By: "volume kube-api-access"},
		{Kind: "Secret", Name: "extra", By: "volume kube-api-access", Optional: true},
		{Kind: "Secret", Name: "vault-login", By: "volume vault"},
		{Kind: "Secret", Name: "registry", By: "imagePullSecrets", Pull: true},
	})
}

func TestWorkloadSpec(t *testing.T) {
	d := parse[appsv1.Deployment](t, `
metadata: {labels: {app: api, singleton: "true"}}
spec:
  replicas: 3
  progressDeadlineSeconds: 120
  selector: {}
  template:
    spec:
      overhead: {cpu: 10m}
      initContainers:
      - {name: migrate, resources: {requests: {cpu: 2, memory: 64Mi}}}
      - {name: mesh, restartPolicy: Always, resources: {requests: {cpu: 50m, memory: 32Mi}}}
      containers:
      - name: api
        ports: [{containerPort: 8000, name: http}, {containerPort: 9000}]
        resources: {requests: {cpu: 500m, memory: 256Mi}}
        startupProbe: {httpGet: {path: /up, port: http}, periodSeconds: 3, failureThreshold: 20}
        readinessProbe: {tcpSocket: {port: admin}}
        livenessProbe: {grpc: {port: 9000}}
      - {name: logs, resources: {requests: {cpu: 100m}}, livenessProbe: {exec: {command: ["true"]}}}
`)
	probe := func(ask string, period time.Duration, threshold int32) deploys.Probe {
		return deploys.Probe{Ask: ask, Period: period, Threshold: threshold}
	}
	same(t, "spec", kube.WorkloadSpec(d), deploys.WorkloadSpec{
		Labels: map[string]string{"app": "api", "singleton": "true"}, Replicas: 3, MaxSurge: 1, Deadline: 2 * time.Minute,
		CPU: 2010, Memory: (256 + 32) << 20, // the init container asks for more CPU than all that run, and for less memory
		Containers: []deploys.ContainerSpec{
			{Name: "migrate", Init: true}, {Name: "mesh", Init: true},
			{Name: "api", Ports: []int32{8000, 9000}, PortNames: []string{"http"},
				Startup:   &deploys.ProbeSpec{Probe: probe("GET /up on port 8000", 3*time.Second, 20), Port: 8000, PortName: "http"},
				Readiness: &deploys.ProbeSpec{Probe: probe("TCP connect to port admin", 10*time.Second, 3), PortName: "admin"},
				Liveness:  &deploys.ProbeSpec{Probe: probe("gRPC on port 9000", 10*time.Second, 3), Port: 9000}},
			{Name: "logs", Liveness: &deploys.ProbeSpec{Probe: probe("exec true", 10*time.Second, 3)}},
		},
	})
}

func TestSurge(t *testing.T) {
	for _, c := range []struct {
		replicas int32
		strategy string
		want     string // surge, unavailable
	}{
		{4, "{}", "1 1"},
		{3, "{type: RollingUpdate, rollingUpdate: {}}", "1 0"},
		{1, "{rollingUpdate: {maxSurge: 25%, maxUnavailable: 25%}}", "1 0"},
		{5, "{rollingUpdate: {maxSurge: 21%, maxUnavailable: 39%}}", "2 1"},
		{2, "{rollingUpdate: {maxSurge: 0, maxUnavailable: 25%}}", "0 1"},
		{0, "{rollingUpdate: {maxSurge: 25%, maxUnavailable: 25%}}", "0 1"},
		{2, "{rollingUpdate: {maxSurge: 5, maxUnavailable: 0}}", "5 0"},
		{4, "{type: Recreate}", "0 0"},
	} {
		w := kube.WorkloadSpec(parse[appsv1.Deployment](t, fmt.Sprintf("spec: {replicas: %d, selector: {}, template: {}, strategy: %s}", c.replicas, c.strategy)))
		if got := fmt.Sprint(w.MaxSurge, w.MaxUnavailable); got != c.want || w.Recreate != strings.Contains(c.strategy, "Recreate") {
			t.Errorf("%d of %s: got %s, want %s; Recreate %v", c.replicas, c.strategy, got, c.want, w.Recreate)
		}
	}
}

func TestFits(t *testing.T) {
	const node = `
metadata: {name: n1, labels: {kubernetes.io/arch: arm64, disk: ssd}}
spec: %s
status:
  nodeInfo: {operatingSystem: linux, architecture: arm64, machineID: "", systemUUID: "", bootID: "", kernelVersion: "", osImage: "", containerRuntimeVersion: "", kubeletVersion: "", kubeProxyVersion: ""}
  allocatable: {cpu: 3900m, memory: 8Gi}
  addresses: [{type: Hostname, address: n1}, {type: InternalIP, address: 10.0.0.4}, {type: InternalIP, address: "fd00::4"}]`
	const (
		cordoned = "It is cordoned."
		labels   = "Its labels do not match the pods' node selector or required node affinity."
		affinity = "{containers: [], affinity: {nodeAffinity: {%s: %s}}}"
		required = "requiredDuringSchedulingIgnoredDuringExecution"
		terms    = "{nodeSelectorTerms: [{matchExpressions: [{key: disk, operator: In, values: [%s]}]}, {matchFields: [{key: metadata.name, operator: In, values: [n2]}]}]}"
	)
	for name, c := range map[string]struct{ node, pod, why string }{
		"anything":        {"{}", "{containers: []}", ""},
		"selector":        {"{}", "{containers: [], nodeSelector: {disk: ssd}}", ""},
		"other selector":  {"{}", "{containers: [], nodeSelector: {disk: hdd}}", labels},
		"affinity":        {"{}", fmt.Sprintf(affinity, required, fmt.Sprintf(terms, "ssd")), ""},
		"other affinity":  {"{}", fmt.Sprintf(affinity, required, fmt.Sprintf(terms, "hdd")), labels},
		"preference":      {"{}", fmt.Sprintf(affinity, "preferredDuringSchedulingIgnoredDuringExecution", "[{weight: 1, preference: {matchExpressions: [{key: disk, operator: In, values: [hdd]}]}}]"), ""},
		"by name":         {"{}", "{containers: [], nodeName: n1}", ""},
		"another by name": {"{}", "{containers: [], nodeName: n2}", "The pods name the node n2."},
		"cordoned":        {"{unschedulable: true, taints: [{key: node.kubernetes.io/unschedulable, effect: NoSchedule}]}", "{containers: []}", cordoned},
		"cordon endured":  {"{unschedulable: true}", "{containers: [], tolerations: [{key: node.kubernetes.io/unschedulable, operator: Exists}]}", ""},
		"taint":           {"{taints: [{key: gpu, value: 'yes', effect: NoSchedule}]}", "{containers: []}", "The pods do not tolerate its taint gpu=yes:NoSchedule."},
		"taint by value":  {"{taints: [{key: gpu, value: 'yes', effect: NoExecute}]}", "{containers: [], tolerations: [{key: gpu, value: 'no'}]}", "The pods do not tolerate its taint gpu=yes:NoExecute."},
		"tolerated":       {"{taints: [{key: gpu, value: 'yes', effect: NoExecute}]}", "{containers: [], tolerations: [{key: gpu, operator: Exists}]}", ""},
		"soft taint":      {"{taints: [{key: gpu, effect: PreferNoSchedule}]}", "{containers: []}", ""},
	} {
		got := kube.ViewNode(parse[corev1.Node](t, fmt.Sprintf(node, c.node)), parse[corev1.PodTemplateSpec](t, "spec: "+c.pod))
		same(t, name, got, deploys.Node{Name: "n1", Platform: "linux/arm64", Fits: c.why == "", Why: c.why,
			AllocatableCPU: 3900, AllocatableMemory: 8 << 30, Address: "10.0.0.4"})
	}
}

func TestBudgets(t *testing.T) {
	template := parse[corev1.PodTemplateSpec](t, "metadata: {labels: {app: api, tier: web}}")
	const budget = "{metadata: {name: %s}, spec: {%s}}"
	for name, c := range map[string]struct {
		spec    string
		allowed int32
		says    string // empty: it does not select the pods
	}{
		"all must stay":  {"minAvailable: 3, selector: {matchLabels: {app: api}}", 0, "minAvailable 3"},
		"more than all":  {"minAvailable: 7, selector: {matchLabels: {app: api}}", 0, "minAvailable 7"},
		"one may go":     {"minAvailable: 2, selector: {matchLabels: {app: api}}", 1, "minAvailable 2"},
		"half must stay": {"minAvailable: 50%, selector: {}", 1, "minAvailable 50%"},
		"none may go":    {"maxUnavailable: 0, selector: {matchLabels: {app: api}}", 0, "maxUnavailable 0"},
		"share may go":   {"maxUnavailable: 34%, selector: {matchExpressions: [{key: tier, operator: Exists}]}", 2, "maxUnavailable 34%"},
		"all may go":     {"maxUnavailable: 9, selector: {}", 3, "maxUnavailable 9"},
		"says nothing":   {"selector: {matchLabels: {app: api}}", 0, "neither minAvailable nor maxUnavailable"},
		"other pods":     {"minAvailable: 3, selector: {matchLabels: {app: worker}}", 0, ""},
		"no selector":    {"minAvailable: 3", 0, ""},
	} {
		var want []deploys.Budget
		if c.says != "" {
			want = []deploys.Budget{{Name: "b", Allowed: c.allowed, Says: c.says}}
		}
		same(t, name, kube.ViewBudgets(parts[policyv1.PodDisruptionBudget](t, fmt.Sprintf(budget, "b", c.spec)), template, 3), want)
	}
}

func TestQuotas(t *testing.T) {
	const pod = "{containers: [{name: a, resources: {requests: {cpu: 500m, memory: 256Mi}, limits: {memory: 512Mi}}}]}"
	for name, c := range map[string]struct {
		pod, spec, used string
		extra           int32
		want            string
	}{
		"room":            {pod, "hard: {pods: 4}", "{pods: 3}", 1, "pods 3/4 true"},
		"full":            {pod, "hard: {pods: 4}", "{pods: 3}", 2, "pods 3/4 false"},
		"full, no surge":  {pod, "hard: {count/pods: 3}", "{count/pods: 3}", 0, "count/pods 3/3 true"},
		"over, no surge":  {pod, "hard: {pods: 2}", "{pods: 3}", 0, "pods 3/2 false"},
		"cpu":             {pod, "hard: {requests.cpu: 2}", "{requests.cpu: 1500m}", 1, "requests.cpu 1500m/2 true"},
		"cpu full":        {pod, "hard: {cpu: 2}", "{cpu: 1500m}", 2, "cpu 1500m/2 false"},
		"limits":          {pod, "hard: {limits.memory: 1Gi}", "{limits.memory: 768Mi}", 1, "limits.memory 768Mi/1Gi false"},
		"not asked for":   {pod, "hard: {limits.cpu: 4}", "{limits.cpu: 3}", 1, "limits.cpu 3/4 true"},
		"none left of it": {pod, "hard: {limits.cpu: 4}", "{limits.cpu: 4}", 1, "limits.cpu 4/4 false"},
		"other objects":   {pod, "hard: {services: 1, count/secrets: 1, requests.storage: 1Gi, a.storageclass.storage.k8s.io/requests.storage: 1Gi, requests.nvidia.com/gpu: 0}", "{}", 1, ""},
		"gpu":             {"{containers: [{name: a, resources: {requests: {nvidia.com/gpu: 1}}}]}", "hard: {requests.nvidia.com/gpu: 1}", "{requests.nvidia.com/gpu: 1}", 1, "requests.nvidia.com/gpu 1/1 false"},
		"terminating":     {pod, "hard: {pods: 1}, scopes: [Terminating]", "{pods: 1}", 1, ""},
		"not terminating": {pod, "hard: {pods: 1}, scopes: [NotTerminating, NotBestEffort]", "{pods: 1}", 1, "pods 1/1 false"},
		"best effort":     {pod, "hard: {pods: 1}, scopes: [BestEffort]", "{pods: 1}", 1, ""},
		"class":           {pod, "hard: {pods: 1}, scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In, values: [high]}]}", "{pods: 1}", 1, ""},
		"its class":       {"{containers: [], priorityClassName: high}", "hard: {pods: 1}, scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In, values: [high]}]}", "{pods: 1}", 1, "pods 1/1 false"},
	} {
		quota := parts[corev1.ResourceQuota](t, fmt.Sprintf("{metadata: {name: q}, spec: {%s}, status: {used: %s}}", c.spec, c.used))
		var got []string
		for _, q := range kube.ViewQuotas(quota, parse[corev1.PodTemplateSpec](t, "spec: "+c.pod), c.extra) {
			got = append(got, fmt.Sprintf("%s %s/%s %v", q.Resource, q.Used, q.Hard, q.Room))
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%s: got %q, want %q", name, s, c.want)
		}
	}
}

func TestScaler(t *testing.T) {
	all := parts[autoscalingv2.HorizontalPodAutoscaler](t, `
metadata: {name: other}
spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: worker}}
---
metadata: {name: set}
spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: StatefulSet, name: api}}
---
metadata: {name: rollout}
spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: argoproj.io/v1alpha1, kind: Deployment, name: api}}
---
metadata: {name: mine}
spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: api}}`)
	same(t, "of api", kube.ScalerOf(all, "api"), "mine")
	same(t, "of admin", kube.ScalerOf(all, "admin"), "")
}
