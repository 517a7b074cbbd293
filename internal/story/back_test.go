package story_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"deployportal/internal/audit"
	"deployportal/internal/gitea/giteatest"
)

// answered gives a world in which failures are rolled back by the portal itself. Its tags name commits; the one of the
// image that crashes touched these files.
func answered(files ...string) func(*world) {
	return func(w *world) {
		probes(0)(w)
		w.failure = "rollback"
		bad := commitOf(crashes)
		for _, path := range files {
			bad.Files = append(bad.Files, giteatest.File{Path: path, Status: "added"})
		}
		w.gitea.AddRepo("acme", "api", commitOf(v1), commitOf(v2), bad)
	}
}

// commitOf is the commit that a tag names.
func commitOf(tag string) giteatest.Commit {
	return giteatest.Commit{SHA: tag + strings.Repeat("0", 40-len(tag)), Message: "Commit " + tag, Author: "ana"}
}

const crashed = " ended with exit code 2 and was started again "

// TestAutomaticRollback: the first deploy through the portal fails; what ran before it runs again by itself, on the very
// pods that served all along, and all of it is on the pages and in the log.
func TestAutomaticRollback(t *testing.T) {
	t.Parallel()
	w := newWorld(t, answered())
	before := w.pods()
	id := w.ana.deploy(crashes)
	w.over(id, "failed", crashed)
	w.over(id+1, "succeeded", "2 of 2 pods run "+v1)
	w.runs(w.pinned(v1))
	if after := w.pods(); !slices.Equal(before, after) {
		t.Errorf("pods %v before, %v after", before, after)
	}
	if n := len(w.gate.patches()); n != 2 {
		t.Errorf("%d patches, want 2", n)
	}
	w.ana.get(fmt.Sprintf("/deploys/%d", id)).says(200, "#deploy-head", fmt.Sprintf("Rolled back automatically by deploy %d (succeeded)", id+1))
	w.ana.get(fmt.Sprintf("/deploys/%d", id+1)).says(200, "#deploy-head", fmt.Sprintf("Answers the failure of deploy %d", id))
	asked := w.newest(audit.Filter{DeployID: id + 1})[1]
	if asked.Actor.ID != "portal:auto" || asked.Actor.Source != "system" || !strings.HasPrefix(asked.Reason, fmt.Sprintf("Deploy %d failed: Crash loop", id)) {
		t.Errorf("the entry: %+v", asked)
	}
	w.refused(w.ana.get(confirmPath(crashes)), nil, 422, crashes+" was marked as bad by portal:auto")
	w.whole()
	w.thenDeploys(v2)
}

// TestAutomaticRollbackHolds: what failed brought a migration, so a person decides.
func TestAutomaticRollbackHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, answered("db/migrate/7_drop.sql"))
	id := w.ana.deploy(crashes)
	w.over(id, "failed", crashed)
	w.ana.get(fmt.Sprintf("/deploys/%d", id)).says(200, "#deploy-outcome", "Not rolled back by itself: db/migrate/7_drop.sql was touched between "+v1+" and "+crashes)
	if e := w.newest(audit.Filter{DeployID: id})[0]; !strings.Contains(e.Detail, "db/migrate/7_drop.sql was touched") {
		t.Errorf("the entry: %+v", e)
	}
	w.runs(w.pinned(crashes))
	confirm := w.ana.get("/apps/prod/api/confirm?rollback_to=last")
	confirm.says(200, "main", "The registry still has the image.")
	confirm.says(200, "main", "Still ready and kept: ")
	w.over(confirm.submit(w.ana, confirmForm, url.Values{"lock": {"1"}}).deployID(), "succeeded", v1)
	w.refused(w.ana.get(confirmPath(v2)), nil, 409, "api in prod is locked by ana")
	w.whole()
}

// TestKilledBeforeTheAnswer: the portal is killed between the outcome and the start of the rollback that answers it. The
// next one starts it, unless somebody has acted.
func TestKilledBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		meantime func(*world, *hold)
		status   string
		sentence string
		patches  int
	}{
		"nobody acted":                        {nil, "succeeded", "2 of 2 pods run " + v1, 2},
		"somebody set an image":               {setImage, "superseded", "was changed by kubectl-set", 1},
		"somebody scaled, which is no matter": {scale, "succeeded", "3 of 3 pods run " + v1, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, answered())
			id := w.ana.deploy(crashes)
			w.until("the patch to be recorded", func() bool { return w.row(id).patched })
			h := w.gate.hold(w.isLookOf(id+1), false) // the rollback looks before it is sent
			w.reached(h)
			w.kill()
			if r := w.row(id + 1); r.status != "pending" {
				t.Fatalf("the rollback is %s", r.status)
			}
			if c.meantime != nil {
				c.meantime(w, h)
			}
			h.drop()
			w.start()
			w.over(id+1, c.status, c.sentence)
			w.over(id, "failed", crashed)
			if n := len(w.gate.patches()); n != c.patches {
				t.Errorf("%d patches, want %d", n, c.patches)
			}
			w.whole()
		})
	}
}

// TestLock: a lock keeps deploys out, says why, and is taken off; all by forms.
func TestLock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	form := w.ana.get(confirmPath(v2))
	w.ana.get("/locks?at=prod%2F").submit(w.ana, `form[action="/locks"]`, url.Values{"at": {"prod/"}, "for": {"1h"}, "reason": {"the holidays"}}).says(200, "main", "Everything in prod is locked by ana")
	w.ana.get("/").says(200, "#board-live", "“the holidays”")
	w.refused(form, nil, 409, "Everything in prod is locked by ana since ")
	w.kill()
	w.start()
	w.seen()
	w.refused(form, nil, 409, "Until then nothing is deployed to api in prod; a rollback passes with a reason.")
	action := w.ana.get("/locks").doc.Find(`form[action$="/unlock"]`).AttrOr("action", "")
	if p := w.ana.send(http.MethodPost, action, nil); p.status != http.StatusSeeOther {
		t.Fatalf("unlocking: %d", p.status)
	}
	w.over(form.submit(w.ana, confirmForm, nil).deployID(), "succeeded", v2)
	w.whole()
}
