package story_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// answered keeps in mind what a browser was told.
func (c *killer) answered(app string, status int, place string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case status == http.StatusSeeOther && idOf(place) > 0:
		c.acked[idOf(place)] = app
	case status == http.StatusServiceUnavailable:
		c.busy++
	default:
		c.wrong(wrongRefusal, "%s: %d %s", app, status, place)
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
	if err != nil || status != "running" || action != "deploy.requested" {
		c.wrong(wrongIntent, "a patch of deploy %d: row %q, entry %q, %v", id, status, action, err)
	}
}

// reckon compares rows, entries and cluster.
func (c *killer) reckon() {
	landed := map[int64]int{} // patches that the API server accepted, by deploy
	for _, k := range c.w.gate.patches() {
		if k.code == http.StatusOK {
			landed[deployOfPatch(k.body)]++
		}
	}
	entries := c.entries()
	last := map[string]int64{} // the newest deploy of an app that changed the cluster
	changes := map[string]int64{}
	for id := int64(1); id <= int64(c.w.count(`SELECT ifnull(max(id), 0) FROM deploys`)); id++ {
		var app string
		if err := c.w.read().QueryRow(c.w.t.Context(), `SELECT app FROM deploys WHERE id = ?`, id).Scan(&app); err != nil {
			c.wrong(wrongRecord, "deploy %d: %v", id, err)
			continue
		}
		r := c.w.row(id)
		want := "errored"
		if landed[id] > 0 {
			want, last[app] = "succeeded", id
			changes[app]++
		}
		if r.status != want || landed[id] > 1 {
			c.wrong(wrongVerdict, "deploy %d of %s is %s after %d patches: %s", id, app, r.status, landed[id], r.sentence)
		}
		if got, want := entries[id], "deploy.requested deploy."+r.status; got != want {
			c.wrong(wrongRecord, "entries of deploy %d: %s, want %s", id, got, want)
		}
		if to, ok := c.acked[id]; ok && to != app {
			c.wrong(wrongRecord, "deploy %d is of %s and was promised for %s", id, app, to)
		}
		delete(entries, id)
		delete(c.acked, id)
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

// compare holds an app's Deployment against the deploy that must have changed it last.
func (c *killer) compare(app string, last, changes int64) {
	d, err := c.w.ns.Admin.AppsV1().Deployments(c.w.ns.Name).Get(c.w.t.Context(), app, metav1.GetOptions{})
	if err != nil {
		c.w.t.Fatal(err)
	}
	tag, id := v1, ""
	if last > 0 {
		id = strconv.FormatInt(last, 10)
		if err := c.w.read().QueryRow(c.w.t.Context(), `SELECT to_tag FROM deploys WHERE id = ?`, last).Scan(&tag); err != nil {
			c.w.t.Fatal(err)
		}
	}
	got := fmt.Sprint(d.Spec.Template.Spec.Containers[0].Image, " ", d.Annotations["deploy-portal/deploy-id"], " ", d.Generation)
	if want := fmt.Sprint(c.w.pinned(tag), " ", id, " ", changes+1); got != want {
		c.wrong(wrongCluster, "%s has %s, want %s", app, got, want)
	}
}
