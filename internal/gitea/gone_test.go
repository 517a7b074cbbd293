package gitea

import (
	"net/http"
	"strings"
	"testing"

	"deployportal/internal/deploys"
	"deployportal/internal/gitea/giteatest"
)

// pinned is an image as a deploy of the portal leaves it in the pod template.
func (w *world) pinned(n int, digest string) deploys.Version {
	repository := w.host() + "/acme/api"
	return deploys.Version{Repository: repository, Tag: sha(n), Digest: digest, Images: map[string]string{"api": repository + ":" + sha(n) + "@" + digest}}
}

func rang(bell <-chan struct{}) bool {
	select {
	case <-bell:
		return true
	default:
		return false
	}
}

// However many ask, the registry is asked once in five minutes; then the answer is forgotten, and asked for anew.
func TestGoneIsShared(t *testing.T) {
	w := newWorld(t)
	v := w.pinned(0, w.fake.PushImage("acme/api", sha(0), giteatest.Image{Platforms: []string{"linux/amd64", "linux/arm64"}}))
	waitFor(t, w.AskGone(v)) // with the sign-in
	w.fake.DeleteTag("acme/api", sha(0))
	w.calls()
	bell, stop := w.Watch()
	defer stop()
	if waitFor(t, w.AskGone(v)); w.Gone(v) {
		t.Error("an answer that is believed was asked for again")
	}
	w.wantCalls(t, 0)

	w.clock.add(goneFor)
	arrived, let := hold(w.fake)
	var all []<-chan struct{}
	for range 50 {
		all = append(all, w.AskGone(v))
	}
	waitFor(t, arrived)
	let()
	for _, done := range all {
		waitFor(t, done)
	}
	w.wantCalls(t, 2) // a HEAD, whose 404 could be a proxy's, and a GET
	waitFor(t, bell)
	if !w.Gone(v) || !strings.Contains(w.log.String(), "gone from the registry") {
		t.Errorf("the registry has lost it; the log says %q", w.log)
	}

	w.clock.add(goneFor)
	if w.Gone(v) {
		t.Error("after five minutes it is still told")
	}
	arrived, let = hold(w.fake)
	done := w.AskGone(v)
	waitFor(t, arrived)
	if !w.Gone(v) {
		t.Error("the badge blinks while it is asked again")
	}
	let()
	if waitFor(t, done); !w.Gone(v) || rang(bell) {
		t.Error("the same answer again is no news")
	}

	w.fake.PushImage("acme/api", sha(0), giteatest.Image{Platforms: []string{"linux/amd64", "linux/arm64"}})
	w.clock.add(goneFor)
	waitFor(t, w.AskGone(v))
	if waitFor(t, bell); w.Gone(v) {
		t.Error("it is back, and still told to be gone")
	}
}

// Only the registry's own word counts: not its silence, nor a proxy's 404, nor another registry.
func TestGoneNeedsTheRegistrysWord(t *testing.T) {
	w := newWorld(t)
	digest := w.fake.PushImage("acme/api", sha(0), giteatest.Image{})
	v := w.pinned(0, digest)
	w.fake.DeleteTag("acme/api", sha(0))
	bell, stop := w.Watch()
	defer stop()
	silent := func(why string) {
		t.Helper()
		if waitFor(t, w.AskGone(v)); w.Gone(v) || rang(bell) {
			t.Errorf("%s, and the image is called gone", why)
		}
		w.clock.add(freshFor)
	}
	w.fake.SetDown(true)
	silent("the registry is away")
	w.fake.SetDown(false)
	remove := w.fake.Intercept(giteatest.OnPath("/v2/acme/", func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) {
		http.Error(rw, "404 page not found", http.StatusNotFound)
	}))
	silent("a proxy has no backend")
	remove()
	waitFor(t, w.AskGone(v))
	if waitFor(t, bell); !w.Gone(v) {
		t.Error("a registry that answers again is not asked after 15 s")
	}
	w.fake.SetDown(true)
	w.clock.add(goneFor)
	waitFor(t, w.AskGone(v))
	if waitFor(t, bell); w.Gone(v) {
		t.Error("what was known five minutes ago is told of a registry that is away")
	}
	w.fake.SetDown(false)
	w.calls()
	other := w.pinned(0, digest)
	other.Repository = "elsewhere.example/acme/api"
	for _, v := range []deploys.Version{{}, {Repository: v.Repository, Digest: digest}, other} {
		if waitFor(t, w.AskGone(v)); w.Gone(v) {
			t.Errorf("%+v is called gone", v)
		}
	}
	w.wantCalls(t, 0)
}

// An image that is not pinned is pulled by its tag, whatever its pods report.
func TestGoneAsksForWhatIsPulled(t *testing.T) {
	w := newWorld(t)
	w.fake.PushImage("acme/api", sha(0), giteatest.Image{})
	v := w.pinned(0, "sha256:"+strings.Repeat("c", 64))
	v.Images["api"] = v.Repository + ":" + v.Tag
	if waitFor(t, w.AskGone(v)); w.Gone(v) {
		t.Error("the digest of a pod's image was looked for")
	}
	w.fake.DeleteTag("acme/api", sha(0))
	w.clock.add(goneFor)
	if waitFor(t, w.AskGone(v)); !w.Gone(v) {
		t.Error("its tag is deleted")
	}
}
