package kube_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/randfill"

	"deployportal/internal/deploys"
	"deployportal/internal/kube"
)

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func TestSnapshotOfNothing(t *testing.T) {
	same(t, "rollout", kube.Snapshot(kube.Objects{}, now), deploys.Rollout{At: now})
}

func TestSnapshotRolling(t *testing.T) {
	r := snap(t, "rolling")
	template := r.Template
	if len(template) != 64 {
		t.Errorf("Template = %q", template)
	}
	if len(r.ReplicaSets) != 2 || r.ReplicaSets[0].Name != "api-new" {
		t.Fatalf("ReplicaSets = %+v", r.ReplicaSets)
	}
	same(t, "new ReplicaSet", r.ReplicaSets[0], deploys.ReplicaSet{
		Name: "api-new", UID: "rs-new", Template: template, Revision: 5, DeployID: 42, Images: map[string]string{"api": imageNew},
		Created: at("01:05:00"), Desired: 2, Replicas: 2, Ready: 1,
	})
	if r.ReplicaSets[1].Template == template {
		t.Error("the old ReplicaSet has the new template")
	}
	var names []string
	for _, p := range r.Pods {
		names = append(names, p.Name)
	}
	same(t, "pods, oldest first", names, []string{"api-old-o1", "api-old-o2", "api-new-n1", "api-new-n2"})
	if !r.Pods[1].Deleting || r.Pods[1].Live() || !r.Pods[0].Live() {
		t.Errorf("deleting pods: %+v", r.Pods[:2])
	}
	same(t, "pod", r.Pods[2], deploys.Pod{
		Name: "api-new-n1", UID: "pod-n1", ReplicaSet: "api-new", Node: "k3s-1", Phase: "Running", Created: at("02:10:00"),
		Scheduled: at("02:10:00"), Ready: true, ReadySince: at("02:10:09"), Containers: []deploys.Container{{
			Name: "api", Image: imageNew, ImageID: digestNew, Ready: true, Started: true, State: "running", Since: at("02:10:03"),
			PullStart: at("02:10:01"), Pulled: "1.2s",
			Startup:   &deploys.Probe{Ask: "GET /healthz on port 8000", Delay: 5 * time.Second, Period: 2 * time.Second, Threshold: 30},
			Readiness: &deploys.Probe{Ask: "TCP connect to port 8000", Period: 3 * time.Second, Threshold: 2},
		}},
	})
	c := r.Pods[3].Containers[0]
	same(t, "pulled", c.Pulled, "present")
	same(t, "startup", c.Startup, &deploys.Probe{
		Ask: "GET /healthz on port 8000", Delay: 5 * time.Second, Period: 2 * time.Second, Threshold: 30,
		Fails: 3, Answer: "HTTP 503", HTTP: 503, FirstFail: at("02:11:05"), LastFail: at("02:11:09"),
	})
	same(t, "imageID of docker-pullable://", r.Pods[0].Containers[0].ImageID, digestOld)

	if len(r.Frame) != 64 || r.Frame == template {
		t.Errorf("Frame = %q", r.Frame)
	}
	r.ReplicaSets, r.Pods, r.Template, r.Bare, r.Frame = nil, nil, "", "", ""
	same(t, "deployment", r, deploys.Rollout{
		At: now, Exists: true, UID: "dep-1", ResourceVersion: "900", Generation: 7, ObservedGeneration: 7, DeployID: 42,
		Desired: 3, Replicas: 4, Updated: 2, Ready: 3, Available: 3, ProgressDeadline: 5 * time.Minute,
		Conditions: []deploys.Condition{
			{Type: "Available", Status: true, Reason: "MinimumReplicasAvailable", Updated: at("02:00:00")},
			{Type: "Progressing", Status: true, Reason: "ReplicaSetUpdated", Message: `ReplicaSet "api-new" is progressing.`, Updated: at("02:10:09")},
		},
		Images: map[string]string{"api": imageNew}, ChangedBy: "deploy-portal", ChangedAt: at("02:09:58"), ManagedBy: "Argo CD",
	})
}

// one is the only container of the only pod.
func one(t *testing.T, r deploys.Rollout) (deploys.Pod, deploys.Container) {
	t.Helper()
	if len(r.Pods) != 1 || len(r.Pods[0].Containers) == 0 {
		t.Fatalf("pods = %+v", r.Pods)
	}
	return r.Pods[0], r.Pods[0].Containers[0]
}

