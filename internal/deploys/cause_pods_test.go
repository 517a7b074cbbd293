package deploys_test

import (
	"strings"
	"testing"
	"time"

	"deployportal/internal/deploys"
)

// TestOfThisRollout has a row for what stands in a snapshot and is not of this rollout, or not of what was asked.
func TestOfThisRollout(t *testing.T) {
	tagged := basis
	tagged.To.Images = map[string]string{"api": "git.example.org/acme/api:v1"}
	given := func(image string) deploys.Rollout {
		return with(done(5), func(r *deploys.Rollout) {
			for i := range r.Pods {
				r.Pods[i].Containers[0].Image = image
			}
		})
	}
	// Scaled, and the deployment controller has not looked yet.
	bumped := with(done(5), func(r *deploys.Rollout) { r.Generation = 6 })
	evicted := func(reason string, created time.Duration) deploys.Rollout {
		return with(rolling(), func(r *deploys.Rollout) {
			for _, name := range []string{"rs-new-aaaaa", "rs-new-bbbbb"} {
				r.Pods = append(r.Pods, deploys.Pod{Name: name, UID: name, ReplicaSet: "rs-new", Node: "node-1", Phase: "Failed", Reason: reason,
					Message: "Pod was rejected: Node didn't have enough resource: cpu", Created: t0.Add(created)})
				created += time.Second
			}
		})
	}
	for _, c := range []struct {
		name  string
		b     deploys.Basis
		looks []look
		want  deploys.Status
		say   string
	}{
		{"the old ReplicaSet may not create pods", basis, []look{{1, failing(rolling(), 1, "FailedCreate", "denied")}, {60, failing(rolling(), 1, "FailedCreate", "denied")}}, deploys.Running, "No new pod yet."},
		{"the new one may not delete pods", basis, []look{{1, failing(rolling(), 0, "FailedDelete", "denied")}, {60, failing(rolling(), 0, "FailedDelete", "denied")}}, deploys.Running, "No new pod yet."},
		{"the new one may not create pods", basis, []look{{1, failing(rolling(), 0, "FailedCreate", "denied")}, {17, failing(rolling(), 0, "FailedCreate", "denied")}}, deploys.Failed, "refuses to create the pods: denied."},
		{"scaled long after the last progress", basis, []look{{5, done(5)}, {700, bumped}}, deploys.Running, "Waiting for Kubernetes"},
		{"and looked at again", basis, []look{{5, done(5)}, {700, bumped}, {701, with(bumped, func(r *deploys.Rollout) { r.ObservedGeneration = 6 })}}, deploys.Succeeded, ""},
		{"scaled, and nobody ever looks", basis, []look{{5, done(5)}, {700, bumped}, {1299, bumped}, {1300, bumped}}, deploys.Failed, "did not take a later change up within 10 min"},
		{"a webhook that pins", tagged, []look{{5, given("git.example.org/acme/api:v1@" + digest)}, {16, given("git.example.org/acme/api:v1@" + digest)}}, deploys.Succeeded, ""},
		{"a webhook that names another registry", tagged, []look{{5, given("mirror.example.org/acme/api:v1")}, {16, given("mirror.example.org/acme/api:v1")}}, deploys.Succeeded, ""},
		{"a webhook that names another tag", tagged, []look{{5, given("git.example.org/acme/api:v2")}}, deploys.Failed, "was given the image git.example.org/acme/api:v2 instead of"},
		{"a webhook that names another repository", tagged, []look{{5, given("git.example.org/acme/xapi:v1")}}, deploys.Failed, "was given the image git.example.org/acme/xapi:v1 instead of"},
		{"pods that end at once", basis, []look{{1, rolling()}, {602, evicted("OutOfcpu", time.Minute)}}, deploys.Failed,
			"No progress for 10 min. Pods were ended 2 times, the newest of them, bbbbb on node-1, as OutOfcpu: Pod was rejected: Node didn't have enough resource: cpu."},
		{"pods that ended before", basis, []look{{1, rolling()}, {602, evicted("Evicted", -time.Hour)}}, deploys.Failed, "No progress for 10 min. No new pod yet."},
	} {
		t.Run(c.name, func(t *testing.T) {
			var v deploys.Verdict
			var m deploys.Memory
			for i, l := range c.looks {
				if v, m = deploys.Judge(c.b, deploys.Facts{}, m, l.r, sec(l.at)); v.Status.IsTerminal() && i < len(c.looks)-1 {
					t.Fatalf("%s already at second %d: %s", v.Status, l.at, v.Sentence)
				}
			}
			if v.Status != c.want || !strings.Contains(v.Sentence, c.say) {
				t.Errorf("%s %q, want %s with %q", v.Status, v.Sentence, c.want, c.say)
			}
		})
	}
}

// TestPausedShowsCauses: a paused rollout is not judged, and what stands in its way is no secret.
func TestPausedShowsCauses(t *testing.T) {
	paused := with(crashing(3), func(r *deploys.Rollout) { r.Paused = true })
	v, _ := deploys.Judge(basis, deploys.Facts{}, deploys.Memory{}, paused, sec(40))
	if v.Status != deploys.Running || v.Phase != deploys.PhasePaused || len(v.Causes) != 1 || v.Causes[0].Title != "Crash loop" {
		t.Errorf("%s %s %+v", v.Status, v.Phase, v.Causes)
	}
	v, _ = deploys.Judge(basis, deploys.Facts{}, deploys.Memory{}, with(failing(rolling(), 0, "FailedCreate", "denied"), func(r *deploys.Rollout) { r.Paused = true }), sec(40))
	if len(v.Causes) != 1 || v.Causes[0].Title != "Pods are refused" || v.Causes[0].Doomed {
		t.Errorf("%+v", v.Causes)
	}
}

