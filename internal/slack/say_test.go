package slack

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/slack/slacktest"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares a message with its file, which holds only what Slack takes.
func golden(t *testing.T, name string, m Message) {
	t.Helper()
	var got bytes.Buffer
	e := json.NewEncoder(&got)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(map[string]any{"text": m.Text, "blocks": m.Blocks}); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range slacktest.Validate(got.Bytes()) {
		t.Errorf("Slack would refuse it: %s", wrong)
	}
	path := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%s is another (write it with -update):\n%s", path, got.String())
	}
}

var tenPast = time.Date(2026, 11, 24, 2, 10, 0, 0, time.UTC)

// version is a good one, by its tag.
func version(tag string) deploys.Version {
	return deploys.Version{Repository: "git.example.org/acme/api", Tag: tag, Digest: "sha256:" + strings.Repeat(tag[:1], 64), Healthy: true,
		Images: map[string]string{"api": "git.example.org/acme/api:" + tag}}
}

// rollingOut is a deploy whose one new pod of three is ready, another starts and the third is pulled.
func rollingOut() telling {
	pod := func(name, rs string, ready bool, c deploys.Container) deploys.Pod {
		c.Name, c.Ready = "api", ready
		return deploys.Pod{Name: rs + "-" + name, ReplicaSet: rs, Node: "node-1", Phase: "Running", Scheduled: tenPast, Ready: ready, Containers: []deploys.Container{c}}
	}
	up := deploys.Container{State: "running", Started: true}
	r := &deploys.Rollout{Exists: true, Generation: 2, ObservedGeneration: 2, Desired: 3, Updated: 3, Replicas: 5, Ready: 3, Available: 3,
		ReplicaSets: []deploys.ReplicaSet{{Name: "api-6564f47bdf", Template: "new", Images: version("abc1234def").Images}, {Name: "api-55b9c8d7f4", Template: "old", Images: version("0000001").Images}},
		Pods: []deploys.Pod{
			pod("7f8c9", "api-6564f47bdf", true, up),
			pod("kx2vp", "api-6564f47bdf", false, deploys.Container{State: "running", Startup: &deploys.Probe{Ask: "GET /health on port 8000", Threshold: 30, Fails: 12, Answer: "HTTP 503", Said: "hunter2 is wrong"}}), // as private as a log
			pod("q9zzt", "api-6564f47bdf", false, deploys.Container{State: "waiting", Reason: "ContainerCreating", PullStart: tenPast}),
			pod("aaaaa", "api-55b9c8d7f4", true, up), pod("bbbbb", "api-55b9c8d7f4", true, up),
		}}
	return telling{subject: "Answer slowly at first", back: "0000001", at: "https://deploy.example.org", voice: voice{},
		app: deploys.App{Target: inProd, Stability: 30 * time.Second},
		deploy: deploys.Deploy{ID: 7, Target: inProd, Kind: deploys.KindDeploy, Status: deploys.Running, From: version("0000001"), To: version("abc1234def"),
			ActorID: "user:1", ActorName: "ana", Source: "slack", Created: tenPast, Patched: tenPast.Add(time.Second), Generation: 2, Template: "new", Rollout: r}}
}

// rolledOutFully is the same with all new pods ready and no old one.
func rolledOutFully() telling {
	t := rollingOut()
	r := t.deploy.Rollout
	r.Pods = r.Pods[:3]
	for i := range r.Pods {
		r.Pods[i].Ready = true
		r.Pods[i].Containers[0] = deploys.Container{Name: "api", State: "running", Started: true, Ready: true}
	}
	r.Replicas = 3
	return t
}

// crashed is a deploy that failed by a crash loop.
func crashed() telling {
	t := rollingOut()
	d := &t.deploy
	d.Status, d.Finished = deploys.Failed, tenPast.Add(3*time.Minute+5*time.Second)
	d.Rollout.Pods = d.Rollout.Pods[1:]
	d.Sentence = "Container api of pod kx2vp ended with exit code 1 and was started again 3 times. It said: panic: postgres://api:hunter2@db/api: password authentication failed."
	d.Cause = &deploys.Cause{Title: "Crash loop", Sentence: d.Sentence, Advice: "Read the log, correct the app or its configuration, and deploy again.", Pod: "api-6564f47bdf-kx2vp", Container: "api",
		Evidence: []deploys.Evidence{
			{Kind: deploys.FromCluster, At: tenPast.Add(2 * time.Minute), Text: "ended with exit code 1 the end of the log: token s3cr3t-t0ken"},
			{Kind: deploys.FromProbe, At: tenPast.Add(time.Minute), Text: "GET /health on port 8000: connection refused"},
			{Kind: deploys.FromLog, Text: "starting with token s3cr3t-t0ken <!channel>"},
			{Kind: deploys.FromLog, Text: "panic: postgres://api:hunter2@db/api: password authentication failed ```"},
			{Kind: deploys.FromTemplate, Text: "env DATABASE_URL of container api: other value"},
		}}
	d.Note = deploys.NotRolledBack + "migrations/7.sql was touched between 0000001 and abc1234, and that may be a migration."
	return t
}

