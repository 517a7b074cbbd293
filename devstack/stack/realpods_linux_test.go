package stack

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"deployportal/devstack/workloads"
)

func testRealNodes(t *testing.T, c realCase) {
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Status   struct {
				Addresses []struct{ Type, Address string }
				NodeInfo  struct{ KubeletVersion, ContainerRuntimeVersion string }
			}
		}
	}
	if err := c.s.api.Get(t.Context(), "/api/v1/nodes", &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != realNodeCount {
		t.Errorf("nodes: got %d, want %d", len(list.Items), realNodeCount)
	}
	for _, n := range list.Items {
		if !strings.HasPrefix(n.Status.NodeInfo.ContainerRuntimeVersion, "containerd://") || n.Status.NodeInfo.KubeletVersion != c.s.info.Version {
			t.Errorf("%s: got %+v", n.Metadata.Name, n.Status.NodeInfo)
		}
	}
	if err := c.s.nodesReady(t.Context()); err != nil {
		t.Errorf("Start returned before the nodes were Ready: %v", err)
	}
}

func testRealGood(t *testing.T, c realCase) {
	image := c.pushed(t, workloads.Image{Tag: strings.Repeat("0a1b2c3d", 5)})
	started := time.Now()
	c.deploy(t, image.Reference, 3, nil)
	waitAvailable(t, c.s, c.ns, "api", 3)
	t.Logf("the rollout of 3 replicas took %v", time.Since(started))
	list, err := pods(t.Context(), c.s, c.ns)
	if err != nil {
		t.Fatal(err)
	}
	hosts := map[string]bool{}
	for _, p := range list {
		hosts[p.Status.HostIP] = true
		if want := "@" + image.Digest; !strings.HasSuffix(p.first().ImageID, want) {
			t.Errorf("imageID: got %s, want ...%s", p.first().ImageID, want)
		}
	}
	if len(hosts) != realNodeCount {
		t.Errorf("pods run on %v, want both nodes", hosts)
	}
	service := map[string]any{
		"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": "api", "namespace": c.ns},
		"spec": map[string]any{
			"type": "NodePort", "selector": map[string]any{"app": "api"},
			"ports": []any{map[string]any{"port": 80, "targetPort": "http"}},
		},
	}
	var made struct {
		Spec struct {
			ClusterIP string
			Ports     []struct{ NodePort int }
		}
	}
	if err := c.s.api.Create(t.Context(), "/api/v1/namespaces/"+c.ns+"/services", service, &made); err != nil {
		t.Fatal(err)
	}
	answered := map[string]bool{}
	for range 30 {
		answered[get(t, "http://"+made.Spec.ClusterIP+"/")] = true
	}
	if len(answered) != 3 {
		t.Errorf("the Service's address: %d pods answered, want 3: %v", len(answered), answered)
	}
	for host := range hosts {
		get(t, fmt.Sprintf("http://%s:%d/", host, made.Spec.Ports[0].NodePort))
	}
	get(t, fmt.Sprintf("http://127.0.0.1:%d/", made.Spec.Ports[0].NodePort))
	if log := podLog(t, c.s, c.ns, list[0].Metadata.Name, ""); !strings.Contains(log, "listening on :8000") {
		t.Errorf("log: got %q", log)
	}
	record(t, c, "good")
}

func testRealSlow(t *testing.T, c realCase) {
	c.deploy(t, c.push(t, workloads.Image{Behaviour: workloads.Behaviour{StartDelay: "6s"}}), 1, nil)
	waitEvent(t, c.s, c.ns, "Warning", "Unhealthy", "Startup probe failed: Get ")
	record(t, c, "starting")
	waitAvailable(t, c.s, c.ns, "api", 1)
}

// Replicas that queue for a lock become ready one after the other.
func testRealLock(t *testing.T, c realCase) {
	server := c.push(t, workloads.Image{Repository: "acme/lock", Behaviour: workloads.Behaviour{LockServer: "1"}})
	meta := map[string]any{"name": "lock", "namespace": c.ns, "labels": map[string]any{"app": "lock"}}
	lock := map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": map[string]any{
		"containers": []any{map[string]any{"name": "lock", "image": server}}, "terminationGracePeriodSeconds": 1,
	}}
	if err := c.s.api.Create(t.Context(), "/api/v1/namespaces/"+c.ns+"/pods", lock, nil); err != nil {
		t.Fatal(err)
	}
	running := waitPod(t, c.s, c.ns, "the lock server", func(p pod) bool { return p.condition("Ready") == "True" })
	image := c.push(t, workloads.Image{Behaviour: workloads.Behaviour{
		Lock: "http://" + running.Status.PodIP + ":8000/lock", LockHold: "3s",
	}})
	c.deploy(t, image, 3, nil)
	waitAvailable(t, c.s, c.ns, "api", 3)
	list, err := pods(t.Context(), c.s, c.ns)
	if err != nil {
		t.Fatal(err)
	}
	var first, last time.Time
	for _, p := range list {
		at := p.transition("Ready")
		if p.Metadata.Name == "lock" {
			continue
		}
		if first.IsZero() || at.Before(first) {
			first = at
		}
		if at.After(last) {
			last = at
		}
	}
	if gap := last.Sub(first); gap < 5*time.Second {
		t.Errorf("first and last became ready within %v, want two turns of 3 s between them", gap)
	}
}

