package kube

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/foreign"
)

// Cluster implements deploys.Cluster over any number of environments. It is safe for concurrent use. Until Run reads
// the clusters every view is stale and Ready refuses.
type Cluster struct {
	envs      []env
	apps      []AppConfig
	sites     []*site
	registry  string
	stability time.Duration
	limit     time.Duration
	now       func() time.Time
	log       *slog.Logger
	bells     *bells
}

var _ deploys.Cluster = (*Cluster)(nil)

// env is an environment and the cluster it lives in.
type env struct {
	name      string
	namespace string
	secrets   bool
	site      *site
}

// Run reads and watches the clusters until ctx ends, then stops every goroutine and connection it began and returns
// nil. It must be called once. A cluster out of reach does not end it: it is tried again for ever.
func (c *Cluster) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, s := range c.sites {
		wg.Go(func() { s.tend(ctx) })
	}
	wg.Wait()
	return nil
}

// Ready implements deploys.Cluster. An environment that does not exist is errs.NotFound.
func (c *Cluster) Ready(t deploys.Target) error {
	e, err := c.env(t.Env)
	if err != nil {
		return err
	}
	if since, why := e.trouble(); !since.IsZero() {
		return errs.New(errs.Unavailable, "%s", why)
	}
	return nil
}

// trouble is since when and why an environment's view cannot be trusted: the cluster is out of reach, or a kind that a
// deploy cannot be followed without may not be read.
func (e env) trouble() (since time.Time, why string) {
	if since, why = e.site.staleness(); !since.IsZero() {
		return since, why
	}
	sp := e.space()
	if sp == nil {
		return e.site.now(), "The portal has not read " + e.namespace + " yet."
	}
	for _, f := range sp.feeds {
		if f.kind.needed {
			if sentence, at := f.refusedSince(); sentence != "" {
				return at, sentence
			}
		}
	}
	return time.Time{}, ""
}

// deploymentsSeen tells whether the Deployments of an environment are read and watched now, whatever else is not.
func (e env) deploymentsSeen() bool {
	if since, _ := e.site.staleness(); !since.IsZero() {
		return false
	}
	sp := e.space()
	if sp == nil {
		return false
	}
	sentence, _ := sp.feeds[deployments].refusedSince()
	return sentence == ""
}

// space is the environment's namespace in the view that is shown; nil before there is one.
func (e env) space() *space {
	e.site.mu.RLock()
	defer e.site.mu.RUnlock()
	if e.site.view == nil {
		return nil
	}
	return e.site.view.spaces[e.namespace]
}

// Rollout implements deploys.Cluster. A view that cannot be trusted has StaleSince and StaleWhy set and shows what was
// last known; before anything was known Exists is false in it, which says nothing then. errs.NotFound: there is no
// such environment or app.
func (c *Cluster) Rollout(t deploys.Target) (deploys.Rollout, error) {
	e, err := c.env(t.Env)
	if err != nil {
		return deploys.Rollout{}, err
	}
	workload, err := c.workload(e, t)
	if err != nil {
		return deploys.Rollout{}, err
	}
	// Read before the objects: a view that becomes fresh meanwhile is called stale once more, never the other way.
	since, why := e.trouble()
	partial := !since.IsZero() && e.deploymentsSeen()
	r := deploys.Rollout{At: c.now()}
	if sp := e.space(); sp != nil {
		r = snapshot(sp.objects(workload), r.At, sp.hash)
	}
	r.StaleSince, r.StaleWhy, r.Partial = since, why, partial
	return r, nil
}

// Watch implements deploys.Cluster. The bell of a target that does not exist rings when it appears in the workload of
// its name, and for staleness.
func (c *Cluster) Watch(t deploys.Target) (<-chan struct{}, func()) {
	e, err := c.env(t.Env)
	if err != nil {
		return make(chan struct{}), func() {}
	}
	workload, err := c.workload(e, t)
	if err != nil {
		workload = t.App
	}
	return c.bells.hang(place{e.site, e.namespace, workload})
}

// WatchAll gives a bell, as Watch does, that rings when any target of any environment changed.
func (c *Cluster) WatchAll() (bell <-chan struct{}, stop func()) { return c.bells.hang(place{}) }

// Gaps names in sentences what may not be read in an environment. Without events only detail is missing, without
// anything else Ready refuses.
func (c *Cluster) Gaps(environment string) []string {
	e, err := c.env(environment)
	if err != nil {
		return nil
	}
	sp := e.space()
	if sp == nil {
		return nil
	}
	var all []string
	for _, f := range sp.feeds {
		sentence, _ := f.refusedSince()
		if sentence == "" {
			continue
		}
		if !f.kind.needed {
			sentence += " Until then the details of pulls and probes are missing."
		}
		all = append(all, sentence)
	}
	return all
}

// Info is what a page shows about an environment's cluster.
type Info struct {
	Env        string
	Namespace  string
	Version    string    // of the API server, "v1.34.4+k3s1"; empty before it was read
	Answered   time.Time // when the API server last answered the readiness check; zero: never
	StaleSince time.Time // zero while the view can be trusted
	StaleWhy   string
}

// Info describes an environment. errs.NotFound: there is none of that name.
func (c *Cluster) Info(environment string) (Info, error) {
	e, err := c.env(environment)
	if err != nil {
		return Info{}, err
	}
	i := Info{Env: e.name, Namespace: e.namespace}
	i.StaleSince, i.StaleWhy = e.trouble()
	e.site.mu.RLock()
	defer e.site.mu.RUnlock()
	i.Version, i.Answered = e.site.version, e.site.answered
	return i, nil
}

// Envs names the environments in the order of the configuration.
func (c *Cluster) Envs() []string {
	names := make([]string, len(c.envs))
	for i, e := range c.envs {
		names[i] = e.name
	}
	return names
}

func (c *Cluster) env(name string) (env, error) {
	if i := slices.IndexFunc(c.envs, func(e env) bool { return e.name == name }); i >= 0 {
		return c.envs[i], nil
	}
	return env{}, errs.New(errs.NotFound, "There is no environment %s; there is %s.", quoted(name), strings.Join(c.Envs(), ", "))
}

// quoted makes a name that a person typed fit for a sentence.
func quoted(name string) string { return fmt.Sprintf("%q", foreign.Line(name, 64)) }
