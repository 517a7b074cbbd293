package auth

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

// TestAThousandRefusalsAreTwoEntries: one at once, one when the minute is over, over two restarts.
func TestAThousandRefusalsAreTwoEntries(t *testing.T) {
	f := newFixture(t)
	for part := range 2 {
		var wg sync.WaitGroup
		for w := range 20 {
			wg.Go(func() {
				for range 25 {
					if f.try("bob", "certainly not this", office) == nil {
						t.Errorf("worker %d signed in", w)
					}
				}
			})
		}
		wg.Wait()
		if got := f.entries(audit.SignInRefused); len(got) != 1 || got[0].Count != 1 || got[0].RequestID != "req-1" {
			t.Fatalf("after part %d the entries are %+v", part, got)
		}
		f.pass(20 * time.Second)
		f.restart()
		must(t, f.Flush(t.Context())) // not over yet: writes nothing
	}
	f.pass(20 * time.Second)
	must(t, f.Flush(t.Context()))
	must(t, f.Flush(t.Context()))
	got := f.entries(audit.SignInRefused)
	if len(got) != 2 || counted(got) != 1000 {
		t.Fatalf("%d entries tell of %d refusals, want 2 and 1000", len(got), counted(got))
	}
	e := got[1]
	if e.Subject != "bob" || e.Actor.Addr != office || e.Outcome != "refused" ||
		e.Detail != "Refused again in the minute from 10:00:00 UTC: 999 times, 990 of them by a limit." {
		t.Errorf("the folded entry is %+v", e)
	}
	if f.count("refusals") != 0 {
		t.Error("a row is left")
	}
}

// TestTheNextRefusalClosesTheMinute: also without Flush, and when the clock is set back.
func TestTheNextRefusalClosesTheMinute(t *testing.T) {
	for _, later := range []time.Duration{time.Minute, time.Hour, -time.Hour} {
		f := newFixture(t)
		f.fail(3, "bob", office)
		f.pass(later)
		_ = f.try("bob", "certainly not this", office)
		var counts []int64
		for _, e := range f.entries(audit.SignInRefused) {
			counts = append(counts, e.Count)
		}
		if fmt.Sprint(counts) != "[1 2 1]" {
			t.Errorf("%s later the counts are %v, want [1 2 1]", later, counts)
		}
	}
}

// TestManyAddressesAreBounded: one refusal each from 500 addresses is no 500 entries; names of accounts are kept as
// long as addresses can be given up.
func TestManyAddressesAreBounded(t *testing.T) {
	f := newFixture(t)
	for i := range 500 {
		must(t, f.Refused(t.Context(), Refusal{Actor: Actor{Source: "web", Addr: v6(i)}, Action: audit.SignInRefused,
			Subject: []string{"ana", "bob", unknownAccount}[i%3], Detail: "Test.", Limited: i >= 400}))
	}
	at := f.entries(audit.SignInRefused)
	if len(at) > pairsExact+3 {
		t.Errorf("%d entries at once", len(at))
	}
	if e := at[len(at)-1]; e.Actor.Addr != "(many addresses)" || e.Subject == "(many)" {
		t.Errorf("the last entry is %+v", e)
	}
	f.pass(foldFor)
	must(t, f.Flush(t.Context()))
	all := f.entries(audit.SignInRefused)
	if len(all) > 2*(pairsExact+3) || counted(all) != 500 {
		t.Errorf("%d entries tell of %d refusals", len(all), counted(all))
	}
}

func TestManySubjectsAreBounded(t *testing.T) {
	f := newFixture(t)
	eve := Actor{ID: "user:9", Name: "eve", Source: "api", Addr: office}
	for i := range 500 {
		must(t, f.Refused(t.Context(), Refusal{Actor: eve, Action: audit.UserRole, Subject: fmt.Sprintf("name%d", i), Detail: "Test."}))
	}
	f.pass(foldFor)
	must(t, f.Flush(t.Context()))
	all := f.entries(audit.UserRole)
	if len(all) > 2*pairsMost+2 || counted(all) != 500 {
		t.Errorf("%d entries tell of %d refusals", len(all), counted(all))
	}
	if e := all[len(all)-1]; e.Actor.Name != "eve" || e.Subject != "(many)" {
		t.Errorf("the last entry is %+v", e)
	}
}

