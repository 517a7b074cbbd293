package deploys_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/auth"
	"deployportal/internal/deploys"
	"deployportal/internal/deploys/deploystest"
	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
	"deployportal/migrations"
)

var (
	api   = deploys.Target{App: "api", Env: "prod"}
	admin = deploys.Target{App: "admin", Env: "prod"}
	ana   = auth.Actor{ID: "user:1", Name: "ana", Source: "web", Method: "session", Addr: "10.0.0.7", Grants: []auth.Grant{{Role: auth.Deployer}}}
)

// world is a service with everything around it; inside a synctest bubble its clock is the bubble's.
type world struct {
	*testing.T
	path     string
	db       *sqlite.DB
	cluster  *deploystest.Cluster
	registry *deploystest.Registry
	svc      *deploys.Service
	commits  *deploystest.Commits
	checks   *deploystest.Preflight
	options  func(*deploys.Options) // changes those of the next start
	stop     func()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, path: filepath.Join(t.TempDir(), "portal.db"), registry: deploystest.NewRegistry(), commits: &deploystest.Commits{}, checks: &deploystest.Preflight{},
		cluster: deploystest.NewCluster(time.Now, api, admin)}
	w.open()
	w.start(nil)
	return w
}

func (w *world) open() {
	w.Helper()
	db, err := sqlite.Open(w.Context(), w.path, time.Now)
	must(w, err)
	must(w, db.Migrate(w.Context(), migrations.Files))
	w.db = db
}

// start runs a new service on the same database and cluster; crash, when not nil, stops its runners dead at a point.
func (w *world) start(crash func(string) bool) {
	o := deploys.Options{DB: w.db, Cluster: w.cluster, Registry: w.registry, Policy: auth.Policy{}, Commits: w.commits, Preflight: w.checks}
	if w.options != nil {
		w.options(&o)
	}
	w.svc = deploys.New(o)
	if crash != nil {
		deploys.CrashAt(w.svc, crash)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.svc.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		must(w, <-done)
	})
	synctest.Wait()
}

func (w *world) close() {
	w.stop()
	must(w, w.db.Close())
}

