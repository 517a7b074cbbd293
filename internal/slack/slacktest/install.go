package slacktest

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Install makes the app what its manifest says, as api.slack.com/apps does with one that is pasted there: what the bot may
// do, which commands there are, and where they and presses go. What this workspace cannot play is an error.
func (s *Slack) Install(manifest []byte) error {
	var m struct {
		Features struct {
			Commands []struct {
				Command string `json:"command"`
				URL     string `json:"url"`
			} `json:"slash_commands"`
		} `json:"features"`
		OAuth struct {
			Scopes struct {
				Bot []string `json:"bot"`
			} `json:"scopes"`
		} `json:"oauth_config"`
		Settings struct {
			Interactivity struct {
				Enabled bool   `json:"is_enabled"`
				URL     string `json:"request_url"`
			} `json:"interactivity"`
			SocketMode bool `json:"socket_mode_enabled"`
		} `json:"settings"`
	}
	if err := json.Unmarshal(manifest, &m); err != nil {
		return fmt.Errorf("the manifest: %w", err)
	}
	if !m.Settings.Interactivity.Enabled {
		return errors.New("the manifest: without interactivity no button can be pressed")
	}
	hook := m.Settings.Interactivity.URL
	s.commands = map[string]bool{}
	for _, c := range m.Features.Commands {
		if c.URL != hook {
			return fmt.Errorf("the manifest: commands go to %q, presses to %q; this workspace knows one address", c.URL, hook)
		}
		s.commands[c.Command] = true
	}
	if m.Settings.SocketMode != (hook == "") {
		return errors.New("the manifest: requests need Socket Mode or an address, and have both or none")
	}
	s.Scopes, s.Portal = m.OAuth.Scopes.Bot, hook
	return nil
}
