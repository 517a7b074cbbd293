package web

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/deploys"
)

// A lock is made, seen everywhere, keeps a deploy out with its reason, and is taken off, all by forms.
func TestLockJourney(t *testing.T) {
	p := newPortal(t, nil, nil)
	dan, ana := p.as(deployer), p.as(admin)
	page := dan.get("/locks?at=staging%2Fapi")
	if got := page.doc.Find("#lock-at option[selected]").AttrOr("value", ""); got != "staging/api" || strings.Contains(page.text("#lock-at"), "prod") {
		t.Fatalf("chosen %q of %q", got, page.text("#lock-at"))
	}
	kept := dan.post("/locks", url.Values{"at": {"staging/api"}, "for": {"24h"}, "reason": {" "}})
	if kept.StatusCode != 422 || !strings.Contains(kept.text("#locks-error"), "Say why api in staging is locked") || kept.doc.Find("#lock-for option[selected]").AttrOr("value", "") != "24h" {
		t.Errorf("without a reason: %s %q", kept.Status, kept.text("#locks-error"))
	}
	for _, at := range []string{"", "nothing"} {
		if a := dan.post("/locks", url.Values{"at": {at}, "reason": {"x"}}); a.StatusCode != 422 {
			t.Errorf("at %q: %s", at, a.Status)
		}
	}
	if a := dan.post("/locks", url.Values{"at": {"staging/api"}, "for": {"soon"}, "reason": {"x"}}); a.StatusCode != 422 || !strings.Contains(a.text("h1"), `"soon" is not a length of time`) {
		t.Errorf("%s %q", a.Status, a.text("h1"))
	}
	if a := dan.post("/locks", url.Values{"at": {"staging/api"}, "for": {"4h"}, "reason": {"moving <b>"}}); a.StatusCode != 303 {
		t.Fatalf("%s %q", a.Status, a.text("main"))
	}
	for _, path := range []string{"/", "/apps/staging/api", "/locks", "/apps/staging/api/confirm?image=" + tagOf("c")} {
		if got := dan.get(path).text("main"); !strings.Contains(got, "api in staging is locked by dan since ") || !strings.Contains(got, "“moving <b>”") {
			t.Errorf("%s says nothing of the lock: %q", path, got)
		}
	}
	if got := dan.get("/apps/staging/worker").text("main"); strings.Contains(got, "is locked") {
		t.Errorf("the page of another app: %q", got)
	}
	confirm := dan.get("/apps/staging/api/confirm?image=" + tagOf("c"))
	if confirm.doc.Find("form button.big").Length() != 0 || !strings.Contains(confirm.text("main"), "dan or an admin can unlock it") {
		t.Errorf("the confirm page: %q", confirm.text("main"))
	}
	form := confirmed(confirm)
	if a := dan.post("/apps/staging/api/deploys", form); a.StatusCode != 409 || !strings.Contains(a.text("#confirm-error"), "Until then nothing is deployed to api in staging") {
		t.Errorf("posted all the same: %s %q", a.Status, a.text("#confirm-error"))
	}
	if a := ana.post("/locks", url.Values{"at": {"staging/api"}, "reason": {"mine"}}); a.StatusCode != 409 || !strings.Contains(a.text("#locks-error"), "is locked by dan") {
		t.Errorf("a second lock: %s %q", a.Status, a.text("#locks-error"))
	}
	if n := p.as(viewer).get("/locks").doc.Find("main form").Length(); n != 0 {
		t.Errorf("a viewer is shown %d forms", n)
	}
	action, _ := ana.get("/locks").doc.Find("main form[action$='/unlock']").Attr("action")
	if a := ana.post(action, nil); a.StatusCode != 303 {
		t.Errorf("an admin unlocks: %s", a.Status)
	}
	if a := ana.post(action, nil); a.StatusCode != 404 || !strings.Contains(a.text("h1"), "it was taken off, or its time is over") {
		t.Errorf("twice: %s %q", a.Status, a.text("h1"))
	}
	if a := dan.post("/apps/staging/api/deploys", form); a.StatusCode != 303 {
		t.Errorf("after it: %s %q", a.Status, a.text("#confirm-error"))
	}
}

