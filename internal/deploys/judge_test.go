package deploys_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/deploys/deploystest"
)

var (
	t0     = time.Date(2026, 11, 2, 14, 0, 0, 0, time.UTC)
	digest = deploystest.Digest("abc1234")
	pinned = "git.example.org/acme/api:abc1234@" + digest
	basis  = deploys.Basis{
		App: deploys.App{Target: api, Workload: "api", Containers: []string{"api"}, Stability: 10 * time.Second, Limit: 30 * time.Minute},
		UID: "uid", Generation: 5, Template: "new", T0: t0,
		To: deploys.Version{Repository: "git.example.org/acme/api", Tag: "abc1234", Digest: digest,
			Images: map[string]string{"api": pinned}, Proofs: []string{digest, "sha256:amd64", "sha256:config"}},
	}
)

// rolling is a rollout in the middle: 3 wanted, the old ReplicaSet full, nothing new yet.
func rolling() deploys.Rollout {
	return deploys.Rollout{Exists: true, UID: "uid", Generation: 5, ObservedGeneration: 5, Template: "new", Desired: 3,
		Replicas: 3, Ready: 3, Available: 3, ProgressDeadline: 10 * time.Minute, ChangedBy: "deploy-portal",
		Images:      map[string]string{"api": pinned},
		ReplicaSets: []deploys.ReplicaSet{{Name: "rs-new", Template: "new"}, {Name: "rs-old", Template: "old"}},
		Pods:        []deploys.Pod{oldPod(1), oldPod(2), oldPod(3)}}
}

// done is the same one complete, its pods ready since the given second.
func done(second int) deploys.Rollout {
	r := rolling()
	r.Updated = 3
	r.Pods = []deploys.Pod{newPod(1, second), newPod(2, second), newPod(3, second)}
	return r
}

func oldPod(n int) deploys.Pod {
	return deploys.Pod{Name: fmt.Sprintf("old-%d", n), UID: fmt.Sprintf("old-%d", n), ReplicaSet: "rs-old", Phase: "Running", Ready: true,
		ReadySince: t0.Add(-time.Hour), Created: t0.Add(-time.Hour), Containers: []deploys.Container{{Name: "api", State: "running", Ready: true}}}
}

func newPod(n, second int) deploys.Pod {
	return deploys.Pod{Name: fmt.Sprintf("new-%d", n), UID: fmt.Sprintf("new-%d", n), ReplicaSet: "rs-new", Phase: "Running", Ready: true,
		ReadySince: sec(second), Created: t0.Add(time.Second), Containers: []deploys.Container{{Name: "api", Image: pinned, ImageID: digest,
			State: "running", Ready: true, Started: true, Since: t0.Add(2 * time.Second)}}}
}

func sec(n int) time.Time { return t0.Add(time.Duration(n) * time.Second) }

// starting is a rollout with one new pod in the given state beside the old ones.
func starting(change func(*deploys.Pod, *deploys.Container)) deploys.Rollout {
	r := rolling()
	p := newPod(1, 0)
	p.Ready, p.ReadySince = false, time.Time{}
	p.Containers[0].Ready, p.Containers[0].Started = false, false
	change(&p, &p.Containers[0])
	r.Updated, r.Replicas = 1, 4
	r.Pods = append(r.Pods, p)
	return r
}

// failing has a ReplicaSet that cannot do what it should, and the Deployment say so too, as its controller does.
func failing(r deploys.Rollout, replicaSet int, reason, message string) deploys.Rollout {
	r.Conditions = []deploys.Condition{{Type: "ReplicaFailure", Status: true, Reason: reason, Message: message}}
	r.ReplicaSets = slices.Clone(r.ReplicaSets)
	r.ReplicaSets[replicaSet].Conditions = r.Conditions
	return r
}

func waiting(reason, message string) deploys.Rollout {
	return starting(func(_ *deploys.Pod, c *deploys.Container) {
		c.State, c.Reason, c.Message, c.Since = "waiting", reason, message, time.Time{}
	})
}

func crashing(restarts int32) deploys.Rollout {
	return starting(func(_ *deploys.Pod, c *deploys.Container) {
		c.State, c.Reason, c.Restarts = "waiting", "CrashLoopBackOff", restarts
		c.Last = &deploys.Exit{Code: 2, Reason: "Error", Finished: sec(20)}
	})
}

func startupProbe(http int, answer string, kills int32) deploys.Rollout {
	return starting(func(_ *deploys.Pod, c *deploys.Container) {
		c.Startup = &deploys.Probe{Ask: "GET /admin/ on port 3000", Period: 5 * time.Second, Threshold: 12, Fails: 12, HTTP: http, Answer: answer,
			FirstFail: sec(7), LastFail: sec(62), Kills: kills, LastKill: sec(62)}
		if kills > 0 && http != 0 {
			c.Startup.Through, c.Startup.ThroughFails = http, 12
		}
	})
}

