package deploys_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/deploys"
	"deployportal/internal/deploys/deploystest"
	"deployportal/internal/errs"
	"deployportal/internal/errs/errstest"
	"deployportal/internal/sqlite"
)

// fail lets a deploy of a tag run into its deadline, and gives it.
func (w *world) fail(tag string) deploys.Deploy {
	w.Helper()
	d := w.deploy(deployOf(api, tag))
	w.settle(11 * time.Minute)
	return w.get(d.ID)
}

func (w *world) actions(f audit.Filter) string {
	w.Helper()
	var out []string
	for _, e := range w.entries(f) {
		out = append(out, e.Action)
	}
	return strings.Join(out, " ")
}

// The first deploy through the portal fails: it is rolled back to what ran before, in the transaction of its failure.
func TestAutomaticRollback(t *testing.T) {
	in(t, func(w *world) {
		bad := w.fail("abc1234")
		if bad.Status != deploys.Failed || bad.Note != "" {
			t.Fatalf("%s, note %q", bad.Status, bad.Note)
		}
		back := w.get(bad.ID + 1)
		if !back.Automatic() || back.Kind != deploys.KindRollback || back.RollbackOf != bad.ID || back.Status != deploys.Running ||
			back.To.Tag != "0000001" || back.From.Digest != bad.To.Digest || back.Reason != bad.WhyBad() || !back.Created.Equal(bad.Finished) {
			t.Fatalf("%+v", back)
		}
		if got, want := w.cluster.Applied()[1].Images["api"], deploystest.Repo+"api:0000001@"+deploystest.Digest("0000001"); got != want {
			t.Errorf("went back to %s, want the exact string %s", got, want)
		}
		if got := w.actions(audit.Filter{Limit: 4}); got != "image.marked_bad deploy.requested deploy.failed deploy.requested" {
			t.Errorf("entries %s", got)
		}
		e := w.entries(audit.Filter{DeployID: back.ID})[0]
		if e.Actor.ID != "portal:auto" || e.Actor.Source != "system" || e.Subject != "automatic rollback" || e.Reason != back.Reason {
			t.Errorf("entry %+v", e)
		}
		if asked := w.commits.Asked(); len(asked) != 1 || asked[0] != [2]string{"abc1234", "0000001"} {
			t.Errorf("asked for the commits between %v", asked)
		}
		answers, err := w.svc.Answers(w.Context(), bad)
		must(t, err)
		if len(answers) != 1 || answers[0].ID != back.ID {
			t.Errorf("the failure is answered by %+v", answers)
		}
		w.complete(api)
		w.settle(11 * time.Second)
		if back = w.get(back.ID); back.Status != deploys.Succeeded {
			t.Errorf("the rollback %s: %s", back.Status, back.Sentence)
		}
		w.pair(bad.ID, audit.DeployFailed)
		w.pair(back.ID, audit.DeploySucceeded)
		w.refused(deploys.Request{Target: api, Image: "abc1234", Actor: ana}, errs.Invalid, "abc1234 was marked as bad by portal:auto")
		if d := w.deploy(deployOf(api, "abc1234")); d.Status != deploys.Running {
			t.Errorf("with a reason: %s", d.Status)
		}
	})
}

