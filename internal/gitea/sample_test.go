package gitea

import (
	"slices"
	"testing"

	"deployportal/internal/deploys"
	"deployportal/internal/gitea/giteatest"
)

func TestSampleThroughTheClient(t *testing.T) {
	w := newWorld(t)
	for _, a := range giteatest.Sample(w.fake, w.clock.Now()) {
		app := deploys.App{Repository: w.host() + "/" + a.Image, Git: a.Git}
		l := w.Images(t.Context(), app)
		if l.Err != nil || !slices.Equal(tags(l), a.Tags) {
			t.Errorf("%s: tags %q, err %v, want %q", a.Name, tags(l), l.Err, a.Tags)
		}
		for _, i := range l.Images {
			if i.Commit.Subject == "" {
				t.Errorf("%s:%s has no commit", a.Name, i.Tag)
			}
		}
		img, err := w.Resolve(t.Context(), app.Repository, a.RunningTag)
		if err != nil || img.Digest != a.RunningDigest || len(img.Manifests) != 2 || img.Pinned() != a.Pinned(w.fake, w.host(), a.RunningTag) {
			t.Errorf("%s: %+v, %v", a.Name, img, err)
		}
	}
}
