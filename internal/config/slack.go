package config

import (
	"net/url"
	"regexp"
	"strings"
)

// Slack says to which workspace and app the portal listens, and how it proves itself there. BotTokenFile and one of
// SigningSecretFile and AppTokenFile are needed.
type Slack struct {
	Team string `json:"team"` // "T..."
	App  string `json:"app"`  // "A..."
	// SigningSecretFile holds what Slack signs its requests with; empty: none are taken over HTTP.
	SigningSecretFile string `json:"signing_secret_file"`
	BotTokenFile      string `json:"bot_token_file"`
	// AppTokenFile holds the token that opens Socket Mode; empty: it is not used.
	AppTokenFile string `json:"app_token_file"`
	// MaskFiles hold, a line each, what is masked in log lines that go to Slack.
	MaskFiles []string `json:"mask_files"`
	APIURL    string   `json:"api_url"` // of GovSlack, or of a proxy; empty: Slack's

	SigningSecret Secret   `json:"-"` // what SigningSecretFile holds
	BotToken      Secret   `json:"-"` // what BotTokenFile holds
	AppToken      Secret   `json:"-"` // what AppTokenFile holds
	Masks         []Secret `json:"-"` // what MaskFiles hold
}

// EnvSlack says what of an environment goes to Slack.
type EnvSlack struct {
	Channel string `json:"channel"` // "C...": where deploys are announced that were not asked for in Slack; empty: nowhere
	Confirm bool   `json:"confirm"` // ask once more before a button acts
	Logs    bool   `json:"logs"`    // the last log lines of a failure may go to Slack
}

var (
	teamForm    = regexp.MustCompile(`^T[A-Z0-9]{2,38}$`)
	appForm     = regexp.MustCompile(`^A[A-Z0-9]{2,38}$`)
	channelForm = regexp.MustCompile(`^[CG][A-Z0-9]{2,38}$`) // G: a private channel of old
)

func (c *Config) checkSlack(add func(string, ...any)) {
	for i, e := range c.Environments {
		if e.Slack == (EnvSlack{}) {
			continue
		}
		if c.Slack == nil {
			add("environments[%d].slack: there is no slack to go with it.", i)
		}
		if ch := e.Slack.Channel; ch != "" && !channelForm.MatchString(ch) {
			add("environments[%d].slack.channel: %q is no id of a channel, such as C0123ABCD. A name is none: it can be given to another.", i, ch)
		}
	}
	s := c.Slack
	if s == nil {
		return
	}
	if !teamForm.MatchString(s.Team) {
		add("slack.team: %q is no id of a workspace, such as T0123ABCD.", s.Team)
	}
	if !appForm.MatchString(s.App) {
		add("slack.app: %q is no id of an app, such as A0123ABCD.", s.App)
	}
	if u, err := url.Parse(s.APIURL); s.APIURL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || !strings.HasSuffix(u.Path, "/")) {
		add("slack.api_url: %q is no http or https address with a slash at its end.", s.APIURL)
	}
	if s.BotTokenFile == "" {
		add("slack.bot_token_file: is missing.")
	}
	if s.SigningSecretFile == "" && s.AppTokenFile == "" {
		add("slack: name signing_secret_file, for requests over HTTP, or app_token_file, for Socket Mode.")
	}
	s.SigningSecret = readSecret("slack.signing_secret_file", s.SigningSecretFile, add)
	s.BotToken = readToken("slack.bot_token_file", s.BotTokenFile, "xoxb-", add)
	s.AppToken = readToken("slack.app_token_file", s.AppTokenFile, "xapp-", add)
	for _, file := range s.MaskFiles {
		if file == "" {
			add("slack.mask_files: a name is empty.")
		}
		for line := range strings.Lines(string(readSecret("slack.mask_files", file, add))) {
			if line = strings.TrimSpace(line); line != "" {
				s.Masks = append(s.Masks, Secret(line))
			}
		}
	}
}

// readToken is readSecret for a token of Slack's, which tells by its beginning what it is for.
func readToken(key, file, prefix string, add func(string, ...any)) Secret {
	token := readSecret(key, file, add)
	if token != "" && !strings.HasPrefix(string(token), prefix) {
		add("%s: what %s holds does not begin with %s.", key, file, prefix)
	}
	return token
}
