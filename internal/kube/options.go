package kube

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"time"

	"k8s.io/client-go/rest"
)

// Options says which environments there are and which apps live in them.
type Options struct {
	Envs         []Env         // in the order they are shown; at least one
	Apps         []AppConfig   // empty: every Deployment whose image lives on RegistryHost is an app
	RegistryHost string        // "git.example.org"; needed without Apps
	Stability    time.Duration // default of deploys.App.Stability; 0: 10 s
	Limit        time.Duration // default of deploys.App.Limit; 0: 30 min
	Logger       *slog.Logger  // nil: silent
	Now          func() time.Time
}

// Env is one environment: a namespace of a cluster.
type Env struct {
	Name      string
	Namespace string
	Config    *rest.Config // environments with an equal one share connections and the readiness check
	Secrets   bool         // Surroundings may get the Secrets that pods refer to, for the names of their keys
}

// AppConfig describes one app. Only the name must be given.
type AppConfig struct {
	Name       string
	Envs       []string      // empty: every environment
	Repository string        // with host; empty: read from the Deployment
	Git        string        // "owner/name"; empty: the path of the repository
	Workload   string        // empty: the name
	Containers []string      // empty: those whose image comes from the repository
	Migrations []string      // as deploys.App has them
	Stability  time.Duration // 0: Options.Stability
	Limit      time.Duration // 0: Options.Limit
}

// New checks the options and makes the adapter. It contacts nobody: a cluster that cannot be reached is no error here
// or later, Ready tells of it. The error joins everything that is wrong with the options.
func New(o Options) (*Cluster, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Stability <= 0 {
		o.Stability = 10 * time.Second
	}
	if o.Limit <= 0 {
		o.Limit = 30 * time.Minute
	}
	if err := check(o); err != nil {
		return nil, fmt.Errorf("kube.New: %w", err)
	}
	c := &Cluster{apps: o.Apps, registry: o.RegistryHost, stability: o.Stability, limit: o.Limit, now: o.Now, log: o.Logger, bells: newBells()}
	for _, e := range o.Envs {
		s, err := c.site(e.Config)
		if err != nil {
			return nil, fmt.Errorf("kube.New: environment %q: %w", e.Name, err)
		}
		if !slices.Contains(s.namespaces, e.Namespace) {
			s.namespaces = append(s.namespaces, e.Namespace)
		}
		c.envs = append(c.envs, env{name: e.Name, namespace: e.Namespace, secrets: e.Secrets, site: s})
	}
	return c, nil
}

func check(o Options) error {
	var errs []error
	if len(o.Envs) == 0 {
		errs = append(errs, errors.New("no environment"))
	}
	if len(o.Apps) == 0 && o.RegistryHost == "" {
		errs = append(errs, errors.New("neither a list of apps nor a registry host to find them by"))
	}
	names := map[string]bool{}
	for i, e := range o.Envs {
		switch {
		case e.Name == "":
			errs = append(errs, fmt.Errorf("environment %d has no name", i+1))
		case names[e.Name]:
			errs = append(errs, fmt.Errorf("environment %q is there twice", e.Name))
		case e.Namespace == "":
			errs = append(errs, fmt.Errorf("environment %q has no namespace", e.Name))
		case e.Config == nil:
			errs = append(errs, fmt.Errorf("environment %q has no cluster", e.Name))
		}
		names[e.Name] = true
	}
	seen := map[string]bool{}
	for i, a := range o.Apps {
		switch {
		case a.Name == "":
			errs = append(errs, fmt.Errorf("app %d has no name", i+1))
		case seen[a.Name]:
			errs = append(errs, fmt.Errorf("app %q is there twice", a.Name))
		}
		seen[a.Name] = true
		for _, e := range a.Envs {
			if !names[e] {
				errs = append(errs, fmt.Errorf("app %q names the environment %q, which is not there", a.Name, e))
			}
		}
	}
	return errors.Join(errs...)
}

// site finds the cluster that a config speaks to among those known, or adds it.
func (c *Cluster) site(cfg *rest.Config) (*site, error) {
	for _, s := range c.sites {
		if s.config == cfg || reflect.DeepEqual(s.config, cfg) {
			return s, nil
		}
	}
	s, err := newSite(cfg, c.bells, c.now, c.log)
	if err != nil {
		return nil, err
	}
	c.sites = append(c.sites, s)
	return s, nil
}
