// Package config reads what the portal needs to know: one YAML file, a few environment variables over it, secrets from
// files of their own. Everything that is wrong is reported together.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// Config is the whole configuration, checked.
type Config struct {
	Listen         string        `json:"listen"`          // host:port; loopback unless said otherwise
	URL            string        `json:"url"`             // as people open it; empty: what the browser asked for
	Database       string        `json:"database"`        // path of the SQLite file
	TrustedProxies []string      `json:"trusted_proxies"` // networks whose X-Forwarded-For is believed
	Gitea          Gitea         `json:"gitea"`
	Tags           string        `json:"tags"` // regular expression of tags that may be deployed
	Environments   []Environment `json:"environments"`
	Apps           []App         `json:"apps"`
	Stability      Duration      `json:"stability"`
	Limit          Duration      `json:"limit"`
	Slack          *Slack        `json:"slack"` // nil: the portal has no door there

	Proxies    []netip.Prefix `json:"-"` // TrustedProxies, parsed
	TagPattern *regexp.Regexp `json:"-"` // Tags, compiled
}

// Gitea says where images and commits are.
type Gitea struct {
	URL       string `json:"url"`
	Registry  string `json:"registry"` // host as it stands in image names; empty: the host of URL
	User      string `json:"user"`
	TokenFile string `json:"token_file"`
	// WebhookSecretFile holds the secret that Gitea signs its package events with; empty: none are taken.
	WebhookSecretFile string `json:"webhook_secret_file"`

	Token         Secret `json:"-"` // what TokenFile holds
	WebhookSecret Secret `json:"-"` // what WebhookSecretFile holds
}

// Environment is a namespace of a cluster under the name people use.
type Environment struct {
	Name       string `json:"name"`
	Namespace  string `json:"namespace"`
	Kubeconfig string `json:"kubeconfig"` // empty: the ServiceAccount of the pod the portal runs in
	Context    string `json:"context"`    // empty: the kubeconfig's current one
	// AutoRollback says what follows a deploy that failed: "rollback" (also when empty) or "hold", which leaves it to a person.
	AutoRollback string `json:"auto_rollback"`
	// ReadSecrets has the portal get the Secrets that pods refer to, for the names of their keys. It needs the right.
	ReadSecrets bool     `json:"read_secrets"`
	Slack       EnvSlack `json:"slack"`
}

// What AutoRollback may be.
const (
	Rollback = "rollback"
	Hold     = "hold"
)

// App is one deployable thing. Only its name must be given.
type App struct {
	Name         string   `json:"name"`
	Image        string   `json:"image"` // "owner/name" in the registry; empty: what the Deployment uses
	Git          string   `json:"git"`   // "owner/name" of the git repository; empty: as Image
	Environments []string `json:"environments"`
	Workload     string   `json:"workload"`
	Containers   []string `json:"containers"` // init containers too
	Migrations   []string `json:"migrations"` // files that mean migrations, as gitea.Client.Migrations takes them; empty: the usual ones
	Stability    Duration `json:"stability"`
	Limit        Duration `json:"limit"`
	Smoke        []Smoke  `json:"smoke"` // asked after a rollout
	// Singleton says that two pods of it may never run at once.
	Singleton bool `json:"singleton"`
	// Checks says of preflight checks, by name, what they come to where they find something: "warn", "block", or "off".
	Checks map[string]Finding `json:"checks"`
}

// Finding is what a check comes to where it finds something.
type Finding string

// What a check may be set to.
const (
	CheckWarn  Finding = "warn"
	CheckBlock Finding = "block"
	CheckOff   Finding = "off"
)

// UnmarshalJSON implements json.Unmarshaler. To YAML a bare off is the word for false.
func (f *Finding) UnmarshalJSON(b []byte) error {
	*f = Finding(strings.Trim(string(b), `"`))
	if *f == "false" {
		*f = CheckOff
	}
	return nil
}

// Duration is written like "90s" or "10m".
type Duration struct{ time.Duration }

// UnmarshalJSON implements json.Unmarshaler.
func (d *Duration) UnmarshalJSON(b []byte) (err error) {
	s := strings.Trim(string(b), `"`)
	if s == "null" || s == "" {
		return nil
	}
	d.Duration, err = time.ParseDuration(s)
	return err
}

