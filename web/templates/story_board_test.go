package templates

import (
	"time"

	"github.com/a-h/templ"
)

func boardProps() BoardProps {
	p := BoardProps{Page: page("Board", NavBoard), Summary: "3 apps in prod, 3 in staging"}
	p.Stream = &Stream{URL: BoardEventsURL, Age: 2 * time.Second}
	up := img("237c6b8aa0b1c2d3e4f5061728394a5b6c7d8e9f", digOld, "Serve the app at /")
	digest := img("a90d3c1ee0b1c2d3e4f5061728394a5b6c7d8e9f", digOld, "Daily digest at 07:00")
	ok := Mark{OK, "Healthy"}
	p.Live = BoardLiveProps{Now: now, Sheets: []Sheet{
		{Env: "prod", Prod: true, Meta: "namespace honeydue", Rows: []Row{
			{
				App: "api", Href: AppURL("prod", "api"), Health: Mark{Busy, "Progressing"}, Running: older, Since: past(75 * time.Hour), By: "by ana",
				Ready: "3 of 3 ready", Newer: 2, NewestAt: past(12 * time.Minute), Act: &Act{Text: "Open deploy", Href: DeployURL(319)},
				Active: &Strip{
					Href: DeployURL(319), Mark: Mark{Busy, "Rolling out"}, Image: newer, Done: 2, Total: 3,
					Words: "2 of 3 new pods ready", What: "startup probe", Clock: &Clock{From: past(38 * time.Second), Limit: 240 * time.Second},
				},
			},
			{App: "admin", Href: AppURL("prod", "admin"), Health: ok, Running: up, Since: past(6 * time.Hour), By: "by marta", Ready: "1 of 1 ready", NewNote: "up to date", Act: &Act{Text: "Deploy", Href: AppURL("prod", "admin")}},
			{App: "worker", Href: AppURL("prod", "worker"), Health: Mark{Bad, "Degraded"}, Running: digest, Since: past(9 * time.Minute), By: "changed from outside by kubectl-set", Ready: "0 of 1 ready", Newer: 1, NewestAt: past(3 * time.Hour), Act: &Act{Text: "Roll back", Href: RollbackURL("prod", "worker", 0, 0), Danger: true}},
		}},
		{Env: "staging", Meta: "namespace honeydue-staging", Rows: []Row{
			{App: "api", Href: AppURL("staging", "api"), Health: ok, Running: newer, Since: past(12 * time.Minute), By: "by marta", Ready: "1 of 1 ready", NewNote: "up to date", Act: &Act{Text: "Deploy", Href: AppURL("staging", "api")}},
			{App: "admin", Href: AppURL("staging", "admin"), Health: ok, Running: up, Since: past(26 * time.Hour), By: "by ana", Ready: "1 of 1 ready", NewNote: "images not known", Note: "managed by Flux, which may revert a deploy", Act: &Act{Text: "Deploy", Href: AppURL("staging", "admin")}},
			{
				App: "worker", Href: AppURL("staging", "worker"), Health: Mark{Unknown, "Unknown"}, Running: Image{Short: "unknown"}, NewNote: "no image in the registry",
				Note:   "there is no Deployment worker in honeydue-staging",
				Active: &Strip{Href: DeployURL(320), Mark: Mark{Busy, "Pending"}, Image: newer, Words: "not patched yet", Clock: &Clock{From: past(time.Second)}},
			},
		}},
	}}
	return p
}

func boardStories() map[string]templ.Component {
	stale := boardProps()
	stale.Stream.Stale = "cluster not seen since 02:10"
	stale.Live.Sheets[0].Trouble = &Trouble{Sentence: "The cluster cannot be reached since 02:10 UTC.", Detail: "Deploys of these apps are refused until then.", Known: past(11 * time.Hour)}
	for i := range stale.Live.Sheets[0].Rows {
		r := &stale.Live.Sheets[0].Rows[i]
		r.Health, r.Act, r.Active, r.Note = Mark{Unknown, "Unknown"}, nil, nil, "not seen since 02:10 UTC"
	}
	stale.Live.Sheets[1].Trouble = &Trouble{Sentence: "The portal may not list pods in honeydue-staging.", Detail: "Give the portal's service account the role it comes with, then this passes by itself.", Paste: "kubectl apply -n honeydue-staging -f manifests/rbac.yaml"}

	lost := boardProps()
	lost.Live.Sheets[0].Rows[1].Gone = "The way back is gone from the registry"

	empty := BoardProps{Page: page("Board", NavBoard), Summary: "no app is configured"}
	empty.Live = BoardLiveProps{Now: now, Teach: &Teach{
		Title: "No app yet",
		Text:  "The portal shows and deploys what its configuration names: an environment is a namespace of a cluster, an app is a Deployment in it and the repository of its images.",
		File:  "portal.yaml", Paste: "environments:\n- name: prod\n  namespace: acme\napps:\n- name: api\n  image: acme/api\n  workload: api\n",
	}}
	part := boardProps()
	part.Live.Sheets = append(part.Live.Sheets[1:], Sheet{Env: "preview", Meta: "namespace honeydue-preview", Teach: &Teach{
		Title: "No app in preview yet", Text: "Name the Deployment and the repository of its images.", File: "portal.yaml",
		Paste: "apps:\n- name: api\n  image: acme/api\n  workload: api\n",
	}})

	hostileBoard := boardProps()
	row := &hostileBoard.Live.Sheets[0].Rows[0]
	row.Running.Subject, row.By, row.Note, row.Running.URL = hostile, hostile, hostile, "javascript:alert(1)"

	found := FindProps{Page: page("Find", "")}
	found.Query = "api"
	found.Targets = []FoundTarget{{App: "api", Env: "prod", Prod: true, Health: Mark{OK, "Healthy"}, Running: older, Href: AppURL("prod", "api")}}
	found.Images = []FoundImage{{App: "api", Image: newer, Pushed: past(time.Hour), Where: []Link{{"deploy 12 in staging", DeployURL(12)}}}}
	none := FindProps{Page: page("Find", "")}
	none.Query = "nothing"

	return map[string]templ.Component{
		"board": Board(boardProps()), "board-stale": Board(stale), "board-empty": Board(empty), "board-part": Board(part),
		"board-hostile": Board(hostileBoard), "board-gone": Board(lost), "board-message": BoardMessage(boardProps().Live),
		"find": Find(found), "find-none": Find(none),
	}
}
