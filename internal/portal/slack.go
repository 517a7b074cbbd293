package portal

import (
	"log/slog"
	"net/http"
	"slices"

	"deployportal/internal/auth"
	"deployportal/internal/config"
	"deployportal/internal/deploys"
	"deployportal/internal/gitea"
	"deployportal/internal/kube"
	"deployportal/internal/preflight"
	"deployportal/internal/slack"
)

// SlackManifest gives the manifest of the Slack app that goes with a configuration, for Socket Mode or for HTTP. errs.Invalid
// when Slack could not reach the portal.
func SlackManifest(cfg *config.Config, socket bool) ([]byte, error) {
	return slack.Manifest(cfg.URL, socket)
}

// slackNeeds are the parts that the door in Slack works with.
type slackNeeds struct {
	deploys *deploys.Service
	cluster *kube.Cluster
	gitea   *gitea.Client
	checks  *preflight.Gatherer
	store   *Store
	log     *slog.Logger
}

// slackOptions gives what the door in Slack is made of. The portal's own secrets are masked in log lines as well as those
// that the configuration names.
func slackOptions(cfg *config.Config, n slackNeeds) slack.Options {
	s := cfg.Slack
	o := slack.Options{Deploys: n.deploys, Cluster: n.cluster, Catalog: n.gitea, Preflight: n.checks, People: n.store.Accounts,
		Policy: auth.Policy{}, DB: n.store.db, Team: s.Team, App: s.App, SigningSecret: string(s.SigningSecret), AppToken: string(s.AppToken),
		BotToken: string(s.BotToken), PublicURL: cfg.URL, APIURL: s.APIURL, Log: n.log}
	for _, e := range cfg.Environments {
		o.Envs = append(o.Envs, slack.Env{Name: e.Name, Channel: e.Slack.Channel, Confirm: e.Slack.Confirm, Logs: e.Slack.Logs})
	}
	for _, secret := range slices.Concat(s.Masks, []config.Secret{cfg.Gitea.Token, cfg.Gitea.WebhookSecret, s.SigningSecret, s.BotToken, s.AppToken}) {
		if secret != "" {
			o.Secrets = append(o.Secrets, string(secret))
		}
	}
	return o
}

// openSlack makes the door in Slack where one is configured, and what takes its requests where they come over HTTP.
func (p *Portal) openSlack(cfg *config.Config, checks *preflight.Gatherer) (hook http.Handler, err error) {
	if cfg.Slack == nil {
		return nil, nil
	}
	p.slack, err = slack.New(slackOptions(cfg, slackNeeds{deploys: p.deploys, cluster: p.cluster, gitea: p.gitea, checks: checks, store: p.store, log: p.log}))
	if err != nil || cfg.Slack.SigningSecret == "" {
		return nil, err
	}
	return p.slack, nil
}
