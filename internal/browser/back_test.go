package browser_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// commitOf is the tag of an app's image whose commit begins with these words.
func commitOf(t testing.TB, app, subject string) string {
	t.Helper()
	for _, c := range sample(t)[app].Commits {
		if strings.HasPrefix(c.Message, subject) {
			return c.SHA
		}
	}
	t.Fatalf("no commit %q", subject)
	return ""
}

// bring makes an app run an image that runs well, where it does not yet.
func (p *tab) bring(d *demo, app, tag string) {
	p.t.Helper()
	p.idle(app)
	if !strings.Contains(d.image(p.t, app), tag) {
		p.deploy(app, tag)
		p.ends("Succeeded", p.loadCount())
		p.idle(app)
	}
}

// fail makes a deploy of api fail that is left to a person: between what runs and what fails lies a migration.
func (p *tab) fail(d *demo) int64 {
	p.t.Helper()
	api := sample(p.t)["api"]
	p.bring(d, "api", api.RunningTag)
	id := p.deploy("api", api.FailingTag)
	p.ends("Failed", p.loadCount())
	return id
}

// answered makes a deploy of api fail that the portal rolls back itself, for no migration lies between, and gives its page.
func (p *tab) answered(d *demo) string {
	p.t.Helper()
	t := p.t
	p.bring(d, "api", commitOf(t, "api", "Add an index"))
	id := p.deploy("api", sample(t)["api"].FailingTag)
	p.ends("Failed", p.loadCount())
	return fmt.Sprint("/deploys/", id)
}

// lock closes a place by the form, unlock takes the first lock off that can be.
func (p *tab) lock(at, reason string) {
	p.t.Helper()
	p.open("/locks?at=" + strings.ReplaceAll(at, "/", "%2F"))
	if got := get[string](p, `document.querySelector("#lock-at").value`); got != at {
		p.t.Fatalf("the form is about %q, want %q", got, at)
	}
	p.typeIn("#lock-reason", reason)
	p.follow(`form[action="/locks"] button`, "/locks")
	p.until("the lock is listed", shows("#main .rows", "“"+reason+"”"))
}

func (p *tab) unlock() {
	p.t.Helper()
	p.open("/locks")
	p.follow(`form[action$="/unlock"] button`, "/locks")
}

// A lock is made from an app's page, an open board shows it at once, a deploy is refused with its reason also from a page
// that was open before, and without the lock the same click goes through.
func TestLockKeepsDeploysOut(t *testing.T) {
	d := theDemo(t)
	board, p, early := newTab(t, d.url), newTab(t, d.url), newTab(t, d.url)
	tag := otherTag(t, d, "worker")
	board.signIn(d, "/")
	p.signIn(d, "/apps/prod/worker")
	p.idle("worker")
	early.signIn(d, "/apps/prod/worker/confirm?image="+tag)

	p.open("/apps/prod/worker")
	p.follow(`a[href^="/locks?at="]`, "/locks")
	p.lock("prod/worker", "the scheduler is moved")
	board.until("the open board shows the lock", shows("#row-prod-worker", "worker in prod is locked by "+d.user))
	p.open("/apps/prod/worker/confirm?image=" + tag)
	if get[bool](p, `!!document.querySelector("button[type=submit].big")`) || !strings.Contains(p.text("#main"), "“the scheduler is moved”") {
		t.Errorf("the confirm page says %q", p.text("#main"))
	}
	early.excuse("409")
	early.follow("button[type=submit].big", "/apps/prod/worker/deploys")
	if got := early.text("#confirm-error"); !strings.Contains(got, "worker in prod is locked by "+d.user+" since ") || !strings.Contains(got, "Until then nothing is deployed to worker in prod") {
		t.Errorf("refused with %q", got)
	}
	p.unlock()
	board.until("the open board shows that it is gone", `!document.querySelector("#row-prod-worker .say")`)
	early.open("/apps/prod/worker/confirm?image=" + tag)
	early.follow("button[type=submit].big", `/deploys/\d+`)
	early.ends("Succeeded", early.loadCount())
}