// Secret is never printed, logged or written as JSON.
type Secret string

const redacted = "(secret)"

// String hides the secret.
func (Secret) String() string { return redacted }

// GoString hides the secret from %#v.
func (Secret) GoString() string { return redacted }

// MarshalJSON hides the secret.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// Problems are all that is wrong with a configuration, a sentence each.
type Problems []string

// Error lists them, a line each.
func (p Problems) Error() string { return strings.Join(p, "\n") }

// Load reads the file at path, lays environment variables over it and checks the whole. The error is Problems when the
// configuration is wrong. getenv is os.Getenv.
func Load(path string, getenv func(string) string) (*Config, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, Problems{fmt.Sprintf("There is no configuration file %s. README.md shows one to start from.", path)}
	}
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return Parse(text, getenv)
}

// Parse is Load for a text at hand.
func Parse(text []byte, getenv func(string) string) (*Config, error) {
	c := &Config{Listen: "127.0.0.1:8080", Database: "portal.db", Tags: `^[0-9a-f]{7,64}$`,
		Stability: Duration{10 * time.Second}, Limit: Duration{30 * time.Minute}}
	if err := yaml.UnmarshalStrict(text, c); err != nil {
		return nil, Problems{"The configuration is no YAML of the expected shape: " + plain(err)}
	}
	fields := map[string]*string{
		"PORTAL_LISTEN": &c.Listen, "PORTAL_URL": &c.URL, "PORTAL_DATABASE": &c.Database, "PORTAL_GITEA_URL": &c.Gitea.URL,
		"PORTAL_GITEA_USER": &c.Gitea.User, "PORTAL_GITEA_TOKEN_FILE": &c.Gitea.TokenFile,
		"PORTAL_GITEA_WEBHOOK_SECRET_FILE": &c.Gitea.WebhookSecretFile,
	}
	if c.Slack != nil {
		fields["PORTAL_SLACK_API_URL"] = &c.Slack.APIURL
	}
	for name, field := range fields {
		if v := getenv(name); v != "" {
			*field = v
		}
	}
	if p := c.check(); len(p) > 0 {
		return nil, p
	}
	return c, nil
}

func plain(err error) string {
	s := strings.TrimPrefix(err.Error(), "error unmarshaling JSON: while decoding JSON: ")
	return strings.ReplaceAll(strings.TrimPrefix(s, "error converting YAML to JSON: "), "json: ", "")
}

func (c *Config) check() (p Problems) {
	add := func(format string, args ...any) { p = append(p, fmt.Sprintf(format, args...)) }
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		add("listen: %q is no host:port, such as 127.0.0.1:8080.", c.Listen)
	}
	if c.URL != "" {
		if u, err := url.Parse(c.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			add("url: %q is no http or https address.", c.URL)
		}
	}
	if c.Database == "" {
		add("database: the path of the database file is missing.")
	}
	for _, s := range c.TrustedProxies {
		n, err := netip.ParsePrefix(s)
		if err != nil {
			add("trusted_proxies: %q is no network, such as 10.42.0.0/16.", s)
		}
		c.Proxies = append(c.Proxies, n)
	}
	re, err := regexp.Compile(c.Tags)
	if err != nil {
		add("tags: %q is no regular expression.", c.Tags)
	}
	c.TagPattern = re
	if c.Stability.Duration <= 0 {
		add("stability: must be more than 0, such as 10s.")
	}
	if c.Limit.Duration <= 0 {
		add("limit: must be more than 0, such as 30m.")
	}
	c.checkGitea(add)
	c.checkEnvironments(add)
	c.checkApps(add)
	c.checkSlack(add)
	return p
}

func (c *Config) checkGitea(add func(string, ...any)) {
	g := &c.Gitea
	u, err := url.Parse(g.URL)
	switch {
	case g.URL == "":
		add("gitea.url: the address of your Gitea is missing.")
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		add("gitea.url: %q is no http or https address.", g.URL)
	case u.User != nil:
		add("gitea.url: holds a password. Put the token into a file and name it as gitea.token_file.")
	default:
		if g.Registry == "" {
			g.Registry = u.Host
		}
	}
	if (g.User == "") != (g.TokenFile == "") {
		add("gitea: user and token_file go together.")
	}
	g.Token = readSecret("gitea.token_file", g.TokenFile, add)
	g.WebhookSecret = readSecret("gitea.webhook_secret_file", g.WebhookSecretFile, add)
}

