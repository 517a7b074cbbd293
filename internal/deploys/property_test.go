package deploys_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"deployportal/internal/audit"
	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

// machine is a world to which things are done in any order, and what must hold whatever was done. A new thing to do is a
// method and a line in actions; a new thing that must hold is a line in check.
type machine struct {
	*world
	crashAt string // the point at which the portal dies next; empty: it lives
	dead    bool
	full    bool // the disk
	away    bool // the cluster

	mu     sync.Mutex
	next   []answer       // what the cluster does with the next patches
	landed map[int64]bool // deploys whose patch changed the cluster
	late   map[int64]bool // of those, whose patch was so late that the portal had given it up
	bad    []string       // what was seen to be wrong when a patch came
}

// answer is something other than taking a patch and saying so.
type answer string

const (
	busy     answer = "conflict"           // the status has changed meanwhile
	changed  answer = "template conflict"  // the template has
	lost     answer = "lost"               // the patch gets lost, and nobody says so
	silent   answer = "landed, unanswered" // the patch lands, and nobody says so
	late     answer = "lands late"         // the patch lands in a moment, and nobody says so
	tooLate  answer = "lands very late"    // the patch lands when the portal has given it up, and nobody says so
	refusing answer = "refused"
)

var tags = []string{"aaa0001", "bbb0002", "ccc0003"}

func (m *machine) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"": m.check,
		"deploy": func(t *rapid.T) {
			m.ask(t, deployOf(target(t), rapid.SampledFrom(tags).Draw(t, "tag")))
		},
		"replace": func(t *rapid.T) {
			req := deployOf(target(t), rapid.SampledFrom(tags).Draw(t, "tag"))
			if d, ok := m.active()[req.Target]; ok {
				req.Replaces = d.ID
			}
			m.ask(t, req)
		},
		"roll back": func(t *rapid.T) {
			req := deploys.Request{Target: target(t), Actor: ana, Reason: rapid.SampledFrom([]string{"", "because"}).Draw(t, "reason")}
			newest, err := m.svc.History(m.Context(), req.Target, 0, 1)
			must(m, err)
			for _, d := range newest { // none or one
				back, _, ok, err := m.svc.LastGood(m.Context(), d)
				must(m, err)
				if req.Return = &back; d.Active() {
					req.Replaces = d.ID
				}
				if ok {
					m.ask(t, req)
				}
			}
		},
		"new pods": func(t *rapid.T) { m.ask(t, deploys.Request{Target: target(t), Restart: true, Actor: ana}) },
		"lock": func(t *rapid.T) {
			scope := rapid.SampledFrom([]deploys.Scope{deploys.Scope(api), deploys.Scope(admin), {Env: "prod"}, {}}).Draw(t, "scope")
			_, err := m.svc.Lock(m.Context(), deploys.LockRequest{Scope: scope, Reason: "because", Actor: root,
				For: rapid.SampledFrom([]time.Duration{0, time.Minute}).Draw(t, "time")})
			m.told(t, err)
		},
		"unlock": func(t *rapid.T) {
			if stand := m.locks(); len(stand) > 0 {
				m.told(t, m.svc.Unlock(m.Context(), root, stand[0].ID))
			}
		},
		"adopt": func(t *rapid.T) {
			req := deploys.Request{Target: target(t), Adopt: 1, Actor: ana}
			if c, found, err := m.svc.OpenChange(m.Context(), req.Target); found && err == nil {
				req.Adopt = c.ID
			}
			m.ask(t, req)
		},
		"crash": func(t *rapid.T) {
			m.crashAt = rapid.SampledFrom([]string{"pending", "running", "patched", "recorded", "outcome", "answered"}).Draw(t, "point")
		},
		"restart": func(*rapid.T) { m.restart() },
		"outside change": func(t *rapid.T) {
			m.cluster.SetImage(target(t), "sidecar", rapid.SampledFrom([]string{"s:1", "s:2"}).Draw(t, "image"))
		},
		"scale": func(t *rapid.T) {
			n := rapid.Int32Range(1, 4).Draw(t, "replicas")
			m.cluster.Update(target(t), func(r *deploys.Rollout) { r.Desired = n; r.Generation++ })
		},
		"next patch": func(t *rapid.T) {
			a := rapid.SampledFrom([]answer{busy, changed, lost, silent, late, tooLate, refusing}).Draw(t, "answer")
			m.mu.Lock()
			defer m.mu.Unlock()
			m.next = append(m.next, a)
		},
		"disk": func(t *rapid.T) {
			if m.full {
				m.room()
				return
			}
			m.fill()
			m.full = true
		},
		"cluster": func(*rapid.T) {
			if m.away = !m.away; m.away {
				m.cluster.SetNotReady(errs.New(errs.Unavailable, "The cluster cannot be reached since 02:10 UTC."))
			} else {
				m.cluster.SetNotReady(nil)
			}
		},
		"roll out": func(t *rapid.T) {
			m.complete(target(t))
			time.Sleep(rapid.SampledFrom([]time.Duration{0, 11 * time.Second}).Draw(t, "time"))
		},
		"time passes": func(t *rapid.T) {
			time.Sleep(rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, 6 * time.Second, 11 * time.Second, 11 * time.Minute}).Draw(t, "time"))
		},
	}
}

