// Package portal puts the parts together. It is the only package that knows everybody.
package portal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"deployportal/internal/auth"
	"deployportal/internal/config"
	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/gitea"
	"deployportal/internal/kube"
	"deployportal/internal/preflight"
	"deployportal/internal/slack"
	"deployportal/internal/sqlite"
	"deployportal/internal/web"
)

// firstAccount is what the log and the sign-in page tell to run while there is no account.
const firstAccount = "portal user add --role admin NAME"

// ErrNoAccount is wrapped by New when it would have to listen on the network and nobody could sign in.
var ErrNoAccount = errors.New("no account")

// Portal is a serving portal. Make it with New.
type Portal struct {
	log      *slog.Logger
	store    *Store
	unlock   func() error
	listener net.Listener
	cluster  *kube.Cluster
	gitea    *gitea.Client
	hook     *gitea.Hook
	deploys  *deploys.Service
	slack    *slack.Door // nil: not configured
	web      *web.Server
}

// New takes the database's lock, opens and migrates it, and listens. It contacts neither the cluster nor Gitea: both
// may be away. errs.Conflict when another portal serves this database or the port is taken.
func New(ctx context.Context, cfg *config.Config, log *slog.Logger, version string) (*Portal, error) {
	p := &Portal{log: log}
	if err := p.open(ctx, cfg, version); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Portal) open(ctx context.Context, cfg *config.Config, version string) (err error) {
	if p.unlock, err = sqlite.Lock(cfg.Database); err != nil {
		return err
	}
	if p.store, err = OpenStore(ctx, cfg.Database, true); err != nil {
		return err
	}
	if err := p.mayListen(ctx, cfg.Listen); err != nil {
		return err
	}
	if p.cluster, err = newCluster(cfg, p.log); err != nil {
		return err
	}
	p.gitea, err = gitea.New(gitea.Options{URL: cfg.Gitea.URL, RegistryHost: cfg.Gitea.Registry, User: cfg.Gitea.User,
		Token: string(cfg.Gitea.Token), TagPattern: cfg.TagPattern, Logger: p.log})
	if err != nil {
		return err
	}
	p.hook = p.gitea.Hook(string(cfg.Gitea.WebhookSecret), p.cluster.Apps)
	tuning, err := checksOf(cfg)
	if err != nil {
		return err
	}
	checks := preflight.NewGatherer(p.cluster, p.gitea, p.gitea, deploys.NewPast(p.store.db), tuning)
	p.deploys = deploys.New(deploys.Options{DB: p.store.db, Cluster: p.cluster, Registry: p.gitea, Commits: p.gitea, Policy: auth.Policy{},
		Preflight: checks, Smoker: newSmoker(cfg, nodesOf{p.cluster}), Hold: holds(cfg), Tags: cfg.TagPattern, Log: p.log})
	slackHook, err := p.openSlack(cfg, checks)
	if err != nil {
		return err
	}
	p.web, err = web.New(web.Options{Deploys: p.deploys, Cluster: clusterView{p.cluster}, Catalog: p.gitea, Accounts: p.store.Accounts,
		Policy: auth.Policy{}, Store: p.store.db, Preflight: checks, GiteaHook: p.hook, Slack: p.slack != nil, SlackHook: slackHook, PublicURL: cfg.URL, TrustedProxies: cfg.Proxies, FirstAccount: firstAccount,
		Version: version, Log: p.log})
	if err != nil {
		return err
	}
	if p.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", cfg.Listen); err != nil {
		return errs.Wrap(err, errs.Conflict, "The portal cannot listen on %s: is the port taken?", cfg.Listen)
	}
	return nil
}