// What holds an automatic rollback is told on the deploy and in the log, and nothing is sent or marked. Every reason stands in
// testdata/holds.txt, and every one that the source has is among them.
func TestAutomaticRollbackHolds(t *testing.T) {
	touched := func(paths ...string) (m deploys.Migrations) {
		for _, p := range paths {
			m.Behind = append(m.Behind, deploys.Touched{Path: p})
		}
		return m
	}
	away := errs.New(errs.Unavailable, "Gitea cannot be reached.")
	said := map[string]string{
		"a rollback": "a rollback that fails is not rolled back again.",           // TestRollbackIsNotRolledBack
		"a restart":  "a restart brings no image, so there is none to take back.", // TestFailedRestartIsHeld
	}
	for name, c := range map[string]struct {
		before func(*world)
		want   string
	}{
		"switched off": {func(w *world) {
			w.stop()
			w.options = func(o *deploys.Options) { o.Hold = []string{"prod"} }
			w.start(nil)
		}, "automatic rollback is switched off in prod."},
		"nothing good ran": {func(w *world) {
			w.cluster.Update(api, func(r *deploys.Rollout) { r.Available, r.Ready = 0, 0 })
		}, "what ran before deploy 1 was not healthy, so no good image is known."},
		"what ran well cannot be read": {func(w *world) {
			w.cluster.Update(api, func(r *deploys.Rollout) { r.Available, r.Ready = 0, 0 })
			w.cluster.AfterApply = func(deploys.Change) error { rename(w, "bad_images", "away"); return nil }
		}, "what ran well before deploy 1 cannot be read."},
		"marks cannot be read": {func(w *world) {
			w.stop()
			w.options = func(o *deploys.Options) { o.Commits = asked{w.commits, func() { rename(w, "bad_images", "away") }} }
			w.start(nil)
		}, "it cannot be read whether 0000001 is marked as bad."},
		"locks cannot be read": {func(w *world) {
			w.stop()
			w.options = func(o *deploys.Options) { o.Commits = asked{w.commits, func() { rename(w, "locks", "away") }} }
			w.start(nil)
		}, "it cannot be read whether api in prod is locked."},
		"the same image with another beside it": {func(w *world) {
			w.cluster.SetImage(api, "api", deploystest.Repo+"api:abc1234@"+deploystest.Digest("abc1234"))
			w.complete(api)
			w.stop()
			w.options = func(o *deploys.Options) { o.Cluster = both{w.cluster} }
			w.start(nil)
		}, "abc1234 ran before deploy 1 as well, with another image in another container: which of them is bad, a person must say."},
		"image gone": {func(w *world) { w.registry.Remove(deploystest.Digest("0000001")) }, "the image 0000001 is gone from the registry. The registry has no tag"},
		"image marked bad": {func(w *world) {
			must(w, w.db.Write(w.Context(), func(tx *sqlite.Tx) error {
				return deploys.MarkBad(w.Context(), tx, api, deploys.Version{Digest: deploystest.Digest("0000001"), Tag: "0000001", Repository: "r"}, "leaks", ana)
			}))
		}, "0000001 was marked as bad by ana at 2000-01-01 00:00 UTC: “leaks”."},
		"a migration": {func(w *world) { w.commits.Answer(touched("migrations/7.sql"), nil) },
			"migrations/7.sql was touched between 0000001 and abc1234, and that may be a migration."},
		"more migrations": {func(w *world) { w.commits.Answer(touched("migrations/7.sql", "migrations/8.sql", "x.sql"), nil) },
			"migrations/7.sql and 2 more files were touched between 0000001 and abc1234"},
		"a migration on the other side": {func(w *world) {
			w.commits.Answer(deploys.Migrations{Ahead: []deploys.Touched{{Path: "migrations/6.sql"}}}, nil)
		}, "migrations/6.sql was touched"},
		"commits not all read": {func(w *world) { w.commits.Answer(deploys.Migrations{Unread: 3}, nil) }, "3 commits between 0000001 and abc1234 were not looked at"},
		"commits out of reach": {func(w *world) { w.commits.Answer(deploys.Migrations{}, away) },
			"the commits between 0000001 and abc1234 cannot be read, so they may hold migrations. Gitea cannot be reached."},
		"no commits": {func(w *world) {
			w.stop()
			w.options = func(o *deploys.Options) { o.Commits = nil }
			w.start(nil)
		}, "the commits between 0000001 and abc1234 are not known"},
		"no commit's name": {func(w *world) {
			w.cluster.SetImage(api, "api", deploystest.Repo+"api:stable@"+deploystest.Digest("0000001"))
			w.complete(api)
		},
			"the commits between stable and abc1234 are not known"},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				c.before(w)
				d := w.fail("abc1234")
				if d.Status != deploys.Failed || !strings.HasPrefix(d.Note, "Not rolled back by itself: ") || !strings.Contains(d.Note, c.want) {
					t.Fatalf("%s, note %q, want %q", d.Status, d.Note, c.want)
				}
				said[name] = strings.TrimPrefix(d.Note, deploys.NotRolledBack)
				if e := w.entries(audit.Filter{Action: audit.DeployFailed})[0]; !strings.Contains(e.Detail, c.want) {
					t.Errorf("the log says %q", e.Detail)
				}
				switch name {
				case "marks cannot be read", "what ran well cannot be read":
					rename(w, "away", "bad_images")
				}
				marks, err := w.svc.Marks(w.Context())
				must(t, err)
				if mark := marks.Of(d.To); len(w.cluster.Applied()) != 1 || mark != nil {
					t.Errorf("%d patches, mark %v", len(w.cluster.Applied()), mark)
				}
				if n := len(w.entries(audit.Filter{Action: audit.DeployRequested})); n != 1 {
					t.Errorf("%d deploys were asked for", n)
				}
			})
		})
	}
	var file strings.Builder
	for _, name := range slices.Sorted(maps.Keys(said)) {
		fmt.Fprintf(&file, "# %s\n%s\n\n", name, said[name])
	}
	errstest.Golden(t, "holds.txt", file.String(), *update)
	for _, s := range errstest.Sentences(t, []string{"auto.go"}, map[string]int{"held": 0}) {
		told(t, s, slices.Collect(maps.Values(said)))
	}
}

