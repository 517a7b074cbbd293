package stack

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

func testGood(t *testing.T, s *Stack) {
	ns := namespace(t, s, "good")
	digest := "sha256:" + strings.Repeat("a", 64)
	deploy(t, s, ns, 3, repository+":abc1234", digest, "")
	waitAvailable(t, s, ns, "api", 3)
	list, err := pods(t.Context(), s, ns)
	if err != nil {
		t.Fatal(err)
	}
	addresses := map[string]bool{}
	for _, p := range list {
		c := p.first()
		if want := repository + "@" + digest; c.ImageID != want {
			t.Errorf("imageID by annotation: got %q, want %q", c.ImageID, want)
		}
		if !c.Ready || !c.Started || c.RestartCount != 0 || c.State.Running == nil || !strings.HasPrefix(c.ContainerID, "containerd://") {
			t.Errorf("container: got %+v, want it running, started and ready", c)
		}
		for _, kind := range []string{"PodScheduled", "PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready"} {
			if p.condition(kind) != "True" {
				t.Errorf("condition %s: got %q, want True", kind, p.condition(kind))
			}
		}
		if took := p.transition("Ready").Sub(c.State.Running.StartedAt); took < 0 {
			t.Errorf("Ready %v before it ran", -took)
		}
		addresses[p.Status.PodIP] = true
		if p.Status.HostIP == "" || p.Status.PodIP == "" {
			t.Errorf("addresses: pod %q, host %q", p.Status.PodIP, p.Status.HostIP)
		}
	}
	if len(addresses) != 3 {
		t.Errorf("pod addresses: got %v, want three different ones", addresses)
	}
	for reason, text := range map[string]string{
		"Pulling": `Pulling image "` + repository, "Pulled": "Successfully pulled image", "Created": "Created container: api",
		"Started": "Started container api",
	} {
		waitEvent(t, s, ns, "Normal", reason, text)
	}

	if log := podLog(t, s, ns, list[0].Metadata.Name, ""); !strings.Contains(log, `msg="listening"`) {
		t.Errorf("log: got %q", log)
	}

	// A digest in the reference wins over the annotation, and without either the pod still shows one.
	pinned := "sha256:" + strings.Repeat("b", 64)
	for image, want := range map[string]string{
		repository + ":abc1234@" + pinned: repository + "@" + pinned,
		repository + ":def5678":           repository + "@sha256:",
	} {
		deploy(t, s, ns, 1, image, "", "")
		waitAvailable(t, s, ns, "api", 1)
		waitPod(t, s, ns, "the old pods to be gone", func(p pod) bool { return p.first().Image == image })
		p := waitPod(t, s, ns, "the imageID", func(p pod) bool { return p.first().ImageID != "" })
		if got := p.first().ImageID; !strings.HasPrefix(got, want) || len(got) != len(repository+"@"+pinned) {
			t.Errorf("imageID of %s: got %q, want %q and 64 hex digits", image, got, want)
		}
	}
}

func testInitContainers(t *testing.T, s *Stack) {
	ns := namespace(t, s, "init")
	deploy(t, s, ns, 1, repository+":abc1234", "", repository+":1111111")
	p := waitPod(t, s, ns, "the second init container to run", func(p pod) bool {
		return len(p.Status.InitContainerStatuses) == 2 && p.Status.InitContainerStatuses[1].State.Running != nil
	})
	if first := p.Status.InitContainerStatuses[0].State.Terminated; first == nil || first.ExitCode != 0 || first.Reason != "Completed" {
		t.Errorf("first init container while the second runs: %+v", first)
	}
	if w := p.first().State.Waiting; w == nil || w.Reason != "PodInitializing" {
		t.Errorf("container while init containers run: %+v", p.first())
	}
	if p.condition("Initialized") != "False" {
		t.Errorf("Initialized: got %q, want False", p.condition("Initialized"))
	}
	waitAvailable(t, s, ns, "api", 1)
	p = waitPod(t, s, ns, "the pod", func(pod) bool { return true })
	for _, c := range p.Status.InitContainerStatuses {
		if c.State.Terminated == nil || c.State.Terminated.ExitCode != 0 || !c.Ready {
			t.Errorf("init container %s at the end: %+v", c.Name, c)
		}
	}
}

func testSlow(t *testing.T, s *Stack) {
	ns := namespace(t, s, "slow")
	deploy(t, s, ns, 1, repository+":5102345", "", "")
	p := waitPod(t, s, ns, "running", func(p pod) bool { return p.first().State.Running != nil })
	if p.first().Started || p.first().Ready {
		t.Errorf("just after the start: started %v, ready %v, want neither", p.first().Started, p.first().Ready)
	}
	waitEvent(t, s, ns, "Warning", "Unhealthy", "Startup probe failed: Get ")
	waitAvailable(t, s, ns, "api", 1)
	p = waitPod(t, s, ns, "the pod", func(pod) bool { return true })
	took := p.transition("Ready").Sub(p.first().State.Running.StartedAt).Seconds()
	if took < 10 { // no upper bound: this machine may be slow as well
		t.Errorf("ready %.0f s after the start, want about 15", took)
	}
}