// checksOf gives each app's preflight checks as configured, or config.Problems with what names no check.
func checksOf(cfg *config.Config) (map[string]preflight.Tuning, error) {
	becomes := map[config.Finding]deploys.Finding{config.CheckWarn: deploys.Warn, config.CheckBlock: deploys.Block, config.CheckOff: ""}
	tuning, known := map[string]preflight.Tuning{}, preflight.Names()
	var problems config.Problems
	for i, a := range cfg.Apps {
		t := preflight.Tuning{Singleton: a.Singleton, Findings: map[string]deploys.Finding{}}
		for _, name := range slices.Sorted(maps.Keys(a.Checks)) {
			if !slices.Contains(known, name) {
				problems = append(problems, fmt.Sprintf("apps[%d].checks: there is no check %q; there are %s.", i, name, strings.Join(known, ", ")))
			}
			t.Findings[name] = becomes[a.Checks[name]]
		}
		tuning[a.Name] = t
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return tuning, nil
}

// holds lists the environments in which a failure is left to people.
func holds(cfg *config.Config) (envs []string) {
	for _, e := range cfg.Environments {
		if e.AutoRollback == config.Hold {
			envs = append(envs, e.Name)
		}
	}
	return envs
}

// mayListen refuses to open a portal to the network that nobody has an account for: whoever came first would be told
// how to make one.
func (p *Portal) mayListen(ctx context.Context, listen string) error {
	any, err := p.store.Accounts.Any(ctx)
	if err != nil || any {
		return err
	}
	host, _, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && (host == "localhost" || ip != nil && ip.IsLoopback()) {
		p.log.Warn("There is no account yet. Add one: " + firstAccount)
		return nil
	}
	return errs.Wrap(ErrNoAccount, errs.Invalid, "There is no account yet, so the portal does not listen on %s. Add one first: %s", listen, firstAccount)
}

func newCluster(cfg *config.Config, log *slog.Logger) (*kube.Cluster, error) {
	o := kube.Options{RegistryHost: cfg.Gitea.Registry, Stability: cfg.Stability.Duration, Limit: cfg.Limit.Duration, Logger: log}
	var problems config.Problems
	for _, e := range cfg.Environments {
		rc, err := restConfig(e)
		if err != nil {
			problems = append(problems, fmt.Sprintf("environment %s: %s", e.Name, err))
		}
		o.Envs = append(o.Envs, kube.Env{Name: e.Name, Namespace: e.Namespace, Config: rc, Secrets: e.ReadSecrets})
	}
	if len(problems) > 0 {
		return nil, problems
	}
	for _, a := range cfg.Apps {
		app := kube.AppConfig{Name: a.Name, Envs: a.Environments, Git: a.Git, Workload: a.Workload, Containers: a.Containers,
			Migrations: a.Migrations, Stability: a.Stability.Duration, Limit: a.Limit.Duration}
		if a.Image != "" {
			app.Repository = cfg.Gitea.Registry + "/" + a.Image
		}
		o.Apps = append(o.Apps, app)
	}
	return kube.New(o)
}

func restConfig(e config.Environment) (*rest.Config, error) {
	if e.Kubeconfig == "" {
		rc, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("the portal does not run in a cluster (%w); name a kubeconfig", err)
		}
		return rc, nil
	}
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: e.Kubeconfig}
	rc, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: e.Context}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("%s cannot be used: %w", e.Kubeconfig, err)
	}
	return rc, nil
}

// Addr is where the portal listens.
func (p *Portal) Addr() net.Addr { return p.listener.Addr() }

// Run serves until ctx ends, a part fails or the database can no longer be written, then stops in order: doors, runners
// (what they watch is taken up at the next start), background readers. Close is the caller's.
func (p *Portal) Run(ctx context.Context) error {
	readers, stopReaders := context.WithCancel(context.WithoutCancel(ctx))
	runners, stopRunners := context.WithCancel(readers)
	defer stopReaders()
	defer stopRunners()

	background, readers := errgroup.WithContext(readers)
	background.Go(func() error { return p.cluster.Run(readers) })
	background.Go(func() error {
		p.gitea.Run(readers, p.cluster.Apps)
		return nil
	})
	background.Go(func() error {
		p.hook.Run(readers)
		return nil
	})
	background.Go(func() error { return p.store.Accounts.Run(readers) })

	doors, front := errgroup.WithContext(ctx)
	watched := make(chan error, 1)
	go func() { watched <- p.deploys.Run(runners) }()
	doors.Go(func() error { return p.web.Serve(front, p.listener) })
	if p.slack != nil {
		doors.Go(func() error { return p.slack.Run(front) })
	}
	doors.Go(func() error { return p.store.db.Broken(front) }) // whoever starts it again has deploys resumed
	doors.Go(func() error {
		select {
		case <-readers.Done(): // a reader failed
			return context.Cause(readers)
		case err := <-watched:
			watched <- err
			return err
		case <-front.Done():
			return nil
		}
	})
	p.log.Info("serving", "addr", p.Addr().String())
	err := doors.Wait()
	stopRunners()
	err = errors.Join(err, <-watched)
	stopReaders()
	return errors.Join(err, ignoreCanceled(background.Wait()))
}

func ignoreCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Close frees the port, the database and its lock, as far as New got.
func (p *Portal) Close() error {
	var failed []error
	if p.listener != nil {
		if err := p.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			failed = append(failed, err)
		}
	}
	if p.store != nil {
		failed = append(failed, p.store.Close())
	}
	if p.unlock != nil {
		failed = append(failed, p.unlock())
	}
	return errors.Join(failed...)
}

// clusterView is the cluster as the pages see it.
type clusterView struct{ *kube.Cluster }

// Info implements web.Cluster.
func (c clusterView) Info(env string) (web.EnvInfo, error) {
	info, err := c.Cluster.Info(env)
	return web.EnvInfo(info), err
}
