package slack

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"deployportal/internal/auth"
	"deployportal/internal/deploys"
	"deployportal/internal/deploys/deploystest"
)

func TestNew(t *testing.T) {
	_, err := New(Options{Team: "acme", BotToken: "hidden-1", AppToken: "hidden-2", SigningSecret: " ", Envs: []Env{{Name: "prod", Channel: "#deploys"}, {Name: "prod"}}, PublicURL: "portal"})
	if err == nil {
		t.Fatal("options of nothing are taken")
	}
	for _, want := range []string{"are needed", "workspace", "id of an app", "bot token must begin", "app token must begin", "white space", "not a name", "named twice", "no URL"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hidden") {
		t.Errorf("the error tells a secret: %v", err)
	}
	if _, err := New(Options{}); err == nil || !strings.Contains(err.Error(), "neither a signing secret") {
		t.Errorf("nothing can come in, and that is fine: %v", err)
	}
}

func TestJourney(t *testing.T) {
	w := newWorld(t)
	w.list(sha("abc1234"), sha("0000002"))
	w.checks.Say(deploys.Check{Name: "ci", Finding: deploys.Pass, Sentence: "2 checks passed for abc1234."})
	plan := w.command(anaID, "api abc1 to prod")
	w.says(plan, "Deploy abc1234 to api in prod", "`0000001` → `abc1234` Change number 0", "It brings 1 commit", "*Fine:* 2 checks passed", "You are *ana*", `"confirm":`)
	id := w.planID(plan)
	if again := w.planID(w.command(anaID, "api  "+sha("abc1234")+" in prod")); again != id {
		t.Error("the same command is another plan")
	}
	begun := w.press(anaID, actionDeploy, id)
	w.says(begun, "Deploy 1 of api in prod to `abc1234` has begun", "https://portal.example.org/deploys/1")
	w.says(w.press(anaID, actionDeploy, id), "Deploy 1 of api in prod")
	w.says(w.press(anaID, actionCancel, id), "Deploy 1 of api in prod")
	if n := w.count(`SELECT count(*) FROM deploys`); n != 1 {
		t.Errorf("%d deploys, not one", n)
	}
	d, err := w.svc.Get(t.Context(), 1)
	must(t, err)
	if d.ActorName != "ana" || d.Source != "slack" {
		t.Errorf("deployed by %s through %s", d.ActorName, d.Source)
	}
	if n := w.count(`SELECT count(*) FROM audit_entries WHERE action = 'deploy.requested' AND source = 'slack' AND addr = 'T0123ABCD/C0123ABCD/U0ANA'`); n != 1 {
		t.Errorf("%d entries say who asked in Slack", n)
	}
	w.says(w.command(anaID, "api 0000002 to prod"), "*In the way:* Deploy 1 to abc1234, asked for by ana, is under way.", "Open deploy 1")
	w.says(w.command(benID, "status api"), "Deploy 1", "to `abc1234` by ana is")
	w.says(w.command(benID, "log api"), "Deploy 1", "*rolling out* · ana")
}

func TestPress(t *testing.T) {
	w := newWorld(t)
	w.list(sha("abc1234"))
	id := w.planID(w.command(anaID, "api abc1234 to prod"))

	w.says(w.press(benID, actionDeploy, id), linkFirst)
	w.people.grant(benID, "ben", auth.Grant{Role: auth.Admin})
	w.says(w.press(benID, actionDeploy, id), "somebody else's")
	w.says(w.press(benID, actionCancel, id), "somebody else's")
	w.says(w.press(anaID, actionDeploy, strings.Repeat("0", 32)), "not known any more")
	w.says(w.press(anaID, "explode", id), "This button is not known")
	if refused := w.people.refusals(); len(refused) != 3 {
		t.Errorf("refused: %q", refused)
	}
	// Rights are those of the press.
	w.people.grant(anaID, "ana", auth.Grant{Role: auth.Viewer})
	w.says(w.press(anaID, actionDeploy, id), "ana may not deploy in prod")
	w.people.grant(anaID, "ana", auth.Grant{Role: auth.Deployer})
	w.says(w.press(anaID, actionDeploy, id), "This plan is over")

	id = w.planID(w.command(anaID, "api abc1234 to prod"))
	w.says(w.press(anaID, actionCancel, id), "Cancelled. Nothing was sent.")
	w.says(w.press(anaID, actionDeploy, id), "This plan is over")

	// What was shown is what is meant.
	id = w.planID(w.command(anaID, "api abc1234 to prod"))
	w.registry.Move(sha("abc1234"), "sha256:"+strings.Repeat("e", 64))
	w.says(w.press(anaID, actionDeploy, id), "Look again and confirm anew")
	if n := w.count(`SELECT count(*) FROM deploys`); n != 0 {
		t.Errorf("%d deploys, not none", n)
	}
}

func TestPlanEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.list(sha("abc1234"))
		id := w.planID(w.command(anaID, "api abc1234 to prod"))
		time.Sleep(planStands + time.Second)
		w.says(w.press(anaID, actionDeploy, id), "older than 10 minutes")
		if again := w.planID(w.command(anaID, "api abc1234 to prod")); again == id {
			t.Error("a plan that is over is offered again")
		}
		time.Sleep(planKept + time.Hour)
		must(t, sweep(t.Context(), w.db))
		if n := w.count(`SELECT (SELECT count(*) FROM slack_plans) + (SELECT count(*) FROM slack_seen)`); n != 0 {
			t.Errorf("%d rows are left", n)
		}
		w.end()
	})
}

func TestMeaningElse(t *testing.T) {
	w := newWorld(t)
	w.list(sha("abc1234"))
	id := w.planID(w.command(anaID, "api abc1234 to prod"))
	w.cluster.SetImage(apiProd, "api", deploystestImage("0000009"))
	if again := w.planID(w.command(anaID, "api abc1234 to prod")); again == id {
		t.Error("a plan from another image is the same plan")
	}
	w.says(w.press(anaID, actionDeploy, id), "This plan is over")
}

func TestWhoMayOnlyLook(t *testing.T) {
	w := newWorld(t)
	w.list(sha("abc1234"))
	for _, who := range []struct{ user, says string }{{benID, linkFirst}, {"U0EVE", "eve may not deploy in prod"}} {
		w.people.grant("U0EVE", "eve", auth.Grant{Role: auth.Deployer, Env: "staging"})
		plan := w.command(who.user, "api abc1234 to prod")
		w.says(plan, who.says, "`0000001` → `abc1234`", "There is no button")
		if strings.Contains(plan, `"action_id":"deploy"`) {
			t.Errorf("%s has a button", who.user)
		}
	}
	if n := w.count(`SELECT count(*) FROM slack_plans`); n != 0 {
		t.Errorf("%d plans", n)
	}
	w.says(w.command(benID, "lock api in prod because of me"), linkFirst)
	w.says(w.command(benID, "unlock api in prod"), linkFirst)
	if len(w.people.refusals()) != 2 {
		t.Errorf("refused: %q", w.people.refusals())
	}
}

func TestObjections(t *testing.T) {
	w := newWorld(t)
	w.list(sha("abc1234"))
	none := func(answer string, want ...string) {
		t.Helper()
		w.says(answer, want...)
		if strings.Contains(answer, `"action_id":"deploy"`) {
			t.Errorf("there is a button: %s", answer)
		}
	}
	w.checks.Say(deploys.Check{Name: "references", Finding: deploys.Block, Sentence: "Secret db is missing.", Fix: "Create it."})
	none(w.command(anaID, "api abc1234 to prod"), "*In the way:* Secret db is missing. Create it. An admin can override", "/apps/prod/api/confirm?image="+sha("abc1234"))
	w.checks.Say()
	none(w.command(anaID, "api 0000001 to prod"), "runs 0000001 already")
	w.says(w.command(anaID, "lock api in prod for 2h we look &lt;into&gt; it"), "api in prod is locked by ana", `we look \u0026lt;into\u0026gt; it`)
	none(w.command(anaID, "api abc1234 to prod"), "*In the way:* api in prod is locked by ana")
	w.says(w.command(anaID, "lock api in prod again"), "ana or an admin can unlock it")
	w.says(w.command(anaID, "unlock api in prod"), "is unlocked")
	w.says(w.command(anaID, "unlock api in prod"), "is not locked")
	w.planID(w.command(anaID, "api abc1234 to prod"))
	w.cluster.Update(apiProd, func(r *deploys.Rollout) {
		r.StaleSince, r.StaleWhy = time.Now(), "The cluster cannot be reached since 02:10 UTC."
	})
	none(w.command(anaID, "api abc1234 to prod"), "The cluster cannot be reached since 02:10 UTC.")
	w.says(w.command(anaID, "status api in prod"), "when last seen", "cannot be reached")
}

