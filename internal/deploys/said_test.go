package deploys_test

import (
	"strings"
	"testing"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/deploys"
	"deployportal/internal/deploys/deploystest"
)

// TestProbeOutputIsALog: what the program of an exec probe prints is shown as a line of a log: no sentence quotes it, and
// neither the timeline nor an entry.
func TestProbeOutputIsALog(t *testing.T) {
	const secret = "hunter2 is wrong"
	failing := func(c *deploys.Container, probe deploys.Probe) *deploys.Probe {
		c.State, c.Ready = "running", false
		probe.Ask, probe.Answer, probe.Said = "exec redis-cli", "an error", secret
		return &probe
	}
	for name, change := range map[string]func(*deploys.Container){
		"startup": func(c *deploys.Container) {
			c.Started, c.Since = false, sec(1)
			c.Startup = failing(c, deploys.Probe{Period: time.Second, Threshold: 3, Fails: 6, Kills: 2, LastFail: sec(9), LastKill: sec(9)})
		},
		"readiness": func(c *deploys.Container) {
			c.Started, c.Since = true, sec(1)
			c.Readiness = failing(c, deploys.Probe{Period: time.Second, Threshold: 3, Fails: 6, LastFail: sec(9)})
		},
		"liveness": func(c *deploys.Container) {
			c.Started, c.Since, c.Restarts = true, sec(11), 1
			c.Last = &deploys.Exit{Code: 137, Finished: sec(10)}
			c.Liveness = failing(c, deploys.Probe{Period: time.Second, Threshold: 3, Fails: 3, Kills: 1, LastFail: sec(9), LastKill: sec(9)})
		},
	} {
		r := starting(func(_ *deploys.Pod, c *deploys.Container) { change(c) })
		cause, _ := named(basis, deploys.Facts{}, r, sec(12))
		if !strings.Contains(cause.Sentence, "exec redis-cli gave an error") || strings.Contains(cause.Sentence+cause.Title+cause.Advice, secret) {
			t.Errorf("%s: %q", name, cause.Sentence)
		}
		shown := false
		for _, e := range cause.Evidence {
			if strings.Contains(e.Text, secret) {
				shown = e.Kind == deploys.FromLog
			}
		}
		if !shown {
			t.Errorf("%s: what was said is no line of a log: %+v", name, cause.Evidence)
		}
		for _, l := range deploys.Lines(basis, deploys.Rollout{}, r) {
			if strings.Contains(l.Text, secret) {
				t.Errorf("%s: the timeline quotes it: %s", name, l.Text)
			}
		}
	}
	in(t, func(w *world) {
		d := w.deploy(deployOf(api, "abc1234"))
		w.cluster.Update(api, func(r *deploys.Rollout) {
			deploystest.Complete(r, time.Now())
			r.Available, r.Ready = 0, 0
			for i := range r.Pods {
				r.Pods[i].Ready = false
				c := &r.Pods[i].Containers[0]
				c.Started, c.Since = true, time.Now()
				c.Readiness = failing(c, deploys.Probe{Period: time.Second, Threshold: 3, Fails: 6, LastFail: time.Now()})
			}
		})
		w.settle(11 * time.Minute)
		failed := w.entries(audit.Filter{Action: audit.DeployFailed})
		if len(failed) != 1 || !strings.Contains(failed[0].Detail, "exec redis-cli gave an error") || strings.Contains(failed[0].Detail, secret) {
			t.Errorf("deploy %d: %+v", d.ID, failed)
		}
	})
}

func TestUnquoted(t *testing.T) {
	for in, want := range map[string]string{
		"It ended. It said: panic: x.":                      "It ended.",
		"abc was marked as bad: “It ended. It said: x.”. Y": "abc was marked as bad: “It ended.”. Y",
		"“a” and It said: “b”":                              "“a” and",
		"It ended.":                                         "It ended.",
	} {
		if got := deploys.Unquoted(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
