package gitea_test

import (
	"context"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"deployportal/internal/deploys"
	"deployportal/internal/gitea"
	"deployportal/internal/gitea/giteatest"
	"deployportal/internal/gitea/giteatest/giteareal"
)

// The portal's own account sees the sample data whole: pushes, platforms, commits, CI states and migrations.
func TestRealGiteaSample(t *testing.T) {
	site := giteareal.Need(t)
	c, err := gitea.New(gitea.Options{URL: site.URL, User: site.User, Token: site.Token})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range site.Apps {
		app := deploys.App{Repository: site.Host + "/" + a.Image, Git: a.Git}
		l := c.Images(t.Context(), app)
		var tags []string
		for _, i := range l.Images {
			tags = append(tags, i.Tag)
			if i.Commit.SHA != i.Tag || i.Commit.Subject == "" || i.Pusher != "ci" {
				t.Errorf("%s: %+v, want its commit and who pushed it", a.Name, i)
			}
		}
		if l.Err != nil || !slices.Equal(tags, a.Tags) {
			t.Errorf("%s: tags %q, %v, want %q", a.Name, tags, l.Err, a.Tags)
		}
		img, err := c.Resolve(t.Context(), app.Repository, a.Tags[0])
		if err != nil || img.Digest != a.Digests[a.Tags[0]] || len(img.Manifests) != 2 {
			t.Errorf("%s: %+v, %v", a.Name, img, err)
		}
		first, last := a.Tags[len(a.Tags)-1], a.Tags[0]
		m, err := c.Migrations(t.Context(), a.Git, first, last)
		want := map[string]int{"api": 2, "admin": 0, "worker": 1}[a.Name]
		if err != nil || len(m.Ahead) != want || len(m.Behind) != 0 {
			t.Errorf("%s: migrations %+v, %v, want %d", a.Name, m, err, want)
		}
		states, err := c.CI(t.Context(), a.Git, a.Tags...)
		if err != nil || len(states) != len(a.Tags) {
			t.Errorf("%s: states %v, %v", a.Name, states, err)
		}
		at, err := c.Relations(t.Context(), a.Git, a.Tags[1], a.Tags...)
		if err != nil || at[last].Way() != deploys.WayAhead || at[first].Way() != deploys.WayBehind || len(at) != len(a.Tags) {
			t.Errorf("%s: relations %v, %v", a.Name, at, err)
		}
	}
	_, err = c.Range(t.Context(), "acme/api", "0123456", site.Apps[0].Tags[0])
	if err == nil {
		t.Error("a range from an unknown commit")
	}
}

// A tag whose commit is not there must not look like a Gitea that cannot be reached.
func TestRealGiteaUnknownTags(t *testing.T) {
	site := giteareal.Need(t)
	org := site.Org(t)
	c, err := gitea.New(gitea.Options{URL: site.URL, User: "any", Token: org.Token(t, true, "read:package", "read:repository")})
	if err != nil {
		t.Fatal(err)
	}
	org.History(t, "api", "", giteatest.Commit{Message: "One"})
	push(t, org, "api", "0123456")
	push(t, org, "api", "0123457")
	l := c.Images(t.Context(), deploys.App{Repository: site.Host + "/" + org.Owner() + "/api", Git: org.Owner() + "/api"})
	if l.Err != nil || len(l.Images) != 2 {
		t.Errorf("%+v", l)
	}
}

// A push rings the page's bell through the webhook: nothing polls here.
func TestRealGiteaPushRingsTheBell(t *testing.T) {
	site := giteareal.Need(t)
	org := site.Org(t)
	c, err := gitea.New(gitea.Options{URL: site.URL, User: "any", Token: org.Token(t, true, "read:package", "read:repository")})
	if err != nil {
		t.Fatal(err)
	}
	app := deploys.App{Repository: site.Host + "/" + org.Owner() + "/api"}
	hook := c.Hook("a secret", func() []deploys.App { return []deploys.App{app} })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		hook.Run(ctx)
	}()
	defer func() { cancel(); <-ended }()
	web := httptest.NewServer(hook)
	defer web.Close()
	org.Hook(t, web.URL+"/hooks/gitea", "a secret")
	bell, stop := c.Watch()
	defer stop()

	push(t, org, "api", "0123456")
	pushed := time.Now()
	timer := time.NewTimer(30 * time.Second)
	defer timer.Stop()
	select {
	case <-bell:
		t.Logf("the bell rang %v after the push", time.Since(pushed).Round(time.Millisecond))
	case <-timer.C:
		t.Fatal("the bell did not ring")
	}
	if l := c.Cached(app); l.Err != nil || len(l.Images) != 1 || l.Images[0].Tag != "0123456" {
		t.Errorf("list %+v", l)
	}
}

func push(t *testing.T, org *giteareal.Org, image, tag string) {
	t.Helper()
	index, err := random.Index(64, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewTag(org.Host+"/"+org.Owner()+"/"+image+":"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	auth := authn.FromConfig(authn.AuthConfig{Username: "any", Password: org.Token(t, true, "write:package")})
	if err := remote.WriteIndex(ref, index, remote.WithContext(t.Context()), remote.WithAuth(auth)); err != nil {
		t.Fatal(err)
	}
}