func with(t telling, change func(*telling)) telling {
	change(&t)
	return t
}

// kinds is every kind of message that a deploy has in a channel.
func kinds() map[string]telling {
	smoke := func(good, bad int) *deploys.Smoke {
		s := &deploys.Smoke{Probes: []deploys.SmokeProbe{{URL: "https://api.example.org/health", Requests: 20}}, Began: tenPast.Add(time.Minute)}
		for i := range good + bad {
			r := deploys.SmokeResult{N: i, Took: 40 * time.Millisecond, Status: 200}
			if i >= good {
				r.Fault, r.Status = "HTTP 502", 502
			}
			s.Results = append(s.Results, r)
		}
		return s
	}
	automatic := func(t *telling) {
		t.deploy = deploys.Deploy{ID: 8, Target: inProd, Kind: deploys.KindRollback, Status: t.deploy.Status, RollbackOf: 7, From: t.deploy.To, To: t.deploy.From,
			ActorID: "portal:auto", ActorName: "portal:auto", Source: "system", Reason: "Deploy 7 failed: Crash loop", Created: tenPast, Patched: tenPast, Template: "old", Rollout: t.deploy.Rollout}
		t.subject = "Count users"
	}
	return map[string]telling{
		"live-pending":  with(rollingOut(), func(t *telling) { t.deploy.Status, t.deploy.Patched = deploys.Pending, time.Time{} }),
		"live-starting": with(rollingOut(), func(t *telling) { t.deploy.Patched = time.Time{} }),
		"live-rolling":  rollingOut(),
		"live-trouble": with(rollingOut(), func(t *telling) {
			t.deploy.Causes = []deploys.Cause{{Title: "No node takes the pod", Sentence: "Pod q9zzt waits for a node: 0/3 nodes are available: 3 Insufficient memory.",
				Advice: "Free or add capacity, or correct the pod's requests, node selector or tolerations."}}
		}),
		"live-holding": rolledOutFully(),
		"live-smoke":   with(rolledOutFully(), func(t *telling) { t.deploy.Smoke = smoke(11, 1) }),
		"live-unknown": with(rollingOut(), func(t *telling) {
			t.deploy.Rollout.StaleSince, t.deploy.Rollout.StaleWhy = tenPast, "The cluster cannot be reached since 02:10 UTC."
		}),
		"live-stuck": with(rollingOut(), func(t *telling) { t.deploy.Trouble = "The outcome cannot be written: the disk is full." }),
		"live-succeeded": with(rolledOutFully(), func(t *telling) {
			t.deploy.Status, t.deploy.Finished, t.deploy.Sentence = deploys.Succeeded, tenPast.Add(62*time.Second), "3 of 3 pods run abc1234 and stayed well for 30 s."
		}),
		"live-succeeded-smoke": with(rolledOutFully(), func(t *telling) {
			t.deploy.Status, t.deploy.Finished, t.deploy.Sentence = deploys.Succeeded, tenPast.Add(35*time.Minute), "3 of 3 pods run abc1234 and stayed well for 30 s."
			t.deploy.Smoke = smoke(20, 0)
			t.deploy.Note = t.deploy.Smoke.Note(t.deploy.To)
		}),
		"live-succeeded-unproven": with(rolledOutFully(), func(t *telling) {
			t.deploy.Status, t.deploy.Finished, t.deploy.Sentence = deploys.Succeeded, tenPast.Add(time.Minute), "3 of 3 pods run abc1234 and stayed well for 30 s."
			t.deploy.Note = "digest pinned, not proven: the registry could not tell what image the node reports"
		}),
		"live-failed": crashed(),
		"live-failed-logs": with(crashed(), func(t *telling) {
			t.voice = newVoice(Options{Secrets: []string{"s3cr3t-t0ken\n"}}, Env{Logs: true})
		}),
		"live-failed-answered": with(crashed(), func(t *telling) {
			t.deploy.Note = ""
			t.answered, t.answer = true, &deploys.Deploy{ID: 8, Status: deploys.Running, To: version("0000001")}
		}),
		"live-failed-back": with(crashed(), func(t *telling) {
			t.deploy.Note = ""
			t.answered, t.answer = true, &deploys.Deploy{ID: 8, Status: deploys.Succeeded, To: version("0000001")}
		}),
		"live-failed-no-way-back": with(crashed(), func(t *telling) { t.back, t.at = "", "" }),
		"live-errored": with(rollingOut(), func(t *telling) {
			t.deploy.Status, t.deploy.Patched, t.deploy.Finished, t.deploy.Sentence = deploys.Errored, time.Time{}, tenPast.Add(time.Second), "The portal may not patch deployments in honeydue."
		}),
		"live-superseded": with(rollingOut(), func(t *telling) {
			t.deploy.Status, t.deploy.Finished, t.deploy.Sentence = deploys.Superseded, tenPast.Add(time.Minute), "kubectl-set changed the workload at 02:10:55 UTC."
		}),
		"live-rollback": with(rollingOut(), automatic),
		"live-rollback-succeeded": with(with(rolledOutFully(), automatic), func(t *telling) {
			t.deploy.Status, t.deploy.Sentence, t.deploy.Finished = deploys.Succeeded, "3 of 3 pods run 0000001 and stayed well for 30 s.", tenPast.Add(time.Minute)
		}),
		"live-restart": with(rollingOut(), func(t *telling) {
			t.deploy.Kind, t.deploy.Source, t.deploy.Reason = deploys.KindRestart, "web", "stuck <!here> `x` & more"
		}),
		"live-adopted": with(rollingOut(), func(t *telling) {
			t.deploy.Kind, t.deploy.Status, t.deploy.Rollout = deploys.KindAdopt, deploys.Succeeded, nil
			t.deploy.Finished, t.deploy.Sentence = tenPast, "What kubectl-set brought at 02:05 UTC is meant to run from now on."
		}),
	}
}