func TestSnapshotInitAndSidecar(t *testing.T) {
	r := snap(t, "init")
	p, migrate := one(t, r)
	same(t, "init container", migrate, deploys.Container{
		Name: "migrate", Init: true, Image: imageNew, ImageID: digestNew, Restarts: 1, Ready: true, State: "terminated", Reason: "Completed",
		Last: &deploys.Exit{Reason: "Completed", Started: at("02:10:03"), Finished: at("02:10:08")},
	})
	same(t, "sidecar", p.Containers[1], deploys.Container{
		Name: "proxy", Sidecar: true, Image: "proxy:1", ImageID: digestOld, Ready: true, Started: true, State: "running", Since: at("02:10:09"),
	})
	same(t, "main", p.Containers[2].Reason, "PodInitializing")
	same(t, "waiting, though a mount once failed", p.Waiting, "")
}

func TestSnapshotTroubles(t *testing.T) {
	t.Run("image pull", func(t *testing.T) {
		p, c := one(t, snap(t, "imagepull"))
		same(t, "reason", c.Reason, "ImagePullBackOff")
		if !strings.Contains(c.Message, "not found") {
			t.Errorf("Message = %q", c.Message)
		}
		same(t, "pull start", c.PullStart, at("02:10:20"))
		same(t, "pulled", c.Pulled+c.ImageID+p.Waiting, "")
	})
	t.Run("crash loop", func(t *testing.T) {
		_, c := one(t, snap(t, "crashloop"))
		same(t, "restarts", c.Restarts, int32(4))
		same(t, "reason", c.Reason, "CrashLoopBackOff")
		same(t, "last", c.Last, &deploys.Exit{Code: 137, Signal: 9, Reason: "OOMKilled", Started: at("02:12:00"), Finished: at("02:12:04")})
	})
	t.Run("startup probe 404", func(t *testing.T) {
		_, c := one(t, snap(t, "startup404"))
		same(t, "startup", c.Startup, &deploys.Probe{
			Ask: "GET /healthz on port 8000", Delay: 5 * time.Second, Period: 2 * time.Second, Threshold: 30, Fails: 31, Answer: "HTTP 404",
			HTTP: 404, FirstFail: at("02:11:24"), LastFail: at("02:11:24"), Kills: 1, LastKill: at("02:11:09"), Through: 404, ThroughFails: 30,
		})
		same(t, "budget", c.Startup.Budget(), 65*time.Second)
		same(t, "readiness: a node's clock may be some seconds behind", c.Readiness.Answer, "timed out")
		if c.Liveness != nil {
			t.Errorf("Liveness = %+v", c.Liveness)
		}
		same(t, "last", c.Last.Code, int32(143))
	})
	t.Run("unschedulable", func(t *testing.T) {
		p, c := one(t, snap(t, "unschedulable"))
		same(t, "waiting", p.Waiting, "0/1 nodes are available: 1 Insufficient memory.")
		same(t, "state of a container nobody reports", c.State, "waiting")
		if !p.Scheduled.IsZero() {
			t.Errorf("Scheduled = %v", p.Scheduled)
		}
	})
	t.Run("sandbox", func(t *testing.T) {
		p, _ := one(t, snap(t, "sandbox"))
		same(t, "waiting", p.Waiting, "Failed to create pod sandbox: rpc error: no network")
	})
	t.Run("pull secret", func(t *testing.T) {
		p, _ := one(t, snap(t, "pullsecret"))
		same(t, "waiting", strings.HasPrefix(p.Waiting, "Unable to retrieve some image pull secrets (regcred)"), true)
	})
	t.Run("evicted", func(t *testing.T) {
		r := snap(t, "evicted")
		same(t, "reason", r.Pods[0].Reason+r.Pods[0].Phase, "EvictedFailed")
		same(t, "message", r.Pods[0].Message, "The node was low on resource: memory.")
		same(t, "live", []bool{r.Pods[0].Live(), r.Pods[1].Live()}, []bool{false, true})
	})
	t.Run("recreate", func(t *testing.T) {
		r := snap(t, "recreate")
		same(t, "recreate", r.Recreate, true)
		same(t, "desired", []int32{r.Desired, r.Replicas}, []int32{2, 0})
	})
	t.Run("paused", func(t *testing.T) {
		r := snap(t, "paused")
		same(t, "paused", r.Paused, true)
		same(t, "desired by default", r.Desired, int32(1))
		same(t, "condition", r.Conditions, []deploys.Condition{{Type: "Progressing", Reason: "DeploymentPaused", Updated: at("02:00:00")}})
	})
	t.Run("quota", func(t *testing.T) {
		r := snap(t, "quota")
		want := []deploys.Condition{{Type: "ReplicaFailure", Status: true, Reason: "FailedCreate",
			Message: `pods "api-new-x" is forbidden: exceeded quota: small`, Updated: at("02:10:00")}}
		same(t, "of the Deployment", r.Conditions, want)
		same(t, "of the ReplicaSet", r.ReplicaSets[0].Conditions, want)
	})
	t.Run("forms of events", func(t *testing.T) {
		_, c := one(t, snap(t, "eventforms"))
		same(t, "startup", *c.Startup, deploys.Probe{
			Ask: "GET /healthz on port 8000", Delay: 5 * time.Second, Period: 2 * time.Second, Threshold: 30, Fails: 6, Answer: "timed out",
			FirstFail: at("02:10:07"), LastFail: at("02:10:40"),
		})
		same(t, "readiness", c.Readiness.Answer, "an error")
		same(t, "readiness said", c.Readiness.Said, "rpc error: code = Unknown desc = oops")
	})
	t.Run("odd", func(t *testing.T) {
		r := snap(t, "odd")
		p, c := one(t, r)
		same(t, "phase", p.Phase, "Pending")
		same(t, "probe", c.Startup, &deploys.Probe{Ask: "probe", Period: 10 * time.Second, Threshold: 3})
		same(t, "ids", []int64{r.DeployID, r.ReplicaSets[0].Revision}, []int64{0, 0})
		same(t, "manager without a time", r.ChangedBy, "b")
	})
}