// A registry that does not answer, and a lock, hold nothing.
func TestAutomaticRollbackGoesOn(t *testing.T) {
	in(t, func(w *world) {
		d := w.deploy(deployOf(api, "abc1234"))
		w.registry.Fail(errs.New(errs.Unavailable, "The registry cannot be reached."))
		w.lock(deploys.Scope(api), 0)
		w.settle(11 * time.Minute)
		back := w.get(d.ID + 1)
		e := w.entries(audit.Filter{DeployID: back.ID})[0]
		if back.Status != deploys.Running || e.Detail != "Passed the lock of ana on api in prod: “moving the database”." {
			t.Errorf("%s, entry %+v", back.Status, e)
		}
		w.tells(back.ID, deploys.EventTrouble, e.Detail)
	})
}

// A rollback that fails is not rolled back again, whoever asked for it.
func TestRollbackIsNotRolledBack(t *testing.T) {
	in(t, func(w *world) {
		bad := w.fail("abc1234")
		w.settle(11 * time.Minute)
		back := w.get(bad.ID + 1)
		if back.Status != deploys.Failed || back.Note != "Not rolled back by itself: a rollback that fails is not rolled back again." || len(w.cluster.Applied()) != 2 {
			t.Errorf("%s, note %q, %d patches", back.Status, back.Note, len(w.cluster.Applied()))
		}
	})
}

// What is not a failure has no answer.
func TestOnlyFailuresAreAnswered(t *testing.T) {
	in(t, func(w *world) {
		w.cluster.BeforeApply = func(deploys.Change) error { return errs.New(errs.Forbidden, "no") }
		errored := w.deploy(deployOf(api, "abc1234"))
		w.cluster.BeforeApply = nil
		superseded := w.deploy(deployOf(api, "abc1234"))
		w.cluster.SetImage(api, "api", "git.example.org/acme/api:fff0000")
		w.settle(time.Minute)
		for _, d := range []deploys.Deploy{w.get(errored.ID), w.get(superseded.ID)} {
			if d.Status == deploys.Failed || d.Note != "" {
				t.Errorf("deploy %d: %s %q", d.ID, d.Status, d.Note)
			}
		}
		if n := len(w.entries(audit.Filter{Action: audit.DeployRequested})); n != 2 {
			t.Errorf("%d deploys were asked for", n)
		}
	})
}

// Somebody who takes the target while the facts are gathered wins: the failure is not written, nor its answer.
func TestReplacedWhileItIsAnswered(t *testing.T) {
	in(t, func(w *world) {
		asked, release := make(chan struct{}), make(chan struct{})
		w.stop()
		w.options = func(o *deploys.Options) { o.Commits = waits{w.commits, asked, release} }
		w.start(nil)
		d := w.deploy(deployOf(api, "abc1234"))
		w.settle(10*time.Minute + time.Second)
		<-asked
		req := deployOf(api, "def5678")
		req.Replaces = d.ID
		next := w.deploy(req)
		close(release)
		synctest.Wait()
		if d = w.get(d.ID); d.Status != deploys.Superseded {
			t.Errorf("the first is %s", d.Status)
		}
		if next = w.get(next.ID); next.Status != deploys.Running || len(w.entries(audit.Filter{Action: audit.DeployRequested})) != 2 {
			t.Errorf("the second is %s", next.Status)
		}
	})
}

type waits struct {
	deploys.Commits
	asked, release chan struct{}
}

