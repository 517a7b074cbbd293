package deploys_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// meanwhile does something once, after a deploy has looked at what runs and before it is recorded.
type meanwhile struct {
	deploys.Preflight
	do *func()
}

func (m meanwhile) Checks(ctx context.Context, p deploys.Plan) []deploys.Check {
	if do := *m.do; do != nil {
		*m.do = nil
		do()
		synctest.Wait()
	}
	return m.Preflight.Checks(ctx, p)
}

// between makes a portal that does what next is set to while the next deploy is asked for.
func (w *world) between() (next *func()) {
	next = new(func())
	w.stop()
	w.options = func(o *deploys.Options) { o.Preflight = meanwhile{w.checks, next} }
	w.start(nil)
	w.settled()
	return next
}

// What somebody changes while a deploy is asked for is not overwritten, and is recorded as theirs.
func TestChangeWhileItStarts(t *testing.T) {
	for name, ask := range map[string]func(w *world) deploys.Request{
		"a deploy":  func(*world) deploys.Request { return deployOf(api, "abc1234") },
		"a restart": func(*world) deploys.Request { return restartOf(api) },
		"a rollback": func(w *world) deploys.Request {
			d := w.deploy(deployOf(api, "def5678"))
			w.stable()
			return deploys.Request{Target: api, Return: &deploys.ReturnTo{Deploy: d.ID, Before: true}, Actor: ana}
		},
		"a deploy in place of another": func(w *world) deploys.Request {
			w.cluster.BeforeApply = func(deploys.Change) error {
				time.Sleep(time.Second) // the bubble's clock: it is on its way, and what it is guarded by is gone when it arrives
				return nil
			}
			req := deployOf(api, "abc1234")
			req.Replaces = w.deploy(deployOf(api, "def5678")).ID
			return req
		},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				next := w.between()
				req := ask(w)
				patches := len(w.cluster.Applied())
				*next = func() { w.set(imageF) }
				d := w.deploy(req)
				w.settled()
				if d = w.get(d.ID); d.Status != deploys.Errored || !strings.HasPrefix(d.Sentence, "api was changed by kubectl-set at 00:00:") ||
					!strings.HasSuffix(d.Sentence, " UTC while this deploy was starting. Nothing was sent.") {
					t.Errorf("%s %q", d.Status, d.Sentence)
				}
				if n := len(w.cluster.Applied()); n != patches {
					t.Errorf("%d patches were sent", n-patches)
				}
				w.pair(d.ID, audit.DeployErrored)
				all := w.changes()
				if len(all) != 1 || all[0].To.Tag != "fff0000" || all[0].Manager != "kubectl-set" || !all[0].Open {
					t.Errorf("changes: %+v", all)
				}
			})
		})
	}
}

// A patch that lands late is no change of somebody else's to the deploy that takes the place of its own.
func TestLatePatchIsInherited(t *testing.T) {
	in(t, func(w *world) {
		next := w.between()
		release := make(chan struct{})
		w.cluster.BeforeApply = func(deploys.Change) error { <-release; return nil }
		replaced := w.deploy(deployOf(api, "abc1234"))
		*next = func() { close(release) }
		req := deployOf(api, "def5678")
		req.Replaces = replaced.ID
		if d := w.deploy(req); d.Status != deploys.Running || len(w.cluster.Applied()) != 2 {
			t.Errorf("%s %q, %d patches", d.Status, d.Sentence, len(w.cluster.Applied()))
		}
	})
	t.Run("of one that was replaced before", func(t *testing.T) {
		in(t, func(w *world) {
			next := w.between()
			var lost []deploys.Change
			w.cluster.BeforeApply = func(c deploys.Change) error {
				lost = append(lost, c)
				return deploys.ErrUnanswered
			}
			for i, tag := range []string{"abc1234", "def5678"} {
				req := deployOf(api, tag)
				req.Replaces = int64(i)
				w.deploy(req)
			}
			w.cluster.BeforeApply = nil
			*next = func() { must(t, w.cluster.Land(lost[0])) }
			req := deployOf(api, "9999999")
			req.Replaces = 2
			if d := w.deploy(req); d.Status != deploys.Running || len(w.cluster.Applied()) != 2 {
				t.Errorf("%s %q, %d patches", d.Status, d.Sentence, len(w.cluster.Applied()))
			}
		})
	})
}

// Who is held up between the record and the launch of a deploy does not stop the one that has taken its place.
func TestLateLaunch(t *testing.T) {
	in(t, func(w *world) {
		replaced := w.deploy(deployOf(api, "abc1234"))
		req := deployOf(api, "def5678")
		req.Replaces = replaced.ID
		d := w.deploy(req)
		app, err := w.cluster.App(api)
		must(t, err)
		deploys.Launch(w.svc, app, replaced)
		w.stable()
		if d = w.get(d.ID); d.Status != deploys.Succeeded {
			t.Errorf("%s %q", d.Status, d.Sentence)
		}
	})
}

// An automatic rollback waits for a cluster that does not answer, but not for ever.
func TestAnswerWaitsForTheCluster(t *testing.T) {
	away := errs.New(errs.Unavailable, "The cluster cannot be reached since 02:10 UTC.")
	fails := func(w *world) deploys.Deploy {
		w.stop() // it goes away between the failure, which has to be proven, and its answer
		w.options = func(o *deploys.Options) { o.Commits = asked{w.commits, func() { w.cluster.SetNotReady(away) }} }
		w.start(nil)
		d := w.deploy(deployOf(api, "abc1234"))
		w.settle(11 * time.Minute)
		back := w.get(d.ID + 1)
		if back.Status != deploys.Pending || back.Trouble != "This rollback waits for the cluster. "+errs.Public(away) {
			w.Fatalf("%s %q, trouble %q", back.Status, back.Sentence, back.Trouble)
		}
		return back
	}
	in(t, func(w *world) {
		back := fails(w)
		w.settle(20 * time.Minute)
		w.cluster.SetNotReady(nil)
		synctest.Wait()
		if back = w.get(back.ID); back.Status != deploys.Running || back.Trouble != "" {
			t.Errorf("%s %q, trouble %q", back.Status, back.Sentence, back.Trouble)
		}
	})
	in(t, func(w *world) {
		back := fails(w)
		w.settle(30 * time.Minute)
		if back = w.get(back.ID); back.Status != deploys.Errored || back.Sentence != errs.Public(away) {
			t.Errorf("%s %q", back.Status, back.Sentence)
		}
	})
}
