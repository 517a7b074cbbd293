package slack

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"deployportal/internal/auth"
	"deployportal/internal/deploys"
	"deployportal/internal/deploys/deploystest"
	"deployportal/internal/errs"
)

// succeed deploys an image in prod by Slack, in a bubble, and lets it succeed.
func (w *world) succeed(tag string) {
	w.Helper()
	w.press(anaID, actionDeploy, w.planID(w.command(anaID, "api "+tag+" to prod")))
	synctest.Wait()
	w.cluster.Update(apiProd, func(r *deploys.Rollout) { deploystest.Complete(r, time.Now()) })
	time.Sleep(20 * time.Second)
	synctest.Wait()
}

// TestRollbackOutside: what somebody else brought is not what a rollback takes for the last that was meant to run.
func TestRollbackOutside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.list(sha("abc1234"), sha("abcd999"))
		w.succeed("abc1")
		w.succeed("abcd9")
		w.says(w.command(anaID, "rollback api abc in prod"), "knows of no abc")
		w.says(w.command(anaID, "rollback api to abcd in prod"), "runs abcd999 already")
		w.cluster.SetImage(apiProd, "api", deploystest.Repo+"api:0000009@"+deploystest.Digest("0000009"))
		w.cluster.Update(apiProd, func(r *deploys.Rollout) { deploystest.Complete(r, time.Now()) })
		time.Sleep(time.Minute)
		synctest.Wait()
		w.says(w.command(benID, "status api in prod"), "runs `0000009`", "by kubectl-set, outside of the portal")
		w.says(w.command(anaID, "rollback api in prod"), "Roll back api in prod to abcd999")
		w.end()
	})
}

// TestRollbackAmbiguous: the start of a SHA that names two images that ran is no choice.
func TestRollbackAmbiguous(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.list(sha("abcd111"), sha("abcd222"))
		w.succeed("abcd1")
		w.succeed("abcd2")
		w.says(w.command(anaID, "rollback api abcd in prod"), "abcd names several images that ran in api in prod", sha("abcd111")+" and "+sha("abcd222"))
		w.end()
	})
}

func TestMarked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.list(sha("abc1234"), "0000001")
		w.succeed("abc1")
		ana, _ := w.people.SlackActor(t.Context(), auth.SlackUser{Team: team, User: anaID})
		back, _, ok, err := w.svc.LastGood(t.Context(), mustGet(w, 1))
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		_, err = w.svc.Start(t.Context(), deploys.Request{Target: apiProd, Return: &back, Actor: ana, MarkBad: true, Reason: "it leaks"})
		must(t, err)
		synctest.Wait()
		w.cluster.Update(apiProd, func(r *deploys.Rollout) { deploystest.Complete(r, time.Now()) })
		time.Sleep(20 * time.Second)
		synctest.Wait()
		w.says(w.command(anaID, "list api"), "*marked as bad:* “it leaks”", "*runs in prod and staging*")
		w.says(w.command(anaID, "api abc1 to prod"), "*In the way:* abc1234 was marked as bad by ana", "There is no button")
		w.planID(w.command(anaID, "api abc1 to prod because it is needed"))
		w.end()
	})
}

func mustGet(w *world, id int64) deploys.Deploy {
	w.Helper()
	d, err := w.svc.Get(w.Context(), id)
	must(w, err)
	return d
}

func TestWhatIsNotKnown(t *testing.T) {
	w := newWorld(t)
	w.list(sha("abc1234"))
	w.cluster.Update(apiProd, func(r *deploys.Rollout) { r.Exists = false })
	w.says(w.command(anaID, "api abc1 to prod"), "There is no Deployment api in namespace honeydue.", "There is no button")
	w.says(w.command(anaID, "status api in prod"), "there is no Deployment api")
	w.cluster.SetImage(apiStaging, "api", "git.example.org/acme/api:latest")
	w.says(w.command(anaID, "api abc1 to staging"), "`latest` → `abc1234`", "What runs now has no tag that names a commit")
	w.catalog.mu.Lock()
	w.catalog.images, w.catalog.fails, w.catalog.cold = nil, errs.New(errs.Unavailable, "Gitea cannot be reached."), true // and was never read
	w.catalog.mu.Unlock()
	w.says(w.command(anaID, "api abc1 to staging"), "Gitea cannot be reached. So abc1 cannot be looked up. Give the whole tag.")
	w.says(w.command(anaID, "api abc1234 to staging"), "Gitea cannot be reached.")
	w.says(w.command(anaID, "list api"), "*Not known:* Gitea cannot be reached.")
}

func TestWiderLock(t *testing.T) {
	w := newWorld(t)
	boss := auth.Actor{ID: "user:9", Name: "boss", Source: "web", Method: "session", Grants: []auth.Grant{{Role: auth.Admin}}}
	_, err := w.svc.Lock(t.Context(), deploys.LockRequest{Scope: deploys.Scope{Env: "prod"}, Reason: "a freeze", Actor: boss})
	must(t, err)
	w.says(w.command(anaID, "unlock api in prod"), "Everything in prod is locked by boss", "more than api in prod, so it is unlocked in the browser")
	w.says(w.command(anaID, "lock api in prod mine"), "api in prod is locked by ana")
	w.people.grant("U0CLEO", "cleo", auth.Grant{Role: auth.Deployer})
	w.says(w.command("U0CLEO", "unlock api in prod"), "Ask ana or an admin to unlock it")
	w.says(w.command(anaID, "lock api"), "Say why")
	w.says(w.command(anaID, "lock api it is broken"), "api is in prod and staging. Say which, for example: /deploy lock api in prod it is broken")
	if s := strings.Join(w.people.refusals(), "\n"); s != "" {
		t.Errorf("the service notes its own refusals: %s", s)
	}
}

// panics are checks that do nothing else.
type panics struct{}

func (panics) Checks(context.Context, deploys.Plan) []deploys.Check { panic("no checks") }

// TestPanicBeside: nor does what a plan looks up beside itself end the portal.
func TestPanicBeside(t *testing.T) {
	w := newWorld(t)
	w.list(sha("abc1234"))
	w.door.Preflight = panics{}
	w.says(w.command(anaID, "api abc1234 to prod"), "Something went wrong on our side.")
}
