package story_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"deployportal/internal/audit"
	"deployportal/internal/sqlite"
)

// row is a deploy as the database has it.
type row struct {
	status, sentence, note string
	patched                bool
	over                   bool
}

// read opens the database beside the portal, as a backup or an auditor would.
func (w *world) read() *sqlite.DB {
	w.t.Helper()
	if w.db == nil {
		db, err := sqlite.Open(w.all.Context(), w.path("portal.db"), nil)
		if err != nil {
			w.t.Fatal(err)
		}
		w.db = db
		w.all.Cleanup(func() { _ = db.Close() }) // twice does no harm
	}
	return w.db
}

func (w *world) row(id int64) (r row) {
	w.t.Helper()
	err := w.read().QueryRow(w.t.Context(), `SELECT status, sentence, note, patched_at IS NOT NULL, finished_at IS NOT NULL FROM deploys WHERE id = ?`, id).
		Scan(&r.status, &r.sentence, &r.note, &r.patched, &r.over)
	if err != nil {
		w.t.Fatalf("deploy %d: %v", id, err)
	}
	return r
}

// count counts rows.
func (w *world) count(query string, args ...any) (n int) {
	w.t.Helper()
	if err := w.read().QueryRow(w.t.Context(), query, args...).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// newest gives the newest audit entries, newest first.
func (w *world) newest(f audit.Filter) []audit.Entry {
	w.t.Helper()
	f.Limit = 100
	list, err := audit.List(w.t.Context(), w.read(), f)
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

// over waits until a deploy has ended and checks everything that says how: the row, the page with its sentence, and
// exactly one entry that asked and one that tells the outcome.
func (w *world) over(id int64, status, sentence string) row {
	w.t.Helper()
	w.until(fmt.Sprintf("deploy %d to end (%s)", id, status), func() bool { return w.row(id).over })
	r := w.row(id)
	if r.status != status || !strings.Contains(r.sentence, sentence) {
		w.t.Errorf("deploy %d: %s: %s\nwant %s: …%s…", id, r.status, r.sentence, status, sentence)
	}
	if w.ana != nil {
		p := w.ana.get(fmt.Sprintf("/deploys/%d", id))
		if word := p.text("#deploy-head .kicker .st"); !strings.EqualFold(word, r.status) {
			w.t.Errorf("the page of deploy %d says %q, the row %q", id, word, r.status)
		}
		if shown := p.text("main"); !strings.Contains(shown, strings.Join(strings.Fields(r.sentence), " ")) {
			w.t.Errorf("the page of deploy %d does not say %q:\n%s", id, r.sentence, shown)
		}
	}
	var actions []string
	for _, e := range w.newest(audit.Filter{DeployID: id}) {
		actions = append(actions, e.Action)
	}
	if want := []string{"deploy." + r.status, audit.DeployRequested}; !slices.Equal(actions, want) {
		w.t.Errorf("entries of deploy %d: %v, want %v", id, actions, want)
	}
	return r
}

// whole checks the audit log with the command that is made for it.
func (w *world) whole() {
	w.t.Helper()
	if out, errOut, code := portal(w.t, "", "--database", w.path("portal.db"), "audit", "verify"); code != 0 {
		w.t.Errorf("portal audit verify: exit code %d: %s%s", code, out, errOut)
	}
}

// rejected checks that the newest entry is a refusal that says this. What somebody else did to the cluster is recorded beside it.
func (w *world) rejected(sentence string) {
	w.t.Helper()
	list := slices.DeleteFunc(w.newest(audit.Filter{}), func(e audit.Entry) bool { return e.Action == audit.ChangeOutside })
	if len(list) == 0 || list[0].Action != audit.DeployRejected || !strings.Contains(list[0].Detail, sentence) {
		w.t.Errorf("the newest entry is %+v, want a refusal with %q", list[:min(1, len(list))], sentence)
	}
}

// thenDeploys checks that the next deploy works.
func (w *world) thenDeploys(tag string) {
	w.t.Helper()
	w.seen()
	w.over(w.ana.deploy(tag), "succeeded", "2 of 2 pods run "+tag)
	w.runs(w.pinned(tag))
	w.whole()
}

// lockDatabase keeps the database from being written, as another program that opens it might.
func (w *world) lockDatabase() (release func()) {
	w.t.Helper()
	locked, done, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	db := w.read()
	go func() {
		ended <- db.Write(context.Background(), func(*sqlite.Tx) error {
			close(locked)
			<-done
			return nil
		})
	}()
	select {
	case <-locked:
	case err := <-ended:
		w.t.Fatalf("the database cannot be locked: %v", err)
	}
	return sync.OnceFunc(func() {
		close(done)
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
}

// forge writes to the database behind the portal's back: time that passes, mostly.
func (w *world) forge(statement string) {
	w.t.Helper()
	err := w.read().Write(w.t.Context(), func(tx *sqlite.Tx) error {
		_, err := tx.Exec(context.Background(), statement)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}
