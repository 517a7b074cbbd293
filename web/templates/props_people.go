package templates

import "time"

// AccountProps is the page of one's own account.
type AccountProps struct {
	Page
	Grants   []string // "deployer in prod", "viewer everywhere"
	Local    bool     // has a password here
	Error    string   // why the password was not changed
	Sessions []SessionRow
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
	Audit    string    // link to what this person did
}
