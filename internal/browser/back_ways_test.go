package browser_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"deployportal/internal/testenv"
)

// twice brings two images to an app, one after the other, and gives the deploys of both.
func (p *tab) twice(d *demo, app string) (ids [2]int64, tags [2]string) {
	p.t.Helper()
	for i := range ids {
		tags[i] = otherTag(p.t, d, app)
		ids[i] = p.deploy(app, tags[i])
		p.ends("Succeeded", p.loadCount())
	}
	return ids, tags
}

// spanOf is where an app's history tells of a deploy.
func spanOf(id int64) string { return fmt.Sprintf(`.span:has(a[href="/deploys/%d"])`, id) }

// unmark takes all marks of bad images off.
func (p *tab) unmark() {
	p.t.Helper()
	const clear = `form[action$="/clear"] button`
	for p.open("/locks"); get[bool](p, `!!document.querySelector(`+quote(clear)+`)`); {
		p.follow(clear, "/locks")
	}
}

// The history leads back to what ran before by its exact image string. What is left behind may be marked, says so wherever
// it stands, and runs again once somebody says why.
func TestRollbackFromTheHistory(t *testing.T) {
	d := theDemo(t)
	p := newTab(t, d.url)
	p.signIn(d, "/")
	p.decided("worker")
	ids, tags := p.twice(d, "worker")
	t.Cleanup(p.unmark)
	p.open(fmt.Sprint("/deploys/", ids[0]))
	was := p.text("#deploy-head")
	p.open("/apps/prod/worker/history")
	p.follow(spanOf(ids[0])+" .act .danger", "/apps/prod/worker/confirm")
	if got := p.text(".swap"); !strings.Contains(got, tags[0][:7]) || !strings.Contains(got, "ran well for ") {
		t.Errorf("the confirm page says %q", got)
	}
	if got := p.text(`button[type=submit].big`); got != "Roll back to "+tags[0][:7] {
		t.Errorf("the button says %q", got)
	}
	p.click("#mark-bad")
	p.typeIn("#reason", "the queue is not emptied")
	p.follow("button[type=submit].big", `/deploys/\d+`)
	p.ends("Succeeded", p.loadCount())
	if got := d.image(t, "worker"); !strings.Contains(got, tags[0]+"@sha256:") || !strings.Contains(was, tags[0][:7]) {
		t.Errorf("%s is asked for, want %s", got, tags[0])
	}

	for path, where := range map[string]string{"/apps/prod/worker": row(tags[1]), "/apps/prod/worker/history": spanOf(ids[1]),
		fmt.Sprint("/deploys/", ids[1]): "#deploy-head", "/find?q=" + tags[1]: "#main .found"} {
		p.open(path)
		if got := p.text(where + ` a[href^="/locks#mark-"]`); !strings.Contains(got, "ad") || !strings.Contains(p.text(where), "the queue is not emptied") {
			t.Errorf("%s: %q", path, p.text(where))
		}
	}
	p.open("/apps/prod/worker/confirm?image=" + tags[1])
	if !get[bool](p, `document.querySelector("#reason").required`) {
		t.Error("no reason is asked for")
	}
	p.typeIn("#reason", "the queue is watched")
	p.follow("button[type=submit].big", `/deploys/\d+`)
	p.ends("Succeeded", p.loadCount())
	if got := p.text("#deploy-head"); !strings.Contains(got, "“the queue is watched”") || !strings.Contains(got, "Marked as bad") {
		t.Errorf("the deploy says %q", got)
	}
}

