package web

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"deployportal/internal/deploys"
	"deployportal/web/templates"
)

var noon = time.Date(2026, 11, 23, 14, 2, 44, 0, time.UTC)

func since(d time.Duration) time.Time { return noon.Add(-d) }

const (
	digestOld   = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	digestOther = "sha256:3333333333333333333333333333333333333333333333333333333333333333"
	digestNew   = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
	repo        = "git.example.org/acme/api"
)

var apiApp = deploys.App{
	Target: deploys.Target{App: "api", Env: "prod"}, Repository: repo, Namespace: "acme", Workload: "api",
	Containers: []string{"api"}, Stability: 10 * time.Second,
}

// running is a deploy 41 s after the click, patched, with three pods wanted: the base that each case changes.
func running() deployFacts {
	oldImage, newImage := repo+":4be19f2c03d1@"+digestOld, repo+":c7750aa91be2@"+digestNew
	d := deploys.Deploy{
		ID: 319, Target: apiApp.Target, Kind: deploys.KindDeploy, Status: deploys.Running,
		From:      deploys.Version{Repository: repo, Tag: "4be19f2c03d1", Digest: digestOld},
		To:        deploys.Version{Repository: repo, Tag: "c7750aa91be2", Digest: digestNew, Proofs: []string{digestNew}, Images: map[string]string{"api": newImage}},
		ActorName: "ana", Source: "web", Created: since(41 * time.Second), Started: since(41 * time.Second),
		Patched: since(40900 * time.Millisecond), Generation: 48, Template: "t-new", AuditSeq: 1482, AuditHash: "9f1c2b3a4d5e6f70",
	}
	r := &deploys.Rollout{
		At: noon, Exists: true, Generation: 48, ObservedGeneration: 48, Desired: 3, Replicas: 4, Updated: 2, Ready: 3, Available: 3,
		ReplicaSets: []deploys.ReplicaSet{
			{Name: "api-6564f47bdf", Template: "t-new", Images: map[string]string{"api": newImage}},
			{Name: "api-d4c579f7d", Template: "t-old", Images: map[string]string{"api": oldImage}},
			{Name: "api-gone", Template: "t-older"},
		},
		Pods: []deploys.Pod{oldPod("dbwb8"), oldPod("x2k4p"), newPod("zw8ct")},
	}
	return deployFacts{Deploy: d, Rollout: r, App: apiApp, Prod: true, MayDeploy: true, Now: noon}
}

func oldPod(name string) deploys.Pod {
	return deploys.Pod{
		Name: "api-d4c579f7d-" + name, ReplicaSet: "api-d4c579f7d", Node: "fsn-1", Phase: "Running", Created: since(80 * time.Hour),
		Scheduled: since(80 * time.Hour), Ready: true, ReadySince: since(75 * time.Hour),
		Containers: []deploys.Container{{Name: "api", ImageID: digestOld, State: "running", Started: true, Ready: true}},
	}
}

// newPod is a pod whose container runs and whose startup probe has not passed.
func newPod(name string) deploys.Pod {
	return deploys.Pod{
		Name: "api-6564f47bdf-" + name, ReplicaSet: "api-6564f47bdf", Node: "fsn-3", Phase: "Running",
		Created: since(40 * time.Second), Scheduled: since(40 * time.Second),
		Containers: []deploys.Container{{
			Name: "api", ImageID: digestNew, State: "running", Since: since(38 * time.Second), Pulled: "1.2s",
			Startup: &deploys.Probe{Ask: "GET /api/health on port 8000", Period: 10 * time.Second, Threshold: 24, Fails: 7, Answer: "HTTP 503"},
		}},
	}
}

func readyPod(name string, ready time.Duration) deploys.Pod {
	p := newPod(name)
	p.Ready, p.ReadySince = true, since(ready)
	p.Containers[0].Started, p.Containers[0].Ready = true, true
	return p
}

func complete(f *deployFacts) {
	f.Rollout.Pods = []deploys.Pod{readyPod("a", 30*time.Second), readyPod("b", 20*time.Second), readyPod("c", 4*time.Second)}
	f.Rollout.Replicas, f.Rollout.Updated, f.Rollout.Available = 3, 3, 3
}

