package stack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// What Options.Gitea may be.
const (
	GiteaReal = "real" // a real Gitea beside the cluster
	GiteaOnly = "only" // a real Gitea and no cluster
)

// GiteaInfo is what devstack.json says of a real Gitea. Everything in it is of this machine only.
type GiteaInfo struct {
	URL     string `json:"url"`   // "http://127.0.0.1:PORT"
	Host    string `json:"host"`  // as it stands in image strings
	Owner   string `json:"owner"` // the organisation with the sample repositories and images
	Version string `json:"version"`

	giteaSeed
}

// giteaSeed is what the sample data holds; it is made once and copied by every start.
type giteaSeed struct {
	User  string `json:"user"`  // for the portal: may read images and repositories, no more
	Token string `json:"token"` // of User

	Admin         string `json:"admin"`
	AdminPassword string `json:"adminPassword"`
	AdminToken    string `json:"adminToken"`

	People        map[string]string `json:"people"`        // name -> password of those who may sign in
	WebhookURL    string            `json:"webhookURL"`    // where Owner's package events go
	WebhookSecret string            `json:"webhookSecret"` // what they are signed with
	OAuth2        giteaOAuth2       `json:"oauth2"`
	Apps          []giteaApp        `json:"apps"`

	InternalToken string `json:"internalToken"` // Gitea's own: between it and the hooks of its git repositories
	SecretKey     string `json:"secretKey"`     // Gitea's own: for what it stores encrypted
	JWTSecret     string `json:"jwtSecret"`     // Gitea's own: for the tokens it gives
}

// giteaOAuth2 is the application people sign in to the portal with.
type giteaOAuth2 struct {
	ClientID     string   `json:"clientID"`
	ClientSecret string   `json:"clientSecret"`
	RedirectURIs []string `json:"redirectURIs"`
}

// giteaApp is one app of the sample data.
type giteaApp struct {
	Name    string            `json:"name"`
	Image   string            `json:"image"` // "acme/api"
	Git     string            `json:"git"`
	Tags    []string          `json:"tags"`    // newest push first
	Digests map[string]string `json:"digests"` // of each tag
	Failing string            `json:"failing,omitempty"`
	Slow    string            `json:"slow,omitempty"`
}

// gitea is a Gitea that is being started or runs.
type gitea struct {
	home    giteaHome
	port    int
	process *process
}

// giteaConfig is the whole of app.ini: what Gitea would otherwise do at start, at night or over the network is off.
const giteaConfig = `RUN_MODE = prod
WORK_PATH = %[1]s
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = %[2]d
ROOT_URL = http://127.0.0.1:%[2]d/
STATIC_ROOT_PATH = %[1]s/static
DISABLE_SSH = true
OFFLINE_MODE = true
[database]
DB_TYPE = sqlite3
PATH = %[1]s/data/gitea.db
SQLITE_JOURNAL_MODE = WAL
[repository]
ROOT = %[1]s/data/repositories
[security]
INSTALL_LOCK = true
INTERNAL_TOKEN = %[3]s
SECRET_KEY = %[4]s
[oauth2]
ENABLED = true
JWT_SECRET = %[5]s
[service]
DISABLE_REGISTRATION = true
[packages]
ENABLED = true
[webhook]
ALLOWED_HOST_LIST = loopback
[actions]
ENABLED = false
[indexer]
ISSUE_INDEXER_TYPE = db
[queue]
TYPE = channel
[session]
PROVIDER = memory
[cron.update_checker]
ENABLED = false
[i18n]
LANGS = en-US
NAMES = English
[log]
LEVEL = Warn
`

func (g *gitea) configure(seed giteaSeed) error {
	text := fmt.Sprintf(giteaConfig, filepath.ToSlash(g.home.dir), g.port, seed.InternalToken, seed.SecretKey, seed.JWTSecret)
	path := g.home.path("app.ini")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write Gitea's configuration: %w", err)
	}
	return g.home.who.own(path)
}

// giteaStatic lists what a Gitea needs of its module beside the binary. Translations but one stay behind: they are
// most of it.
func giteaStatic(module string) []string {
	pairs := []string{}
	for _, name := range []string{
		"templates", "public", "options/fileicon", "options/gitignore", "options/label", "options/license", "options/readme",
		"options/locale/locale_en-US.json",
	} {
		pairs = append(pairs, filepath.Join(module, filepath.FromSlash(name)), filepath.Join("static", filepath.FromSlash(name)))
	}
	return pairs
}

// run starts the program in a home that is ready, and returns when it answers.
func (g *gitea) run(ctx context.Context, l *launcher, logs string) error {
	var err error
	g.process, err = l.startIn(g.home.dir, g.home.who.apply(childAttr()), "gitea", logs, g.home.env(), g.home.argv("web")...)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("no answer of Gitea within a minute"))
	defer cancel()
	return pollLast(ctx, 20*time.Millisecond, func() error {
		select {
		case <-g.process.done:
			cancel()
			return g.process.ended()
		default:
			return g.healthy(ctx)
		}
	})
}

func (g *gitea) healthy(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.url()+"/api/healthz", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("answer of Gitea: %s", res.Status)
	}
	return nil
}

func (g *gitea) url() string { return fmt.Sprintf("http://127.0.0.1:%d", g.port) }

// startGitea brings up a Gitea with the sample data, a copy of what the first start has made.
func (s *Stack) startGitea(ctx context.Context, source, cache, state string, progress *Progress) error {
	b, version, module, err := giteaBinary(source)
	if err != nil {
		return err
	}
	binary, err := b.ensure(ctx, source, cache, progress)
	if err != nil {
		return err
	}
	sample, err := giteaSample{source: source, binary: binary, module: module}.ensure(ctx, progress)
	if err != nil {
		return err
	}
	end := progress.Step("starting " + b.what)
	err = s.copyGitea(ctx, binary, sample, state, version)
	end(err)
	return err
}

func (s *Stack) copyGitea(ctx context.Context, binary, sample, state, version string) error {
	seed, err := readSeed(sample)
	if err != nil {
		return err
	}
	home, err := newGiteaHome(state)
	if err != nil {
		return err
	}
	s.gitea = &gitea{home: home}
	if err := home.fill(binary, "gitea", filepath.Join(sample, "home"), "."); err != nil {
		return err
	}
	if s.gitea.port, err = freeTCPPort(ctx); err != nil {
		return err
	}
	if err := s.gitea.configure(seed); err != nil {
		return err
	}
	logs := filepath.Join(state, "logs")
	if err := os.MkdirAll(logs, 0o700); err != nil {
		return err
	}
	if err := s.gitea.run(ctx, s.launcher, logs); err != nil {
		return fmt.Errorf("start Gitea: %w", err)
	}
	s.info.Gitea = &GiteaInfo{
		URL: s.gitea.url(), Host: fmt.Sprintf("127.0.0.1:%d", s.gitea.port), Owner: giteaOwner,
		Version: strings.TrimPrefix(version, "v"), giteaSeed: seed,
	}
	go func() {
		<-s.gitea.process.done
		s.componentEnded(s.gitea.process)
	}()
	return nil
}

// stop ends the program; with a grace it may write down what it has in memory.
func (g *gitea) stop(grace time.Duration) {
	if g == nil {
		return
	}
	if g.process != nil {
		g.process.signal(syscall.SIGTERM)
		g.process.waitGone(grace)
	}
}
