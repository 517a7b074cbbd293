package kube_test

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"k8s.io/client-go/rest"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/kube"
)

func TestNewNamesEveryFault(t *testing.T) {
	_, err := kube.New(kube.Options{
		Envs: []kube.Env{{Name: "prod", Namespace: "a", Config: &rest.Config{}}, {Name: "prod", Namespace: "b", Config: &rest.Config{}}, {Name: "staging"}},
		Apps: []kube.AppConfig{{Name: "api", Envs: []string{"prd"}}, {Name: "api"}, {}},
	})
	for _, want := range []string{`"prod" is there twice`, `"staging" has no namespace`, `names the environment "prd"`, `app "api" is there twice`, "app 3 has no name"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want %s", err, want)
		}
	}
	if _, err := kube.New(kube.Options{}); err == nil {
		t.Error("New without anything is no error")
	}
}

// A list is known without the cluster; what it leaves out has sensible answers.
func TestAppsOfAList(t *testing.T) {
	unreachable := &rest.Config{Host: "http://127.0.0.1:1"}
	c, err := kube.New(kube.Options{
		Envs: []kube.Env{{Name: "prod", Namespace: "honeydue", Config: unreachable}, {Name: "staging", Namespace: "honeydue-staging", Config: unreachable}},
		Apps: []kube.AppConfig{
			{Name: "worker", Envs: []string{"prod"}, Repository: "git.example.org/acme/api", Workload: "api-worker", Containers: []string{"run"}, Stability: time.Second},
			{Name: "api", Repository: "git.example.org/acme/api", Git: "acme/source"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	app := func(env, ns string) deploys.App {
		return deploys.App{Target: deploys.Target{App: "api", Env: env}, Repository: "git.example.org/acme/api", Git: "acme/source",
			Namespace: ns, Workload: "api", Containers: []string{"api"}, Stability: 10 * time.Second, Limit: 30 * time.Minute}
	}
	same(t, "Apps", c.Apps(), []deploys.App{
		app("prod", "honeydue"),
		{Target: deploys.Target{App: "worker", Env: "prod"}, Repository: "git.example.org/acme/api", Git: "acme/api", Namespace: "honeydue",
			Workload: "api-worker", Containers: []string{"run"}, Stability: time.Second, Limit: 30 * time.Minute},
		app("staging", "honeydue-staging"),
	})
	_, err = c.App(deploys.Target{App: "wroker", Env: "prod"})
	same(t, "nearest first", sort(err), `not found: There is no app "wroker" in prod; there is worker, api.`)
	_, err = c.App(deploys.Target{App: "worker", Env: "staging"})
	same(t, "elsewhere", sort(err), `not found: There is no app "worker" in staging; there is api.`)
	same(t, "Ready before Run", sort(c.Ready(deploys.Target{App: "api", Env: "prod"})), "unavailable: The portal has not read the cluster yet.")
	r, err := c.Rollout(deploys.Target{App: "api", Env: "prod"})
	if err != nil || r.Exists || r.StaleSince.IsZero() {
		t.Errorf("Rollout = %+v, %v", r, err)
	}
}

func TestRunEndsWithoutACluster(t *testing.T) {
	before := goleak.IgnoreCurrent()
	c, stop := runFor(t, &rest.Config{Host: "http://127.0.0.1:1"}, "honeydue")
	r := until(t, c, api, "the reason", func(r deploys.Rollout) bool {
		return strings.HasPrefix(r.StaleWhy, "The cluster cannot be reached since ")
	})
	if err := c.Ready(api); errs.Public(err) != r.StaleWhy {
		t.Errorf("Ready = %v", err)
	}
	stop()
	goleak.VerifyNone(t, before)
}

func BenchmarkSnapshot(b *testing.B) {
	o := load(b, "rolling")
	for b.Loop() {
		kube.Snapshot(o, now)
	}
}