// silentKill is a container that ended again after so many seconds, without a word on its startup probe of a minute.
func silentKill(code int32, ran int) deploys.Rollout {
	r := startupProbe(0, "", 0)
	c := &r.Pods[len(r.Pods)-1].Containers[0]
	c.Startup.Fails, c.Startup.LastFail, c.Startup.LastKill = 0, time.Time{}, time.Time{}
	c.State, c.Reason, c.Restarts, c.Last = "waiting", "CrashLoopBackOff", 2, &deploys.Exit{Code: code, Reason: "Error", Started: sec(20), Finished: sec(20 + ran)}
	return r
}

// unheardBeside is a pod of which nothing is heard, and one that has ended once.
func unheardBeside() deploys.Rollout {
	r := unready(0)
	p := crashing(1).Pods[3]
	p.Name, p.UID = "new-2", "new-2"
	r.Pods = append(r.Pods, p)
	return r
}

func with(r deploys.Rollout, change func(*deploys.Rollout)) deploys.Rollout {
	change(&r)
	return r
}

// look is one snapshot at a second after T0.
type look struct {
	at int
	r  deploys.Rollout
}

// TestJudge has a row for every rule of the design and for every known bug of other tools in this logic; what the
// row is for stands in its name.
func TestJudge(t *testing.T) {
	confirmed := deploys.Facts{Pull: deploys.PullFact{Asked: true, Sentence: "The registry has no tag abc1234 in acme/api."}}
	stale := func(r deploys.Rollout, second int) deploys.Rollout {
		r.StaleSince, r.StaleWhy = sec(second), "The cluster cannot be reached."
		return r
	}
	exceeded := func(r deploys.Rollout) deploys.Rollout {
		r.Conditions = []deploys.Condition{{Type: "Progressing", Reason: "ProgressDeadlineExceeded", Updated: t0.Add(-time.Minute)}}
		return r
	}
	quota := func(r deploys.Rollout) deploys.Rollout {
		return failing(r, 0, "FailedCreate", "exceeded quota: pods")
	}
	moved := func() deploys.Rollout {
		return with(rolling(), func(r *deploys.Rollout) { r.Updated, r.Replicas = 0, r.Desired-1 })
	}
	denied := func(r deploys.Rollout) deploys.Rollout {
		return failing(r, 0, "FailedCreate", "denied")
	}
	imageID := func(id string) deploys.Rollout {
		return with(done(5), func(r *deploys.Rollout) {
			for i := range r.Pods {
				r.Pods[i].Containers = slices.Clone(r.Pods[i].Containers)
				r.Pods[i].Containers[0].ImageID = id
			}
		})
	}
	restarted := func(r deploys.Rollout, pod int, restarts int32) deploys.Rollout {
		r.Pods = slices.Clone(r.Pods)
		c := r.Pods[pod].Containers[0]
		c.Restarts, c.Last = restarts, &deploys.Exit{Code: 1, Finished: sec(11)}
		r.Pods[pod].Containers = []deploys.Container{c}
		return r
	}
	killing := func(r deploys.Rollout) deploys.Rollout {
		r.Pods = slices.Clone(r.Pods)
		c := r.Pods[1].Containers[0]
		c.Since, c.Liveness = sec(1), &deploys.Probe{Ask: "GET / on port 8000", Answer: "HTTP 500", Fails: 3, Kills: 1, LastFail: sec(15), LastKill: sec(15)}
		r.Pods[1].Containers = []deploys.Container{c}
		return r
	}
	killed := func(r deploys.Rollout) deploys.Rollout {
		r = killing(r)
		c := &r.Pods[1].Containers[0]
		c.Restarts, c.Since, c.Last = c.Restarts+1, sec(16), &deploys.Exit{Code: 137, Finished: sec(16)}
		return r
	}
	for _, c := range []struct {
		name  string
		facts deploys.Facts
		looks []look
		want  deploys.Status
		say   string
	}{
		{"succeeded after the window", deploys.Facts{}, []look{{5, done(5)}, {15, done(5)}}, deploys.Succeeded, "3 of 3 pods run abc1234 and stayed well for 10 s."},
		{"not before the window is over", deploys.Facts{}, []look{{5, done(5)}, {14, done(5)}}, deploys.Running, "must stay well until 14:00:15 UTC"},
		{"crash loop with all counts complete a moment ago (kubernetes#31319)", deploys.Facts{}, []look{{40, crashing(2)}}, deploys.Failed, "ended with exit code 2 and was started again 2 times."},
		{"maxUnavailable is never subtracted (helm#2483)", deploys.Facts{}, []look{{5, with(done(5), func(r *deploys.Rollout) { r.Available = 2 })}, {60, with(done(5), func(r *deploys.Rollout) { r.Available = 2 })}}, deploys.Running, ""},
		{"a deadline condition from before the patch (kubernetes#49637)", deploys.Facts{}, []look{{1, exceeded(rolling())}, {5, exceeded(rolling())}}, deploys.Running, "No new pod yet."},
		{"rollback succeeds under a stale deadline condition (kubernaut#199)", deploys.Facts{}, []look{{5, exceeded(done(5))}, {16, exceeded(done(5))}}, deploys.Succeeded, ""},
		{"status of an older spec (krane#325, helm#8660)", deploys.Facts{}, []look{{1, with(done(-100), func(r *deploys.Rollout) { r.ObservedGeneration = 4 })}, {60, with(done(-100), func(r *deploys.Rollout) { r.ObservedGeneration = 4 })}}, deploys.Running, "Waiting for Kubernetes"},
		{"an older object in the cache", deploys.Facts{}, []look{{1, with(done(-100), func(r *deploys.Rollout) { r.Generation, r.ObservedGeneration, r.Template = 4, 4, "old" })}}, deploys.Running, "Waiting for Kubernetes"},
		{"a controller that is down", deploys.Facts{}, []look{{1, with(rolling(), func(r *deploys.Rollout) { r.ObservedGeneration = 4 })}, {602, with(rolling(), func(r *deploys.Rollout) { r.ObservedGeneration = 4 })}}, deploys.Failed, "controller may be down"},
		{"a dead watch is no verdict (kubernetes#40224)", deploys.Facts{}, []look{{1, rolling()}, {1300, stale(rolling(), 10)}}, deploys.Running, "Unknown since 14:00:10 UTC: The cluster cannot be reached."},
		{"time without the cluster does not count", deploys.Facts{}, []look{{1, rolling()}, {1300, stale(rolling(), 10)}, {1301, rolling()}}, deploys.Running, "No new pod yet."},
		{"right verdict when it is back", deploys.Facts{}, []look{{1, rolling()}, {1300, stale(rolling(), 10)}, {1310, done(20)}, {1321, done(20)}}, deploys.Succeeded, ""},
		{"paused time does not count (kubernetes#36427)", deploys.Facts{}, []look{{1, rolling()}, {2, with(rolling(), func(r *deploys.Rollout) { r.Paused = true })}, {5000, with(rolling(), func(r *deploys.Rollout) { r.Paused = true })}, {5001, rolling()}}, deploys.Running, "No new pod yet."},
		{"paused is said", deploys.Facts{}, []look{{1, with(rolling(), func(r *deploys.Rollout) { r.Paused = true })}}, deploys.Running, "kubectl rollout resume"},
		{"the deadline counts from the last progress", deploys.Facts{}, []look{{1, rolling()}, {500, with(rolling(), func(r *deploys.Rollout) { r.Updated = 1; r.Replicas = 4 })}, {1000, with(rolling(), func(r *deploys.Rollout) { r.Updated = 1; r.Replicas = 4 })}}, deploys.Running, ""},
		{"failed by the deadline", deploys.Facts{}, []look{{1, rolling()}, {602, rolling()}}, deploys.Failed, "No progress for 10 min. No new pod yet."},
		{"a flapping pod makes no progress for ever (argo-rollouts#4047)", deploys.Facts{}, []look{{1, with(done(1), func(r *deploys.Rollout) { r.Available = 2 })}, {300, with(done(1), func(r *deploys.Rollout) { r.Available = 2; r.Pods[0].Ready = false })}, {500, with(done(1), func(r *deploys.Rollout) { r.Available = 2 })}, {602, with(done(1), func(r *deploys.Rollout) { r.Available = 2 })}}, deploys.Failed, "No progress for 10 min."},
		{"the total limit", deploys.Facts{}, append(progressing(), look{1801, with(rolling(), func(r *deploys.Rollout) { r.Updated = 3; r.Replicas = 6 })}), deploys.Failed, "Not complete after 30 min, the limit"},
		{"no deadline in the Deployment leaves the limit", deploys.Facts{}, []look{{1, with(rolling(), func(r *deploys.Rollout) { r.ProgressDeadline = (1<<31 - 1) * time.Second })}, {700, with(rolling(), func(r *deploys.Rollout) { r.ProgressDeadline = (1<<31 - 1) * time.Second })}}, deploys.Running, ""},
		{"image not found, registry confirms (argo-cd#16720)", confirmed, []look{{3, waiting("ErrImagePull", "not found")}}, deploys.Failed, "The registry has no tag abc1234 in acme/api."},
		{"image not found, registry not asked yet", deploys.Facts{}, []look{{3, waiting("ImagePullBackOff", "not found")}, {100, waiting("ImagePullBackOff", "not found")}}, deploys.Running, ""},
		{"a missing Secret past the grace (argo-cd#1652)", deploys.Facts{}, []look{{3, waiting("CreateContainerConfigError", `secret "x" not found`)}, {8, waiting("CreateContainerConfigError", `secret "x" not found`)}}, deploys.Failed, `the Secret "x" it refers to does not exist.`},
		{"a Secret that is late (kubernetes#74755)", deploys.Facts{}, []look{{3, waiting("CreateContainerConfigError", `secret "x" not found`)}, {7, waiting("CreateContainerConfigError", `secret "x" not found`)}}, deploys.Running, ""},
		{"the grace begins anew when it went away", deploys.Facts{}, []look{{3, waiting("CreateContainerConfigError", "x")}, {6, waiting("ContainerCreating", "")}, {9, waiting("CreateContainerConfigError", "x")}}, deploys.Running, ""},
		{"exec format error", deploys.Facts{}, []look{{3, waiting("RunContainerError", "exec /app: exec format error")}}, deploys.Failed, "another architecture"},
		{"one restart is no crash loop (samson#1051)", deploys.Facts{}, []look{{10, crashing(1)}}, deploys.Running, ""},
		{"one bad probe is no failure (samson#1567)", deploys.Facts{}, []look{{10, starting(func(_ *deploys.Pod, c *deploys.Container) {
			c.Readiness = &deploys.Probe{Ask: "GET / on port 80", Fails: 1, HTTP: 503, Answer: "HTTP 503", LastFail: sec(9)}
		})}}, deploys.Running, ""},
		{"readiness never passes: told when the time is up", deploys.Facts{}, []look{{1, unready(1)}, {602, unready(9)}}, deploys.Failed, "runs, but is not ready: GET / on port 80 gave HTTP 503, at least 9 times."},
		{"startup probe: 404 through one budget (samson#3938)", deploys.Facts{}, []look{{63, startupProbe(404, "HTTP 404", 1)}}, deploys.Failed, "GET /admin/ on port 3000 was answered with HTTP 404 at least 12 times in its whole budget of 1 min."},
		{"startup probe: 503 through one budget", deploys.Facts{}, []look{{63, startupProbe(503, "HTTP 503", 1)}}, deploys.Running, ""},
		{"startup probe: refused through two", deploys.Facts{}, []look{{125, startupProbe(0, "connection refused", 2)}}, deploys.Failed, "connection refused"},
		{"startup probe: it killed twice, and no event says so", deploys.Facts{}, []look{{150, silentKill(143, 61)}}, deploys.Failed,
			"did not start within the 1 min that its startup probe allows: it was ended after 1 min 1 s, and GET /admin/ on port 3000 had not passed."},
		{"startup probe: who ended sooner was not killed by it", deploys.Facts{}, []look{{150, silentKill(143, 20)}}, deploys.Failed, "ended with exit code 143 and was started again 2 times."},
		{"startup probe: who says why they ended was not killed by it", deploys.Facts{}, []look{{150, silentKill(1, 61)}}, deploys.Failed, "ended with exit code 1 and was started again 2 times."},
		{"startup probe: who was ready had passed it", deploys.Facts{}, []look{{5, starting(func(p *deploys.Pod, _ *deploys.Container) { p.Ready, p.ReadySince = true, sec(5) })}, {150, silentKill(143, 61)}}, deploys.Failed,
			"ended with exit code 143 and was started again 2 times."},
		{"startup probe: who was killed by another had passed it", deploys.Facts{}, []look{{150, with(silentKill(137, 61), func(r *deploys.Rollout) {
			r.Pods[3].Containers[0].Liveness = &deploys.Probe{Ask: "GET / on port 80", Answer: "HTTP 500", Fails: 3, LastFail: sec(78), Kills: 1, LastKill: sec(79)}
		})}}, deploys.Failed, "its liveness probe failed"},
		{"startup probe: kills of an earlier rollout", deploys.Facts{}, []look{{5, with(startupProbe(404, "HTTP 404", 3), func(r *deploys.Rollout) {
			p := r.Pods[3].Containers[0].Startup
			p.LastFail, p.LastKill = t0.Add(-time.Minute), t0.Add(-time.Minute)
		})}}, deploys.Running, ""},
		{"one doomed, one fine: goes on", deploys.Facts{}, []look{{30, with(crashing(3), func(r *deploys.Rollout) { r.Pods = append(r.Pods, newPod(2, 5)); r.Updated = 2 })}}, deploys.Running, ""},
		{"unschedulable waits", deploys.Facts{}, []look{{3, unschedulable()}, {500, unschedulable()}}, deploys.Running, ""},
		{"unschedulable until the deadline, with its reason", deploys.Facts{}, []look{{3, unschedulable()}, {604, unschedulable()}}, deploys.Failed, "0/3 nodes are available"},
		{"never ready, and no event says what it answered", deploys.Facts{}, []look{{3, unready(0)}, {604, unready(0)}}, deploys.Failed,
			"No progress for 10 min. Container api of pod new-1 runs, but is not ready: GET / on port 80 has not passed, and its node has not told what it answers."},
		{"never started, and no event says what it answered", deploys.Facts{}, []look{{3, startupProbe(0, "", 0)}, {604, with(startupProbe(0, "", 0), func(r *deploys.Rollout) { r.Pods[3].Containers[0].Startup.Fails = 0 })}}, deploys.Failed,
			"runs, but is not ready: GET /admin/ on port 3000 has not passed"},
		{"until then it is part of a good start", deploys.Facts{}, []look{{3, unready(0)}, {500, unready(0)}}, deploys.Running, ""},
		{"one that ends is told before one of which nothing is heard", deploys.Facts{}, []look{{3, unheardBeside()}, {604, unheardBeside()}}, deploys.Failed, "No progress for 10 min. Container api of pod new-2 ended with exit code 2"},
		{"quota with nothing moving", deploys.Facts{}, []look{{1, quota(rolling())}, {17, quota(rolling())}}, deploys.Failed, "Kubernetes refuses to create the pods: exceeded quota: pods."},
		{"quota that let a pod through: Kubernetes asks again later", deploys.Facts{}, []look{{1, quota(rolling())}, {5, quota(moved())}, {60, quota(moved())}}, deploys.Running, ""},
		{"and the deadline decides, naming the quota", deploys.Facts{}, []look{{1, quota(rolling())}, {5, quota(moved())}, {606, quota(moved())}}, deploys.Failed, "No progress for 10 min. Kubernetes refuses to create the pods: exceeded quota: pods."},
		{"an admission that refuses is believed though old pods have gone", deploys.Facts{}, []look{{1, denied(moved())}, {17, denied(moved())}}, deploys.Failed, "Kubernetes refuses to create the pods: denied."},
		{"quota while the rollout goes on", deploys.Facts{}, []look{{1, quota(rolling())}, {14, quota(with(rolling(), func(r *deploys.Rollout) { r.Updated = 1 }))}, {20, quota(with(rolling(), func(r *deploys.Rollout) { r.Updated = 1 }))}}, deploys.Running, ""},
		{"the old image still runs (devtron#4159, coolify#11467)", deploys.Facts{}, []look{{5, with(done(5), func(r *deploys.Rollout) { r.Pods = append(r.Pods, oldPod(1)) })}, {60, with(done(5), func(r *deploys.Rollout) { r.Pods = append(r.Pods, oldPod(1)) })}}, deploys.Running, "1 old still to go"},
		{"an old pod that terminates is no hindrance", deploys.Facts{}, []look{{5, with(done(5), func(r *deploys.Rollout) { p := oldPod(1); p.Deleting = true; r.Pods = append(r.Pods, p) })}, {16, done(5)}}, deploys.Succeeded, ""},
		{"the digest of a platform manifest proves", deploys.Facts{}, []look{{5, imageID("sha256:amd64")}, {16, imageID("sha256:amd64")}}, deploys.Succeeded, ""},
		{"the config digest proves", deploys.Facts{}, []look{{5, imageID("sha256:config")}, {16, imageID("sha256:config")}}, deploys.Succeeded, ""},
		{"another manifest of the same config proves", deploys.Facts{Proof: map[string]deploys.Proof{"sha256:other": deploys.Proven}}, []look{{5, imageID("sha256:other")}, {16, imageID("sha256:other")}}, deploys.Succeeded, ""},
		{"another image never succeeds", deploys.Facts{Proof: map[string]deploys.Proof{"sha256:other": deploys.Different}}, []look{{5, imageID("sha256:other")}}, deploys.Failed, "Container api of pod new-1 runs sha256:other, which the registry says is not the asked image."},
		{"a digest that nobody can tell: succeeded with a note", deploys.Facts{Proof: map[string]deploys.Proof{"sha256:other": deploys.Unresolvable}}, []look{{5, imageID("sha256:other")}, {16, imageID("sha256:other")}}, deploys.Succeeded, "(digest pinned, not proven"},
		{"a digest not looked up yet waits", deploys.Facts{}, []look{{5, imageID("sha256:other")}, {60, imageID("sha256:other")}}, deploys.Running, ""},
		{"a webhook that swaps the image of one pod", deploys.Facts{}, []look{{5, swapped(1)}, {60, swapped(1)}}, deploys.Running, "3 of 3 pods ready, not all of them with the asked image."},
		{"that fails by the deadline, named", deploys.Facts{}, []look{{5, swapped(1)}, {606, swapped(1)}}, deploys.Failed, "No progress for 10 min. Container api of pod new-1 was given the image mirror.example.org/api@sha256:beef instead of "},
		{"a webhook that swaps the image of every pod", deploys.Facts{}, []look{{5, swapped(3)}}, deploys.Failed, "by an admission webhook perhaps"},
		{"and before the pods can run with it", deploys.Facts{}, []look{{1, starting(swap)}}, deploys.Failed, "by an admission webhook perhaps"},
		{"restart inside the window fails", deploys.Facts{}, []look{{5, done(5)}, {12, restarted(done(5), 1, 1)}}, deploys.Failed, "Container api of pod new-2 ended with exit code 1 after all pods were ready, within the 10 s"},
		{"a container that its liveness probe is about to end has not stayed well", deploys.Facts{}, []look{{5, done(5)}, {15, killing(done(5))}}, deploys.Running, "its container is being ended"},
		{"one that never ends fails by the deadline", deploys.Facts{}, []look{{5, done(5)}, {15, killing(done(5))}, {620, killing(done(5))}}, deploys.Failed, "No progress for 10 min."},
		{"and when it has ended the deploy has failed", deploys.Facts{}, []look{{5, done(5)}, {15, killing(done(5))}, {16, killed(done(5))}}, deploys.Failed, "Container api of pod new-2 was killed by its liveness probe after all pods were ready"},
		{"restart before the window does not", deploys.Facts{}, []look{{5, restarted(done(5), 1, 1)}, {16, restarted(done(5), 1, 1)}}, deploys.Succeeded, ""},
		{"old ReplicaSet used again: its restarts are history", deploys.Facts{}, []look{{1, history()}}, deploys.Succeeded, ""},
		{"old ReplicaSet used again: a crash loop of before the rollout", deploys.Facts{}, []look{{1, with(crashing(7), func(r *deploys.Rollout) {
			r.Pods[3].Created = t0.Add(-time.Hour)
			r.Pods[3].Containers[0].Last.Finished = t0.Add(-time.Minute)
		})}}, deploys.Running, ""},
		{"scaled up inside the window: it does not begin anew", deploys.Facts{}, []look{{5, done(5)}, {12, scaled(12)}, {15, scaled(12)}}, deploys.Succeeded, "4 of 4"},
		{"scaled by an HPA: desired is read again", deploys.Facts{}, []look{{5, done(5)}, {8, with(done(5), func(r *deploys.Rollout) { r.Desired, r.Generation, r.ObservedGeneration = 4, 6, 6 })}, {16, with(done(5), func(r *deploys.Rollout) { r.Desired, r.Generation, r.ObservedGeneration = 4, 6, 6 })}}, deploys.Running, ""},
		{"template changed by somebody", deploys.Facts{}, []look{{5, with(rolling(), func(r *deploys.Rollout) { r.Template, r.Generation, r.ChangedBy = "theirs", 6, "kubectl-set" })}}, deploys.Superseded, "api was changed by kubectl-set."},
		{"deleted", deploys.Facts{}, []look{{5, deploys.Rollout{}}}, deploys.Superseded, "was deleted"},
		{"another object of that name", deploys.Facts{}, []look{{5, with(done(5), func(r *deploys.Rollout) { r.UID = "other" })}}, deploys.Superseded, "created anew"},
		{"scaled to zero", deploys.Facts{}, []look{{5, with(rolling(), func(r *deploys.Rollout) { r.Desired, r.Replicas, r.Available, r.Pods = 0, 0, 0, nil })}}, deploys.Succeeded, "(scaled to 0"},
		{"Recreate: nothing available in between is expected", deploys.Facts{}, []look{{1, with(rolling(), func(r *deploys.Rollout) { r.Recreate, r.Replicas, r.Available, r.Pods = true, 0, 0, nil })}, {60, with(rolling(), func(r *deploys.Rollout) { r.Recreate, r.Replicas, r.Available, r.Pods = true, 0, 0, nil })}}, deploys.Running, "No new pod yet."},
		{"an evicted pod that was replaced does not count (krane#883)", deploys.Facts{}, []look{{5, done(5)}, {16, with(done(5), func(r *deploys.Rollout) {
			p := newPod(9, 5)
			p.Phase, p.Reason, p.Ready = "Failed", "Evicted", false
			r.Pods = append(r.Pods, p)
		})}}, deploys.Succeeded, ""},
		{"all pods replaced inside the window: nothing has stayed well", deploys.Facts{}, []look{{5, one(done(5), 1, 5)}, {7, one(done(5), 1, -1)}, {9, one(done(5), 2, 9)}, {16, one(done(5), 2, 9)}}, deploys.Running, "must stay well until 14:00:19 UTC"},
		{"and is a success when the new ones have", deploys.Facts{}, []look{{5, one(done(5), 1, 5)}, {7, one(done(5), 1, -1)}, {9, one(done(5), 2, 9)}, {19, one(done(5), 2, 9)}}, deploys.Succeeded, "1 of 1 pod runs abc1234 and stayed well for 10 s."},
		{"the last to become ready is replaced: the window stays as it was", deploys.Facts{}, []look{{8, lastly(3, 8)}, {12, lastly(4, 12)}, {17, lastly(4, 12)}}, deploys.Running, "must stay well until 14:00:18 UTC"},
		{"and ends then", deploys.Facts{}, []look{{8, lastly(3, 8)}, {12, lastly(4, 12)}, {18, lastly(4, 12)}}, deploys.Succeeded, ""},
		{"a pod that flaps begins it anew", deploys.Facts{}, []look{{5, done(5)}, {9, with(done(5), func(r *deploys.Rollout) { r.Pods[0].Ready = false })}, {11, lastly(3, 11)}, {20, lastly(3, 11)}}, deploys.Running, "must stay well until 14:00:21 UTC"},
		{"the clock was put back: it begins anew, and no later", deploys.Facts{}, []look{{5, done(5)}, {-3590, done(5)}, {-3581, done(5)}}, deploys.Running, "must stay well until 13:00:20 UTC"},
		{"and ends", deploys.Facts{}, []look{{5, done(5)}, {-3590, done(5)}, {-3580, done(5)}}, deploys.Succeeded, ""},
		{"a native sidecar that ends and starts again fails too", deploys.Facts{}, []look{{5, with(sidecar(0), inFront)}, {12, with(sidecar(1), inFront)}}, deploys.Failed, "Sidecar proxy"},
		{"pods say ready, the newest is not there yet (kubernetes#40496)", deploys.Facts{}, []look{{5, with(done(5), func(r *deploys.Rollout) { r.Pods = r.Pods[:2] })}, {60, with(done(5), func(r *deploys.Rollout) { r.Pods = r.Pods[:2] })}}, deploys.Running, ""},
		{"a node whose clock is behind does not shorten the window", deploys.Facts{}, []look{{1, rolling()}, {60, done(-300)}, {64, done(-300)}}, deploys.Running, "must stay well"},
		{"a node whose clock is ahead does not stretch it", deploys.Facts{}, []look{{1, rolling()}, {60, done(900)}, {70, done(900)}}, deploys.Succeeded, ""},
		{"a sidecar that ends inside the window fails too", deploys.Facts{}, []look{{5, sidecar(0)}, {12, sidecar(1)}}, deploys.Failed, "Sidecar proxy"},
		{"an init container that ended well does not", deploys.Facts{}, []look{{5, initDone()}, {16, initDone()}}, deploys.Succeeded, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var v deploys.Verdict
			var m deploys.Memory
			for i, l := range c.looks {
				if v, m = deploys.Judge(basis, c.facts, m, l.r, sec(l.at)); v.Status.IsTerminal() && i < len(c.looks)-1 {
					t.Fatalf("%s already at second %d: %s", v.Status, l.at, v.Sentence)
				}
			}
			said := v.Sentence
			if v.Note != "" {
				said += " (" + v.Note + ")"
			}
			if v.Status != c.want || !strings.Contains(said, c.say) {
				t.Errorf("%s %q, want %s with %q", v.Status, said, c.want, c.say)
			}
		})
	}
}

