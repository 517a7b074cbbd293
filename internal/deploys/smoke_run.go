package deploys

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

// smokeBeat is how often what came of the smoke probes is stored while they run, and so drawn: many answers at a time.
const smokeBeat = 250 * time.Millisecond

// smoking is the smoke probes of one run, under way or over. Its methods take nil for one that has not begun.
type smoking struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when no request is under way any more
	kept   int           // results that are stored
	closed bool          // its end is stored
	heard  bool          // the runner knows that it is over

	mu  sync.Mutex
	got Smoke
	err error
}

func (r *run) probes() []SmokeProbe {
	if r.s.smoker == nil {
		return nil
	}
	return r.s.smoker.Probes(r.app)
}

// smokeTest turns what the judge calls a success into what it is with the smoke probes: they begin, run or have come to
// their end. Any other verdict stands, and one that decides ends them. lines are for the timeline.
func (r *run) smokeTest(v Verdict, seen Rollout) (_ Verdict, lines []Line) {
	switch {
	case v.Status.IsTerminal() && v.Status != Succeeded:
		r.stopSmoke()
		return v, nil
	case v.Status == Succeeded && seen.Desired == 0:
		if r.stopSmoke(); len(r.probes()) > 0 {
			v.Note = joined(v.Note, "no smoke probes, for no pod is wanted")
		}
		return v, nil
	case v.Status == Succeeded && r.smoke == nil:
		probes := r.probes()
		if len(probes) == 0 {
			return v, nil
		}
		lines = []Line{{Kind: EventStep, Text: fmt.Sprintf("all pods well, smoke probes begin: %d requests", Smoke{Probes: probes}.Planned())}}
		r.startSmoke(probes)
	}
	if r.smoke == nil {
		return v, nil
	}
	if beat := r.now().Add(smokeBeat); !r.smoke.over() {
		if v.Status = Running; v.Again.IsZero() || v.Again.After(beat) {
			v.Again = beat
		}
		return v, lines
	}
	if v.Status != Succeeded { // pods have changed meanwhile: what was answered counts once they are well again
		return v, lines
	}
	return r.smoke.verdict(v, r.d.To), lines
}

func joined(notes ...string) string {
	out := ""
	for _, n := range notes {
		if out != "" && n != "" {
			out += "; "
		}
		out += n
	}
	return out
}

// verdict is what a success is after the smoke probes have ended.
func (s *smoking) verdict(v Verdict, to Version) Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return Verdict{Status: Errored, Sentence: v.Sentence + " But its smoke probes could not be sent: " + errs.Public(s.err)}
	}
	if c := s.got.Cause(); c != nil {
		return failed(*c)
	}
	v.Note = joined(s.got.Note(to), v.Note)
	return v
}

func (r *run) startSmoke(probes []SmokeProbe) {
	ctx, cancel := context.WithCancel(r.ctx)
	s := &smoking{cancel: cancel, done: make(chan struct{}), kept: -1, got: Smoke{Probes: probes, Began: r.now()}}
	r.smoke = s
	go func() {
		defer close(s.done)
		err := r.s.smoker.Smoke(ctx, r.app, r.d.From, r.d.To, func(one SmokeResult) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.got.Results = append(s.got.Results, one)
		})
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.err = err; ctx.Err() == nil {
			s.got.Ended = r.now()
		}
	}()
}

// stopSmoke ends the smoke probes and waits until no request is under way any more.
func (r *run) stopSmoke() {
	if r.smoke != nil {
		r.smoke.cancel()
		<-r.smoke.done
	}
}

// ending is closed when smoke probes that run come to their end; nil when none run.
func (s *smoking) ending() <-chan struct{} {
	if s == nil || s.heard {
		return nil
	}
	return s.done
}

// underWay tells whether probes are being sent: until they have ended, a success is none yet.
func (s *smoking) underWay() bool { return s != nil && !s.over() }

func (s *smoking) over() bool {
	select {
	case <-s.done:
		s.heard = true
		return true
	default:
		return false
	}
}

// news is what is not stored yet of the smoke probes; nil: nothing.
func (s *smoking) news() *Smoke {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.got.Results) == s.kept && s.closed == !s.got.Ended.IsZero() {
		return nil
	}
	got := s.got
	got.Results = slices.Clone(got.Results)
	return &got
}

// stored takes down that news is stored.
func (s *smoking) stored(news *Smoke) {
	if news != nil {
		s.kept, s.closed = len(news.Results), !news.Ended.IsZero()
	}
}

func putSmoke(ctx context.Context, tx *sqlite.Tx, id int64, s Smoke) error {
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("json.Marshal(smoke): %w", err)
	}
	_, err = tx.Exec(ctx, `UPDATE deploys SET smoke = ? WHERE id = ? AND finished_at IS NULL -- deploys.putSmoke`, string(text), id)
	return err
}

func smokeOf(ctx context.Context, q sqlite.Querier, id int64) (*Smoke, error) {
	var text sql.NullString
	_, err := sqlite.Row(q.QueryRow(ctx, `SELECT smoke FROM deploys WHERE id = ? -- deploys.smokeOf`, id).Scan(&text))
	if err != nil || !text.Valid {
		return nil, err
	}
	s := &Smoke{}
	if err := json.Unmarshal([]byte(text.String), s); err != nil {
		return nil, fmt.Errorf("smoke probes of deploy %d: %w", id, err)
	}
	return s, nil
}
