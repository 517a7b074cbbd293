package story_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"deployportal/internal/gitea/giteatest"
	"deployportal/internal/kube/kubetest"
)

var (
	killsPerPoint = flag.Int("crash.kills", 2, "kills at each point of TestCrash; make crash takes 100")
	takenUpWithin = flag.Duration("crash.within", 20*time.Second, "how long after its start a portal may leave an open row alone; make crash takes 5 s, for a machine with nothing else to do")
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
	wrongReach   = "a way to end that never came up"
)

// killsPerWorld is how many kills one database, cluster namespace and registry see: with the thousands of deploys that all of
// them bring, looking at each would become most of the work.
const killsPerWorld = 100

// manyKills at each point are enough to ask that every way to end came up.
const manyKills = 20

// TestCrash: the portal is killed again and again, at every step of a deploy's path. Nothing acknowledged is lost, no
// deploy stays open, and what the rows say is what the cluster did.
func TestCrash(t *testing.T) {
	t.Parallel()
	c := newCrash(t, binary(t))
	t.Cleanup(func() { fmt.Println(c.figure()) })
	c.play(t, *killsPerPoint)
	t.Logf("%d kills missed their point and were made again, %d requests came in the moment between a row's end and its target's, %d after the end of what they were to replace",
		c.missed, c.busy, c.overtaken)
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
			c.play(t, 1)
			c.mustFind(t, kind)
		})
	}
}

// killer is a world with many targets, one after the other, and what was found in all of them.
type killer struct {
	tally
	binary string
	random *rand.Rand
	names  []string // of the apps

	kills   map[string]int   // by point
	missed  int              // kills that came too late for their point, and were made again
	watched time.Duration    // the slowest start, until every open row was over or watched again
	decided [2]time.Duration // the same, until it was decided what became of its patch
	ends    map[string]int   // rows that are over and were reckoned, by how they ended

	// Of the world that is played in now.
	w      *world
	broken int            // images that crash, pushed so far
	over   map[int64]bool // rows that are over and were reckoned

	mu        sync.Mutex
	acked     map[int64]string // what a browser was led to: the app by id
	busy      int              // refusals in the moment between a row's end and its target's, in all worlds
	overtaken int              // refusals since what was to be replaced is over, in all worlds
}

// newCrash makes a harness for one binary.
func newCrash(t *testing.T, binary string) *killer {
	kubetest.Need(t)
	c := &killer{binary: binary, random: seeded(t), kills: map[string]int{}, ends: map[string]int{}}
	for i := range victims {
		c.names = append(c.names, fmt.Sprintf("app%d", i))
	}
	return c
}

// enter makes a new world, in which failures are rolled back by the portal itself.
func (c *killer) enter(t *testing.T) {
	var apps []string
	for _, name := range c.names {
		apps = append(apps, fmt.Sprintf("{name: %s, image: acme/api}", name))
	}
	w := newStage(t, func(w *world) {
		w.apps, w.binary, w.failure = "["+strings.Join(apps, ", ")+"]", c.binary, "rollback"
	})
	w.gitea.AddRepo("acme", "api", commitOf(v1), commitOf(v2), commitOf(v3))
	c.w, w.gate.arrives = w, c.arrived
	c.broken, c.over, c.acked = 0, map[int64]bool{}, map[int64]string{}
	for _, name := range c.names {
		w.ns.CreateDeployment(t, name, 1, w.pinned(v1), kubetest.WithoutProbes())
	}
	w.start()
	w.ana = w.signIn("ana", passwordOfAna)
	for _, name := range c.names {
		w.ns.WaitDeployment(t, name, "available", kubetest.Available)
	}
	w.seen()
}

func (c *killer) figure() string {
	list := func(counts map[string]int) (sum int, words string) {
		var each []string
		for _, name := range slices.Sorted(maps.Keys(counts)) {
			each = append(each, fmt.Sprintf("%d %s", counts[name], name))
			sum += counts[name]
		}
		return sum, strings.Join(each, ", ")
	}
	kills, points := list(c.kills)
	deploys, ends := list(c.ends)
	return fmt.Sprintf("crash: %d kills (%s) over %d targets, %d deploys (%s), %d orphan intents, %d wrong; from the start of the portal every open row was over or watched again within %.1f s; what became of its patch was decided within %.1f s, where it could still land within %.1f s",
		kills, points, victims, deploys, ends, c.of(wrongOrphan), c.all(), c.watched.Seconds(), c.decided[known].Seconds(), c.decided[underWay].Seconds())
}

