package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"deployportal/internal/foreign"
)

// How a cluster's health is watched over.
const (
	askEvery      = 5 * time.Second // GET /readyz while it answers
	askEveryStale = 2 * time.Second // and while it does not
	askWait       = 3 * time.Second
	silence       = 4 * time.Second  // a watch that reopens within this time was never away; with askEvery below 10 s
	readWait      = 10 * time.Second // a new view that is not complete by then is begun anew
	lookEvery     = 20 * time.Millisecond
	callQPS       = 20
)

// site is one cluster: the clients that ask it, the view of it, and whether the view can be trusted.
type site struct {
	config     *rest.Config
	namespaces []string
	bells      *bells
	now        func() time.Time
	log        *slog.Logger
	wire       *wire // for single calls: readyz, Live, Apply. What carries a patch was asked at most 5 s before.
	facts      *wire // for what is around workloads
	recall     *recall

	mu       sync.RWMutex
	view     *view // what is shown; nil before the first was complete
	next     *view // what is being read; only tend uses it
	answered time.Time
	since    time.Time // stale since; zero: fresh
	why      string
	version  string
	live     map[liveKey]*appsv1.Deployment // as Live read it last
}

type liveKey struct{ namespace, name string }

func newSite(cfg *rest.Config, b *bells, now func() time.Time, log *slog.Logger) (*site, error) {
	w, err := newWire(cfg, callQPS)
	if err != nil {
		return nil, err
	}
	facts, err := newWire(cfg, factQPS)
	if err != nil {
		return nil, err
	}
	log = log.With("cluster", cfg.Host)
	return &site{config: cfg, bells: b, now: now, log: log, wire: w, facts: facts,
		recall: &recall{now: now, log: log, kept: map[string]keptAnswer{}}, live: map[liveKey]*appsv1.Deployment{},
		since: now(), why: "The portal has not read the cluster yet."}, nil
}

// tend keeps the view until ctx ends.
func (s *site) tend(ctx context.Context) {
	defer func() {
		s.next.stop()
		s.view.stop()
		s.wire.cut()
		s.facts.cut()
		s.begin(s.now(), "The portal has not watched the cluster since %s.") // what was read stays, but ages
	}()
	var asked time.Time
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		every := askEvery
		if s.stale() && s.next == nil {
			every = askEveryStale
		}
		if time.Since(asked) >= every {
			asked = time.Now()
			s.ask(ctx)
		}
		s.advance(ctx)
		timer.Reset(s.pause(asked))
	}
}

// pause is how long there is nothing to do.
func (s *site) pause(asked time.Time) time.Duration {
	if s.next != nil {
		return lookEvery
	}
	every := askEvery
	if s.stale() {
		every = askEveryStale
	}
	return max(time.Until(asked.Add(every)), 0)
}

// ask sends GET /readyz and draws the consequences: no answer begins staleness, an answer after that begins a new
// view. Staleness ends only when that view is complete.
func (s *site) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(s.logged(ctx), askWait)
	defer cancel()
	status, _, err := s.wire.get(ctx, "/readyz")
	if ctx.Err() == context.Canceled {
		return
	}
	why := ""
	switch {
	case status == 0:
		why = "The cluster cannot be reached since %s."
	case status == http.StatusUnauthorized:
		why = "The cluster refuses the portal's credentials since %s."
	case status >= 500 || status == http.StatusTooManyRequests:
		why = "The cluster says that it is not ready since %s."
	}
	if why != "" {
		s.next.stop()
		s.next = nil
		s.wire.idle()                 // the next question shall not wait on a dead connection
		if s.begin(s.answered, why) { // once an outage: the page tells how long it lasts
			s.log.Warn("the cluster does not answer as it should", "status", status, "err", err)
		}
		return
	}
	s.mu.Lock()
	s.answered = s.now()
	s.mu.Unlock()
	if s.view != nil && !s.stale() {
		if since, ns := s.view.silent(); !since.IsZero() && s.now().Sub(since) > silence {
			s.begin(since, "The portal is not told of changes in "+ns+" since %s.")
		}
	}
	if s.stale() && (s.next == nil || s.now().Sub(s.next.begun) > readWait) {
		s.renew()
	}
}

// renew begins to read a new view.
func (s *site) renew() {
	s.next.stop()
	v, err := newView(s.config, s)
	if err != nil {
		s.next = nil
		s.log.Error("no view of the cluster can be built", "err", err)
		return
	}
	v.start(s.logged(context.Background())) // ended by stop, which also waits
	s.next = v
}

// advance puts the new view in the old one's place once it is complete.
func (s *site) advance(ctx context.Context) {
	if s.next == nil || !s.next.alive() {
		return
	}
	s.mu.Lock()
	old := s.view
	s.view, s.next = s.next, nil
	s.since, s.why = time.Time{}, ""
	s.mu.Unlock()
	s.log.Info("the cluster is read", "took", s.now().Sub(s.view.begun))
	s.bells.ringAll(s)
	old.stop()
	s.learnVersion(ctx)
}

// begin makes the view stale, unless it is already: then only the reason is renewed.
func (s *site) begin(since time.Time, why string) (changed bool) {
	s.mu.Lock()
	if s.since.IsZero() {
		s.since = since
	}
	was := s.why
	s.why = fmt.Sprintf(why, clock(s.since, s.now()))
	changed = s.why != was
	s.mu.Unlock()
	if changed {
		s.bells.ringAll(s)
	}
	return changed
}

// logged has client-go log where the package does; else it writes to the process's error stream.
func (s *site) logged(ctx context.Context) context.Context {
	return klog.NewContext(ctx, logr.FromSlogHandler(s.log.Handler()))
}

func (s *site) stale() bool {
	since, _ := s.staleness()
	return !since.IsZero()
}

func (s *site) staleness() (since time.Time, why string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.since, s.why
}

func (s *site) learnVersion(ctx context.Context) {
	ctx, cancel := context.WithTimeout(s.logged(ctx), askWait)
	defer cancel()
	_, body, err := s.wire.get(ctx, "/version")
	var answer struct {
		GitVersion string `json:"gitVersion"`
	}
	if err == nil {
		err = json.Unmarshal(body, &answer)
	}
	if err != nil {
		if !apierrors.IsForbidden(err) {
			s.log.Warn("the cluster's version cannot be read", "err", err)
		}
		return
	}
	s.mu.Lock()
	s.version = foreign.Line(answer.GitVersion, 64)
	s.mu.Unlock()
}

// clock writes a time as people read it in a sentence; the date only where it is another day.
func clock(t, now time.Time) string {
	t, now = t.UTC(), now.UTC()
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04 UTC")
	}
	return t.Format("2 Jan 15:04 UTC")
}