func target(t *rapid.T) deploys.Target {
	return rapid.SampledFrom([]deploys.Target{api, admin}).Draw(t, "target")
}

// ask starts a deploy. What sends a new image or new pods never passes a lock; a rollback does, with a reason.
func (m *machine) ask(t *rapid.T, req deploys.Request) {
	closed := slices.ContainsFunc(m.locks(), func(l deploys.Lock) bool { return l.Scope.Covers(req.Target) })
	_, err := m.svc.Start(m.Context(), req)
	m.told(t, err)
	if err == nil && closed && req.Adopt == 0 && (req.Return == nil || req.Reason == "") {
		t.Fatalf("%+v passed a lock", req)
	}
}

// told holds a refusal to be one that somebody can act on.
func (m *machine) told(t *rapid.T, err error) {
	if err != nil && errs.KindOf(err) == errs.Internal {
		t.Fatalf("refused for no reason that could be told: %v", err)
	}
}

func (m *machine) active() map[deploys.Target]deploys.Deploy {
	open, err := m.svc.Active(m.Context())
	must(m, err)
	return open
}

func (m *machine) room() {
	if m.full {
		m.free()
	}
	m.full = false
}

// restart is the end of a portal, in peace or not, and the start of the next.
func (m *machine) restart() {
	m.stop()
	must(m, m.db.Close())
	m.open()
	m.full, m.dead, m.crashAt = false, false, ""
	m.start(func(point string) bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		if point == m.crashAt {
			m.dead = true
		}
		return m.dead
	})
}

// patch is what the cluster does when a patch comes: it looks whether the intent is durable, then does as was drawn.
func (m *machine) patch(ch deploys.Change) error {
	m.intended(ch)
	m.mu.Lock()
	a := answer("")
	if len(m.next) > 0 {
		a, m.next = m.next[0], m.next[1:]
	}
	m.mu.Unlock()
	unanswered := fmt.Errorf("connection reset: %w", deploys.ErrUnanswered)
	switch a {
	case busy:
		m.cluster.Update(ch.Target, func(r *deploys.Rollout) { r.ObservedGeneration = r.Generation })
	case changed:
		m.cluster.SetImage(ch.Target, "sidecar", "s:3")
	case lost:
		return unanswered
	case silent:
		if m.cluster.Land(ch) == nil {
			m.land(ch)
		}
		return unanswered
	case late, tooLate: // sooner than the portal gives up looking for it, and later
		time.AfterFunc(map[answer]time.Duration{late: 3 * time.Second, tooLate: 30 * time.Second}[a], func() {
			if m.cluster.Land(ch) == nil {
				m.land(ch)
				m.mu.Lock()
				defer m.mu.Unlock()
				m.late[deployID(ch)] = a == tooLate
			}
		})
		return unanswered
	case refusing:
		return errs.New(errs.Invalid, "The cluster refused the change: not on a Friday.")
	}
	return nil
}

func (m *machine) land(ch deploys.Change) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.landed[deployID(ch)] = true
	return nil
}

func deployID(ch deploys.Change) (id int64) {
	_, _ = fmt.Sscan(ch.Annotations[deploys.AnnotationDeploy], &id) // 0: not one of ours
	return id
}

// intended notes a patch that comes before its row and its entry are in the file.
func (m *machine) intended(ch deploys.Change) {
	var status, action string
	err := m.db.QueryRow(context.Background(), `SELECT d.status, e.action FROM deploys d JOIN audit_entries e ON e.seq = d.audit_seq WHERE d.id = ?`,
		deployID(ch)).Scan(&status, &action)
	if err != nil || status == string(deploys.Pending) || action != audit.DeployRequested {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.bad = append(m.bad, fmt.Sprintf("a patch of deploy %d without a durable intent: %q, %q, %v", deployID(ch), status, action, err))
	}
}

