package web

import (
	"context"
	"time"

	"deployportal/internal/auth"
	"deployportal/internal/deploys"
	"deployportal/internal/sqlite"
)

// Deploys is what the pages need of the domain; *deploys.Service implements it.
type Deploys interface {
	Running() bool
	CheckImage(image string) error
	Start(context.Context, deploys.Request) (deploys.Deploy, error)
	Get(ctx context.Context, id int64) (deploys.Deploy, error)
	Events(ctx context.Context, id, after int64) ([]deploys.Event, error)
	History(ctx context.Context, t deploys.Target, before int64, limit int) ([]deploys.Deploy, error)
	Active(context.Context) (map[deploys.Target]deploys.Deploy, error)
	Latest(context.Context) (map[deploys.Target]deploys.Deploy, error)
	LastGood(context.Context, deploys.Deploy) (deploys.ReturnTo, deploys.Version, bool, error)
	LatestChanges(context.Context) (map[deploys.Target]deploys.OutsideChange, error)
	Changes(ctx context.Context, t deploys.Target, after, before int64, limit int) ([]deploys.OutsideChange, error)
	WayBack(ctx context.Context, t deploys.Target, running deploys.Version) (deploys.ReturnTo, deploys.Version, error)
	Landed(context.Context, deploys.Deploy) (deploys.OutsideChange, bool, error)
	KnownGood(context.Context, deploys.Target) (deploys.ReturnTo, deploys.Version, bool, error)
	RanAt(context.Context, time.Time) ([]deploys.Ran, error)
	Brought(ctx context.Context, envs []string, word string, limit int) ([]deploys.Brought, error)
	Answers(context.Context, deploys.Deploy) ([]deploys.Deploy, error)
	WhyBad(ctx context.Context, t deploys.Target, running deploys.Version) (string, error)
	RanWell(context.Context, deploys.Target, deploys.ReturnTo) (from, to time.Time, err error)
	Lock(context.Context, deploys.LockRequest) (deploys.Lock, error)
	Unlock(ctx context.Context, by auth.Actor, id int64) error
	Locks(context.Context) ([]deploys.Lock, error)
	MayUnlock(by auth.Actor, l deploys.Lock) bool
	BadImages(context.Context) ([]deploys.BadImage, error)
	Marks(context.Context) (deploys.Marks, error)
	ClearImage(ctx context.Context, by auth.Actor, id int64) (deploys.BadImage, error)
	Listen(id int64) (bell <-chan struct{}, stop func())
}

// Cluster is what the pages show of the clusters. Every method answers from memory.
type Cluster interface {
	Envs() []string // in the order of the configuration
	Info(env string) (EnvInfo, error)
	Gaps(env string) []string // permissions that are missing, in sentences
	Apps() []deploys.App
	App(deploys.Target) (deploys.App, error)
	Rollout(deploys.Target) (deploys.Rollout, error)
	Watch(deploys.Target) (bell <-chan struct{}, stop func())
	Differences(t deploys.Target, before, after string) []string
	Reused(t deploys.Target, v deploys.Version) (replicaSet string, ok bool)
	WatchAll() (bell <-chan struct{}, stop func())
}

// EnvInfo describes the cluster behind an environment.
type EnvInfo struct {
	Env        string
	Namespace  string
	Version    string    // of the API server; empty before it was read
	Answered   time.Time // when it last answered; zero: never
	StaleSince time.Time // zero while the view can be trusted
	StaleWhy   string
}

// Catalog is what the pages show of images and commits. Cached, CachedCommit, About and Gone answer from memory; Images
// never fails but gives a list with an error; Ask and AskGone begin to look up what About and Gone tell, for everybody,
// and never wait; the others may ask Gitea and take seconds.
type Catalog interface {
	Images(context.Context, deploys.App) deploys.List
	Cached(deploys.App) deploys.List
	Ask(app deploys.App, running string) (done <-chan struct{})
	About(app deploys.App, running string) deploys.About
	AskGone(deploys.Version) (done <-chan struct{})
	Gone(deploys.Version) bool
	Commit(ctx context.Context, git, sha string) (deploys.Commit, error)
	CachedCommit(git, tagOrSHA string) (deploys.Commit, bool)
	Range(ctx context.Context, git, from, to string) (deploys.Range, error)
	Migrations(ctx context.Context, git, from, to string, patterns ...string) (deploys.Migrations, error)
	Resolve(ctx context.Context, repository, ref string) (deploys.Image, error)
	Watch() (bell <-chan struct{}, stop func())
}

// Preflight says what a deploy would meet; preflight.Gatherer implements it.
type Preflight interface {
	Checks(context.Context, deploys.Plan) []deploys.Check
}

// Accounts signs people in and knows their sessions; *auth.Accounts implements it.
type Accounts interface {
	Any(context.Context) (bool, error)
	SignIn(ctx context.Context, name, password, addr, userAgent, requestID string) (token string, err error)
	SignOut(context.Context, auth.Session) error
	Session(ctx context.Context, token string) (auth.Session, error)
	Check(ctx context.Context, id int64) (auth.Session, error)
	Sessions(ctx context.Context, accountID int64) ([]auth.Session, error)
	ChangePassword(ctx context.Context, s auth.Session, old, new string) (token string, err error)
	List(context.Context) ([]auth.Account, error)
	SetGrants(ctx context.Context, by auth.Actor, name string, grants []auth.Grant) error
	Disable(ctx context.Context, by auth.Actor, name string) error
	Enable(ctx context.Context, by auth.Actor, name string) error
	LinkCode(context.Context, auth.Session) (code string, until time.Time, err error)
	SlackLinks(context.Context) ([]auth.SlackLink, error)
	UnlinkAccount(ctx context.Context, by auth.Actor, name string) error
}

// Policy decides who may do what; auth.Policy implements it.
type Policy interface {
	Allow(actor auth.Actor, action auth.Action, env string) error
}

// Store is the database, for what the pages read of the audit log and the one entry they write; *sqlite.DB implements it.
type Store interface {
	sqlite.Querier
	Write(context.Context, func(*sqlite.Tx) error) error
}
