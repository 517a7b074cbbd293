package web

import (
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