// Wider locks stand where they hold: on an environment's sheet, or over the board.
func TestWideLocksOnTheBoard(t *testing.T) {
	p := newPortal(t, nil, nil)
	ana := p.as(admin)
	for _, at := range []string{"/", "prod/"} {
		if a := ana.post("/locks", url.Values{"at": {at}, "reason": {"holidays"}}); a.StatusCode != 303 {
			t.Fatalf("%q: %s", at, a.Status)
		}
	}
	board := ana.get("/")
	if board.doc.Find("#board-live > .say").Length() != 1 || board.doc.Find("#env-prod .say").Length() != 1 || board.doc.Find("#env-staging .say").Length() != 0 {
		t.Errorf("the board says %q", board.text("main"))
	}
	if got := p.as(viewer).get("/").text("main"); !strings.Contains(got, "Everything is locked by ana") || strings.Contains(got, "prod") {
		t.Errorf("who sees staging reads %q", got)
	}
	if got := p.as(viewer).get("/locks").text("main"); strings.Contains(got, "prod") {
		t.Errorf("who sees staging reads %q", got)
	}
}

// crash makes the new pod of a target crash, more than once.
func (k *cluster) crash(t deploys.Target) {
	k.change(func() {
		r := k.at[t]
		now := k.now()
		image := r.Images["main"]
		r.ReplicaSets = append([]deploys.ReplicaSet{{Name: "new", UID: "new", Template: r.Template, Desired: 1, Replicas: 1, Created: now, Images: r.Images}}, r.ReplicaSets...)
		r.Updated, r.Replicas, r.ObservedGeneration = 1, 2, r.Generation
		r.Pods = append(r.Pods[:len(r.Pods):len(r.Pods)], deploys.Pod{Name: "new-x", UID: "new-x", ReplicaSet: "new", Phase: "Running", Created: now, Scheduled: now,
			Containers: []deploys.Container{{Name: "main", Image: image, Restarts: 3, State: "waiting", Reason: "CrashLoopBackOff",
				Last: &deploys.Exit{Code: 2, Reason: "Error", Finished: now.Add(time.Second)}}}})
		k.at[t] = r
	})
}

// failed makes a deploy of b to staging fail. What follows is up to the policy.
func (p *portal) failed() deploys.Deploy {
	p.t.Helper()
	d := p.patched(p.start("staging", "b").ID)
	p.cluster.crash(target("staging"))
	return p.over(d.ID)
}

// A failure is rolled back by itself; both pages say so, and the failed one's stream follows it to its end.
func TestAutomaticRollbackOnThePages(t *testing.T) {
	p := newPortal(t, nil, nil)
	ana := p.as(admin)
	d := p.patched(p.start("staging", "b").ID)
	stream := ana.listen("/deploys/1/events?after=0", "")
	p.cluster.crash(target("staging"))
	stream.says("Deploy 2 is rolling it back to aaaaaaa now")
	back := p.patched(d.ID + 1)
	p.cluster.finish(target("staging"), "a")
	p.over(back.ID)
	stream.until("done")
	page := ana.get("/deploys/1")
	if got := page.text("#deploy-head"); !strings.Contains(got, "Rolled back automatically by deploy 2 (succeeded)") {
		t.Errorf("the failed one says %q", got)
	}
	if got := page.text("#deploy-outcome"); !strings.Contains(got, "It has been rolled back.") || strings.Contains(got, "Not rolled back by itself") {
		t.Errorf("the failed one says %q", got)
	}
	page = ana.get("/deploys/2")
	if got := page.text("#deploy-head"); !strings.Contains(got, "Answers the failure of deploy 1") || !strings.Contains(got, "portal:auto") {
		t.Errorf("the rollback says %q", got)
	}
	if got := ana.get("/audit").text("main"); !strings.Contains(got, "automatically rolls back") || !strings.Contains(got, "marked as bad an image of") {
		t.Errorf("the log says %q", got)
	}
	for _, path := range []string{"/apps/staging/api", "/apps/staging/api/history", "/apps/prod/api"} {
		if got := ana.get(path).text("main"); !strings.Contains(got, "Marked as bad") || !strings.Contains(got, "Deploy 1 failed: Crash loop") {
			t.Errorf("%s does not mark the image: %q", path, got)
		}
	}
	confirm := ana.get("/apps/staging/api/confirm?image=" + tagOf("b"))
	if _, required := confirm.doc.Find("#reason").Attr("required"); !required || !strings.Contains(confirm.text("main"), "bbbbbbb was marked as bad by portal:auto") {
		t.Errorf("the confirm page says %q", confirm.text("main"))
	}
	form := confirmed(confirm)
	if a := ana.post("/apps/staging/api/deploys", form); a.StatusCode != 422 || !strings.Contains(a.text("#confirm-error"), "Say why it is to run all the same") {
		t.Errorf("without a reason: %s %q", a.Status, a.text("#confirm-error"))
	}
	action, ok := ana.get("/locks").doc.Find("main form[action$='/clear']").Attr("action")
	if a := ana.post(action, nil); !ok || a.StatusCode != 303 {
		t.Errorf("taking the mark off: %s", a.Status)
	}
	if got := ana.get("/apps/staging/api").text("main"); strings.Contains(got, "Marked as bad") {
		t.Errorf("still marked: %q", got)
	}
}