func TestRollback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.list(sha("abc1234"), sha("abd1234"))
		done := func(tag string) { // deploys tag in prod, and lets it succeed
			t.Helper()
			w.press(anaID, actionDeploy, w.planID(w.command(anaID, "api "+tag+" to prod")))
			synctest.Wait()
			w.cluster.Update(apiProd, func(r *deploys.Rollout) { deploystest.Complete(r, time.Now()) })
			time.Sleep(20 * time.Second)
			synctest.Wait()
		}
		w.says(w.command(anaID, "rollback api in prod"), "knows no earlier image")
		w.says(w.press(anaID, actionRollback, "99"), "99")
		w.says(w.press(anaID, actionRollback, "x"), "names no deploy")
		done("abc1")
		done("abd1")
		w.says(w.press(anaID, actionRollback, "2"), "Roll back api in prod to abc1234", `"text":"Roll back"`)
		w.says(w.press(benID, actionRollback, "2"), "Roll back api in prod to abc1234", linkFirst)
		w.says(w.command(anaID, "rollback api to ffff in prod"), "no ffff that ran well", "/deploy api ffff to prod")
		w.says(w.command(anaID, "rollback api ab in prod"), "no ab that ran well")
		w.says(w.command(anaID, "rollback api ab00 in prod"), "no ab00 that ran well")
		w.says(w.command(anaID, "rollback api to 0000001 in prod"), "Roll back api in prod to 0000001")
		w.command(anaID, "lock api in prod a freeze")
		w.says(w.command(anaID, "rollback api in prod"), "A rollback passes the lock with a reason", "There is no button")
		begun := w.press(anaID, actionDeploy, w.planID(w.command(anaID, "rollback api to abc1 in prod because payments fail")))
		w.says(begun, "Deploy 3, the rollback of api in prod to `abc1234`, has begun.")
		d, err := w.svc.Get(t.Context(), 3)
		must(t, err)
		if d.Kind != deploys.KindRollback || d.RollbackOf != 1 || d.Reason != "payments fail" {
			t.Errorf("%+v", d)
		}
		w.says(w.command(anaID, "log api"), "Deploy 3", "back to", "*succeeded*")
		w.end()
	})
}

// deploystestImage is an image string of the test apps.
func deploystestImage(tag string) string { return "git.example.org/acme/api:" + tag }

func TestLink(t *testing.T) {
	w := newWorld(t)
	w.says(w.command(benID, "link WRONG"), "not known, used, or too old")
	w.says(w.command(benID, "link GOOD-CODE"), "linked to the account *ben*")
	w.says(w.command(benID, "unlink"), "not linked any more")
}

func TestLooking(t *testing.T) {
	w := newWorld(t)
	w.list(sha("abc1234"), sha("abcd567"), sha("00000aa"))
	w.says(w.command(benID, ""), "*api* in prod and staging", "*admin* in prod", "/deploy list api")
	w.says(w.command(benID, "help"), "How to use /deploy")
	w.says(w.command(benID, "list api"), "`abc1234` Change number 0", "Deploy one:")
	w.says(w.command(benID, "api"), "Images of api")
	w.says(w.command(benID, "status"), "api in prod", "api in staging", "admin in prod", "healthy, 3 of 3 ready")
	w.says(w.command(benID, "log api"), "There were none")
	w.says(w.command(benID, "api abc1 to prod"), "Deploy abc1234")
	w.says(w.command(benID, "api abc to prod"), "not a commit SHA")
	w.says(w.command(benID, "api ffff to prod"), "No image of api begins with ffff")
	w.says(w.command(benID, "aip abc1 to prod"), "There is no app aip. Did you mean api?")
	w.says(w.command(benID, "zzzzzz abc1"), "There are api and admin")
	w.says(w.command(benID, "api abc1"), "api is in prod and staging. Say which", "/deploy api abc1 in prod")
	w.says(w.command(benID, "api abc1 to moon"), "There is no environment moon")
	w.says(w.command(benID, "admin abc1 to staging"), "admin is not in staging but in prod")
	w.says(w.command(benID, "api abc1 <!channel> extra"), "not clear", "!channel")
	w.catalog.images = append(w.catalog.images, deploys.Listed{Tag: sha("abc12ff")})
	w.says(w.command(benID, "api abc12 to prod"), "`abc12` names 2 images of api")
	w.registry.Remove(sha("abc12ff"))
	w.says(w.command(benID, "api abc12ff to prod"), "Image not found")
	w.says(w.command(benID, "api fffffffff to prod"), "Deploy fffffff to api in prod")
}

