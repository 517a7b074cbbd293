package slack

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/web/templates"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

const portalURL = links("https://portal.example.org")

func commitOf(sha, subject string) deploys.Commit {
	return deploys.Commit{SHA: sha, Subject: subject, Author: "Ana Lima", At: noon.Add(-time.Hour)}
}

func versionOf(tag string) deploys.Version {
	return deploys.Version{Tag: tag, Digest: "sha256:" + strings.Repeat(tag[:1], 64), Images: map[string]string{"api": "git.example.org/acme/api:" + tag}, Healthy: true}
}

// planOffer is a plan of a deploy as it should be.
func planOffer() offer {
	to := sha("abc1234")
	return offer{
		facts: facts{app: deploys.App{Target: apiProd, Git: "acme/api", Workload: "api", Namespace: "honeydue"}, running: versionOf(sha("fed9876")),
			rollout: deploys.Rollout{Exists: true, Desired: 3}},
		env: Env{Name: "prod", Confirm: true}, request: deploys.Request{Target: apiProd, Image: to}, to: versionOf(to),
		commit: commitOf(to, "Sign people out when their role is lost"),
		between: deploys.Range{Total: 7, Ahead: []deploys.Commit{commitOf(to, "Sign people out when their role is lost"), commitOf(sha("1111111"), "Escape <!channel> & others"),
			commitOf(sha("2222222"), "Add an index"), commitOf(sha("3333333"), "Say what is wrong"), commitOf(sha("4444444"), "Fewer words"), commitOf(sha("5555555"), "More tests")}},
		checks: []deploys.Check{
			{Name: "direction", Finding: deploys.Warn, Sentence: "It goes back: 1 commit that run now will be gone.", Fix: "Deploy a newer image."},
			{Name: "room", Finding: deploys.NotChecked, Sentence: "Could not ask the cluster about free room."},
			{Name: "ci", Finding: deploys.Pass, Sentence: "4 checks passed for abc1234."},
			{Name: "migrations", Finding: deploys.Pass, Sentence: "None of these commits touches a migration."},
			{Name: "image", Finding: deploys.Pass, Sentence: "The registry has it."}, {Name: "ports", Finding: deploys.Pass, Sentence: "Ports are as before."}},
		asker: "ana", plan: strings.Repeat("0f", 16), expires: noon.Add(planStands),
	}
}

func planBlocked() offer {
	o := planOffer()
	o.plan = ""
	o.checks = append(o.checks, deploys.Check{Name: "references", Finding: deploys.Block, Sentence: "Secret db has no key URL.", Fix: "Add it."})
	o.active = &deploys.Deploy{ID: 41, ActorName: "ben", To: versionOf(sha("1111111"))}
	o.locks = []deploys.Lock{{Scope: deploys.Scope{Env: "prod"}, OwnerName: "cleo", Reason: "black <friday>", Created: noon.Add(-time.Hour), Expires: noon.Add(time.Hour)}}
	o.mark = &deploys.BadImage{Tag: o.to.Tag, ActorName: "ben", At: noon.Add(-2 * time.Hour), Reason: "it leaks"}
	o.judge()
	return o
}

func planLook() offer {
	o := planOffer()
	o.plan, o.asker, o.only = "", "", linkFirst
	o.unread = "Which commits come and go is not known: Gitea did not answer in time."
	return o
}

func planBack() offer {
	o := planOffer()
	o.request = deploys.Request{Target: apiProd, Return: &deploys.ReturnTo{Deploy: 40}, Reason: "payments fail", MarkBad: true}
	o.between = deploys.Range{Behind: 1, Lost: []deploys.Commit{commitOf(sha("fed9876"), "Pay in parts")}}
	o.locks = []deploys.Lock{{Scope: deploys.Scope(apiProd), OwnerName: "cleo", Reason: "a freeze", Created: noon.Add(-time.Hour)}}
	o.checks = nil
	o.condemn(whyCrashed)
	return o
}

const whyCrashed = "Deploy 41 failed: Crash loop"

