package story_test

import (
	"flag"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"deployportal/internal/kube/kubetest"
)

var slack = flag.Duration("trouble.slack", 5*time.Second, "what TestClusterTrouble adds to each bound, for a machine that does other things; make trouble takes 0")

// The kinds of wrongness that the trouble harness tells apart, beside what fails its test at once.
const (
	wrongTime = "later than promised"
	wrongSaid = "a verdict that the cluster contradicts"
	wrongLeak = "goroutines that stay behind"
)

// What the portal promises about a cluster in trouble.
const (
	toBeStale  = 10 * time.Second // until the pages say that they are old
	toBeJudged = 10 * time.Second // from the end of the trouble, until deploys under way have their verdict
	toBeFresh  = 60 * time.Second // from the end of the trouble, until the pages are as they were
)

// trouble is something between the portal and the API server.
type trouble struct {
	lasts time.Duration
	stale bool // the pages must say so; else what they show is late or not, in turn
	begin func(*world, *toxic) (end func())
}

// TestClusterTrouble: whatever is between portal and API server, pages say how old they are, no deploy under way gets a
// wrong verdict, all is well soon after it is gone, and nothing stays behind in the process.
func TestClusterTrouble(t *testing.T) {
	t.Parallel()
	var all longest
	t.Cleanup(func() { fmt.Printf("trouble: %d kinds, %s\n", all.kinds, all.worst) })
	for name, c := range map[string]trouble{
		"down":            {30 * time.Second, true, func(_ *world, x *toxic) func() { x.proxy.Stop(); return x.start }},
		"5 s late":        {20 * time.Second, true, poison(`{"type": "latency", "attributes": {"latency": 5000}}`)},
		"cut every 2 s":   {20 * time.Second, false, poison(`{"type": "reset_peer", "attributes": {"timeout": 2000}}`)},
		"black hole":      {20 * time.Second, true, poison(`{"type": "timeout", "stream": "upstream"}`, `{"type": "timeout", "stream": "downstream"}`)},
		"429":             {20 * time.Second, true, answering(http.StatusTooManyRequests, func(*http.Request) bool { return true })},
		"410 in watches":  {20 * time.Second, false, expiring},
		"410 for watches": {20 * time.Second, true, answering(http.StatusGone, func(r *http.Request) bool { return r.URL.Query().Has("watch") })},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n tally
			all.add(name, c.happen(t, "", &n))
			n.judge(t)
		})
	}
}

// lasted is how long things took.
type lasted struct{ stale, judged, fresh time.Duration }

func (l lasted) String() string {
	return fmt.Sprintf("pages stale within %.1f s; after its end deploys judged within %.1f s, pages fresh within %.1f s",
		l.stale.Seconds(), l.judged.Seconds(), l.fresh.Seconds())
}

// longest is the worst of several.
type longest struct {
	mu    sync.Mutex
	worst lasted
	kinds int
}

func (l *longest) add(name string, o lasted) {
	fmt.Printf("%s: %s\n", name, o)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kinds++
	l.worst = lasted{max(l.worst.stale, o.stale), max(l.worst.judged, o.judged), max(l.worst.fresh, o.fresh)}
}

// outages is how often a trouble comes, for what stays behind after each to add up.
const outages = 3

// happen lets the trouble come and go while one deploy is to succeed and one to fail and to be rolled back, and while
// somebody asks for one more. After that it comes again, for a moment each.
func (c trouble) happen(t *testing.T, binary string, n *tally) (took lasted) {
	var x *toxic
	w := newStage(t, func(w *world) {
		x, w.binary, w.failure = newToxic(t, w.gate), binary, "rollback"
		w.apps, w.stability = "[{name: api, image: acme/api}, {name: bad, image: acme/api}, {name: late, image: acme/api}]", "8s"
	})
	w.gitea.AddRepo("acme", "api", commitOf(v1), commitOf(v2), commitOf(crashes))
	for _, app := range []string{"api", "bad", "late"} {
		w.ns.CreateDeployment(t, app, 2, w.pinned(v1), kubetest.WithoutProbes())
	}
	for _, app := range []string{"api", "bad", "late"} {
		w.ns.WaitDeployment(t, app, "available", kubetest.Available)
	}
	w.start()
	w.ana = w.signIn("ana", passwordOfAna)
	w.seen()
	late := w.ana.get("/apps/prod/late/confirm?image=" + v2)
	good := w.ana.deploy(v2)
	bad := w.ana.ask("/apps/prod/bad/confirm?image=" + crashes).deployID()
	w.until("the patches to be recorded", func() bool { return w.row(good).patched && w.row(bad).patched })
	if w.row(good).over || w.row(bad).over {
		t.Fatal("over before the trouble began")
	}

	end := c.begin(w, x)
	began := time.Now()
	inTheGap := late.submitRaw(w.ana, confirmForm, nil)
	if c.stale {
		took.stale = c.toldOn(w, n, began, good)
	}
	<-time.After(time.Until(began.Add(c.lasts)))
	end()
	began = time.Now()
	w.until("the verdicts", func() bool { return w.row(good).over && w.row(bad).over })
	took.judged = n.within("the verdicts", began, toBeJudged)
	w.until("the board to be fresh", w.fresh)
	took.fresh = n.within("the board is fresh", began, toBeFresh)
	w.over(good, "succeeded", "2 of 2 pods run "+v2)
	w.over(bad, "failed", crashed)
	w.agrees(n, w.answerTo(bad), v1)
	w.asked(n, inTheGap)
	c.again(w, x)
	w.whole()
	w.leaves(n)
	return took
}

