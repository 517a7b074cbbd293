package story_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"deployportal/internal/kube/kubetest"
)

var (
	killsPerPoint = flag.Int("crash.kills", 2, "kills at each point of TestCrash; make crash takes 100")
	takenUpWithin = flag.Duration("crash.within", 20*time.Second, "how long a started portal may leave an open row alone; make crash takes 5 s, for a machine with nothing else to do")
)

// victims is how many targets are deployed to at once; a kill hits them wherever they are.
const victims = 10

// The kinds of wrongness that the crash harness tells apart.
const (
	wrongIntent  = "a patch without a durable intent"
	wrongOrphan  = "an orphan intent"
	wrongVerdict = "an outcome that the cluster contradicts"
	wrongRecord  = "rows and entries that do not match"
	wrongCluster = "the cluster is not as the rows say"
	wrongRefusal = "a deploy that was refused"
)

// TestCrash: the portal is killed again and again, at every step of a deploy's path. Nothing acknowledged is lost, no
// deploy stays open, and what the rows say is what the cluster did.
func TestCrash(t *testing.T) {
	t.Parallel()
	c := newCrash(t, binary(t))
	c.play(*killsPerPoint)
	t.Logf("%d kills missed their point and were made again, %d requests came in the moment between a row's end and its target's", c.missed, c.busy)
	fmt.Println(c.figure())
	c.judge(t)
}

// TestCrashFindsTheFault: the harness sees a patch that goes out before its record is safe, and a portal that does not
// look at what an earlier one left.
func TestCrashFindsTheFault(t *testing.T) {
	t.Parallel()
	for kind, fault := range map[string]edit{
		wrongIntent: {"internal/deploys/service.go", "return aftermath(ctx, tx, req, *d)", `
			seen, err := s.cluster.Live(ctx, d.Target)
			if err != nil {
				return err
			}
			_, err = s.cluster.Apply(ctx, (&run{s: s, d: *d}).change(seen))
			return err`},
		wrongOrphan: {"internal/deploys/runner.go", "for _, d := range open {\n\t\ts.resume(d)\n\t}", ""},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c := newCrash(t, mutant(t, fault))
			c.play(1)
			c.mustFind(t, kind)
		})
	}
}

// killer is a world with many targets, and what was found in it.
type killer struct {
	tally
	w      *world
	random *rand.Rand
	names  []string // of the apps

	kills   map[string]int // by point
	missed  int            // kills that came too late for their point, and were made again
	slowest time.Duration  // until every open row was taken up

	mu    sync.Mutex
	acked map[int64]string // what a browser was led to: the app by id
	busy  int              // refusals in the moment between a row's end and its target's
}

func newCrash(t testing.TB, binary string) *killer {
	c := &killer{random: seeded(t), kills: map[string]int{}, acked: map[int64]string{}}
	var apps []string
	for i := range victims {
		name := fmt.Sprintf("app%d", i)
		c.names = append(c.names, name)
		apps = append(apps, fmt.Sprintf("{name: %s, image: acme/api}", name))
	}
	w := newStage(t, func(w *world) { w.apps, w.binary = "["+strings.Join(apps, ", ")+"]", binary })
	c.w, w.gate.arrives = w, c.arrived
	for _, name := range c.names {
		w.ns.CreateDeployment(t, name, 1, w.pinned(v1), kubetest.WithoutProbes())
	}
	w.start()
	w.ana = w.signIn("ana", passwordOfAna)
	for _, name := range c.names {
		w.ns.WaitDeployment(t, name, "available", kubetest.Available)
	}
	w.seen()
	return c
}

func (c *killer) figure() string {
	var points []string
	sum := 0
	for _, name := range slices.Sorted(maps.Keys(c.kills)) {
		points = append(points, fmt.Sprintf("%d %s", c.kills[name], name))
		sum += c.kills[name]
	}
	return fmt.Sprintf("crash: %d kills (%s) over %d targets, %d deploys, %d orphan intents, %d wrong; open rows taken up within %.1f s",
		sum, strings.Join(points, ", "), victims, c.w.count(`SELECT count(*) FROM deploys`), c.of(wrongOrphan), c.all(), c.slowest.Seconds())
}

