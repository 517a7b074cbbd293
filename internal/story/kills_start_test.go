package story_test

import (
	"fmt"
	"maps"
	"net/http"
	"time"
)

// How long a start may take to decide about an open row depends on what it can know of it (docs/adr/0003-five-seconds-more.md).
const (
	known    = iota // one reading of the cluster decides
	underWay        // the patch may have been sent, has not landed, and would still be accepted: the portal watches for it first
)

// landing is how long the portal looks for it (ARCHITECTURE.md, "When the portal dies").
const landing = 5 * time.Second

// unfinished is a row that is not over.
type unfinished struct {
	app     string
	pending bool
	patched bool   // and that is stored
	guard   string // the resourceVersion that its patch asks for
	seq     int    // of its newest event
}

// open gives the rows that are not over, by id.
func (c *killer) open() map[int64]unfinished {
	c.w.t.Helper()
	rows, err := c.w.read().Query(c.w.t.Context(), `SELECT id, app, status = 'pending', patched_at IS NOT NULL, guard_rv, seq FROM deploys WHERE finished_at IS NULL`)
	if err != nil {
		c.w.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	open := map[int64]unfinished{}
	for rows.Next() {
		var id int64
		var o unfinished
		if err := rows.Scan(&id, &o.app, &o.pending, &o.patched, &o.guard, &o.seq); err != nil {
			c.w.t.Fatal(err)
		}
		open[id] = o
	}
	return open
}

// startAgain starts the portal and waits until each row that was left open is over or watched again, and what became of its
// patch is decided. The clock runs from the start of the process.
func (c *killer) startAgain(p point) {
	left, landed, class := c.open(), c.landed(), map[int64]int{}
	for id, o := range left {
		if !o.pending && !o.patched && len(landed[id]) == 0 && c.live(o.app).ResourceVersion == o.guard {
			class[id] = underWay
		}
	}
	bounds := [2]time.Duration{known: *takenUpWithin, underWay: *takenUpWithin + landing}
	began, unwatched := time.Now(), maps.Clone(left)
	c.w.start()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for len(left) > 0 {
		took := time.Since(began)
		for id, o := range unwatched {
			switch {
			case c.has(id, o, watchedAgain):
				c.watched = max(c.watched, took)
				delete(unwatched, id)
			case took > *takenUpWithin:
				c.orphan(p, "deploy %d (%+v) was neither over nor watched within %s", id, o, *takenUpWithin)
				return
			}
		}
		for id, o := range left {
			switch k := class[id]; {
			case c.has(id, o, decidedAgain):
				c.decided[k] = max(c.decided[k], took)
				delete(left, id)
			case took > bounds[k]:
				c.orphan(p, "what became of deploy %d (%+v) was not decided within %s", id, o, bounds[k])
				return
			}
		}
		<-again.C
	}
	c.w.seen()
}

func (c *killer) orphan(p point, format string, args ...any) {
	c.wrong(wrongOrphan, "after a kill at %q %s\n%s\n%s", p.name, fmt.Sprintf(format, args...), c.w.log(), c.w.story())
}

// What the portal writes when it has decided about a row that it found, and when it follows one.
const (
	decidedAgain = `text = 'the portal was restarted and watches on' OR text LIKE 'patched, generation %'`
	watchedAgain = decidedAgain + ` OR text LIKE 'the cluster does not have the patch yet: looking for it%'`
)

// has tells whether a row that was left open is over, or has one of these events since.
func (c *killer) has(id int64, was unfinished, events string) bool {
	c.w.t.Helper()
	return c.w.count(`SELECT count(*) FROM deploys d WHERE id = ? AND (finished_at IS NOT NULL OR EXISTS (SELECT 1 FROM deploy_events
		WHERE deploy_id = d.id AND seq > ? AND (`+events+`)))`, id, was.seq) == 1
}

// landed gives, of each deploy, which patches the API server accepted.
func (c *killer) landed() map[int64][]int {
	all := map[int64][]int{}
	for _, k := range c.w.gate.patches() {
		if k.code == http.StatusOK {
			id := deployOfPatch(k.body)
			all[id] = append(all[id], k.nth)
		}
	}
	return all
}
