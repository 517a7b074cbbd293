package browser_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
)

// account makes an account with a role, as the README says, and gives a tab where it is signed in.
func (d *demo) account(t *testing.T, role string) *tab {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	name, password := fmt.Sprintf("%s%d", role, time.Now().UnixMilli()), "correct horse battery staple"
	add := exec.Command(filepath.Join(root, ".dev", "bin", "portal"), "--config", filepath.Join(d.state, "demo", "portal.yaml"), "user", "add", "--role", role, name)
	add.Stdin = strings.NewReader(password + "\n")
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("portal user add: %v\n%s", err, out)
	}
	p := newTab(t, d.url)
	p.open("/")
	p.until("the sign-in page is open", arrived("/sign-in"))
	p.typeIn("#account", name)
	p.typeIn("#password", password+kb.Enter)
	p.until("the board is open", arrived("/"))
	return p
}

// A lock on an environment, and one on everything, close every app; who did not make it may not take it off, an admin may.
func TestLocksOfManyApps(t *testing.T) {
	d := theDemo(t)
	admin, board := newTab(t, d.url), newTab(t, d.url)
	admin.signIn(d, "/")
	board.signIn(d, "/")
	dora := d.account(t, "deployer")
	for at, says := range map[string]string{"prod/": "Everything in prod is locked by ", "/": "Everything is locked by "} {
		admin.lock(at, "the nodes are moved")
		board.until("the open board shows the lock", shows("main", says))
		admin.open("/apps/prod/worker/confirm?image=" + otherTag(t, d, "worker"))
		if got := admin.text("#main"); !strings.Contains(got, says) || !strings.Contains(got, "Until then nothing is deployed to worker in prod; a rollback passes with a reason.") {
			t.Errorf("the confirm page says %q", got)
		}
		admin.open("/locks")
		unlock := get[string](admin, `document.querySelector('form[action$="/unlock"]').getAttribute("action")`)
		dora.open("/locks")
		if !strings.Contains(dora.text("#main"), says) || get[bool](dora, `!!document.querySelector('form[action$="/unlock"]')`) {
			t.Errorf("who did not make it sees %q", dora.text("#main"))
		}
		dora.excuse("403")
		get[bool](dora, `(() => {
			const form = document.createElement("form");
			form.method = "post";
			form.action = `+quote(unlock)+`;
			document.body.append(form);
			form.submit();
			return true;
		})()`)
		dora.until("who did not make it is refused", shows("main", "or an admin to unlock it."))
		admin.unlock()
		board.until("the open board shows that it is gone", "!"+shows("main", says))
	}
	dora.lock("prod/worker", "mine")
	board.until("the open board shows the lock", shows("#row-prod-worker", "worker in prod is locked by deployer"))
	admin.unlock() // of another's lock, as an admin
	board.until("the board shows that it is gone", `!document.querySelector("#row-prod-worker .say")`)
}

// A lock with an end says it on the page of locks and where it closes.
func TestLockTellsItsEnd(t *testing.T) {
	d := theDemo(t)
	p := newTab(t, d.url)
	p.signIn(d, "/")
	p.lock("prod/worker", "until lunch") // the form proposes four hours
	end := get[string](p, `document.querySelector("#main .rows").textContent.replace(/\s+/g, " ")`)
	if !strings.Contains(end, "until") || strings.Contains(end, "until somebody unlocks it") {
		t.Errorf("the page of locks says %q", end)
	}
	p.open("/apps/prod/worker")
	if got := p.text("#main"); !strings.Contains(got, "worker in prod is locked by "+d.user) || !strings.Contains(got, "UTC") {
		t.Errorf("the app's page says %q", got)
	}
	p.unlock()
}

// A rollback passes a lock by the form, with a reason and not without.
func TestRollbackPassesALock(t *testing.T) {
	d := theDemo(t)
	p := newTab(t, d.url)
	p.signIn(d, "/")
	p.decided("worker")
	for range 2 {
		p.deploy("worker", otherTag(t, d, "worker"))
		p.ends("Succeeded", p.loadCount())
	}
	now := d.image(t, "worker")
	p.lock("prod/worker", "the month is closed")
	p.open("/apps/prod/worker/confirm?rollback_to=last")
	if !get[bool](p, `document.querySelector("#reason").required`) {
		t.Error("no reason is asked for")
	}
	p.typeIn("#reason", "prices are wrong")
	p.follow("button[type=submit].big", `/deploys/\d+`)
	id := p.deployID()
	p.ends("Succeeded", p.loadCount())
	if d.image(t, "worker") == now {
		t.Error("nothing was rolled back")
	}
	p.open(fmt.Sprint("/deploys/", id))
	if got := p.text("#main"); !strings.Contains(got, "Passed the lock of "+d.user+" on worker in prod: “the month is closed”.") {
		t.Errorf("its page says %q", got)
	}
	p.unlock()
}
