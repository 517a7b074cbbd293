package auth

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"deployportal/internal/audit"
	"deployportal/internal/errs"
)

func TestAddAndList(t *testing.T) {
	f := newFixture(t)
	f.add("  Carl.X ", "carl's own password", Grant{Role: Viewer}, Grant{Role: Admin, Env: "staging"})
	all, err := f.List(t.Context())
	must(t, err)
	names := []string{}
	for _, a := range all {
		names = append(names, a.Name+": "+describe(a.Grants))
	}
	want := []string{"ana: admin in all environments", "bob: deployer in staging", "carl.x: viewer in all environments, admin in staging"}
	if !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
	got, err := f.Get(t.Context(), "CARL.X")
	must(t, err)
	if got.ID == 0 || !got.Created.Equal(f.now) || !got.Disabled.IsZero() || !got.SignedIn.IsZero() {
		t.Errorf("got %+v", got)
	}
	_, err = f.Get(t.Context(), "dora")
	wantKind(t, err, errs.NotFound)
	e := f.last(audit.UserAdded)
	if e.Subject != "carl.x" || e.Actor.Source != "cli" || e.RequestID != "req-shell" || e.Outcome != "ok" ||
		e.Detail != "viewer in all environments, admin in staging" {
		t.Errorf("the entry is %+v", e)
	}
}

func TestAddRefusesWhatCannotBe(t *testing.T) {
	f := newFixture(t)
	viewer := []Grant{{Role: Viewer}}
	for _, c := range []struct {
		name, password string
		grants         []Grant
		kind           errs.Kind
	}{
		{"", anasPassword, viewer, errs.Invalid},
		{".dot", anasPassword, viewer, errs.Invalid},
		{"two words", anasPassword, viewer, errs.Invalid},
		{"\u212Aelvin", anasPassword, viewer, errs.Invalid}, // lower case would make it kelvin
		{strings.Repeat("n", 65), anasPassword, viewer, errs.Invalid},
		{"carl", "too short", viewer, errs.Invalid},
		{"carl", anasPassword, nil, errs.Invalid},
		{"carl", anasPassword, []Grant{{Role: "root"}}, errs.Invalid},
		{"carl", anasPassword, []Grant{{Role: Viewer, Env: "No Such"}}, errs.Invalid},
		{"carl", anasPassword, []Grant{{Role: Viewer, Env: "prod"}, {Role: Admin, Env: "prod"}}, errs.Invalid},
		{"ANA", anasPassword, viewer, errs.Conflict},
	} {
		_, err := f.Add(t.Context(), shell(), c.name, c.password, c.grants)
		wantKind(t, err, c.kind)
		if s := errs.Public(err); !strings.HasSuffix(s, ".") {
			t.Errorf("%q is no sentence", s)
		}
	}
	if n := f.count("accounts"); n != 2 {
		t.Errorf("%d accounts, want 2", n)
	}
}

func TestAnyTellsAnEmptyPortal(t *testing.T) {
	f := newFixture(t)
	any, err := f.Any(t.Context())
	must(t, err)
	if !any {
		t.Error("two accounts are none")
	}
	f.exec(`DELETE FROM grants`)
	f.exec(`DELETE FROM accounts`)
	any, err = f.Any(t.Context())
	must(t, err)
	if any {
		t.Error("no account is some")
	}
}

// TestOnlyAdminsManage calls every method that manages with everybody who may not.
func TestOnlyAdminsManage(t *testing.T) {
	f := newFixture(t)
	grants := []Grant{{Role: Admin}}
	for _, by := range []Actor{
		{}, System("auto"), {ID: "user:2", Name: "bob", Source: "web", Grants: []Grant{{Role: Deployer}}},
		{ID: "user:9", Name: "eve", Source: "web", Grants: []Grant{{Role: Admin, Env: "prod"}}},
	} {
		want := errs.Forbidden
		if by.ID == "" {
			want = errs.Unauthenticated
		}
		ctx := t.Context()
		_, err := f.Add(ctx, by, "eve2", anasPassword, grants)
		wantKind(t, err, want)
		wantKind(t, f.SetGrants(ctx, by, "bob", grants), want)
		wantKind(t, f.SetPassword(ctx, by, "bob", anasPassword), want)
		wantKind(t, f.Disable(ctx, by, "bob"), want)
		wantKind(t, f.Enable(ctx, by, "bob"), want)
		wantKind(t, f.Revoke(ctx, by, "bob"), want)
	}
	bob, err := f.Get(t.Context(), "bob")
	must(t, err)
	if f.count("accounts") != 2 || bob.Grants[0].Role != Deployer {
		t.Error("a refusal changed something")
	}
	e := f.last(audit.UserDisabled)
	if e.Outcome != "refused" || e.Actor.Name != "eve" || e.Subject != "bob" || !strings.Contains(e.Detail, "needs the role admin") {
		t.Errorf("the entry is %+v", e)
	}
}

