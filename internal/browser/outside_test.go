package browser_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// do runs kubectl as the administrator does, past the portal.
func (d *demo) do(t testing.TB, args ...string) {
	t.Helper()
	out, err := d.run(append(args, "-n", "honeydue")...)
	if err != nil {
		t.Fatalf("kubectl %v: %v\n%s", args, err, out)
	}
}

// repository is the image string of an app without its tag and digest.
func repository(image string) string {
	name, _, _ := strings.Cut(image, "@")
	return name[:strings.LastIndexByte(name, ':')]
}

// decided makes sure that no change of an app from outside waits for a decision.
func (p *tab) decided(app string) {
	p.t.Helper()
	p.idle(app)
	p.open("/apps/prod/" + app)
	if get[bool](p, `!!document.querySelector("#outside form")`) {
		p.click("#outside form button")
		p.until("the adoption is open", arrived(`/deploys/\d+`))
	}
}

// A change by kubectl shows on an open board within 30 s, by whom; one click on the app's page adopts it.
func TestOutsideChangeIsSeenAndAdopted(t *testing.T) {
	d := theDemo(t)
	p := newTab(t, d.url)
	p.signIn(d, "/")
	p.decided("worker")
	tag, repo := otherTag(t, d, "worker"), repository(d.image(t, "worker"))
	p.open("/")
	p.until("the board is live", `document.querySelector("#live").dataset.state === "ok"`)
	loads := p.loadCount()
	d.do(t, "set", "image", "deployment/worker", "worker="+repo+":"+tag)
	p.within(30*time.Second, "the board tells by whom", shows("#row-prod-worker .facts", "outside change by kubectl-set"))
	p.until("the board tells what runs", shows("#row-prod-worker .sha", tag[:7]))
	p.until("the board asks", shows("#row-prod-worker .act", "Review change"))
	if got := p.loadCount(); got != loads {
		t.Errorf("the board was loaded %d times, want %d", got, loads)
	}
	p.idle("worker")
	p.shootHere("outside-board", "/")
	p.open("/")
	p.follow("#row-prod-worker .act a", "/apps/prod/worker")
	p.until("the change is told", shows("#outside h2", "kubectl-set set "+tag[:7]))
	p.shootHere("outside-app", "/apps/prod/worker")
	p.open("/apps/prod/worker")
	p.follow("#outside form button", `/deploys/\d+`)
	p.until("it is adopted", shows("#deploy-why", "Adopted: "+tag[:7]))
	p.shootHere("outside-adopted", p.where())
	p.open("/apps/prod/worker")
	if get[bool](p, `!!document.querySelector("#outside")`) {
		t.Error("it still asks")
	}
	p.until("the history tells", shows(".spans", "outside change by kubectl-set"))
	p.open("/apps/prod/worker/history")
	p.shootHere("outside-history", "/apps/prod/worker/history")
	p.open("/audit?action=change.outside")
	p.until("the log tells", shows("table.audit", "cluster:kubectl-set"))
	p.shootHere("outside-audit", "/audit?app=worker")
}

// What was meant to run is brought back from the app's page, by its exact image string.
func TestOutsideChangeIsRestored(t *testing.T) {
	d := theDemo(t)
	p := newTab(t, d.url)
	p.signIn(d, "/")
	p.decided("admin")
	tag := otherTag(t, d, "admin")
	p.deploy("admin", tag)
	p.ends("Succeeded", p.loadCount())
	good := d.image(t, "admin")
	other := otherTag(t, d, "admin")
	d.do(t, "set", "image", "deployment/admin", "admin="+repository(good)+":"+other)
	p.open("/")
	p.within(30*time.Second, "the board tells by whom", shows("#row-prod-admin .facts", "outside change by kubectl-set"))
	p.idle("admin")
	p.open("/apps/prod/admin")
	p.until("the way back is offered", shows("#outside a.danger", "Restore "+short(good)))
	p.follow("#outside a.danger", "/apps/prod/admin/confirm")
	p.follow(`button[type=submit].big`, `/deploys/\d+`)
	p.ends("Succeeded", p.loadCount())
	if got := d.image(t, "admin"); got != good {
		t.Errorf("admin is set to %s, want %s", got, good)
	}
	p.open("/apps/prod/admin")
	if get[bool](p, `!!document.querySelector("#outside")`) {
		t.Error("it still asks")
	}
}

// A change of the template alone says what is not alike and no value, and once it is undone nobody is asked any more.
func TestTemplateChangeTellsWhatDiffers(t *testing.T) {
	d := theDemo(t)
	p := newTab(t, d.url)
	p.signIn(d, "/")
	p.decided("worker")
	d.do(t, "set", "env", "deployment/worker", "DEBUG=s3cret")
	p.open("/apps/prod/worker")
	p.within(30*time.Second, "the change is told", shows("#outside", "container worker, variable DEBUG: a literal value, was not there"))
	if got := p.text("#outside"); strings.Contains(got, "s3cret") || !strings.Contains(got, "the image stayed") || strings.Contains(got, "Restore") {
		t.Errorf("the page says %q", got)
	}
	d.do(t, "set", "env", "deployment/worker", "DEBUG-")
	p.within(30*time.Second, "nobody is asked", `!document.querySelector("#outside")`)
	p.open("/audit?action=change.outside&app=worker")
	p.until("the log tells that nobody knows who took it away", shows("table.audit", "cluster:unknown"))
}

