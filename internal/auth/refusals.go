package auth

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

// unknownAccount stands in the audit log for every name that is no account's: what people type there by mistake is
// often their password.
const unknownAccount = "(unknown account)"

// A refusal is folded with its like within foldFor. From pairsExact rows on, new ones are folded over all addresses;
// from pairsMost on, over all subjects too. So what strangers can make the audit log grow by is bounded, from however
// many addresses they come.
const (
	foldFor    = time.Minute
	pairsExact = 32
	pairsMost  = 96
)

// Refusal is a request that was refused, for the audit log. Equal ones (Actor's id, Source, Action and Subject, and
// the address, IPv6 by /64) are folded.
type Refusal struct {
	Actor   Actor  // the zero Actor with Source, Addr and RequestID set: nobody was signed in
	Action  string // one of package audit's
	Subject string // the account or other thing it was about; never text a stranger typed
	Detail  string // the sentence people were shown
	Limited bool   // refused by a limit, before anything was looked at
}

// Refused records a refusal: the first of a minute at once, further ones as one entry with their count when the
// minute is over. Refusals that arrive while others are being written share one transaction, so that a flood does
// not keep the one writer from deploys. errs.Unavailable when it cannot be written.
func (a *Accounts) Refused(ctx context.Context, r Refusal) error {
	return a.folder.add(r, func(b *batch) error {
		// A caller that goes away must not take the count of the others with it.
		return a.db.Write(context.WithoutCancel(ctx), func(tx *sqlite.Tx) error {
			for _, k := range b.order {
				if err := fold(ctx, tx, b.tallies[k]); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// pair is what refusals are folded by.
type pair struct{ action, source, actorID, subject, addr string }

// tally is a number of equal refusals: one as an example, how many, and how many of them a limit refused.
type tally struct {
	Refusal
	addr       string // as folded
	n, limited int64
}

func newTally(r Refusal) *tally {
	if r.Actor.ID == "" {
		r.Actor = anonymous(r.Actor.Source, r.Actor.Addr, r.Actor.RequestID)
	}
	t := &tally{Refusal: r, n: 1}
	switch {
	case r.Actor.Source == "slack":
		t.addr = r.Actor.Addr // ids that Slack signs for
	case r.Actor.Addr != "":
		t.addr = addrKey(r.Actor.Addr)
	}
	if r.Limited {
		t.limited = 1
	}
	return t
}

func (t *tally) pair() pair { return pair{t.Action, t.Actor.Source, t.Actor.ID, t.Subject, t.addr} }

// fold writes or counts a tally inside tx.
func fold(ctx context.Context, tx *sqlite.Tx, t *tally) error {
	w, found, err := place(ctx, tx, t)
	if err != nil {
		return err
	}
	if found && !w.over(tx.Now.Time) {
		_, err := tx.Exec(ctx, `UPDATE refusals SET more = more + ?, limited = limited + ?
			WHERE action = ? AND source = ? AND actor_id = ? AND subject = ? AND addr = ? -- auth.fold`,
			t.n, t.limited, t.Action, t.Actor.Source, t.Actor.ID, t.Subject, t.addr)
		return wrap(err, "counting a refusal")
	}
	if found {
		if err := w.close(ctx, tx); err != nil {
			return err
		}
	}
	err = record(ctx, tx, audit.Entry{Actor: t.Actor.Audit(), Action: t.Action, Subject: t.Subject, Outcome: "refused",
		Detail: t.Detail, RequestID: t.Actor.RequestID})
	if err != nil {
		return err
	}
	more, limited := t.n-1, t.limited
	if t.Limited {
		limited-- // the one just written
	}
	_, err = tx.Exec(ctx, `INSERT INTO refusals (action, source, actor_id, actor_name, method, subject, addr, since, more, limited)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) -- auth.fold`,
		t.Action, t.Actor.Source, t.Actor.ID, t.Actor.Name, t.Actor.Method, t.Subject, t.addr, tx.Now, more, limited)
	return wrap(err, "noting a refusal")
}

// place finds the row a tally is counted in, and makes the tally coarser until there is one or a new one may be made.
func place(ctx context.Context, tx *sqlite.Tx, t *tally) (window, bool, error) {
	for step := 0; ; step++ {
		w, found, err := findWindow(ctx, tx, t.pair())
		if err != nil || found || step == 2 {
			return w, found, err
		}
		rows, err := openWindows(ctx, tx)
		if err != nil {
			return w, false, err
		}
		switch {
		case rows < pairsExact, step == 1 && rows < pairsMost:
			return w, false, nil
		case step == 0 && t.addr != "":
			t.addr, t.Actor.Addr = "(many addresses)", "(many addresses)"
		default:
			t.Subject = "(many)"
		}
	}
}

// openWindows counts the rows whose minute runs, after closing the others.
func openWindows(ctx context.Context, tx *sqlite.Tx) (rows int, err error) {
	var due int
	_, err = sqlite.Row(tx.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE since <= ? OR since > ?) FROM refusals -- auth.openWindows`,
		sqlite.Time{Time: tx.Now.Add(-foldFor)}, tx.Now).Scan(&rows, &due))
	if err != nil {
		return 0, fmt.Errorf("counting the refusals: %w", err)
	}
	if due > 0 {
		err = flushDue(ctx, tx)
	}
	return rows - due, err
}

// window is the row of a pair: its minute and what is counted but not in the audit log yet.
type window struct {
	pair
	name, method  string
	since         sqlite.Time
	more, limited int64
}

const windowColumns = `action, source, actor_id, actor_name, method, subject, addr, since, more, limited`

func (w *window) scan(row interface{ Scan(...any) error }) error {
	return row.Scan(&w.action, &w.source, &w.actorID, &w.name, &w.method, &w.subject, &w.addr, &w.since, &w.more, &w.limited)
}

func findWindow(ctx context.Context, q sqlite.Querier, p pair) (w window, found bool, err error) {
	found, err = sqlite.Row(w.scan(q.QueryRow(ctx, `SELECT `+windowColumns+` FROM refusals
		WHERE action = ? AND source = ? AND actor_id = ? AND subject = ? AND addr = ? -- auth.findWindow`,
		p.action, p.source, p.actorID, p.subject, p.addr)))
	return w, found, wrap(err, "looking for a refusal")
}

// over tells whether the minute is over. A clock that was set back ends it too: else it would last until the clock is
// where it was.
func (w *window) over(now time.Time) bool {
	return now.Sub(w.since.Time) >= foldFor || now.Before(w.since.Time)
}

// close writes what was counted as one entry and removes the row.
func (w *window) close(ctx context.Context, tx *sqlite.Tx) error {
	if w.more > 0 {
		err := record(ctx, tx, audit.Entry{
			Actor:  audit.Actor{ID: w.actorID, Name: w.name, Source: w.source, Addr: w.addr, Method: w.method},
			Action: w.action, Subject: w.subject, Outcome: "refused", Count: w.more,
			Detail: fmt.Sprintf("Refused again in the minute from %s UTC: %d times, %d of them by a limit.",
				w.since.Format("15:04:05"), w.more, w.limited),
		})
		if err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, `DELETE FROM refusals
		WHERE action = ? AND source = ? AND actor_id = ? AND subject = ? AND addr = ? -- auth.close`,
		w.action, w.source, w.actorID, w.subject, w.addr)
	return wrap(err, "removing a refusal")
}

func flushDue(ctx context.Context, tx *sqlite.Tx) error {
	var due []window
	err := sqlite.Each(ctx, tx, func(rows *sql.Rows) error {
		var w window
		if err := w.scan(rows); err != nil {
			return err
		}
		if w.over(tx.Now.Time) {
			due = append(due, w)
		}
		return nil
	}, `SELECT `+windowColumns+` FROM refusals ORDER BY since -- auth.flushDue`)
	if err != nil {
		return wrap(err, "listing the refusals")
	}
	for i := range due {
		if err := due[i].close(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

// Flush writes the folded refusals whose minute is over. Counts survive a restart, so nothing is lost when it is
// called late. errs.Unavailable when the audit log cannot be written; the counts stay then.
func (a *Accounts) Flush(ctx context.Context) error {
	return a.db.Write(ctx, func(tx *sqlite.Tx) error { return flushDue(ctx, tx) })
}

// record appends an entry and says so in plain words when that fails: without its entry nothing may happen.
func record(ctx context.Context, tx *sqlite.Tx, e audit.Entry) error {
	_, err := audit.Append(ctx, tx, e)
	if err == nil || errs.KindOf(err) == errs.Unavailable {
		return err
	}
	return errs.Wrap(err, errs.Unavailable,
		"The audit log cannot be written, so nothing was done. Whoever runs the portal finds the reason in its log.")
}

func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// folder joins refusals that arrive while others are being committed into one next transaction.
type folder struct {
	turn sync.Mutex // held by the one that commits
	mu   sync.Mutex // guards next
	next *batch     // takes refusals; nil: the first to come makes it and commits it
}

type batch struct {
	tallies map[pair]*tally
	order   []pair
	done    chan struct{}
	err     error // read after done
}

func (b *batch) add(r Refusal) {
	t := newTally(r)
	if was := b.tallies[t.pair()]; was != nil {
		was.n += t.n
		was.limited += t.limited
		return
	}
	b.tallies[t.pair()] = t
	b.order = append(b.order, t.pair())
}

func (f *folder) add(r Refusal, commit func(*batch) error) error {
	f.mu.Lock()
	b := f.next
	first := b == nil
	if first {
		b = &batch{tallies: map[pair]*tally{}, done: make(chan struct{})}
		f.next = b
	}
	b.add(r)
	f.mu.Unlock()
	if !first {
		<-b.done
		return b.err
	}
	f.turn.Lock() // while another batch is committed, more join this one
	defer f.turn.Unlock()
	f.mu.Lock()
	f.next = nil
	f.mu.Unlock()
	defer close(b.done)
	b.err = errs.New(errs.Unavailable, "The refusal could not be recorded.") // what others see when commit panics
	b.err = commit(b)
	return b.err
}
