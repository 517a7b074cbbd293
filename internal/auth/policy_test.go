package auth

import (
	"fmt"
	"testing"

	"deployportal/internal/errs"
)

// TestPolicyTable asks every role, granted everywhere, in prod, and nowhere, for every action in every scope.
func TestPolicyTable(t *testing.T) {
	const yes, no = true, false
	allowed := map[Role]map[Action]bool{
		Viewer:   {View: yes, Deploy: no, Lock: no, Unlock: no, Manage: no, "unheard of": no, "": no},
		Deployer: {View: yes, Deploy: yes, Lock: yes, Unlock: no, Manage: no, "unheard of": no, "": no},
		Admin:    {View: yes, Deploy: yes, Lock: yes, Unlock: yes, Manage: yes, "unheard of": no, "": no},
		"owner":  {View: no, Deploy: no, Lock: no, Unlock: no, Manage: no, "unheard of": no, "": no},
		"":       {View: no, Deploy: no, Lock: no, Unlock: no, Manage: no, "unheard of": no, "": no},
	}
	for role, actions := range allowed {
		for action, may := range actions {
			for _, granted := range []string{"", "prod"} {
				for _, asked := range []string{"", "prod", "staging", "pro", "PROD"} {
					reaches := granted == "" || granted == asked
					t.Run(fmt.Sprintf("%s in %q: %s in %q", role, granted, action, asked), func(t *testing.T) {
						ana := Actor{ID: "user:1", Name: "ana", Source: "web", Grants: []Grant{{Role: role, Env: granted}}}
						err := Policy{}.Allow(ana, action, asked)
						if may && reaches {
							must(t, err)
							return
						}
						wantKind(t, err, errs.Forbidden)
					})
				}
			}
		}
	}
}

func TestPolicyTakesTheBestGrant(t *testing.T) {
	a := Actor{ID: "user:1", Name: "ana", Grants: []Grant{{Role: Viewer}, {Role: Deployer, Env: "staging"}}}
	must(t, Policy{}.Allow(a, View, "prod"))
	must(t, Policy{}.Allow(a, Deploy, "staging"))
	wantKind(t, Policy{}.Allow(a, Deploy, "prod"), errs.Forbidden)
	wantKind(t, Policy{}.Allow(a, Deploy, ""), errs.Forbidden)
}

func TestPolicyOfNobodyAndOfThePortal(t *testing.T) {
	wantKind(t, Policy{}.Allow(Actor{Grants: []Grant{{Role: Admin}}}, View, ""), errs.Unauthenticated)
	wantKind(t, Policy{}.Allow(Actor{ID: "user:1"}, View, "prod"), errs.Forbidden)
	must(t, Policy{}.Allow(System("auto"), Deploy, "prod"))
	wantKind(t, Policy{}.Allow(System("auto"), Manage, ""), errs.Forbidden)
	must(t, Policy{}.Allow(CLIActor(), Manage, ""))
}
