// Package smoke asks an app after a rollout what people would ask of it: the configured URLs, many times, each request by
// its own connection and, where addresses are given, to each of them in turn. It implements deploys.Smoker.
//
// Nothing but the configured URLs is called. What comes back is bounded, and only its match is looked at.
package smoke

import (
	"context"
	"net/url"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// total bounds all smoke probes of one deploy. What was not sent by then has failed.
const total = 10 * time.Minute

// Probe is one configured smoke probe. All but URL, Statuses, Requests, Concurrency and Timeout may be empty.
type Probe struct {
	Envs               []string // where it is sent; empty: everywhere
	URL                *url.URL
	Method             string // empty: GET
	Statuses           []int
	Body               Match
	Headers            map[string]Match
	Requests           int
	Concurrency        int
	Allowed            int // failures that do not matter
	Timeout            time.Duration
	Interval           time.Duration // between the beginnings of two requests
	Addresses          []string      // host or host:port in place of the URL's; Host and TLS name stay the URL's
	PerNode            bool          // every node's address, in place of Addresses
	FollowRedirects    bool          // on the same host
	InsecureSkipVerify bool
}

// Match is what a text must hold. {sha} in it stands for the deployed tag. The zero Match fits everything.
type Match struct {
	Contains string
	Matches  string // a regular expression
}

// Node is a node and where it is reached.
type Node struct{ Name, Address string }

// Nodes tells where the nodes of the cluster behind an app are reached.
type Nodes interface {
	// NodeAddresses lists them by name, within a second. errs.Unavailable when they are not known.
	NodeAddresses(context.Context, deploys.App) ([]Node, error)
}

// Smoker sends smoke probes. Make it with New.
type Smoker struct {
	apps  map[string][]Probe
	nodes Nodes
}

var _ deploys.Smoker = (*Smoker)(nil)

// New makes a Smoker of the probes by app. nodes may be nil where no probe is PerNode.
func New(apps map[string][]Probe, nodes Nodes) *Smoker { return &Smoker{apps: apps, nodes: nodes} }

func (s *Smoker) probes(app deploys.App) (out []Probe) {
	for _, p := range s.apps[app.App] {
		if len(p.Envs) == 0 || slices.Contains(p.Envs, app.Env) {
			out = append(out, p)
		}
	}
	return out
}

// Probes implements deploys.Smoker.
func (s *Smoker) Probes(app deploys.App) (out []deploys.SmokeProbe) {
	for _, p := range s.probes(app) {
		out = append(out, deploys.SmokeProbe{URL: shown(p.URL), Requests: p.Requests, Allowed: p.Allowed, Version: p.wantsVersion()})
	}
	return out
}

// shown is an address as it may stand in sentences and in the audit log: a password and a query may be secrets.
func shown(u *url.URL) string {
	bare := *u
	if bare.RawQuery != "" {
		bare.RawQuery = "…"
	}
	return bare.Redacted()
}

// Smoke implements deploys.Smoker. One probe follows the other.
func (s *Smoker) Smoke(ctx context.Context, app deploys.App, from, to deploys.Version, each func(deploys.SmokeResult)) error {
	probes := s.probes(app)
	where := make([][]Node, len(probes))
	for i, p := range probes {
		var err error
		if where[i], err = s.where(ctx, app, p); err != nil {
			return err
		}
	}
	limited, cancel := context.WithTimeout(ctx, total)
	defer cancel()
	began, first := time.Now(), 0
	for i, p := range probes {
		a, err := newAsker(p, where[i], from, to)
		if err != nil {
			return err
		}
		a.all(limited, func(n int, r deploys.SmokeResult, sent time.Time) {
			if ctx.Err() == nil {
				r.N, r.Probe, r.After = first+n, i, sent.Sub(began)
				each(r)
			}
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		first += p.Requests
	}
	return nil
}

// where lists the addresses that requests are dealt to; one without an address means wherever the name leads.
func (s *Smoker) where(ctx context.Context, app deploys.App, p Probe) ([]Node, error) {
	switch {
	case !p.PerNode && len(p.Addresses) == 0:
		return []Node{{}}, nil
	case !p.PerNode:
		var out []Node
		for _, a := range p.Addresses {
			out = append(out, Node{Address: a})
		}
		return out, nil
	case s.nodes == nil:
		return nil, errs.New(errs.Unavailable, "The addresses of the nodes are not known here. List them as addresses of the smoke probe.")
	}
	nodes, err := s.nodes.NodeAddresses(ctx, app)
	if err == nil && len(nodes) == 0 {
		err = errs.New(errs.Unavailable, "No node of the cluster has an address.")
	}
	return nodes, err
}

// all sends every request of a probe, so many at a time, and gives each answer, one call at a time.
func (a *asker) all(ctx context.Context, each func(n int, r deploys.SmokeResult, sent time.Time)) {
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(a.Concurrency)
	for n := range a.Requests {
		if n > 0 && a.Interval > 0 {
			pause(ctx, a.Interval)
		}
		group.Go(func() error {
			sent := time.Now()
			r := a.ask(ctx, n)
			mu.Lock()
			defer mu.Unlock()
			each(n, r, sent)
			return nil
		})
	}
	_ = group.Wait() // no request gives an error
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
