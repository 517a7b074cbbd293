package slack

import (
	"encoding/json"

	api "github.com/slack-go/slack"

	"deployportal/internal/auth"
	"deployportal/internal/errs"
)

// ask is what somebody in Slack wants, however it came: a command, or a press of a button.
type ask struct {
	who     auth.SlackUser
	app     string // the Slack app that it was sent to
	wide    bool   // sent to an installation in a whole organisation: the team says little then
	text    string // of a command
	press   bool
	action  string // of a press: what the button is called
	value   string
	url     string // where answers go that come later
	request string // the id that log and audit know it by
}

// askOfCommand reads a slash command.
func askOfCommand(c api.SlashCommand, request string) ask {
	return ask{who: auth.SlackUser{Team: c.TeamID, Channel: c.ChannelID, User: c.UserID}, app: c.APIAppID, wide: c.IsEnterpriseInstall,
		text: c.Text, url: c.ResponseURL, request: request}
}

// interaction is what is read of a payload; Slack sends much more.
type interaction struct {
	Type    string `json:"type"`
	App     string `json:"api_app_id"`
	URL     string `json:"response_url"`
	Wide    bool   `json:"is_enterprise_install"`
	Team    *named `json:"team"`
	Channel *named `json:"channel"`
	User    *struct {
		ID   string `json:"id"`
		Team string `json:"team_id"`
	} `json:"user"`
	Actions []struct {
		ID    string `json:"action_id"`
		Value string `json:"value"`
	} `json:"actions"`
}

type named struct {
	ID string `json:"id"`
}

// askOfPress reads the payload of an interaction. A kind that we never ask for is errs.Invalid.
func askOfPress(payload []byte, request string) (ask, error) {
	var in interaction
	if err := json.Unmarshal(payload, &in); err != nil {
		return ask{}, errs.New(errs.Invalid, "The payload is not readable.") // what it says may hold what somebody typed
	}
	if in.Type != "block_actions" || len(in.Actions) != 1 || in.User == nil {
		return ask{}, errs.New(errs.Invalid, "The payload is no press of one button.")
	}
	a := ask{who: auth.SlackUser{User: in.User.ID}, app: in.App, wide: in.Wide, press: true, url: in.URL, request: request,
		action: in.Actions[0].ID, value: in.Actions[0].Value}
	if in.Team != nil {
		a.who.Team = in.Team.ID
	}
	// The team of a payload is where the button stands; in a shared channel who presses can be of another.
	if in.User.Team != "" {
		a.who.Team = in.User.Team
	}
	if in.Channel != nil {
		a.who.Channel = in.Channel.ID
	}
	if in.Team == nil || in.User.Team != "" && in.Team.ID != in.User.Team {
		a.wide = true
	}
	return a, nil
}

// names tells whether it says who asks and where, in ids as Slack makes them.
func (a ask) names() bool {
	user := idOf("U", a.who.User) || idOf("W", a.who.User)
	channel := idOf("C", a.who.Channel) || idOf("G", a.who.Channel) || idOf("D", a.who.Channel)
	return user && channel && (idOf("T", a.who.Team) || idOf("E", a.who.Team))
}

// what is what was asked, for an entry: the verb and nothing that was typed after it, for that may be a link code.
func (a ask) what() string {
	if a.press {
		return "press " + a.action
	}
	if c, _ := parse(a.text); c.verb != verbHome {
		return c.verb
	}
	return "command"
}