// A rollback from a failure marks the image and locks the app; the image is deployed again only with a reason, until the
// mark is taken off.
func TestRollbackMarksAndLocks(t *testing.T) {
	d := theDemo(t)
	p := newTab(t, d.url)
	p.signIn(d, "/")
	id := p.fail(d)
	if got := p.text("#deploy-outcome"); !strings.Contains(got, "Not rolled back by itself: migrations/0012_tasks_due.sql was touched") {
		t.Errorf("the failure says %q", got)
	}
	p.open("/")
	p.follow("#row-prod-api .act .danger", "/apps/prod/api/confirm")
	for _, want := range []string{"The registry still has the image.", "Still ready and kept: 3 pods of", fmt.Sprintf("Deploy %d failed: Crash loop", id)} {
		if got := p.text("#main"); !strings.Contains(got, want) {
			t.Errorf("no %q on the confirm page: %q", want, got)
		}
	}
	if !get[bool](p, `document.querySelector("#mark-bad").checked && !document.querySelector("#lock-target").checked`) {
		t.Error("the ticks are not as they should be")
	}
	p.click("#lock-target")
	p.follow("button[type=submit].big", `/deploys/\d+`)
	p.ends("Succeeded", p.loadCount())

	bad := sample(t)["api"].FailingTag
	p.open("/apps/prod/api")
	p.until("the image is marked", `[...document.querySelectorAll("#images .image")].some((i) => i.querySelector(".bad-mark") && i.textContent.includes(`+quote(bad[:7])+`))`)
	if got := p.text("#main"); !strings.Contains(got, "api in prod is locked by "+d.user) {
		t.Errorf("the app's page says %q", got)
	}
	p.unlock()
	p.open("/apps/prod/api/confirm?image=" + bad)
	if got := p.text("#main"); !strings.Contains(got, "was marked as bad by") {
		t.Errorf("the confirm page says %q", got)
	}
	p.must("click without a reason", chromedp.Click(chromedp.CSS("button[type=submit].big")))
	p.until("the browser asks for one", `document.activeElement?.id === "reason" && document.querySelector("#reason").validity.valueMissing`)
	p.open("/locks")
	p.follow(`form[action$="/clear"] button`, "/locks")
	p.open("/apps/prod/api/confirm?image=" + bad)
	if get[bool](p, `document.querySelector("#reason").required`) {
		t.Error("a reason is asked for though the mark was taken off")
	}
}

// The page of a deploy that fails shows, without being loaded again, that the portal rolls it back, and how that ends.
func TestAutomaticRollbackIsSeen(t *testing.T) {
	d := theDemo(t)
	p := newTab(t, d.url)
	p.signIn(d, "/")
	p.bring(d, "api", commitOf(t, "api", "Add an index"))
	image := d.image(t, "api")
	id := p.deploy("api", sample(t)["api"].FailingTag)
	loads := p.loadCount()
	p.until("it is rolled back", shows("#deploy-head", fmt.Sprintf("Rolled back automatically by deploy %d", id+1)))
	p.ends("Failed", loads)
	if got := p.text("#deploy-head"); !strings.Contains(got, fmt.Sprintf("deploy %d (succeeded)", id+1)) {
		t.Errorf("the page says %q", got)
	}
	if got := d.image(t, "api"); got != image {
		t.Errorf("%s is asked for, want %s as before", got, image)
	}
	p.follow(fmt.Sprintf(`#deploy-head a[href="/deploys/%d"]`, id+1), fmt.Sprint("/deploys/", id+1))
	if got := p.text("#deploy-head"); !strings.Contains(got, fmt.Sprintf("Answers the failure of deploy %d", id)) || !strings.Contains(got, "portal:auto") {
		t.Errorf("the rollback says %q", got)
	}
}
