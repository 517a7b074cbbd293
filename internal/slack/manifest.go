package slack

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"deployportal/internal/errs"
)

// HookPath is where the portal takes what Slack sends over HTTP: commands and presses of buttons alike.
const HookPath = "/hooks/slack"

// Command is the slash command.
const Command = "/deploy"

// Scopes are what the bot token must allow, by what uses it: a method of Slack's, or the slash command. No other method is
// called with that token, and no other scope is asked for. chat:write.public lets the one message of a deploy stand in any
// public channel without an invitation; to private ones the app is invited.
var Scopes = map[string][]string{
	Command:            {"commands"},
	"chat.postMessage": {"chat:write", "chat:write.public"},
	"chat.update":      {"chat:write"},
}

// botScopes gives what all uses need, without doubles.
func botScopes() []string {
	var all []string
	for _, some := range Scopes {
		all = append(all, some...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// manifest is as much of Slack's app manifest as the portal says (docs.slack.dev/reference/app-manifest).
type manifest struct {
	Display  display  `json:"display_information"`
	Features features `json:"features"`
	OAuth    oauth    `json:"oauth_config"`
	Settings settings `json:"settings"`
}

type display struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

type features struct {
	Bot struct {
		Name   string `json:"display_name"`
		Online bool   `json:"always_online"`
	} `json:"bot_user"`
	Commands []slashCommand `json:"slash_commands"`
}

type slashCommand struct {
	Command     string `json:"command"`
	URL         string `json:"url,omitempty"`
	Description string `json:"description"`
	Hint        string `json:"usage_hint"`
	Escape      bool   `json:"should_escape"`
}

type oauth struct {
	Scopes struct {
		Bot []string `json:"bot"`
	} `json:"scopes"`
}

type settings struct {
	Interactivity struct {
		Enabled bool   `json:"is_enabled"`
		URL     string `json:"request_url,omitempty"`
	} `json:"interactivity"`
	OrgDeploy     bool `json:"org_deploy_enabled"`
	SocketMode    bool `json:"socket_mode_enabled"`
	TokenRotation bool `json:"token_rotation_enabled"`
}

// Manifest gives Slack's description of the app, in JSON: for Socket Mode, or for requests to a portal that people reach
// at publicURL. errs.Invalid when Slack could not reach it there. Ids and secrets are no part of it: Slack makes them.
func Manifest(publicURL string, socket bool) ([]byte, error) {
	hook := ""
	if !socket {
		u, err := url.Parse(publicURL)
		if err != nil || u.Scheme != "https" || u.Host == "" {
			return nil, errs.New(errs.Invalid,
				"Slack sends to https addresses only: set url in the configuration to yours, or ask for Socket Mode, which needs none: --socket")
		}
		hook = strings.TrimSuffix(publicURL, "/") + HookPath
	}
	m := manifest{Display: display{Name: "Deploy Portal", Description: "Deploys images by commit SHA and tells how it went."}}
	m.Features.Bot.Name = m.Display.Name
	m.Features.Commands = []slashCommand{{Command: Command, URL: hook, Description: "Deploy an app, or see what runs.",
		Hint: "APP SHA [to ENV] | list | status | rollback | lock | unlock | log | link | help"}}
	m.OAuth.Scopes.Bot = botScopes()
	m.Settings.Interactivity.Enabled, m.Settings.Interactivity.URL = true, hook
	m.Settings.SocketMode = socket
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("json.MarshalIndent: %w", err)
	}
	return append(text, '\n'), nil
}
