package gitea

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/gitea/giteatest"
)

func TestImagesInPushOrderWithCommits(t *testing.T) {
	w := newWorld(t)
	w.history(12)
	w.push(0, 12, giteatest.MultiArch())                      // 60 rows, 12 of them tags
	w.fake.PushImage("acme/api", "latest", giteatest.Image{}) // not a SHA
	w.fake.PushImage("acme/api", "abc12", giteatest.Image{})  // too short
	w.clock.add(time.Second)
	w.fake.PushImage("acme/api", sha(3), giteatest.Image{At: w.clock.Now()}) // built again: now the newest

	l := w.Images(t.Context(), w.app)
	if l.Err != nil || !l.Fetched.Equal(w.clock.Now()) {
		t.Fatalf("err %v, fetched %s", l.Err, l.Fetched)
	}
	want := []string{sha(3), sha(11), sha(10), sha(9), sha(8), sha(7), sha(6), sha(5), sha(4), sha(2), sha(1), sha(0)}
	if got := tags(l); !slices.Equal(got, want) {
		t.Errorf("tags %q, want %q", got, want)
	}
	for _, i := range l.Images {
		if i.Commit.SHA != i.Tag || !strings.HasPrefix(i.Commit.Subject, "Change ") || i.Commit.Author != "Ana Duarte" {
			t.Errorf("image %s has commit %+v", i.Tag, i.Commit)
		}
		if i.Pusher != "ci" || i.Pushed.IsZero() || i.ID == 0 || !strings.HasSuffix(i.URL, "/"+i.Tag) || !strings.HasSuffix(i.Commit.URL, i.Tag) {
			t.Errorf("image %+v, want who, when, id and links", i)
		}
	}
	if img, err := w.Resolve(t.Context(), w.app.Repository, sha(3)); err != nil || !img.Pushed.Equal(w.clock.Now()) {
		t.Errorf("pushed %s (%v), want the time of the list", img.Pushed, err)
	}
}

func TestUnchangedAppCostsOneCall(t *testing.T) {
	w := newWorld(t)
	w.history(14)
	w.push(0, 14, giteatest.MultiArch())
	w.Images(t.Context(), w.app)
	first := w.calls()
	if len(first) != 3 { // two pages of packages, one of commits
		t.Errorf("the first time cost %q", first)
	}
	w.Images(t.Context(), w.app)
	w.clock.add(14 * time.Second)
	w.Images(t.Context(), w.app)
	w.wantCalls(t, 0)
	w.clock.add(2 * time.Second)
	if l := w.Images(t.Context(), w.app); l.Err != nil || len(l.Images) != 14 || !l.Fetched.Equal(w.clock.Now()) {
		t.Errorf("list of %d, err %v, fetched %s", len(l.Images), l.Err, l.Fetched)
	}
	w.wantCalls(t, 1)
	for range 3 {
		w.Refresh(t.Context(), w.app)
	}
	w.wantCalls(t, 3)
	staging := w.app
	staging.Env = "staging"
	if l := w.Images(t.Context(), staging); len(l.Images) != 14 {
		t.Errorf("the other environment has %d images", len(l.Images))
	}
	if l := w.Cached(staging); len(l.Images) != 14 {
		t.Errorf("memory has %d images", len(l.Images))
	}
	w.wantCalls(t, 0)
}