// Who manages a workload and may set it back is told on the board, on the app's page and before a deploy.
func TestManagerIsWarnedOf(t *testing.T) {
	d := theDemo(t)
	p := newTab(t, d.url)
	p.signIn(d, "/")
	d.do(t, "label", "deployment/admin", "argocd.argoproj.io/instance=admin")
	t.Cleanup(func() { d.do(t, "label", "deployment/admin", "argocd.argoproj.io/instance-") })
	const want = "managed by Argo CD, which may revert a deploy"
	p.within(30*time.Second, "the board warns", shows("#row-prod-admin", want))
	p.open("/apps/prod/admin")
	p.until("the app's page warns", shows("#main", want))
	p.open("/apps/prod/admin/confirm?image=" + otherTag(t, d, "admin"))
	if got := p.text("#main"); !strings.Contains(got, "Argo CD manages this workload and may revert the deploy.") {
		t.Errorf("the confirm page says %q", got)
	}
}

// A change while a deploy rolls out ends it, and is recorded once: with the deploy's end.
func TestChangeDuringADeployIsRecordedOnce(t *testing.T) {
	d := theDemo(t)
	p := newTab(t, d.url)
	p.signIn(d, "/")
	p.decided("api")
	before := otherTag(t, d, "api")
	p.deploy("api", before)
	p.ends("Succeeded", p.loadCount())
	records := func() int {
		p.open("/audit?action=change.outside&app=api")
		return get[int](p, `document.querySelectorAll("table.audit tbody tr").length`)
	}
	n, repo := records(), repository(d.image(t, "api"))
	other := otherTag(t, d, "api")
	p.deploy("api", sample(t)["api"].SlowTag)
	p.until("the patch is sent", shows("#main", "patched, generation"))
	d.do(t, "set", "image", "deployment/api", "api="+repo+":"+other)
	p.until("the deploy has ended", `document.querySelector("#stream")?.hasAttribute("data-done")`)
	if got := p.text("#deploy-head"); !strings.Contains(got, "Superseded") || !strings.Contains(p.text("#main"), "api was changed by kubectl-set at ") {
		t.Errorf("the page says %q", got)
	}
	p.open("/apps/prod/api")
	p.until("it is asked", shows("#outside h2", "kubectl-set set "+other[:7]))
	if got := records(); got != n {
		t.Errorf("%d entries of their own tell of it", got-n)
	}
	p.idle("api")
	p.decided("api")
}

// A restart brings new pods of the same image, and is offered where the same digest runs already.
func TestRestart(t *testing.T) {
	d := theDemo(t)
	p := newTab(t, d.url)
	p.signIn(d, "/")
	p.decided("worker")
	p.deploy("worker", otherTag(t, d, "worker")) // so that what runs is pinned
	p.ends("Succeeded", p.loadCount())
	image, before := d.image(t, "worker"), d.pods(t, "worker")
	name, _, _ := strings.Cut(image, "@")
	p.open("/apps/prod/worker/confirm?image=" + name[strings.LastIndexByte(name, ':')+1:])
	p.until("it says that the digest runs already", shows(".say", "The same digest already runs."))
	p.shootHere("restart-same", p.where())
	p.open("/apps/prod/worker/confirm?image=" + name[strings.LastIndexByte(name, ':')+1:])
	p.follow(`.say a.btn`, "/apps/prod/worker/confirm")
	p.shootHere("restart-confirm", "/apps/prod/worker/confirm?restart=1")
	p.open("/apps/prod/worker")
	p.follow("#restart", "/apps/prod/worker/confirm")
	p.typeIn("#reason", "the new certificate")
	p.follow(`button[type=submit].big`, `/deploys/\d+`)
	id := p.deployID()
	p.ends("Succeeded", p.loadCount())
	p.shootHere("restart-deploy", fmt.Sprint("/deploys/", id))
	if got := d.image(t, "worker"); got != image {
		t.Errorf("worker is set to %s, want %s", got, image)
	}
	after := d.pods(t, "worker")
	for uid := range after {
		if slices.Contains(slices.Collect(maps.Keys(before)), uid) {
			t.Errorf("pod %s is of before", uid)
		}
	}
	p.audited(d, id, "succeeded", image, image)
}

// shootHere takes pictures of a page where pictures were asked for.
func (p *tab) shootHere(name, path string) {
	p.t.Helper()
	if *shots != "" {
		p.shoot(name, path)
	}
}
