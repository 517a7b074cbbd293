package story_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/PuerkitoBio/goquery"
)

// saysBusy is what a person may be told instead of a promise, in the moment between a row's end and its target's.
const saysBusy = "The portal has just started and still reads how far the last deploy of "

// refusal is the reason a page gives for what it refuses.
func refusal(doc *goquery.Document) string {
	if doc == nil {
		return ""
	}
	said := doc.Find(refusedAt)
	if said.Length() == 0 { // the form could not be drawn anew in time: then there is the reason alone
		said = doc.Find("main h1")
	}
	return strings.Join(strings.Fields(said.Text()), " ")
}

// answered keeps in mind what a browser was told.
func (c *killer) answered(f submission, status int, place, sentence string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case status == http.StatusSeeOther && idOf(place) > 0:
		c.acked[idOf(place)] = f.app
	case status == http.StatusServiceUnavailable && strings.Contains(sentence, saysBusy+f.app+" in prod"):
		c.busy++
	case status == http.StatusConflict && f.replaces:
		c.overtaken++
	default:
		c.wrong(wrongRefusal, "%s: %d %s %q", f.app, status, place, sentence)
	}
}

// deployOfPatch reads out of a patch which deploy it is of.
func deployOfPatch(body string) int64 {
	var ops []struct {
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	if err := json.Unmarshal([]byte(body), &ops); err != nil {
		return 0
	}
	for _, op := range ops {
		if op.Path == "/metadata/annotations/deploy-portal~1deploy-id" {
			id, _ := strconv.ParseInt(fmt.Sprint(op.Value), 10, 64)
			return id
		}
	}
	return 0
}

// arrived looks, before a patch reaches the API server, whether the database file has what must be in it by then.
func (c *killer) arrived(k call) {
	id := deployOfPatch(k.body)
	var status, action string
	err := c.w.read().QueryRow(c.w.all.Context(), `SELECT d.status, e.action FROM deploys d JOIN audit_entries e ON e.seq = d.audit_seq WHERE d.id = ?`, id).
		Scan(&status, &action)
	// One that another has just taken the place of may have been on its way: its record is there all the same.
	if err != nil || status != "running" && status != "superseded" || action != "deploy.requested" {
		c.wrong(wrongIntent, "a patch of deploy %d: row %q, entry %q, %v", id, status, action, err)
	}
}

// ended is a row that is over.
type ended struct {
	id                         int64
	app, tag, status, sentence string
	auto                       bool // a rollback by the portal
	replaced, answers          int  // deploys that took its place, and rollbacks that answer it
}

// reckonRows compares the rows that are over, and were not when it was called before, with the log and with what the API
// server accepted.
func (c *killer) reckonRows() {
	over := c.ended() // first: the portal goes on meanwhile
	landed, entries := c.landed(), c.entries()
	for _, e := range over {
		if c.over[e.id] {
			continue
		}
		c.over[e.id] = true
		c.ends[e.how()]++
		if want := e.must(len(landed[e.id])); e.status != want || len(landed[e.id]) > 1 {
			c.wrong(wrongVerdict, "deploy %d of %s to %s is %s, want %s, after %d patches: %s", e.id, e.app, e.tag, e.status, want, len(landed[e.id]), e.sentence)
		}
		if got, want := entries[e.id], "deploy.requested deploy."+e.status; got != want {
			c.wrong(wrongRecord, "entries of deploy %d: %s, want %s", e.id, got, want)
		}
		if answered := e.status == "failed"; answered != (e.answers == 1) || e.answers > 1 {
			c.wrong(wrongRecord, "deploy %d is %s and has %d rollbacks", e.id, e.status, e.answers)
		}
	}
}

// must is how a deploy ends by what reached the API server: a runner that another takes the place of may have sent its
// patch or not.
func (e ended) must(landed int) string {
	switch {
	case e.replaced > 0:
		return "superseded"
	case landed == 0:
		return "errored"
	case isBroken(e.tag):
		return "failed"
	}
	return "succeeded"
}

func (e ended) how() string {
	if e.auto {
		return e.status + " by portal:auto"
	}
	return e.status
}

// ended gives the rows that are over, oldest first.
func (c *killer) ended() (all []ended) {
	c.w.t.Helper()
	rows, err := c.w.read().Query(c.w.t.Context(), `SELECT id, app, to_tag, status, sentence, actor_id = 'portal:auto',
		(SELECT count(*) FROM deploys WHERE replaces = d.id), (SELECT count(*) FROM deploys WHERE rollback_of = d.id AND actor_id = 'portal:auto')
		FROM deploys d WHERE finished_at IS NOT NULL ORDER BY id`)
	if err != nil {
		c.w.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var e ended
		if err := rows.Scan(&e.id, &e.app, &e.tag, &e.status, &e.sentence, &e.auto, &e.replaced, &e.answers); err != nil {
			c.w.t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// reckon compares rows, entries, promises and cluster when every deploy has ended.
func (c *killer) reckon() {
	c.reckonRows()
	entries, all, landed := c.entries(), c.ended(), c.landed()
	last := map[string]ended{} // what changed an app's Deployment last, which with replaced ones need not be the newest
	newest, changes := map[string]int{}, map[string]int{}
	for n, e := range all {
		if e.id != int64(n+1) {
			c.wrong(wrongRecord, "the %d. deploy has the number %d", n+1, e.id)
		}
		for _, nth := range landed[e.id] {
			if changes[e.app]++; nth > newest[e.app] {
				newest[e.app], last[e.app] = nth, e
			}
		}
		if to, ok := c.acked[e.id]; ok && to != e.app {
			c.wrong(wrongRecord, "deploy %d is of %s and was promised for %s", e.id, e.app, to)
		}
		delete(entries, e.id)
		delete(c.acked, e.id)
	}
	if len(entries)+len(c.acked) > 0 {
		c.wrong(wrongRecord, "without a row: entries %v, promises %v", entries, c.acked)
	}
	for _, app := range c.names {
		c.compare(app, last[app], changes[app])
	}
}

// entries gives the actions that the log has of each deploy, in order.
func (c *killer) entries() map[int64]string {
	c.w.t.Helper()
	rows, err := c.w.read().Query(c.w.t.Context(), `SELECT deploy_id, action FROM audit_entries WHERE deploy_id > 0 ORDER BY seq`)
	if err != nil {
		c.w.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	all := map[int64]string{}
	for rows.Next() {
		var id int64
		var action string
		if err := rows.Scan(&id, &action); err != nil {
			c.w.t.Fatal(err)
		}
		all[id] = strings.TrimSpace(all[id] + " " + action)
	}
	return all
}

// compare holds an app's Deployment against the deploy that must have changed it last, and how often it was changed.
func (c *killer) compare(app string, last ended, changes int) {
	d, tag, id := c.live(app), v1, ""
	if last.id > 0 {
		tag, id = last.tag, strconv.FormatInt(last.id, 10)
	}
	got := fmt.Sprint(d.Spec.Template.Spec.Containers[0].Image, " ", d.Annotations["deploy-portal/deploy-id"], " ", d.Generation)
	if want := fmt.Sprint(c.w.pinned(tag), " ", id, " ", changes+1); got != want {
		c.wrong(wrongCluster, "%s has %s, want %s", app, got, want)
	}
}
