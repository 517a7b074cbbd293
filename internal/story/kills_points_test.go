package story_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/PuerkitoBio/goquery"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// point is where on a deploy's path the portal is killed. The binary has no part in it: the gate holds what passes
// between it and the API server, and the database can be read and locked beside it.
type point struct {
	name    string
	alone   bool // one target is steered
	prepare func(*volley)
	reach   func(*volley)      // returns when it is time to kill
	hit     func(*volley) bool // asked after the kill; nil: it cannot miss
}

const (
	unstored = `status = 'running' AND patched_at IS NULL`
	watched  = `status = 'running' AND patched_at IS NOT NULL`
)

// The numbers are the steps of the one path in ARCHITECTURE.md.
var points = []point{
	{name: "recorded", reach: untilPending, hit: func(v *volley) bool { return v.pending() > 0 }}, // between 5 and 6
	{name: "running, not sent", reach: untilHeld, prepare: func(v *volley) { // between 6 and 7
		holding(false)(v)
		v.after = v.moveOn
	}, hit: func(v *volley) bool { return v.all(unstored) }},
	{name: "sent, not answered", reach: untilHeld, prepare: func(v *volley) { // in 7
		applied := v.c.random.IntN(2) == 0
		holding(applied)(v)
		if !applied {
			v.after = v.land // it reaches the API server when its sender is dead
		}
	}, hit: func(v *volley) bool { return v.all(unstored) }},
	{name: "answered, not stored", prepare: holding(true), reach: untilAnswered, hit: func(v *volley) bool { return v.all(unstored) }}, // between 7 and 8
	{name: "watching", reach: func(v *volley) { // in 8, up to the end of the window
		v.until("the patches to be recorded", func() bool { return v.all(`patched_at IS NOT NULL`) })
		v.pause(1500 * time.Millisecond)
	}, hit: func(v *volley) bool { return v.all(watched) }},
	{name: "before the outcome", alone: true, prepare: failing, reach: untilDecided, hit: func(v *volley) bool { // between 8 and 9
		if v.answered { // or between 9 and the patch of the rollback
			return v.all(`status = 'failed'`) && v.all(`actor_id = 'portal:auto' AND (status = 'pending' OR `+unstored+`)`)
		}
		return v.all(watched)
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

	failing  bool // what is steered crashes
	answered bool // and the kill comes when its outcome is written and the rollback is on its way
}

// submission is a form that is about to be sent.
type submission struct {
	app, action string
	fields      url.Values
	delay       time.Duration
	replaces    bool // a deploy under way
}

// ask opens the confirm pages and submits them: the steered ones now, the others a little later, and sometimes one that is
// to take the place of a deploy under way.
func (v *volley) ask() {
	var forms []submission
	for i, app := range append(v.steered[:len(v.steered):len(v.steered)], v.others...) {
		f, tag := submission{app: app}, ""
		switch {
		case i >= len(v.steered):
			f.delay, tag = v.moment(), v.c.pick(app)
		case v.failing:
			tag = v.c.breaks()
		default:
			tag = v.c.another(app)
		}
		f.action, f.fields = v.c.w.ana.get("/apps/prod/" + app + "/confirm?image=" + tag).fields(confirmForm)
		forms = append(forms, f)
	}
	for _, f := range append(forms, v.replacement()...) {
		v.asking.Go(func() {
			select {
			case <-time.After(f.delay):
				v.submit(f)
			case <-v.over:
			}
		})
	}
}

func (v *volley) moment() time.Duration {
	return time.Duration(v.c.random.IntN(400)) * time.Millisecond
}

// replacement is a form that takes the place of a deploy which an earlier volley left open, if there is one and it is
// open still.
func (v *volley) replacement() []submission {
	open := v.c.open()
	if len(open) == 0 || v.c.random.IntN(3) > 0 {
		return nil
	}
	ids := slices.Sorted(maps.Keys(open))
	id := ids[v.c.random.IntN(len(ids))]
	app := open[id].app
	page := v.c.w.ana.get(fmt.Sprintf("/apps/prod/%s/confirm?image=%s&replaces=%d", app, v.c.another(app), id))
	if page.doc.Find(confirmForm).Length() != 1 {
		return nil
	}
	f := submission{app: app, replaces: true, delay: v.moment()}
	f.action, f.fields = page.fields(confirmForm)
	return []submission{f}
}

// submit sends one form. No answer is no fault here; what was promised in one is kept in mind.
func (v *volley) submit(f submission) {
	r, err := http.NewRequestWithContext(context.WithoutCancel(v.c.w.t.Context()), http.MethodPost, v.base+f.action, strings.NewReader(f.fields.Encode()))
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
	defer func() { _ = res.Body.Close() }()
	doc, err := goquery.NewDocumentFromReader(res.Body)
	if err != nil && res.StatusCode != http.StatusSeeOther {
		return // it died while it told
	}
	v.c.answered(f, res.StatusCode, res.Header.Get("Location"), refusal(doc))
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

// until waits for something, or until something is wrong: a portal with a fault may never come there. One that holds the
// database while it waits for an answer cannot be led further, for instance.
func (v *volley) until(what string, ok func() bool) {
	v.c.w.until(what, func() bool { return v.c.all() != 0 || ok() })
	v.lost = v.c.all() != 0
}

// untilHeld waits for what is to be held.
func untilHeld(v *volley) {
	for _, h := range v.holds {
		v.until("a request to be held", func() bool {
			select {
			case <-h.reached:
				return true
			default:
				return false
			}
		})
	}
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

// failing steers an image that crashes, now and then: what it said at its end is read right before the outcome.
func failing(v *volley) {
	app := v.steered[0]
	if v.failing = v.c.random.IntN(4) == 0 && !isBroken(v.c.liveTag(app)); !v.failing {
		return
	}
	v.holds = append(v.holds, v.c.w.gate.hold(func(r *http.Request) bool {
		return strings.HasSuffix(r.URL.Path, "/log") && strings.Contains(r.URL.Path, "/pods/"+app+"-")
	}, false))
	v.answered = v.c.random.IntN(2) == 0
}

// untilDecided waits for the moment in which the verdict is there and cannot be written.
func untilDecided(v *volley) {
	if v.failing {
		untilHeld(v)
	} else {
		v.until("the window to open", func() bool { // what is seen late has stayed well already, and is missed
			return v.all(`(finished_at IS NOT NULL OR EXISTS (SELECT 1 FROM deploy_events WHERE deploy_id = deploys.id AND text LIKE 'all pods ready%'))`)
		})
	}
	if v.lost {
		return
	}
	if v.answered {
		v.untilAnswerHeld()
		return
	}
	v.after = v.c.w.lockDatabase()
	for _, h := range v.holds {
		h.pass()
	}
	<-time.After(time.Second) // the window, at most
	v.pause(300 * time.Millisecond)
}

// untilAnswerHeld lets the outcome be written and stops the rollback that answers it, at its look or at its patch.
func (v *volley) untilAnswerHeld() {
	match, app := isLook, v.steered[0]
	if v.c.random.IntN(2) == 0 {
		match = isPatch
	}
	answer := v.c.w.gate.hold(func(r *http.Request) bool { // the verdict before it is proven by a look as well
		return match(r) && strings.HasSuffix(r.URL.Path, "/"+app) &&
			v.c.w.count(`SELECT count(*) FROM deploys WHERE app = ? AND id > ? AND actor_id = 'portal:auto'`, app, v.before) > 0
	}, false)
	v.holds[0].pass()
	v.holds = []*hold{answer}
	untilHeld(v)
}

// moveOn changes, three times of four, something else of the Deployments: then it is plain that a patch which is not there
// will not be accepted any more, and nobody has to wait for it.
func (v *volley) moveOn() {
	if v.c.random.IntN(4) == 0 {
		return
	}
	label := fmt.Appendf(nil, `{"metadata":{"labels":{"moved":"%d"}}}`, v.before)
	for _, app := range v.steered {
		if _, err := v.c.w.ns.Admin.AppsV1().Deployments(v.c.w.ns.Name).Patch(v.c.w.t.Context(), app, types.MergePatchType, label, metav1.PatchOptions{}); err != nil {
			v.c.w.t.Fatal(err)
		}
	}
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
	for v.pending() == 0 {
		select {
		case <-answered:
			return
		default:
		}
	}
}

// pending counts the deploys that were asked for in this volley and that no runner has taken.
func (v *volley) pending() int {
	return v.c.w.count(`SELECT count(*) FROM deploys WHERE id > ? AND status = 'pending' AND actor_id <> 'portal:auto'`, v.before)
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
