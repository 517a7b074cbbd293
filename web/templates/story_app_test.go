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
	row := func(i Image, pushed time.Duration, place Place, stands string, ci CI, act *Act, deploys ...Link) ImageRow {
		return ImageRow{Image: i, Pushed: past(pushed), Pusher: "ci", URL: "https://git.example.org/acme/-/packages/container/api/" + i.Tag, Place: place, Stands: stands, CI: &ci, Act: act, Deploys: deploys}
	}
	deploy := func(i Image) *Act { return &Act{Text: "Deploy " + i.Short, Href: ConfirmURL("prod", "api", i.Tag, 0)} }
	bare := img("0a1b2c3d4e5f60718293a4b5c6d7e8f901234567", "", "")
	bare.Author, bare.URL, bare.At = "", "", time.Time{}
	first, side := deploy(newer), row(broken, 4*time.Hour, PlaceNewer, "1 ahead, 2 behind", CI{Mark: Mark{Unknown, "No CI"}}, deploy(broken))
	first.Main, side.Aside = true, true
	return AppProps{
		Page: targetPage("api in prod"), App: "api", Repository: "git.example.org/acme/api", Elsewhere: []Link{{"api in staging", AppURL("staging", "api")}},
		Live: AppLiveProps{
			Now: now, Env: "prod", App: "api",
			Health: Mark{OK, "Healthy"}, Running: older, Since: past(75 * time.Hour), By: "by ana", Ready: "3 of 3 ready",
			Images: []ImageRow{
				row(newer, 12*time.Minute, PlaceNewer, "2 commits ahead", CI{Mark: Mark{Busy, "CI running"}, URL: "https://ci.example.org/7"}, first, Link{"deploy 318 in staging", DeployURL(318)}),
				row(middle, 3*time.Hour, PlaceNewer, "1 commit ahead", CI{Mark: Mark{Bad, "CI failed"}, Note: "e2e, lint and 2 more", URL: "https://ci.example.org/6"}, deploy(middle)),
				side,
				row(older, 80*time.Hour, PlaceRunning, "", CI{Mark: Mark{OK, "CI passed"}, URL: "https://ci.example.org/5"}, nil, Link{"deploy 317", DeployURL(317)}),
				{Image: bare, Place: PlaceOlder, CI: &CI{Mark: Mark{Unknown, "CI unknown"}, Note: "no such commit"}, Act: deploy(bare)},
			},
			History: spanList(),
		},
	}
}

func confirmProps() ConfirmProps {
	return ConfirmProps{
		Page: targetPage("Deploy api"), App: "api", Action: DeploysURL("prod", "api"), Cancel: AppURL("prod", "api"),
		From: older, To: newer, Pushed: past(12 * time.Minute), Platforms: []string{"linux/amd64"},
		Stands:     "c7750aa is 2 commits ahead of 4be19f2.",
		Plus:       CommitList{Commits: []Image{newer, middle}, Total: 2},
		Migrations: Migrations{Run: []TouchedFile{{Path: "migrations/0042_due_index.sql", How: "added", Commit: newer}}},
		Checks: []Check{{Mark: Mark{Busy, "Warning"}, Sentence: "1 migration file may change the database. Going back later does not undo that.", Evidence: []string{"migrations/0042_due_index.sql"}},
			{Mark: Mark{Unknown, "Not known"}, Sentence: "Could not look at everything it refers to. The portal may not read Secrets."}},
		Passed:  []Check{{Mark: Mark{OK, "Passes"}, Sentence: "3 checks passed for c7750aa."}, {Mark: Mark{OK, "Passes"}, Sentence: "The commit is on main."}},
		WayBack: "The way back: 4be19f2 is still in the registry.",
		Who:     "ana", Key: "01J0000000000000000000000", SeenFrom: digOld, SeenTo: digNew,
	}
}

