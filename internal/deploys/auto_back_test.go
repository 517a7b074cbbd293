package deploys_test

import (
	"context"
	"testing"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/deploys"
	"deployportal/internal/deploys/deploystest"
)

// asked does something before it answers what commits touched.
type asked struct {
	deploys.Commits
	first func()
}

func (c asked) Migrations(ctx context.Context, git, from, to string, patterns ...string) (deploys.Migrations, error) {
	c.first()
	return c.Commits.Migrations(ctx, git, from, to, patterns...)
}

// both is a cluster where the image of an app runs in two containers.
type both struct{ *deploystest.Cluster }

func (c both) App(t deploys.Target) (deploys.App, error) {
	app, err := c.Cluster.App(t)
	app.Containers = append(app.Containers, "sidecar")
	return app, err
}

// between answers what commits touched by the two of them.
type between map[[2]string]string

func (c between) Migrations(_ context.Context, _, from, to string, _ ...string) (m deploys.Migrations, err error) {
	if path := c[[2]string{from, to}]; path != "" {
		m.Behind = []deploys.Touched{{Path: path}}
	}
	return m, nil
}

// What ran before a failure did not run well either: it is rolled back to the newest that did, unless anything that was
// brought since may have changed the database.
func TestAutomaticRollbackGoesFurtherBack(t *testing.T) {
	for name, c := range map[string]struct {
		touched between
		note    string
	}{
		"nothing was touched": {},
		"by what failed":      {between{{"9999999", "abc1234"}: "migrations/9.sql"}, "migrations/9.sql was touched between abc1234 and 9999999, and that may be a migration."},
		"by what it replaced": {between{{"def5678", "abc1234"}: "migrations/8.sql"}, "migrations/8.sql was touched between abc1234 and def5678, and that may be a migration."},
		"by a third":          {between{{"9999999", "0000001"}: "migrations/1.sql"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				w.stop()
				w.options = func(o *deploys.Options) { o.Commits = c.touched }
				w.start(nil)
				w.deploy(deployOf(api, "abc1234"))
				w.stable()
				req := deployOf(api, "9999999")
				req.Replaces = w.deploy(deployOf(api, "def5678")).ID
				d := w.deploy(req)
				w.settle(11 * time.Minute)
				d = w.get(d.ID)
				if d.Status != deploys.Failed || d.From.Tag != "def5678" || d.From.Healthy {
					t.Fatalf("%s from %+v", d.Status, d.From)
				}
				_, v, ok, err := w.svc.LastGood(w.Context(), d)
				if err != nil || !ok || v.Tag != "abc1234" {
					t.Fatalf("the page offers %q %t %v", v.Tag, ok, err)
				}
				if c.note != "" {
					if d.Note != deploys.NotRolledBack+c.note || len(w.cluster.Applied()) != 3 || len(w.marks()) != 0 {
						t.Errorf("note %q, %d patches, marks %v", d.Note, len(w.cluster.Applied()), w.marks())
					}
					return
				}
				back := w.get(d.ID + 1)
				if d.Note != "" || !back.Automatic() || back.RollbackOf != d.ID || back.To.ID() != v.ID() || back.Status != deploys.Running {
					t.Errorf("note %q, %+v", d.Note, back)
				}
				if marks := w.marks(); len(marks) != 1 || marks[0].Tag != "9999999" {
					t.Errorf("marks %+v", marks)
				}
			})
		})
	}
}

// Whether an image is gone is asked by what a node would pull: what pods report of one that is not pinned may name its
// configuration, which no registry lists.
func TestAutomaticRollbackOfWhatIsNotPinned(t *testing.T) {
	in(t, func(w *world) {
		config := deploystest.Digest("a configuration")
		w.registry.Remove(config)
		w.cluster.SetImage(api, "api", deploystest.Repo+"api:0000002")
		w.complete(api)
		w.cluster.Update(api, func(r *deploys.Rollout) {
			for _, p := range r.Pods {
				p.Containers[0].ImageID = config
			}
		})
		d := w.fail("abc1234")
		if d.From.Digest != config || d.Note != "" || w.get(d.ID+1).To.Tag != "0000002" {
			t.Errorf("from %+v, note %q", d.From, d.Note)
		}
	})
}

// A failure whose outcome cannot be written is answered once, when it can.
func TestAnswerOnAFullDisk(t *testing.T) {
	in(t, func(w *world) {
		d := w.deploy(deployOf(api, "abc1234"))
		w.settle(9 * time.Minute)
		w.fill()
		w.settle(2 * time.Minute)
		if d = w.get(d.ID); d.Status != deploys.Running || len(w.cluster.Applied()) != 1 {
			t.Fatalf("%s with %d patches", d.Status, len(w.cluster.Applied()))
		}
		w.free()
		w.settle(6 * time.Second)
		back := w.get(d.ID + 1)
		if back.Status != deploys.Running || len(w.cluster.Applied()) != 2 {
			t.Errorf("%s with %d patches", back.Status, len(w.cluster.Applied()))
		}
		w.pair(d.ID, audit.DeployFailed)
	})
}