// A failure that is held says why, offers the way back on its page and on the board, and one click marks the image.
func TestRollbackFromAFailure(t *testing.T) {
	p := newPortal(t, nil, nil)
	ana := p.as(admin)
	p.catalog.touched = []string{"migrations/7.sql"}
	d := p.failed()
	if d.Note == "" {
		t.Fatalf("%+v", d)
	}
	page := ana.get("/deploys/1")
	if got := page.text("#deploy-outcome"); !strings.Contains(got, "Not rolled back by itself: migrations/7.sql was touched") || !strings.Contains(got, "which also marks bbbbbbb as bad") {
		t.Errorf("the page says %q", got)
	}
	if got := ana.get("/").text("#row-staging-api .act"); got != "Roll back" {
		t.Errorf("the board offers %q", got)
	}
	confirm := ana.get("/apps/staging/api/confirm?rollback_to=last")
	form := confirmed(confirm)
	if form.Get("mark_bad") != "1" || form.Get("lock") != "" {
		t.Errorf("the ticks are %v", form)
	}
	for _, want := range []string{"ran well until", "The registry still has the image.", "Still ready and kept: 1 pod of aaaaaaa.", "Without one of yours, the mark says: Deploy 1 failed: Crash loop."} {
		if !strings.Contains(confirm.text("main"), want) {
			t.Errorf("no %q in %q", want, confirm.text("main"))
		}
	}
	form.Set("lock", "1")
	if a := ana.post("/apps/staging/api/deploys", form); a.StatusCode != 303 {
		t.Fatalf("%s %q", a.Status, a.text("#confirm-error"))
	}
	back := p.patched(2)
	if back.RollbackOf != 1 || back.To.Digest != digestOf("a") {
		t.Errorf("%+v", back)
	}
	marks, err := p.service.BadImages(context.Background())
	if err != nil || len(marks) != 1 || marks[0].Digest != digestOf("b") || marks[0].ActorName != admin {
		t.Errorf("marks %+v %v", marks, err)
	}
	if n := len(p.entries(audit.LockCreated)); n != 1 {
		t.Errorf("%d locks", n)
	}
	if got := ana.get("/deploys/1").text("#deploy-head .acts"); got != "Deploy again" {
		t.Errorf("an answered failure offers %q", got)
	}
}

// The registry's silence, and its word that the image is gone, are told and stop nothing.
func TestRollbackWithoutTheImage(t *testing.T) {
	p := newPortal(t, nil, nil)
	ana := p.as(admin)
	p.catalog.touched = []string{"migrations/7.sql"}
	p.failed()
	delete(p.catalog.digests, tagOf("a"))
	confirm := ana.get("/apps/staging/api/confirm?rollback_to=last")
	if got := confirm.text("main"); !strings.Contains(got, "The image is gone from the registry") || confirm.doc.Find("form button.big").Length() != 1 {
		t.Errorf("%q", got)
	}
	if a := ana.post("/apps/staging/api/deploys", confirmed(confirm)); a.StatusCode != 303 {
		t.Errorf("%s %q", a.Status, a.text("#confirm-error"))
	}
}

