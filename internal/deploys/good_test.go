package deploys_test

import (
	"testing"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/deploys/deploystest"
	"deployportal/internal/errs"
)

// migrating makes all commits touch a migration: a failure is held, and nothing is marked.
func (w *world) migrating(yes bool) {
	var m deploys.Migrations
	if yes {
		m.Behind = []deploys.Touched{{Path: "migrations/7.sql"}}
	}
	w.commits.Answer(m, nil)
}

// refute gives w a deploy of abc1234 that failed and was held, all pods of which are ready: by its smoke probes, or by a
// container that ended within the stability window.
var refute = map[string]func(w *world, s *smoker){
	"smoke probes": func(w *world, s *smoker) {
		s.judge = everySecond
		w.deploy(deployOf(api, "abc1234"))
		w.stable()
		w.settle(16 * time.Second)
		s.judge = nil
	},
	"the stability window": func(w *world, _ *smoker) {
		w.deploy(deployOf(api, "abc1234"))
		w.complete(api)
		w.cluster.Update(api, crash)
		w.settle(time.Second)
		w.complete(api)
	},
}

// What the portal saw fail is no way back, though all its pods are ready when the next deploy is asked for.
func TestReadyIsNotGood(t *testing.T) {
	for name, fails := range refute {
		t.Run(name, func(t *testing.T) {
			s := &smoker{}
			smoking(t, s, func(w *world) {
				w.migrating(true)
				fails(w, s)
				if bad := w.get(1); bad.Status != deploys.Failed || bad.Note == "" || len(w.marks()) != 0 || deploys.HealthOf(w.running()) != deploys.Healthy {
					t.Fatalf("%s %q, marks %v, %s", bad.Status, bad.Note, w.marks(), deploys.HealthOf(w.running()))
				}
				w.migrating(false)
				d := w.fail("def5678")
				if d.Status != deploys.Failed || !d.From.Same(w.get(1).To) || d.From.Healthy {
					t.Fatalf("%s from %+v", d.Status, d.From)
				}
				if _, v, ok, err := w.svc.LastGood(w.Context(), d); err != nil || !ok || v.Tag != first {
					t.Errorf("a rollback brings %q %t %v", v.Tag, ok, err)
				}
				w.refused(deploys.Request{Target: api, Return: &deploys.ReturnTo{Deploy: d.ID, Before: true}, Replaces: d.ID + 1, Actor: ana}, errs.Invalid, "What ran before deploy 2 did not run well")
				if back := w.get(d.ID + 1); !back.Automatic() || back.To.Tag != first || len(w.cluster.Applied()) != 3 {
					t.Errorf("went back by itself to %s, %d patches", back.To.Tag, len(w.cluster.Applied()))
				}
				good, err := deploys.NewPast(w.db).Good(w.Context(), api, 9, deploys.Version{})
				must(t, err)
				if len(good) != 1 || good[0].Tag != first {
					t.Errorf("ran well: %+v", good)
				}
			})
		})
	}
}

// A later success of the same image, or that somebody adopts it, is the newer verdict.
func TestVerdictsGrowOld(t *testing.T) {
	for name, again := range map[string]func(*world){
		"deployed again": func(w *world) {
			w.deploy(deployOf(api, "def5678"))
			w.complete(api)
			w.settle(30 * time.Second)
			w.deploy(deployOf(api, "abc1234"))
			w.complete(api)
			w.settle(30 * time.Second)
		},
		"restarted": func(w *world) {
			w.deploy(restartOf(api))
			w.complete(api)
			w.settle(30 * time.Second)
		},
		"adopted": func(w *world) {
			w.set(deploystest.Repo + "api@" + deploystest.Digest("abc1234"))
			w.complete(api)
			w.settled()
			if d := w.deploy(w.adoptOf()); d.Status != deploys.Succeeded {
				w.Fatalf("%s %s", d.Status, d.Sentence)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &smoker{}
			smoking(t, s, func(w *world) {
				w.migrating(true)
				refute["smoke probes"](w, s)
				w.settled()
				again(w)
				if d := w.deploy(deployOf(api, "9999999")); !d.From.Healthy || d.From.Digest != deploystest.Digest("abc1234") {
					t.Errorf("from %+v", d.From)
				}
			})
		})
	}
}

// What somebody changes from outside brings back no more than a deploy does: what failed before is not restored.
func TestReadyIsNotGoodBeforeAChange(t *testing.T) {
	s := &smoker{}
	smoking(t, s, func(w *world) {
		w.settled()
		w.migrating(true)
		refute["smoke probes"](w, s)
		w.settled()
		w.set(imageF)
		w.complete(api)
		w.settled()
		if c := w.changes()[0]; c.From.Tag != "abc1234" || c.From.Healthy {
			t.Errorf("the change came from %+v", c.From)
		}
		if _, v, ok, err := w.svc.KnownGood(w.Context(), api); err != nil || !ok || v.Tag != first {
			t.Errorf("restoring brings %q %t %v", v.Tag, ok, err)
		}
	})
}
