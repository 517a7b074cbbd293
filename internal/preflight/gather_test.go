package preflight

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// sources are all that a Gatherer asks, with what fine says; each answer takes its time.
type sources struct {
	facts Facts
	slow  time.Duration
	err   error

	mu    sync.Mutex
	asked map[string]int
}

func (s *sources) ask(ctx context.Context, what string) error {
	s.mu.Lock()
	if s.asked == nil {
		s.asked = map[string]int{}
	}
	s.asked[what]++
	s.mu.Unlock()
	select {
	case <-time.After(s.slow):
		return s.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *sources) count(what string) int { s.mu.Lock(); defer s.mu.Unlock(); return s.asked[what] }

func (s *sources) Surroundings(context.Context, deploys.Target) deploys.Surroundings {
	return s.facts.Around
}

func (s *sources) Resolve(ctx context.Context, _, ref string) (deploys.Image, error) {
	return deploys.Image{Digest: ref}, s.ask(ctx, "image "+ref)
}

func (s *sources) CI(ctx context.Context, _ string, tags ...string) (map[string]deploys.CI, error) {
	return map[string]deploys.CI{tags[0]: s.facts.CI.Value}, s.ask(ctx, "ci")
}

func (s *sources) OnMain(ctx context.Context, _, _ string) (string, bool, error) {
	return "main", true, s.ask(ctx, "branch")
}

func (s *sources) Range(ctx context.Context, _, _, _ string) (deploys.Range, error) {
	return s.facts.Between.Value, s.ask(ctx, "range")
}

func (s *sources) Migrations(ctx context.Context, _, _, _ string, _ ...string) (deploys.Migrations, error) {
	return deploys.Migrations{}, s.ask(ctx, "migrations")
}

func (s *sources) FirstSeen(context.Context, string, string) (deploys.FirstSeen, error) {
	return s.facts.First.Value, nil
}

func (s *sources) Starts(context.Context, deploys.Target) (deploys.Starts, error) {
	return s.facts.Starts.Value, nil
}

func (s *sources) Good(context.Context, deploys.Target, int, deploys.Version) ([]deploys.Version, error) {
	return []deploys.Version{version("aaaaaaa"), version("0000000"), version("1111111")}, nil
}

// An image that is not pinned is pulled by its tag; the digest that its pods report may be that of a config.
func TestUnpinnedIsAskedForByItsTag(t *testing.T) {
	s := &sources{facts: fine()}
	v := version("aaaaaaa")
	v.Images = map[string]string{"api": "git.example.org/acme/api:aaaaaaa"}
	gatherer(s).resolve(t.Context(), v)
	if s.count("image aaaaaaa") != 1 || s.count("image sha256:aaaaaaa") != 0 {
		t.Error("the reported digest was asked for")
	}
}

func gatherer(s *sources) *Gatherer { return NewGatherer(s, s, s, s, nil) }

func find(all []deploys.Check, name string) deploys.Check {
	for _, c := range all {
		if c.Name == name {
			return c
		}
	}
	return deploys.Check{}
}

// Everything is asked at once, what runs is the way back, and an answer holds for a minute.
func TestGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sources{facts: fine(), slow: 400 * time.Millisecond}
		g := gatherer(s)
		began := time.Now()
		all := g.Checks(t.Context(), s.facts.Plan)
		if took := time.Since(began); took != s.slow {
			t.Errorf("took %v, want the time of one answer", took)
		}
		for _, c := range all {
			if c.Finding != deploys.Pass {
				t.Errorf("%+v", c)
			}
		}
		if len(all) != len(Names()) {
			t.Errorf("%d checks of %d", len(all), len(Names()))
		}
		if n := len(g.Gather(t.Context(), s.facts.Plan).Good.Value); n != goodOnes {
			t.Errorf("%d good images", n)
		}
		time.Sleep(believed)
		g.Checks(t.Context(), s.facts.Plan)
		for _, what := range []string{"ci", "branch", "range", "migrations", "image sha256:aaaaaaa"} {
			if n := s.count(what); n != 1 {
				t.Errorf("%s was asked %d times within a minute", what, n)
			}
		}
		time.Sleep(time.Second)
		g.Checks(t.Context(), s.facts.Plan)
		if n := s.count("ci"); n != 2 {
			t.Errorf("asked %d times in more than a minute, want 2", n)
		}
	})
}

// Who is slow is named as not asked in time, and its answer is there for the next who looks.
func TestGatherIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sources{facts: fine(), slow: 2 * time.Second}
		g := gatherer(s)
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		all := g.Checks(ctx, s.facts.Plan)
		cancel() // the page is drawn
		if took := time.Since(began); took != patience {
			t.Errorf("took %v", took)
		}
		for _, name := range []string{"ci", "branch", "direction", "migrations", "way-back", "good-images"} {
			if c := find(all, name); c.Finding != deploys.NotChecked || !strings.Contains(c.Sentence, "It has not answered within 700 ms.") {
				t.Errorf("%s: %+v", name, c)
			}
		}
		time.Sleep(2 * time.Second)
		for _, c := range g.Checks(t.Context(), s.facts.Plan) {
			if c.Finding != deploys.Pass {
				t.Errorf("%+v", c)
			}
		}
		if n := s.count("ci"); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// A fault is told and not remembered.
func TestGatherForgetsFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sources{facts: fine(), err: errs.New(errs.Unavailable, "It is down.")}
		g := gatherer(s)
		plan := s.facts.Plan
		plan.Kind, plan.Image = deploys.KindRollback, deploys.Image{}
		if c := find(g.Checks(t.Context(), plan), "image"); c.Finding != deploys.NotChecked || !strings.Contains(c.Sentence, "It is down.") {
			t.Errorf("%+v", c)
		}
		s.err = errs.New(errs.NotFound, "It is gone.")
		if c := find(g.Checks(t.Context(), plan), "image"); c.Finding != deploys.Warn || !strings.Contains(c.Sentence, "It is gone.") {
			t.Errorf("%+v", c)
		}
		s.err = nil
		if c := find(g.Checks(t.Context(), plan), "image"); c.Finding != deploys.Pass {
			t.Errorf("%+v", c)
		}
	})
}

// A commit that Gitea lacks has no CI state: that is not "no CI".
func TestNoSuchCommit(t *testing.T) {
	g := gatherer(&sources{facts: fine()})
	g.commits = noCommits{g.commits}
	if c := find(g.Checks(t.Context(), fine().Plan), "ci"); c.Finding != deploys.NotChecked || !strings.Contains(c.Sentence, "Gitea has no commit bbbbbbb in acme/api.") {
		t.Errorf("%+v", c)
	}
}

type noCommits struct{ Commits }

func (noCommits) CI(context.Context, string, ...string) (map[string]deploys.CI, error) {
	return nil, nil
}

// BenchmarkChecks measures all checks of one deploy, the gathering included, when every source has been asked before.
func BenchmarkChecks(b *testing.B) {
	s := &sources{facts: fine()}
	g := gatherer(s)
	g.Checks(b.Context(), s.facts.Plan)
	for b.Loop() {
		if n := len(g.Checks(b.Context(), s.facts.Plan)); n != len(Names()) {
			b.Fatal(n)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms")
	b.ReportMetric(50, "target-ms")
}