// check is what must hold at any time.
func (m *machine) check(t *rapid.T) {
	synctest.Wait()
	m.mu.Lock()
	bad, dead := m.bad, m.dead
	m.mu.Unlock()
	if dead {
		m.restart()
	}
	if len(bad) > 0 {
		t.Fatal(bad[0])
	}
	if two := m.texts(`SELECT app || ' in ' || env FROM deploys WHERE finished_at IS NULL GROUP BY app, env HAVING count(*) > 1`); len(two) > 0 {
		t.Fatalf("more than one active deploy of %v", two)
	}
	for _, move := range m.texts(`SELECT was || ' to ' || becomes FROM moves GROUP BY 1`) {
		if !slices.Contains(moves, move) {
			t.Fatalf("a deploy went from %s", move)
		}
	}
	actions := map[string]string{}
	for _, e := range m.texts(`SELECT deploy_id || ' ' || action FROM audit_entries WHERE deploy_id > 0 ORDER BY seq`) {
		id, action, _ := strings.Cut(e, " ")
		actions[id] = strings.TrimSpace(actions[id] + " " + action)
	}
	m.mu.Lock()
	landed, late := maps.Clone(m.landed), maps.Clone(m.late)
	m.mu.Unlock()
	for _, row := range m.texts(`SELECT id || ' ' || status || ' ' || kind FROM deploys ORDER BY id`) {
		id, status, _ := strings.Cut(row, " ")
		status, kind, _ := strings.Cut(status, " ")
		want := audit.DeployRequested
		switch {
		case kind == string(deploys.KindAdopt):
			want = audit.ChangeAdopted
		case deploys.Status(status).IsTerminal():
			want += " deploy." + status
		}
		if actions[id] != want {
			t.Fatalf("deploy %s is %s, its entries: %s", id, status, actions[id])
		}
		delete(actions, id)
		var n int64
		_, _ = fmt.Sscan(id, &n)
		if landed[n] && (status == string(deploys.Errored) && !late[n] || kind == string(deploys.KindAdopt)) ||
			!landed[n] && kind != string(deploys.KindAdopt) && (status == string(deploys.Succeeded) || status == string(deploys.Failed)) {
			t.Fatalf("deploy %s is %s; its patch changed the cluster: %t", id, status, landed[n])
		}
	}
	if len(actions) > 0 {
		t.Fatalf("entries without a deploy: %v", actions)
	}
	report, err := audit.Verify(m.Context(), m.db)
	must(m, err)
	if report.BadSeq != 0 {
		t.Fatalf("the chain is broken: %s", report.Why)
	}
}

// moves are all changes of a status that there may be.
var moves = []string{"pending to running", "pending to errored", "pending to superseded",
	"running to succeeded", "running to failed", "running to errored", "running to superseded"}

func (m *machine) texts(query string) (all []string) {
	rows, err := m.db.Query(m.Context(), query)
	must(m, err)
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var text string
		must(m, rows.Scan(&text))
		all = append(all, text)
	}
	must(m, rows.Err())
	return all
}

// end takes every obstacle away: each deploy must come to its end.
func (m *machine) end(t *rapid.T) {
	m.room()
	m.cluster.SetNotReady(nil)
	m.mu.Lock()
	m.next, m.crashAt = nil, ""
	m.mu.Unlock()
	m.settle(31 * time.Minute)
	m.check(t)
	if open := m.active(); len(open) > 0 {
		t.Fatalf("without an end: %+v", open)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, late := range m.late {
		d, err := m.svc.Get(m.Context(), id)
		must(m, err)
		if n := len(m.texts(fmt.Sprintf(`SELECT id FROM outside_changes WHERE superseded = %d`, id))); late && d.Status == deploys.Errored && n != 1 {
			t.Fatalf("the patch of deploy %d landed after it was given up, and %d changes tell of it", id, n)
		}
	}
}

// property does things in any order, in a bubble of its own where time is free. plant puts a fault in.
func property(t *testing.T, plant func(*machine)) func(*rapid.T) {
	return func(rt *rapid.T) {
		var failed any
		synctest.Test(t, func(t *testing.T) {
			m := &machine{world: newWorld(t), landed: map[int64]bool{}, late: map[int64]bool{}}
			defer m.close()
			defer func() { failed = recover() }() // rapid's way to say that a property does not hold
			must(t, m.db.Write(t.Context(), func(tx *sqlite.Tx) error {
				_, err := tx.Exec(t.Context(), `CREATE TABLE moves (was TEXT, becomes TEXT);
					CREATE TRIGGER moved AFTER UPDATE OF status ON deploys BEGIN INSERT INTO moves VALUES (OLD.status, NEW.status); END;
					CREATE TRIGGER made AFTER INSERT ON deploys WHEN NEW.status <> 'pending' BEGIN INSERT INTO moves VALUES ('nothing', NEW.status); END`)
				return err
			}))
			m.cluster.BeforeApply, m.cluster.AfterApply = m.patch, m.land
			if plant != nil {
				plant(m)
			}
			m.restart()
			rt.Repeat(m.actions())
			m.end(rt)
		})
		if failed != nil {
			panic(failed)
		}
	}
}

// TestAnyOrder: whatever is done to a portal in whatever order, what must always hold does.
func TestAnyOrder(t *testing.T) {
	quiet(t)
	rapid.Check(t, property(t, nil))
}

// quiet keeps the log of the many portals to itself: they complain of what is done to them, and should.
func quiet(t *testing.T) {
	was := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { slog.SetDefault(was) })
}
