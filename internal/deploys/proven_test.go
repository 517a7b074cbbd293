package deploys_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/deploys"
	"deployportal/internal/deploys/deploystest"
	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

// ends lets a container of the rollout end once, a moment ago.
func (w *world) ends(t deploys.Target) {
	w.cluster.Update(t, func(r *deploys.Rollout) {
		c := &r.Pods[0].Containers[0]
		c.Restarts, c.Last = c.Restarts+1, &deploys.Exit{Code: 1, Finished: time.Now()}
	})
	synctest.Wait()
}

// What the caches show while nobody tells them that they are behind ends no deploy: neither the window's end, nor the
// deadline, whatever had become of the pods meanwhile.
func TestNoVerdictOnAnOldView(t *testing.T) {
	away := errs.New(errs.Unavailable, "The cluster does not answer.")
	for name, c := range map[string]struct {
		before func(*world) // the caches stop to follow
		unseen func(*world) // what they do not see
		wait   time.Duration
		status deploys.Status
		say    string
	}{
		"a crash inside the window": {func(w *world) { w.complete(api) }, func(w *world) { w.ends(api) }, 11 * time.Second,
			deploys.Failed, "ended with exit code 1 after all pods were ready"},
		"a window without a crash":    {func(w *world) { w.complete(api) }, func(*world) {}, 11 * time.Second, deploys.Succeeded, "stayed well for 10 s"},
		"a start before the deadline": {func(*world) {}, func(w *world) { w.complete(api) }, 11 * time.Minute, deploys.Succeeded, "stayed well for 10 s"},
		"no start":                    {func(*world) {}, func(*world) {}, 11 * time.Minute, deploys.Failed, "Kubernetes did not take the change up within 10 min"},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				d := w.deploy(deployOf(api, "abc1234"))
				c.before(w)
				w.settle(2 * time.Second)
				w.cluster.Behind(api)
				c.unseen(w)
				w.cluster.SetNotReady(away)
				w.settle(c.wait)
				if d = w.get(d.ID); d.Status != deploys.Running || d.Trouble != "How this deploy ends is not known yet. The cluster does not answer." {
					t.Fatalf("%s %q, trouble %q, while nobody can tell", d.Status, d.Sentence, d.Trouble)
				}
				w.cluster.SetNotReady(nil)
				w.settle(12 * time.Second)
				w.cluster.CatchUp(api)
				w.settle(2 * time.Second)
				if d = w.get(d.ID); d.Status != c.status || !strings.Contains(d.Sentence, c.say) {
					t.Errorf("%s %q, want %s with %q", d.Status, d.Sentence, c.status, c.say)
				}
				w.pair(d.ID, "deploy."+string(c.status))
			})
		})
	}
}

// A verdict is proven once, where it can be; while a rollout goes on nobody is asked.
func TestProvenOnce(t *testing.T) {
	in(t, func(w *world) {
		d := w.deploy(deployOf(api, "abc1234"))
		w.complete(api)
		w.settle(9 * time.Second)
		if n := w.cluster.Proofs(); n != 0 {
			t.Errorf("%d proofs before anything was decided", n)
		}
		w.settle(2 * time.Second)
		if n := w.cluster.Proofs(); w.get(d.ID).Status != deploys.Succeeded || n != 1 {
			t.Errorf("%s after %d proofs", w.get(d.ID).Status, n)
		}
		if got, want := w.cluster.Applied()[0].Images["api"], deploystest.Repo+"api:abc1234@"+deploystest.Digest("abc1234"); got != want {
			t.Errorf("sent %s", got)
		}
		w.pair(d.ID, audit.DeploySucceeded)
	})
}

// A clock that is set while a deploy holds neither ends its window at once nor keeps it for as long as it was put back.
func TestClockIsSetInsideTheWindow(t *testing.T) {
	for name, by := range map[string]time.Duration{"forward": time.Hour, "back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				var set atomic.Int64
				w.stop()
				must(t, w.db.Close())
				db, err := sqlite.Open(w.Context(), w.path, func() time.Time { return time.Now().Add(time.Duration(set.Load())) })
				must(t, err)
				w.db = db
				w.start(nil)
				d := w.deploy(deployOf(api, "abc1234"))
				w.complete(api)
				w.settle(2 * time.Second)
				set.Store(int64(by))
				w.cluster.Update(api, func(*deploys.Rollout) {}) // it is looked at again
				w.settle(7 * time.Second)
				if d = w.get(d.ID); d.Status != deploys.Running {
					t.Fatalf("%s after 9 s of 10: %s", d.Status, d.Sentence)
				}
				w.settle(2 * time.Second)
				if d = w.get(d.ID); d.Status != deploys.Succeeded {
					t.Errorf("%s after 11 s of 10", d.Status)
				}
			})
		})
	}
}