func appStories() map[string]templ.Component {
	trouble := appProps()
	trouble.Live.Registry = &Trouble{Sentence: "Gitea cannot be reached since 13:59 UTC.", Known: past(3 * time.Minute)}
	trouble.Live.Cluster = &Trouble{Sentence: "The cluster cannot be reached since 02:10 UTC.", Known: past(11 * time.Hour)}
	trouble.Live.Commits = &Trouble{Sentence: "Gitea refuses us the CI states of acme/api: the token lacks the scope read:repository.", Detail: "CI states and who is ahead of whom are not known, or old."}
	trouble.Live.Health = Mark{Unknown, "Unknown"}
	trouble.Notice = "The lock is gone."
	first := appProps()
	first.Live.Images, first.Live.History, first.Live.Running, first.Live.By, first.Live.Since = nil, nil, Image{Short: "unknown"}, "", time.Time{}
	first.Live.Teach = &Teach{Title: "No image yet", Text: "Push an image whose tag is the commit's SHA. Other tags, latest among them, are not listed: they can mean something else tomorrow.", Paste: "docker build -t git.example.org/acme/api:$(git rev-parse HEAD) .\ndocker push git.example.org/acme/api:$(git rev-parse HEAD)"}
	changed := appProps()
	changed.Live.Restart = &Act{Text: "Restart", Href: RestartURL("prod", "api", 0)}
	changed.Live.Outside = &Outside{Who: "kubectl-set", At: past(3 * time.Minute), From: older, To: newer, Entry: EntryURL(1482), Adopt: AdoptAct("prod", "api", newer.Short, digNew, 7),
		Restore: &Act{Text: "Restore 4be19f2", Href: UndoURL("prod", "api", 7), Danger: true}}
	lost := appProps()
	lost.Live.Gone = []Gone{
		{Of: GoneRuns, Sentence: "What runs is gone from the registry: new pods on other nodes could not pull 4be19f2.", Todo: "Deploy an image that is there before a node fails."},
		{Of: GoneBack, Sentence: "The way back is gone: the registry no longer has 91d3c4e.", Todo: "Only nodes that still hold it can start it. For the others, give Gitea's cleanup rule what “portal images keep” prints."},
	}
	lost.Live.Images = []ImageRow{lost.Live.Images[0], lost.Live.Images[2]}
	lost.Live.History[1].Gone, lost.Live.History[3].Gone = true, true
	edited := appProps()
	edited.Live.Outside = &Outside{Who: "helm", At: past(3 * time.Minute), From: older, To: older, Entry: EntryURL(1483), Says: "Another part of the pod template was changed; the image stayed.",
		Differs: []string{"container api: env LOG_LEVEL added"}, Todo: "It can be adopted once it is healthy."}
	busy := appProps()
	busy.Live.Active = boardProps().Live.Sheets[0].Rows[0].Active
	busy.Live.Note = "This workload: managed by Flux, which may revert a deploy."
	busy.Stream = &Stream{URL: AppEventsURL("prod", "api"), Age: 3 * time.Second}

	refused := confirmProps()
	refused.Error = "Somebody else deployed meanwhile: api runs 91d3c4e now, not 4be19f2. Look again, then confirm."
	refused.Reason = "hotfix for the landing page"
	refused.Checks = []Check{
		{Mark: Mark{Bad, "Blocks"}, Sentence: "The image is for linux/arm64; the nodes that can take the pod are linux/amd64.", Fix: "Build it for linux/amd64."},
		{Mark: Mark{Busy, "Warns"}, Sentence: "The startup probe allows 60 s; the last starts took 90 s to 240 s.", Fix: "Raise failureThreshold to 30."},
		{Mark: Mark{OK, "Passes"}, Sentence: "Every Secret and ConfigMap it names exists."},
	}
	refused.Blocked = true
	held := confirmProps()
	held.Checks = refused.Checks
	held.Held = true
	may := confirmProps()
	may.Checks, may.NeedReason = refused.Checks, true
	may.Overrides = []Override{{Check: "platforms", Sentence: refused.Checks[0].Sentence}, {Check: "quota", Sentence: "The quota has no room for a new pod.", Ticked: true}}
	back := confirmProps()
	back.Rollback, back.RollbackTo, back.From, back.To = true, 317, newer, older
	back.Plus, back.Minus = CommitList{}, CommitList{Commits: []Image{newer, middle}, Total: 12}
	back.Stands = "4be19f2 is 12 commits behind c7750aa."
	back.Migrations = Migrations{Stay: []TouchedFile{{Path: "migrations/0042_due_index.sql", How: "added", Commit: newer}}, Unread: 3}
	back.Checks = []Check{{Mark: Mark{Busy, "Warning"}, Sentence: "Stays in the database: 1 migration. The older code will meet the newer schema."}}
	back.Replaces, back.ReplaceSay = 319, "The deploy of c7750aa by marta, 41 s old, ends as superseded. The pods that serve now are not touched."
	same := confirmProps()
	same.To, same.Plus, same.Same, same.Stands, same.Migrations, same.Checks = same.From, CommitList{}, true, "", Migrations{}, nil
	same.Instead = &Act{Text: "Restart instead", Href: RestartURL("prod", "api", 0)}
	restart := confirmProps()
	restart.To, restart.Plus, restart.Restart, restart.Stands, restart.Migrations, restart.Checks = restart.From, CommitList{}, true, "", Migrations{}, nil
	blind := confirmProps()
	blind.Plus, blind.Stands, blind.Migrations = CommitList{}, "", Migrations{}
	blind.Commits = &Trouble{Sentence: "Commits cannot be read: Gitea cannot be reached.", Detail: "So which come and go, and whether they migrate a database, is not known. Look for yourself in a clone of acme/api:", Paste: "git log --left-right --stat 4be19f2...c7750aa"}
	blind.Checks = []Check{{Mark: Mark{Unknown, "Not known"}, Sentence: "Could not ask Gitea about its CI state. Gitea cannot be reached."}}
	blind.From = Image{Short: "unknown"}
	level := confirmProps()
	level.Plus, level.Stands, level.Migrations = CommitList{}, "c7750aa and 4be19f2 are the same commit.", Migrations{None: true}

	history := HistoryProps{Page: targetPage("What ran when: api"), App: "api", Spans: spanList(), Older: HistoryURL("prod", "api") + "?before=311"}
	return map[string]templ.Component{
		"app": App(appProps()), "app-trouble": App(trouble), "app-first": App(first), "app-busy": App(busy),
		"app-message": AppMessage(busy.Live), "app-gone": App(lost),
		"app-outside": App(changed), "app-edited": App(edited), "confirm-restart": Confirm(restart),
		"confirm": Confirm(confirmProps()), "confirm-refused": Confirm(refused), "confirm-held": Confirm(held), "confirm-override": Confirm(may), "confirm-rollback": Confirm(back),
		"confirm-same": Confirm(same), "confirm-blind": Confirm(blind), "confirm-level": Confirm(level),
		"history": History(history),
	}
}
