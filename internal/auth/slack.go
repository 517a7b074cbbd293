package auth

import "time"

// SlackUser is somebody in Slack, by the ids that Slack signs for: a name there can be anybody's.
type SlackUser struct {
	Team    string // "T..."
	Channel string // "C...", "D...", where it was asked; empty: unknown
	User    string // "U..."
}

// Addr is what an audit entry keeps as the address: team, channel and user.
func (u SlackUser) Addr() string { return u.Team + "/" + u.Channel + "/" + u.User }

// SlackLink is that a Slack user acts as an account.
type SlackLink struct {
	Account    string // its name
	Team, User string
	Linked     time.Time
}
