package deploys_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"deployportal/internal/deploys"
	"deployportal/internal/kube"
)

// named judges a snapshot at a second and once more when every grace has passed, and gives the first cause.
func named(b deploys.Basis, f deploys.Facts, r deploys.Rollout, first time.Time) (deploys.Cause, bool) {
	v, m := deploys.Judge(b, f, deploys.Memory{}, r, first)
	if v.Status != deploys.Failed {
		v, _ = deploys.Judge(b, f, m, r, first.Add(6*time.Second))
	}
	switch {
	case v.Cause != nil:
		return *v.Cause, true
	case len(v.Causes) > 0:
		return v.Causes[0], true
	}
	return deploys.Cause{}, false
}

// TestWaitingReasons has a row for every reason with which a kubelet keeps a container waiting, in its own words.
func TestWaitingReasons(t *testing.T) {
	const (
		backOff = `Back-off pulling image "git.example.org/acme/api:abc1234": ErrImagePull: `
		start   = "Container api of pod new-1 cannot start: "
	)
	there := deploys.Facts{Pull: deploys.PullFact{Asked: true, Platforms: []string{"linux/arm64"}}}
	gone := deploys.Facts{Pull: deploys.PullFact{Asked: true, Sentence: "The registry has no tag abc1234 in acme/api."}}
	moved := deploys.Facts{Pull: deploys.PullFact{Asked: true, Sentence: "The registry has no such digest.", Moved: "sha256:beef"}}
	refused := deploys.Facts{Pull: deploys.PullFact{Asked: true, Refused: true, Sentence: "The registry refuses the portal."}}
	for _, c := range []struct {
		reason, message string
		facts           deploys.Facts
		title, sentence string // none: no cause
		doomed          bool
	}{
		{"ContainerCreating", "", deploys.Facts{}, "", "", false},
		{"PodInitializing", "", deploys.Facts{}, "", "", false},
		{"ErrImagePull", "rpc error: not found", gone, "Image not found", "Image not found: The registry has no tag abc1234 in acme/api. It was deleted, or never pushed.", true},
		{"ImagePullBackOff", backOff + "not found", gone, "Image not found", "Image not found: The registry has no tag abc1234 in acme/api. It was deleted, or never pushed.", true},
		{"ImagePullBackOff", backOff + "not found", moved, "Image overwritten", "The image is gone: the tag abc1234 in acme/api was pushed again and names another digest now.", true},
		{"ImagePullBackOff", backOff + "not found", refused, "The registry refuses the image", start + "The registry refuses the portal.", true},
		{"ImagePullBackOff", backOff + "not found", deploys.Facts{}, "Image not pulled", start + "node-1 could not pull its image.", false},
		{"ImagePullBackOff", backOff + "no match for platform in manifest: not found", there, "No image for this architecture",
			start + "the image is not built for the architecture of node-1, only for linux/arm64.", true},
		{"ImagePullBackOff", backOff + "pull access denied, failed to authorize: failed to fetch anonymous token: 401 Unauthorized", there, "The registry refuses the node",
			start + "the registry does not let node-1 pull the image.", true},
		{"ImagePullBackOff", backOff + "dial tcp 10.0.0.9:443: i/o timeout", there, "Registry unreachable from the node", start + "node-1 cannot reach the registry.", false},
		{"InvalidImageName", `Failed to apply default image tag "A:B:C"`, deploys.Facts{}, "Invalid image name", start + `"` + pinned + `" is not the name of an image.`, true},
		{"ErrImageNeverPull", `Container image "x" is not present with pull policy of Never`, deploys.Facts{}, "Image not on the node", start + "its imagePullPolicy is Never and node-1 does not have the image.", true},
		{"ImageInspectError", "Failed to inspect image: broken", deploys.Facts{}, "The image cannot be read", start + "Failed to inspect image: broken.", false},
		{"RegistryUnavailable", "registry is down", deploys.Facts{}, "Registry unreachable from the node", start + "registry is down.", false},
		{"SignatureValidationFailed", "no valid signature", deploys.Facts{}, "Image signature refused", start + "no valid signature.", false},
		{"CreateContainerConfigError", `secret "x" not found`, deploys.Facts{}, "Secret missing", start + `the Secret "x" it refers to does not exist.`, true},
		{"CreateContainerConfigError", `configmap "x" not found`, deploys.Facts{}, "ConfigMap missing", start + `the ConfigMap "x" it refers to does not exist.`, true},
		{"CreateContainerConfigError", "couldn't find key K in Secret honeydue/x", deploys.Facts{}, "Key missing in Secret", start + `the Secret "x" has no key "K".`, true},
		{"CreateContainerConfigError", "couldn't find key K in ConfigMap honeydue/x", deploys.Facts{}, "Key missing in ConfigMap", start + `the ConfigMap "x" has no key "K".`, true},
		{"CreateContainerConfigError", "failed to sync secret cache: timed out waiting for the condition", deploys.Facts{}, "The node has not read its configuration",
			"Container api of pod new-1 cannot start yet: node-1 could not read its Secrets and ConfigMaps in time, and tries again.", false},
		{"CreateContainerConfigError", "container has runAsNonRoot and image will run as root", deploys.Facts{}, "The container's configuration is wrong",
			start + "container has runAsNonRoot and image will run as root.", true},
		{"CreateContainerError", `no command specified`, deploys.Facts{}, "The container cannot be started", "Container api of pod new-1 cannot be started: no command specified.", false},
		{"RunContainerError", `exec: "/nope": no such file or directory`, deploys.Facts{}, "The container cannot be started",
			`Container api of pod new-1 cannot be started: exec: "/nope": no such file or directory.`, false},
		{"RunContainerError", "exec /app: exec format error", deploys.Facts{}, "Wrong architecture",
			"Container api of pod new-1 cannot run on node-1: exec format error. The image is for another architecture than the node.", true},
		{"PostStartHookError", "hook failed", deploys.Facts{}, "The container cannot be started", "Container api of pod new-1 cannot be started: hook failed.", false},
	} {
		t.Run(c.reason+" "+c.title, func(t *testing.T) {
			r := with(waiting(c.reason, c.message), func(r *deploys.Rollout) { r.Pods[3].Node = "node-1"; r.Pods[3].Scheduled = sec(1) })
			got, ok := named(basis, c.facts, r, sec(3))
			if ok != (c.title != "") || got.Title != c.title || got.Sentence != c.sentence || got.Doomed != c.doomed {
				t.Errorf("%s: %s (doomed %v)\nwant %s: %s (doomed %v)", got.Title, got.Sentence, got.Doomed, c.title, c.sentence, c.doomed)
			}
		})
	}
}

