package web

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"deployportal/internal/audit"
	"deployportal/web/templates"
)

func requested() audit.Entry {
	return audit.Entry{
		Seq: 1482, At: noon, Actor: audit.Actor{ID: "user:7", Name: "ana", Source: "web", Addr: "10.0.0.7", Method: "session"},
		Action: audit.DeployRequested, App: "api", Env: "prod", DeployID: 319, Repository: repo,
		FromTag: "4be19f2c03d1", FromDigest: digestOld, ToTag: "c7750aa91be2", ToDigest: digestNew,
		Reason: "hotfix", RequestID: "r1", Count: 1, Prev: "aa", Hash: "bb",
	}
}

func TestAuditView(t *testing.T) {
	failed := requested()
	failed.Action, failed.Outcome, failed.Detail = audit.DeployFailed, "failed", "HTTP 404."
	refused := audit.Entry{Seq: 3, At: noon, Actor: audit.Actor{Name: "nobody", Source: "web"}, Action: audit.SignInRefused, Outcome: "refused", Count: 14}
	other := audit.Entry{Seq: 4, At: noon, Actor: audit.Actor{Name: "ana"}, Action: "lock.set", Outcome: "ok", Count: 1}
	rows := auditView([]audit.Entry{requested(), failed, refused, other})
	if r := rows[0]; r.Target != "api in prod" || r.To.Short != "c7750aa" || r.From.Short != "4be19f2" || r.Outcome.Word != "" || r.Door != "in the browser" {
		t.Errorf("%+v", r)
	}
	if r := rows[1]; r.Outcome.Tone != templates.Bad || r.Sentence != "HTTP 404." {
		t.Errorf("%+v", r)
	}
	if r := rows[2]; r.Target != "" || r.To.Known() || r.Count != 14 || r.Outcome.Word != "Refused" {
		t.Errorf("%+v", r)
	}
	if rows[3].Action != "lock.set" {
		t.Errorf("%+v", rows[3])
	}
	var b bytes.Buffer
	if err := templates.Audit(templates.AuditProps{Page: templates.Page{Now: noon}, Rows: rows}).Render(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
}

func TestEntrySay(t *testing.T) {
	failed, refused := requested(), audit.Entry{Actor: audit.Actor{Name: "nobody"}, Action: audit.SignInRefused, Count: 14}
	failed.Action = audit.DeployFailed
	added := audit.Entry{Actor: audit.Actor{Name: "root"}, Action: audit.UserAdded, Subject: "marta", Count: 1}
	of := func(action, subject, outcome string) audit.Entry {
		e := requested()
		e.Action, e.Subject, e.Outcome = action, subject, outcome
		return e
	}
	for want, e := range map[string]audit.Entry{
		"ana asked to deploy api in prod, image c7750aa.":           requested(),
		"Deploy 319 failed for api in prod, image c7750aa.":         failed,
		"nobody was refused at sign-in 14 times.":                   refused,
		"root added the account marta.":                             added,
		"ana asked to roll back api in prod, image c7750aa.":        of(audit.DeployRequested, "rollback", ""),
		"ana automatically rolls back api in prod, image c7750aa.":  of(audit.DeployRequested, "automatic rollback", ""),
		"ana was refused to roll back api in prod, image c7750aa.":  of(audit.DeployRejected, "rollback", "refused"),
		"Rollback 319 failed for api in prod, image c7750aa.":       of(audit.DeployFailed, "automatic rollback", "failed"),
		"ana asked to restart api in prod, image c7750aa.":          of(audit.DeployRequested, "restart", ""),
		"ana was refused to restart api in prod, image c7750aa.":    of(audit.DeployRejected, "restart", "refused"),
		"Restart 319 succeeded for api in prod, image c7750aa.":     of(audit.DeploySucceeded, "restart", "succeeded"),
		"ana marked as bad an image of api in prod, image c7750aa.": of(audit.ImageMarkedBad, "", "ok"),
		"ana locked everything in prod.":                            {Actor: audit.Actor{Name: "ana"}, Action: audit.LockCreated, Env: "prod", Subject: "everything in prod", Outcome: "ok", Count: 1},
		"dan was refused to unlock api in prod.":                    {Actor: audit.Actor{Name: "dan"}, Action: audit.LockRemoved, App: "api", Env: "prod", Outcome: "refused", Count: 1},
	} {
		if got := entrySay(e); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Every field of an entry that goes into its hash is on its page.
func TestEntryView(t *testing.T) {
	e := requested()
	p := entryView(e, 1483)
	var b strings.Builder
	for _, f := range p.Fields {
		b.WriteString(f.Value + "\n")
	}
	for _, v := range []string{"user:7", "ana", "web", "10.0.0.7", "session", audit.DeployRequested, "api", "prod", "319", repo, e.FromTag, e.FromDigest, e.ToTag, e.ToDigest, "hotfix", "r1", "1482"} {
		if !strings.Contains(b.String(), v) {
			t.Errorf("no %s", v)
		}
	}
	if p.Older != "/audit/1481" || p.Newer != "/audit/1483" || p.Prev != "aa" || p.Hash != "bb" {
		t.Errorf("%+v", p)
	}
	e.Seq = 1
	if p := entryView(e, 1); p.Older != "" || p.Newer != "" {
		t.Errorf("%+v", p)
	}
}