func TestChangesAreSeen(t *testing.T) {
	w := newWorld(t)
	w.history(30)
	w.push(0, 13, giteatest.MultiArch())
	before := w.Refresh(t.Context(), w.app)
	bell, stop := w.Watch()
	defer stop()
	w.calls()

	w.Refresh(t.Context(), w.app)
	select {
	case <-bell:
		t.Error("the bell rang although nothing changed")
	default:
	}
	w.calls()

	w.push(13, 14, giteatest.MultiArch())
	l := w.Refresh(t.Context(), w.app)
	waitFor(t, bell)
	if tags(l)[0] != sha(13) || l.Images[0].Commit.SHA != sha(13) {
		t.Errorf("newest %+v, want %s with its commit", l.Images[0], sha(13))
	}
	w.wantCalls(t, 3) // two pages of packages, one commit

	moved := giteatest.MultiArch()
	moved.Content = "other"
	w.clock.add(time.Second)
	w.fake.PushImage("acme/api", sha(5), moved)
	l = w.Refresh(t.Context(), w.app)
	waitFor(t, bell)
	old := before.Images[slices.IndexFunc(before.Images, func(i deploys.Listed) bool { return i.Tag == sha(5) })]
	if l.Images[0].Tag != sha(5) || l.Images[0].ID == old.ID || !l.Images[0].Pushed.After(old.Pushed) {
		t.Errorf("overwritten: %+v, want it newest with another id than %d", l.Images[0], old.ID)
	}

	w.fake.DeleteTag("acme/api", sha(0)) // on the second page: only the total tells
	l = w.Refresh(t.Context(), w.app)
	waitFor(t, bell)
	if slices.Contains(tags(l), sha(0)) {
		t.Error("a deleted tag is still listed")
	}
}

func TestPushBetweenTwoPages(t *testing.T) {
	w := newWorld(t)
	w.push(0, 14, giteatest.MultiArch()) // 70 rows
	app := w.app
	app.Git = ""
	var remove func()
	remove = w.fake.Intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.URL.Query().Get("page") == "2" {
			remove()
			w.push(14, 15, giteatest.MultiArch())
		}
		next.ServeHTTP(rw, r)
	})
	l := w.Refresh(t.Context(), app)
	if got := tags(l); len(got) != 14 || got[0] != sha(13) || got[13] != sha(0) {
		t.Errorf("%d tags %q, want each once", len(got), got)
	}
	if l = w.Refresh(t.Context(), app); len(l.Images) != 15 {
		t.Errorf("the next refresh has %d tags, want the new one too", len(l.Images))
	}
}

func TestPagingEnds(t *testing.T) {
	w := newWorld(t)
	app := w.app
	app.Git = ""
	w.push(0, 40, giteatest.Image{})
	if l := w.Refresh(t.Context(), app); len(l.Images) != 40 {
		t.Errorf("%d images on one page, want all 40", len(l.Images))
	}
	w.wantCalls(t, 1)
	for i := range 600 {
		w.fake.PushImage("acme/api", fmt.Sprintf("nightly-%d", i), giteatest.Image{})
	}
	w.calls()
	w.Refresh(t.Context(), app)
	w.wantCalls(t, maxPages)
}

func TestGiteaDown(t *testing.T) {
	w := newWorld(t)
	w.fake.SetDown(true)
	l := w.Images(t.Context(), w.app)
	if len(l.Images) != 0 || !l.Fetched.IsZero() {
		t.Errorf("list %+v, want an empty one", l)
	}
	wantFault(t, l.Err, errs.Unavailable, "Gitea at "+w.host()+" cannot be reached.")

	w.fake.SetDown(false)
	w.history(3)
	w.push(0, 3, giteatest.MultiArch())
	w.clock.add(time.Minute)
	good := w.Images(t.Context(), w.app)
	if good.Err != nil || len(good.Images) != 3 {
		t.Fatalf("list %+v", good)
	}
	bell, stop := w.Watch()
	defer stop()
	w.fake.SetDown(true)
	w.clock.add(time.Minute)
	stale := w.Images(t.Context(), w.app)
	if !slices.Equal(stale.Images, good.Images) || !stale.Fetched.Equal(good.Fetched) || stale.Err == nil {
		t.Errorf("stale %+v, want the old list with Err", stale)
	}
	waitFor(t, bell)
	w.calls()
	if again := w.Images(t.Context(), w.app); again.Err == nil {
		t.Error("the fault was forgotten")
	}
	w.wantCalls(t, 0) // a page does not hammer a Gitea that is down
	if !strings.Contains(w.log.String(), "images not refreshed") || strings.Contains(w.log.String(), secret) {
		t.Errorf("log %s", w.log)
	}
	w.fake.SetDown(false)
	w.clock.add(time.Minute)
	if back := w.Images(t.Context(), w.app); back.Err != nil {
		t.Errorf("after it came back: %v", back.Err)
	}
}

