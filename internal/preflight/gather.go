package preflight

import (
	"context"
	"slices"
	"strings"
	"sync"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// Cluster tells what surrounds a workload; internal/kube implements it.
type Cluster interface {
	// Surroundings answers within about 0.7 s, with nothing that is older than a minute; what could not be seen it says.
	Surroundings(context.Context, deploys.Target) deploys.Surroundings
}

// Registry tells whether an image is there; internal/gitea implements it.
type Registry interface {
	Resolve(ctx context.Context, repository, ref string) (deploys.Image, error)
}

// Commits tells of commits; internal/gitea implements it.
type Commits interface {
	CI(ctx context.Context, git string, tags ...string) (map[string]deploys.CI, error)
	OnMain(ctx context.Context, git, sha string) (branch string, on bool, err error)
	Range(ctx context.Context, git, from, to string) (deploys.Range, error)
	Migrations(ctx context.Context, git, from, to string, patterns ...string) (deploys.Migrations, error)
}

// Past tells what the records know; *deploys.Past implements it.
type Past interface {
	FirstSeen(ctx context.Context, repository, tag string) (deploys.FirstSeen, error)
	Starts(context.Context, deploys.Target) (deploys.Starts, error)
	Good(ctx context.Context, t deploys.Target, n int, skip deploys.Version) ([]deploys.Version, error)
}

// Gatherer asks all sources, in parallel, and implements deploys.Preflight. It is safe for concurrent use.
type Gatherer struct {
	cluster  Cluster
	registry Registry
	commits  Commits
	past     Past
	tuning   map[string]Tuning

	images     memo[[2]string, deploys.Image] // repository, tag or digest
	states     memo[[2]string, deploys.CI]    // git, tag
	branches   memo[[2]string, Branch]
	ranges     memo[[3]string, deploys.Range] // git, from, to
	migrations memo[[4]string, deploys.Migrations]
}

var _ deploys.Preflight = (*Gatherer)(nil)

// NewGatherer asks nothing yet. tuning is by the name of the app.
func NewGatherer(cluster Cluster, registry Registry, commits Commits, past Past, tuning map[string]Tuning) *Gatherer {
	return &Gatherer{cluster: cluster, registry: registry, commits: commits, past: past, tuning: tuning}
}

// Checks implements deploys.Preflight.
func (g *Gatherer) Checks(ctx context.Context, p deploys.Plan) []deploys.Check {
	return Checks(g.Gather(ctx, p))
}

// Gather asks for what the checks of a plan look at. It never fails: a source that does is said to have.
func (g *Gatherer) Gather(ctx context.Context, p deploys.Plan) Facts {
	f := Facts{Plan: p, Tuning: g.tuning[p.App.App]}
	var all sync.WaitGroup
	if _, mute := f.mute(""); !mute { // asked before anything of f is written
		g.askCommits(ctx, &all, &f)
	}
	all.Go(func() { f.Around = g.cluster.Surroundings(ctx, p.App.Target) })
	all.Go(func() {
		f.Starts = once(ctx, func(ctx context.Context) (deploys.Starts, error) { return g.past.Starts(ctx, p.App.Target) })
	})
	all.Go(func() { f.Good = g.good(ctx, p) })
	all.Go(func() { f.Image = g.image(ctx, p) })
	if p.Kind == deploys.KindDeploy && p.To.Tag != "" {
		all.Go(func() {
			f.First = once(ctx, func(ctx context.Context) (deploys.FirstSeen, error) {
				return g.past.FirstSeen(ctx, p.To.Repository, p.To.Tag)
			})
		})
	}
	all.Wait()
	return f
}

// askCommits begins what Gitea is asked for. Each writes a part of f of its own.
func (g *Gatherer) askCommits(ctx context.Context, all *sync.WaitGroup, f *Facts) {
	p := f.Plan
	git, to, from, patterns := p.App.Git, p.To.Tag, p.From.Tag, p.App.Migrations
	if !f.restores() {
		all.Go(func() { f.CI = g.ci(ctx, git, to) })
		all.Go(func() {
			f.Branch = g.branches.ask(ctx, [2]string{git, to}, func(ctx context.Context) (b Branch, err error) {
				b.Name, b.Holds, err = g.commits.OnMain(ctx, git, to)
				return b, err
			})
		})
	}
	if !deploys.TagPattern.MatchString(from) || p.Kind == deploys.KindRestart {
		return
	}
	all.Go(func() {
		f.Between = g.ranges.ask(ctx, [3]string{git, from, to}, func(ctx context.Context) (deploys.Range, error) {
			return g.commits.Range(ctx, git, from, to)
		})
	})
	all.Go(func() {
		f.Migrations = g.migrations.ask(ctx, [4]string{git, from, to, strings.Join(patterns, "\n")}, func(ctx context.Context) (deploys.Migrations, error) {
			return g.commits.Migrations(ctx, git, from, to, patterns...)
		})
	})
}

// ci asks for the state of one commit. One that has not ended is asked about again: Gitea's side remembers it for a while.
func (g *Gatherer) ci(ctx context.Context, git, tag string) Said[deploys.CI] {
	return g.states.ask(ctx, [2]string{git, tag}, func(ctx context.Context) (deploys.CI, error) {
		states, err := g.commits.CI(ctx, git, tag)
		if ci, ok := states[tag]; ok {
			return ci, nil
		}
		if err == nil {
			err = errs.New(errs.NotFound, "Gitea has no commit %s in %s.", deploys.ShortTag(tag), git)
		}
		return deploys.CI{}, err
	})
}

// image asks for what shall run. A deploy's image was looked up to make the plan.
func (g *Gatherer) image(ctx context.Context, p deploys.Plan) Said[deploys.Image] {
	if p.Image.Digest != "" {
		return Said[deploys.Image]{Value: p.Image}
	}
	return g.resolve(ctx, p.To)
}

// resolve asks for what a node would pull to run a version: the digest that its pods report may be that of a config.
func (g *Gatherer) resolve(ctx context.Context, v deploys.Version) Said[deploys.Image] {
	ref := v.Pulled()
	if ref == "" || v.Repository == "" {
		return Said[deploys.Image]{Err: errs.New(errs.Invalid, "Its digest is not known.")}
	}
	return g.images.ask(ctx, [2]string{v.Repository, ref}, func(ctx context.Context) (deploys.Image, error) {
		return g.registry.Resolve(ctx, v.Repository, ref)
	})
}

// good finds what ran well and asks the registry for it, what runs now first.
func (g *Gatherer) good(ctx context.Context, p deploys.Plan) Said[[]Kept] {
	known := once(ctx, func(ctx context.Context) ([]deploys.Version, error) {
		return g.past.Good(ctx, p.App.Target, goodOnes, p.To)
	})
	if known.Err != nil {
		return Said[[]Kept]{Err: known.Err}
	}
	list := known.Value
	if p.From.Healthy && p.From.ID() != p.To.ID() {
		list = slices.DeleteFunc(slices.Clone(list), func(v deploys.Version) bool { return v.ID() == p.From.ID() })
		list = append([]deploys.Version{p.From}, list[:min(len(list), goodOnes-1)]...)
	}
	kept := make([]Kept, len(list))
	var all sync.WaitGroup
	for i, v := range list {
		all.Go(func() { kept[i] = Kept{v, g.resolve(ctx, v).Err} })
	}
	all.Wait()
	return Said[[]Kept]{Value: kept}
}