// TestRefusalsShareATransaction: those that come while the writer is busy are written together.
func TestRefusalsShareATransaction(t *testing.T) {
	f := newFixture(t)
	r := Refusal{Actor: Actor{Source: "web", Addr: office}, Action: audit.SignInRefused, Subject: "bob", Detail: "Test."}
	var wg sync.WaitGroup
	commits := 0
	first := make(chan struct{})
	hold := make(chan struct{})
	commit := func(*batch) error {
		if commits++; commits == 1 {
			close(first)
			<-hold
		}
		return nil
	}
	wg.Go(func() { _ = f.folder.add(r, commit) })
	<-first
	for range 50 {
		wg.Go(func() { _ = f.folder.add(r, commit) })
	}
	for joined := int64(0); joined < 50; {
		f.folder.mu.Lock()
		if b := f.folder.next; b != nil {
			joined = b.tallies[b.order[0]].n
		}
		f.folder.mu.Unlock()
	}
	close(hold)
	wg.Wait()
	if commits != 2 {
		t.Errorf("%d commits, want 2", commits)
	}
}

func TestRunTidiesUpAndEndsWithItsContext(t *testing.T) {
	f := newFixture(t)
	f.fail(3, "bob", office)
	f.signIn("ana", anasPassword)
	f.pass(SessionLife)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	must(t, f.Run(ctx))
	if f.count("refusals")+f.count("sessions")+f.count("sign_in_failures") != 0 {
		t.Error("something is left")
	}
	if n := counted(f.entries(audit.SignInRefused)); n != 3 {
		t.Errorf("the entries tell of %d refusals, want 3", n)
	}
}

// TestRunGoesOnAfterAFault: counts that cannot be written stay and are written later.
func TestRunGoesOnAfterAFault(t *testing.T) {
	f := newFixture(t)
	f.fail(3, "bob", office)
	f.pass(foldFor)
	f.exec(`CREATE TRIGGER fault BEFORE INSERT ON audit_entries BEGIN SELECT RAISE(ABORT, 'planted'); END`)
	wantKind(t, f.Flush(t.Context()), errs.Unavailable)
	wantKind(t, f.Refused(t.Context(), Refusal{Actor: Actor{Source: "web"}, Action: audit.SignInRefused}), errs.Unavailable)
	f.exec(`DROP TRIGGER fault`)
	f.every = time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = f.Run(ctx) })
	for counted(f.entries(audit.SignInRefused)) != 3 {
		if t.Context().Err() != nil {
			t.Fatal("nothing was flushed")
		}
	}
	cancel()
	wg.Wait()
}

// TestIndexes: what runs at every request and every attempt reads by an index.
func TestIndexes(t *testing.T) {
	f := newFixture(t)
	var plan []string
	explained := explain{f.db, func(detail string) { plan = append(plan, detail) }}
	ctx := t.Context()
	_, err := sessions(ctx, explained, f.now, `s.token_hash = ?`, []byte{1})
	must(t, err)
	_, err = sessions(ctx, explained, f.now, `s.id = ?`, 1)
	must(t, err)
	must(t, limited(ctx, explained, f.now, limitKey{account: make([]byte, 16), addr: office}))
	if len(plan) < 8 {
		t.Fatalf("the plans are %q", plan)
	}
	for _, step := range plan {
		if strings.HasPrefix(step, "SCAN") {
			t.Errorf("a plan has the step %q", step)
		}
	}
}

// explain runs the plan of a query beside the query.
type explain struct {
	*sqlite.DB
	step func(detail string)
}

// Query implements sqlite.Querier.
func (x explain) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	x.plan(ctx, query, args)
	return x.DB.Query(ctx, query, args...)
}

// QueryRow implements sqlite.Querier.
func (x explain) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	x.plan(ctx, query, args)
	return x.DB.QueryRow(ctx, query, args...)
}

func (x explain) plan(ctx context.Context, query string, args []any) {
	err := sqlite.Each(ctx, x.DB, func(rows *sql.Rows) error {
		var id, parent, unused int
		var detail string
		err := rows.Scan(&id, &parent, &unused, &detail)
		x.step(detail)
		return err
	}, "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		x.step("SCAN: " + err.Error())
	}
}
