package story_test

import (
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"deployportal/internal/kube/kubetest"
)

var slack = flag.Duration("trouble.slack", 15*time.Second, "what TestClusterTrouble adds to each bound, for a machine that does other things; make trouble takes 0")

// The kinds of wrongness that the trouble harness tells apart, beside what fails its test at once.
const (
	wrongTime = "later than promised"
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

// TestClusterTroubleFindsTheFault: a portal that keeps the view it has replaced is one that leaks.
func TestClusterTroubleFindsTheFault(t *testing.T) {
	t.Parallel()
	var n tally
	leaks := mutant(t, edit{"internal/kube/site.go", "s.bells.ringAll(s)\n\told.stop()\n", "s.bells.ringAll(s)\n\t_ = old\n"})
	trouble{3 * time.Second, true, answering(http.StatusTooManyRequests, func(*http.Request) bool { return true })}.happen(t, leaks, &n)
	n.mustFind(t, wrongLeak)
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

// happen lets the trouble come and go while one deploy is to succeed and one to fail.
func (c trouble) happen(t *testing.T, binary string, n *tally) (took lasted) {
	var x *toxic
	w := newStage(t, func(w *world) {
		x, w.binary = newToxic(t, w.gate), binary
		w.apps, w.stability = "[{name: api, image: acme/api}, {name: bad, image: acme/api}]", "8s"
	})
	for _, app := range []string{"api", "bad"} {
		w.ns.CreateDeployment(t, app, 2, w.pinned(v1), kubetest.WithoutProbes())
		w.ns.WaitDeployment(t, app, "available", kubetest.Available)
	}
	w.start()
	w.ana = w.signIn("ana", passwordOfAna)
	w.seen()
	good := w.ana.deploy(v2)
	bad := w.ana.ask("/apps/prod/bad/confirm?image=" + crashes).deployID()
	w.until("the patches to be recorded", func() bool { return w.row(good).patched && w.row(bad).patched })
	if w.row(good).over || w.row(bad).over {
		t.Fatal("over before the trouble began")
	}

	end := c.begin(w, x)
	began := time.Now()
	if c.stale {
		w.until("the board to say it", w.oldBoard)
		took.stale = n.within("the board says it", began, toBeStale)
		w.until("the deploy's page to say it", func() bool {
			return w.row(good).over || w.ana.get(fmt.Sprintf("/deploys/%d", good)).doc.Find("#deploy-stale").Length() == 1
		})
	}
	<-time.After(time.Until(began.Add(c.lasts)))
	end()
	began = time.Now()
	w.until("the verdicts", func() bool { return w.row(good).over && w.row(bad).over })
	took.judged = n.within("the verdicts", began, toBeJudged)
	w.until("the board to be fresh", func() bool {
		return !w.oldBoard() && strings.TrimSpace(w.anyone().send(http.MethodGet, "/readyz", nil).body) == "ready"
	})
	took.fresh = n.within("the board is fresh", began, toBeFresh)
	w.over(good, "succeeded", "2 of 2 pods run "+v2)
	w.over(bad, "failed", "ended with exit code 2 and was started again ")
	w.whole()
	w.leaves(n)
	return took
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

// oldBoard tells whether the board says that what it shows is old.
func (w *world) oldBoard() bool { return oldSentence.MatchString(w.ana.get("/").text("main")) }

// leaves compares the goroutines of the portal with those of one that has just been started and lived no trouble.
func (w *world) leaves(n *tally) {
	after := w.goroutines()
	w.start()
	w.seen()
	w.ana.get("/")
	before := w.goroutines()
	for _, by := range slices.Sorted(maps.Keys(after)) {
		allowed := 2 // a connection more to browser or API server
		if by == "net/http.(*Transport).dialConn" {
			allowed += 2 * 8 // the idle connections to Gitea that the pool may keep, of two goroutines each
		}
		if more := after[by] - before[by]; more > allowed {
			n.wrong(wrongLeak, "%d more than in a new portal were created by %s", more, by)
		}
	}
}

var creator = regexp.MustCompile(`(?m)^created by (\S+)`)

// goroutines ends the portal with the signal that has it name its goroutines, and counts them by who created them.
func (w *world) goroutines() map[string]int {
	w.t.Helper()
	plainClient.CloseIdleConnections() // each is a goroutine there
	if err := w.proc.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		w.t.Fatal(err)
	}
	w.wait(w.proc.dead, "the portal to end")
	count, sum := map[string]int{}, 0
	for _, m := range creator.FindAllStringSubmatch(w.proc.out.String(), -1) {
		count[m[1]]++
		sum++
	}
	if sum < 10 {
		w.t.Fatalf("only %d goroutines are named:\n%s", sum, w.proc.out)
	}
	w.t.Logf("%d goroutines", sum)
	return count
}

// toxic is what lies between the portal and the gate.
type toxic struct {
	t     testing.TB
	proxy *toxiproxy.Proxy
}

func newToxic(t testing.TB, g *gate) *toxic {
	t.Helper()
	to, err := url.Parse(g.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	x := &toxic{t: t, proxy: toxiproxy.NewProxy(server, "cluster", "127.0.0.1:0", to.Host)}
	x.start()
	t.Cleanup(x.proxy.Stop)
	g.front = "https://" + x.proxy.Listen
	return x
}

func (x *toxic) start() {
	if err := x.proxy.Start(); err != nil {
		x.t.Error(err)
	}
}

func poison(toxics ...string) func(*world, *toxic) func() {
	return func(w *world, x *toxic) func() {
		for _, text := range toxics {
			if _, err := x.proxy.Toxics.AddToxicJson(strings.NewReader(text)); err != nil {
				w.t.Fatal(err)
			}
		}
		return func() { x.proxy.Toxics.ResetToxics(w.t.Context()) }
	}
}

// answering has requests answered in the API server's place, after all connections were cut.
func answering(code int, match func(*http.Request) bool) func(*world, *toxic) func() {
	return func(w *world, _ *toxic) func() {
		w.gate.answer.Store(func(r *http.Request) int {
			if match(r) {
				return code
			}
			return 0
		})
		w.gate.server.CloseClientConnections()
		return func() { w.gate.answer.Store(func(*http.Request) int { return 0 }) }
	}
}
