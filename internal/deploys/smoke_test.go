package deploys_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/deploys/deploystest"
	"deployportal/internal/errs"
)

// smoker sends n requests, one every interval, and says what judge says of each.
type smoker struct {
	n     int
	every time.Duration
	judge func(n int) string // the fault; nil: all are well
	err   error

	mu     sync.Mutex
	asked  []string // "from>to", one for each run
	ended  int      // runs that came to their end
	cutOff int
}

func (s *smoker) Probes(app deploys.App) []deploys.SmokeProbe {
	if app.App != "api" {
		return nil
	}
	return []deploys.SmokeProbe{{URL: "https://api.example.org/health", Requests: s.n}}
}

func (s *smoker) Smoke(ctx context.Context, _ deploys.App, from, to deploys.Version, each func(deploys.SmokeResult)) error {
	s.mu.Lock()
	s.asked = append(s.asked, from.Short()+">"+to.Short())
	err := s.err
	s.mu.Unlock()
	if err != nil {
		return err
	}
	for n := range s.n {
		select {
		case <-time.After(s.every):
		case <-ctx.Done():
			s.mu.Lock()
			defer s.mu.Unlock()
			s.cutOff++
			return ctx.Err()
		}
		r := deploys.SmokeResult{N: n, After: time.Duration(n) * s.every, Took: s.every, Status: 200}
		if s.judge != nil {
			if r.Fault = s.judge(n); r.Fault != "" {
				r.Status = 502
			}
		}
		each(r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended++
	return nil
}

func everySecond(n int) string {
	if n%2 == 1 {
		return "HTTP 502"
	}
	return ""
}

// smoking runs f in a world whose api has smoke probes: 150 requests in 15 s.
func smoking(t *testing.T, s *smoker, f func(w *world)) {
	t.Helper()
	s.n, s.every = 150, 100*time.Millisecond
	in(t, func(w *world) {
		w.stop()
		w.options = func(o *deploys.Options) { o.Smoker = s }
		w.start(nil)
		f(w)
	})
}

// stable lets the rollout of api come to its end and its stability window pass.
func (w *world) stable() {
	w.complete(api)
	w.settle(10*time.Second + time.Millisecond)
}

func TestSmokeProbesPass(t *testing.T) {
	s := &smoker{}
	smoking(t, s, func(w *world) {
		d := w.deploy(deployOf(api, "abc1234"))
		if d.Smoke == nil || !d.Smoke.Began.IsZero() || d.Smoke.Planned() != 150 {
			t.Fatalf("before: %+v", d.Smoke)
		}
		w.stable()
		if d = w.get(d.ID); d.Status != deploys.Running || d.Smoke.Began.IsZero() {
			t.Fatalf("%s, %+v", d.Status, d.Smoke)
		}
		before := d.Seq
		w.settle(5 * time.Second)
		if d = w.get(d.ID); len(d.Smoke.Results) < 45 || len(d.Smoke.Results) > 50 || !d.Smoke.Ended.IsZero() {
			t.Errorf("half way: %d results", len(d.Smoke.Results))
		}
		if n := d.Seq - before; n < 15 || n > 21 {
			t.Errorf("%d events in 5 s, want about four a second", n)
		}
		w.settle(11 * time.Second)
		d = w.get(d.ID)
		if d.Status != deploys.Succeeded || d.Note != "150 of 150 requests answered, p99 100 ms" || len(d.Smoke.Results) != 150 {
			t.Errorf("%s: %s (%s), %d results", d.Status, d.Sentence, d.Note, len(d.Smoke.Results))
		}
		if added := d.Finished.Sub(d.Smoke.Began); added != 15*time.Second || !d.Smoke.Ended.Equal(d.Finished) {
			t.Errorf("they added %s, and ended at %s", added, d.Smoke.Ended)
		}
		w.pair(d.ID, "deploy.succeeded")
		if len(s.asked) != 1 || s.asked[0] != "0000001>abc1234" {
			t.Errorf("%v", s.asked)
		}
	})
}

// TestSmokeProbesFail: every second request fails, so the deploy does, and the rollback that answers it is probed too.
func TestSmokeProbesFail(t *testing.T) {
	s := &smoker{judge: everySecond}
	smoking(t, s, func(w *world) {
		d := w.deploy(deployOf(api, "abc1234"))
		w.stable()
		w.settle(15 * time.Second)
		d = w.get(d.ID)
		want := "75 of 150 requests to https://api.example.org/health failed: HTTP 502. Every second one failed."
		if d.Status != deploys.Failed || d.Sentence != want || d.Cause == nil || d.Cause.Title != "Smoke probes" || len(d.Smoke.Results) != 150 {
			t.Fatalf("%s: %s %+v", d.Status, d.Sentence, d.Cause)
		}
		w.pair(d.ID, "deploy.failed")
		s.mu.Lock()
		s.judge = nil
		s.mu.Unlock()
		w.stable()
		w.settle(16 * time.Second)
		back := w.get(d.ID + 1)
		if back.Kind != deploys.KindRollback || back.Status != deploys.Succeeded || back.Smoke == nil || !strings.HasPrefix(back.Note, "150 of 150") {
			t.Errorf("%s %s: %s (%s)", back.Kind, back.Status, back.Sentence, back.Note)
		}
		w.pair(back.ID, "deploy.succeeded")
	})
}

// TestSmokeProbesCutOff is what happens while they run: the verdict is that of what happened, and no request follows.
func TestSmokeProbesCutOff(t *testing.T) {
	for name, c := range map[string]struct {
		happens  func(w *world)
		status   deploys.Status
		sentence string
		note     string
	}{
		"set image": {func(w *world) { w.cluster.SetImage(api, "api", "git.example.org/acme/api:fff0000") }, deploys.Superseded, "changed by kubectl-set", ""},
		"replaced": {func(w *world) {
			req := deployOf(api, "fff0000")
			req.Replaces = 1
			_, err := w.svc.Start(w.Context(), req)
			must(w, err)
		}, deploys.Superseded, "Replaced by another deploy", ""},
		"crash": {func(w *world) {
			w.cluster.Update(api, func(r *deploys.Rollout) { crash(r) })
		}, deploys.Failed, "after all pods were ready", ""},
		"scaled to nothing": {func(w *world) {
			w.cluster.Update(api, func(r *deploys.Rollout) { r.Desired = 0; deploystest.Complete(r, time.Now()) })
		}, deploys.Succeeded, "scaled to 0", "no smoke probes, for no pod is wanted"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &smoker{}
			smoking(t, s, func(w *world) {
				d := w.deploy(deployOf(api, "abc1234"))
				w.stable()
				w.settle(5 * time.Second)
				c.happens(w)
				synctest.Wait()
				d = w.get(d.ID)
				if d.Status != c.status || !strings.Contains(d.Sentence, c.sentence) || !strings.Contains(d.Note, c.note) {
					t.Errorf("%s: %s (%s)", d.Status, d.Sentence, d.Note)
				}
				if n := len(d.Smoke.Results); n < 45 || n > 50 || !d.Smoke.Ended.IsZero() {
					t.Errorf("%d results are kept, ended %s", n, d.Smoke.Ended)
				}
				if s.cutOff != 1 || s.ended != 0 {
					t.Errorf("%d cut off, %d ended", s.cutOff, s.ended)
				}
				w.pair(d.ID, "deploy."+string(c.status))
			})
		})
	}
}

// crash ends a container of a ready pod.
func crash(r *deploys.Rollout) {
	for i := range r.Pods {
		if p := &r.Pods[i]; p.Ready && p.Live() {
			p.Containers[0].Restarts++
			p.Containers[0].Last = &deploys.Exit{Code: 2, Finished: time.Now()}
			return
		}
	}
}

// TestSmokeProbesAfterARestartOfThePortal: they run again from the first request, and there is one outcome.
func TestSmokeProbesAfterARestartOfThePortal(t *testing.T) {
	s := &smoker{}
	smoking(t, s, func(w *world) {
		d := w.deploy(deployOf(api, "abc1234"))
		w.stable()
		w.settle(5 * time.Second)
		w.stop()
		if s.cutOff != 1 {
			t.Errorf("%d cut off", s.cutOff)
		}
		w.settle(time.Minute)
		w.start(nil)
		w.settle(5 * time.Second)
		if d = w.get(d.ID); d.Status != deploys.Running || len(d.Smoke.Results) > 50 {
			t.Errorf("%s, %d results", d.Status, len(d.Smoke.Results))
		}
		w.settle(11 * time.Second)
		if d = w.get(d.ID); d.Status != deploys.Succeeded || len(d.Smoke.Results) != 150 || len(s.asked) != 2 {
			t.Errorf("%s: %s, %d results, asked %v", d.Status, d.Sentence, len(d.Smoke.Results), s.asked)
		}
		w.pair(d.ID, "deploy.succeeded")
	})
}

// TestSmokeProbesWaitForPods: what is answered while a pod is replaced does not end the deploy before it is well again.
func TestSmokeProbesWaitForPods(t *testing.T) {
	s := &smoker{}
	smoking(t, s, func(w *world) {
		d := w.deploy(deployOf(api, "abc1234"))
		w.stable()
		w.settle(5 * time.Second)
		w.cluster.Update(api, func(r *deploys.Rollout) { r.Available-- })
		w.settle(30 * time.Second)
		if d = w.get(d.ID); d.Status != deploys.Running || len(d.Smoke.Results) != 150 || d.Smoke.Ended.IsZero() {
			t.Errorf("%s, %d results", d.Status, len(d.Smoke.Results))
		}
		w.cluster.Update(api, func(r *deploys.Rollout) { r.Available++ })
		synctest.Wait()
		if d = w.get(d.ID); d.Status != deploys.Succeeded || len(s.asked) != 1 {
			t.Errorf("%s: %s, asked %v", d.Status, d.Sentence, s.asked)
		}
		w.pair(d.ID, "deploy.succeeded")
	})
}

func TestSmokeProbesThatCannotBeSent(t *testing.T) {
	s := &smoker{err: errs.New(errs.Unavailable, "No node has an address.")}
	smoking(t, s, func(w *world) {
		d := w.deploy(deployOf(api, "abc1234"))
		w.stable()
		d = w.get(d.ID)
		if d.Status != deploys.Errored || !strings.HasSuffix(d.Sentence, "smoke probes could not be sent: No node has an address.") {
			t.Errorf("%s: %s", d.Status, d.Sentence)
		}
		w.pair(d.ID, "deploy.errored")
	})
}

func TestRestartsAreSmokeProbed(t *testing.T) {
	s := &smoker{}
	smoking(t, s, func(w *world) {
		d := w.deploy(restartOf(api))
		w.stable()
		w.settle(16 * time.Second)
		if d = w.get(d.ID); d.Status != deploys.Succeeded || len(s.asked) != 1 || s.asked[0] != "0000001>0000001" {
			t.Errorf("%s: %s, asked %v", d.Status, d.Sentence, s.asked)
		}
	})
}

func TestNoSmokeProbes(t *testing.T) {
	s := &smoker{}
	smoking(t, s, func(w *world) { // admin has none
		d := w.deploy(deployOf(admin, "abc1234"))
		w.complete(admin)
		w.settle(10*time.Second + time.Millisecond)
		if d = w.get(d.ID); d.Status != deploys.Succeeded || d.Smoke != nil || d.Note != "" || len(s.asked) != 0 {
			t.Errorf("%s (%s), %+v", d.Status, d.Note, d.Smoke)
		}
	})
}

// TestSmokeCause names what failed requests have in common.
func TestSmokeCause(t *testing.T) {
	addresses := []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}
	for name, c := range map[string]struct {
		allowed int
		n       int
		dealt   bool // over the addresses
		judge   func(n int) string
		title   string // empty: "Smoke probes"
		want    string // of the sentence, after the URL; empty: no cause
	}{
		"all good":          {0, 150, false, func(int) string { return "" }, "", ""},
		"as many as may":    {3, 150, false, func(n int) string { return pick(n < 3, "HTTP 502") }, "", ""},
		"one more":          {2, 150, false, func(n int) string { return pick(n%50 == 7, "HTTP 502") }, "", "failed: HTTP 502."},
		"one":               {0, 150, false, func(n int) string { return pick(n == 77, "HTTP 502") }, "", "1 of 150|failed: HTTP 502."},
		"all":               {0, 150, false, func(int) string { return "connection refused" }, "", "150 of 150|failed: connection refused."},
		"every second":      {0, 150, false, everySecond, "", "75 of 150|failed: HTTP 502. Every second one failed."},
		"every third":       {0, 150, false, func(n int) string { return pick(n%3 == 1, "HTTP 502") }, "", "50 of 150|failed: HTTP 502. Every third one failed."},
		"about every other": {0, 150, false, func(n int) string { return pick(n*7919%101 < 48, "HTTP 502") }, "", "failed: HTTP 502. About every second one failed."},
		"two kinds":         {0, 150, false, func(n int) string { return pick(n%2 == 1, pick(n%20 == 1, "HTTP 500")+pick(n%20 != 1, "HTTP 502")) }, "", "failed: HTTP 502 (67 times), HTTP 500 (8 times). Every second one failed."},
		"one address":       {0, 150, true, func(n int) string { return pick(n%3 == 1, "no answer within 5 s") }, "", "50 of 150|failed: no answer within 5 s. All 50 to 10.0.0.2 failed; every other address answered."},
		"two addresses":     {0, 150, true, func(n int) string { return pick(n%3 != 1, "HTTP 502") }, "", "All 100 to 10.0.0.1 and 10.0.0.3 failed; every other address answered."},
		"one and some":      {0, 150, true, func(n int) string { return pick(n%3 == 1 || n == 66, "HTTP 502") }, "", "All 50 to 10.0.0.2 failed, and 1 to other addresses."},
		"from then on":      {0, 150, false, func(n int) string { return pick(n >= 40, "HTTP 502") }, "", "The first 40 were answered, and from 4.0 s on every one failed."},
		"only at first":     {0, 150, false, func(n int) string { return pick(n < 20, "HTTP 503") }, "", "Only the first 20 failed; after 1.9 s every one was answered."},
		"here and there":    {0, 150, false, func(n int) string { return pick(n%15 == 4, "HTTP 502") }, "", "10 of 150|failed: HTTP 502."},
	} {
		t.Run(name, func(t *testing.T) {
			s := deploys.Smoke{Probes: []deploys.SmokeProbe{{URL: "https://x", Requests: c.n, Allowed: c.allowed}}}
			for n := range c.n {
				r := deploys.SmokeResult{N: n, After: time.Duration(n) * 100 * time.Millisecond, Took: 10 * time.Millisecond, Fault: c.judge(n)}
				if c.dealt {
					r.Address = addresses[n%3]
				}
				s.Results = append(s.Results, r)
			}
			got := s.Cause()
			if c.want == "" {
				if got != nil {
					t.Errorf("%+v", got)
				}
				return
			}
			if got == nil {
				t.Fatal("no cause")
			}
			for _, part := range strings.Split(c.want, "|") {
				if !strings.Contains(got.Sentence, part) {
					t.Errorf("%s\nlacks %s", got.Sentence, part)
				}
			}
			if end := strings.Split(c.want, "|"); !strings.HasSuffix(got.Sentence, end[len(end)-1]) || got.Advice == "" || len(got.Evidence) == 0 {
				t.Errorf("%s\n%s\n%v", got.Sentence, got.Advice, got.Evidence)
			}
		})
	}
}

