package templates

import "time"

// AccountProps is the page of one's own account.
type AccountProps struct {
	Page
	Grants   []string // "deployer in prod", "viewer everywhere"
	Local    bool     // has a password here
	Error    string   // why the password was not changed
	Sessions []SessionRow
	Slack    *SlackSide // nil: the portal has no door there
}

// SlackSide is who the account is in Slack, or how it gets to be somebody there.
type SlackSide struct {
	User, Team string // ids; empty: not linked
	Since      time.Time
	Command    string    // what is to be typed there, with the code that is shown this once; empty: none was asked for
	Until      time.Time // how long it is good
}

// SessionRow is one of one's own sessions.
type SessionRow struct {
	ID      string // for the form; not a secret
	Device  string // "Firefox on Linux", as the browser says
	Addr    string
	Created time.Time
	Seen    time.Time
	Current bool
}

// PeopleProps lists the accounts, for admins only.
type PeopleProps struct {
	Page
	People  []Person
	Envs    []string
	Command string // the line that adds an account
}

// Person is one account.
type Person struct {
	Name     string
	Grants   []string
	Disabled bool
	Created  time.Time
	Seen     time.Time // zero: never signed in
	Slack    string    // id of the Slack user it is linked to; empty: none
	Linked   time.Time // since when
	Audit    string    // link to what this person did
}