// A restart that fails brought no image: the way back marks none, and once it is taken it is not offered again.
func TestRollbackFromAFailedRestart(t *testing.T) {
	p := newPortal(t, nil, nil)
	p.baseline()
	dan := p.as(deployer)
	if a := dan.post("/apps/staging/api/deploys", confirmed(dan.get("/apps/staging/api/confirm?restart=1"))); a.StatusCode != 303 {
		t.Fatalf("%s %q", a.Status, a.text("main"))
	}
	d := p.patched(1)
	p.cluster.crash(target("staging"))
	if d = p.over(d.ID); d.Status != deploys.Failed {
		t.Fatalf("%s %s", d.Status, d.Sentence)
	}
	page := dan.get("/deploys/1")
	if got := page.text("#deploy-outcome"); !strings.Contains(got, "Not rolled back by itself: a restart brings no image") || strings.Contains(got, "as bad") {
		t.Errorf("the page says %q", got)
	}
	confirm := dan.get("/apps/staging/api/confirm?rollback_to=1&before=1")
	if confirm.doc.Find("#mark-bad").Length() != 0 || confirm.doc.Find("#lock-target").Length() != 1 {
		t.Errorf("the ticks: %q", confirm.text("form"))
	}
	if !strings.Contains(confirm.text("main"), "Still ready and kept: 1 pod of aaaaaaa.") {
		t.Errorf("what comes back: %q", confirm.text("main"))
	}
	form := confirmed(page)
	if form.Get("rollback_to") != "1" || form.Get("before") != "1" || form.Has("mark_bad") {
		t.Fatalf("the way back: %v", form)
	}
	if a := dan.post("/apps/staging/api/deploys", form); a.StatusCode != 303 {
		t.Fatalf("%s %q", a.Status, a.text("#confirm-error"))
	}
	if back := p.patched(2); back.To.Restarted != "" || !back.To.Same(d.From) {
		t.Errorf("%+v", back)
	}
	if got := dan.get("/deploys/1"); got.text("#deploy-head .acts") != "Restart again" || !strings.Contains(got.text("#deploy-head"), "Rolled back by deploy 2") {
		t.Errorf("an answered restart says %q", got.text("#deploy-head"))
	}
}

// What is marked as bad is not adopted but restored, and restarted only with a reason.
func TestChangeToABadImage(t *testing.T) {
	p := newPortal(t, nil, nil)
	p.baseline()
	p.setImage("b")
	p.noticed()
	p.marked("staging", "b")
	dan := p.as(deployer)
	page := dan.get("/apps/staging/api")
	if got := page.text("#outside"); page.doc.Find("#outside form").Length() != 0 || !strings.Contains(got, "bbbbbbb is marked as bad") || !strings.Contains(got, "Restore aaaaaaa") {
		t.Errorf("the page says %q", got)
	}
	confirm := dan.get("/apps/staging/api/confirm?restart=1")
	if _, required := confirm.doc.Find("#reason").Attr("required"); !required || !strings.Contains(confirm.text("main"), "bbbbbbb was marked as bad by ana") {
		t.Errorf("a restart: %q", confirm.text("main"))
	}
}

// A lock shows on an open app page at once; who may not lock is not led there.
func TestLockOnAnOpenAppPage(t *testing.T) {
	p := newPortal(t, nil, nil)
	dan, vera := p.as(deployer), p.as(viewer)
	for who, b := range map[string]*browser{deployer: dan, viewer: vera} {
		if got := b.get("/apps/staging/api").doc.Find(`a[href="/locks?at=staging%2Fapi"]`).Length(); (got == 1) != (who == deployer) {
			t.Errorf("%s is led to the locks %d times", who, got)
		}
	}
	streams := []*reader{dan.listen("/apps/staging/api/events", ""), vera.listen("/apps/staging/api/events", "")}
	for _, s := range streams {
		s.until("")
	}
	lock := p.ofAna("staging")
	for _, s := range streams {
		s.says("Everything in staging is locked")
	}
	if err := p.service.Unlock(context.Background(), p.actor(admin), lock); err != nil {
		t.Fatal(err)
	}
	for _, s := range streams {
		for strings.Contains(s.until("").data, "is locked") {
			continue
		}
	}
}