// play kills at every point so often, in a mixed order, until something is wrong.
func (c *killer) play(kills int) {
	var plan []point
	for _, p := range points {
		for range kills {
			plan = append(plan, p)
		}
	}
	c.random.Shuffle(len(plan), func(i, j int) { plan[i], plan[j] = plan[j], plan[i] })
	for _, p := range plan {
		for !c.kill(p) && c.all() == 0 {
			if c.missed++; c.missed > 20+len(plan) {
				c.w.t.Fatalf("%d kills came too late for their point", c.missed)
			}
		}
		if c.all() != 0 {
			return
		}
		c.kills[p.name]++
	}
	c.settle()
	c.reckon()
	c.w.whole()
}

// kill lets people deploy to what is free, kills the portal when some of that is at the point, starts it again and
// waits until it has taken up what was open. It tells whether the point was hit.
func (c *killer) kill(p point) bool {
	free := c.free()
	c.random.Shuffle(len(free), func(i, j int) { free[i], free[j] = free[j], free[i] })
	n := 1 + c.random.IntN(min(4, len(free)))
	v := &volley{c: c, steered: free[:n], others: free[n:], before: c.w.count(`SELECT ifnull(max(id), 0) FROM deploys`), base: c.w.url(), over: make(chan struct{})}
	if p.prepare != nil {
		p.prepare(v)
	}
	v.ask()
	p.reach(v)
	c.w.kill()
	close(v.over)
	v.asking.Wait()
	if v.lost {
		c.w.gate.openHolds()
		return true
	}
	hit := p.hit == nil || p.hit(v)
	if v.after != nil {
		v.after()
	}
	c.w.gate.openHolds()
	c.takenUp(p)
	return hit
}

// free gives the targets without an open row, once there are a few.
func (c *killer) free() (free []string) {
	c.w.until("targets to be free", func() bool {
		taken := c.open()
		free = slices.DeleteFunc(slices.Clone(c.names), func(name string) bool { return slices.Contains(slices.Collect(maps.Values(taken)), name) })
		return len(free) >= victims/3
	})
	return free
}

// open gives the apps of the rows that are not over, by id.
func (c *killer) open() map[int64]string {
	c.w.t.Helper()
	rows, err := c.w.read().Query(c.w.t.Context(), `SELECT id, app FROM deploys WHERE finished_at IS NULL`)
	if err != nil {
		c.w.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	open := map[int64]string{}
	for rows.Next() {
		var id int64
		var app string
		if err := rows.Scan(&id, &app); err != nil {
			c.w.t.Fatal(err)
		}
		open[id] = app
	}
	return open
}

// takenUp starts the portal and waits until each row that was left open is over, or its Deployment is read again.
func (c *killer) takenUp(p point) {
	left := c.open()
	mark := len(c.w.gate.came(0, func(*call) bool { return true }))
	c.w.start()
	began := time.Now()
	pending := func() map[int64]string {
		open := c.open()
		for id, app := range open {
			read := c.w.gate.came(mark, func(k *call) bool {
				return k.method == http.MethodGet && strings.HasSuffix(k.path, "/deployments/"+app)
			})
			if left[id] == "" || len(read) > 0 {
				delete(open, id)
			}
		}
		return open
	}
	late := time.After(*takenUpWithin)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for rest := pending(); len(rest) > 0; rest = pending() {
		select {
		case <-late:
			c.wrong(wrongOrphan, "after a kill at %q rows %v were not taken up within %s\n%s", p.name, rest, *takenUpWithin, c.w.log())
			return
		case <-again.C:
		}
	}
	c.slowest = max(c.slowest, time.Since(began))
	c.w.seen()
}

// settle waits until every deploy has ended.
func (c *killer) settle() {
	if !poll(func() bool { return len(c.open()) == 0 }) {
		c.wrong(wrongOrphan, "rows %v have no end\n%s", c.open(), c.w.story())
	}
}

// liveTag is the tag an app's Deployment is set to.
func (c *killer) liveTag(app string) string {
	c.w.t.Helper()
	d, err := c.w.ns.Admin.AppsV1().Deployments(c.w.ns.Name).Get(c.w.t.Context(), app, metav1.GetOptions{})
	if err != nil {
		c.w.t.Fatal(err)
	}
	tag, _, _ := strings.Cut(strings.TrimPrefix(d.Spec.Template.Spec.Containers[0].Image, c.w.host+"/acme/api:"), "@")
	return tag
}
