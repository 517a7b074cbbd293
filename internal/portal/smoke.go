package portal

import (
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"deployportal/internal/config"
	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/smoke"
)

// newSmoker makes the prober of what is configured. nodes may be nil: then nothing is sent to every node.
func newSmoker(cfg *config.Config, nodes smoke.Nodes) *smoke.Smoker {
	apps := map[string][]smoke.Probe{}
	for _, a := range cfg.Apps {
		for _, s := range a.Smoke {
			p := smoke.Probe{Envs: s.Environments, URL: s.Target, Method: s.Method, Statuses: s.Status, Body: smoke.Match(s.Body),
				Headers: map[string]smoke.Match{}, Requests: s.Requests, Concurrency: s.Concurrency, Allowed: s.AllowedFailures,
				Timeout: s.Timeout.Duration, Interval: s.Interval.Duration, Addresses: s.Addresses, PerNode: s.PerNode,
				FollowRedirects: s.FollowRedirects, InsecureSkipVerify: s.InsecureSkipVerify}
			for name, m := range s.Headers {
				p.Headers[name] = smoke.Match(m)
			}
			apps[a.Name] = append(apps[a.Name], p)
		}
	}
	return smoke.New(apps, nodes)
}

// nodesOf tells smoke probes where the nodes are.
type nodesOf struct {
	cluster interface {
		Surroundings(context.Context, deploys.Target) deploys.Surroundings
	}
}

// NodeAddresses implements smoke.Nodes.
func (n nodesOf) NodeAddresses(ctx context.Context, app deploys.App) (nodes []smoke.Node, err error) {
	around := n.cluster.Surroundings(ctx, app.Target)
	for _, part := range []string{deploys.PartWorkload, deploys.PartNodes} {
		if why := around.Unseen[part]; why != "" {
			return nil, errs.New(errs.Unavailable, "The addresses of the nodes are not known. %s", why)
		}
	}
	for _, node := range around.Nodes {
		if node.Address != "" {
			nodes = append(nodes, smoke.Node{Name: node.Name, Address: node.Address})
		}
	}
	return nodes, nil
}

// shownFailures is how many failed requests the command lists.
const shownFailures = 20

// Smoke sends an app's smoke probes as they are configured and prints what came of them. sha stands for {sha} in them. It
// needs neither database nor cluster. errs.NotFound when there is no such app, errs.Invalid when it has no smoke probes
// there or they need a sha, errs.Unavailable when it is not known where to send them.
func Smoke(ctx context.Context, cfg *config.Config, app, env, sha string, out io.Writer) (passed bool, err error) {
	i := slices.IndexFunc(cfg.Apps, func(a config.App) bool {
		return a.Name == app && (len(a.Environments) == 0 || slices.Contains(a.Environments, env))
	})
	if i < 0 || !slices.ContainsFunc(cfg.Environments, func(e config.Environment) bool { return e.Name == env }) {
		return false, errs.New(errs.NotFound, "The configuration has no app %s in %s.", app, env)
	}
	target, smoker := deploys.App{Target: deploys.Target{App: app, Env: env}}, newSmoker(cfg, nil)
	s := deploys.Smoke{Probes: smoker.Probes(target)}
	switch {
	case len(s.Probes) == 0:
		return false, errs.New(errs.Invalid, "The configuration has no smoke probes of %s.", target.Target)
	case sha == "" && slices.ContainsFunc(s.Probes, func(p deploys.SmokeProbe) bool { return p.Version }):
		return false, errs.New(errs.Invalid, "The smoke probes of %s ask which version answers: say which it should be with --sha.", target.Target)
	}
	to := deploys.Version{Tag: sha}
	if err := smoker.Smoke(ctx, target, deploys.Version{}, to, func(r deploys.SmokeResult) { s.Results = append(s.Results, r) }); err != nil {
		return false, err
	}
	return s.Cause() == nil, printSmoke(out, s, to)
}

func printSmoke(out io.Writer, s deploys.Smoke, to deploys.Version) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) } // Flush gives the error
	row("URL\tADDRESS\tANSWERED\tP50\tP99\tFAULT")
	for _, t := range s.ByAddress() {
		address := t.Address
		if address == "" {
			address = "-"
		}
		row("%s\t%s\t%d of %d\t%s\t%s\t%s", s.Probes[t.Probe].URL, address, t.Good, t.Asked, t.P50.Round(time.Millisecond/10), t.P99.Round(time.Millisecond/10), t.Fault)
	}
	failures := 0
	for _, r := range s.Results {
		if r.Fault == "" {
			continue
		}
		if failures++; failures == 1 {
			row("\nFAILED\tADDRESS\tAFTER\tFAULT")
		}
		if failures <= shownFailures {
			row("#%d\t%s\t%s\t%s", r.N+1, r.Address, r.Took.Round(time.Millisecond/10), r.Fault)
		}
	}
	if failures > shownFailures {
		row("and %d more", failures-shownFailures)
	}
	row("")
	if c := s.Cause(); c != nil {
		row("%s: %s %s", c.Title, c.Sentence, c.Advice)
	} else {
		row("%s.", s.Note(to))
	}
	return w.Flush()
}
