package web

import (
	"errors"
	"testing"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/web/templates"
)

func TestAppView(t *testing.T) {
	f := apiTarget()
	f.Active = &deploys.Deploy{ID: 319, Target: f.App.Target, Status: deploys.Pending}
	f.Images.Err = errs.New(errs.Unavailable, "Gitea cannot be reached since 13:59 UTC.")
	f.Images.Fetched = since(3 * time.Minute)
	p := appView(f, deploys.About{}, map[string][]templates.Link{"aaaaaaaaaaaa": {{Text: "deploy 12", Href: "/deploys/12"}}})
	if p.Cluster != nil {
		t.Errorf("%+v", p.Cluster)
	}
	f.Gap = "The portal may not list events in acme."
	if p := appView(f, deploys.About{}, nil); p.Cluster == nil || p.Cluster.Sentence != f.Gap {
		t.Errorf("%+v", p.Cluster)
	}
	if p.Registry == nil || p.Registry.Sentence != "Gitea cannot be reached since 13:59 UTC." || !p.Registry.Known.Equal(since(3*time.Minute)) {
		t.Errorf("%+v", p.Registry)
	}
	want := []templates.Place{templates.PlaceNewer, templates.PlaceRunning, templates.PlaceOlder}
	for i, img := range p.Images {
		if img.Place != want[i] || (img.Act == nil) != (img.Place == templates.PlaceRunning) {
			t.Errorf("%d: %s %+v", i, img.Place, img.Act)
		}
	}
	if p.Images[0].Act.Href != "/apps/prod/api/confirm?image=cccccccccccc&replaces=319" || len(p.Images[2].Deploys) != 1 {
		t.Errorf("%+v", p.Images)
	}
	f.Active, f.Images, f.Running = nil, deploys.List{Fetched: noon}, deploys.Version{}
	if p := appView(f, deploys.About{}, nil); p.Teach == nil || p.Running.Short != "unknown" {
		t.Errorf("%+v", p)
	}
	f.Images.Err, f.Images.Fetched = errors.New("secret detail"), time.Time{}
	if p := appView(f, deploys.About{}, nil); p.Teach != nil || p.Registry.Detail == "" || p.Registry.Sentence == "secret detail" {
		t.Errorf("%+v", p.Registry)
	}
}

// What is said of an image's CI, for each thing that can be known of it.
func TestAppViewCI(t *testing.T) {
	const tag = "cccccccccccc"
	away := errs.New(errs.Unavailable, "Gitea cannot be reached.")
	know := func(ci deploys.CI) deploys.About {
		return deploys.About{Asked: true, CI: map[string]deploys.CI{tag: ci}}
	}
	for name, c := range map[string]struct {
		about deploys.About
		git   string
		tone  templates.Tone
		word  string
		note  string
		url   string
	}{
		"passed":         {know(deploys.CI{State: deploys.CISuccess, Total: 2, URL: "https://ci/1"}), "acme/api", templates.OK, "CI passed", "", "https://ci/1"},
		"failed":         {know(deploys.CI{State: deploys.CIFailure, Failed: []string{"a", "b", "c", "d"}}), "acme/api", templates.Bad, "CI failed", "a, b and 2 more", ""},
		"running":        {know(deploys.CI{State: deploys.CIPending}), "acme/api", templates.Busy, "CI running", "", ""},
		"none":           {know(deploys.CI{State: deploys.CINone}), "acme/api", templates.Unknown, "No CI", "", ""},
		"old but known":  {deploys.About{Asked: true, Err: away, CI: map[string]deploys.CI{tag: {State: deploys.CISuccess}}}, "acme/api", templates.OK, "CI passed", "", ""},
		"away":           {deploys.About{Asked: true, Err: away}, "acme/api", templates.Unknown, "CI unknown", "", ""},
		"no such commit": {deploys.About{Asked: true}, "acme/api", templates.Unknown, "CI unknown", "no such commit", ""},
		"not asked yet":  {deploys.About{}, "acme/api", templates.Unknown, "CI not read yet", "", ""},
		"no repository":  {deploys.About{}, "", "", "", "", ""},
	} {
		f := apiTarget()
		f.App.Git = c.git
		p := appView(f, c.about, nil)
		got := p.Images[0].CI
		if c.word == "" {
			if got != nil {
				t.Errorf("%s: %+v", name, got)
			}
			continue
		}
		if want := (templates.CI{Mark: templates.Mark{Tone: c.tone, Word: c.word}, Note: c.note, URL: c.url}); got == nil || *got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
		if said := p.Commits != nil && p.Commits.Sentence == "Gitea cannot be reached."; said != (c.about.Err != nil) {
			t.Errorf("%s: above the list %+v", name, p.Commits)
		}
	}
	f := apiTarget()
	f.Images.Err = away
	if p := appView(f, deploys.About{Err: away}, nil); p.Commits != nil || p.Registry == nil {
		t.Error("the same fault is told twice")
	}
}

