package web

import (
	"strings"
	"testing"

	"deployportal/internal/audit"
)

// TestLogStaysOnThePage: the last words of a container may hold a password. They are on the page of the deploy, for who may
// see it, and nowhere in what is kept for good or handed on: the audit log, its export, the portal's own log.
func TestLogStaysOnThePage(t *testing.T) {
	const secret = "canary-hunter2"
	p := newPortal(t, nil, nil)
	p.cluster.said = []string{"starting", "panic: dial postgres://app:" + secret + "@db/api: connection refused"}
	d := p.failed()
	back := p.patched(d.ID + 1)
	p.cluster.finish(target("staging"), "a")
	p.over(back.ID)
	ana := p.as(admin)
	if page := ana.get("/deploys/1").text("main"); !strings.Contains(page, "It said: panic: dial postgres://app:"+secret+"@db/api") {
		t.Fatalf("the page does not quote the log: %q", page)
	}
	export := ana.get("/audit.csv?app=api").body
	for name, text := range map[string]string{"the audit page": ana.get("/audit?app=api").body, "the export": export, "the portal's log": p.log.String(),
		"the page of marks": ana.get("/locks").body, "the confirm page": ana.get("/apps/staging/api/confirm?rollback_to=last").body} {
		if strings.Contains(text, "canary") || strings.Contains(text, "postgres") {
			t.Errorf("%s tells what a container said", name)
		}
	}
	if !strings.Contains(export, "Crash loop: Container main of pod x ended with exit code 2 and was started again 3 times.") {
		t.Errorf("the export tells too little: %s", export)
	}
	if got := p.entries(audit.DeployFailed); len(got) != 1 || strings.Contains(got[0].Detail, "said") {
		t.Errorf("%+v", got)
	}
}