func end(f *deployFacts, s deploys.Status, sentence string) {
	f.Deploy.Status, f.Deploy.Finished, f.Deploy.Sentence = s, since(time.Second), sentence
}

// only leaves one new pod, and gives its container.
func only(f *deployFacts) (*deploys.Pod, *deploys.Container) {
	f.Rollout.Pods = []deploys.Pod{oldPod("dbwb8"), newPod("zw8ct")}
	p := &f.Rollout.Pods[1]
	return p, &p.Containers[0]
}

func TestDeployView(t *testing.T) {
	for _, c := range []struct {
		name  string
		given func(f *deployFacts)
		mark  string
		steps string // states of the four steps
		says  []string
		not   []string
	}{
		{"pending", func(f *deployFacts) {
			f.Deploy.Status, f.Deploy.Patched, f.Deploy.Template, f.Rollout = deploys.Pending, time.Time{}, "", nil
		}, "Pending", "done now todo todo", []string{"waiting its turn", "Nothing was seen of the pods yet.", "Roll back now"}, []string{"Took"}},
		{"running, not patched", func(f *deployFacts) { f.Deploy.Patched, f.Deploy.Template = time.Time{}, "" },
			"Starting", "done now todo todo", []string{"41 s"}, nil},
		{"running, nothing seen", func(f *deployFacts) { f.Rollout = nil },
			"Rolling out", "done done now todo", []string{"nothing seen yet", "0.1 s"}, nil},
		{"startup probe", func(*deployFacts) {}, "Rolling out", "done done now todo",
			[]string{"Startup probe GET /api/health on port 8000", "38 s of 240 s", "HTTP 503, at least 7 times", "image pulled in 1.2s", "Starting", "2 of 3 pods new", "digest proven on 1", "2 still serving", "kubectl -n acme logs api-6564f47bdf-zw8ct -c api"}, []string{"Serving now"}},
		{"pulling", func(f *deployFacts) {
			p, c := only(f)
			p.Phase, c.State, c.Reason, c.PullStart, c.Pulled, c.ImageID = "Pending", "waiting", "ContainerCreating", since(9*time.Second), "", ""
		}, "Rolling out", "done done now todo", []string{"Pulling the image", "9 s"}, []string{"image pulled", "image was"}},
		{"waiting for a node", func(f *deployFacts) {
			p, _ := only(f)
			p.Phase, p.Scheduled, p.Node, p.Waiting, p.Containers = "Pending", time.Time{}, "", "0/3 nodes are available: 3 Insufficient memory.", nil
		}, "Rolling out", "done done now todo", []string{"Insufficient memory", "no node yet", "Waiting"}, nil},
		{"holding", complete, "Holding steady", "done done done now", []string{"4 s of 10 s", "Ready after 36 s", "image pulled in 1.2s"}, nil},
		{"proven by another push of the same config", func(f *deployFacts) {
			complete(f)
			for i := range f.Rollout.Pods {
				f.Rollout.Pods[i].Containers[0].ImageID = digestOther
			}
			f.Deploy.Memory.Proven = []string{digestOther}
			end(f, deploys.Succeeded, "All pods run it.")
		}, "Succeeded", "done done done done", []string{"3 of 3 ready, digest proven on 3"}, nil},
		{"stuck", func(f *deployFacts) {
			_, c := only(f)
			c.State, c.Reason, c.Message = "waiting", "CreateContainerConfigError", `secret "api-db" not found`
			f.Events = []deploys.Event{{Seq: 1, Kind: deploys.EventStep, Text: "patched"}, {Seq: 2, Kind: deploys.EventTrouble, Text: "Secret api-db does not exist."}, {Seq: 3, Kind: deploys.EventRollout}}
		}, "Rolling out", "done done now todo", []string{"In trouble, still trying", "Secret api-db does not exist.", "Not configured", "secret \"api-db\" not found", "1 pod of 4be19f2", "describe pod"}, nil},
		{"trouble that passed", func(f *deployFacts) {
			f.Events = []deploys.Event{{Seq: 1, Kind: deploys.EventTrouble, Text: "it was bad"}, {Seq: 2, Kind: deploys.EventStep, Text: "holding"}}
		}, "Rolling out", "done done now todo", []string{"it was bad"}, []string{"In trouble"}},
		{"crash loop", func(f *deployFacts) {
			_, c := only(f)
			c.State, c.Reason, c.Restarts = "waiting", "CrashLoopBackOff", 2
			c.Last = &deploys.Exit{Code: 2, Started: since(20 * time.Second), Finished: since(18 * time.Second), Reason: "Error"}
		}, "Rolling out", "done done now todo", []string{"Crashing", "2 restarts", "last exit code 2 after 2 s", "--previous"}, []string{"image pulled", "image was"}},
		{"killed by its startup probe", func(f *deployFacts) {
			_, c := only(f)
			c.Restarts, c.Startup.Kills = 1, 1
			c.Last = &deploys.Exit{Code: 137, Signal: 9, Reason: "OOMKilled", Finished: since(time.Second)}
		}, "Rolling out", "done done now todo", []string{"1 restart", "by signal 9, OOMKilled; the startup probe had it restarted, at least once"}, nil},
		{"succeeded with a note", func(f *deployFacts) {
			complete(f)
			end(f, deploys.Succeeded, "")
			f.Deploy.Note = "digest pinned, not proven"
		},
			"Succeeded", "done done done done", []string{"Note: digest pinned, not proven", "took 40 s", "Open api"}, []string{"Roll back now", "Serving now"}},
		{"failed", func(f *deployFacts) { end(f, deploys.Failed, "The startup probe gets HTTP 404.") },
			"Failed", "done done fail todo", []string{"The startup probe gets HTTP 404.", "2 pods of 4be19f2, untouched. 3 wanted.", "failed after 40 s", "Deploy again",
				"Deploy an image that cures it. The portal knows of none that ran well before."}, []string{"data-from", "Roll back"}},
		{"a rollback that failed", func(f *deployFacts) {
			end(f, deploys.Failed, "x")
			f.Deploy.Kind, f.Back = deploys.KindRollback, &wayBack{Return: deploys.ReturnTo{Deploy: 12}, To: deploys.Version{Tag: "0ldest0"}}
		}, "Failed", "done done fail todo", []string{"Go back further, to 0ldest0, or deploy an image that cures it.", "confirm?rollback_to=12"},
			[]string{"Deploy again", "as bad", "<form"}},
		{"a rollback that failed, and nothing else is good", func(f *deployFacts) {
			end(f, deploys.Failed, "x")
			f.Deploy.Kind = deploys.KindRollback
		}, "Failed", "done done fail todo", []string{"Deploy an image that cures it. The portal knows of none that ran well before.", "Open api"},
			[]string{"Deploy again", "Roll back", "as bad"}},
		{"failed once more", func(f *deployFacts) {
			end(f, deploys.Failed, "x")
			f.Back, f.Bad = &wayBack{Return: deploys.ReturnTo{Deploy: 319, Before: true}, To: f.Deploy.From}, &deploys.BadImage{ID: 7, Reason: "it leaks", At: noon}
		}, "Failed", "done done fail todo", []string{"Roll back, or deploy an image that cures it.", "Marked as bad", "it leaks"}, []string{"which also marks"}},
		{"a restart that failed", func(f *deployFacts) {
			end(f, deploys.Failed, "x")
			f.Deploy.Kind, f.Back = deploys.KindRestart, &wayBack{Return: deploys.ReturnTo{Deploy: 319, Before: true}, To: f.Deploy.To}
		}, "Failed", "done done fail todo", []string{"Roll back to the pods of before it", "Restart again"}, []string{"as bad", "mark_bad"}},
		{"failed with a way back", func(f *deployFacts) {
			end(f, deploys.Failed, "x")
			f.Back, f.Newest = &wayBack{Return: deploys.ReturnTo{Deploy: 319, Before: true}, To: f.Deploy.From}, 321
		}, "Failed", "done done fail todo", []string{`<form method="post" action="/apps/prod/api/deploys" id=`, "Roll back to 4be19f2</button>",
			`name="rollback_to" value="319"`, `name="before" value="1"`, `name="seen_from" value="` + digestNew, `name="seen_to" value="` + digestOld,
			`name="key" value="back from 319 after 321"`, "Roll back, which also marks c7750aa as bad"}, nil},
		{"failed while holding", func(f *deployFacts) { complete(f); end(f, deploys.Failed, "A container exited.") },
			"Failed", "done done done fail", []string{"3 pods of c7750aa. 3 wanted."}, []string{"data-from"}},
		{"failed and answered", func(f *deployFacts) { end(f, deploys.Failed, "x"); f.Answered = true },
			"Failed", "done done fail todo", []string{"It has been rolled back."}, []string{">Roll back<", "<form"}},
		{"errored before the patch", func(f *deployFacts) {
			end(f, deploys.Errored, "The portal may not patch deployments in acme.")
			f.Deploy.Patched, f.Deploy.Template = time.Time{}, ""
		}, "Errored", "done fail todo todo", []string{"may not patch", "Nothing was changed in the cluster.", "Deploy again"}, nil},
		{"superseded", func(f *deployFacts) { end(f, deploys.Superseded, "api was changed by kubectl-set.") },
			"Superseded", "done done todo todo", []string{"changed by kubectl-set", "superseded after 40 s"}, []string{"Roll back"}},
		{"rollback", func(f *deployFacts) {
			f.Deploy.Kind, f.Related = deploys.KindRollback, []templates.Related{{Text: "rolls back", ID: 318}}
		}, "Rolling out", "done done now todo", []string{"rollback 319", "/deploys/318", "Deploy another instead"}, []string{"Roll back now"}},
		{"without events", func(f *deployFacts) { f.Gap = "The portal may not list events in acme." },
			"Rolling out", "done done now todo", []string{"The portal may not list events in acme.", "kubectl apply -n"}, nil},
		{"stale", func(f *deployFacts) { f.Rollout.StaleSince = since(100 * time.Second) },
			"Unknown since 14:01 UTC", "done done now todo", []string{"has not been seen since 14:01 UTC", "1 min ago", "0 s of 240 s"}, nil},
		{"zero replicas", func(f *deployFacts) {
			f.Rollout.Pods, f.Rollout.Desired, f.Rollout.Replicas, f.Rollout.Updated, f.Rollout.Available = nil, 0, 0, 0, 0
		}, "Holding steady", "done done done now", []string{"scaled to zero"}, nil},
		{"recreate gap", func(f *deployFacts) {
			f.Rollout.Recreate, f.Rollout.Pods, f.Rollout.Available = true, nil, 0
		}, "Rolling out", "done done now todo", []string{"The gap is expected.", "None yet."}, nil},
		{"init container", func(f *deployFacts) {
			p, c := only(f)
			c.State, c.Reason = "waiting", "PodInitializing"
			p.Containers = []deploys.Container{{Name: "migrate", Init: true, State: "running", Since: since(12 * time.Second)}, *c}
		}, "Rolling out", "done done now todo", []string{"init container migrate: running", "12 s", "Preparing"}, nil},
		{"sidecar crashes", func(f *deployFacts) {
			p, c := only(f)
			p.Containers = []deploys.Container{{Name: "proxy", Init: true, Sidecar: true, State: "terminated", Last: &deploys.Exit{Code: 1, Finished: since(time.Second)}}, *c}
		}, "Rolling out", "done done now todo", []string{"sidecar proxy: ended", "last exit code 1"}, nil},
		{"done init container says nothing", func(f *deployFacts) {
			p, c := only(f)
			p.Containers = []deploys.Container{{Name: "migrate", Init: true, State: "terminated", Last: &deploys.Exit{Finished: since(time.Second)}}, *c}
		}, "Rolling out", "done done now todo", []string{"api: startup probe"}, []string{"migrate"}},
		{"readiness", func(f *deployFacts) {
			_, c := only(f)
			c.Started, c.Readiness = true, &deploys.Probe{Ask: "GET /ready on port 8000", Fails: 1, Answer: "timed out"}
		}, "Rolling out", "done done now todo", []string{"Readiness probe GET /ready", "timed out, at least once", "Not ready"}, nil},
		{"evicted and ending", func(f *deployFacts) {
			p, _ := only(f)
			p.Phase, p.Reason, p.Message, p.Containers = "Failed", "Evicted", "The node was low on memory.", nil
			f.Rollout.Pods[0].Deleting = true
		}, "Rolling out", "done done now todo", []string{"Evicted", "low on memory", "Ending", "ending"}, nil},
		{"gone", func(f *deployFacts) { f.Rollout = &deploys.Rollout{At: noon} },
			"Rolling out", "done done now todo", []string{"There is no Deployment api in acme."}, nil},
		{"paused", func(f *deployFacts) { f.Rollout.Paused = true }, "Rolling out", "done done now todo", []string{"paused in the cluster"}, nil},
		{"viewer", func(f *deployFacts) { f.MayDeploy = false }, "Rolling out", "done done now todo", nil, []string{"Roll back now"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := running()
			c.given(&f)
			for i := range f.Events {
				f.Events[i].At = noon
			}
			p := deployView(f)
			if p.Mark.Word != c.mark {
				t.Errorf("mark %q, want %q", p.Mark.Word, c.mark)
			}
			var states []string
			for _, s := range p.Steps {
				states = append(states, string(s.State))
			}
			if got := strings.Join(states, " "); got != c.steps {
				t.Errorf("steps %q, want %q", got, c.steps)
			}
			var b bytes.Buffer
			if err := templates.DeployLive(p).Render(context.Background(), &b); err != nil {
				t.Fatal(err)
			}
			html := strings.NewReplacer("&#34;", `"`, "&#39;", "'").Replace(strings.Join(strings.Fields(b.String()), " "))
			for _, s := range c.says {
				if !strings.Contains(html, s) {
					t.Errorf("does not say %q", s)
				}
			}
			for _, s := range c.not {
				if strings.Contains(html, s) {
					t.Errorf("says %q", s)
				}
			}
			if strings.Contains(html, "0001-01-01") || strings.Contains(html, "%!") {
				t.Error("shows a time that never was, or a broken format")
			}
		})
	}
}

