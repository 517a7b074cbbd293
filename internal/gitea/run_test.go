package gitea

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/gitea/giteatest"
)

// turns lets a test drive Run: each wait is told on asked and ends when the test rings go on.
type turns struct {
	asked chan time.Duration
	on    chan time.Time
}

func start(t *testing.T, w *world, apps ...deploys.App) *turns {
	return startWith(t, w, func() []deploys.App { return apps })
}

func startWith(t *testing.T, w *world, apps func() []deploys.App) *turns {
	tu := &turns{asked: make(chan time.Duration), on: make(chan time.Time)}
	w.after = func(d time.Duration) <-chan time.Time {
		select {
		case tu.asked <- d:
		case <-t.Context().Done():
		}
		return tu.on
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(ctx, apps)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return tu
}

// Where the cluster names the apps there are none for the first moment. Their lists must not wait a minute for that.
func TestRunWaitsForTheFirstApp(t *testing.T) {
	w := newWorld(t)
	w.history(3)
	w.push(0, 2, giteatest.MultiArch())
	var known atomic.Bool
	tu := startWith(t, w, func() []deploys.App {
		if known.Load() {
			return []deploys.App{w.app}
		}
		return nil
	})
	if d := waitFor(t, tu.asked); d != lookAgain {
		t.Errorf("waits %s for the first app, want %s", d, lookAgain)
	}
	known.Store(true)
	tu.on <- time.Time{}
	if d := waitFor(t, tu.asked); d != pollEvery {
		t.Errorf("waits %s, want %s", d, pollEvery)
	}
	if l := w.Cached(w.app); len(l.Images) != 2 {
		t.Errorf("list %+v", l)
	}
}

func TestRunKeepsListsFresh(t *testing.T) {
	w := newWorld(t)
	w.history(3)
	w.push(0, 2, giteatest.MultiArch())
	staging, admin := w.app, w.app
	staging.Env = "staging"
	admin.Repository = w.host() + "/acme/admin"
	tu := start(t, w, w.app, staging, admin)
	if d := waitFor(t, tu.asked); d != pollEvery {
		t.Errorf("waits %s, want %s", d, pollEvery)
	}
	if l := w.Cached(w.app); len(l.Images) != 2 || l.Err != nil {
		t.Errorf("list %+v", l)
	}
	w.calls()
	tu.on <- time.Time{}
	waitFor(t, tu.asked)
	w.wantCalls(t, 2) // one for each list that differs

	w.fake.SetDown(true)
	var waits []string
	for range 5 {
		tu.on <- time.Time{}
		waits = append(waits, waitFor(t, tu.asked).String())
	}
	if got := strings.Join(waits, " "); got != "1m0s 2m0s 4m0s 5m0s 5m0s" {
		t.Errorf("waits %s while it is down", got)
	}
	w.fake.SetDown(false)
	w.push(2, 3, giteatest.MultiArch())
	tu.on <- time.Time{}
	if d := waitFor(t, tu.asked); d != pollEvery {
		t.Errorf("waits %s after it came back", d)
	}
	if l := w.Cached(w.app); len(l.Images) != 3 || l.Err != nil {
		t.Errorf("list %+v", l)
	}
}

func TestRunAsksFourAtATime(t *testing.T) {
	w := newWorld(t)
	var apps []deploys.App
	for _, name := range strings.Fields("a b c d e f") {
		apps = append(apps, deploys.App{Repository: w.host() + "/acme/" + name})
	}
	arrived, let := hold(w.fake)
	tu := start(t, w, apps...)
	for range parallel {
		waitFor(t, arrived)
	}
	if len(arrived) > 0 {
		t.Error("a fifth call came while four were open")
	}
	let()
	waitFor(t, tu.asked)
	w.wantCalls(t, len(apps))
}
