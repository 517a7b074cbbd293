package portal

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"deployportal/internal/config"
	"deployportal/internal/slack"
)

// slackConfig gives the configuration of a portal whose cluster and Gitea are away; more is its part about Slack, in which
// DIR is a folder with secrets.
func slackConfig(t *testing.T, more string) *config.Config {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"kubeconfig": `{"apiVersion": "v1", "kind": "Config", "current-context": "a", "clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:1"}}],
			"contexts": [{"name": "a", "context": {"cluster": "a"}}]}`,
		"sign": "sign-secret", "bot": "xoxb-secret", "app": "xapp-secret", "gitea": "gitea-secret", "mask": "one\ntwo\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := `
listen: 127.0.0.1:0
url: https://deploy.example.org
database: DIR/portal.db
gitea: {url: "http://127.0.0.1:1", user: portal, token_file: DIR/gitea}
environments:
- {name: prod, namespace: x, kubeconfig: DIR/kubeconfig, slack: {channel: C0123, confirm: true, logs: true}}
- {name: staging, namespace: y, kubeconfig: DIR/kubeconfig}
` + more
	if more == "" {
		text = strings.ReplaceAll(text, ", slack: {channel: C0123, confirm: true, logs: true}", "")
	}
	cfg, err := config.Parse([]byte(strings.ReplaceAll(text, "DIR", dir)), func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

const (
	overHTTP   = "slack: {team: T0123, app: A0123, signing_secret_file: DIR/sign, bot_token_file: DIR/bot, mask_files: [DIR/mask]}"
	overSocket = "slack: {team: T0123, app: A0123, app_token_file: DIR/app, bot_token_file: DIR/bot}"
)

// TestSlackOptions: what the configuration says arrives, and no secret of the portal's may go to Slack in a log line.
func TestSlackOptions(t *testing.T) {
	o := slackOptions(slackConfig(t, overHTTP), slackNeeds{store: &Store{}})
	if o.Team != "T0123" || o.App != "A0123" || o.SigningSecret != "sign-secret" || o.BotToken != "xoxb-secret" || o.AppToken != "" || o.PublicURL != "https://deploy.example.org" ||
		!slices.Equal(o.Envs, []slack.Env{{Name: "prod", Channel: "C0123", Confirm: true, Logs: true}, {Name: "staging"}}) ||
		!slices.Equal(o.Secrets, []string{"one", "two", "gitea-secret", "sign-secret", "xoxb-secret"}) {
		t.Errorf("%+v", o)
	}
	if o := slackOptions(slackConfig(t, overSocket), slackNeeds{store: &Store{}}); o.SigningSecret != "" || o.AppToken != "xapp-secret" {
		t.Errorf("%+v", o)
	}
}

// TestTheManifestsAddressIsAnswered: where Slack is told to send is where the portal takes it, and only where requests can
// be proven to be Slack's.
func TestTheManifestsAddressIsAnswered(t *testing.T) {
	for _, c := range []struct {
		more     string
		answered bool
	}{{overHTTP, true}, {overSocket, false}, {"", false}} {
		cfg := slackConfig(t, c.more)
		text, err := SlackManifest(cfg, false)
		if err != nil {
			t.Fatal(err)
		}
		var m struct {
			Settings struct {
				Interactivity struct {
					URL string `json:"request_url"`
				}
			}
		}
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		hook, err := url.Parse(m.Settings.Interactivity.URL)
		if err != nil || hook.Host != "deploy.example.org" {
			t.Fatalf("%v, %v", hook, err)
		}
		p, err := New(context.WithoutCancel(t.Context()), cfg, slog.New(slog.DiscardHandler), "test")
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		p.web.ServeHTTP(w, httptest.NewRequest(http.MethodPost, hook.Path, strings.NewReader("command=/deploy")))
		if (w.Code != http.StatusNotFound) != c.answered || w.Code < 400 || (p.slack != nil) != (c.more != "") {
			t.Errorf("%q: %d", c.more, w.Code)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}