// in runs f in a bubble where time is free.
func in(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		f(w)
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func deployOf(t deploys.Target, tag string) deploys.Request {
	return deploys.Request{Target: t, Image: tag, Actor: ana, Reason: "because"}
}

func (w *world) deploy(req deploys.Request) deploys.Deploy {
	w.Helper()
	d, err := w.svc.Start(w.Context(), req)
	must(w, err)
	synctest.Wait()
	return w.get(d.ID)
}

func (w *world) get(id int64) deploys.Deploy {
	w.Helper()
	d, err := w.svc.Get(w.Context(), id)
	must(w, err)
	return d
}

// complete lets the cluster finish the rollout of a target now.
func (w *world) complete(t deploys.Target) {
	w.cluster.Update(t, func(r *deploys.Rollout) { deploystest.Complete(r, time.Now()) })
	synctest.Wait()
}

// settle lets d pass.
func (w *world) settle(d time.Duration) {
	time.Sleep(d) // the bubble's clock: no real time passes
	synctest.Wait()
}

func (w *world) entries(f audit.Filter) []audit.Entry {
	w.Helper()
	list, err := audit.List(w.Context(), w.db, f)
	must(w, err)
	return list
}

// tells asserts that a deploy's timeline has a text, of that kind.
func (w *world) tells(id int64, kind deploys.EventKind, text string) {
	w.Helper()
	events, err := w.svc.Events(w.Context(), id, 0)
	must(w, err)
	if !slices.ContainsFunc(events, func(e deploys.Event) bool { return e.Kind == kind && e.Text == text }) {
		w.Errorf("deploy %d does not tell %q: %+v", id, text, events)
	}
}

// pair asserts exactly one requested and one outcome entry of a deploy, and an unbroken chain.
func (w *world) pair(id int64, outcome string) {
	w.Helper()
	var actions []string
	for _, e := range w.entries(audit.Filter{DeployID: id}) {
		actions = append(actions, e.Action)
	}
	if got, want := strings.Join(actions, " "), outcome+" deploy.requested"; got != want {
		w.Errorf("entries of deploy %d: %s, want %s", id, got, want)
	}
	report, err := audit.Verify(w.Context(), w.db)
	must(w, err)
	if report.BadSeq != 0 {
		w.Errorf("the chain is broken: %s", report.Why)
	}
}

func (w *world) refused(req deploys.Request, kind errs.Kind, want string) {
	w.Helper()
	patches := len(w.cluster.Applied())
	_, err := w.svc.Start(w.Context(), req)
	synctest.Wait()
	if errs.KindOf(err) != kind || !strings.Contains(errs.Public(err), want) {
		w.Errorf("refused with %v %q, want %v with %q", errs.KindOf(err), errs.Public(err), kind, want)
	}
	if len(w.cluster.Applied()) != patches {
		w.Errorf("a refused request was sent to the cluster")
	}
	last := w.entries(audit.Filter{Action: audit.DeployRejected, Limit: 1})
	if len(last) != 1 || last[0].Detail != errs.Public(err) || last[0].Outcome != "refused" || last[0].Actor.Name != req.Actor.Name {
		w.Errorf("the refusal is not in the audit log: %+v", last)
	}
}

func TestDeploySucceeds(t *testing.T) {
	in(t, func(w *world) {
		d := w.deploy(deployOf(api, "abc1234"))
		if d.Status != deploys.Running || d.Generation != 2 || d.From.Tag != "0000001" || !d.From.Healthy {
			t.Fatalf("after the start: %+v", d)
		}
		patch := w.cluster.Applied()[0]
		want := deploystest.Repo + "api:abc1234@" + deploystest.Digest("abc1234")
		if len(patch.Images) != 1 || patch.Images["api"] != want {
			t.Errorf("patched images %v, want only api=%s", patch.Images, want)
		}
		if got, want := patch.Annotations[deploys.AnnotationAudit], fmt.Sprintf("%d:%s", d.AuditSeq, d.AuditHash[:16]); got != want || patch.Annotations[deploys.AnnotationDeploy] != "1" {
			t.Errorf("annotations %v, want audit %s", patch.Annotations, want)
		}
		w.complete(api)
		if d = w.get(d.ID); d.Status != deploys.Running {
			t.Fatalf("%s before the stability window has passed", d.Status)
		}
		w.settle(9 * time.Second)
		if d = w.get(d.ID); d.Status != deploys.Running {
			t.Fatalf("%s after 9 s of 10", d.Status)
		}
		w.settle(2 * time.Second)
		d = w.get(d.ID)
		if d.Status != deploys.Succeeded || d.Sentence != "3 of 3 pods run abc1234 and stayed well for 10 s." || d.Note != "" {
			t.Errorf("%s %q %q", d.Status, d.Sentence, d.Note)
		}
		w.pair(d.ID, audit.DeploySucceeded)
		e := w.entries(audit.Filter{Action: audit.DeploySucceeded})[0]
		if e.FromDigest != deploystest.Digest("0000001") || e.ToDigest != deploystest.Digest("abc1234") || e.Actor.ID != "portal:runner" {
			t.Errorf("outcome entry %+v", e)
		}
		if n := w.cluster.Lives(); n != 0 {
			t.Errorf("%d direct reads, want none", n)
		}
	})
}

func TestRefusals(t *testing.T) {
	in(t, func(w *world) {
		viewer := ana
		viewer.Grants = []auth.Grant{{Role: auth.Viewer}}
		staging := ana
		staging.Grants = []auth.Grant{{Role: auth.Admin, Env: "staging"}}
		with := func(change func(*deploys.Request)) deploys.Request {
			r := deployOf(api, "abc1234")
			change(&r)
			return r
		}
		w.registry.Remove("dead123")
		for _, c := range []struct {
			req  deploys.Request
			kind errs.Kind
			want string
		}{
			{with(func(r *deploys.Request) { r.Actor = viewer }), errs.Forbidden, "needs the role deployer"},
			{with(func(r *deploys.Request) { r.Actor = staging }), errs.Forbidden, "may not deploy in prod"},
			{with(func(r *deploys.Request) { r.Target.App = "nope" }), errs.NotFound, "no app nope"},
			{with(func(r *deploys.Request) { r.Image = "latest" }), errs.Invalid, `"latest" is not a commit SHA`},
			{with(func(r *deploys.Request) { r.Image = "" }), errs.Invalid, "Name one thing to do"},
			{with(func(r *deploys.Request) { r.Image = "dead123" }), errs.NotFound, "no tag dead123 in acme/api"},
			{with(func(r *deploys.Request) { r.Image = "0000001" }), errs.Invalid, "already runs 0000001"},
			{with(func(r *deploys.Request) { r.Seen.From = "sha256:other" }), errs.Conflict, "not run what you were shown (sha256:other)"},
			{with(func(r *deploys.Request) { r.Seen.To = "sha256:other" }), errs.Conflict, "does not name what you were shown (sha256:other)"},
			{with(func(r *deploys.Request) { r.Replaces = 99 }), errs.Conflict, "Deploy 99, which this one was to replace, is over"},
			{with(func(r *deploys.Request) { r.Image, r.Return = "", &deploys.ReturnTo{Deploy: 77} }), errs.NotFound, "no deploy 77"},
		} {
			w.refused(c.req, c.kind, c.want)
		}
		w.registry.Fail(errs.New(errs.Unavailable, "The registry at git.example.org cannot be reached."))
		w.refused(deployOf(api, "abc1234"), errs.Unavailable, "registry at git.example.org cannot be reached")
		w.registry.Fail(nil)
		w.cluster.SetNotReady(errs.New(errs.Unavailable, "The cluster cannot be reached since 02:10 UTC."))
		w.refused(deployOf(api, "abc1234"), errs.Unavailable, "since 02:10 UTC")
		w.cluster.SetNotReady(nil)
		w.cluster.Update(api, func(r *deploys.Rollout) { delete(r.Images, "api"); r.Images["apii"] = "x" })
		w.refused(deployOf(api, "abc1234"), errs.Invalid, `no container "api"; it has apii, sidecar`)
		w.cluster.Update(api, func(r *deploys.Rollout) { r.Exists = false })
		w.refused(deployOf(api, "abc1234"), errs.NotFound, "no Deployment api in namespace honeydue")
	})
}

func TestNobodyLeavesNoEntry(t *testing.T) {
	in(t, func(w *world) {
		_, err := w.svc.Start(w.Context(), deploys.Request{Target: api, Image: "abc1234"})
		if errs.KindOf(err) != errs.Unauthenticated || len(w.entries(audit.Filter{})) != 0 {
			t.Errorf("%v with %d entries", err, len(w.entries(audit.Filter{})))
		}
	})
}

func TestSecondDeployNamesTheFirst(t *testing.T) {
	in(t, func(w *world) {
		w.deploy(deployOf(api, "abc1234"))
		second := deployOf(api, "def5678")
		second.Actor.Name = "marta"
		w.refused(second, errs.Conflict, "deploy 1 to abc1234, asked for by ana at 00:00:00 UTC")
		if d := w.deploy(deployOf(admin, "abc1234")); d.Status != deploys.Running {
			t.Errorf("another target is %s", d.Status)
		}
	})
}

func TestSameKeyIsSameDeploy(t *testing.T) {
	in(t, func(w *world) {
		req := deployOf(api, "abc1234")
		req.Key = "form-1"
		var ids [10]int64
		var wg sync.WaitGroup
		for i := range ids {
			wg.Go(func() {
				d, err := w.svc.Start(w.Context(), req)
				must(t, err)
				ids[i] = d.ID
			})
		}
		wg.Wait()
		synctest.Wait()
		for _, id := range ids {
			if id != 1 {
				t.Errorf("ids %v, want all 1", ids)
			}
		}
		if n := len(w.cluster.Applied()); n != 1 {
			t.Errorf("%d patches", n)
		}
		other := req
		other.Target = admin
		w.refused(other, errs.Conflict, "already used for api in prod")
	})
}

func TestOneWinner(t *testing.T) {
	in(t, func(w *world) {
		const n = 50
		var wg sync.WaitGroup
		results := make(chan error, n)
		for i := range n {
			wg.Go(func() {
				_, err := w.svc.Start(w.Context(), deployOf(api, fmt.Sprintf("%07x", i+100)))
				results <- err
			})
		}
		wg.Wait()
		close(results)
		won := 0
		for err := range results {
			if err == nil {
				won++
			} else if errs.KindOf(err) != errs.Conflict || !strings.Contains(errs.Public(err), "deploy 1 to") {
				t.Errorf("a loser was told %v", err)
			}
		}
		if rejected := w.entries(audit.Filter{Action: audit.DeployRejected}); won != 1 || len(rejected) != n-1 {
			t.Errorf("%d winners, %d rejected entries", won, len(rejected))
		}
	})
}

func TestRollBackWhileItHangs(t *testing.T) {
	in(t, func(w *world) {
		hung := w.deploy(deployOf(api, "abc1234"))
		w.settle(time.Minute)
		back, version, ok, err := w.svc.LastGood(w.Context(), hung)
		must(t, err)
		if !ok || !back.Before || version.Tag != "0000001" {
			t.Fatalf("back to %+v %v %v", back, version, ok)
		}
		req := deploys.Request{Target: api, Return: &back, Replaces: hung.ID, Actor: ana}
		d := w.deploy(req)
		if d.Kind != deploys.KindRollback || d.RollbackOf != hung.ID || d.Replaces != hung.ID || d.Status != deploys.Running {
			t.Fatalf("%+v", d)
		}
		if got, want := w.cluster.Applied()[1].Images["api"], deploystest.Repo+"api:0000001@"+deploystest.Digest("0000001"); got != want {
			t.Errorf("went back to %s, want the exact string %s", got, want)
		}
		over := w.get(hung.ID)
		if over.Status != deploys.Superseded || over.Sentence != "Replaced by a rollback of ana." {
			t.Errorf("%s %q", over.Status, over.Sentence)
		}
		w.pair(hung.ID, audit.DeploySuperseded)
		w.complete(api)
		w.settle(11 * time.Second)
		if d = w.get(d.ID); d.Status != deploys.Succeeded {
			t.Errorf("the rollback is %s: %s", d.Status, d.Sentence)
		}
		w.pair(d.ID, audit.DeploySucceeded)
	})
}

func TestConflicts(t *testing.T) {
	status := func(r *deploys.Rollout) { r.ObservedGeneration++ }
	for name, c := range map[string]struct {
		times    int
		change   func(*deploys.Rollout)
		status   deploys.Status
		sentence string
	}{
		"status only":     {3, status, deploys.Running, ""},
		"status for ever": {100, status, deploys.Errored, "changed 6 times"},
		"template":        {1, func(r *deploys.Rollout) { r.Template = "theirs"; r.ChangedBy = "kubectl-set" }, deploys.Errored, "api was changed by kubectl-set"},
		"paused":          {1, func(r *deploys.Rollout) { r.Paused = true }, deploys.Errored, "paused or resumed"},
		"anew":            {1, func(r *deploys.Rollout) { r.UID = "other" }, deploys.Errored, "created anew"},
		"gone":            {1, func(r *deploys.Rollout) { r.Exists = false }, deploys.Errored, "no such Deployment"},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				left := c.times
				w.cluster.BeforeApply = func(deploys.Change) error {
					if left > 0 {
						left--
						w.cluster.Update(api, c.change)
					}
					return nil
				}
				d := w.deploy(deployOf(api, "abc1234"))
				if d.Status != c.status || !strings.Contains(d.Sentence, c.sentence) {
					t.Errorf("%s %q, want %s with %q", d.Status, d.Sentence, c.status, c.sentence)
				}
				if want := min(c.times, 6); c.status == deploys.Running && w.cluster.Lives() != want {
					t.Errorf("%d reads, want one for each of %d conflicts", w.cluster.Lives(), want)
				}
				if c.status.IsTerminal() {
					w.pair(d.ID, audit.DeployErrored)
				}
			})
		})
	}
}

