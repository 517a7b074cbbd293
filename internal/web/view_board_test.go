package web

import (
	"errors"
	"strings"
	"testing"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/web/templates"
)

func apiTarget() targetFacts {
	return targetFacts{
		App: apiApp, Prod: true, Health: deploys.Healthy, MayDeploy: true, By: "by ana", Since: since(time.Hour),
		Rollout: &deploys.Rollout{Exists: true, Desired: 3, Ready: 3},
		Running: deploys.Version{Tag: "bbbbbbbbbbbb", Digest: digestOld},
		Images: deploys.List{Fetched: noon, Images: []deploys.Listed{
			{Tag: "cccccccccccc", Pushed: since(12 * time.Minute)}, {Tag: "bbbbbbbbbbbb", Pushed: since(time.Hour)}, {Tag: "aaaaaaaaaaaa", Pushed: since(2 * time.Hour)},
		}},
	}
}

func TestBoardRow(t *testing.T) {
	for _, c := range []struct {
		name  string
		given func(f *targetFacts)
		check func(r templates.Row) bool
	}{
		{"newer images", func(*targetFacts) {}, func(r templates.Row) bool {
			return r.Newer == 1 && r.NewestAt.Equal(since(12*time.Minute)) && r.Act.Text == "Deploy newest" && r.Ready == "3 of 3 ready"
		}},
		{"up to date", func(f *targetFacts) { f.Running.Tag = "cccccccccccc" }, func(r templates.Row) bool {
			return r.Newer == 0 && r.NewNote == "up to date" && r.Act.Text == "Deploy"
		}},
		{"not listed", func(f *targetFacts) { f.Running.Tag = "" }, func(r templates.Row) bool { return r.NewNote == "not among the listed images" }},
		{"registry never seen", func(f *targetFacts) { f.Images = deploys.List{Err: errors.New("x")} }, func(r templates.Row) bool { return r.NewNote == "images not known" }},
		{"registry empty", func(f *targetFacts) { f.Images.Images = nil }, func(r templates.Row) bool { return r.NewNote == "no image in the registry" }},
		{"degraded", func(f *targetFacts) { f.Health = deploys.Degraded }, func(r templates.Row) bool { return r.Act.Danger && r.Health.Tone == templates.Bad }},
		{"viewer", func(f *targetFacts) { f.MayDeploy = false }, func(r templates.Row) bool { return r.Act == nil }},
		{"unreachable", func(f *targetFacts) {
			f.Trouble, f.Health, f.Rollout.StaleSince = errs.New(errs.Unavailable, "Gone."), deploys.Unknown, since(time.Hour)
		}, func(r templates.Row) bool {
			return r.Act == nil && r.Health.Tone == templates.Unknown && r.Note == "not seen since 13:02 UTC"
		}},
		{"missing", func(f *targetFacts) { f.Rollout.Exists = false }, func(r templates.Row) bool {
			return r.Ready == "" && r.Note == "there is no Deployment api in acme"
		}},
		{"zero", func(f *targetFacts) { f.Rollout.Desired = 0 }, func(r templates.Row) bool { return r.Ready == "scaled to zero" }},
		{"managed", func(f *targetFacts) { f.Rollout.ManagedBy = "Flux" }, func(r templates.Row) bool { return r.Note == "managed by Flux, which may revert a deploy" }},
		{"deploying", func(f *targetFacts) { d := running(); f.Active, f.Rollout = &d.Deploy, d.Rollout }, func(r templates.Row) bool {
			s := r.Active
			return r.Act.Href == "/deploys/319" && s != nil && s.Total == 3 && s.Done == 0 && s.What == "startup probe" && s.Clock.Limit == 240*time.Second
		}},
		{"deploy not patched", func(f *targetFacts) {
			d := running()
			d.Deploy.Patched = time.Time{}
			f.Active = &d.Deploy
		}, func(r templates.Row) bool { return r.Active.Words == "not patched yet" && r.Active.Total == 0 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := apiTarget()
			c.given(&f)
			if r := boardRow(f); !c.check(r) {
				t.Errorf("%+v, act %+v, active %+v", r, r.Act, r.Active)
			}
		})
	}
}

func TestBoardView(t *testing.T) {
	a, b, c := apiTarget(), apiTarget(), apiTarget()
	b.App.App, c.App.Env, c.Prod = "admin", "staging", false
	c.Trouble = errs.New(errs.Forbidden, "The portal may not list pods in acme.")
	live, summary := boardView([]targetFacts{a, b, c}, noon)
	if summary != "2 apps in prod, 1 in staging" || len(live.Sheets) != 2 || !live.Sheets[0].Prod || live.Sheets[1].Prod {
		t.Errorf("%q %+v", summary, live)
	}
	if tr := live.Sheets[1].Trouble; tr == nil || tr.Paste == "" || tr.Sentence != "The portal may not list pods in acme." {
		t.Errorf("%+v", tr)
	}
	a.Gap, b.Gap = "The portal may not list events in acme.", "The portal may not list events in acme."
	live, _ = boardView([]targetFacts{a, b}, noon)
	if tr := live.Sheets[0].Trouble; tr == nil || tr.Sentence != a.Gap || tr.Detail != "" || !strings.HasPrefix(tr.Paste, "kubectl apply -n ") || live.Sheets[0].Rows[0].Act == nil {
		t.Errorf("a missing detail keeps nobody from deploying: %+v", tr)
	}
	if live, _ := boardView(nil, noon); live.Teach == nil || live.Teach.Paste == "" {
		t.Error("an empty board teaches nothing")
	}
}