// While a rollout hangs, the way back takes its place at once, and the pods that served all along are the same ones.
func TestRollBackNowWhileItHangs(t *testing.T) {
	d := theDemo(t)
	p := newTab(t, d.url)
	p.signIn(d, "/")
	api := sample(t)["api"]
	p.bring(d, "api", api.RunningTag)
	before, image := d.pods(t, "api"), d.image(t, "api")
	id := p.deploy("api", api.SlowTag)
	p.until("it waits for its first pod", `document.querySelector("#deploy-pods progress")`)
	p.follow("#deploy-head .acts .danger", "/apps/prod/api/confirm")
	if got := p.text("#confirm-replaces"); got != fmt.Sprintf("This takes the place of deploy %d.", id) {
		t.Errorf("the confirm page says %q", got)
	}
	if !get[bool](p, `document.querySelector("#mark-bad").checked`) {
		t.Error("what hangs is not to be marked")
	}
	p.click("#mark-bad") // other tests deploy it
	p.follow("button[type=submit].big", `/deploys/\d+`)
	back := p.deployID()
	p.ends("Succeeded", p.loadCount())
	if got := d.image(t, "api"); got != image {
		t.Errorf("after the rollback %s is asked for, want %s as before", got, image)
	}
	if after := d.pods(t, "api"); !slices.Equal(slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after))) {
		t.Errorf("other pods than before: %v, want %v", after, before)
	}
	p.open(fmt.Sprint("/deploys/", id))
	if got := p.text("#deploy-head"); !strings.Contains(got, "Superseded") || !strings.Contains(got, fmt.Sprintf("Replaced by deploy %d", back)) {
		t.Errorf("the one that hung says %q", got)
	}
}

// frozen refuses what changes the pods of api, as a cluster's own policy may, until thaw is called.
func (d *demo) frozen(t *testing.T) (thaw func()) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "frozen.yaml")
	if err := os.WriteFile(file, []byte(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: frozen}
spec:
  failurePolicy: Fail
  matchConstraints: {resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [UPDATE], resources: [deployments]}]}
  matchConditions: [{name: api, expression: "request.namespace == 'honeydue' && request.name == 'api'"}]
  validations: [{expression: "object.spec.template == oldObject.spec.template", message: "api is frozen."}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: frozen}
spec: {policyName: frozen, validationActions: [Deny]}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	holds := func() bool {
		_, err := d.run("-n", "honeydue", "set", "image", "deployment/api", "api=example.org/api:probe", "--dry-run=server")
		return err != nil
	}
	melt := func() { _, _ = d.run("delete", "-f", file, "--ignore-not-found") }
	t.Cleanup(melt)
	if out, err := d.run("apply", "-f", file); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	testenv.Until(t, patience, "api is frozen", holds)
	return func() {
		t.Helper()
		melt()
		testenv.Until(t, patience, "api is not frozen any more", func() bool { return !holds() })
	}
}

// A rollback that the cluster refuses does not use up the button: the failure offers it again, and then it rolls back.
func TestRollbackIsOfferedAgain(t *testing.T) {
	d := theDemo(t)
	p := newTab(t, d.url)
	p.signIn(d, "/")
	p.bring(d, "api", sample(t)["api"].RunningTag)
	image := d.image(t, "api")
	id := p.fail(d)
	thaw := d.frozen(t)
	p.follow("#deploy-head .acts .danger", `/deploys/\d+`)
	none := p.deployID()
	p.until("it has come to nothing", shows("#deploy-head .kicker", "Errored"))
	if got := p.text("#deploy-head .acts"); got != "Roll back to "+short(image) {
		t.Errorf("the rollback that came to nothing offers %q", got)
	}
	thaw()
	p.open(fmt.Sprint("/deploys/", id))
	if got := p.text("#deploy-head"); !strings.Contains(got, fmt.Sprintf("Not rolled back by deploy %d (errored)", none)) {
		t.Errorf("the failure says %q", got)
	}
	p.follow("#deploy-head .acts .danger", `/deploys/\d+`)
	if again := p.deployID(); again == none {
		t.Fatalf("the second click leads to the first rollback, %d", again)
	}
	p.ends("Succeeded", p.loadCount())
	if got := d.image(t, "api"); got != image {
		t.Errorf("%s is asked for, want %s as before", got, image)
	}
}