func progressing() (out []look) {
	for i, at := range []int{1, 500, 1000, 1500} {
		out = append(out, look{at, with(rolling(), func(r *deploys.Rollout) { r.Updated = int32(i); r.Replicas = 3 + int32(i) })})
	}
	return out
}

func unready(fails int32) deploys.Rollout {
	return starting(func(_ *deploys.Pod, c *deploys.Container) {
		c.Readiness = &deploys.Probe{Ask: "GET / on port 80", Threshold: 3, Fails: fails, HTTP: 503, Answer: "HTTP 503", LastFail: sec(9)}
	})
}

// TestQuietCauses: an app that starts is not in trouble because its probes fail; one that fails for long is.
func TestQuietCauses(t *testing.T) {
	for fails, want := range map[int32]int{1: 0, 3: 1} {
		if v, _ := deploys.Judge(basis, deploys.Facts{}, deploys.Memory{}, unready(fails), sec(10)); len(v.Causes) != want {
			t.Errorf("%d failures give %d causes, want %d", fails, len(v.Causes), want)
		}
	}
}

func unschedulable() deploys.Rollout {
	return starting(func(p *deploys.Pod, c *deploys.Container) {
		p.Phase, p.Waiting = "Pending", "0/3 nodes are available: 3 Insufficient cpu"
		c.State, c.Since = "waiting", time.Time{}
	})
}

