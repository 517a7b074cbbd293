package gitea

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/gitea/giteatest"
)

func TestResolveMultiArchLeavesAttestationsOut(t *testing.T) {
	w := newWorld(t)
	image := giteatest.MultiArch()
	image.Platforms = append(image.Platforms, "linux/arm/v7")
	digest := w.fake.PushImage("acme/api", sha(1), image)

	got, err := w.Resolve(t.Context(), w.app.Repository, strings.ToUpper(sha(1)))
	if err != nil {
		t.Fatal(err)
	}
	if got.Repository != w.app.Repository || got.Tag != sha(1) || got.Digest != digest {
		t.Errorf("image %+v, want the lower-cased tag at %s", got, digest)
	}
	var platforms []string
	var configs []string
	for _, m := range got.Manifests {
		platforms, configs = append(platforms, m.Platform), append(configs, m.Config)
		if one, err := w.Configs(t.Context(), w.app.Repository, m.Digest); err != nil || !slices.Equal(one, []string{m.Config}) || m.Config == "" {
			t.Errorf("config of %s: %q %v, want %q", m.Platform, one, err, m.Config)
		}
	}
	if want := []string{"linux/amd64", "linux/arm64", "linux/arm/v7"}; !slices.Equal(platforms, want) {
		t.Errorf("platforms %q, want %q", platforms, want)
	}
	if all, err := w.Configs(t.Context(), w.app.Repository, digest); err != nil || !slices.Equal(all, configs) {
		t.Errorf("configs of the index: %q %v, want %q", all, err, configs)
	}

	w.calls()
	if again, err := w.Resolve(t.Context(), w.app.Repository, sha(1)); err != nil || len(again.Manifests) != 3 {
		t.Errorf("again: %+v %v", again, err)
	}
	if got := w.calls(); len(got) != 1 || !strings.HasPrefix(got[0], "HEAD ") {
		t.Errorf("a known digest cost %q, want one HEAD", got)
	}
}

func TestResolvePlainImageTakesThePlatformFromItsConfig(t *testing.T) {
	w := newWorld(t)
	digest := w.fake.PushImage("acme/api", sha(1), giteatest.Image{Platforms: []string{"linux/arm64"}})
	got, err := w.Resolve(t.Context(), w.app.Repository, digest)
	if err != nil {
		t.Fatal(err)
	}
	if got.Tag != "" || len(got.Manifests) != 1 || got.Manifests[0].Platform != "linux/arm64" || got.Manifests[0].Digest != digest {
		t.Errorf("image %+v, want itself as its one manifest", got)
	}
}

func TestEqualContentHasEqualConfigs(t *testing.T) {
	w := newWorld(t)
	one := w.fake.PushImage("acme/api", sha(1), giteatest.Image{Content: "same"})
	two := w.fake.PushImage("acme/api", sha(2), giteatest.Image{Content: "same", Annotations: map[string]string{"a": "b"}})
	a, errA := w.Configs(t.Context(), w.app.Repository, one)
	b, errB := w.Configs(t.Context(), w.app.Repository, two)
	if errA != nil || errB != nil || !slices.Equal(a, b) || len(a) != 1 || one == two {
		t.Errorf("%s has config %s (%v), %s has %s (%v): want two digests, one config", one, a, errA, two, b, errB)
	}
}

func TestMovedTagIsSeenAtOnceAndTheOldDigestIsGone(t *testing.T) {
	w := newWorld(t)
	old := w.fake.PushImage("acme/api", sha(1), giteatest.MultiArch())
	if _, err := w.Resolve(t.Context(), w.app.Repository, sha(1)); err != nil {
		t.Fatal(err)
	}
	moved := giteatest.MultiArch()
	moved.Content = "other"
	now := w.fake.PushImage("acme/api", sha(1), moved)
	got, err := w.Resolve(t.Context(), w.app.Repository, sha(1))
	if err != nil || got.Digest != now || now == old {
		t.Errorf("digest %s (%v), want %s", got.Digest, err, now)
	}
	_, err = w.Resolve(t.Context(), w.app.Repository, old)
	wantFault(t, err, errs.NotFound, "The registry has no image "+shortDigest(old)+" in acme/api.")
}

func TestTagMovedBetweenItsTwoCalls(t *testing.T) {
	w := newWorld(t)
	w.fake.PushImage("acme/api", sha(1), giteatest.MultiArch())
	moved := giteatest.MultiArch()
	moved.Content = "other"
	var now string
	var remove func()
	remove = w.fake.Intercept(giteatest.OnPath("/v2/acme/api/manifests/sha256", func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		remove()
		now = w.fake.PushImage("acme/api", sha(1), moved)
		next.ServeHTTP(rw, r)
	}))
	got, err := w.Resolve(t.Context(), w.app.Repository, sha(1))
	if err != nil || got.Digest != now {
		t.Errorf("digest %s (%v), want %s, which the tag names now", got.Digest, err, now)
	}
}

