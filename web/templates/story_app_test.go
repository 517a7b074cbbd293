package templates

import (
	"time"

	"github.com/a-h/templ"
)

func targetPage(title string) Page {
	p := page(title, "")
	p.Env, p.Prod = "prod", true
	return p
}

func spanList() []Span {
	back := &Act{Text: "Roll back to this", Href: RollbackURL("prod", "api", 311, 0), Danger: true}
	return []Span{
		{Image: newer, From: past(time.Minute), Who: "ana", Door: "in the browser", Deploy: 319, Kind: "deploy", Outcome: Mark{Busy, "Rolling out"}, Sentence: "under way"},
		{Image: older, From: past(75 * time.Hour), Who: "ana", Door: "in the browser", Deploy: 317, Kind: "deploy", Outcome: Mark{OK, "Succeeded"}},
		{Image: broken, From: past(76 * time.Hour), Never: true, Who: "marta", Door: "in Slack", Deploy: 316, Kind: "restart", Outcome: Mark{Bad, "Failed"}, Sentence: "Startup probe GET /admin/ on port 3000 is answered with HTTP 404."},
		{Image: middle, From: past(100 * time.Hour), To: past(75 * time.Hour), Who: "portal:auto", Door: "by itself", Deploy: 311, Kind: "rollback", Outcome: Mark{OK, "Succeeded"}, Back: back},
		{Image: Image{Short: "unknown", Digest: ""}, From: past(101 * time.Hour), To: past(100 * time.Hour), Who: "kubectl-set", Entry: EntryURL(1480), Outcome: Mark{Unknown, "Not ours"}},
		{Image: older, From: past(102 * time.Hour), Moment: true, Who: "kubectl-rollout", Entry: EntryURL(1479), Outcome: Mark{Unknown, "Not ours"}, Sentence: "The pods were restarted; the image stayed."},
	}
}

func appProps() AppProps {
	row := func(i Image, pushed time.Duration, place Place, act *Act, deploys ...Link) ImageRow {
		return ImageRow{Image: i, Pushed: past(pushed), Pusher: "ci", Platforms: []string{"linux/amd64", "linux/arm64"}, URL: "https://git.example.org/acme/-/packages/container/api/" + i.Tag, Place: place, Act: act, Deploys: deploys}
	}
	bare := img("0a1b2c3d4e5f60718293a4b5c6d7e8f901234567", "", "")
	bare.Author, bare.URL = "", ""
	return AppProps{
		Page: targetPage("api in prod"), App: "api", Repository: "git.example.org/acme/api", Elsewhere: []Link{{"api in staging", AppURL("staging", "api")}},
		Health: Mark{OK, "Healthy"}, Running: older, Since: past(75 * time.Hour), By: "by ana", Ready: "3 of 3 ready", CanDeploy: true, More: true,
		Images: []ImageRow{
			row(newer, 12*time.Minute, PlaceNewer, &Act{Text: "Deploy c7750aa", Href: ConfirmURL("prod", "api", shaNew, 0), Main: true}, Link{"deploy 318 in staging", DeployURL(318)}),
			row(middle, 3*time.Hour, PlaceNewer, &Act{Text: "Deploy 91d3c4e", Href: ConfirmURL("prod", "api", shaMid, 0)}),
			row(older, 80*time.Hour, PlaceRunning, nil, Link{"deploy 317", DeployURL(317)}),
			{Image: bare, Place: PlaceOlder, Act: &Act{Text: "Deploy 0a1b2c3", Href: ConfirmURL("prod", "api", bare.Tag, 0)}},
		},
		History: spanList(),
	}
}

func confirmProps() ConfirmProps {
	return ConfirmProps{
		Page: targetPage("Deploy api"), App: "api", Action: DeploysURL("prod", "api"), Cancel: AppURL("prod", "api"),
		From: older, To: newer, Pushed: past(12 * time.Minute), Platforms: []string{"linux/amd64"},
		Plus:    CommitList{Commits: []Image{newer, middle}, Total: 2},
		WayBack: "The way back: 4be19f2 is still in the registry.",
		Who:     "ana", Key: "01J0000000000000000000000", SeenFrom: digOld, SeenTo: digNew,
	}
}