func TestPatchRefused(t *testing.T) {
	for _, err := range []error{
		errs.New(errs.Forbidden, "The portal may not patch deployments in honeydue."),
		errs.New(errs.Invalid, "The API server refused the change: admission webhook \"policy\" denied the request."),
		errs.New(errs.Unavailable, "The cluster cannot be reached."),
	} {
		in(t, func(w *world) {
			w.cluster.BeforeApply = func(deploys.Change) error { return err }
			d := w.deploy(deployOf(api, "abc1234"))
			if d.Status != deploys.Errored || d.Sentence != errs.Public(err) {
				t.Errorf("%s %q", d.Status, d.Sentence)
			}
			w.pair(d.ID, audit.DeployErrored)
		})
	}
}

func TestUnansweredPatch(t *testing.T) {
	lost := fmt.Errorf("connection reset: %w", deploys.ErrUnanswered)
	t.Run("landed", func(t *testing.T) {
		in(t, func(w *world) {
			w.cluster.AfterApply = func(deploys.Change) error { return lost }
			d := w.deploy(deployOf(api, "abc1234"))
			if d.Status != deploys.Running || d.Generation != 2 {
				t.Errorf("%s, generation %d", d.Status, d.Generation)
			}
		})
	})
	t.Run("lost", func(t *testing.T) {
		in(t, func(w *world) {
			w.cluster.BeforeApply = func(deploys.Change) error { return lost }
			d := w.deploy(deployOf(api, "abc1234"))
			w.settle(4 * time.Second)
			if d = w.get(d.ID); d.Status != deploys.Running {
				t.Fatalf("%s while the patch may still land", d.Status)
			}
			w.tells(d.ID, deploys.EventStep, "the cluster does not have the patch yet: looking for it for 5 s")
			w.settle(2 * time.Second)
			if d = w.get(d.ID); d.Status != deploys.Errored {
				t.Errorf("%s %s", d.Status, d.Sentence)
			}
			w.pair(d.ID, audit.DeployErrored)
		})
	})
	t.Run("lands while it is looked for", func(t *testing.T) {
		in(t, func(w *world) {
			var sent deploys.Change
			w.cluster.BeforeApply = func(ch deploys.Change) error { sent = ch; return lost }
			w.cluster.AfterLive = func() { // the caches know of it, the reading under way does not
				w.cluster.AfterLive = nil
				must(t, w.cluster.Land(sent))
			}
			d := w.deploy(deployOf(api, "abc1234"))
			w.settle(time.Second)
			if d = w.get(d.ID); d.Status != deploys.Running || d.Generation != 2 {
				t.Errorf("%s, generation %d: %s", d.Status, d.Generation, d.Sentence)
			}
		})
	})
	t.Run("lands while the cluster is away", func(t *testing.T) {
		in(t, func(w *world) {
			var sent deploys.Change
			w.cluster.BeforeApply = func(ch deploys.Change) error { sent = ch; return lost }
			w.cluster.AfterLive = func() {
				w.cluster.AfterLive = nil
				w.cluster.SetNotReady(errs.New(errs.Unavailable, "The cluster cannot be reached since 02:10 UTC."))
			}
			d := w.deploy(deployOf(api, "abc1234"))
			w.settle(time.Minute)
			if d = w.get(d.ID); d.Status != deploys.Running || !strings.Contains(d.Trouble, "since 02:10 UTC") {
				t.Errorf("%s while nobody can know: %s, %s", d.Status, d.Sentence, d.Trouble)
			}
			must(t, w.cluster.Land(sent))
			w.cluster.SetNotReady(nil)
			w.settle(6 * time.Second)
			if d = w.get(d.ID); d.Status != deploys.Running || d.Generation != 2 {
				t.Errorf("%s, generation %d: %s", d.Status, d.Generation, d.Sentence)
			}
		})
	})
}

