package deploys

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"deployportal/internal/errs"
	"deployportal/internal/foreign"
	"deployportal/internal/sqlite"
)

// lookupTimeout bounds one question to the registry about a rollout under way.
const lookupTimeout = 5 * time.Second

// proveAgain is how long a verdict waits that could not be proven.
const proveAgain = time.Second

// askAgain is how long a failed look-up waits before it is tried once more.
const askAgain = 10 * time.Second

func (r *run) basis() Basis {
	return Basis{App: r.app, UID: r.d.UID, Generation: r.d.Generation, Template: r.d.Template, Left: r.wrote, To: r.d.To, T0: r.d.Started, Usual: r.usual}
}

// watch is steps 9 and 10: look, write down what changed, judge, wait for the bell. What the judge calls a success is one
// once the smoke probes say so too.
func (r *run) watch() error {
	bell, stop := r.s.cluster.Watch(r.d.Target)
	defer stop()
	defer r.stopSmoke()
	var err error
	if r.usual, err = r.s.usualStart(r.ctx, r.d.Target); err != nil && r.ctx.Err() == nil { // it only tells what is unusual
		r.s.log.Error("how long pods take to start cannot be read", "deploy", r.d.ID, "err", err)
	}
	r.wrote = r.left()
	var shown Rollout
	if r.d.Rollout != nil {
		shown = *r.d.Rollout
	}
	phase, causes := Phase(""), r.d.Causes
	for {
		seen, err := r.s.cluster.Rollout(r.d.Target)
		if err != nil {
			return r.errored(err)
		}
		r.ask(seen)
		seen, v, memory := r.judge(seen)
		if v.Status == Failed && r.readLogs(seen, v.Cause) {
			seen, v, memory = r.judge(seen)
		}
		memory.Proven = r.proven()
		r.d.Memory = memory
		lines := Lines(r.basis(), shown, seen)
		if v.Phase == PhaseHolding && phase != PhaseHolding {
			lines = append(lines, Line{Kind: EventStep, Text: "all pods ready, holding until " + clock(v.Ends)})
		}
		phase = v.Phase
		v, told := r.smokeTest(v, seen)
		l := look{rollout: &seen, memory: &memory, causes: v.Causes, lines: append(lines, told...), smoke: r.smoke.news()}
		if v.Status.IsTerminal() {
			o := outcome{status: v.Status, sentence: v.Sentence, note: v.Note, cause: r.complete(v.Cause), look: l}
			if v.Status == Superseded {
				o.now = &seen
			}
			return r.finish(o)
		}
		if differs(shown, seen) || len(l.lines) > 0 || l.smoke != nil || !reflect.DeepEqual(causes, v.Causes) {
			if r.note(l) {
				shown, causes = seen, v.Causes
				r.smoke.stored(l.smoke)
			} else if again := r.now().Add(r.s.retry); v.Again.IsZero() || again.Before(v.Again) {
				v.Again = again
			}
		}
		if !r.wait(bell, v.Again) {
			return errStopped
		}
	}
}

// judge judges a view. What would end the deploy by a verdict is judged anew on a view that is proven: caches may be
// behind without a word for as long as a dead connection takes to be noticed, and time alone must decide nothing then.
func (r *run) judge(seen Rollout) (Rollout, Verdict, Memory) {
	v, memory := Judge(r.basis(), r.known, r.d.Memory, seen, r.now())
	if v.Status != Failed && (v.Status != Succeeded || r.smoke.underWay()) {
		return seen, v, memory
	}
	asked := r.now()
	proven, err := r.s.cluster.Proven(r.ctx, r.d.Target)
	if err != nil { // the clocks stand: either it is proven later, or the view becomes stale
		r.say("How this deploy ends is not known yet. " + errs.Public(err))
		return seen, Verdict{Status: Running, Phase: v.Phase, Causes: v.Causes, Again: r.now().Add(proveAgain)}, r.d.Memory
	}
	r.say("")
	v, memory = Judge(r.basis(), r.known, r.d.Memory, proven, asked)
	return proven, v, memory
}

// look is what one look at the cluster leaves in the row.
type look struct {
	rollout *Rollout // nil: nothing was seen
	memory  *Memory
	causes  []Cause
	lines   []Line
	smoke   *Smoke // nil: nothing new
}

// note stores a new view and its timeline lines. A failure is shown and not fatal: it is tried again.
func (r *run) note(l look) bool {
	err := r.s.db.Write(r.ctx, func(tx *sqlite.Tx) error { return r.s.view(r.ctx, tx, r.d.ID, l) })
	switch {
	case err == nil:
		r.say("")
		r.s.hub.ring(r.d.ID)
		return true
	case r.ctx.Err() == nil:
		r.s.log.Error("a deploy's events cannot be written", "deploy", r.d.ID, "err", err)
		r.say(errs.Public(err) + " The rollout goes on; this page is behind it.")
	}
	return false
}