// TestRollbackMarks: going back marks what it goes back from as bad where its deploy tells why, and nothing else.
func TestRollbackMarks(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*offer)
		why    string
		want   bool
	}{
		"failed":                {func(*offer) {}, whyCrashed, true},
		"nobody tells why":      {func(*offer) {}, "", false},
		"a restart is undone":   {func(o *offer) { o.to = o.running }, whyCrashed, false},
		"its digest is unknown": {func(o *offer) { o.running.Digest = "" }, whyCrashed, false},
		"a deploy":              {func(o *offer) { o.request.Return = nil }, whyCrashed, false},
	} {
		o := planBack()
		o.bad, o.request.MarkBad = "", false
		c.change(&o)
		o.condemn(c.why)
		if o.request.MarkBad != c.want || (o.bad != "") != c.want {
			t.Errorf("%s: %v %q, want %v", name, o.request.MarkBad, o.bad, c.want)
		}
	}
}

func statusFacts() []facts {
	app := func(t deploys.Target) deploys.App { return deploys.App{Target: t, Workload: t.App} }
	running := versionOf(sha("fed9876"))
	healthy := deploys.Rollout{Exists: true, Desired: 3, Ready: 3, Available: 3, Updated: 3, Replicas: 3}
	return []facts{
		{app: app(apiProd), running: running, rollout: healthy, latest: deploys.Deploy{ID: 40, Status: deploys.Succeeded, To: running, ActorName: "ana", Finished: noon},
			locks: []deploys.Lock{{Scope: deploys.Scope(apiProd), OwnerName: "cleo", Reason: "a freeze", Created: noon}}},
		{app: app(apiStaging), running: running, rollout: deploys.Rollout{Exists: true, Desired: 2, Ready: 1, Replicas: 3},
			active: &deploys.Deploy{ID: 41, Status: deploys.Running, ActorName: "ben", To: versionOf(sha("1111111"))},
			change: &deploys.OutsideChange{Manager: "kubectl-set", At: noon, To: running, Open: true}},
		{app: app(adminProd), running: versionOf(sha("2222222")), trouble: errs.New(errs.Unavailable, "The cluster cannot be reached since 02:10 UTC.")},
		{app: app(deploys.Target{App: "worker", Env: "prod"}), trouble: errs.New(errs.Unavailable, "The portal may not list pods in honeydue.")},
		{app: app(deploys.Target{App: "gone", Env: "prod"})},
		{app: app(deploys.Target{App: "idle", Env: "prod"}), running: running, rollout: deploys.Rollout{Exists: true}},
	}
}

func imageList() images {
	return images{app: deploys.App{Target: apiProd, Repository: "r/api"}, envs: []string{"prod", "staging"}, runs: map[string][]string{sha("fed9876"): {"prod", "staging"}},
		marks: deploys.MarksOf([]deploys.BadImage{{Digest: "sha256:1", Repository: "r/api", Tag: sha("2222222"), Reason: "Deploy 40 failed: <Crash> loop. It said: secret"}}),
		list: deploys.List{Images: []deploys.Listed{
			{Tag: sha("abc1234"), Pushed: noon, Commit: commitOf(sha("abc1234"), "Sign people out when their role is lost")},
			{Tag: sha("2222222"), Pushed: noon.Add(-time.Hour), Commit: commitOf(sha("2222222"), "Escape <!channel> & others")},
			{Tag: sha("fed9876"), Pushed: noon.Add(-2 * time.Hour)}}},
		about: deploys.About{CI: map[string]deploys.CI{sha("abc1234"): {State: deploys.CISuccess}, sha("2222222"): {State: deploys.CIFailure}}}}
}

func imageListOld() images {
	l := imageList()
	l.list.Err, l.list.Fetched = errs.New(errs.Unavailable, "Gitea cannot be reached."), noon.Add(-30*time.Minute)
	for range 20 {
		l.list.Images = append(l.list.Images, deploys.Listed{Tag: sha("3333333")})
	}
	return l
}

