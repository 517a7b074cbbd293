package deploys_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/auth"
	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

var (
	marta = auth.Actor{ID: "user:2", Name: "marta", Source: "web", Grants: []auth.Grant{{Role: auth.Deployer, Env: "prod"}}}
	root  = auth.Actor{ID: "user:3", Name: "root", Source: "web", Grants: []auth.Grant{{Role: auth.Admin}}}
	vera  = auth.Actor{ID: "user:4", Name: "vera", Source: "web", Grants: []auth.Grant{{Role: auth.Viewer}}}
)

func (w *world) lock(s deploys.Scope, d time.Duration) deploys.Lock {
	w.Helper()
	l, err := w.svc.Lock(w.Context(), deploys.LockRequest{Scope: s, Reason: "moving the database", For: d, Actor: ana})
	must(w, err)
	return l
}

// is fails the test unless err is of a kind and says what is wanted.
func is(t testing.TB, err error, kind errs.Kind, want string) {
	t.Helper()
	if errs.KindOf(err) != kind || !strings.Contains(errs.Public(err), want) {
		t.Errorf("%v %q, want %v with %q", errs.KindOf(err), errs.Public(err), kind, want)
	}
}

func (w *world) locks() []deploys.Lock {
	w.Helper()
	list, err := w.svc.Locks(w.Context())
	must(w, err)
	return list
}

// A lock closes what it covers and nothing else, whoever asks, until it is taken off.
func TestLockCloses(t *testing.T) {
	for scope, closed := range map[deploys.Scope][2]bool{
		{App: "api", Env: "prod"}: {true, false}, {Env: "prod"}: {true, true}, {}: {true, true},
		{App: "admin", Env: "prod"}: {false, true}, {Env: "staging"}: {false, false},
	} {
		in(t, func(w *world) {
			l := w.lock(scope, 0)
			for i, target := range []deploys.Target{api, admin} {
				if closed[i] != scope.Covers(target) {
					t.Errorf("%s covers %s: %t", scope, target, scope.Covers(target))
				}
				req := deployOf(target, "abc1234")
				req.Actor = root
				if !closed[i] {
					w.deploy(req)
					continue
				}
				w.refused(req, errs.Conflict, "is locked by ana since 2000-01-01 00:00 UTC, until somebody unlocks it: “moving the database”. Until then nothing is deployed to "+target.String())
			}
			must(t, w.svc.Unlock(w.Context(), ana, l.ID))
			for i, target := range []deploys.Target{api, admin} {
				if closed[i] {
					w.deploy(deployOf(target, "abc1234"))
				}
			}
			var told []string
			for _, e := range w.entries(audit.Filter{Action: "lock."}) {
				told = append(told, fmt.Sprintf("%s %s %q %s/%s", e.Action, e.Outcome, e.Subject, e.Env, e.App))
			}
			subject := ""
			if scope.App == "" {
				subject = scope.String()
			}
			want := fmt.Sprintf("lock.removed ok %q %s/%s; lock.created ok %q %s/%s", subject, scope.Env, scope.App, subject, scope.Env, scope.App)
			if got := strings.Join(told, "; "); got != want {
				t.Errorf("the log has %s, want %s", got, want)
			}
		})
	}
}

// A lock whose time is over stands for nothing, without anything that took it away, and another takes its place.
func TestLockExpires(t *testing.T) {
	in(t, func(w *world) {
		scope := deploys.Scope(api)
		first := w.lock(scope, time.Hour)
		w.settle(time.Hour - time.Second)
		w.refused(deployOf(api, "abc1234"), errs.Conflict, "until 2000-01-01 01:00 UTC")
		_, err := w.svc.Lock(w.Context(), deploys.LockRequest{Scope: scope, Reason: "mine", Actor: root})
		is(t, err, errs.Conflict, "locked by ana")
		w.settle(time.Second)
		if n := len(w.locks()); n != 0 {
			t.Errorf("%d locks after the time is over", n)
		}
		is(t, w.svc.Unlock(w.Context(), ana, first.ID), errs.NotFound, "its time is over")
		second := w.lock(scope, time.Minute)
		if list := w.locks(); len(list) != 1 || list[0].ID != second.ID || second.ID == first.ID {
			t.Errorf("locks %+v", list)
		}
		w.settle(2 * time.Minute)
		if d := w.deploy(deployOf(api, "abc1234")); d.Status != deploys.Running {
			t.Errorf("after the lock: %s", d.Status)
		}
	})
}