func pick(yes bool, text string) string {
	if yes {
		return text
	}
	return ""
}

func TestSmokeCauseOfTheOldVersion(t *testing.T) {
	s := deploys.Smoke{Probes: []deploys.SmokeProbe{{URL: "https://well", Requests: 2}, {URL: "https://x", Requests: 4}}}
	for n := range 6 {
		r := deploys.SmokeResult{N: n, Took: time.Duration(n+1) * time.Millisecond}
		if n >= 2 {
			r.Probe, r.Fault, r.Old = 1, "the old version 0000001 still answers", true
		}
		s.Results = append(s.Results, r)
	}
	c := s.Cause()
	if c == nil || c.Title != "The old version still answers" || c.Sentence != "4 of 4 requests to https://x failed: the old version 0000001 still answers." {
		t.Errorf("%+v", c)
	}
	if by := s.ByAddress(); len(by) != 2 || by[0].Good != 2 || by[1].Good != 0 || by[0].P50 != time.Millisecond || by[0].P99 != 2*time.Millisecond {
		t.Errorf("%+v", by)
	}
}

func TestSmokeNote(t *testing.T) {
	s := deploys.Smoke{Probes: []deploys.SmokeProbe{{URL: "https://x", Requests: 3, Allowed: 1, Version: true}}, Results: []deploys.SmokeResult{
		{N: 0, Took: 12 * time.Millisecond}, {N: 1, Took: 1500 * time.Millisecond}, {N: 2, Fault: "HTTP 502"}}}
	if got := s.Note(deploys.Version{Tag: "abc1234"}); got != "2 of 3 requests answered, 1 failed as is allowed, p99 1.5 s" {
		t.Error(got)
	}
	if got := s.Note(deploys.Version{}); !strings.HasSuffix(got, "; which version answered was not checked, for the image has no tag") {
		t.Error(got)
	}
}