func appStories() map[string]templ.Component {
	trouble := appProps()
	trouble.Registry = &Trouble{Sentence: "Gitea cannot be reached since 13:59 UTC.", Known: past(3 * time.Minute)}
	trouble.Cluster = &Trouble{Sentence: "The cluster cannot be reached since 02:10 UTC.", Known: past(11 * time.Hour)}
	trouble.Health = Mark{Unknown, "Unknown"}
	trouble.Notice = "The lock is gone."
	first := appProps()
	first.Images, first.History, first.More, first.Running, first.By, first.Since = nil, nil, false, Image{Short: "unknown"}, "", time.Time{}
	first.Teach = &Teach{Title: "No image yet", Text: "Push an image whose tag is the commit's SHA. Other tags, latest among them, are not listed: they can mean something else tomorrow.", Paste: "docker build -t git.example.org/acme/api:$(git rev-parse HEAD) .\ndocker push git.example.org/acme/api:$(git rev-parse HEAD)"}
	changed := appProps()
	changed.Restart = &Act{Text: "Restart", Href: RestartURL("prod", "api", 0)}
	changed.Outside = &Outside{Who: "kubectl-set", At: past(3 * time.Minute), From: older, To: newer, Entry: EntryURL(1482), Adopt: AdoptURL("prod", "api"),
		Key: "01J0000000000000000000000", Seen: digNew, Restore: &Act{Text: "Restore 4be19f2", Href: UndoURL("prod", "api", 7), Danger: true}}
	edited := appProps()
	edited.Outside = &Outside{Who: "helm", At: past(3 * time.Minute), From: older, To: older, Entry: EntryURL(1483), Says: "Another part of the pod template was changed; the image stayed.",
		Differs: []string{"container api: env LOG_LEVEL added"}, Todo: "It can be adopted once it is healthy."}
	busy := appProps()
	busy.Active = boardProps().Live.Sheets[0].Rows[0].Active
	busy.Note = "This workload: managed by Flux, which may revert a deploy."

	refused := confirmProps()
	refused.Error = "Somebody else deployed meanwhile: api runs 91d3c4e now, not 4be19f2. Look again, then confirm."
	refused.Reason = "hotfix for the landing page"
	refused.Checks = []Check{
		{Mark: Mark{Bad, "Blocks"}, Sentence: "The image is for linux/arm64; the nodes that can take the pod are linux/amd64.", Fix: "Build it for linux/amd64."},
		{Mark: Mark{Busy, "Warns"}, Sentence: "The startup probe allows 60 s; the last starts took 90 s to 240 s.", Fix: "Raise failureThreshold to 30."},
		{Mark: Mark{OK, "Passes"}, Sentence: "Every Secret and ConfigMap it names exists."},
	}
	refused.Blocked = true
	back := confirmProps()
	back.Rollback, back.RollbackTo, back.From, back.To = true, 317, newer, older
	back.Plus, back.Minus = CommitList{}, CommitList{Commits: []Image{newer, middle}, Total: 12}
	back.Replaces, back.ReplaceSay = 319, "The deploy of c7750aa by marta, 41 s old, ends as superseded. The pods that serve now are not touched."
	same := confirmProps()
	same.To, same.Plus, same.Same = same.From, CommitList{}, true
	same.Instead = &Act{Text: "Restart instead", Href: RestartURL("prod", "api", 0)}
	restart := confirmProps()
	restart.To, restart.Plus, restart.Restart = restart.From, CommitList{}, true
	blind := confirmProps()
	blind.NoCommits, blind.Plus = "Gitea cannot be reached, so the commits between the two are not known.", CommitList{}
	blind.From = Image{Short: "unknown"}
	level := confirmProps()
	level.Plus = CommitList{}

	history := HistoryProps{Page: targetPage("What ran when: api"), App: "api", Spans: spanList(), Older: HistoryURL("prod", "api") + "?before=311"}
	return map[string]templ.Component{
		"app": App(appProps()), "app-trouble": App(trouble), "app-first": App(first), "app-busy": App(busy),
		"app-outside": App(changed), "app-edited": App(edited), "confirm-restart": Confirm(restart),
		"confirm": Confirm(confirmProps()), "confirm-refused": Confirm(refused), "confirm-rollback": Confirm(back),
		"confirm-same": Confirm(same), "confirm-blind": Confirm(blind), "confirm-level": Confirm(level),
		"history": History(history),
	}
}