// TestPodWaits has a row for what keeps a pod from having containers, in the scheduler's and the kubelet's words.
func TestPodWaits(t *testing.T) {
	for _, c := range []struct {
		waiting         string
		scheduled       bool
		title, sentence string
		doomed          bool
	}{
		{"0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector. no new claims to deallocate, preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.", false, "No node takes the pod",
			"Pod new-1 waits for a node: 0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.", false},
		{`MountVolume.SetUp failed for volume "tls" : secret "api-tls" not found`, true, "Secret missing",
			`Pod new-1 cannot start: the Secret "api-tls" that it mounts does not exist.`, true},
		{`MountVolume.SetUp failed for volume "conf" : configmap "api" not found`, true, "ConfigMap missing",
			`Pod new-1 cannot start: the ConfigMap "api" that it mounts does not exist.`, true},
		{`MountVolume.SetUp failed for volume "tls" : references non-existent secret key: tls.key`, true, "Key missing in Secret",
			`Pod new-1 cannot start: the Secret that it mounts as volume "tls" has no key "tls.key".`, true},
		{`MountVolume.SetUp failed for volume "conf" : configmap references non-existent config key: api.yaml`, true, "Key missing in ConfigMap",
			`Pod new-1 cannot start: the ConfigMap that it mounts as volume "conf" has no key "api.yaml".`, true},
		{`Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) rs-old-x2k9p`, true, "The volume is held elsewhere",
			"Pod new-1 waits for volume pvc-1, which only one node can have: pod rs-old-x2k9p has it, and old pods stay until the new one is ready. Neither gets on.", false},
		{`Multi-Attach error for volume "pvc-1" Volume is already exclusively attached to one node and can't be attached to another`, true, "The volume is held elsewhere",
			"Pod new-1 waits for volume pvc-1, which only one node can have: another one has it, and old pods stay until the new one is ready. Neither gets on.", false},
		{`Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) new-1`, true, "The volume is held elsewhere",
			"Pod new-1 waits for volume pvc-1, which only one node can have: pod new-1 has it.", false},
		{`Failed to create pod sandbox: plugin type="bridge" failed`, true, "The pod is not set up",
			`Pod new-1 on node-1 is not set up yet: Failed to create pod sandbox: plugin type="bridge" failed.`, false},
		{"Unable to retrieve some image pull secrets (regcred); attempting to pull the image may not succeed.", true, "The pod is not set up",
			"Pod new-1 on node-1 is not set up yet: Unable to retrieve some image pull secrets (regcred); attempting to pull the image may not succeed.", false},
	} {
		r := with(waiting("ContainerCreating", ""), func(r *deploys.Rollout) {
			p := &r.Pods[3]
			p.Phase, p.Waiting = "Pending", c.waiting
			if c.scheduled {
				p.Node, p.Scheduled = "node-1", sec(1)
			}
		})
		got, _ := named(basis, deploys.Facts{}, r, sec(3))
		if got.Title != c.title || got.Sentence != c.sentence || got.Doomed != c.doomed {
			t.Errorf("%s: %s (doomed %v)\nwant %s: %s (doomed %v)", got.Title, got.Sentence, got.Doomed, c.title, c.sentence, c.doomed)
		}
	}
}

