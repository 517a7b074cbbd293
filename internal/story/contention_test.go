package story_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/PuerkitoBio/goquery"

	"deployportal/internal/audit"
)

var contentionRounds = flag.Int("contention.rounds", 5, "rounds of TestContention; make contention takes 200")

// contenders is how many ask for a deploy of one target at once.
const contenders = 50

// The kinds of wrongness that the contention harness tells apart.
const (
	wrongWinners  = "not one winner"
	wrongAnswer   = "a refusal that does not name the winner"
	wrongEntries  = "entries that do not match the answers"
	wrongChanges  = "not one change in the cluster"
	wrongOutcome  = "the winner did not succeed"
	wrongLeftOver = "rows that nobody asked for"
)

// TestContention: of fifty who ask at once one wins, and everybody else is told by whom, to what and since when the
// target is taken. The cluster sees one patch.
func TestContention(t *testing.T) {
	t.Parallel()
	c := newContention(t, binary(t))
	t.Cleanup(func() { fmt.Println(c.figure()) })
	c.play(*contentionRounds)
	c.judge(t)
}

// TestContentionFindsTheFault: without the index that admits one active deploy a target, and without the look inside
// the transaction that says the same in words, two are let through. Without the index alone none is
// (docs/adr/0004-two-guards.md): one process writes, one transaction at a time, and each looks.
func TestContentionFindsTheFault(t *testing.T) {
	t.Parallel()
	const noIndex = `DROP INDEX deploys_one_active`
	t.Run("neither guard", func(t *testing.T) {
		t.Parallel()
		c := newContention(t, mutant(t, edit{"internal/deploys/service.go",
			"if err := s.vacate(ctx, tx, req, d); err != nil {\n\t\t\treturn err\n\t\t}", ""}))
		c.w.forge(noIndex)
		c.play(5)
		c.mustFind(t, wrongWinners)
	})
	t.Run("one guard", func(t *testing.T) {
		t.Parallel()
		c := newContention(t, binary(t))
		c.w.forge(noIndex)
		c.play(2)
		c.judge(t)
	})
}

// contention is a world with two people who may deploy, and what was found in it.
type contention struct {
	tally
	w        *world
	random   *rand.Rand
	people   []*browser
	tag      string // that runs
	seq      int64  // of the newest entry that was looked at
	rounds   int
	winners  int
	refusals int
}

func newContention(t testing.TB, binary string) *contention {
	w := newWorld(t, func(w *world) { w.binary = binary })
	const password = "canary-ben-long-enough"
	if _, errOut, code := portal(t, password+"\n", "--database", w.path("portal.db"), "user", "add", "ben", "--role=deployer"); code != 0 {
		t.Fatalf("portal user add: %d %s", code, errOut)
	}
	return &contention{w: w, random: seeded(t), tag: v1, people: []*browser{w.ana, w.signIn("ben", password)}}
}

func (c *contention) figure() string {
	return fmt.Sprintf("contention: %d rounds, %d winners, %d refusals, %d wrong", c.rounds, c.winners, c.refusals, c.all())
}

// play plays rounds until one was not as it must be: after that nobody knows what the next should find.
func (c *contention) play(rounds int) {
	c.seq = c.newest()
	for c.rounds < rounds && c.all() == 0 && !c.tooLong(c.w.t) {
		c.round()
	}
	c.w.whole()
}

// asked is one request and its answer.
type asked struct {
	tag, action string
	fields      url.Values
	by          *browser

	status   int
	place    string // where a winner is led
	sentence string // what a loser is told
	id       string // of the request
	err      error
}

// round lets everybody ask at once. The patch of who wins is held, on its way there or back, until all have an answer:
// else a late one might find the target free again, and be right.
func (c *contention) round() {
	c.rounds++
	deploys, patches, generation := c.w.count(`SELECT count(*) FROM deploys`), len(c.w.gate.patches()), c.w.live().Generation
	crowd := c.crowd()
	h := c.w.gate.hold(isPatch, c.random.IntN(2) == 0)
	start := make(chan struct{})
	var answers sync.WaitGroup
	for _, a := range crowd {
		answers.Go(func() {
			<-start
			a.send(c.w)
		})
	}
	close(start)
	answers.Wait()
	winners, losers := c.sort(crowd)
	if len(winners) != 1 {
		h.drop()
		c.wrong(wrongWinners, "round %d: %d winners, %d refusals", c.rounds, len(winners), len(losers))
		return
	}
	c.w.reached(h)
	h.pass()
	c.told(winners[0], losers)
	c.entries(losers)
	c.end(winners[0], deploys+1, patches+1, generation+1)
}

