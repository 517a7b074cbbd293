package browser_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// deploy goes from an app's page by clicks to the page of a deploy of a tag, and returns its number.
func (p *tab) deploy(app, tag string) int64 {
	p.t.Helper()
	p.idle(app)
	p.open("/apps/prod/" + app)
	p.follow(`#images a[href*="image=`+tag+`"]`, "/apps/prod/"+app+"/confirm")
	if got := p.text(`button[type=submit].big`); got != "Deploy "+tag[:7]+" to prod" {
		p.t.Errorf("the button says %q", got)
	}
	if get[bool](p, `document.querySelector("#reason").required`) { // another test has marked it as bad
		p.typeIn("#reason", "once more")
	}
	p.follow(`button[type=submit].big`, `/deploys/\d+`)
	return p.deployID()
}

func (p *tab) deployID() int64 {
	p.t.Helper()
	raw := regexp.MustCompile(`^/deploys/(\d+)$`).FindStringSubmatch(p.where())
	if raw == nil {
		p.t.Fatalf("%s is no deploy", p.where())
	}
	id, err := strconv.ParseInt(raw[1], 10, 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return id
}

// idle waits on the board until nothing is under way on an app: tests run in any order.
func (p *tab) idle(app string) {
	p.t.Helper()
	p.open("/")
	p.until(app+" is on the board", `document.querySelector("#row-prod-`+app+`")`)
	p.until(app+" is idle", `!document.querySelector("#row-prod-`+app+` .strip") && !document.querySelector("#row-prod-`+app+` .health .busy")`)
}

// another image of an app than the one that runs, of those that start quickly.
func otherTag(t testing.TB, d *demo, app string) string {
	t.Helper()
	now := d.image(t, app)
	for _, tag := range sample(t)[app].Tags {
		if !strings.Contains(now, tag) && !strings.HasPrefix(tag, "bad") && !strings.HasPrefix(tag, "510") {
			return tag
		}
	}
	t.Fatal("no other image")
	return ""
}

// staged notes every step that the pods of a deploy's page take, as they are drawn, and that the page is never left.
const staged = `(() => {
	window.stages = [];
	const note = () => {
		const first = document.querySelector("#deploy-pods .group");
		const title = first?.querySelector("h3")?.textContent ?? "";
		const ready = title.includes("New") ? first.nextElementSibling.querySelectorAll(".st.ok").length : 0;
		if (window.stages.at(-1) !== ready) window.stages.push(ready);
	};
	new MutationObserver(note).observe(document.body, {subtree: true, childList: true, characterData: true, attributes: true});
	note();
})()`

// ends waits until an open deploy page says how it ended, and that nobody reloaded it for that.
func (p *tab) ends(word string, loads int) {
	p.t.Helper()
	p.until("the deploy has ended", `document.querySelector("#stream")?.hasAttribute("data-done")`)
	if got := p.text("#deploy-head .kicker .st"); got != word {
		p.t.Errorf("the deploy ends %q, want %q", got, word)
	}
	if got := get[string](p, "document.title"); !strings.HasPrefix(got, word+": ") {
		p.t.Errorf("the tab is called %q", got)
	}
	if got := p.loadCount(); got != loads {
		p.t.Errorf("the page was loaded %d times, want %d", got, loads)
	}
	p.until("the header says so", shows("#live", "finished"))
}

func TestDeployGoesLivePodByPod(t *testing.T) {
	d := theDemo(t)
	tag := otherTag(t, d, "api")
	p := newTab(t, d.url)
	p.signIn(d, "/")
	before := d.image(t, "api")
	id := p.deploy("api", tag)
	loads := p.loadCount()
	get[bool](p, staged+`, true`)
	p.until("the page is live", `document.querySelector("#live").dataset.state === "ok"`)
	p.ends("Succeeded", loads)
	if got := get[[]int](p, "window.stages"); !slices.IsSorted(got) || len(got) < 3 || got[len(got)-1] != 3 {
		t.Errorf("the new pods that were ready: %v, want all steps up to 3", got)
	}
	for uid, pod := range d.pods(t, "api") {
		if !strings.Contains(pod.Image, tag+"@sha256:") {
			t.Errorf("pod %s runs %s", uid, pod.Image)
		}
	}
	p.audited(d, id, "succeeded", before, d.image(t, "api"))
}

// audited looks for the request and the outcome of a deploy in the log: who, and both digests.
func (p *tab) audited(d *demo, id int64, outcome, from, to string) {
	p.t.Helper()
	p.open("/audit?env=prod")
	seqs := get[[]string](p, fmt.Sprintf(`[...document.querySelectorAll("table.audit tbody tr")]
		.filter((tr) => tr.querySelector('a[href="/deploys/%d"]')).map((tr) => tr.querySelector(".seq a").getAttribute("href"))`, id))
	if len(seqs) != 2 {
		p.t.Fatalf("deploy %d has %d entries, want the request and the outcome", id, len(seqs))
	}
	// Who asked is named by the request; the outcome is told by the portal itself, which is another name after a restart.
	for i, action := range []string{"deploy." + outcome, "deploy.requested"} {
		actor := regexp.MustCompile(`^` + regexp.QuoteMeta(d.user) + `$`)
		if i == 0 {
			actor = regexp.MustCompile(`^portal:(runner|resume)$`)
		}
		p.open(seqs[i])
		fields := get[map[string]string](p, `Object.fromEntries([...document.querySelectorAll("dl.fields > div")]
			.map((d) => [d.querySelector("dt").textContent.trim(), d.querySelector("dd").textContent.trim()]))`)
		if !actor.MatchString(fields["Actor"]) {
			p.t.Errorf("entry %s: the actor is %q", seqs[i], fields["Actor"])
		}
		want := map[string]string{"Action": action, "Deploy": fmt.Sprint(id), "Environment": "prod",
			"From, digest": digestOf(from), "To, digest": digestOf(to)}
		for name, v := range want {
			if fields[name] != v || v == "" {
				p.t.Errorf("entry %s: %s is %q, want %q", seqs[i], name, fields[name], v)
			}
		}
	}
}

func digestOf(image string) string {
	_, digest, _ := strings.Cut(image, "@")
	return digest
}

// The image whose tag begins with bad0 crashes. Going back takes one click, and the pods that served all along are the
// same ones afterwards, by UID.
func TestFailingDeployRollsBackOnOneClick(t *testing.T) {
	d := theDemo(t)
	p := newTab(t, d.url)
	p.signIn(d, "/")
	p.bring(d, "api", sample(t)["api"].RunningTag)
	before, image := d.pods(t, "api"), d.image(t, "api")
	if len(before) != 3 {
		t.Fatalf("api has %d pods, want 3", len(before))
	}
	id := p.deploy("api", sample(t)["api"].FailingTag)
	loads := p.loadCount()
	p.ends("Failed", loads)
	bad := d.image(t, "api")
	if why := p.text("#deploy-why"); !strings.Contains(why, "exit code 2") {
		t.Errorf("the failure says %q", why)
	}
	if got := p.text("#deploy-outcome"); !strings.Contains(got, "3 pods of "+short(image)+", untouched") {
		t.Errorf("what serves is not told: %s", got)
	}

	p.click(`#deploy-head .acts .danger`) // the one click
	p.until("the rollback is open", arrived(`/deploys/(?!`+fmt.Sprint(id)+`$)\d+`))
	back, loads := p.deployID(), p.loadCount()
	p.ends("Succeeded", loads)
	if got := d.image(t, "api"); got != image {
		t.Errorf("after the rollback %s is asked for, want %s as before", got, image)
	}
	after := d.pods(t, "api")
	if !slices.Equal(slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after))) {
		t.Errorf("other pods than before: %v, want %v", after, before)
	}
	p.audited(d, id, "failed", image, bad)
	p.audited(d, back, "succeeded", bad, image)
}

// short is the tag of an image string at reading length.
func short(image string) string {
	name, _, _ := strings.Cut(image, "@")
	return name[strings.LastIndexByte(name, ':')+1:][:7]
}