// play kills at every point so often, in a mixed order, until something is wrong.
func (c *killer) play(t *testing.T, kills int) {
	var plan []point
	for _, p := range points {
		for range kills {
			plan = append(plan, p)
		}
	}
	c.random.Shuffle(len(plan), func(i, j int) { plan[i], plan[j] = plan[j], plan[i] })
	for part := range slices.Chunk(plan, killsPerWorld) {
		t.Run("world", func(t *testing.T) { c.playPart(t, part) })
		if c.all() != 0 || t.Failed() {
			return
		}
	}
	for _, end := range []string{"succeeded", "failed", "errored", "superseded", "succeeded by portal:auto", "errored by portal:auto"} {
		if kills >= manyKills && c.ends[end] == 0 {
			c.wrong(wrongReach, "no deploy %s", end)
		}
	}
}

// playPart plays a part of the plan in a world of its own.
func (c *killer) playPart(t *testing.T, plan []point) {
	c.enter(t)
	for _, p := range plan {
		for !c.kill(p) && c.all() == 0 {
			if c.missed++; c.missed > 20+len(plan) {
				t.Fatalf("%d kills came too late for their point", c.missed)
			}
		}
		if c.all() != 0 || c.tooLong(t) {
			return
		}
		c.kills[p.name]++
	}
	c.settle()
	c.reckon()
	c.w.whole()
}

// kill lets people deploy to what is free, kills the portal when some of that is at the point, starts it again and
// waits until what was open is over or watched again. It tells whether the point was hit.
func (c *killer) kill(p point) bool {
	free := c.free()
	if c.all() != 0 {
		return true
	}
	c.random.Shuffle(len(free), func(i, j int) { free[i], free[j] = free[j], free[i] })
	n := 1 + c.random.IntN(min(4, len(free)))
	if p.alone {
		n = 1
	}
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
	c.startAgain(p)
	c.reckonRows()
	return hit
}

// free gives the targets without an open row, once there are a few.
func (c *killer) free() (free []string) {
	c.w.until("targets to be free", func() bool {
		taken := map[string]bool{}
		for _, o := range c.open() {
			taken[o.app] = true
		}
		free = slices.DeleteFunc(slices.Clone(c.names), func(name string) bool { return taken[name] })
		return len(free) >= victims/3 || c.all() != 0
	})
	return free
}

// settle waits until every deploy has ended.
func (c *killer) settle() {
	if !poll(func() bool { return len(c.open()) == 0 }) {
		c.wrong(wrongOrphan, "rows %v have no end\n%s", c.open(), c.w.story())
	}
}

// live reads an app's Deployment from the API server.
func (c *killer) live(app string) *appsv1.Deployment {
	c.w.t.Helper()
	d, err := c.w.ns.Admin.AppsV1().Deployments(c.w.ns.Name).Get(c.w.t.Context(), app, metav1.GetOptions{})
	if err != nil {
		c.w.t.Fatal(err)
	}
	return d
}

// liveTag is the tag an app's Deployment is set to.
func (c *killer) liveTag(app string) string {
	tag, _, _ := strings.Cut(strings.TrimPrefix(c.live(app).Spec.Template.Spec.Containers[0].Image, c.w.host+"/acme/api:"), "@")
	return tag
}

// another chooses what is deployed over what an app is set to: one of the good images.
func (c *killer) another(app string) string {
	now := c.liveTag(app)
	tags := slices.DeleteFunc([]string{v1, v2, v3}, func(tag string) bool { return tag == now })
	return tags[c.random.IntN(len(tags))]
}

// pick is another, and now and then one that crashes, where something good runs that can come back.
func (c *killer) pick(app string) string {
	if c.random.IntN(6) > 0 || isBroken(c.liveTag(app)) {
		return c.another(app)
	}
	return c.breaks()
}

// breaks pushes an image that crashes. Each is a new one: the portal marks as bad what it rolled back.
func (c *killer) breaks() (tag string) {
	tag = fmt.Sprintf("bad0%03x", c.broken)
	c.broken++
	commit := commitOf(tag)
	commit.Parent = commitOf(v1).SHA
	c.w.gitea.AddRepo("acme", "api", commit)
	c.w.gitea.PushImage("acme/api", tag, giteatest.MultiArch())
	return tag
}

func isBroken(tag string) bool { return strings.HasPrefix(tag, "bad0") }
