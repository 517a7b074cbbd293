package templates

import (
	"time"

	"github.com/a-h/templ"
)

func readyPod(name, node, took, pulled string) PodRow {
	return PodRow{ID: "pod-api-6564f47bdf-" + name, Short: name, Name: "api-6564f47bdf-" + name, Node: node, Mark: Mark{OK, "Ready"}, Tasks: []Task{{Text: "Ready after " + took}}, Note: pulled}
}

func deployProps() DeployProps {
	p := DeployProps{Page: targetPage("api → c7750aa in prod")}
	p.Stream = &Stream{URL: DeployEventsURL(319, 7), Age: 2 * time.Second, Background: true}
	at := func(s int, text string, tone Tone) EventRow {
		return EventRow{Seq: int64(100 - s), At: past(time.Duration(s) * time.Second), Text: text, Tone: tone}
	}
	p.Live = DeployLiveProps{
		Now: now, ID: 319, App: "api", Env: "prod", AppHref: AppURL("prod", "api"), Prod: true, Active: true,
		Mark: Mark{Busy, "Rolling out"}, To: newer, From: older, Commits: 2, Who: "ana", Door: "in the browser",
		Created: past(41 * time.Second), Usually: 190 * time.Second,
		Acts: []Act{{Text: "Roll back now", Href: RollbackURL("prod", "api", 0, 319), Danger: true}, {Text: "Deploy another instead", Href: AppURL("prod", "api")}},
		Steps: []Step{
			{Name: "Recorded", State: StepDone, Figure: "audit 1482"},
			{Name: "Patched", State: StepDone, Figure: "0.1 s"},
			{Name: "Rolling out", State: StepNow, Figure: "2 of 3 pods new", Clock: &Clock{From: past(41 * time.Second)}},
			{Name: "Holding steady", State: StepTodo, Figure: "10 s"},
		},
		Pods: PodsProps{Summary: "3 wanted, 3 serving", Groups: []PodGroup{
			{ID: "rs-api-6564f47bdf", Title: "New", Name: "ReplicaSet 6564f47bdf", Short: "c7750aa", Note: "2 of 3 ready, digest proven on 2", Pods: []PodRow{
				readyPod("7qpfx", "fsn-1", "14 s", "image pulled in 1.2s"), readyPod("9rk2m", "fsn-2", "31 s", "image was on the node"),
				{ID: "pod-api-6564f47bdf-zw8ct", Short: "zw8ct", Name: "api-6564f47bdf-zw8ct", Node: "fsn-3", Mark: Mark{Busy, "Starting"}, Tasks: []Task{
					{Text: "Startup probe GET /api/health on port 8000", Clock: &Clock{From: past(38 * time.Second), Limit: 240 * time.Second}, Bar: true, Say: "HTTP 503, at least 7 times"},
				}, Note: "image pulled in 1.4s"},
			}},
			{ID: "rs-api-d4c579f7d", Title: "Old", Name: "ReplicaSet d4c579f7d", Short: "4be19f2", Note: "1 still serving", Pods: []PodRow{
				{ID: "pod-api-d4c579f7d-dbwb8", Short: "dbwb8", Name: "api-d4c579f7d-dbwb8", Node: "fsn-3", Mark: Mark{OK, "Ready"}, Tasks: []Task{{Text: "Serving", Clock: &Clock{From: past(75 * time.Hour)}}}},
				{ID: "pod-api-d4c579f7d-x2k4p", Short: "x2k4p", Name: "api-d4c579f7d-x2k4p", Node: "fsn-1", Mark: Mark{Busy, "Ending"}, Tasks: []Task{{Text: "Ending"}}},
			}},
		}},
		Events: []EventRow{
			at(3, "zw8ct: startup probe HTTP 503, at least 7 times", ""), at(10, "9rk2m is ready after 31 s", ""), at(27, "7qpfx is ready after 14 s", ""),
			at(38, "zw8ct started on fsn-3", ""), at(40, "zw8ct pulls c7750aa", ""), at(41, "patched, generation 48", ""), at(42, "ana asked for it in the browser", ""),
		},
		Commands: []string{"kubectl -n honeydue rollout status deployment/api", "kubectl -n honeydue describe deployment/api", "kubectl -n honeydue logs api-6564f47bdf-zw8ct -c api"},
		Audit:    AuditMark{Seq: 1482, Hash: "9f1c2b3a4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8"},
	}
	return p
}