func swap(_ *deploys.Pod, c *deploys.Container) { c.Image = "mirror.example.org/api@sha256:beef" }

// swapped is a complete rollout of which the first pods were given another image.
func swapped(pods int) deploys.Rollout {
	return with(done(5), func(r *deploys.Rollout) {
		for i := range pods {
			swap(&r.Pods[i], &r.Pods[i].Containers[0])
		}
	})
}

func history() deploys.Rollout {
	return with(done(-3600), func(r *deploys.Rollout) {
		for i := range r.Pods {
			r.Pods[i].Created = t0.Add(-2 * time.Hour)
			r.Pods[i].Containers[0].Restarts = 5
			r.Pods[i].Containers[0].Last = &deploys.Exit{Code: 1, Finished: t0.Add(-time.Hour)}
		}
	})
}

func scaled(second int) deploys.Rollout {
	return with(done(5), func(r *deploys.Rollout) {
		r.Desired, r.Replicas, r.Updated, r.Available, r.Ready, r.Generation, r.ObservedGeneration = 4, 4, 4, 4, 4, 6, 6
		r.Pods = append(r.Pods, newPod(4, second))
	})
}

func sidecar(restarts int32) deploys.Rollout {
	return with(done(5), func(r *deploys.Rollout) {
		r.Pods[0].Containers = append(r.Pods[0].Containers, deploys.Container{Name: "proxy", Sidecar: true, State: "running", Ready: true, Restarts: restarts})
	})
}