func TestOutsideChange(t *testing.T) {
	in(t, func(w *world) {
		d := w.deploy(deployOf(api, "abc1234"))
		w.cluster.SetImage(api, "api", "git.example.org/acme/api:fff0000")
		synctest.Wait()
		d = w.get(d.ID)
		if d.Status != deploys.Superseded || !strings.Contains(d.Sentence, "api was changed by kubectl-set at ") {
			t.Errorf("%s %q", d.Status, d.Sentence)
		}
		w.pair(d.ID, audit.DeploySuperseded)
	})
}

// fill makes the database full: SQLite may not add a page, and what room its pages have is taken.
func (w *world) fill() {
	w.Helper()
	w.limitPages(1)
	for _, detail := range []string{strings.Repeat("x", 1500), ""} {
		for n := 0; ; n++ {
			err := w.db.Write(w.Context(), func(tx *sqlite.Tx) error {
				_, err := audit.Append(w.Context(), tx, audit.Entry{Actor: ana.Audit(), Action: "filler", Detail: detail})
				return err
			})
			if errs.KindOf(err) == errs.Unavailable {
				break
			}
			must(w, err)
			if n > 10000 {
				w.Fatal("the database does not get full")
			}
		}
	}
}

func (w *world) free() { w.limitPages(1 << 30) }