func ended(p DeployProps, mark Mark) DeployProps {
	p.Stream = nil
	p.Live.Active, p.Live.Mark = false, mark
	p.Live.Created = past(302 * time.Second)
	p.Live.Finished, p.Live.Took, p.Live.Usually = past(4*time.Minute), 62*time.Second, 0
	p.Live.Acts = []Act{{Text: "Deploy again", Href: ConfirmURL("prod", "api", shaNew, 0)}}
	return p
}

func failedProps() DeployProps {
	p := ended(deployProps(), Mark{Bad, "Failed"})
	l := &p.Live
	l.App, l.To, l.Who, l.Door, l.Reason = "admin", broken, "marta", "in Slack", "the panel moves under /admin"
	l.Related = []Related{{Text: "rolled back by portal:auto in", ID: 318}}
	l.Steps[2] = Step{Name: "Rolling out", State: StepFail, Figure: "failed after 1 min 2 s"}
	l.Outcome = &Outcome{
		Mark: l.Mark, Sentence: "The pod runs, but nothing answers at /admin/ on port 3000.",
		Detail:  "Startup probe GET /admin/ was answered with HTTP 404 at least 12 times in its whole budget of 60 s. The image, its architecture and the port are fine. Does this version serve the path?",
		Log:     []string{"14:31:02  Container admin failed startup probe, will be restarted", "14:31:07  Startup probe failed: HTTP probe failed with statuscode: 404", "ready - started server on 0.0.0.0:3000"},
		Serving: "1 pod of 4be19f2, untouched. 1 wanted.", Todo: "It has been rolled back. Cure the cause, then deploy the new image.",
	}
	l.Pods = PodsProps{Summary: "1 wanted, 1 serving", Groups: []PodGroup{
		{ID: "rs-n", Title: "New", Name: "ReplicaSet 7595f7bf74", Short: "51d20be", Note: "0 of 1 ready, digest proven on 1", Pods: []PodRow{
			{ID: "pod-n", Short: "bbrbm", Name: "admin-7595f7bf74-bbrbm", Node: "fsn-2", Mark: Mark{Bad, "Crashing"}, Tasks: []Task{
				{Text: "CrashLoopBackOff", Say: "back-off 20s restarting failed container", Bad: true},
				{Text: "2 restarts", Say: "last exit code 137 by signal 9, OOMKilled after 61 s", Bad: true},
				{Text: "Startup probe GET /admin/ on port 3000", Clock: &Clock{From: past(302 * time.Second), To: past(242 * time.Second), Limit: time.Minute}, Bar: true, Tone: Bad, Say: "HTTP 404, at least 12 times"},
			}},
		}},
		{ID: "rs-o", Title: "Old", Name: "ReplicaSet 5d9cc7b8b", Short: "4be19f2", Note: "1 still serving", Pods: []PodRow{readyPod("kk2mz", "fsn-1", "9 s", "")}},
	}}
	l.Events[0].Text, l.Events[0].Tone = "the startup probe gets HTTP 404", Bad
	return p
}