// Who shows a lock is told when its time is over, also by a portal that started after it was made.
func TestLockRingsAtItsEnd(t *testing.T) {
	in(t, func(w *world) {
		rung := func(bell <-chan struct{}) bool {
			synctest.Wait()
			select {
			case <-bell:
				return true
			default:
				return false
			}
		}
		w.lock(deploys.Scope(api), time.Hour)
		w.lock(deploys.Scope(admin), 2*time.Hour)
		bell, stop := w.svc.Listen(0)
		defer stop()
		w.settle(time.Hour - time.Second)
		if rung(bell) {
			t.Error("it rings before the end")
		}
		w.settle(2 * time.Second)
		if !rung(bell) || len(w.locks()) != 1 {
			t.Errorf("no bell at the end, or not after it: %d locks", len(w.locks()))
		}
		w.stop()
		w.start(nil)
		bell, stop = w.svc.Listen(0)
		defer stop()
		w.settle(time.Hour)
		if !rung(bell) || len(w.locks()) != 0 {
			t.Errorf("no bell at the end of a lock made before the start: %d locks", len(w.locks()))
		}
	})
}

// The lock that stands longest is the one that is told.
func TestLongestLockIsTold(t *testing.T) {
	in(t, func(w *world) {
		w.lock(deploys.Scope(api), time.Hour)
		w.lock(deploys.Scope{Env: "prod"}, 2*time.Hour)
		w.refused(deployOf(api, "abc1234"), errs.Conflict, "Everything in prod is locked by ana since 2000-01-01 00:00 UTC, until 2000-01-01 02:00 UTC")
		w.lock(deploys.Scope{}, 0)
		w.refused(deployOf(api, "abc1234"), errs.Conflict, "Everything is locked")
	})
}

// A rollback passes a lock with a reason, and the log says so.
func TestRollbackPassesLock(t *testing.T) {
	in(t, func(w *world) {
		hung := w.deploy(deployOf(api, "abc1234"))
		w.lock(deploys.Scope{Env: "prod"}, 0)
		req := deploys.Request{Target: api, Return: &deploys.ReturnTo{Deploy: hung.ID, Before: true}, Replaces: hung.ID, Actor: marta}
		for _, blank := range []string{"", " \n\t"} {
			req.Reason = blank
			w.refused(req, errs.Invalid, "A rollback passes the lock only with a reason")
		}
		req.Reason = "it hangs"
		d := w.deploy(req)
		e := w.entries(audit.Filter{DeployID: d.ID})[0]
		if d.Status != deploys.Running || e.Detail != "Passed the lock of ana on everything in prod: “moving the database”." || e.Subject != "rollback" {
			t.Errorf("%s, entry %+v", d.Status, e)
		}
		w.tells(d.ID, deploys.EventTrouble, e.Detail)
	})
}

// Who has locked unlocks, and an admin; nobody else, and that they tried is on record.
func TestWhoLocksAndUnlocks(t *testing.T) {
	in(t, func(w *world) {
		ask := func(by auth.Actor, s deploys.Scope, reason string, d time.Duration) error {
			_, err := w.svc.Lock(w.Context(), deploys.LockRequest{Scope: s, Reason: reason, For: d, Actor: by})
			return err
		}
		prod := deploys.Scope{Env: "prod"}
		is(t, ask(vera, prod, "x", 0), errs.Forbidden, "vera may not lock in prod: this needs the role deployer")
		is(t, ask(marta, deploys.Scope{}, "x", 0), errs.Forbidden, "marta may not lock: this needs the role deployer")
		is(t, ask(marta, deploys.Scope{Env: "staging"}, "x", 0), errs.Forbidden, "in staging")
		is(t, ask(marta, prod, "  ", 0), errs.Invalid, "Say why everything in prod is locked")
		is(t, ask(marta, prod, "x", time.Second), errs.Invalid, "from a minute to 30 days")
		is(t, ask(marta, prod, "x", 31*24*time.Hour), errs.Invalid, "from a minute to 30 days")
		is(t, ask(marta, prod, "x", -time.Hour), errs.Invalid, "from a minute to 30 days")
		is(t, ask(root, deploys.Scope{App: "api"}, "x", 0), errs.Invalid, "An app is locked in one environment")
		is(t, ask(marta, deploys.Scope{App: "nope", Env: "prod"}, "x", 0), errs.NotFound, "no app nope")
		must(t, ask(marta, prod, strings.Repeat("ä", 600), 30*24*time.Hour))
		l := w.locks()[0]
		if n := len([]rune(l.Reason)); n != 500 {
			t.Errorf("a reason of %d characters", n)
		}
		is(t, w.svc.Unlock(w.Context(), ana, l.ID), errs.Forbidden, "marta has locked everything in prod since 2000-01-01 00:00 UTC. Ask marta or an admin")
		is(t, w.svc.Unlock(w.Context(), vera, l.ID), errs.Forbidden, "marta has locked")
		lost := marta
		lost.Grants = []auth.Grant{{Role: auth.Viewer, Env: "prod"}}
		is(t, w.svc.Unlock(w.Context(), lost, l.ID), errs.Forbidden, "marta has locked")
		blind := marta
		blind.Grants = []auth.Grant{{Role: auth.Admin, Env: "staging"}}
		is(t, w.svc.Unlock(w.Context(), blind, l.ID), errs.NotFound, "There is no lock")
		is(t, w.svc.Unlock(w.Context(), root, 999), errs.NotFound, "There is no lock 999")
		if n := len(w.locks()); n != 1 {
			t.Fatalf("%d locks after refusals", n)
		}
		must(t, w.svc.Unlock(w.Context(), root, l.ID))
		refusals := w.entries(audit.Filter{Action: "lock.", Outcome: "refused"})
		if len(refusals) != 14 {
			t.Errorf("%d refusals are on record", len(refusals))
		}
		for _, e := range refusals {
			if e.Detail == "" || e.Actor.Name == "" {
				t.Errorf("refusal %+v", e)
			}
		}
		is(t, w.svc.Unlock(w.Context(), auth.Actor{}, 1), errs.NotFound, "")
	})
}

