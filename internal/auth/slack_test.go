package auth

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/errs"
)

var (
	anaThere = SlackUser{Team: "T0123", Channel: "C0123", User: "U0ANA"}
	bobThere = SlackUser{Team: "T0123", Channel: "D0123", User: "U0BOB"}
)

// code has the portal show ana or bob a link code.
func (f *fixture) code(name string) string {
	f.t.Helper()
	_, s := f.signIn(name, map[string]string{"ana": anasPassword, "bob": bobsPassword}[name])
	code, until, err := f.LinkCode(f.t.Context(), s)
	must(f.t, err)
	if !until.Equal(f.clock().Add(LinkLife)) {
		f.t.Errorf("good until %s", until)
	}
	return code
}

func (f *fixture) redeem(code string, who SlackUser) error {
	_, err := f.RedeemLink(f.t.Context(), code, who, "req-2")
	return err
}

func (f *fixture) link(name string, who SlackUser) {
	f.t.Helper()
	must(f.t, f.redeem(f.code(name), who))
}

func TestLinkAndUnlink(t *testing.T) {
	f := newFixture(t)
	_, err := f.SlackActor(t.Context(), bobThere)
	wantKind(t, err, errs.Unauthenticated)
	l, err := f.RedeemLink(t.Context(), f.code("bob"), bobThere, "req-2")
	must(t, err)
	if l != (SlackLink{Account: "bob", Team: "T0123", User: "U0BOB", Linked: f.clock()}) {
		t.Errorf("linked %+v", l)
	}
	f.link("ana", anaThere)
	all, err := f.SlackLinks(t.Context())
	must(t, err)
	if len(all) != 2 || all[0].Account != "ana" || all[1] != l {
		t.Errorf("linked are %+v", all)
	}
	by, err := f.SlackActor(t.Context(), SlackUser{Team: "T0123", Channel: "C9", User: "U0BOB"})
	must(t, err)
	if by.Name != "bob" || by.Source != "slack" || by.Method != "slack link" || by.Addr != "T0123/C9/U0BOB" || describe(by.Grants) != "deployer in staging" {
		t.Errorf("the actor is %+v", by)
	}
	for _, stranger := range []SlackUser{{Team: "T9999", User: "U0BOB"}, {Team: "T0123", User: "u0bob"}, {Team: "T0123"}, {}} {
		_, err := f.SlackActor(t.Context(), stranger)
		wantKind(t, err, errs.Unauthenticated)
	}
	e := f.entries(audit.SlackLinked)[0]
	if e.Actor.Name != "bob" || e.Actor.Source != "slack" || e.Actor.Addr != "T0123/D0123/U0BOB" || e.Subject != "bob" ||
		e.Detail != "bob is U0BOB of T0123 in Slack." || e.Outcome != "ok" || e.RequestID != "req-2" {
		t.Errorf("the entry is %+v", e)
	}

	must(t, f.UnlinkSlack(t.Context(), bobThere, "req-3"))
	e = f.last(audit.SlackUnlinked)
	if e.Actor.Name != "bob" || e.Actor.Source != "slack" || e.Detail != "bob was U0BOB of T0123 in Slack." || e.RequestID != "req-3" {
		t.Errorf("the entry is %+v", e)
	}
	wantKind(t, f.UnlinkSlack(t.Context(), bobThere, "req-3"), errs.NotFound)
	_, err = f.SlackActor(t.Context(), bobThere)
	wantKind(t, err, errs.Unauthenticated)
	f.link("bob", bobThere) // and back
}