// inFront puts the containers that were appended before the others, as init containers stand.
func inFront(r *deploys.Rollout) { slices.Reverse(r.Pods[0].Containers) }

// one is a rollout of a single pod of this number, ready since the given second; below 0 there is none yet.
func one(r deploys.Rollout, pod, second int) deploys.Rollout {
	r.Desired, r.Replicas, r.Updated, r.Available, r.Ready = 1, 1, 1, 1, 1
	r.Pods = []deploys.Pod{newPod(pod, second)}
	if second < 0 {
		r.Replicas, r.Updated, r.Available, r.Ready, r.Pods = 0, 0, 0, 0, nil
	}
	return r
}

// lastly is a complete rollout whose third pod has this number and is ready since the given second, the others since the fifth.
func lastly(pod, second int) deploys.Rollout {
	return with(done(5), func(r *deploys.Rollout) { r.Pods[2] = newPod(pod, second) })
}

func initDone() deploys.Rollout {
	return with(done(5), func(r *deploys.Rollout) {
		r.Pods[0].Containers = append([]deploys.Container{{Name: "migrate", Init: true, State: "terminated", Ready: true,
			Last: &deploys.Exit{Code: 0, Reason: "Completed", Finished: sec(3)}}}, r.Pods[0].Containers...)
	})
}

