package deploys_test

import (
	"reflect"
	"testing"

	"deployportal/internal/deploys"
	"deployportal/internal/deploys/deploystest"
	"deployportal/internal/sqlite"
)

// A mark is found by the digest, in whatever repository; by the tag only where no digest is known, in its own, the newest.
func TestMarksOf(t *testing.T) {
	in(t, func(w *world) {
		a, b, repo := deploystest.Digest("a"), deploystest.Digest("b"), deploystest.Repo+"api"
		for _, m := range []struct{ digest, tag, why string }{{a, "abc1234", "leaks"}, {b, "abc1234", "crashes"}} {
			must(t, w.db.Write(w.Context(), func(tx *sqlite.Tx) error {
				return deploys.MarkBad(w.Context(), tx, api, deploys.Version{Digest: m.digest, Tag: m.tag, Repository: repo}, m.why, ana)
			}))
		}
		marks, err := w.svc.Marks(w.Context())
		must(t, err)
		for _, c := range []struct {
			v    deploys.Version
			want string
		}{
			{deploys.Version{Digest: a, Repository: "elsewhere"}, "leaks"},
			{deploys.Version{Digest: b, Tag: "abc1234", Repository: repo}, "crashes"},
			{deploys.Version{Digest: deploystest.Digest("c"), Tag: "abc1234", Repository: repo}, ""},
			{deploys.Version{Tag: "abc1234", Repository: repo}, "crashes"},
			{deploys.Version{Tag: "abc1234", Repository: "elsewhere"}, ""},
			{deploys.Version{Tag: "abc1234", Repository: repo, Digest: deploystest.Digest("c"), Images: map[string]string{"api": repo + ":abc1234"}}, "crashes"},
			{deploys.Version{Tag: "abc1234", Repository: repo, Digest: deploystest.Digest("c"), Images: map[string]string{"api": repo + ":abc1234@" + deploystest.Digest("c")}}, ""},
			{deploys.Version{}, ""},
		} {
			got := ""
			if m := marks.Of(c.v); m != nil {
				got = m.Reason
			}
			if got != c.want {
				t.Errorf("%+v: %q, want %q", c.v, got, c.want)
			}
			one, err := deploys.MarkOf(w.Context(), w.db, c.v)
			if must(t, err); !reflect.DeepEqual(one, marks.Of(c.v)) {
				t.Errorf("%+v: alone %+v, among all %+v", c.v, one, marks.Of(c.v))
			}
		}
		if (deploys.Marks{}).Of(deploys.Version{Digest: a}) != nil {
			t.Error("the zero Marks knows one")
		}
	})
}

// What a search finds: by the start of a tag or a digest, in the environments that are asked about, the newest first.
func TestBrought(t *testing.T) {
	in(t, func(w *world) {
		d := w.deploy(deployOf(api, "abc1234"))
		w.deploy(deployOf(admin, "abc9999"))
		hex := d.To.Digest[len("sha256:"):]
		for word, want := range map[string]int{"abc1": 1, "abc9": 1, "abc": 0, hex[:6]: 1, d.To.Digest[:14]: 1, "%%%%": 0, "c123": 0} {
			got, err := w.svc.Brought(w.Context(), []string{"prod"}, word, 10)
			if err != nil || len(got) != want {
				t.Errorf("%q: %+v %v", word, got, err)
			}
		}
		got, err := w.svc.Brought(w.Context(), []string{"prod", "x"}, "sha256:", 1)
		if err != nil || len(got) != 1 || got[0].ID != 2 || got[0].Target != admin || got[0].To.Tag != "abc9999" || got[0].Kind != deploys.KindDeploy {
			t.Errorf("%+v %v", got, err)
		}
		if got, err := w.svc.Brought(w.Context(), []string{"staging"}, "abc1", 10); err != nil || len(got) != 0 {
			t.Errorf("in another environment: %+v %v", got, err)
		}
	})
}
