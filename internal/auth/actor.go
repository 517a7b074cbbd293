// Package auth knows who acts and what they may do: actors, local accounts, sessions, sign-in limits, roles and
// the one Policy. Policy is pure and decides; Accounts asks it before it changes an account, and so does every
// other service before it acts.
package auth

import (
	"os"
	"os/user"
	"strconv"

	"deployportal/internal/audit"
)

// Role is what an account may do. The order is viewer < deployer < admin.
type Role string

// The roles.
const (
	Viewer   Role = "viewer"
	Deployer Role = "deployer"
	Admin    Role = "admin"
)

// Grant gives a role in one environment, or in all of them where Env is empty.
type Grant struct {
	Role Role
	Env  string
}

// Actor is who does something: a person, or a named part of the portal. It is stored by value with what it did,
// so that the audit log still names a person whose account is gone.
type Actor struct {
	ID        string  // "user:7" or "portal:resume"; stable, never reused
	Name      string  // as people know it: "ana", "portal:resume"
	Source    string  // the door: web, slack, api, cli, system
	Method    string  // how it proved who it is: password, shell, none
	Addr      string  // the address it came from; empty for the portal itself
	RequestID string  // of the request it came with; empty outside of one
	Grants    []Grant // what it may do; the portal itself needs none
}

// System gives the actor for a named part of the portal itself, such as "resume" or "auto".
func System(name string) Actor {
	return Actor{ID: "portal:" + name, Name: "portal:" + name, Source: "system", Method: "none"}
}

// CLIActor gives the actor for whoever runs a command in a shell beside the database file, with every right: who can
// write the file needs no account. Its name keeps the prefix "cli:", so that nobody takes an operating system's user
// for the account of the same name.
func CLIActor() Actor {
	name := "uid " + strconv.Itoa(os.Getuid()) // an image without /etc/passwd knows no names
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	return Actor{ID: "cli:" + name, Name: "cli:" + name, Source: "cli", Method: "shell", Grants: []Grant{{Role: Admin}}}
}

// anonymous is who acts when nobody is signed in.
func anonymous(source, addr, requestID string) Actor {
	return Actor{ID: "anonymous", Name: "anonymous", Source: source, Method: "none", Addr: addr, RequestID: requestID}
}

// IsSystem tells whether the actor is the portal itself.
func (a Actor) IsSystem() bool { return a.Source == "system" }

// From gives the same actor with the address and the id of the request it came with.
func (a Actor) From(addr, requestID string) Actor {
	a.Addr, a.RequestID = addr, requestID
	return a
}

// Audit gives what an audit entry stores of the actor. The request id has its own field in the entry.
func (a Actor) Audit() audit.Actor {
	return audit.Actor{ID: a.ID, Name: a.Name, Source: a.Source, Addr: a.Addr, Method: a.Method}
}