// readSecret gives what a file holds, without the line end that editors add; nothing when no file is named.
func readSecret(key, file string, add func(string, ...any)) Secret {
	if file == "" {
		return ""
	}
	text, err := os.ReadFile(file)
	secret := Secret(strings.TrimSpace(string(text)))
	switch {
	case err != nil:
		add("%s: %s cannot be read.", key, file)
	case secret == "":
		add("%s: %s is empty.", key, file)
	}
	return secret
}

var name = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$`)

func (c *Config) checkEnvironments(add func(string, ...any)) {
	if len(c.Environments) == 0 {
		add("environments: name at least one, with its namespace.")
	}
	seen := map[string]bool{}
	for i, e := range c.Environments {
		switch {
		case !name.MatchString(e.Name):
			add("environments[%d].name: %q is no name of lower-case letters, digits and dashes.", i, e.Name)
		case seen[e.Name]:
			add("environments[%d].name: %q is there twice.", i, e.Name)
		}
		seen[e.Name] = true
		if !name.MatchString(e.Namespace) {
			add("environments[%d].namespace: %q is no name of a namespace.", i, e.Namespace)
		}
		if a := e.AutoRollback; a != "" && a != Rollback && a != Hold {
			add("environments[%d].auto_rollback: %q is neither %s nor %s.", i, a, Rollback, Hold)
		}
		if e.Kubeconfig == "" {
			continue
		}
		if _, err := os.Stat(e.Kubeconfig); err != nil {
			add("environments[%d].kubeconfig: %s cannot be read.", i, e.Kubeconfig)
		}
	}
}

func (c *Config) checkApps(add func(string, ...any)) {
	seen := map[string]bool{}
	for i := range c.Apps {
		c.checkSmoke(&c.Apps[i], add)
	}
	for i, a := range c.Apps {
		switch {
		case !name.MatchString(a.Name):
			add("apps[%d].name: %q is no name of lower-case letters, digits and dashes.", i, a.Name)
		case seen[a.Name]:
			add("apps[%d].name: %q is there twice.", i, a.Name)
		}
		seen[a.Name] = true
		for _, repository := range []string{a.Image, a.Git} {
			if repository != "" && strings.Count(repository, "/") < 1 {
				add("apps[%d]: %q is no owner/name.", i, repository)
			}
		}
		for _, pattern := range a.Migrations {
			if why := badPattern(pattern); why != "" {
				add("apps[%d].migrations: %q %s.", i, pattern, why)
			}
		}
		for _, check := range slices.Sorted(maps.Keys(a.Checks)) {
			if to := a.Checks[check]; to != CheckWarn && to != CheckBlock && to != CheckOff {
				add("apps[%d].checks.%s: %q is neither %s, %s nor %s.", i, check, to, CheckWarn, CheckBlock, CheckOff)
			}
		}
		for _, e := range a.Environments {
			if !slices.ContainsFunc(c.Environments, func(env Environment) bool { return env.Name == e }) {
				add("apps[%d].environments: there is no environment %q.", i, e)
			}
		}
	}
}

// badPattern says why no file of a repository can fit a pattern; empty when one can.
func badPattern(pattern string) string {
	folder, isFolder := strings.CutSuffix(pattern, "/")
	_, err := path.Match(pattern, "")
	switch {
	case strings.Trim(pattern, "/") == "":
		return "names nothing"
	case strings.HasPrefix(pattern, "/"):
		return "begins with a slash; paths begin at the root of the repository"
	case isFolder && strings.ContainsAny(folder, `*?[\`):
		return "has a wildcard; a pattern that ends in a slash is a folder's name as it is"
	case strings.Contains(pattern, "**"):
		return "has **; name the folder with a slash at its end instead"
	case err != nil:
		return "is no pattern, such as migrations/ or *.sql"
	}
	return ""
}
