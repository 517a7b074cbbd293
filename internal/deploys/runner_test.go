package deploys_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

// ddl changes the schema beside the service: what follows is an error that nothing foresees.
func (w *world) ddl(text string) {
	w.Helper()
	must(w, w.db.Write(w.Context(), func(tx *sqlite.Tx) error {
		_, err := tx.Exec(w.Context(), text)
		return err
	}))
}

// A run that ends by an error that nothing foresaw is taken up again, and says that nobody follows the deploy meanwhile.
func TestRunIsTakenUpAgainAfterAnError(t *testing.T) {
	in(t, func(w *world) {
		d := w.deploy(deployOf(api, "abc1234"))
		w.ddl(`ALTER TABLE deploy_events RENAME TO elsewhere`)
		w.complete(api)
		w.settle(time.Minute)
		if d = w.get(d.ID); d.Status != deploys.Running || !strings.Contains(d.Trouble, "does not follow this deploy. It is taken up again every 5 s") {
			t.Fatalf("%s, trouble %q", d.Status, d.Trouble)
		}
		w.ddl(`ALTER TABLE elsewhere RENAME TO deploy_events`)
		w.settle(6 * time.Second)
		if d = w.get(d.ID); d.Status != deploys.Succeeded || d.Trouble != "" {
			t.Errorf("%s %q, trouble %q", d.Status, d.Sentence, d.Trouble)
		}
		w.pair(d.ID, audit.DeploySucceeded)
	})
}

// Nor does a panic end more than one try, wherever the run was.
func TestRunIsTakenUpAgainAfterAPanic(t *testing.T) {
	var once atomic.Bool
	dies := func(deploys.Change) error {
		if once.CompareAndSwap(false, true) {
			panic("planted")
		}
		return nil
	}
	for name, plant := range map[string]func(*world){
		"before the patch": func(w *world) { w.cluster.BeforeApply = dies },
		"after the patch":  func(w *world) { w.cluster.AfterApply = dies },
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				once.Store(false)
				plant(w)
				d := w.deploy(deployOf(api, "abc1234"))
				if d.Status != deploys.Running || d.Trouble == "" {
					t.Fatalf("%s, trouble %q", d.Status, d.Trouble)
				}
				w.settle(11 * time.Second)
				if name == "before the patch" { // the same reading as after a start: it never got there
					if d = w.get(d.ID); d.Status != deploys.Errored || len(w.cluster.Applied()) != 0 {
						t.Errorf("%s %q with %d patches", d.Status, d.Sentence, len(w.cluster.Applied()))
					}
					return
				}
				w.complete(api)
				w.settle(11 * time.Second)
				if d = w.get(d.ID); d.Status != deploys.Succeeded || len(w.cluster.Applied()) != 1 {
					t.Errorf("%s %q with %d patches", d.Status, d.Sentence, len(w.cluster.Applied()))
				}
				w.pair(d.ID, audit.DeploySucceeded)
			})
		})
	}
}

// A view that could not be written is written as soon as there is room, though nothing changes any more.
func TestViewIsWrittenAgain(t *testing.T) {
	in(t, func(w *world) {
		d := w.deploy(deployOf(api, "abc1234"))
		w.fill()
		w.cluster.Update(api, func(r *deploys.Rollout) { r.ObservedGeneration, r.Replicas = r.Generation, 4 })
		w.settle(time.Second)
		if d = w.get(d.ID); !strings.Contains(d.Trouble, "this page is behind it") {
			t.Fatalf("trouble %q", d.Trouble)
		}
		w.free()
		w.settle(6 * time.Second)
		if d = w.get(d.ID); d.Rollout == nil || d.Rollout.Replicas != 4 || d.Trouble != "" {
			t.Errorf("%+v, trouble %q", d.Rollout, d.Trouble)
		}
	})
}

// The patch of an automatic rollback that the cluster does not take is sent again, for a while; a person's is not.
func TestAutomaticRollbackIsSentAgain(t *testing.T) {
	busy := errs.New(errs.Unavailable, "The cluster does not take changes at the moment.")
	for refusals, want := range map[int32]deploys.Status{3: deploys.Succeeded, 100: deploys.Errored} {
		t.Run(fmt.Sprint(refusals), func(t *testing.T) {
			in(t, func(w *world) {
				var sent atomic.Int32
				w.cluster.BeforeApply = func(ch deploys.Change) error {
					if ch.Annotations[deploys.AnnotationDeploy] != "1" && sent.Add(1) <= refusals {
						return busy
					}
					return nil
				}
				d := w.deploy(deployOf(api, "abc1234"))
				w.settle(10*time.Minute + time.Second)
				back := w.get(d.ID + 1)
				if back.Status != deploys.Running || !strings.Contains(back.Trouble, "It is sent again every 5 s.") {
					t.Fatalf("%s, trouble %q", back.Status, back.Trouble)
				}
				w.settle(2 * time.Minute)
				w.complete(api)
				w.settle(11 * time.Second)
				if back = w.get(back.ID); back.Status != want || want == deploys.Errored && sent.Load() != 13 {
					t.Errorf("%s %q after %d tries, want %s", back.Status, back.Sentence, sent.Load(), want)
				}
				if want == deploys.Errored {
					sent.Store(0)
					if d := w.deploy(deployOf(api, "def5678")); d.Status != deploys.Errored || sent.Load() != 1 {
						t.Errorf("a person's deploy is %s after %d tries", d.Status, sent.Load())
					}
				}
			})
		})
	}
}

// A failure whose outcome could be written only when all pods had become well is told, and not taken back.
func TestNoAnswerToWhatRunsWellByNow(t *testing.T) {
	in(t, func(w *world) {
		d := w.deploy(deployOf(api, "abc1234"))
		w.settle(9 * time.Minute)
		w.fill()
		w.settle(2 * time.Minute)
		w.complete(api)
		w.settle(10 * time.Second)
		w.free()
		w.settle(6 * time.Second)
		d = w.get(d.ID)
		if want := "Not rolled back by itself: by the time its outcome could be written, 1 min "; d.Status != deploys.Failed || !strings.HasPrefix(d.Note, want) {
			t.Errorf("%s, note %q, want %q", d.Status, d.Note, want)
		}
		if len(w.cluster.Applied()) != 1 {
			t.Errorf("%d patches", len(w.cluster.Applied()))
		}
		w.pair(d.ID, audit.DeployFailed)
	})
}