// crowd opens a confirm page for each, as people do before they ask.
func (c *contention) crowd() []*asked {
	tags := map[string][]string{v1: {v2, v3}, v2: {v3, v1}, v3: {v1, v2}}[c.tag]
	var crowd []*asked
	for range contenders {
		a := &asked{tag: tags[c.random.IntN(2)], by: c.people[c.random.IntN(2)]}
		a.action, a.fields = a.by.get(confirmPath(a.tag)).fields(confirmForm)
		crowd = append(crowd, a)
	}
	return crowd
}

func (a *asked) send(w *world) {
	res, err := w.postAs(a.by, a.action, a.fields)
	if err != nil {
		a.err = err
		return
	}
	defer func() { _ = res.Body.Close() }()
	doc, err := goquery.NewDocumentFromReader(res.Body)
	if err != nil {
		a.err = err
		return
	}
	a.status, a.place, a.id = res.StatusCode, res.Header.Get("Location"), res.Header.Get("X-Request-Id")
	a.sentence = refusal(doc)
}

func (c *contention) sort(crowd []*asked) (winners, losers []*asked) {
	for _, a := range crowd {
		switch {
		case a.err != nil:
			c.wrong(wrongAnswer, "round %d: no answer: %v", c.rounds, a.err)
		case a.status == http.StatusSeeOther:
			winners = append(winners, a)
		default:
			losers = append(losers, a)
		}
	}
	c.winners += len(winners)
	c.refusals += len(losers)
	return winners, losers
}

// told checks that each loser was told which deploy won, to what, whose and since when, as its row has it.
func (c *contention) told(winner *asked, losers []*asked) {
	var actor, since string
	err := c.w.read().QueryRow(c.w.t.Context(), `SELECT actor_name, substr(created_at, 12, 8) FROM deploys WHERE id = ?`, idOf(winner.place)).Scan(&actor, &since)
	if err != nil {
		c.wrong(wrongLeftOver, "round %d: %s: %v", c.rounds, winner.place, err)
		return
	}
	want := fmt.Sprintf("api in prod is being deployed already: deploy %d to %s, asked for by %s at %s UTC.", idOf(winner.place), winner.tag, actor, since)
	for _, l := range losers {
		if l.status != http.StatusConflict || !strings.Contains(l.sentence, want) {
			c.wrong(wrongAnswer, "round %d: %d %q, want %q", c.rounds, l.status, l.sentence, want)
		}
	}
}

// entries checks that each refusal is one entry, with the sentence its loser was told.
func (c *contention) entries(losers []*asked) {
	want := map[string]string{}
	for _, l := range losers {
		want[l.id] = l.sentence
	}
	got := map[string]string{}
	for _, e := range c.w.newest(audit.Filter{Action: audit.DeployRejected}) {
		if e.Seq <= c.seq {
			continue
		}
		if _, twice := got[e.RequestID]; twice || want[e.RequestID] != e.Detail {
			c.wrong(wrongEntries, "round %d: entry %d of request %q says %q, its answer %q", c.rounds, e.Seq, e.RequestID, e.Detail, want[e.RequestID])
		}
		got[e.RequestID] = want[e.RequestID]
	}
	if !maps.Equal(got, want) {
		c.wrong(wrongEntries, "round %d: %d refusals are in the log, %d were given", c.rounds, len(got), len(want))
	}
	c.seq = c.newest()
}

func (c *contention) newest() int64 {
	if list := c.w.newest(audit.Filter{}); len(list) > 0 {
		return list[0].Seq
	}
	return 0
}

// end waits for the winner's outcome and checks that nothing else happened.
func (c *contention) end(winner *asked, deploys, patches int, generation int64) {
	id := idOf(winner.place)
	c.w.until("the winner to end", func() bool { return c.w.row(id).over })
	if r := c.w.row(id); r.status != "succeeded" {
		c.wrong(wrongOutcome, "round %d: deploy %d is %s: %s", c.rounds, id, r.status, r.sentence)
	}
	d := c.w.live()
	if n := len(c.w.gate.patches()); n != patches || d.Generation != generation || d.Spec.Template.Spec.Containers[0].Image != c.w.pinned(winner.tag) {
		c.wrong(wrongChanges, "round %d: %d patches, generation %d with %s; want %d, %d and %s", c.rounds, n, d.Generation,
			d.Spec.Template.Spec.Containers[0].Image, patches, generation, winner.tag)
	}
	if n := c.w.count(`SELECT count(*) FROM deploys`); n != deploys {
		c.wrong(wrongLeftOver, "round %d: %d deploys, want %d", c.rounds, n, deploys)
	}
	c.tag = winner.tag
}
