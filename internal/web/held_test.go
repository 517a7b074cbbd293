package web

import (
	"strings"
	"testing"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// Why a failure is left to a person stands on its page, whatever the reason. Migrations and restarts have tests of their own.
func TestWhyItIsNotRolledBackIsSeen(t *testing.T) {
	nothing := func(*portal) {}
	for name, c := range map[string]struct {
		hold   []string
		before func(*portal) // the deploy
		during func(*portal)
		says   string
		acts   string
	}{
		"switched off": {[]string{"staging"}, nothing, nothing,
			"Not rolled back by itself: automatic rollback is switched off in staging.", "Roll back to aaaaaaa, Deploy again"},
		"nothing good": {nil, func(p *portal) {
			p.cluster.change(func() {
				r := p.cluster.at[target("staging")]
				r.Available, r.Ready = 0, 0
				p.cluster.at[target("staging")] = r
			})
		}, nothing, "Not rolled back by itself: what ran before deploy 1 was not healthy, so no good image is known.", "Deploy again"},
		"image gone": {nil, nothing, func(p *portal) {
			p.catalog.mu.Lock()
			defer p.catalog.mu.Unlock()
			delete(p.catalog.digests, tagOf("a"))
		}, "Not rolled back by itself: the image aaaaaaa is gone from the registry.", "Roll back to aaaaaaa, Deploy again"},
		"marked bad": {nil, nothing, func(p *portal) { p.marked("staging", "a") },
			"Not rolled back by itself: aaaaaaa was marked as bad by ana at ", "Deploy again"},
		"commits unreadable": {nil, nothing, func(p *portal) { p.catalog.lose(errs.New(errs.Unavailable, "Gitea cannot be reached.")) },
			"Not rolled back by itself: the commits between aaaaaaa and bbbbbbb cannot be read, so they may hold migrations. Gitea cannot be reached.",
			"Roll back to aaaaaaa, Deploy again"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPortalOf(t, func(o *deploys.Options) { o.Hold = c.hold }, nil, nil)
			c.before(p)
			p.patched(p.start("staging", "b").ID)
			c.during(p)
			p.cluster.crash(target("staging"))
			if d := p.over(1); d.Status != deploys.Failed {
				t.Fatalf("%s %s", d.Status, d.Sentence)
			}
			page := p.as(admin).get("/deploys/1")
			if got := page.text("#deploy-outcome"); !strings.Contains(got, c.says) || page.acts() != c.acts {
				t.Errorf("it offers %q and says %q, want %q and %q", page.acts(), got, c.acts, c.says)
			}
		})
	}
}

// What becomes of the pods of what comes back is told, and where the cluster is not seen, that it is not known.
func TestRollbackTellsWhatIsKept(t *testing.T) {
	p := newPortal(t, nil, nil)
	p.catalog.touched = []string{"migrations/7.sql"}
	p.failed()
	ana := p.as(admin)
	change := func(fn func(*deploys.Rollout)) {
		p.cluster.change(func() {
			r := p.cluster.at[target("staging")]
			fn(&r)
			p.cluster.at[target("staging")] = r
		})
	}
	for _, c := range []struct {
		given func()
		says  string
	}{
		{func() {}, "Still ready and kept: 1 pod of aaaaaaa. ReplicaSet api-a is used again."},
		{func() {
			change(func(r *deploys.Rollout) {
				r.ReplicaSets = append([]deploys.ReplicaSet(nil), r.ReplicaSets...)
				for i := range r.ReplicaSets {
					r.ReplicaSets[i].Ready = 0
				}
			})
		}, "ReplicaSet api-a is used again; its pods start anew."},
		{func() { change(func(r *deploys.Rollout) { r.ReplicaSets = r.ReplicaSets[:1] }) },
			"All pods start anew: none of aaaaaaa with the pod template of now is kept."},
		{func() { p.cluster.lose("The cluster cannot be reached since 02:10 UTC.") },
			"Whether pods of aaaaaaa are kept is not known: the cluster is not seen."},
	} {
		c.given()
		got := ana.get("/apps/staging/api/confirm?rollback_to=last").text("section[aria-labelledby=confirm-checks]")
		if !strings.Contains(got, c.says) || strings.Contains(got, "All pods start anew") != strings.HasPrefix(c.says, "All pods") {
			t.Errorf("want %q: %q", c.says, got)
		}
	}
}