// A bad image over a good one: the old pods go on serving.
func testRealCrash(t *testing.T, c realCase) {
	c.deploy(t, c.push(t, workloads.Image{Tag: strings.Repeat("0a1b2c3d", 5)}), 2, nil)
	waitAvailable(t, c.s, c.ns, "api", 2)
	const words = "fatal error: sync: unlock of unlocked mutex"
	c.deploy(t, c.push(t, workloads.Image{Tag: strings.Repeat("badc0de5", 5), Behaviour: workloads.Crash(words, 2)}), 2, nil)
	crashing := c.waitAnyPod(t, "crash loop", func(p pod) bool {
		return p.waiting() == "CrashLoopBackOff" && p.first().RestartCount >= 1
	})
	last := crashing.first().LastState.Terminated
	if last == nil || last.ExitCode != 2 || last.Reason != "Error" {
		t.Errorf("last state: got %+v, want exit code 2, Error", last)
	}
	if text := crashing.first().State.Waiting.Message; !strings.HasPrefix(text, "back-off 10s restarting failed container=api") &&
		!strings.HasPrefix(text, "back-off 20s restarting failed container=api") {
		t.Errorf("message: got %q", text)
	}
	if log := podLog(t, c.s, c.ns, crashing.Metadata.Name, "?previous=true"); !strings.Contains(log, words) {
		t.Errorf("log: got %q", log)
	}
	waitEvent(t, c.s, c.ns, "Warning", "BackOff", "Back-off restarting failed container api in pod ")
	record(t, c, "crash")
}

func testRealCrashDatabase(t *testing.T, c realCase) {
	const words = `server error: ERROR: database "honeydue" does not exist (SQLSTATE 3D000)`
	c.deploy(t, c.push(t, workloads.Image{Behaviour: workloads.Crash(words, 1)}), 1, nil)
	p := waitPod(t, c.s, c.ns, "crash loop", func(p pod) bool { return p.waiting() == "CrashLoopBackOff" })
	if log := podLog(t, c.s, c.ns, p.Metadata.Name, "?previous=true"); !strings.Contains(log, words) {
		t.Errorf("log: got %q", log)
	}
	record(t, c, "crash-database")
}

// Ready first, gone a little later: the trap of the stability window.
func testRealExitLater(t *testing.T, c realCase) {
	c.deploy(t, c.push(t, workloads.Image{Behaviour: workloads.Behaviour{
		ExitAfterReady: "5s", LastWords: "panic: lost connection", ExitCode: "1",
	}}), 1, nil)
	waitAvailable(t, c.s, c.ns, "api", 1)
	waitPod(t, c.s, c.ns, "its end", func(p pod) bool { return p.first().RestartCount > 0 || p.first().State.Terminated != nil })
	record(t, c, "exit-later")
}

func testRealPull(t *testing.T, c realCase) {
	good := c.push(t, workloads.Image{})
	c.deploy(t, good[:strings.LastIndex(good, ":")]+":"+strings.Repeat("deadbeef", 5), 1, nil)
	p := waitPod(t, c.s, c.ns, "back-off", func(p pod) bool { return p.waiting() == "ImagePullBackOff" })
	if text := p.first().State.Waiting.Message; !strings.HasPrefix(text, `Back-off pulling image "`) || !strings.Contains(text, "not found") {
		t.Errorf("message: got %q", text)
	}
	waitEvent(t, c.s, c.ns, "Warning", "Failed", "Failed to pull image")
	waitEvent(t, c.s, c.ns, "Warning", "Failed", "Error: ErrImagePull")
	waitEvent(t, c.s, c.ns, "Normal", "BackOff", "Back-off pulling image")
	record(t, c, "imagepull")
}