// TestWindowOfAnOlderPortal: what was stored before the window kept its own beginning is judged on.
func TestWindowOfAnOlderPortal(t *testing.T) {
	_, m := deploys.Judge(basis, deploys.Facts{}, deploys.Memory{}, done(5), sec(5))
	m.Window.Since = time.Time{}
	if v, _ := deploys.Judge(basis, deploys.Facts{}, m, done(5), sec(14)); v.Status != deploys.Running || !v.Ends.Equal(sec(15)) {
		t.Errorf("%s until %v, want 10 s from second 5", v.Status, v.Ends)
	}
	if v, _ := deploys.Judge(basis, deploys.Facts{}, m, done(5), sec(15)); v.Status != deploys.Succeeded {
		t.Errorf("%s %s", v.Status, v.Sentence)
	}
}

// TestStatusTable asserts every pair of states.
func TestStatusTable(t *testing.T) {
	all := []deploys.Status{deploys.Pending, deploys.Running, deploys.Succeeded, deploys.Failed, deploys.Errored, deploys.Superseded}
	allowed := "pending>running pending>errored pending>superseded running>succeeded running>failed running>errored running>superseded"
	for _, from := range all {
		for _, to := range all {
			want := slices.Contains(strings.Fields(allowed), fmt.Sprintf("%s>%s", from, to))
			if got := from.To(to) == nil; got != want {
				t.Errorf("%s to %s: %v, want %v", from, to, got, want)
			}
		}
	}
}