func TestAppViewRelations(t *testing.T) {
	for want, r := range map[string]deploys.Relation{
		"1 commit ahead": {Ahead: 1}, "2 commits behind": {Behind: 2}, "1 ahead, 3 behind": {Ahead: 1, Behind: 3}, "the same commit": {},
	} {
		p := appView(apiTarget(), deploys.About{Relations: map[string]deploys.Relation{"cccccccccccc": r}}, nil)
		if row := p.Images[0]; row.Stands != want || row.Aside != (r.Ahead > 0 && r.Behind > 0) {
			t.Errorf("%+v: %q %t, want %q", r, row.Stands, row.Aside, want)
		}
		if p.Images[2].Stands != "" || p.Images[2].Place != templates.PlaceOlder {
			t.Errorf("what is not known is told: %+v", p.Images[2])
		}
	}
}

func TestConfirmViewSaysWhereItStands(t *testing.T) {
	for want, r := range map[string]deploys.Range{
		"ccccccc is 3 commits ahead of bbbbbbb.":                                          {Total: 3},
		"ccccccc is 1 commit behind bbbbbbb.":                                             {Behind: 1},
		"ccccccc and bbbbbbb have diverged: it brings 1 commit and lacks 2 that run now.": {Total: 1, Behind: 2},
		"ccccccc and bbbbbbb are the same commit.":                                        {},
	} {
		o := offer{target: apiTarget(), to: deploys.Version{Tag: tagOf("c")}, compared: true, between: r}
		if p := confirmView(o, wish{}, noon); p.Stands != want {
			t.Errorf("%q, want %q", p.Stands, want)
		}
	}
	many := make([]deploys.Commit, 50)
	p := confirmView(offer{target: apiTarget(), between: deploys.Range{Ahead: many, Total: 61, Lost: many[:3], Behind: 3}}, wish{}, noon)
	if len(p.Plus.Commits) != mostCommits || p.Plus.Total != 61 || len(p.Minus.Commits) != 3 || p.Stands != "" {
		t.Errorf("%d of %d, %d, %q", len(p.Plus.Commits), p.Plus.Total, len(p.Minus.Commits), p.Stands)
	}
}

// What runs is not known while the cluster is not seen, so nothing is said to be the same.
func TestConfirmViewKnowsNoSameWithoutACluster(t *testing.T) {
	o := offer{target: apiTarget()}
	o.to = o.target.Running
	if p := confirmView(o, wish{}, noon); !p.Same {
		t.Error("what runs is not told to be the same")
	}
	o.target.Trouble = errs.New(errs.Unavailable, "The portal has not read the cluster yet.")
	if p := confirmView(o, wish{}, noon); p.Same || !p.Blocked {
		t.Errorf("same %v, blocked %v", p.Same, p.Blocked)
	}
}