// registryWith does something while the registry is asked.
type registryWith struct {
	deploys.Registry
	first func()
}

func (r registryWith) Resolve(ctx context.Context, repository, ref string) (deploys.Image, error) {
	r.first()
	return r.Registry.Resolve(ctx, repository, ref)
}

// A lock that is made after the checks of a deploy have begun is heeded all the same.
func TestLockWinsTheRace(t *testing.T) {
	in(t, func(w *world) {
		w.stop()
		w.options = func(o *deploys.Options) {
			o.Registry = registryWith{w.registry, sync.OnceFunc(func() { w.lock(deploys.Scope(api), 0) })}
		}
		w.start(nil)
		w.refused(deployOf(api, "abc1234"), errs.Conflict, "api in prod is locked by ana")
	})
}

// Where it cannot be read what is locked or marked, nothing is deployed.
func TestUnreadableLocksCloseEverything(t *testing.T) {
	for table, want := range map[string]string{"locks": "Whether it is locked cannot be read, so nothing is done", "bad_images": "Whether the image is marked as bad cannot be read, so nothing is done"} {
		in(t, func(w *world) {
			rename := func(from, to string) {
				must(t, w.db.Write(w.Context(), func(tx *sqlite.Tx) error {
					_, err := tx.Exec(w.Context(), fmt.Sprintf("ALTER TABLE %s RENAME TO %s", from, to))
					return err
				}))
			}
			rename(table, "away")
			w.refused(deployOf(api, "abc1234"), errs.Unavailable, want)
			rename("away", table)
			if d := w.deploy(deployOf(api, "abc1234")); d.Status != deploys.Running {
				t.Errorf("%s", d.Status)
			}
		})
	}
}

// Fifty who lock and fifty who deploy at once: what was recorded after the lock is none.
func TestLockAndDeployAtOnce(t *testing.T) {
	in(t, func(w *world) {
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				_, _ = w.svc.Lock(w.Context(), deploys.LockRequest{Scope: deploys.Scope(api), Reason: "x", Actor: ana})
			})
			wg.Go(func() { _, _ = w.svc.Start(w.Context(), deployOf(api, fmt.Sprintf("%07x", i+100))) })
		}
		wg.Wait()
		synctest.Wait()
		locked := w.entries(audit.Filter{Action: audit.LockCreated, Outcome: "ok"})
		if len(locked) != 1 || len(w.locks()) != 1 {
			t.Fatalf("%d locks", len(locked))
		}
		for _, e := range w.entries(audit.Filter{Action: audit.DeployRequested}) {
			if e.Seq > locked[0].Seq {
				t.Errorf("entry %d was written after the lock", e.Seq)
			}
		}
	})
}

// A lock is of something that there is.
func TestLockNeedsAnEnvironment(t *testing.T) {
	in(t, func(w *world) {
		for _, scope := range []deploys.Scope{{Env: "prood"}, {App: "api", Env: "prood"}} {
			_, err := w.svc.Lock(w.Context(), deploys.LockRequest{Scope: scope, Reason: "x", Actor: root})
			is(t, err, errs.NotFound, `There is no environment "prood"`)
		}
		w.cluster.SetNotReady(errs.New(errs.Unavailable, "The cluster cannot be reached since 02:10 UTC."))
		w.lock(deploys.Scope{Env: "prod"}, 0) // out of reach is no reason not to lock
	})
}