func (w *world) limitPages(n int) {
	w.Helper()
	must(w, w.db.Write(w.Context(), func(tx *sqlite.Tx) error {
		_, err := tx.Exec(w.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", n))
		return err
	}))
}

// TestFullDisk: nothing is sent when the intent cannot be written; an outcome that cannot be written is tried again.
func TestFullDisk(t *testing.T) {
	in(t, func(w *world) {
		w.fill()
		_, err := w.svc.Start(w.Context(), deployOf(api, "abc1234"))
		synctest.Wait()
		if errs.KindOf(err) != errs.Unavailable || len(w.cluster.Applied()) != 0 {
			t.Fatalf("%v %v with %d patches", errs.KindOf(err), err, len(w.cluster.Applied()))
		}
		w.free()
		d := w.deploy(deployOf(api, "abc1234"))
		w.complete(api)
		w.fill()
		w.settle(11 * time.Second)
		if d = w.get(d.ID); d.Status != deploys.Running {
			t.Fatalf("%s without its entry", d.Status)
		}
		w.free()
		w.settle(6 * time.Second)
		if d = w.get(d.ID); d.Status != deploys.Succeeded {
			t.Errorf("%s after there is room again", d.Status)
		}
		w.pair(d.ID, audit.DeploySucceeded)
	})
}

// TestHeldComesFirst: what the deploy under way has changed is no news; that it is under way is.
func TestHeldComesFirst(t *testing.T) {
	in(t, func(w *world) {
		req := deployOf(api, "def5678")
		req.Seen.From = deploystest.Digest("0000001")
		d := w.deploy(deployOf(api, "abc1234"))
		w.refused(req, errs.Conflict, "deploy 1 to abc1234, asked for by ana at 00:00:00 UTC")
		req.Replaces = d.ID
		w.refused(req, errs.Conflict, "does not run what you were shown")
	})
}