func TestTheLastAdministratorStays(t *testing.T) {
	f := newFixture(t)
	ana, err := f.Get(t.Context(), "ana")
	must(t, err)
	web := Actor{ID: "user:1", Name: "ana", Source: "web", Grants: ana.Grants}
	// An admin of one environment and a disabled one of all are no way back in.
	f.add("carl", "carl's own password", Grant{Role: Admin, Env: "prod"})
	f.add("dora", "dora's own password", Grant{Role: Admin})
	must(t, f.Disable(t.Context(), web, "dora"))
	for _, by := range []Actor{web, shell()} {
		wantKind(t, f.Disable(t.Context(), by, "ana"), errs.Conflict)
		wantKind(t, f.SetGrants(t.Context(), by, "ana", []Grant{{Role: Admin, Env: "prod"}}), errs.Conflict)
	}
	if e := f.last(audit.UserRole); e.Outcome != "refused" || e.Subject != "ana" {
		t.Errorf("the refusal's entry is %+v", e)
	}
	must(t, f.Enable(t.Context(), web, "dora"))
	must(t, f.SetGrants(t.Context(), web, "ana", []Grant{{Role: Viewer}}))
	if e := f.last(audit.UserRole); e.Outcome != "ok" || e.Detail != "From admin in all environments to viewer in all environments." {
		t.Errorf("the entry is %+v", e)
	}
	wantKind(t, f.Disable(t.Context(), shell(), "dora"), errs.Conflict)
}

func TestDoingItTwiceIsNoSecondEntry(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	for range 2 {
		must(t, f.Disable(ctx, shell(), "bob"))
	}
	for range 2 {
		must(t, f.Enable(ctx, shell(), "bob"))
	}
	must(t, f.SetGrants(ctx, shell(), "bob", []Grant{{Role: Deployer, Env: "staging"}}))
	must(t, f.Revoke(ctx, shell(), "bob"))
	for action, want := range map[string]int{audit.UserDisabled: 1, audit.UserEnabled: 1, audit.UserRole: 0, audit.SignedOut: 0} {
		if got := len(f.entries(action)); got != want {
			t.Errorf("%d entries %s, want %d", got, action, want)
		}
	}
	wantKind(t, f.Disable(ctx, shell(), "nobody"), errs.NotFound)
}

// TestNothingHappensWithoutItsEntry breaks the audit log and tries everything that changes something.
func TestNothingHappensWithoutItsEntry(t *testing.T) {
	f := newFixture(t)
	_, s := f.signIn("bob", bobsPassword)
	f.exec(`CREATE TRIGGER fault BEFORE INSERT ON audit_entries BEGIN SELECT RAISE(ABORT, 'planted'); END`)
	ctx := t.Context()
	before := f.dump()
	for what, do := range map[string]func() error{
		"add":             func() error { _, err := f.Add(ctx, shell(), "carl", anasPassword, []Grant{{Role: Viewer}}); return err },
		"grants":          func() error { return f.SetGrants(ctx, shell(), "bob", []Grant{{Role: Admin}}) },
		"set password":    func() error { return f.SetPassword(ctx, shell(), "bob", anasPassword) },
		"disable":         func() error { return f.Disable(ctx, shell(), "bob") },
		"revoke":          func() error { return f.Revoke(ctx, shell(), "bob") },
		"sign in":         func() error { return f.try("bob", bobsPassword, office) },
		"wrong password":  func() error { return f.try("bob", "certainly not this", office) },
		"unknown":         func() error { return f.try("nobody", "certainly not this", office) },
		"sign out":        func() error { return f.SignOut(ctx, s) },
		"change password": func() error { _, err := f.ChangePassword(ctx, s, bobsPassword, anasPassword); return err },
	} {
		err := do()
		wantKind(t, err, errs.Unavailable)
		if p := errs.Public(err); strings.Contains(p, "planted") || !strings.Contains(p, "audit log") {
			t.Errorf("%s: the sentence is %q", what, p)
		}
		if after := f.dump(); after != before {
			t.Errorf("%s changed the database:\n%s\nwas\n%s", what, after, before)
		}
	}
}

// dump gives all that the accounts keep, as text.
func (f *fixture) dump() string {
	f.t.Helper()
	var out strings.Builder
	for _, table := range []string{"accounts", "grants", "sessions", "sign_in_failures", "refusals"} {
		rows, err := f.db.Query(f.t.Context(), `SELECT * FROM `+table)
		must(f.t, err)
		columns, err := rows.Columns()
		must(f.t, err)
		for rows.Next() {
			cells := make([]sqliteText, len(columns))
			into := make([]any, len(columns))
			for i := range cells {
				into[i] = &cells[i]
			}
			must(f.t, rows.Scan(into...))
			out.WriteString(table)
			for _, c := range cells {
				out.WriteString("|" + string(c))
			}
			out.WriteString("\n")
		}
		must(f.t, rows.Err())
		must(f.t, rows.Close())
	}
	return out.String()
}

type sqliteText string

// Scan takes any column.
func (s *sqliteText) Scan(v any) error { *s = sqliteText(fmt.Sprint(v)); return nil }
