package giteatest

import (
	"slices"
	"strings"
	"testing"
	"time"
)

var sampleNow = time.Date(2026, 4, 24, 9, 0, 0, 0, time.UTC)

func TestSampleIsTheStoryTheDemoTells(t *testing.T) {
	s := New(Options{Now: func() time.Time { return sampleNow }})
	apps := Sample(s, sampleNow)
	for _, a := range apps {
		if n := len(a.Commits); n < 12 || n > 15 {
			t.Errorf("%s has %d commits, want 12 to 15", a.Name, n)
		}
		rows, _ := s.state.rows(a.Image)
		var tags []string
		for _, r := range rows {
			if !isDigest(r.name) {
				tags = append(tags, r.name)
			}
			if r.created.After(sampleNow) {
				t.Errorf("%s:%s was pushed after now", a.Name, r.name)
			}
		}
		if !slices.Equal(tags, a.Tags) {
			t.Errorf("%s: tags %q, want push order %q", a.Name, tags, a.Tags)
		}
		if i := slices.Index(a.Tags, a.RunningTag); i < 2 || a.RunningTag == a.FailingTag || a.RunningTag == a.SlowTag {
			t.Errorf("%s runs %s, number %d of the newest", a.Name, a.RunningTag, i)
		}
		if !strings.HasSuffix(a.Pinned(s, "git.example.org", a.RunningTag), ":"+a.RunningTag+"@"+a.RunningDigest) {
			t.Errorf("%s: pinned %s", a.Name, a.Pinned(s, "git.example.org", a.RunningTag))
		}
	}
	api := apps[0]
	if api.Tags[1] != api.FailingTag || !strings.HasPrefix(api.FailingTag, "bad0") || !strings.HasPrefix(api.SlowTag, "510") {
		t.Errorf("api: failing %s, slow %s, tags %q", api.FailingTag, api.SlowTag, api.Tags)
	}
	i := slices.IndexFunc(api.Commits, func(c Commit) bool { return c.Parent != "" })
	if i < 0 || !slices.Contains(api.Tags, api.Commits[i].SHA) {
		t.Fatal("api has no image beside its main line")
	}
	s.state.withRepo("acme/api", func(r *repo) {
		side, running := r.ancestors(api.Commits[i].SHA), r.ancestors(api.RunningTag)
		if side[api.RunningTag] || running[api.Commits[i].SHA] {
			t.Error("it has not diverged from what runs")
		}
		said := map[string]bool{}
		for _, tag := range api.Tags {
			state := "none"
			for _, st := range r.statuses[tag] {
				state = st.State
			}
			said[state] = true
		}
		if !said["success"] || !said["failure"] || !said["none"] {
			t.Errorf("CI says only %v", said)
		}
	})
	again := Sample(New(Options{Now: func() time.Time { return sampleNow }}), sampleNow)
	if again[0].RunningDigest != api.RunningDigest {
		t.Error("the same input made another digest")
	}
}