func TestUnlinkInThePortal(t *testing.T) {
	f := newFixture(t)
	_, ana := f.signIn("ana", anasPassword)
	_, bob := f.signIn("bob", bobsPassword)
	f.link("ana", anaThere)
	f.link("bob", bobThere)
	wantKind(t, f.UnlinkAccount(t.Context(), bob.Actor, "ana"), errs.Forbidden)
	wantKind(t, f.UnlinkAccount(t.Context(), bob.Actor, "dora"), errs.Forbidden)
	wantKind(t, f.UnlinkAccount(t.Context(), ana.Actor, "dora"), errs.NotFound)
	wantKind(t, f.UnlinkAccount(t.Context(), Actor{}, ""), errs.Unauthenticated)
	if e := f.entries(audit.SlackUnlinked)[0]; e.Outcome != "refused" || e.Actor.Name != "bob" || e.Subject != "ana" {
		t.Errorf("the entry is %+v", e)
	}
	must(t, f.UnlinkAccount(t.Context(), bob.Actor, " BOB "))
	if e := f.last(audit.SlackUnlinked); e.Actor.Name != "bob" || e.Actor.Source != "web" || e.Subject != "bob" {
		t.Errorf("the entry is %+v", e)
	}
	f.link("bob", bobThere)
	must(t, f.UnlinkAccount(t.Context(), ana.Actor, "bob"))
	if e := f.last(audit.SlackUnlinked); e.Actor.Name != "ana" || e.Subject != "bob" || e.Detail != "bob was U0BOB of T0123 in Slack." {
		t.Errorf("the entry is %+v", e)
	}
	_, err := f.SlackActor(t.Context(), bobThere)
	wantKind(t, err, errs.Unauthenticated)
	wantKind(t, f.UnlinkAccount(t.Context(), ana.Actor, "bob"), errs.NotFound)
}

// Whoever knew the old password may have linked themselves: a new one ends the link, whoever sets it.
func TestNewPasswordEndsTheLink(t *testing.T) {
	f := newFixture(t)
	_, ana := f.signIn("ana", anasPassword)
	_, bob := f.signIn("bob", bobsPassword)
	f.link("bob", bobThere)
	must(t, f.SetPassword(t.Context(), ana.Actor, "bob", "another long password"))
	_, err := f.SlackActor(t.Context(), bobThere)
	wantKind(t, err, errs.Unauthenticated)
	if e := f.last(audit.UserPassword); e.Detail != "Set by another. 2 sessions were ended. The link to U0BOB of T0123 in Slack was ended too." {
		t.Errorf("the entry is %+v", e)
	}
	f.link("ana", anaThere)
	_, err = f.ChangePassword(t.Context(), ana, anasPassword, "yet another long password")
	must(t, err)
	_, err = f.SlackActor(t.Context(), anaThere)
	wantKind(t, err, errs.Unauthenticated)
	wantKind(t, f.UnlinkAccount(t.Context(), bob.Actor, "bob"), errs.NotFound)
}

func TestHowACodeIsTyped(t *testing.T) {
	f := newFixture(t)
	for _, typed := range []func(string) string{
		func(s string) string { return s }, strings.ToLower,
		func(s string) string { return " " + strings.ReplaceAll(s, "-", "") + " " },
		func(s string) string { return strings.ReplaceAll(s, "-", "\u2013") },
		func(s string) string { return strings.NewReplacer("0", "o", "1", "l").Replace(s) },
	} {
		code := f.code("bob")
		if len(code) != codeLen+1 || len(plainCode(code)) != codeLen || strings.Trim(plainCode(code), codeLetters) != "" {
			t.Fatalf("the code is %q", code)
		}
		must(t, f.redeem(typed(code), bobThere))
		must(t, f.UnlinkSlack(t.Context(), bobThere, ""))
	}
}

