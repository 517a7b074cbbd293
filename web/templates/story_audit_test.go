package templates

import (
	"time"

	"github.com/a-h/templ"
)

const hash = "9f1c2b3a4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8"

func auditProps() AuditProps {
	row := func(seq int64, d time.Duration, who, door, action string, out Mark) AuditRow {
		return AuditRow{Seq: seq, At: past(d), Actor: who, Door: door, Action: action, Outcome: out, Count: 1}
	}
	p := AuditProps{
		Page: page("Audit", NavAudit), CSV: AuditCSVURL, Older: AuditURL + "?before=1477",
		Options: AuditOptions{Apps: []string{"admin", "api", "worker"}, Envs: []string{"prod", "staging"}, Actors: []string{"ana", "marta", "portal:auto"}, Actions: []string{"deploy.", "deploy.requested", "user.signed_in"}, Outcomes: []string{"ok", "refused", "succeeded", "failed"}},
	}
	asked := row(1482, 41*time.Second, "ana", "in the browser", "asked to deploy", Mark{})
	asked.From, asked.To, asked.Target, asked.Deploy, asked.Reason = older, newer, "api in prod", 319, "landing page is broken in Safari"
	failed := row(1481, 5*time.Minute, "marta", "in Slack", "deploy failed for", Mark{Bad, "Failed"})
	failed.From, failed.To, failed.Target, failed.Deploy, failed.Sentence = older, broken, "admin in prod", 316, "Startup probe GET /admin/ on port 3000 is answered with HTTP 404."
	refused := row(1480, 10*time.Minute, "nobody", "in the browser", "was refused at sign-in", Mark{Bad, "Refused"})
	refused.Count, refused.Sentence = 14, "Wrong account or password."
	added := row(1478, 30*time.Hour, "root", "on the command line", "added the account", Mark{OK, "OK"})
	added.Subject = "marta"
	p.Rows = []AuditRow{asked, failed, refused, row(1479, 20*time.Minute, "ana", "in the browser", "signed in", Mark{OK, "OK"}), added}
	return p
}

func auditStories() map[string]templ.Component {
	none := auditProps()
	none.Rows, none.Older, none.Newest = nil, "", AuditURL
	none.Filter = AuditFilter{App: "gone", SHA: "c7750aa", From: "2026-11-23T14:00"}
	none.Error = "The period ends before it begins."
	first := auditProps()
	first.Rows, first.Older = nil, ""

	entry := EntryProps{
		Page: page("Audit 1482", NavAudit), Seq: 1482, At: past(41 * time.Second), Say: "ana asked to deploy api in prod, image c7750aa.", Mark: Mark{OK, "OK"},
		Prev: hash, Hash: hash, Older: EntryURL(1481), Newer: EntryURL(1483),
		Fields: []Field{{Name: "Entry", Value: "1482"}, {Name: "Time", Time: past(41 * time.Second)}, {Name: "Actor", Value: "ana"}, {Name: "To, digest", Value: digNew, Mono: true}, {Name: "Deploy", Value: "319", Href: DeployURL(319)}, {Name: "Reason"}, {Name: "Detail", Value: hostile}},
	}
	at := AtProps{Page: page("What ran at …?", NavAudit), Time: "2026-11-20T02:10", At: past(84 * time.Hour), Envs: []AtEnv{
		{Env: "prod", Prod: true, Rows: []AtRow{
			{App: "api", Href: AppURL("prod", "api"), Image: middle, Since: past(100 * time.Hour), Until: past(75 * time.Hour), Who: "portal:auto", Deploy: 311},
			{App: "admin", Href: AppURL("prod", "admin"), Image: older, Since: past(90 * time.Hour), Who: "marta", Deploy: 310, Running: 312, Note: "outside change by kubectl-set"},
			{App: "worker", Href: AppURL("prod", "worker")},
		}},
	}}
	return map[string]templ.Component{
		"audit": Audit(auditProps()), "audit-none": Audit(none), "audit-first": Audit(first), "entry": Entry(entry),
		"at": At(at), "at-error": At(AtProps{Page: page("What ran at …?", NavAudit), Time: "later", Error: "This is no moment: write it as 2026-11-23T14:00."}),
	}
}

func peopleStories() map[string]templ.Component {
	out := Page{Title: "Sign in", Now: now}
	account := AccountProps{Page: page("Your account", ""), Grants: []string{"deployer in prod", "viewer everywhere"}, Local: true, Error: "The current password is wrong.", Sessions: []SessionRow{
		{ID: "a1", Device: "Firefox on Linux", Addr: "10.0.0.7", Created: past(50 * time.Hour), Seen: past(3 * time.Second), Current: true},
		{ID: "b2", Device: "Safari on iPhone", Addr: "2001:db8::17", Created: past(200 * time.Hour), Seen: past(9 * time.Hour)},
	}}
	people := PeopleProps{Page: page("People", NavPeople), Command: "portal user add NAME --role deployer", People: []Person{
		{Name: "ana", Grants: []string{"admin everywhere"}, Seen: past(time.Minute), Audit: AuditURL + "?actor=ana", Slack: "U07ANA1234", Linked: past(3 * time.Hour)},
		{Name: "marta", Grants: []string{"deployer in staging", "viewer everywhere"}, Seen: past(26 * time.Hour), Audit: AuditURL + "?actor=marta"},
		{Name: "joe", Disabled: true, Audit: AuditURL + "?actor=joe"},
	}}
	viewer := account
	viewer.Page.Admin, viewer.Local, viewer.Grants, viewer.Error = false, false, nil, ""
	asked, told, linked := account, account, account
	asked.Error, told.Error, linked.Error = "", "", ""
	asked.Slack = &SlackSide{}
	told.Slack = &SlackSide{Command: "/deploy link 7KQ2M-9XWPT", Until: now.Add(10 * time.Minute)}
	linked.Slack = &SlackSide{User: "U07ANA1234", Team: "T0123ABCD", Since: past(3 * time.Hour)}
	return map[string]templ.Component{
		"account-slack": Account(asked), "account-code": Account(told), "account-linked": Account(linked),
		"sign-in":         SignIn(SignInProps{Page: out}),
		"sign-in-refused": SignIn(SignInProps{Page: out, Account: "ana", Message: "Wrong account or password.", Next: "/deploys/319"}),
		"sign-in-first":   SignIn(SignInProps{Page: out, FirstRun: "portal user add ana --role admin"}),
		"account":         Account(account), "account-viewer": Account(viewer), "people": People(people),
		"error":     Error(ErrorProps{Page: page("Not found", ""), Status: 404, Sentence: "There is no app apy in prod.", Todo: "Known there: admin, api, worker.", RequestID: "01J9Z3K5Q8", Acts: []Act{{Text: "Board", Href: BoardURL}}}),
		"error-out": Error(ErrorProps{Page: Page{Title: "Not available", Now: now}, Status: 503, Sentence: "The audit log cannot be written, so nothing is done.", RequestID: "01J9Z3K5Q9"}),
	}
}
