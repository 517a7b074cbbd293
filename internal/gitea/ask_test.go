package gitea

import (
	"testing"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/gitea/giteatest"
)

// However many ask for an app's commits, Gitea is asked once; within 15 s, and as long as nothing can have changed, not
// again. Who waits for the bell is told when there is something new, and only then.
func TestAskIsShared(t *testing.T) {
	w := newWorld(t)
	w.history(6)
	for i := range 6 {
		w.fake.SetStatus("acme/api", sha(i), giteatest.Status{Context: "test", State: "success"})
	}
	side := sha(100)
	w.fake.AddRepo("acme", "api", giteatest.Commit{SHA: side, Message: "Aside", Parent: sha(1), At: w.clock.Now()})
	w.push(0, 6, giteatest.Image{})
	w.fake.PushImage("acme/api", side, giteatest.Image{})
	w.Refresh(t.Context(), w.app)
	running := sha(3)
	if a := w.About(w.app, running); a.Asked || len(a.CI)+len(a.Relations) != 0 {
		t.Errorf("before it was asked: %+v", a)
	}
	w.calls()
	bell, stop := w.Watch()
	defer stop()
	arrived, let := hold(w.fake)
	var all []<-chan struct{}
	for range 20 {
		all = append(all, w.Ask(w.app, running))
	}
	waitFor(t, arrived)
	let()
	for _, done := range all {
		waitFor(t, done)
	}
	waitFor(t, bell)
	// 7 states, one page of history, and two calls for each of the three that do not lie straight below.
	w.wantCalls(t, 7+1+2*3)
	a := w.About(w.app, running)
	for tag, want := range map[string]deploys.Relation{running: {}, sha(5): {Ahead: 2}, sha(0): {Behind: 3}, side: {Ahead: 1, Behind: 2}} {
		if r, ok := a.Relations[tag]; !ok || r != want {
			t.Errorf("%s: %+v %t, want %+v", tag[:7], r, ok, want)
		}
	}
	if !a.Asked || a.Err != nil || len(a.CI) != 7 || a.CI[side].State != deploys.CINone || a.CI[running].State != deploys.CISuccess {
		t.Errorf("%+v", a)
	}
	waitFor(t, w.Ask(w.app, running))
	w.wantCalls(t, 0)
	w.clock.add(freshFor)
	waitFor(t, w.Ask(w.app, running))
	w.wantCalls(t, 1) // the one without a state; what has ended is believed
	select {
	case <-bell:
		t.Error("the bell rang for nothing")
	default:
	}
	w.clock.add(reportsIn)
	waitFor(t, w.Ask(w.app, running))
	w.calls()
	w.clock.add(freshFor)
	waitFor(t, w.Ask(w.app, running))
	w.wantCalls(t, 0) // nothing has reported on it for an hour
}

// A new image and another running one are new questions.
func TestAskSeesNews(t *testing.T) {
	w := newWorld(t)
	w.history(3)
	w.push(0, 2, giteatest.Image{})
	w.Refresh(t.Context(), w.app)
	waitFor(t, w.Ask(w.app, sha(0)))
	w.push(2, 3, giteatest.Image{})
	w.Refresh(t.Context(), w.app)
	waitFor(t, w.Ask(w.app, sha(0)))
	if a := w.About(w.app, sha(0)); a.Relations[sha(2)] != (deploys.Relation{Ahead: 2}) {
		t.Errorf("after a push: %+v", a)
	}
	waitFor(t, w.Ask(w.app, sha(1)))
	if a := w.About(w.app, sha(1)); a.Relations[sha(2)] != (deploys.Relation{Ahead: 1}) || a.Relations[sha(0)] != (deploys.Relation{Behind: 1}) {
		t.Errorf("after a deploy: %+v", a)
	}
	for _, running := range []string{"", "latest", "0123456"} { // what runs need not be a commit
		waitFor(t, w.Ask(w.app, running))
		if a := w.About(w.app, running); a.Err != nil || len(a.Relations) != 0 || len(a.CI) != 3 {
			t.Errorf("%q: %+v", running, a)
		}
	}
}

func TestAskWithoutGitea(t *testing.T) {
	w := newWorld(t)
	w.history(2)
	w.push(0, 2, giteatest.Image{})
	w.Refresh(t.Context(), w.app)
	w.fake.SetDown(true)
	bell, stop := w.Watch()
	defer stop()
	waitFor(t, w.Ask(w.app, sha(0)))
	waitFor(t, bell)
	a := w.About(w.app, sha(0))
	wantFault(t, a.Err, errs.Unavailable, "cannot be reached")
	w.fake.SetDown(false)
	w.clock.add(freshFor)
	waitFor(t, w.Ask(w.app, sha(0)))
	waitFor(t, bell)
	if a := w.About(w.app, sha(0)); a.Err != nil || len(a.CI) != 2 {
		t.Errorf("after it came back: %+v", a)
	}
	w.fake.SetDown(true)
	w.clock.add(endedFor)
	waitFor(t, w.Ask(w.app, sha(0)))
	if a := w.About(w.app, sha(0)); a.Err == nil || len(a.CI) != 2 || len(a.Relations) != 2 {
		t.Errorf("what was known is lost: %+v", a)
	}
	if ended := w.Ask(deploys.App{Repository: w.app.Repository}, ""); ended != nil {
		waitFor(t, ended) // no repository: nothing to ask, and nobody waits
	}
}