// TestACodeIsGoodOnce, for ten minutes, until the next one, and as long as the sessions of its account.
func TestACodeIsGoodOnce(t *testing.T) {
	for name, spoil := range map[string]func(f *fixture, code string){
		"used": func(f *fixture, code string) {
			must(f.t, f.redeem(code, bobThere))
			must(f.t, f.UnlinkSlack(f.t.Context(), bobThere, ""))
		},
		"old":              func(f *fixture, _ string) { f.pass(LinkLife) },
		"old and swept":    func(f *fixture, _ string) { f.pass(LinkLife); must(f.t, f.Sweep(f.t.Context())) },
		"replaced":         func(f *fixture, _ string) { f.code("bob") },
		"account disabled": func(f *fixture, _ string) { must(f.t, f.Disable(f.t.Context(), shell(), "bob")) },
		"account re-enabled": func(f *fixture, _ string) {
			must(f.t, f.Disable(f.t.Context(), shell(), "bob"))
			must(f.t, f.Enable(f.t.Context(), shell(), "bob"))
		},
		"sessions revoked": func(f *fixture, _ string) { must(f.t, f.Revoke(f.t.Context(), shell(), "bob")) },
		"password replaced": func(f *fixture, _ string) {
			must(f.t, f.SetPassword(f.t.Context(), shell(), "bob", "a third one, still bob's"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			code := f.code("bob")
			spoil(f, code)
			wantKind(t, f.redeem(code, bobThere), errs.Invalid)
			e := f.last(audit.SlackRefused)
			if e.Actor.ID != "anonymous" || e.Actor.Addr != bobThere.Addr() || e.Subject != "link" || e.Outcome != "refused" || strings.Contains(fmt.Sprint(e), code) {
				t.Errorf("the entry is %+v", e)
			}
		})
	}
	f := newFixture(t)
	code := f.code("bob")
	f.pass(LinkLife - time.Millisecond)
	must(t, f.Sweep(t.Context()))
	must(t, f.redeem(code, bobThere))
}

// TestOnlyTheHashIsStored: who reads the database, or a backup, finds no code.
func TestOnlyTheHashIsStored(t *testing.T) {
	f := newFixture(t)
	code := f.code("bob")
	var stored string
	must(t, f.db.QueryRow(t.Context(), `SELECT hex(code_hash) || ' ' || CAST(code_hash AS TEXT) FROM slack_codes`).Scan(&stored))
	if strings.Contains(stored, code) || strings.Contains(stored, plainCode(code)) {
		t.Errorf("stored is %q", stored)
	}
}

func TestNoCodeWithoutASession(t *testing.T) {
	f := newFixture(t)
	_, bob := f.signIn("bob", bobsPassword)
	must(t, f.SignOut(t.Context(), bob))
	_, _, err := f.LinkCode(t.Context(), bob)
	wantKind(t, err, errs.Unauthenticated)
}

func TestRedeemedTwiceAtOnce(t *testing.T) {
	f := newFixture(t)
	code := f.code("bob")
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			switch err := f.redeem(code, SlackUser{Team: "T0123", User: fmt.Sprintf("U%d", i)}); {
			case err == nil:
				won.Add(1)
			case errs.KindOf(err) != errs.Invalid:
				t.Errorf("%v", err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || f.count("slack_links") != 1 || len(f.entries(audit.SlackLinked)) != 1 {
		t.Errorf("%d won, %d links", won.Load(), f.count("slack_links"))
	}
}

func TestRelinkIsAConflict(t *testing.T) {
	f := newFixture(t)
	for _, c := range []struct {
		account string
		who     SlackUser
	}{
		{"ana", bobThere}, // another Slack user takes a linked account
		{"bob", anaThere}, // a linked Slack user takes another account
	} {
		f.link("ana", anaThere)
		code := f.planted(c.account)
		err := f.redeem(code, c.who)
		wantKind(t, err, errs.Conflict)
		want := "ana is already linked to U0ANA in Slack. End that link first."
		if errs.Public(err) != want || f.last(audit.SlackRefused).Detail != want {
			t.Errorf("%s: %q", c.account, errs.Public(err))
		}
		must(t, f.UnlinkSlack(t.Context(), anaThere, ""))
		must(t, f.redeem(code, c.who)) // the code stayed good
		must(t, f.UnlinkSlack(t.Context(), c.who, ""))
	}
	f.link("ana", anaThere)
	_, s := f.signIn("ana", anasPassword)
	_, _, err := f.LinkCode(t.Context(), s)
	wantKind(t, err, errs.Conflict)
}

// planted shows an account that is linked a code all the same, as if both had been under way at once.
func (f *fixture) planted(name string) string {
	f.t.Helper()
	f.exec(`ALTER TABLE slack_links RENAME TO away`)
	f.exec(`CREATE TABLE slack_links AS SELECT * FROM away LIMIT 0`)
	code := f.code(name)
	f.exec(`DROP TABLE slack_links`)
	f.exec(`ALTER TABLE away RENAME TO slack_links`)
	return code
}

// TestDisabledMeansAtOnce: neither the link nor a grant is remembered.
func TestDisabledMeansAtOnce(t *testing.T) {
	f := newFixture(t)
	f.link("bob", bobThere)
	must(t, f.SetGrants(t.Context(), shell(), "bob", []Grant{{Role: Viewer}}))
	by, err := f.SlackActor(t.Context(), bobThere)
	must(t, err)
	wantKind(t, Policy{}.Allow(by, Deploy, "staging"), errs.Forbidden)
	must(t, f.Disable(t.Context(), shell(), "bob"))
	_, err = f.SlackActor(t.Context(), bobThere)
	wantKind(t, err, errs.Unauthenticated)
	if errs.Public(err) != "The account bob is disabled." {
		t.Errorf("%q", errs.Public(err))
	}
	must(t, f.UnlinkSlack(t.Context(), bobThere, "")) // may leave
}

// TestGuessingIsBounded: for one Slack user, and for all of them together; what is right then is refused too.
func TestGuessingIsBounded(t *testing.T) {
	f := newFixture(t)
	code := f.code("bob")
	wrong := func(n int, who SlackUser) {
		t.Helper()
		for range n {
			wantKind(t, f.redeem("00000-00000", who), errs.Invalid)
		}
	}
	wrong(perAccount, bobThere)
	err := f.redeem(code, SlackUser{Team: bobThere.Team, Channel: "C7", User: bobThere.User})
	wantKind(t, err, errs.TooMany)
	if retryAfter(t, err) != failWindow || errs.Public(err) != "Too many wrong codes. Try again in 15 minutes." {
		t.Errorf("%q", errs.Public(err))
	}
	must(t, f.redeem(code, anaThere)) // others may
	must(t, f.UnlinkSlack(t.Context(), anaThere, ""))
	for i := range (perAddress - perAccount) / 5 {
		wrong(5, SlackUser{Team: "T0123", User: fmt.Sprintf("U%d", i)})
	}
	code = f.code("bob")
	wantKind(t, f.redeem(code, anaThere), errs.TooMany)
	f.pass(failWindow)
	must(t, f.redeem(f.code("bob"), bobThere))
}

// TestSlackRefusalsFold: by who and what, and the flood of a crowd is bounded.
func TestSlackRefusalsFold(t *testing.T) {
	f := newFixture(t)
	refuse := func(user, asked string) {
		must(t, f.RefuseSlack(t.Context(), SlackUser{Team: "T0123", Channel: "C1", User: user}, asked, "Link yourself first.", "req-4"))
	}
	for range 50 {
		refuse("U1", "deploy")
	}
	refuse("U2", "deploy")
	refuse("U1", "rollback")
	f.pass(foldFor)
	must(t, f.Flush(t.Context()))
	all := f.entries(audit.SlackRefused)
	if len(all) != 4 || counted(all) != 52 || all[3].Count != 49 || all[3].Actor.Addr != "T0123/C1/U1" || all[3].Subject != "deploy" || all[0].RequestID != "req-4" {
		t.Errorf("the entries are %+v", all)
	}
	for i := range 300 {
		refuse(fmt.Sprintf("U%d", i), fmt.Sprintf("asked %d", i))
	}
	if n := len(f.entries(audit.SlackRefused)); n > 4+pairsMost+1 {
		t.Errorf("%d entries of a crowd", n)
	}
}
