package story_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"deployportal/internal/gitea/giteatest"
)

const refusedAt = "#confirm-error"

// refused submits a form and checks the sentence on the page, its entry in the log, and that nothing was sent and no
// deploy began.
func (w *world) refused(p *page, typed url.Values, status int, sentence string) *page {
	w.t.Helper()
	deploys, patches := w.count(`SELECT count(*) FROM deploys`), len(w.gate.patches())
	answer := p.submitRaw(w.ana, confirmForm, typed).says(status, "main", sentence)
	w.rejected(sentence)
	if n := w.count(`SELECT count(*) FROM deploys`); n != deploys {
		w.t.Errorf("%d deploys, want %d as before", n, deploys)
	}
	if n := len(w.gate.patches()); n != patches {
		w.t.Errorf("%d patches, want %d as before", n, patches)
	}
	return answer
}

// TestRefusals: what cannot be meant is said, written down, and sent nowhere.
func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.gitea.PushImage("acme/api", "latest", giteatest.Image{})

	w.ana.get("/apps/prod/apo/confirm?image="+v2).says(404, "h1", `There is no app "apo" in prod; there is api.`)
	w.ana.get("/apps/moon/api/confirm?image="+v2).says(404, "h1", `There is no environment "moon"; there is prod.`)
	w.ana.get(confirmPath("eeeeeee")).says(404, "main", "The registry has no tag eeeeeee in acme/api.")
	w.ana.get("/deploys/7").says(404, "h1", "There is no deploy 7.")

	form := w.ana.get(confirmPath(v2))
	w.refused(form, url.Values{"image": {"eeeeeee"}}, 404, "The registry has no tag eeeeeee in acme/api.")
	w.refused(form, url.Values{"image": {"latest"}}, 422, `The tag "latest" is not a commit SHA.`)
	w.refused(form, url.Values{"image": nil, "rollback_to": {"99"}}, 404, "There is no deploy 99.")
	w.refused(w.ana.get(confirmPath(v1)), nil, 422, "api in prod already runs "+v1+". Nothing was sent.")
	for where, sentence := range map[string]string{
		"/apps/prod/apo/deploys": `There is no app "apo" in prod; there is api.`,
		"/apps/moon/api/deploys": `There is no environment "moon"; there is prod.`,
	} {
		_, fields := form.fields(confirmForm)
		w.ana.send(http.MethodPost, where, fields).says(404, "main", sentence)
		w.rejected(sentence)
	}
	if n := w.count(`SELECT count(*) FROM deploys`); n != 0 {
		t.Errorf("%d deploys", n)
	}
	if got := w.gate.writes(); len(got) != 0 {
		t.Errorf("sent to the API server: %v", got)
	}
	w.thenDeploys(v2)
}

// TestSecondDeploy: the one that is under way is named, with who asked and since when.
func TestSecondDeploy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	early := w.ana.get(confirmPath(v3))
	h := w.gate.hold(isPatch, false)
	id := w.ana.deploy(v2)
	w.reached(h)
	p := w.refused(early, nil, 409, fmt.Sprintf("api in prod is being deployed already: deploy %d to %s, asked for by ana at ", id, v2))
	if !regexp.MustCompile(`at \d\d:\d\d:\d\d UTC\.`).MatchString(p.text(refusedAt)) {
		t.Errorf("no time in %q", p.text(refusedAt))
	}
	// The page offers the way on: taking the other's place.
	p.says(409, "main", fmt.Sprintf("This takes the place of deploy %d.", id))
	h.pass()
	w.until("the patch to be recorded", func() bool { return w.row(id).patched })
	w.refused(early, nil, 409, fmt.Sprintf("deploy %d to %s, asked for by ana at ", id, v2)) // though what runs has changed, too
	w.over(id, "succeeded", "")
	w.thenDeploys(v3)
}

// TestDoubleClick: two clicks are one deploy and one patch.
func TestDoubleClick(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	action, fields := w.ana.get(confirmPath(v2)).fields(confirmForm)
	var mu sync.Mutex
	places := map[string]int{}
	var clicks sync.WaitGroup
	for range 4 {
		clicks.Go(func() {
			res, err := w.post(action, fields)
			if err != nil {
				t.Error(err)
				return
			}
			_ = res.Body.Close()
			mu.Lock()
			defer mu.Unlock()
			places[fmt.Sprint(res.StatusCode, " ", res.Header.Get("Location"))]++
		})
	}
	clicks.Wait()
	if want := map[string]int{"303 /deploys/1": 4}; !maps.Equal(places, want) {
		t.Errorf("answers %v, want %v", places, want)
	}
	w.over(1, "succeeded", "")
	if n := len(w.gate.patches()); n != 1 {
		t.Errorf("%d patches, want 1", n)
	}
	w.ana.send(http.MethodPost, action, fields)
	if n := w.count(`SELECT count(*) FROM deploys`); n != 1 {
		t.Errorf("%d deploys after a late click, want 1", n)
	}
}