// TestLiveGolden holds the message of a deploy, in each state, to its file and to what Slack takes.
func TestLiveGolden(t *testing.T) {
	for name, k := range kinds() {
		t.Run(name, func(t *testing.T) { golden(t, name, sayLive(k)) })
	}
}

// TestDetailsGolden holds what stands in the thread to its file, with and without log lines.
func TestDetailsGolden(t *testing.T) {
	events := []deploys.Event{
		{At: tenPast, Kind: deploys.EventStep, Text: "ana asked for abc1234 in Slack"},
		{At: tenPast.Add(time.Second), Kind: deploys.EventRollout},
		{At: tenPast.Add(2 * time.Second), Kind: deploys.EventPod, Text: "kx2vp scheduled on node-1"},
		{At: tenPast.Add(40 * time.Second), Kind: deploys.EventTrouble, Text: "kx2vp ended with exit code 1 after 30 s"},
		{At: tenPast.Add(3 * time.Minute), Kind: deploys.EventStep, Text: "failed: " + crashed().deploy.Sentence},
	}
	thread := func(name string, k telling, events []deploys.Event) {
		for i, m := range sayDetails(k, events) {
			golden(t, fmt.Sprintf("thread-%s%d", name, i+1), m)
		}
	}
	thread("", crashed(), events)
	thread("logs-", kinds()["live-failed-logs"], events)
	thread("well-", kinds()["live-succeeded"], events[:3])
	var many []deploys.Event
	for range 200 {
		many = append(many, deploys.Event{At: tenPast, Text: strings.Repeat("<&>", 200)})
	}
	long := kinds()["live-failed-logs"]
	for range 30 {
		long.deploy.Cause.Evidence = append(long.deploy.Cause.Evidence, deploys.Evidence{Kind: deploys.FromLog, Text: strings.Repeat("<&>", 300)},
			deploys.Evidence{Kind: deploys.FromTemplate, Text: strings.Repeat("<&>", 300)}, deploys.Evidence{Kind: deploys.FromProbe, Text: strings.Repeat("&", 3000)})
	}
	thread("long-", long, many)
}