// With the strategy Recreate a pod that has ended and was left keeps Kubernetes from going on; what still goes away, or
// waits only for pods to be created, is no such case.
func TestOverlooked(t *testing.T) {
	evicted := with(rolling(), func(r *deploys.Rollout) {
		r.Recreate, r.Replicas, r.Ready, r.Available = true, 0, 0, 0
		r.Pods = []deploys.Pod{{Name: "rs-old-7fjmq", UID: "7fjmq", ReplicaSet: "rs-old", Phase: "Failed", Reason: "Evicted"}}
	})
	for name, c := range map[string]struct {
		change func(*deploys.Rollout)
		named  bool
	}{
		"an evicted pod is left":        {func(*deploys.Rollout) {}, true},
		"its ReplicaSet is the new one": {func(r *deploys.Rollout) { r.Pods[0].ReplicaSet = "rs-new" }, true},
		"an old pod still goes away":    {func(r *deploys.Rollout) { r.Pods = append(r.Pods, oldPod(1)); r.Pods[1].Deleting = true }, false},
		"an old pod still runs":         {func(r *deploys.Rollout) { r.Pods = append(r.Pods, oldPod(1)) }, false},
		"no pod is left":                {func(r *deploys.Rollout) { r.Pods = nil }, false},
		"the ended pod goes away":       {func(r *deploys.Rollout) { r.Pods[0].Deleting = true }, false},
		"the new ReplicaSet was told":   {func(r *deploys.Rollout) { r.ReplicaSets[0].Desired = 3 }, false},
		"pods are replaced one by one":  {func(r *deploys.Rollout) { r.Recreate = false }, false},
		"no pods are wanted":            {func(r *deploys.Rollout) { r.Desired = 0; r.Replicas = 1 }, false},
	} {
		r := with(evicted, func(r *deploys.Rollout) {
			r.Pods, r.ReplicaSets = slices.Clone(r.Pods), slices.Clone(r.ReplicaSets)
			c.change(r)
		})
		got, ok := named(basis, deploys.Facts{}, r, sec(3))
		if ok != c.named {
			t.Errorf("%s: %+v", name, got)
		}
		if ok && (got.Doomed || got.Pod != "rs-old-7fjmq" || !strings.Contains(got.Sentence, "has ended (Evicted), is still there") ||
			!strings.Contains(got.Advice, "kubectl -n "+basis.App.Namespace+" delete pod rs-old-7fjmq.")) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	early, _ := deploys.Judge(basis, deploys.Facts{}, deploys.Memory{}, evicted, sec(3))
	if len(early.Causes) > 0 || early.Again.After(sec(8)) {
		t.Errorf("at once: %+v, again at %s", early.Causes, early.Again)
	}
}

// TestEnds has a row for ends of a container that its exit code alone does not explain.
func TestEnds(t *testing.T) {
	ended := func(restarts int32, last deploys.Exit, liveness *deploys.Probe) deploys.Rollout {
		return with(crashing(restarts), func(r *deploys.Rollout) {
			last.Finished = sec(20)
			r.Pods[3].Containers[0].Last, r.Pods[3].Containers[0].Liveness = &last, liveness
		})
	}
	const runc = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: " +
		"unable to start container process: error during container init: "
	noProgram := deploys.Exit{Code: 128, Reason: "StartError", Message: runc + `exec: "/nope": stat /nope: no such file or directory: unknown`}
	killed := &deploys.Probe{Ask: "GET / on port 8000", Period: time.Second, Threshold: 3, Fails: 3, Answer: "HTTP 500", HTTP: 500, Kills: 1, LastKill: sec(20)}
	earlier := *killed
	earlier.LastKill = t0.Add(-time.Minute)
	for _, c := range []struct {
		name            string
		r               deploys.Rollout
		title, sentence string
		doomed          bool
	}{
		{"no such program, once", ended(0, noProgram, nil), "The container cannot be started",
			`Container api of pod new-1 cannot be started: exec: "/nope": stat /nope: no such file or directory.`, false},
		{"no such program, twice", ended(1, noProgram, nil), "The container cannot be started",
			`Container api of pod new-1 cannot be started: exec: "/nope": stat /nope: no such file or directory.`, true},
		{"killed by its liveness probe, politely", ended(2, deploys.Exit{Reason: "Completed"}, killed), "Killed by its liveness probe",
			"Container api of pod new-1 was killed and was started again 2 times: its liveness probe failed, GET / on port 8000 gave HTTP 500, at least 3 times.", true},
		{"a kill of an earlier rollout", ended(2, deploys.Exit{Code: 1, Reason: "Error"}, &earlier), "Crash loop",
			"Container api of pod new-1 ended with exit code 1 and was started again 2 times.", true},
		{"out of memory", ended(2, deploys.Exit{Code: 137, Reason: "OOMKilled"}, nil), "Out of memory",
			"Container api of pod new-1 was killed for using more memory than its limit and was started again 2 times.", true},
	} {
		got, _ := named(basis, deploys.Facts{}, c.r, sec(25))
		if got.Title != c.title || got.Sentence != c.sentence || got.Doomed != c.doomed {
			t.Errorf("%s: %s: %s (doomed %v)\nwant %s: %s (doomed %v)", c.name, got.Title, got.Sentence, got.Doomed, c.title, c.sentence, c.doomed)
		}
	}
}

// TestRecorded names the causes in what real nodes said; internal/kube/testdata/real has it as it was recorded.
func TestRecorded(t *testing.T) {
	gone := deploys.PullFact{Asked: true, Sentence: "The registry has no tag deadbee in acme/api."}
	for _, c := range []struct {
		folder          string
		log             []string // of every container
		pull            deploys.PullFact
		title, sentence string // a pattern; none: no cause
	}{
		{"good", nil, deploys.PullFact{}, "", ""},
		{"same-config", nil, deploys.PullFact{}, "", ""},
		{"crash", []string{"starting acme/api", "fatal error: sync: unlock of unlocked mutex"}, deploys.PullFact{}, "Crash loop",
			`^Container api of pod \w{5} ended with exit code 2 and was started again once\. It said: fatal error: sync: unlock of unlocked mutex\.$`},
		{"crash-database", []string{"starting acme/api", `server error: ERROR: database "honeydue" does not exist (SQLSTATE 3D000)`}, deploys.PullFact{}, "Crash loop",
			`^Container api of pod \w{5} ended with exit code 1 and was started again once\. It said: server error: ERROR: database "honeydue" does not exist \(SQLSTATE 3D000\)\.$`},
		{"execformat", []string{"exec /app: exec format error"}, deploys.PullFact{}, "Wrong architecture",
			`^Container api of pod \w{5} cannot run on node-\d: exec format error\. The image is for another architecture than the node\.$`},
		{"exit-later", []string{"panic: lost connection"}, deploys.PullFact{}, "The container ended",
			`^Container api of pod \w{5} ended with exit code 1\. It said: panic: lost connection\.$`},
		{"imagepull", nil, gone, "Image not found", `^Image not found: The registry has no tag deadbee in acme/api\. It was deleted, or never pushed\.$`},
		{"platform", nil, deploys.PullFact{Asked: true, Platforms: []string{"linux/arm64"}}, "No image for this architecture",
			`^Container api of pod \w{5} cannot start: the image is not built for the architecture of node-\d, only for linux/arm64\.$`},
		{"init", []string{"error: no database"}, deploys.PullFact{}, "Init container fails",
			`^Init container migrate of pod \w{5} ended with exit code 1 and was started again once\. It said: error: no database\.$`},
		{"oom", []string{"loading 200 MiB into memory"}, deploys.PullFact{}, "Out of memory",
			`^Container api of pod \w{5} was killed for using more memory than its limit of \d+Mi and was started again once\.$`},
		{"secret", nil, deploys.PullFact{}, "Secret missing", `^Container api of pod \w{5} cannot start: the Secret "api-secrets" it refers to does not exist\.$`},
		{"secret-key", nil, deploys.PullFact{}, "Key missing in Secret", `^Container api of pod \w{5} cannot start: the Secret "api-secrets" has no key "database-password"\.$`},
		{"secret-volume", nil, deploys.PullFact{}, "Secret missing", `^Pod \w{5} cannot start: the Secret "api-tls" that it mounts does not exist\.$`},
		{"starting", nil, deploys.PullFact{}, "", ""}, // a good start looks like this too
		{"startup404", []string{"listening on :8000"}, deploys.PullFact{}, "The startup probe gets 404",
			`^Container api of pod \w{5} runs, but GET \S+ on port 8000 was answered with HTTP 404 at least \d+ times in its whole budget of \d+ s\.$`},
		{"unready", nil, deploys.PullFact{}, "", ""}, // so far: fewer failures than its probe allows
	} {
		t.Run(c.folder, func(t *testing.T) {
			o, last := recorded(t, c.folder)
			r := kube.Snapshot(o, last)
			b := deploys.Basis{App: deploys.App{Target: api, Workload: "api", Containers: []string{"api"}, Stability: 10 * time.Second, Limit: 30 * time.Minute},
				UID: r.UID, Generation: r.Generation, Template: r.Template, T0: r.ReplicaSets[0].Created,
				To: deploys.Version{Repository: "127.0.0.1:5000/acme/api", Images: r.Images}}
			f := deploys.Facts{Pull: c.pull, Logs: map[string][]string{}}
			for _, p := range r.Pods {
				for _, container := range p.Containers {
					f.Logs[p.UID+"/"+container.Name] = c.log
				}
			}
			got, ok := named(b, f, r, last)
			if ok != (c.title != "") || got.Title != c.title || !regexp.MustCompile(c.sentence).MatchString(got.Sentence) {
				t.Errorf("%s: %s\nwant %s: %s", got.Title, got.Sentence, c.title, c.sentence)
			}
		})
	}
}

// recorded reads a folder of recorded objects, and the moment of the last thing that happened in it.
func recorded(t *testing.T, folder string) (o kube.Objects, last time.Time) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "kube", "testdata", "real", folder, "objects.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	read := func(doc []byte, into any) {
		if err := yaml.Unmarshal(doc, into); err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
	}
	for _, doc := range bytes.Split(text, []byte("\n---\n")) {
		var head struct{ Kind string }
		read(doc, &head)
		switch head.Kind {
		case "Deployment":
			o.Deployment = &appsv1.Deployment{}
			read(doc, o.Deployment)
		case "ReplicaSet":
			o.ReplicaSets = append(o.ReplicaSets, &appsv1.ReplicaSet{})
			read(doc, o.ReplicaSets[len(o.ReplicaSets)-1])
		case "Pod":
			o.Pods = append(o.Pods, &corev1.Pod{})
			read(doc, o.Pods[len(o.Pods)-1])
		case "Event":
			e := &corev1.Event{}
			read(doc, e)
			o.Events = append(o.Events, e)
			if at := e.LastTimestamp.Time; at.After(last) {
				last = at
			}
		}
	}
	return o, last
}

// TestLastWordsAreMarked: what a container said last can be its log, and evidence of that begins with how it ended.
func TestLastWordsAreMarked(t *testing.T) {
	const said = "token 1 is bad. run.sh: /app: exec format error"
	for _, state := range []string{"waiting", "terminated"} {
		r := with(crashing(3), func(r *deploys.Rollout) {
			c := &r.Pods[3].Containers[0]
			c.State, c.Last.Message = state, said
			if state == "terminated" {
				c.Reason, c.Message = "Error", said
			}
		})
		cause, ok := named(basis, deploys.Facts{}, r, sec(30))
		if !ok || cause.Title != "Wrong architecture" {
			t.Fatalf("%s: %+v", state, cause)
		}
		for _, e := range cause.Evidence {
			if strings.Contains(e.Text, "token 1") && !strings.HasPrefix(e.Text, "ended with exit code 2") {
				t.Errorf("%s: %q", state, e.Text)
			}
		}
	}
}
