package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"deployportal/internal/config"
)

const around = "gitea: {url: http://localhost:3000}\n"

// files writes secrets and gives the folder.
func files(t *testing.T, texts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestSlack(t *testing.T) {
	dir := files(t, map[string]string{"sign": "sign-canary\n", "bot": "xoxb-canary\n", "app": " xapp-canary\n", "mask": "one-canary\n\n two-canary \r\n", "mask2": "three-canary"})
	c, err := config.Parse([]byte(strings.ReplaceAll(around+`
environments: [{name: prod, namespace: honeydue, slack: {channel: C0123ABCD, confirm: true, logs: true}}, {name: staging, namespace: x}]
slack: {team: T0123ABCD, app: A0123ABCD, signing_secret_file: DIR/sign, bot_token_file: DIR/bot, app_token_file: DIR/app, mask_files: [DIR/mask, DIR/mask2]}
`, "DIR", dir)), none)
	if err != nil {
		t.Fatal(err)
	}
	s := c.Slack
	var masks []string
	for _, m := range s.Masks {
		masks = append(masks, string(m))
	}
	if s.Team != "T0123ABCD" || s.App != "A0123ABCD" || string(s.SigningSecret) != "sign-canary" || string(s.BotToken) != "xoxb-canary" || string(s.AppToken) != "xapp-canary" ||
		strings.Join(masks, " ") != "one-canary two-canary three-canary" ||
		c.Environments[0].Slack != (config.EnvSlack{Channel: "C0123ABCD", Confirm: true, Logs: true}) || c.Environments[1].Slack != (config.EnvSlack{}) {
		t.Errorf("%+v %+v %q", s, c.Environments, masks)
	}
	if said := fmt.Sprintf("%+v %#v %+v %#v", c, c, s, s); strings.Contains(said, "canary") {
		t.Errorf("a secret is printed: %s", said)
	}
	c, err = config.Parse([]byte(strings.ReplaceAll(around+"environments: [{name: prod, namespace: x}]\nslack: {team: T012, app: A012, bot_token_file: DIR/bot, app_token_file: DIR/app}", "DIR", dir)),
		func(name string) string {
			return map[string]string{"PORTAL_SLACK_API_URL": "http://127.0.0.1:1/api/"}[name]
		})
	if err != nil || c.Slack.APIURL != "http://127.0.0.1:1/api/" {
		t.Errorf("the address from the environment: %+v, %v", c, err)
	}
	c, err = config.Parse([]byte(around+"environments: [{name: prod, namespace: honeydue}]\n"), none)
	if err != nil || c.Slack != nil {
		t.Errorf("without a word of Slack: %+v, %v", c.Slack, err)
	}
}

// TestSlackProblems: all at once, in the order of the configuration.
func TestSlackProblems(t *testing.T) {
	dir := files(t, map[string]string{"sign": "s3cret", "empty": " \n", "bot": "xoxb-1", "app": "xapp-1"})
	const envs = "environments: [{name: prod, namespace: x}]\n"
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"nothing but a key", envs + "slack: {}", []string{`slack.team: "" is no id`, `slack.app: "" is no id`, "slack.bot_token_file: is missing.", "slack: name signing_secret_file"}},
		{"names in place of ids", "environments: [{name: prod, namespace: x, slack: {channel: '#deploys'}}]\nslack: {team: acme, app: Deploy Portal, bot_token_file: DIR/bot, app_token_file: DIR/app}",
			[]string{`environments[0].slack.channel: "#deploys" is no id of a channel`, `slack.team: "acme"`, `slack.app: "Deploy Portal"`}},
		{"a person's channel", "environments: [{name: prod, namespace: x, slack: {channel: D0123}}]\nslack: {team: T012, app: A012, bot_token_file: DIR/bot, app_token_file: DIR/app}",
			[]string{`environments[0].slack.channel: "D0123"`}},
		{"an environment alone", "environments: [{name: prod, namespace: x, slack: {confirm: true}}]\n", []string{"environments[0].slack: there is no slack to go with it."}},
		{"an empty signing secret", envs + "slack: {team: T012, app: A012, signing_secret_file: DIR/empty, bot_token_file: DIR/bot}", []string{"slack.signing_secret_file: DIR/empty is empty."}},
		{"empty and missing", envs + "slack: {team: T012, app: A012, signing_secret_file: DIR/none, bot_token_file: DIR/empty, app_token_file: DIR/empty, mask_files: [DIR/empty, DIR/none, '']}",
			[]string{"slack.signing_secret_file: DIR/none cannot be read.", "slack.bot_token_file: DIR/empty is empty.", "slack.app_token_file: DIR/empty is empty.",
				"slack.mask_files: DIR/empty is empty.", "slack.mask_files: DIR/none cannot be read.", "slack.mask_files: a name is empty."}},
		{"no address", envs + "slack: {team: T012, app: A012, bot_token_file: DIR/bot, app_token_file: DIR/app, api_url: slack.com/api}", []string{`slack.api_url: "slack.com/api" is no http`}},
		{"the tokens swapped", envs + "slack: {team: T012, app: A012, bot_token_file: DIR/app, app_token_file: DIR/bot}",
			[]string{"slack.bot_token_file: what DIR/app holds does not begin with xoxb-.", "slack.app_token_file: what DIR/bot holds does not begin with xapp-."}},
	} {
		_, err := config.Parse([]byte(around+strings.ReplaceAll(c.text, "DIR", dir)), none)
		var p config.Problems
		if !errors.As(err, &p) || len(p) != len(c.want) {
			t.Errorf("%s: %d problems, want %d:\n%v", c.name, len(p), len(c.want), err)
			continue
		}
		for i, want := range c.want {
			if !strings.HasPrefix(p[i], strings.ReplaceAll(want, "DIR", dir)) || !strings.HasSuffix(p[i], ".") {
				t.Errorf("%s: problem %d is %q, want %q", c.name, i, p[i], want)
			}
		}
		if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "xoxb-1") {
			t.Errorf("%s: a secret is told: %v", c.name, err)
		}
	}
}