func testCrashes(t *testing.T, s *Stack) {
	ns := namespace(t, s, "crashes")
	deploy(t, s, ns, 1, repository+":bad0aaa", "", "")
	p := waitPod(t, s, ns, "dead", func(p pod) bool { return p.first().State.Terminated != nil })
	if end := p.first().State.Terminated; end.ExitCode != 2 || end.Reason != "Error" || end.FinishedAt.Before(end.StartedAt) {
		t.Errorf("terminated: got %+v, want exit code 2, reason Error", *end)
	}
	notReadySince := p.transition("Ready")
	p = waitPod(t, s, ns, "backing off after two restarts", func(p pod) bool {
		return p.first().RestartCount >= 2 && p.first().State.Waiting != nil
	})
	c := p.first()
	if c.State.Waiting.Reason != "CrashLoopBackOff" || !strings.Contains(c.State.Waiting.Message, "restarting failed container=api pod="+p.Metadata.Name) {
		t.Errorf("waiting: got %+v", *c.State.Waiting)
	}
	for _, args := range []string{"", "?previous=true&tailLines=10"} {
		if log := podLog(t, s, ns, p.Metadata.Name, args); !strings.Contains(log, "fatal error: sync: unlock of unlocked mutex\n") {
			t.Errorf("log%s: got %q, want the crash in it", args, log)
		}
	}
	if c.LastState.Terminated == nil || c.LastState.Terminated.ExitCode != 2 {
		t.Errorf("last state: got %+v, want the exit", c.LastState)
	}
	if p.condition("Ready") != "False" || !p.transition("Ready").Equal(notReadySince) {
		t.Errorf("Ready: got %q since %v, want False since %v: it was never anything else", p.condition("Ready"), p.transition("Ready"), notReadySince)
	}
	if n := waitEvent(t, s, ns, "Warning", "BackOff", "Back-off restarting failed container api in pod "); n < 2 {
		t.Errorf("BackOff was told %d times, want at least 2", n)
	}
}

func testNeverReady(t *testing.T, s *Stack) {
	ns := namespace(t, s, "never-ready")
	deploy(t, s, ns, 1, repository+":bad1aaa", "", "")
	waitFor(t, "three failed probes", func(ctx context.Context) error {
		if n := waitEvent(t, s, ns, "Warning", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"); n < 3 {
			return fmt.Errorf("told %d times", n)
		}
		return nil
	})
	p := waitPod(t, s, ns, "the pod", func(pod) bool { return true })
	c := p.first()
	if c.State.Running == nil || !c.Started || c.Ready || p.condition("Ready") != "False" || c.RestartCount != 0 {
		t.Errorf("after three failed probes: got %+v, want it running, started and not ready", c)
	}
}

func testUnpullable(t *testing.T, s *Stack) {
	ns := namespace(t, s, "unpullable")
	image := repository + ":bad2aaa"
	deploy(t, s, ns, 1, image, "", "")
	waiting := func(reason string) func(pod) bool {
		return func(p pod) bool { return p.first().State.Waiting != nil && p.first().State.Waiting.Reason == reason }
	}
	waitPod(t, s, ns, "ErrImagePull", waiting("ErrImagePull"))
	p := waitPod(t, s, ns, "ImagePullBackOff", waiting("ImagePullBackOff"))
	message := p.first().State.Waiting.Message
	if !strings.HasPrefix(message, fmt.Sprintf("Back-off pulling image %q: ErrImagePull: ", image)) || !strings.HasSuffix(message, "not found") {
		t.Errorf("message: got %q", message)
	}
	if p.first().ImageID != "" || p.Status.Phase != "Pending" {
		t.Errorf("imageID %q, phase %s: nothing was pulled", p.first().ImageID, p.Status.Phase)
	}
	waitEvent(t, s, ns, "Warning", "Failed", "Failed to pull image")
	waitEvent(t, s, ns, "Warning", "Failed", "Error: ErrImagePull")
	waitEvent(t, s, ns, "Normal", "BackOff", fmt.Sprintf("Back-off pulling image %q", image))
}

func testExitsLate(t *testing.T, s *Stack) {
	ns := namespace(t, s, "exits-late")
	deploy(t, s, ns, 1, repository+":bad3aaa", "", "")
	waitPod(t, s, ns, "Ready", func(p pod) bool { return p.condition("Ready") == "True" && p.first().RestartCount == 0 })
	p := waitPod(t, s, ns, "not Ready again", func(p pod) bool { return p.condition("Ready") == "False" })
	if c := p.first(); c.Ready || (c.State.Terminated == nil && c.LastState.Terminated == nil) {
		t.Errorf("after the exit: got %+v", c)
	}
	p = waitPod(t, s, ns, "Ready again", func(p pod) bool { return p.condition("Ready") == "True" && p.first().RestartCount == 1 })
	if end := p.first().LastState.Terminated; end == nil || end.ExitCode != 1 {
		t.Errorf("last state: got %+v, want exit code 1", end)
	}
	waitEvent(t, s, ns, "Normal", "Pulled", "already present on machine")
}

func testDelete(t *testing.T, s *Stack) {
	ns := namespace(t, s, "delete")
	deploy(t, s, ns, 1, repository+":abc1234", "", "")
	waitAvailable(t, s, ns, "api", 1)
	p := waitPod(t, s, ns, "the pod", func(pod) bool { return true })
	if err := s.api.Delete(t.Context(), "/api/v1/namespaces/"+ns+"/pods/"+p.Metadata.Name); err != nil {
		t.Fatal(err)
	}
	// It lingers first, as graceful ends do, and is gone then.
	var now pod
	if err := s.api.Get(t.Context(), "/api/v1/namespaces/"+ns+"/pods/"+p.Metadata.Name, &now); err != nil || now.Metadata.DeletionTimestamp == nil {
		t.Errorf("just after the delete: got %v, %v; want it marked", now.Metadata.DeletionTimestamp, err)
	}
	waitFor(t, "the pod to be gone", func(ctx context.Context) error {
		err := s.api.Get(ctx, "/api/v1/namespaces/"+ns+"/pods/"+p.Metadata.Name, nil)
		if apiStatus(err) == 404 {
			return nil
		}
		return fmt.Errorf("still there (%v)", err)
	})
	waitEvent(t, s, ns, "Normal", "Killing", "Stopping container api")
}