func deployStories() map[string]templ.Component {
	pending := deployProps()
	l := &pending.Live
	l.Mark, l.Events, l.From, l.Usually = Mark{Busy, "Pending"}, nil, Image{Short: "unknown"}, 0
	l.Steps[1] = Step{Name: "Patched", State: StepNow, Figure: "waiting its turn", Clock: &Clock{From: past(time.Second)}}
	l.Steps[2] = Step{Name: "Rolling out", State: StepTodo}
	l.Pods = PodsProps{Empty: "Nothing was seen of the pods yet."}

	stuck := deployProps()
	stuck.Live.Outcome = &Outcome{Mark: Mark{Busy, "In trouble, still trying"}, Sentence: "zw8ct cannot start: Secret api-db does not exist.", Serving: "3 pods of 4be19f2, untouched. 3 wanted.", Todo: "Wait, or roll back now: the pods that still serve are not touched by it."}
	stuck.Live.Pods.Groups[0].Pods[2].Tasks = []Task{{Text: "CreateContainerConfigError", Say: hostile, Bad: true}}
	stuck.Live.Pods.Groups[0].Pods[2].Mark = Mark{Bad, "Not configured"}
	stuck.Live.Events[0].Tone, stuck.Live.Earlier = Bad, 12
	stuck.Live.Pods.Groups[0].Pods[1].Node = ""

	stale := deployProps()
	stale.Stream.Stale = "cluster not seen since 14:01"
	stale.Live.Mark = Mark{Unknown, "Unknown since 14:01 UTC"}
	stale.Live.Stale = &Trouble{Sentence: "The cluster cannot be reached since 14:01 UTC.", Detail: "What happens there now is not known.", Known: past(100 * time.Second)}

	done := ended(deployProps(), Mark{OK, "Succeeded"})
	done.Live.Note = "digest pinned, not proven"
	done.Live.Kind = "rollback"
	done.Live.Related = []Related{{Text: "brings back what ran before", ID: 316}}
	for i := range done.Live.Steps {
		done.Live.Steps[i].State, done.Live.Steps[i].Clock = StepDone, nil
	}
	done.Live.Pods.Groups = done.Live.Pods.Groups[:1]
	done.Live.Pods.Groups[0].Pods = done.Live.Pods.Groups[0].Pods[:2]

	errored := ended(deployProps(), Mark{Bad, "Errored"})
	errored.Live.Steps[1] = Step{Name: "Patched", State: StepFail, Figure: "errored after 0.2 s"}
	errored.Live.Steps[2] = Step{Name: "Rolling out", State: StepTodo}
	errored.Live.Outcome = &Outcome{Mark: errored.Live.Mark, Sentence: "The portal may not patch deployments in honeydue.", Detail: "Nothing was changed in the cluster.", Serving: "3 pods of 4be19f2, untouched. 3 wanted.", Todo: "Remove the cause, then deploy again."}
	errored.Live.Pods.Groups = []PodGroup{{ID: "rs-x", Title: "New", Name: "ReplicaSet x", Empty: "None yet."}}

	superseded := ended(deployProps(), Mark{Unknown, "Superseded"})
	superseded.Live.Steps[2] = Step{Name: "Rolling out", State: StepTodo, Figure: "superseded after 12 s"}
	superseded.Live.Outcome = &Outcome{Mark: superseded.Live.Mark, Sentence: "api was changed by kubectl-set at 14:01 UTC.", Serving: "3 pods of 91d3c4e.", Todo: "See what runs now."}

	return map[string]templ.Component{
		"deploy-smoke": Deploy(smokingProps()), "deploy-smoke-failed": Deploy(smokeFailedProps()), "deploy-smoke-good": Deploy(smokeGoodProps()),
		"deploy": Deploy(deployProps()), "deploy-pending": Deploy(pending), "deploy-stuck": Deploy(stuck), "deploy-stale": Deploy(stale),
		"deploy-succeeded": Deploy(done), "deploy-failed": Deploy(failedProps()), "deploy-errored": Deploy(errored), "deploy-superseded": Deploy(superseded),
		"deploy-message": DeployMessage(deployProps().Live, false), "deploy-message-last": DeployMessage(failedProps().Live, true),
	}
}
