package kube_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"deployportal/internal/deploys"
	"deployportal/internal/kube"
)

var now = at("02:20:00")

func at(clock string) time.Time {
	t, err := time.Parse(time.RFC3339, "2026-11-20T"+clock+"Z")
	if err != nil {
		panic(err)
	}
	return t
}

const (
	digestNew = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	digestOld = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
	imageNew  = "git.example.org/acme/api:bbbbbbb@" + digestNew
)

// load reads the objects of testdata/<scenario>.
func load(t testing.TB, scenario string) kube.Objects {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", scenario, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("Glob(%s) = %v, %v", scenario, files, err)
	}
	var o kube.Objects
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, doc := range bytes.Split(b, []byte("\n---\n")) {
			add(t, &o, doc)
		}
	}
	return o
}

func add(t testing.TB, o *kube.Objects, doc []byte) {
	t.Helper()
	var head struct{ Kind string }
	read := func(into any) {
		if err := yaml.Unmarshal(doc, into); err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
	}
	read(&head)
	switch head.Kind {
	case "Deployment":
		o.Deployment = &appsv1.Deployment{}
		read(o.Deployment)
	case "ReplicaSet":
		o.ReplicaSets = append(o.ReplicaSets, &appsv1.ReplicaSet{})
		read(o.ReplicaSets[len(o.ReplicaSets)-1])
	case "Pod":
		o.Pods = append(o.Pods, &corev1.Pod{})
		read(o.Pods[len(o.Pods)-1])
	case "Event":
		o.Events = append(o.Events, &corev1.Event{})
		read(o.Events[len(o.Events)-1])
	default:
		t.Fatalf("a %q in\n%s", head.Kind, doc)
	}
}

func snap(t testing.TB, scenario string) deploys.Rollout {
	t.Helper()
	return kube.Snapshot(load(t, scenario), now)
}