func TestResolveFaults(t *testing.T) {
	w := newWorld(t)
	w.fake.PushImage("acme/api", "abc1234", giteatest.MultiArch())
	fail := func(status int, body string) giteatest.Interceptor {
		return giteatest.OnPath("/v2/acme/", giteatest.Answer(status, body))
	}
	for _, c := range []struct {
		name     string
		client   *Client
		fault    giteatest.Interceptor
		repo     string
		ref      string
		kind     errs.Kind
		sentence string
	}{
		{name: "no tag", ref: "0123456", kind: errs.NotFound, sentence: "The registry has no tag 0123456 in acme/api."},
		{name: "no image", repo: "acme/other", kind: errs.NotFound, sentence: "The registry has no tag abc1234 in acme/other."},
		{name: "a proxy's 404", fault: fail(404, "404 page not found"), kind: errs.Unavailable, sentence: "not as a registry does"},
		{name: "403", fault: fail(403, "no"), kind: errs.Forbidden, sentence: "The registry refuses us"},
		{name: "500", fault: fail(500, "boom "+secret), kind: errs.Unavailable, sentence: "The registry at " + w.host() + " cannot be reached."},
		{name: "503", fault: fail(503, "busy"), kind: errs.Unavailable, sentence: "cannot be reached"},
		{name: "stranger", client: w.client(t, token(secret+"-stranger")), kind: errs.Forbidden, sentence: "scope read:package"},
		{name: "wrong token", client: w.client(t, token("wrong")), kind: errs.Forbidden, sentence: "The registry refuses us"},
		{name: "anonymous", client: w.client(t, token(""), func(o *Options) { o.User = "" }), kind: errs.Forbidden, sentence: "no token is configured"},
		{name: "another registry", repo: "docker.io/library/nginx", kind: errs.Invalid, sentence: "is not in the registry at"},
		{name: "no reference", ref: "a b", kind: errs.Invalid, sentence: "neither a tag nor a digest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.fault != nil {
				defer w.fake.Intercept(c.fault)()
			}
			client, repo, ref := w.Client, w.host()+"/acme/api", "abc1234"
			if c.client != nil {
				client = c.client
			}
			if strings.HasPrefix(c.repo, "acme/") {
				repo = w.host() + "/" + c.repo
			} else if c.repo != "" {
				repo = c.repo
			}
			if c.ref != "" {
				ref = c.ref
			}
			_, err := client.Resolve(t.Context(), repo, ref)
			wantFault(t, err, c.kind, c.sentence)
		})
	}
	w.fake.SetDown(true)
	_, err := w.Resolve(t.Context(), w.app.Repository, "abc1234")
	wantFault(t, err, errs.Unavailable, "The registry at "+w.host()+" cannot be reached.")
	w.fake.SetDown(false)
	if _, err := w.Resolve(t.Context(), w.app.Repository, "abc1234"); err != nil {
		t.Errorf("after it came back: %v", err)
	}
}

func TestEndOfTheSignInIsNoFault(t *testing.T) {
	w := newWorld(t)
	w.fake.PushImage("acme/api", sha(1), giteatest.MultiArch())
	for range 2 {
		if _, err := w.Resolve(t.Context(), w.app.Repository, sha(1)); err != nil {
			t.Fatal(err)
		}
		w.fake.RevokeSignIns()
	}
}

func TestLostPlatformIsNamed(t *testing.T) {
	w := newWorld(t)
	w.fake.PushImage("acme/api", sha(1), giteatest.MultiArch())
	first, err := w.Resolve(t.Context(), w.app.Repository, sha(1))
	if err != nil {
		t.Fatal(err)
	}
	w.fake.DeleteTag("acme/api", first.Manifests[1].Digest)
	_, err = w.client(t).Resolve(t.Context(), w.app.Repository, sha(1))
	wantFault(t, err, errs.NotFound, "The registry has lost the linux/arm64 part of")
}

func TestCachesAreBounded(t *testing.T) {
	w := newWorld(t)
	w.images = newLRU[string, []deploys.Manifest](3)
	w.configs = newLRU[string, string](5)
	for i := range 8 {
		w.fake.PushImage("acme/api", sha(i), giteatest.Image{})
		if _, err := w.Resolve(t.Context(), w.app.Repository, sha(i)); err != nil {
			t.Fatal(err)
		}
	}
	if w.images.len() != 3 || w.configs.len() != 5 {
		t.Errorf("%d images and %d configs are remembered, want 3 and 5", w.images.len(), w.configs.len())
	}
	l := newLRU[int, string](2)
	l.put(1, "a")
	l.put(2, "b")
	l.get(1)
	l.put(3, "c")
	if _, ok := l.get(2); ok || l.len() != 2 {
		t.Error("the one not used for longest was kept")
	}
}

func TestCancelledResolveEnds(t *testing.T) {
	w := newWorld(t)
	arrived, let := hold(w.fake)
	defer let()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := w.Resolve(ctx, w.app.Repository, "abc1234")
		done <- err
	}()
	waitFor(t, arrived)
	cancel()
	wantFault(t, waitFor(t, done), errs.Unavailable, "cannot be reached")
}

func ExampleClient_Resolve() {
	c, _ := New(Options{URL: "https://git.example.org"})
	_, err := c.Resolve(context.Background(), "docker.io/library/nginx", "1.27")
	fmt.Println(errs.Public(err))
	// Output: docker.io/library/nginx is not in the registry at git.example.org.
}
