// Package slack is the front door for people in a channel: `/deploy api abc123`, and one message that follows the rollout.
//
// A command is answered with an ephemeral plan; its button asks for the deploy, by the same deploys.Request and the same
// Service.Start as every door. What Slack sends comes over HTTP, signed, or over a WebSocket (Socket Mode); behind both is
// one Door. The Announcer is a reader of deploys like any stream: it keeps one message a deploy true, across restarts.
package slack

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"deployportal/internal/auth"
	"deployportal/internal/deploys"
	"deployportal/internal/sqlite"
)

// Options are what the front door is made of. Deploys, Cluster, Catalog, People, Policy, DB, Team, App, BotToken and one of
// SigningSecret and AppToken are needed.
type Options struct {
	Deploys   Deploys
	Cluster   Cluster
	Catalog   Catalog
	Preflight Preflight // nil: nothing is checked beforehand
	People    People
	Policy    Policy
	DB        *sqlite.DB

	Team, App     string // the only workspace ("T...") and the only app ("A...") that are listened to
	SigningSecret string // empty: nothing is taken over HTTP
	AppToken      string // "xapp-..."; empty: no Socket Mode
	BotToken      string // "xoxb-..."
	Envs          []Env
	PublicURL     string   // of the portal, for links; empty: no links
	Secrets       []string // what is masked wherever a log line goes to Slack

	APIURL string           // of Slack; empty: https://slack.com/api/
	Client *http.Client     // nil: one with bounded times
	Log    *slog.Logger     // nil: slog.Default
	Now    func() time.Time // nil: time.Now
}

// Env is what the configuration says of an environment.
type Env struct {
	Name    string
	Channel string // "C...": where deploys are announced that were not asked for in Slack; empty: nowhere
	Confirm bool   // ask once more before a button acts
	Logs    bool   // the last log lines of a failure may go to Slack
}

// Deploys is what the front door needs of the domain; *deploys.Service implements it.
type Deploys interface {
	CheckImage(image string) error
	Start(context.Context, deploys.Request) (deploys.Deploy, error)
	Get(ctx context.Context, id int64) (deploys.Deploy, error)
	Events(ctx context.Context, id, after int64) ([]deploys.Event, error)
	After(ctx context.Context, id int64, limit int) ([]deploys.Deploy, error)
	History(ctx context.Context, t deploys.Target, before int64, limit int) ([]deploys.Deploy, error)
	Active(context.Context) (map[deploys.Target]deploys.Deploy, error)
	Latest(context.Context) (map[deploys.Target]deploys.Deploy, error)
	LastGood(context.Context, deploys.Deploy) (deploys.ReturnTo, deploys.Version, bool, error)
	LatestChanges(context.Context) (map[deploys.Target]deploys.OutsideChange, error)
	WayBack(ctx context.Context, t deploys.Target, running deploys.Version) (deploys.ReturnTo, deploys.Version, error)
	BackBefore(context.Context, deploys.Deploy) (deploys.ReturnTo, deploys.Version, error)
	Answers(context.Context, deploys.Deploy) ([]deploys.Deploy, error)
	WhyBad(ctx context.Context, t deploys.Target, running deploys.Version) (string, error)
	Lock(context.Context, deploys.LockRequest) (deploys.Lock, error)
	Unlock(ctx context.Context, by auth.Actor, id int64) error
	Locks(context.Context) ([]deploys.Lock, error)
	Marks(context.Context) (deploys.Marks, error)
	Listen(id int64) (bell <-chan struct{}, stop func())
}

// Cluster answers from memory.
type Cluster interface {
	Apps() []deploys.App
	App(deploys.Target) (deploys.App, error)
	Rollout(deploys.Target) (deploys.Rollout, error)
}

// Catalog is what plans show of images and commits. Cached, CachedCommit and About answer from memory; Ask begins to look
// up what About tells, for everybody, and never waits; the others may ask Gitea and take seconds.
type Catalog interface {
	Images(context.Context, deploys.App) deploys.List
	Cached(deploys.App) deploys.List
	Ask(app deploys.App, running string) (done <-chan struct{})
	About(app deploys.App, running string) deploys.About
	CachedCommit(git, tagOrSHA string) (deploys.Commit, bool)
	Commit(ctx context.Context, git, sha string) (deploys.Commit, error)
	Range(ctx context.Context, git, from, to string) (deploys.Range, error)
	Resolve(ctx context.Context, repository, ref string) (deploys.Image, error)
}

// Preflight says what a deploy would meet; preflight.Gatherer implements it.
type Preflight interface {
	Checks(context.Context, deploys.Plan) []deploys.Check
}

// Policy decides who may do what; auth.Policy implements it.
type Policy interface {
	Allow(actor auth.Actor, action auth.Action, env string) error
}

// People knows who somebody in Slack is; *auth.Accounts implements it.
type People interface {
	// SlackActor gives the account that a Slack user is linked to, with the grants of now. errs.Unauthenticated, with a
	// sentence that says how to link, when there is none or its account is disabled.
	SlackActor(ctx context.Context, who auth.SlackUser) (auth.Actor, error)
	// RedeemLink links a Slack user to the account that was shown the code. errs.Invalid: no such code, used, or too old;
	// errs.Conflict: the Slack user or the account is linked already.
	RedeemLink(ctx context.Context, code string, who auth.SlackUser, requestID string) (auth.SlackLink, error)
	// Unlink ends the link of a Slack user, asked for in Slack by that user.
	UnlinkSlack(ctx context.Context, who auth.SlackUser, requestID string) error
	// RefuseSlack records what somebody in Slack was refused who is no actor: what was asked, and the sentence.
	RefuseSlack(ctx context.Context, who auth.SlackUser, asked, sentence, requestID string) error
}
