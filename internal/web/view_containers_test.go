package web

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"deployportal/internal/deploys"
	"deployportal/web/templates"
)

// TestStuckPods: each reason with which a kubelet keeps a container for good is a word on its row, and tells of itself in red.
func TestStuckPods(t *testing.T) {
	for reason, word := range map[string]string{
		"CrashLoopBackOff": "Crashing", "ErrImagePull": "No image", "ImagePullBackOff": "No image", "InvalidImageName": "No image", "ErrImageNeverPull": "No image",
		"RegistryUnavailable": "No image", "ImageInspectError": "No image", "SignatureValidationFailed": "No image",
		"CreateContainerConfigError": "Not configured", "CreateContainerError": "Cannot start", "RunContainerError": "Cannot start", "PostStartHookError": "Cannot start",
	} {
		p := deploys.Pod{Name: "api-1-x", Node: "fsn-1", Phase: "Pending", Scheduled: noon,
			Containers: []deploys.Container{{Name: "api", State: "waiting", Reason: reason, Message: "why", PullStart: noon}}}
		if got := podMark(p); got != (templates.Mark{Tone: templates.Bad, Word: word}) {
			t.Errorf("%s: %+v, want %s", reason, got, word)
		}
		tasks := containerTasks(p.Containers[0], p, false, time.Time{})
		if len(tasks) != 1 || !tasks[0].Bad || tasks[0].Text != reason || tasks[0].Say != "why" {
			t.Errorf("%s: %+v", reason, tasks)
		}
		if got := deploys.HealthOf(deploys.Rollout{Exists: true, Desired: 1, Pods: []deploys.Pod{p}}); got != deploys.Degraded {
			t.Errorf("%s: the workload is %s", reason, got)
		}
	}
}

// TestPodLogs: each pod in trouble shows how its log ends, and only that.
func TestPodLogs(t *testing.T) {
	log := func(kind deploys.EvidenceKind, at time.Time, texts ...string) (out []deploys.Evidence) {
		for _, text := range texts {
			out = append(out, deploys.Evidence{Kind: kind, At: at, Text: text})
		}
		return out
	}
	causes := []deploys.Cause{
		{Pod: "api-1-x", Container: "api", Evidence: slices.Concat(log(deploys.FromCluster, noon, "ended with exit code 1"),
			log(deploys.FromLog, noon, "answered a probe"), log(deploys.FromLog, time.Time{}, "one", "two", "three", strings.Repeat("four", 100)))},
		{Pod: "api-1-y", Container: "api", Evidence: log(deploys.FromLog, time.Time{}, "of y")},
		{Pod: "api-1-z", Container: "api", Evidence: log(deploys.FromCluster, noon, "no node")},
	}
	one := []deploys.Container{{Name: "api"}}
	for name, want := range map[string][]templates.PodLog{
		"api-1-x": {{Title: "Last log lines", Lines: []string{"two", "three", strings.Repeat("four", 50)[:199] + "…"}}},
		"api-1-y": {{Title: "Last log lines", Lines: []string{"of y"}}},
		"api-1-z": nil,
	} {
		if got := podLogs(causes, deploys.Pod{Name: name, Containers: one}); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	if got := podLogs(causes, deploys.Pod{Name: "api-1-y", Containers: append(one, deploys.Container{Name: "proxy"})}); got[0].Title != "Last log lines of api" {
		t.Errorf("of two containers: %+v", got)
	}
}
