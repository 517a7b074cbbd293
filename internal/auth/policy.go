package auth

import "deployportal/internal/errs"

// Action is something a role may allow.
type Action string

// The actions. Every route and every service method names one.
const (
	View     Action = "view"            // see boards, deploys, history and audit of an environment
	Deploy   Action = "deploy"          // deploy and roll back in an environment
	Lock     Action = "lock"            // lock a target or an environment, and unlock what one has locked
	Unlock   Action = "unlock"          // what somebody else has locked
	Override Action = "override checks" // that block a deploy in an environment
	Manage   Action = "manage"          // accounts; needs admin in all environments
)

var needs = map[Action]Role{View: Viewer, Deploy: Deployer, Lock: Deployer, Unlock: Admin, Override: Admin, Manage: Admin}

var rank = map[Role]int{Viewer: 1, Deployer: 2, Admin: 3}

// Valid tells whether r is one of the three roles.
func (r Role) Valid() bool { return rank[r] > 0 }

// Policy is the one place that decides who may do what. It is pure: everything it needs is on the actor.
type Policy struct{}

// Allow returns nil when actor may do action in env (empty: in every environment). Otherwise errs.Unauthenticated
// when there is no actor, else errs.Forbidden with a sentence that names the role that is missing. An unknown action
// is refused. The portal itself may do everything but manage accounts.
func (Policy) Allow(actor Actor, action Action, env string) error {
	need, known := needs[action]
	switch {
	case actor.ID == "":
		return errs.New(errs.Unauthenticated, "Sign in first.")
	case actor.IsSystem() && action != Manage:
		return nil
	case !known:
		return errs.New(errs.Forbidden, "Nobody may do this: no role allows %q. That is a mistake in the portal; tell who runs it.", action)
	}
	for _, g := range actor.Grants {
		if rank[g.Role] >= rank[need] && (g.Env == "" || g.Env == env && env != "") {
			return nil
		}
	}
	where := " in " + env
	if env == "" {
		where = ""
	}
	return errs.New(errs.Forbidden, "%s may not %s%s: this needs the role %s. Ask an admin for it.", actor.Name, action, where, need)
}