// A finished deploy is drawn from what was stored with it.
func TestDeployViewStored(t *testing.T) {
	f := running()
	complete(&f)
	end(&f, deploys.Succeeded, "")
	f.Deploy.Rollout, f.Rollout = f.Rollout, nil
	if p := deployView(f); len(p.Pods.Groups) != 1 || len(p.Pods.Groups[0].Pods) != 3 {
		t.Errorf("%+v", p.Pods)
	}
}

func TestEventRows(t *testing.T) {
	var events []deploys.Event
	for i := range int64(shownEvents + 7) {
		events = append(events, deploys.Event{Seq: i + 1, Text: "x", Kind: deploys.EventPod}, deploys.Event{Seq: i + 1, Kind: deploys.EventRollout})
	}
	rows, earlier := eventRows(events)
	if len(rows) != shownEvents || earlier != 7 || rows[0].Seq != shownEvents+7 {
		t.Errorf("%d rows, %d earlier, first %d", len(rows), earlier, rows[0].Seq)
	}
}

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{
		"deployment/api": "deployment/api", "": "''", "a b": "'a b'", "x;rm -rf /": "'x;rm -rf /'", "it's": `'it'\''s'`, "$(x)": "'$(x)'", "a\nb": "'a\nb'",
	} {
		if got := shellWord(in); got != want {
			t.Errorf("%q: %s", in, got)
		}
	}
	f := running()
	f.App.Namespace = "x; reboot"
	if c := deployCommands(f); !slices.ContainsFunc(c, func(s string) bool { return strings.HasPrefix(s, "kubectl -n 'x; reboot' ") }) {
		t.Error(c)
	}
}
