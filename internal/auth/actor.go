// Package auth knows who acts and what they may do: actors, local accounts, sessions, sign-in limits, roles and
// the one Policy. It never decides by itself where a rule applies; the services call Policy.
package auth

import "deployportal/internal/audit"

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
	ID     string  // "user:7" or "portal:resume"; stable, never reused
	Name   string  // as people know it: "ana", "portal:resume"
	Source string  // the door: web, slack, api, cli, system
	Method string  // how it proved who it is: password, session, cli, none
	Addr   string  // the address it came from; empty for the portal itself
	Grants []Grant // what it may do; the portal itself needs none
}

// System gives the actor for a named part of the portal itself, such as "resume" or "auto".
func System(name string) Actor {
	return Actor{ID: "portal:" + name, Name: "portal:" + name, Source: "system", Method: "none"}
}

// IsSystem tells whether the actor is the portal itself.
func (a Actor) IsSystem() bool { return a.Source == "system" }

// Audit is the actor as the audit log keeps it.
func (a Actor) Audit() audit.Actor {
	return audit.Actor{ID: a.ID, Name: a.Name, Source: a.Source, Addr: a.Addr, Method: a.Method}
}