// TestOnce sends a command and a press a hundred times side by side.
func TestOnce(t *testing.T) {
	w := newWorld(t)
	w.list(sha("abc1234"))
	id := w.planID(w.command(anaID, "api abc1234 to prod"))
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if rec := w.serve(sign(fresh(form(anaID, "api abc1234 to prod")), time.Now())); rec.Code != http.StatusOK {
				t.Errorf("status %d", rec.Code)
			}
		})
	}
	all.Wait()
	w.door.work.Wait()
	if n := w.count(`SELECT count(*) FROM slack_plans`); n != 1 {
		t.Errorf("%d plans, not one", n)
	}
	before := w.slack.count()
	for range 100 {
		all.Go(func() { w.serve(sign(fresh(press(anaID, actionDeploy, id)), time.Now())) })
	}
	all.Wait()
	w.door.work.Wait()
	if n := w.count(`SELECT count(*) FROM deploys`); n != 1 {
		t.Errorf("%d deploys, not one", n)
	}
	w.slack.mu.Lock()
	defer w.slack.mu.Unlock()
	for _, s := range w.slack.said[before:] {
		w.says(s.body, "Deploy 1 of api in prod")
	}
}

// TestSlow has a registry and a Gitea that take 5 seconds for each answer.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.list(sha("abc1234"))
		w.catalog.slow, w.catalog.slower, w.catalog.cold = 4*time.Second, time.Minute, true
		began := time.Now()
		rec := w.serve(sign(form(anaID, "api "+sha("abc1234")+" to prod"), began))
		if took := time.Since(began); took > time.Second {
			t.Errorf("acknowledged after %s", took)
		}
		w.says(rec.Body.String(), "Looking at api in prod ...", "ephemeral")
		w.door.work.Wait()
		w.slack.mu.Lock()
		if len(w.slack.said) != 1 || !w.slack.said[0].replace || w.slack.said[0].url != responding {
			t.Fatalf("followed up by %+v", w.slack.said)
		}
		body := w.slack.said[0].body
		w.slack.mu.Unlock()
		w.says(body, "Deploy abc1234", "not known: Gitea did not answer in time.", `"action_id":"deploy"`)
		w.catalog.slow = 30 * time.Second
		before := w.slack.count()
		w.serve(sign(form(anaID, "api "+sha("abc1234")+" to prod"), time.Now()))
		w.door.work.Wait()
		w.says(w.slack.since(t, before), "did not answer in time")
		w.end()
	})
}

func TestPanic(t *testing.T) {
	w := newWorld(t)
	w.door.Catalog = nil
	w.says(w.command(anaID, "list api"), "Something went wrong on our side.")
	w.door.People = nil
	w.says(w.press(anaID, actionDeploy, strings.Repeat("0", 32)), "Something went wrong on our side.")
	if s := w.log.String(); strings.Count(s, "slack: panic") != 2 {
		t.Errorf("the log says %s", s)
	}
}

func TestRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.list(sha("abc1234"))
		w.catalog.slow = 2 * time.Second
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.door.Run(ctx) }()
		rec := w.serve(sign(form(anaID, "api abc1234 to prod"), time.Now()))
		w.says(rec.Body.String(), "Looking")
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if w.slack.count() != 1 {
			t.Error("what was under way was not let finish")
		}
		w.says(w.serve(sign(form(anaID, "status"), time.Now())).Body.String(), "busy or stopping")
		if rec := w.serve(sign(press(anaID, actionCancel, "x"), time.Now())); rec.Code != http.StatusServiceUnavailable {
			t.Errorf("a press is answered %d", rec.Code)
		}
	})
}