func pastDeploys() []deploys.Deploy {
	return []deploys.Deploy{
		{ID: 42, Target: apiProd, Kind: deploys.KindRollback, Status: deploys.Running, To: versionOf(sha("fed9876")), ActorID: "portal:auto", ActorName: "portal:auto", Created: noon},
		{ID: 41, Target: apiProd, Kind: deploys.KindDeploy, Status: deploys.Failed, To: versionOf(sha("abc1234")), ActorName: "ana", Created: noon.Add(-time.Hour),
			Sentence: "Pod api-7d9 does not start: the image has no <entrypoint>."},
		{ID: 40, Target: apiStaging, Kind: deploys.KindRestart, Status: deploys.Succeeded, To: versionOf(sha("fed9876")), ActorName: "ben", Created: noon.Add(-2 * time.Hour),
			Sentence: "3 of 3 pods run it."}}
}

// messages are all kinds of message that answer a command or a press.
func messages() map[string]Message {
	apps := []deploys.App{{Target: apiProd}, {Target: apiStaging}, {Target: adminProd}}
	d := deploys.Deploy{ID: 42, Target: apiProd, Kind: deploys.KindDeploy, To: versionOf(sha("abc1234"))}
	back := d
	back.Kind = deploys.KindRollback
	return map[string]Message{
		"plan": sayPlan(planOffer(), portalURL), "plan_without_links": sayPlan(planOffer(), ""), "plan_blocked": sayPlan(planBlocked(), portalURL),
		"plan_look": sayPlan(planLook(), portalURL), "plan_rollback": sayPlan(planBack(), portalURL),
		"choices": sayChoices(apps[0], ambiguous{"abc1", imageList().list.Images}),
		"begun":   sayBegun(d, portalURL), "begun_rollback": sayBegun(back, portalURL), "looking": sayLooking("api abc123 to prod"),
		"sorry": saySorry(errs.New(errs.Conflict, "api in prod does not run what you were shown <now>."), "0123456789abcdef"), "sorry_internal": saySorry(errors.New("disk"), "0123456789abcdef"),
		"home": sayHome(apps), "home_empty": sayHome(nil), "help": sayHelp(), "status": sayStatus(statusFacts(), portalURL), "status_one": sayStatus(statusFacts()[:1], portalURL),
		"status_empty": sayStatus(nil, portalURL), "images": sayImages(imageList(), portalURL), "images_old": sayImages(imageListOld(), portalURL),
		"images_none": sayImages(images{app: apps[0], envs: []string{"prod"}}, portalURL), "log": sayLog(apps[:2], pastDeploys(), plainVoice, portalURL), "log_none": sayLog(apps[:1], nil, plainVoice, portalURL),
	}
}

// TestAnswers holds every kind of answer to a golden file that Slack would take.
func TestAnswers(t *testing.T) {
	for name, m := range messages() {
		golden(t, "say_"+name, m)
	}
}

// TestLinks: what messages link to are pages of the portal.
func TestLinks(t *testing.T) {
	app := deploys.Target{App: "a/b", Env: "prod 1"}
	for got, want := range map[string]string{
		portalURL.deploy(42): templates.DeployURL(42),
		portalURL.app(app):   templates.AppURL("prod 1", "a/b"),
		portalURL.confirm(deploys.Request{Target: app, Image: "abc1234"}):                     templates.ConfirmURL("prod 1", "a/b", "abc1234", 0),
		portalURL.confirm(deploys.Request{Target: app, Return: &deploys.ReturnTo{Deploy: 7}}): templates.RollbackURL("prod 1", "a/b", 7, 0),
		portalURL.confirm(deploys.Request{Target: app, Return: &deploys.ReturnTo{Change: 9}}): templates.UndoURL("prod 1", "a/b", 9),
	} {
		if got != string(portalURL)+want {
			t.Errorf("%s is not %s", got, want)
		}
	}
}