func TestSnapshotChangesNothing(t *testing.T) {
	before, after := load(t, "rolling"), load(t, "rolling")
	first := kube.Snapshot(after, now)
	same(t, "objects", after, before)
	for i, j := 0, len(after.Events)-1; i < j; i, j = i+1, j-1 {
		after.Events[i], after.Events[j] = after.Events[j], after.Events[i]
	}
	same(t, "the order of the objects counts nothing", kube.Snapshot(after, now), first)
}

func TestTemplateHash(t *testing.T) {
	o := load(t, "rolling")
	hash := kube.TemplateHash(&o.Deployment.Spec.Template)
	for _, rs := range o.ReplicaSets {
		same(t, rs.Name, kube.TemplateHash(&rs.Spec.Template) == hash, rs.Name == "api-new")
	}
	if o.ReplicaSets[1].Spec.Template.Labels["pod-template-hash"] == "" {
		t.Error("TemplateHash took the label out of the object")
	}
	wire, err := o.Deployment.Marshal() // a view reads protobuf, Live may read JSON
	if err != nil {
		t.Fatal(err)
	}
	var again appsv1.Deployment
	if err := again.Unmarshal(wire); err != nil {
		t.Fatal(err)
	}
	same(t, "after protobuf", kube.TemplateHash(&again.Spec.Template), hash)
}

// FuzzSnapshot: no object of a cluster makes it panic, and what it says can be stored.
func FuzzSnapshot(f *testing.F) {
	written, err := filepath.Glob("testdata/*/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	recorded, err := filepath.Glob("testdata/real/*/*.yaml")
	if err != nil || len(written) == 0 || len(recorded) == 0 {
		f.Fatal(err, written, recorded)
	}
	for _, file := range append(written, recorded...) {
		b, err := json.Marshal(load(f, strings.TrimPrefix(filepath.Dir(file), "testdata/")))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var o kube.Objects
		if json.Unmarshal(b, &o) != nil {
			return
		}
		if _, err := json.Marshal(kube.Snapshot(o, now)); err != nil && !strings.Contains(err.Error(), "year outside of range") {
			t.Fatal(err)
		}
	})
}

// Objects filled at random, tied together so that all of them are looked at.
func TestSnapshotOfAnything(t *testing.T) {
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	fill := randfill.NewWithSeed(seed).NilChance(0.3).NumElements(0, 3).Funcs(
		func(q *resource.Quantity, c randfill.Continue) {
			*q = *resource.NewQuantity(c.Int63(), resource.DecimalSI)
		},
		func(f *metav1.FieldsV1, c randfill.Continue) { f.Raw = []byte(c.String(20)) },
	)
	for range 200 {
		o := kube.Objects{Deployment: &appsv1.Deployment{}, ReplicaSets: make([]*appsv1.ReplicaSet, 2), Pods: make([]*corev1.Pod, 3), Events: make([]*corev1.Event, 6)}
		fill.Fill(&o)
		yes := true
		if o.Deployment == nil {
			continue
		}
		for i, rs := range o.ReplicaSets {
			if rs != nil {
				rs.UID = types.UID(fmt.Sprint("rs", i))
				rs.OwnerReferences = []metav1.OwnerReference{{UID: o.Deployment.UID, Controller: &yes}}
			}
		}
		for i, p := range o.Pods {
			if p != nil {
				p.UID = types.UID(fmt.Sprint("pod", i))
				p.OwnerReferences = []metav1.OwnerReference{{UID: types.UID(fmt.Sprint("rs", i%2)), Controller: &yes}}
			}
		}
		for i, e := range o.Events {
			if e != nil {
				e.InvolvedObject.UID = types.UID(fmt.Sprint("pod", i%3))
			}
		}
		if _, err := json.Marshal(kube.Snapshot(o, now)); err != nil {
			t.Fatal(err)
		}
	}
}
