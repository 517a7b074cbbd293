package story_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// point is where on a deploy's path the portal is killed. The binary has no part in it: the gate holds what passes
// between it and the API server, and the database can be read and locked beside it.
type point struct {
	name    string
	prepare func(*volley)
	reach   func(*volley)      // returns when it is time to kill
	hit     func(*volley) bool // asked after the kill; nil: it cannot miss
}

// The numbers are the steps of the one path in ARCHITECTURE.md.
var points = []point{
	{name: "recorded", reach: untilPending, hit: func(v *volley) bool { // between 4 and 5
		return v.c.w.count(`SELECT count(*) FROM deploys WHERE status = 'pending'`) > 0
	}},
	{name: "running, not sent", prepare: holding(false), reach: untilHeld}, // between 5 and 6
	{name: "sent, not answered", reach: untilHeld, prepare: func(v *volley) { // in 6
		applied := v.c.random.IntN(2) == 0
		holding(applied)(v)
		if !applied {
			v.after = v.land // it reaches the API server when its sender is dead
		}
	}},
	{name: "answered, not stored", prepare: holding(true), reach: untilAnswered, hit: func(v *volley) bool { // between 6 and 7
		return v.all(`status = 'running' AND patched_at IS NULL`)
	}},
	{name: "watching", reach: func(v *volley) { // in 7, up to the end of the window
		v.c.w.until("the patches to be recorded", func() bool { return v.all(`patched_at IS NOT NULL`) })
		v.pause(2 * time.Second)
	}},
	{name: "at random", reach: func(v *volley) { v.pause(4 * time.Second) }},
}

// volley is the deploys that are asked for before one kill.
type volley struct {
	c       *killer
	steered []string // asked for at once, and led to the point
	others  []string // asked for in the moments after, and left alone
	before  int      // the newest deploy before them
	base    string   // address of the portal that will die
	over    chan struct{}
	asking  sync.WaitGroup
	holds   []*hold
	after   func() // between the kill and the next start
	lost    bool   // something is wrong, so it was led no further
}

// ask opens the confirm pages and submits them: the steered ones now, the others a little later.
func (v *volley) ask() {
	type form struct {
		app, action string
		fields      url.Values
		delay       time.Duration
	}
	var forms []form
	for i, app := range append(v.steered[:len(v.steered):len(v.steered)], v.others...) {
		tags := map[string][]string{v1: {v2, v3}, v2: {v3, v1}, v3: {v1, v2}}[v.c.liveTag(app)]
		f := form{app: app}
		f.action, f.fields = v.c.w.ana.get("/apps/prod/" + app + "/confirm?image=" + tags[v.c.random.IntN(2)]).fields(confirmForm)
		if i >= len(v.steered) {
			f.delay = time.Duration(v.c.random.IntN(400)) * time.Millisecond
		}
		forms = append(forms, f)
	}
	for _, f := range forms {
		v.asking.Go(func() {
			select {
			case <-time.After(f.delay):
				v.submit(f.app, f.action, f.fields)
			case <-v.over:
			}
		})
	}
}

// submit sends one form. No answer is no fault here; what was promised in one is kept in mind.
func (v *volley) submit(app, action string, fields url.Values) {
	r, err := http.NewRequestWithContext(context.WithoutCancel(v.c.w.t.Context()), http.MethodPost, v.base+action, strings.NewReader(fields.Encode()))
	if err != nil {
		v.c.w.t.Error(err)
		return
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", v.base)
	r.Header.Set("Cookie", v.c.w.ana.cookie)
	res, err := plainClient.Do(r)
	if err != nil {
		return
	}
	_ = res.Body.Close()
	v.c.answered(app, res.StatusCode, res.Header.Get("Location"))
}

// pause lets a random part of a time pass.
func (v *volley) pause(most time.Duration) {
	<-time.After(time.Duration(v.c.random.Int64N(int64(most))))
}

func holding(answer bool) func(*volley) {
	return func(v *volley) {
		for _, app := range v.steered {
			v.holds = append(v.holds, v.c.w.gate.hold(func(r *http.Request) bool { return isPatch(r) && strings.HasSuffix(r.URL.Path, "/deployments/"+app) }, answer))
		}
	}
}

// untilHeld waits for what is to be held, or until something is wrong: a portal that holds the database while it waits for an
// answer cannot be led further.
func untilHeld(v *volley) {
	for _, h := range v.holds {
		v.c.w.until("a request to be held", func() bool {
			select {
			case <-h.reached:
				return true
			default:
				return v.c.all() != 0
			}
		})
	}
	v.lost = v.c.all() != 0
}

// untilAnswered lets the answers through while the database takes no writes.
func untilAnswered(v *volley) {
	untilHeld(v)
	if v.lost {
		return
	}
	v.after = v.c.w.lockDatabase()
	for _, h := range v.holds {
		h.pass()
	}
	v.pause(100 * time.Millisecond)
}

// land lets held requests reach the API server after all.
func (v *volley) land() {
	for _, h := range v.holds {
		h.pass()
		v.c.w.wait(h.through, "the API server to take a late patch")
	}
}

// untilPending looks for a row that no runner has taken, until the last answer is there.
func untilPending(v *volley) {
	answered := make(chan struct{})
	go func() {
		v.asking.Wait()
		close(answered)
	}()
	for v.c.w.count(`SELECT count(*) FROM deploys WHERE status = 'pending'`) == 0 {
		select {
		case <-answered:
			return
		default:
		}
	}
}

// all tells whether the deploy of every steered target is as asked.
func (v *volley) all(where string) bool {
	for _, app := range v.steered {
		if v.c.w.count(`SELECT count(*) FROM deploys WHERE app = ? AND id > ? AND `+where, app, v.before) == 0 {
			return false
		}
	}
	return true
}