func testRealPlatform(t *testing.T, c realCase) {
	c.deploy(t, c.push(t, workloads.Image{Platforms: workloads.ForeignOnly}), 1, nil)
	p := waitPod(t, c.s, c.ns, "a refused pull", func(p pod) bool { return strings.HasSuffix(p.waiting(), "BackOff") })
	if text := p.first().State.Waiting.Message; !strings.Contains(text, "no match for platform in manifest") {
		t.Errorf("message: got %q", text)
	}
	record(t, c, "platform")
}

func testRealExecFormat(t *testing.T, c realCase) {
	c.deploy(t, c.push(t, workloads.Image{Platforms: workloads.ForeignProgram}), 1, nil)
	p := waitPod(t, c.s, c.ns, "crash loop", func(p pod) bool { return p.waiting() == "CrashLoopBackOff" })
	if log := podLog(t, c.s, c.ns, p.Metadata.Name, ""); !strings.Contains(log, "exec format error") {
		t.Errorf("log: got %q", log)
	}
	record(t, c, "execformat")
}

func testRealOOM(t *testing.T, c realCase) {
	c.deploy(t, c.push(t, workloads.Image{Behaviour: workloads.Behaviour{EatMiB: "300"}}), 1, func(container, _ map[string]any) {
		container["resources"] = map[string]any{"limits": map[string]any{"memory": "64Mi"}}
	})
	p := waitPod(t, c.s, c.ns, "crash loop", func(p pod) bool { return p.waiting() == "CrashLoopBackOff" })
	if last := p.first().LastState.Terminated; last == nil || last.Reason != "OOMKilled" || last.ExitCode != 137 {
		t.Errorf("last state: got %+v, want OOMKilled, exit code 137", last)
	}
	record(t, c, "oom")
}

func testRealStartup404(t *testing.T, c realCase) {
	c.deploy(t, c.push(t, workloads.Image{}), 1, func(container, _ map[string]any) {
		container["startupProbe"] = map[string]any{
			"httpGet": map[string]any{"path": "/admin/", "port": 8000}, "periodSeconds": 1, "failureThreshold": 3,
		}
	})
	waitEvent(t, c.s, c.ns, "Warning", "Unhealthy", "Startup probe failed: HTTP probe failed with statuscode: 404")
	waitEvent(t, c.s, c.ns, "Normal", "Killing", "Container api failed startup probe, will be restarted")
	waitPod(t, c.s, c.ns, "a restart", func(p pod) bool { return p.first().RestartCount > 0 })
	record(t, c, "startup404")
}

// Two manifests around the same config: the node shows the digest of one, whichever it pulled first.
func testRealSameConfig(t *testing.T, c realCase) {
	version := workloads.Behaviour{Env: map[string]string{"WORKLOAD_VERSION": "1"}}
	one := c.pushed(t, workloads.Image{Tag: strings.Repeat("1", 40), Behaviour: version})
	two := c.pushed(t, workloads.Image{Tag: strings.Repeat("2", 40), Behaviour: version, Variant: "rebuilt"})
	if one.Digest == two.Digest || fmt.Sprint(one.Configs) != fmt.Sprint(two.Configs) {
		t.Fatalf("got %+v and %+v, want two digests and the same configs", one, two)
	}
	for _, image := range []workloads.Pushed{one, two} {
		c.deploy(t, image.Reference, 2, nil)
		waitAvailable(t, c.s, c.ns, "api", 2)
	}
	list, err := pods(t.Context(), c.s, c.ns)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		_, shown, _ := strings.Cut(p.first().ImageID, "@")
		if p.Metadata.DeletionTimestamp == nil && shown != one.Digest { // a runtime may well change that: then the fixture is out of date
			t.Errorf("imageID: got %s, want %s, the digest that was pulled first", shown, one.Digest)
		}
	}
	record(t, c, "same-config")
}

// The sample team runs for real.
func testRealSamples(t *testing.T, c realCase) {
	tag := strings.Repeat("c0ffee00", 5)
	images := map[string]Image{}
	for app, behaviour := range map[string]workloads.Behaviour{
		"api": {StartDelay: "2s"}, "admin": {Port: "3000"}, "worker": {},
	} {
		pushed := c.pushed(t, workloads.Image{Repository: "acme/" + app, Tag: tag, Behaviour: behaviour})
		images[app] = Image{Tag: tag, Digest: pushed.Digest}
	}
	if err := c.s.ApplySamples(t.Context(), c.registry, images); err != nil {
		t.Fatal(err)
	}
	for app, replicas := range map[string]int{"api": 3, "admin": 1, "worker": 1} {
		waitAvailable(t, c.s, "honeydue", app, replicas)
	}
}