// view stores the newest view, the judge's memory, the causes and the lines of one look, inside tx.
func (s *Service) view(ctx context.Context, tx *sqlite.Tx, id int64, l look) error {
	for _, line := range l.lines {
		if _, err := appendEvent(ctx, tx, id, line.Kind, foreign.Line(line.Text, 1000)); err != nil {
			return err
		}
	}
	if l.smoke != nil {
		if err := putSmoke(ctx, tx, id, *l.smoke); err != nil {
			return err
		}
	}
	if l.rollout == nil {
		return nil
	}
	if len(l.lines) == 0 {
		if _, err := appendEvent(ctx, tx, id, EventRollout, ""); err != nil {
			return err
		}
	}
	var texts []any
	for _, part := range []any{l.rollout, l.memory, l.causes} {
		text, err := json.Marshal(part)
		if err != nil {
			return fmt.Errorf("json.Marshal(%T): %w", part, err)
		}
		texts = append(texts, string(text))
	}
	_, err := tx.Exec(ctx, `UPDATE deploys SET rollout = ?, memory = ?, causes = ? WHERE id = ? AND finished_at IS NULL -- deploys.view`,
		append(texts, id)...)
	return err
}

// wait returns when there may be something new; false when the run must stop.
func (r *run) wait(bell <-chan struct{}, again time.Time) bool {
	var timer <-chan time.Time
	if !again.IsZero() {
		t := time.NewTimer(max(again.Sub(r.now()), time.Millisecond))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-bell:
	case <-timer:
	case <-r.smoke.ending():
	case learn := <-r.facts:
		learn(&r.known)
	case <-r.ctx.Done():
	}
	return r.ctx.Err() == nil
}

// ask sends what this view raises to the registry and the cluster, each question once at a time, beside the watch.
func (r *run) ask(seen Rollout) {
	b := r.basis()
	if b.PullFails(seen) && r.known.Pull.Sentence == "" && r.due("pull") {
		go r.lookup(func(ctx context.Context) func(*Facts) {
			fact := r.askPull(ctx)
			return func(f *Facts) { f.Pull = fact }
		})
	}
	for _, w := range b.logsWanted(seen) {
		if r.due(w.question) {
			go r.lookup(func(ctx context.Context) func(*Facts) { return r.askLog(ctx, w) })
		}
	}
	for _, digest := range b.Unproven(seen) {
		if p := r.known.Proof[digest]; p != "" && p != Unresolvable || !r.due(digest) {
			continue
		}
		go r.lookup(func(ctx context.Context) func(*Facts) {
			proof := r.prove(ctx, digest)
			return func(f *Facts) { f.Proof[digest] = proof }
		})
	}
}

func (r *run) due(question string) bool {
	now := r.now()
	if at, asked := r.asked[question]; asked && now.Before(at.Add(askAgain)) {
		return false
	}
	r.asked[question] = now
	return true
}

func (r *run) lookup(question func(context.Context) func(*Facts)) {
	ctx, cancel := context.WithTimeout(r.ctx, lookupTimeout)
	defer cancel()
	learn := question(ctx)
	select {
	case r.facts <- learn:
	case <-r.done:
	}
}

// prove compares the configs of the image that a runtime reports with the asked one's: containerd knows content by its
// config, and may report the digest of any manifest or index that was pulled with the same one.
func (r *run) prove(ctx context.Context, digest string) Proof {
	reported, known := r.configs(ctx, digest)
	if !known {
		return Unresolvable
	}
	asked := r.d.To.Proofs
	if len(r.d.To.Platforms) == 0 { // told by a cluster and not by the registry: no configs are among them
		if asked, known = r.configs(ctx, r.d.To.Digest); !known {
			return Unresolvable
		}
	}
	same := 0
	for _, config := range reported {
		if slices.Contains(asked, config) {
			same++
		}
	}
	switch same {
	case len(reported):
		return Proven
	case 0:
		return Different
	}
	return Unresolvable
}

// proven lists what look-ups have proven, and keeps what those of a portal before this one have.
func (r *run) proven() []string {
	out := r.d.Memory.Proven
	for _, digest := range slices.Sorted(maps.Keys(r.known.Proof)) {
		if r.known.Proof[digest] == Proven && !slices.Contains(out, digest) {
			out = append(slices.Clip(out), digest)
		}
	}
	return out
}

// configs gives the configs behind a digest; known is false when the registry cannot tell.
func (r *run) configs(ctx context.Context, digest string) (configs []string, known bool) {
	if digest == "" {
		return nil, false
	}
	configs, err := r.s.registry.Configs(ctx, r.d.To.Repository, digest)
	if err != nil && errs.KindOf(err) != errs.NotFound {
		r.s.log.Warn("a digest cannot be looked up", "deploy", r.d.ID, "digest", digest, "err", err)
	}
	return configs, err == nil && len(configs) > 0
}