// TestNothingSecret: no message tells a log line where that is not allowed, nor ever a secret or a password.
func TestNothingSecret(t *testing.T) {
	for _, logs := range []bool{false, true} {
		k := with(crashed(), func(t *telling) {
			t.voice = newVoice(Options{Secrets: []string{"s3cr3t-t0ken", "\n", "a"}}, Env{Logs: logs})
		})
		text, err := json.Marshal(append(sayDetails(k, []deploys.Event{{At: tenPast, Text: "failed: " + k.deploy.Sentence}}), sayLive(k)))
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"s3cr3t", "hunter2"} {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("logs %v: %s is told", logs, secret)
			}
		}
		for _, line := range []string{"password authentication failed", "starting with token"} {
			if bytes.Contains(text, []byte(line)) != logs {
				t.Errorf("logs %v: the line %q is told: %v", logs, line, !logs)
			}
		}
	}
}

func TestMask(t *testing.T) {
	v := newVoice(Options{Secrets: []string{"-----BEGIN KEY-----\nMIIEvQ==\n-----END KEY-----\n", "pass", "passphrase", "abc"}}, Env{Logs: true})
	for in, want := range map[string]string{
		"key MIIEvQ== read":                             "key ••• read",
		"passphrase=pass":                               "•••=•••",
		"abc stands everywhere by chance":               "abc stands everywhere by chance",
		"redis://:p@ss/w0rd@cache:6379/0 down":          "redis://•••@cache:6379/0 down",
		"https://token@git.example.org/x":               "https://•••@git.example.org/x",
		"mail ana@example.org":                          "mail ana@example.org",
		"http://a/b and postgres://u:p@h/d, x@y":        "http://a/b and postgres://•••@h/d, x@y",
		"https://git.example.org/x?mail=a 7@b":          "https://git.example.org/x?mail=a 7@b",
		"it said: nothing. It said: and it may be told": "it said: nothing. It said: and it may be told",
	} {
		if got := v.clear(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// TestLiveHostile: nobody can mention, shout, link or break a limit by what they call things.
func TestLiveHostile(t *testing.T) {
	for _, word := range []string{"<!channel>", "<@U0ANA>", "<https://evil.org|Deploy>", "`*_~&", strings.Repeat("<&>", 3000), "a\u202eb\x1b[31m\nc", "```"} {
		k := kinds()["live-failed-logs"]
		d := &k.deploy
		d.Target, d.ActorName, d.Reason, d.Sentence, d.Note = deploys.Target{App: word, Env: word}, word, word, word, deploys.NotRolledBack+word
		d.Cause = &deploys.Cause{Title: word, Sentence: word, Advice: word}
		for _, kind := range []deploys.EvidenceKind{deploys.FromCluster, deploys.FromLog, deploys.FromTemplate} {
			for range 20 {
				d.Cause.Evidence = append(d.Cause.Evidence, deploys.Evidence{Kind: kind, Text: word})
			}
		}
		d.From.Tag, d.To.Tag, d.Trouble, d.Source, k.subject = word, word, word, word, word
		live := kinds()["live-rolling"]
		live.deploy.Target, live.deploy.Causes, live.subject = d.Target, []deploys.Cause{*d.Cause}, word
		for i := range live.deploy.Rollout.Pods {
			p := &live.deploy.Rollout.Pods[i]
			p.Name, p.Ready = p.ReplicaSet+"-"+word, false
			p.Containers = append(p.Containers[:0:0], deploys.Container{Name: word, Init: true, State: "waiting", Reason: word, Message: word})
		}
		all := append(sayDetails(k, []deploys.Event{{At: tenPast, Text: word}}), sayLive(k), sayLive(live))
		for _, m := range all {
			text, err := json.Marshal(map[string]any{"text": m.Text, "blocks": m.Blocks})
			if err != nil {
				t.Fatal(err)
			}
			if wrong := slacktest.Validate(text); len(wrong) > 0 {
				t.Errorf("%.20q: %v", word, wrong)
			}
			var back any
			if err := json.Unmarshal(text, &back); err != nil {
				t.Fatal(err)
			}
			if plain := fmt.Sprint(back); strings.Contains(plain, "<!channel") || strings.Contains(plain, "<@") || strings.Contains(plain, "<https://evil") || strings.ContainsRune(plain, '\u202e') {
				t.Errorf("%.20q stands as it is: %s", word, plain)
			}
		}
	}
}