// toldOn waits until the board and the page of a deploy under way say that they are old.
func (c trouble) toldOn(w *world, n *tally, began time.Time, id int64) time.Duration {
	board, page := time.Duration(0), time.Duration(0)
	w.until("the pages to say it", func() bool {
		if board == 0 && w.oldBoard() {
			board = n.within("the board says it", began, toBeStale)
		}
		if page == 0 && (w.row(id).over || w.ana.get(fmt.Sprintf("/deploys/%d", id)).doc.Find("#deploy-stale").Length() == 1) {
			page = n.within("the deploy's page says it", began, toBeStale)
		}
		return board > 0 && page > 0
	})
	return max(board, page)
}

// again lets the trouble come and go some more times. What is not shown by the pages would only be more of the same.
func (c trouble) again(w *world, x *toxic) {
	for range outages - 1 {
		if !c.stale {
			return
		}
		end := c.begin(w, x)
		w.until("the board to say it", w.oldBoard)
		end()
		w.until("the board to be fresh", w.fresh)
	}
}

// answerTo waits for the rollback that answers a failure and gives its id.
func (w *world) answerTo(id int64) (back int64) {
	w.t.Helper()
	w.until("the rollback", func() bool {
		back = int64(w.count(`SELECT ifnull(max(id), 0) FROM deploys WHERE rollback_of = ? AND actor_id = 'portal:auto'`, id))
		return back > 0
	})
	return back
}

// asked judges the answer to who asked for a deploy when the trouble had just begun: it was begun, and then ends as the
// cluster has it, or it was refused since the cluster is not seen.
func (w *world) asked(n *tally, answer *page) {
	w.t.Helper()
	if id := idOf(answer.header.Get("Location")); answer.status == http.StatusSeeOther && id > 0 {
		w.agrees(n, id, v2)
		return
	}
	if said := refusal(answer.doc); answer.status != http.StatusServiceUnavailable || !oldSentence.MatchString(said) {
		n.wrong(wrongSaid, "asked in the gap: %d %q", answer.status, said)
	}
}

// agrees waits for a deploy's end: it succeeded if its one patch reached the API server, else it says that it did not.
func (w *world) agrees(n *tally, id int64, tag string) {
	w.t.Helper()
	w.until(fmt.Sprintf("deploy %d to end", id), func() bool { return w.row(id).over })
	landed := len(w.gate.came(0, func(k *call) bool { return isPatchOf(k, id) && k.code == http.StatusOK }))
	r, want := w.row(id), "errored"
	if landed > 0 {
		want = "succeeded"
	}
	if r.status != want || landed > 1 || landed == 1 && !strings.Contains(r.sentence, "2 of 2 pods run "+tag) {
		n.wrong(wrongSaid, "deploy %d is %s after %d patches: %s", id, r.status, landed, r.sentence)
	}
	w.over(id, r.status, r.sentence)
}

func isPatchOf(k *call, id int64) bool {
	return k.method == http.MethodPatch && deployOfPatch(k.body) == id
}

// within says how long something took and notes when that was too long.
func (n *tally) within(what string, since time.Time, bound time.Duration) time.Duration {
	took := time.Since(since)
	if took > bound+*slack {
		n.wrong(wrongTime, "%s after %s, promised within %s", what, took, bound)
	}
	return took
}

var oldSentence = regexp.MustCompile(`The cluster cannot be reached since|The cluster says that it is not ready since|The portal is not told of changes in \S+ since|The portal has not read `)

// fresh tells whether the board does not say so any more, and the portal is ready.
func (w *world) fresh() bool {
	return !w.oldBoard() && strings.TrimSpace(w.anyone().send(http.MethodGet, "/readyz", nil).body) == "ready"
}

// oldBoard tells whether the board says that what it shows is old.
func (w *world) oldBoard() bool { return oldSentence.MatchString(w.ana.get("/").text("main")) }
