package deploys_test

import (
	"strings"
	"testing"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/deploys/deploystest"
)

// TestStartupProbe has a row for what is known of a startup probe of a minute when a container has used it up, or has not.
func TestStartupProbe(t *testing.T) {
	probe := func(change func(*deploys.Container, *deploys.Probe)) deploys.Rollout {
		return with(startupProbe(404, "HTTP 404", 0), func(r *deploys.Rollout) {
			c := &r.Pods[3].Containers[0]
			c.Startup.LastKill = time.Time{}
			change(c, c.Startup)
		})
	}
	kill := func(p *deploys.Probe, kills int32, at, code int) {
		p.Kills, p.LastKill, p.Through = kills, sec(at), code
		if code != 0 {
			p.ThroughFails = 12
		}
	}
	crash := func(c *deploys.Container, restarts int32, reason string, started int) {
		c.State, c.Reason, c.Restarts = "waiting", "CrashLoopBackOff", restarts
		c.Last = &deploys.Exit{Code: 1, Reason: reason, Started: sec(started), Finished: sec(started + 5)}
	}
	second := func(code int, answer string, http int) deploys.Rollout { // its first run had a code through, the second has had one answer
		return probe(func(c *deploys.Container, p *deploys.Probe) {
			kill(p, 1, 62, code)
			c.Restarts, c.Since, c.Last = 1, sec(63), &deploys.Exit{Code: 143, Started: sec(2), Finished: sec(62)}
			p.Answer, p.HTTP, p.Fails, p.FirstFail, p.LastFail = answer, http, 1, sec(70), sec(70)
		})
	}
	behind := func(last int) deploys.Rollout { // 70 s, of two minutes that it may take
		return probe(func(c *deploys.Container, p *deploys.Probe) {
			c.Since, p.FirstFail, p.LastFail, p.Threshold = sec(-68), sec(-63), sec(last), 24
		})
	}
	late := probe(func(_ *deploys.Container, p *deploys.Probe) { p.FirstFail = sec(40) })
	whole := probe(func(*deploys.Container, *deploys.Probe) {})
	for _, c := range []struct {
		name   string
		looks  []look
		title  string
		doomed bool
	}{
		{"one 404 after a budget of something else", []look{{70, second(0, "HTTP 404", 404)}}, "Killed by its startup probe", false},
		{"a 404 through a budget, and not listening in the next run", []look{{70, second(404, "connection refused", 0)}}, "The startup probe gets 404", true},
		{"a 404 through a budget that nobody says the end of", []look{{3, whole}, {68, whole}}, "The startup probe gets 404", true},
		{"not before it is over", []look{{3, whole}, {61, whole}}, "", false},
		{"a 404 only at its end", []look{{3, late}, {70, late}}, "Killed by its startup probe", false},
		{"a node whose clock is behind", []look{{3, behind(-65)}, {75, behind(5)}}, "", false},
		{"which is not believed when it is over either", []look{{3, behind(-65)}, {75, behind(5)}, {124, behind(54)}}, "The startup probe gets 404", true},
		{"it crashed after a kill", []look{{230, probe(func(c *deploys.Container, p *deploys.Probe) { kill(p, 1, 62, 503); crash(c, 4, "Error", 200) })}}, "Crash loop", true},
		{"it ran out of memory after a kill", []look{{230, probe(func(c *deploys.Container, p *deploys.Probe) { kill(p, 1, 62, 404); crash(c, 4, "OOMKilled", 200) })}}, "Out of memory", true},
		{"the newest end was a kill", []look{{230, probe(func(c *deploys.Container, p *deploys.Probe) { kill(p, 2, 62, 503); crash(c, 2, "Error", 5) })}}, "Killed by its startup probe", true},
		{"it is being killed", []look{{63, probe(func(_ *deploys.Container, p *deploys.Probe) { kill(p, 1, 62, 503) })}}, "Killed by its startup probe", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var v deploys.Verdict
			var m deploys.Memory
			for _, l := range c.looks {
				v, m = deploys.Judge(basis, deploys.Facts{}, m, l.r, sec(l.at))
			}
			got := deploys.Cause{}
			if v.Cause != nil {
				got = *v.Cause
			} else if len(v.Causes) > 0 {
				got = v.Causes[0]
			}
			if got.Title != c.title || got.Doomed != c.doomed {
				t.Errorf("%s: %s (doomed %v), want %s (doomed %v)", got.Title, got.Sentence, got.Doomed, c.title, c.doomed)
			}
		})
	}
}

// TestUsualStart: the budget that a startup probe would need is what the container took, without node and image.
func TestUsualStart(t *testing.T) {
	b := basis
	for usual, want := range map[time.Duration]bool{90 * time.Second: true, 30 * time.Second: false} {
		b.Usual = map[string]time.Duration{"api": usual, "other": time.Hour}
		got, _ := named(b, deploys.Facts{}, startupProbe(503, "HTTP 503", 1), sec(63))
		if strings.Contains(got.Advice, "The last starts took up to 1 min 30 s: the budget should be above that.") != want || strings.Contains(got.Advice, "1 h") {
			t.Errorf("usually %s: %s", usual, got.Advice)
		}
	}
	in(t, func(w *world) {
		w.deploy(deployOf(api, "abc1234"))
		w.settle(5 * time.Minute)
		w.cluster.Update(api, func(r *deploys.Rollout) { // pods that waited four minutes for an image, and took 90 s
			deploystest.Complete(r, time.Now())
			for i := range r.Pods {
				r.Pods[i].Created = time.Now().Add(-4 * time.Minute)
				r.Pods[i].Containers[0].Since = time.Now().Add(-90 * time.Second)
			}
		})
		w.settle(11 * time.Second)
		d := w.deploy(deployOf(api, "def5678"))
		w.cluster.Update(api, func(r *deploys.Rollout) {
			p := startupProbe(503, "HTTP 503", 1).Pods[3]
			p.ReplicaSet, p.Created = r.ReplicaSets[0].Name, time.Now()
			c := &p.Containers[0]
			c.Image, c.ImageID, c.Since, c.Startup.LastFail, c.Startup.LastKill = r.Images["api"], "", time.Now(), time.Now().Add(time.Second), time.Now().Add(time.Second)
			r.ObservedGeneration, r.Updated, r.Replicas, r.Pods = r.Generation, 1, r.Desired+1, append(r.Pods, p)
		})
		w.settle(time.Second)
		if d = w.get(d.ID); len(d.Causes) == 0 || !strings.Contains(d.Causes[0].Advice, "took up to 1 min 30 s") {
			t.Errorf("%s: %+v", d.Status, d.Causes)
		}
	})
}