func (c waits) Migrations(ctx context.Context, git, from, to string, patterns ...string) (deploys.Migrations, error) {
	close(c.asked)
	select {
	case <-c.release:
	case <-ctx.Done():
	}
	return c.Commits.Migrations(ctx, git, from, to, patterns...)
}

// The portal dies around the transaction of the failure and its answer. Either both are there or none is; the next
// portal starts what was recorded, unless somebody has acted meanwhile, and waits for a cluster that is away.
func TestCrashAroundTheAnswer(t *testing.T) {
	away := errs.New(errs.Unavailable, "The cluster cannot be reached since 02:10 UTC.")
	for name, c := range map[string]struct {
		point    string
		meantime func(*world)
		status   deploys.Status
		sentence string
		patches  int
	}{
		"before the outcome":        {"outcome", nil, deploys.Succeeded, "3 of 3 pods run 0000001", 2},
		"between outcome and start": {"answered", nil, deploys.Succeeded, "3 of 3 pods run 0000001", 2},
		"somebody has set an image": {"answered", func(w *world) { w.cluster.SetImage(api, "api", "git.example.org/acme/api:fff0000") }, deploys.Superseded, "api was changed by kubectl-set at 00:11:00 UTC before this automatic rollback began. Nothing was sent.", 1},
		"somebody has deleted it":   {"answered", func(w *world) { w.cluster.Update(api, func(r *deploys.Rollout) { r.Exists, r.Template = false, "" }) }, deploys.Superseded, "was deleted before this automatic rollback began", 1},
		"it is no app any more": {"answered", func(w *world) {
			w.cluster.SetImage(api, "api", "docker.io/acme/api:1")
			w.cluster.Forget(api)
		}, deploys.Superseded, "api was changed by kubectl-set at 00:11:00 UTC before this automatic rollback began. Nothing was sent.", 1},
		"somebody has scaled it": {"answered", func(w *world) { w.cluster.Update(api, func(r *deploys.Rollout) { r.Desired = 4; r.Generation++ }) }, deploys.Succeeded, "4 of 4 pods run 0000001", 2},
		"the cluster is away at first": {"answered", func(w *world) {
			w.cluster.SetNotReady(away)
			go func() {
				time.Sleep(3 * time.Minute) // the bubble's clock
				w.cluster.SetNotReady(nil)
			}()
		}, deploys.Succeeded, "3 of 3 pods run 0000001", 2},
	} {
		for _, discovers := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				in(t, func(w *world) {
					w.cluster.Discovers = discovers
					w.stop()
					w.start(func(p string) bool { return p == c.point })
					bad := w.fail("abc1234")
					w.stop()
					must(t, w.db.Close())
					w.open()
					var rows int
					must(t, w.db.QueryRow(w.Context(), `SELECT count(*) FROM deploys`).Scan(&rows))
					if want := map[string]int{"outcome": 1, "answered": 2}[c.point]; rows != want {
						t.Fatalf("%d rows after the crash, want %d", rows, want)
					}
					if c.meantime != nil {
						c.meantime(w)
					}
					w.start(nil)
					if c.point == "answered" && w.cluster.NotReady != nil {
						w.refused(deployOf(api, "def5678"), errs.Unavailable, "since 02:10 UTC")
						if d := w.get(bad.ID + 1); d.Status != deploys.Pending || !strings.Contains(d.Trouble, "since 02:10 UTC") {
							t.Errorf("%s, trouble %q", d.Status, d.Trouble)
						}
					}
					w.settle(4 * time.Minute)
					if c.status == deploys.Succeeded {
						w.complete(api)
						w.settle(11 * time.Second)
					}
					if d := w.get(bad.ID); d.Status != deploys.Failed {
						t.Errorf("the failed deploy is %s", d.Status)
					}
					d := w.get(bad.ID + 1)
					if d.Status != c.status || !strings.Contains(d.Sentence, c.sentence) || !d.Automatic() {
						t.Errorf("%s %q, want %s with %q", d.Status, d.Sentence, c.status, c.sentence)
					}
					if n := len(w.cluster.Applied()); n != c.patches {
						t.Errorf("%d patches, want %d", n, c.patches)
					}
					w.pair(bad.ID, audit.DeployFailed)
					w.pair(d.ID, "deploy."+string(c.status))
				})
			})
		}
	}
}