// TestSeenHasChanged: what was on the page is what runs, or nothing is done and both are shown.
func TestSeenHasChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := w.digest(v2)
	moved, overtaken := w.ana.get(confirmPath(v2)), w.ana.get(confirmPath(v3))

	w.gitea.PushImage("acme/api", v2, giteatest.Image{Content: "something else"})
	w.refused(moved, nil, 409, fmt.Sprintf("The tag %s does not name what you were shown (%s) any more but %s.", v2, old, w.digest(v2)))
	if old == w.digest(v2) {
		t.Fatal("the tag did not move")
	}

	w.kubectl("set", "image", "deployment/api", "api="+w.pinned(v2))
	w.until("the portal to see the other image", func() bool { return w.ana.get("/").shows(v2) })
	w.refused(overtaken, nil, 409, fmt.Sprintf("api in prod does not run what you were shown (%s) but %s (%s).", w.digest(v1), v2, w.digest(v2)))
	w.runs(w.pinned(v2))
	w.thenDeploys(v3)
}

// TestNoSession: a page leads to the sign-in and back, a form says that nothing was done, a stream ends with 401.
func TestNoSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	form := w.ana.get(confirmPath(v2))
	w.forge(`UPDATE sessions SET created_at = '2020-01-01T00:00:00.000Z'`)
	for name, b := range map[string]*browser{"expired": w.ana, "none": w.anyone()} {
		p := b.send(http.MethodGet, "/apps/prod/api", nil)
		if where := p.header.Get("Location"); p.status != 303 || where != "/sign-in?next=%2Fapps%2Fprod%2Fapi" {
			t.Errorf("%s: a page gives %d %s", name, p.status, where)
		}
		form.submitRaw(b, confirmForm, nil).says(401, "main", "You are signed out, so nothing was done. Sign in and ask again.")
		for _, stream := range []string{"/events", "/deploys/1/events"} {
			if p := b.send(http.MethodGet, stream, nil); p.status != 401 || strings.Contains(p.body, "<html") {
				t.Errorf("%s: %s gives %d %q", name, stream, p.status, p.body)
			}
		}
	}
	if n := w.count(`SELECT count(*) FROM deploys`) + len(w.gate.writes()); n != 0 {
		t.Errorf("%d deploys and patches", n)
	}
	w.ana = w.signIn("ana", passwordOfAna)
	w.thenDeploys(v2)
}

// TestMisspeltContainer: the page says what there is and where to correct it, and has no button to press.
func TestMisspeltContainer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.apps = "[{name: api, image: acme/api, containers: [apii]}]" })
	p := w.ana.get(confirmPath(v2))
	p.says(200, "main", `The Deployment api has no container "apii"; it has api. Correct the configuration of api.`)
	if n := p.doc.Find(confirmForm + " button").Length(); n != 0 {
		t.Errorf("the page has %d buttons to deploy with", n)
	}
	// Who sends the form all the same gets nowhere; one that claims to have seen something is told why.
	w.refused(p, url.Values{"seen_from": {"something"}}, 422, `The Deployment api has no container "apii"`)
	w.runs(w.pinned(v1))
}

// TestEmptyBoardTeaches: what an empty board gives to paste is a configuration that the portal takes.
func TestEmptyBoardTeaches(t *testing.T) {
	t.Parallel()
	w := newStage(t, func(w *world) { w.apps = "[]" })
	w.start()
	w.seen()
	w.ana = w.signIn("ana", passwordOfAna)
	lines := w.ana.get("/").says(200, "main", "No app yet").doc.Find("pre#teach-board").Text()
	if !strings.Contains(lines, "environments:") {
		t.Fatalf("nothing to paste: %q", lines)
	}
	w.write("pasted.yaml", []byte("gitea: {url: http://127.0.0.1:1}\ndatabase: "+w.path("portal.db")+"\n"+lines))
	if _, errOut, code := portal(t, "", "--config", w.path("pasted.yaml"), "user", "list"); code != 0 {
		t.Errorf("exit code %d: %s\n%s", code, errOut, lines)
	}
}