// TestHostile: whatever others wrote, no message mentions anybody, breaks its marks or is longer than Slack takes.
func TestHostile(t *testing.T) {
	evil := strings.Repeat("<!channel> <@U1> <https://evil.example|x> & ` * \u202e", 200)
	o := planBlocked()
	o.commit = deploys.Commit{SHA: evil, Subject: evil, Author: evil}
	o.between = deploys.Range{Total: 100, Behind: 100}
	for range 50 {
		o.between.Ahead = append(o.between.Ahead, o.commit)
		o.between.Lost = append(o.between.Lost, o.commit)
		o.checks = append(o.checks, deploys.Check{Finding: deploys.Warn, Sentence: evil, Fix: evil})
	}
	o.to.Tag, o.running.Tag, o.asker, o.only, o.request.Reason, o.app.App, o.plan = evil, evil, evil, evil, evil, evil, strings.Repeat("a", 32)
	l := imageList()
	l.runs, l.app.App = map[string][]string{evil: {evil, evil}}, evil
	for range 40 {
		l.list.Images = append([]deploys.Listed{{Tag: evil, Commit: o.commit}}, l.list.Images...)
	}
	known := statusFacts()
	for range 100 {
		f := known[1]
		f.app.App, f.active.ActorName, f.change.Manager, f.locks = evil, evil, evil, planBlocked().locks
		f.locks[0].Reason = evil
		known = append(known, f)
	}
	past := pastDeploys()
	past[0].Sentence, past[0].ActorName, past[0].Target.App = evil, evil, evil
	var apps []deploys.App
	for range 100 {
		apps = append(apps, deploys.App{Target: deploys.Target{App: evil, Env: evil}}, deploys.App{Target: apiProd})
	}
	for name, m := range map[string]Message{"plan": sayPlan(o, portalURL), "images": sayImages(l, portalURL), "status": sayStatus(known, portalURL), "log": sayLog(apps, past, plainVoice, portalURL),
		"home": sayHome(apps), "sorry": saySorry(errs.New(errs.Invalid, "%s", evil), "1"), "choices": sayChoices(apps[0], ambiguous{evil, l.list.Images}),
		"looking": sayLooking("api abc123 to " + strings.ReplaceAll(evil, " ", "")), "begun": sayBegun(past[0], portalURL)} {
		if len(m.Blocks) > 50 || m.Text == "" {
			t.Errorf("%s: %d blocks, text %q", name, len(m.Blocks), m.Text)
		}
		checkText(t, name, "text", m.Text, 4000)
		raw, err := json.Marshal(m.Blocks)
		must(t, err)
		var blocks any
		must(t, json.Unmarshal(raw, &blocks))
		checkTexts(t, name, blocks)
	}
}

// checkTexts looks at every text of a message.
func checkTexts(t *testing.T, name string, v any) {
	t.Helper()
	switch v := v.(type) {
	case []any:
		for _, v := range v {
			checkTexts(t, name, v)
		}
	case map[string]any:
		text, _ := v["text"].(string)
		switch v["type"] {
		case "mrkdwn":
			checkText(t, name, "mrkdwn", text, 3000)
		case "plain_text": // nothing is a mark there
			if n := utf8.RuneCountInString(text); n == 0 || n > 300 || strings.Contains(text, "\u202e") {
				t.Errorf("%s: a plain text of %d characters: %q", name, n, text)
			}
		case "header":
			if n := utf8.RuneCountInString(v["text"].(map[string]any)["text"].(string)); n > 150 {
				t.Errorf("%s: a header of %d characters", name, n)
			}
		}
		for _, v := range v {
			checkTexts(t, name, v)
		}
	}
}

func checkText(t *testing.T, name, kind, text string, most int) {
	t.Helper()
	if n := utf8.RuneCountInString(text); n == 0 || n > most {
		t.Errorf("%s: %s of %d characters", name, kind, n)
	}
	ours := strings.NewReplacer("<"+string(portalURL)+"/", "", "<!date^", "").Replace(text)
	if strings.Contains(ours, "<") || strings.Contains(text, "\u202e") {
		t.Errorf("%s: %s says %q", name, kind, text)
	}
}

// plainVoice is the voice of environments of which nothing is configured.
func plainVoice(string) voice { return voice{} }