// TestExecFormatOfBefore: what a container once said dooms neither one that is ready nor one that has not ended since.
func TestExecFormatOfBefore(t *testing.T) {
	for name, c := range map[string]struct {
		ready    bool
		finished int
		named    bool
	}{
		"ready":                  {true, 20, false},
		"of an earlier rollout":  {false, -60, false},
		"of this one, and again": {false, 20, true},
	} {
		r := starting(func(p *deploys.Pod, container *deploys.Container) {
			p.Created = sec(-100)
			container.Ready, container.Restarts = c.ready, 1
			container.Last = &deploys.Exit{Code: 1, Reason: "Error", Message: "run.sh: /app: exec format error", Finished: sec(c.finished)}
		})
		if got, _ := named(basis, deploys.Facts{}, r, sec(30)); (got.Title == "Wrong architecture") != c.named {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestLivenessAdvice: that an app has ever answered is known only where a startup probe says so.
func TestLivenessAdvice(t *testing.T) {
	for startup, want := range map[bool]bool{false: true, true: false} {
		r := with(crashing(2), func(r *deploys.Rollout) {
			c := &r.Pods[3].Containers[0]
			c.Liveness = &deploys.Probe{Ask: "GET / on port 8000", Period: time.Second, Threshold: 3, Fails: 3, Answer: "connection refused", Kills: 1, LastKill: sec(20)}
			if startup {
				c.Startup = &deploys.Probe{Ask: "GET / on port 8000", Period: time.Second, Threshold: 3}
			}
		})
		got, _ := named(basis, deploys.Facts{}, r, sec(25))
		if got.Title != "Killed by its liveness probe" || strings.Contains(got.Advice, "needs a startup probe") != want || strings.Contains(got.Advice, "answered") {
			t.Errorf("startup probe %v: %s: %s", startup, got.Title, got.Advice)
		}
	}
}

// TestLogBehindTheCause: a failure is told with the log of the container that it is about, whether that has ended or not.
func TestLogBehindTheCause(t *testing.T) {
	const said = "listening on :3000, no route /ready"
	for name, c := range map[string]struct {
		change func(*deploys.Container)
		after  time.Duration
		title  string
	}{
		"never ready": {func(c *deploys.Container) {
			c.Readiness = &deploys.Probe{Ask: "GET /ready on port 3000", Period: time.Second, Threshold: 3, Fails: 9, HTTP: 404, Answer: "HTTP 404", LastFail: time.Now().Add(time.Second)}
		}, 11 * time.Minute, "Never ready"},
		"never ready, without a word": {func(c *deploys.Container) {
			c.Readiness = &deploys.Probe{Ask: "GET /ready on port 3000", Period: time.Second, Threshold: 3}
		}, 11 * time.Minute, "Never ready"},
		"the startup probe gets 404": {func(c *deploys.Container) {
			c.Started = false
			c.Startup = &deploys.Probe{Ask: "GET /ready on port 3000", Period: time.Second, Threshold: 3, Fails: 3, HTTP: 404, Answer: "HTTP 404",
				FirstFail: time.Now().Add(time.Second), LastFail: time.Now().Add(3 * time.Second)}
		}, 10 * time.Second, "The startup probe gets 404"},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				d := w.deploy(deployOf(api, "abc1234"))
				w.cluster.SetLog("rs-new-a", "api", said)
				w.cluster.Update(api, func(r *deploys.Rollout) {
					container := deploys.Container{Name: "api", Image: r.Images["api"], State: "running", Since: time.Now(), Started: true}
					c.change(&container)
					r.ObservedGeneration, r.Updated, r.Replicas = r.Generation, 1, r.Desired+1
					r.Pods = append(r.Pods, deploys.Pod{Name: "rs-new-a", UID: "a", ReplicaSet: r.ReplicaSets[0].Name, Node: "node-1", Phase: "Running",
						Created: time.Now(), Containers: []deploys.Container{container}})
				})
				w.settle(c.after)
				d = w.get(d.ID)
				if d.Status != deploys.Failed || d.Cause == nil || d.Cause.Title != c.title {
					t.Fatalf("%s: %s %+v", d.Status, d.Sentence, d.Cause)
				}
				if e := d.Cause.Evidence; len(e) == 0 || e[len(e)-1].Kind != deploys.FromLog || e[len(e)-1].Text != said {
					t.Errorf("shown by %+v", e)
				}
			})
		})
	}
	t.Run("it did not stay up, and is ready again", func(t *testing.T) {
		in(t, func(w *world) {
			d := w.deploy(deployOf(api, "abc1234"))
			w.complete(api)
			w.settle(2 * time.Second)
			pod := w.running().Pods[0].Name
			w.cluster.SetLog(pod, "api", "panic: lost connection")
			w.cluster.Update(api, func(r *deploys.Rollout) {
				c := &r.Pods[0].Containers[0]
				c.Restarts, c.Since, c.Last = 1, time.Now(), &deploys.Exit{Code: 1, Started: time.Now().Add(-2 * time.Second), Finished: time.Now()}
			})
			w.settle(time.Second)
			if d = w.get(d.ID); d.Status != deploys.Failed || !strings.HasSuffix(d.Sentence, "It said: panic: lost connection.") {
				t.Errorf("%s: %s", d.Status, d.Sentence)
			}
		})
	})
}