func TestSlowGiteaDoesNotHoldAPage(t *testing.T) {
	w := newWorld(t)
	w.push(0, 2, giteatest.Image{})
	w.app.Git = ""
	w.Images(t.Context(), w.app)
	w.clock.add(time.Minute)
	ring := make(chan time.Time, 1)
	ring <- w.clock.Now() // patience is over at once
	w.after = func(time.Duration) <-chan time.Time { return ring }
	arrived, let := hold(w.fake)
	l := w.Images(t.Context(), w.app)
	if len(l.Images) != 2 || l.Err == nil {
		t.Errorf("list %+v, want the old one and a word about it", l)
	}
	waitFor(t, arrived)
	bell, stop := w.Watch()
	defer stop()
	w.push(2, 3, giteatest.Image{})
	let()
	waitFor(t, bell)
	if l := w.Cached(w.app); len(l.Images) != 3 || l.Err != nil {
		t.Errorf("list %+v: the try that went on found nothing", l)
	}
}

func TestOneTryHoweverManyAsk(t *testing.T) {
	w := newWorld(t)
	w.app.Git = ""
	w.push(0, 1, giteatest.Image{})
	arrived, let := hold(w.fake)
	leaver, leave := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { w.Refresh(leaver, w.app) })
	waitFor(t, arrived)
	for range 8 {
		wg.Go(func() {
			if l := w.Refresh(t.Context(), w.app); l.Err != nil && !strings.Contains(l.Err.Error(), "yet") {
				t.Errorf("list %+v", l)
			}
		})
	}
	leave() // whoever asked first does not take the try along
	let()
	wg.Wait()
	if n := len(w.calls()); n > 9 {
		t.Errorf("%d calls", n)
	}
	if l := w.Cached(w.app); len(l.Images) != 1 || l.Err != nil {
		t.Errorf("list %+v", l)
	}
}

func TestListFaults(t *testing.T) {
	w := newWorld(t)
	w.history(3)
	w.push(0, 3, giteatest.Image{})
	list := func(tok string) deploys.List { return w.client(t, token(tok)).Images(t.Context(), w.app) }

	l := list(secret + "-packages")
	wantFault(t, l.Err, errs.Forbidden, "Gitea refuses us the commits of acme/api: the token lacks the scope read:repository.")
	if len(l.Images) != 3 || l.Fetched.IsZero() {
		t.Errorf("list %+v, want the images all the same", l)
	}
	wantFault(t, list(secret+"-commits").Err, errs.Forbidden, "the token lacks the scope read:package")
	wantFault(t, list(secret+"-stranger").Err, errs.Forbidden, "Gitea refuses us the images of acme/api")
	wantFault(t, list("wrong").Err, errs.Forbidden, "check the token")

	none := w.app
	none.Repository = w.host() + "/acme/none"
	l = w.Images(t.Context(), none)
	wantFault(t, l.Err, errs.NotFound, "Gitea has no container image acme/none.")
	if len(l.Images) != 0 || l.Fetched.IsZero() {
		t.Errorf("an image nobody pushed: %+v, want an empty list", l)
	}
	elsewhere := w.app
	elsewhere.Repository = "docker.io/library/nginx"
	wantFault(t, w.Images(t.Context(), elsewhere).Err, errs.Invalid, "is not in the registry at")

	remove := w.fake.Intercept(giteatest.OnPath("/api/", giteatest.Answer(200, "<html>sign in</html>")))
	wantFault(t, w.Refresh(t.Context(), w.app).Err, errs.Unavailable, "an answer that cannot be read")
	remove()
	remove = w.fake.Intercept(func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) {
		rw.Header().Set("Retry-After", "120")
		http.Error(rw, "slow down", http.StatusTooManyRequests)
	})
	w.Refresh(t.Context(), w.app)
	remove()
	w.calls()
	w.clock.add(time.Minute)
	wantFault(t, w.Images(t.Context(), w.app).Err, errs.Unavailable, "Gitea at")
	w.wantCalls(t, 0)
	w.clock.add(2 * time.Minute)
	if l := w.Images(t.Context(), w.app); l.Err != nil {
		t.Errorf("after the pause: %v", l.Err)
	}
}
