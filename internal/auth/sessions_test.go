package auth

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/errs"
)

func TestEverySignInHasANewToken(t *testing.T) {
	f := newFixture(t)
	first, s1 := f.signIn("bob", bobsPassword)
	second, s2 := f.signIn("bob", bobsPassword)
	if first == second || s1.ID == s2.ID || len(first) != 43 {
		t.Errorf("tokens %d and %d long, ids %d and %d", len(first), len(second), s1.ID, s2.ID)
	}
	must(t, f.SignOut(t.Context(), s2))
	if _, s3 := f.signIn("bob", bobsPassword); s3.ID <= s2.ID {
		t.Errorf("id %d was given again", s3.ID)
	}
}

func TestForgedTokens(t *testing.T) {
	f := newFixture(t)
	token, _ := f.signIn("bob", bobsPassword)
	last := token[:42] + string(token[42]+1) // other bits that decode alike, unless decoding is strict
	for _, forged := range []string{"", "x", token[:42], token + "A", token + "=", strings.ToLower(token), last, " " + token,
		strings.Repeat("A", 43), strings.Repeat("A", 1<<16), "' OR 1=1 --"} {
		_, err := f.Session(t.Context(), forged)
		wantKind(t, err, errs.Unauthenticated)
	}
}

func TestSessionEndsWhenIdle(t *testing.T) {
	f := newFixture(t)
	token, s := f.signIn("bob", bobsPassword)
	for range 3 { // use keeps it alive
		f.pass(SessionIdle - time.Second)
		_, err := f.Session(t.Context(), token)
		must(t, err)
	}
	f.pass(SessionIdle - time.Second)
	_, err := f.Check(t.Context(), s.ID) // a stream does not
	must(t, err)
	f.pass(time.Second)
	_, err = f.Session(t.Context(), token)
	wantKind(t, err, errs.Unauthenticated)
	_, err = f.Check(t.Context(), s.ID)
	wantKind(t, err, errs.Unauthenticated)
}

func TestSessionEndsForGoodAfterAWeek(t *testing.T) {
	f := newFixture(t)
	token, s := f.signIn("bob", bobsPassword)
	if !s.Expires.Equal(f.now.Add(7 * 24 * time.Hour)) {
		t.Errorf("expires %s", s.Expires)
	}
	for range 7*24 - 1 {
		f.pass(time.Hour)
		_, err := f.Session(t.Context(), token)
		must(t, err)
	}
	for range 2 { // at the very end, and after it
		f.pass(time.Hour)
		_, err := f.Session(t.Context(), token)
		wantKind(t, err, errs.Unauthenticated)
		_, err = f.Check(t.Context(), s.ID)
		wantKind(t, err, errs.Unauthenticated)
	}
	f.signIn("bob", bobsPassword)
	must(t, f.Sweep(t.Context()))
	if n := f.count("sessions"); n != 1 {
		t.Errorf("%d sessions after a sweep, want the one that is open", n)
	}
}

func TestSessionSurvivesARestart(t *testing.T) {
	f := newFixture(t)
	token, s := f.signIn("bob", bobsPassword)
	f.restart()
	again, err := f.Session(t.Context(), token)
	must(t, err)
	if again.ID != s.ID {
		t.Errorf("session %d became %d", s.ID, again.ID)
	}
}

// TestLastUseIsWrittenOnceAMinute: a page with many requests costs one write.
func TestLastUseIsWrittenOnceAMinute(t *testing.T) {
	f := newFixture(t)
	token, _ := f.signIn("bob", bobsPassword)
	seen := func() time.Time {
		s, err := f.Session(t.Context(), token)
		must(t, err)
		s, err = f.Check(t.Context(), s.ID)
		must(t, err)
		return s.Seen
	}
	start := f.now
	f.pass(59 * time.Second)
	if got := seen(); !got.Equal(start) {
		t.Errorf("written after 59 s: %s", got)
	}
	f.pass(time.Second)
	if got := seen(); !got.Equal(start.Add(time.Minute)) {
		t.Errorf("not written after a minute: %s", got)
	}
}

func TestReadingGoesOnWhenLastUseCannotBeWritten(t *testing.T) {
	f := newFixture(t)
	var log bytes.Buffer
	f.log = slog.New(slog.NewTextHandler(&log, nil))
	token, _ := f.signIn("bob", bobsPassword)
	f.exec(`CREATE TRIGGER fault BEFORE UPDATE ON sessions BEGIN SELECT RAISE(ABORT, 'planted'); END`)
	f.pass(time.Minute)
	_, err := f.Session(t.Context(), token)
	must(t, err)
	if !strings.Contains(log.String(), "planted") || strings.Contains(log.String(), token) {
		t.Errorf("the log says %q", log.String())
	}
}

// TestWhatEndsASession: each is seen at once, by requests and by streams, and by other sessions only where meant.
func TestWhatEndsASession(t *testing.T) {
	for what, c := range map[string]struct {
		do       func(f *fixture, s Session) error
		endsBoth bool
	}{
		"sign-out":     {func(f *fixture, s Session) error { return f.SignOut(f.t.Context(), s) }, false},
		"revoked":      {func(f *fixture, _ Session) error { return f.Revoke(f.t.Context(), shell(), "bob") }, true},
		"disabled":     {func(f *fixture, _ Session) error { return f.Disable(f.t.Context(), shell(), "bob") }, true},
		"new password": {func(f *fixture, _ Session) error { return f.SetPassword(f.t.Context(), shell(), "bob", anasPassword) }, true},
		"disabled and enabled": {func(f *fixture, _ Session) error {
			must(f.t, f.Disable(f.t.Context(), shell(), "bob"))
			return f.Enable(f.t.Context(), shell(), "bob")
		}, true},
	} {
		t.Run(what, func(t *testing.T) {
			f := newFixture(t)
			token, s := f.signIn("bob", bobsPassword)
			_, other := f.signIn("bob", bobsPassword)
			_, ana := f.signIn("ana", anasPassword)
			must(t, c.do(f, s))
			_, err := f.Session(t.Context(), token)
			wantKind(t, err, errs.Unauthenticated)
			_, err = f.Check(t.Context(), s.ID)
			wantKind(t, err, errs.Unauthenticated)
			_, err = f.Check(t.Context(), other.ID)
			if c.endsBoth != (err != nil) {
				t.Errorf("the other session: %v", err)
			}
			_, err = f.Check(t.Context(), ana.ID)
			must(t, err)
		})
	}
}

func TestSignOutIsRecordedOnce(t *testing.T) {
	f := newFixture(t)
	_, s := f.signIn("bob", bobsPassword)
	s.Actor = s.Actor.From("198.51.100.7", "req-9")
	must(t, f.SignOut(t.Context(), s))
	must(t, f.SignOut(t.Context(), s))
	got := f.entries(audit.SignedOut)
	if len(got) != 1 || got[0].Actor.Addr != "198.51.100.7" || got[0].RequestID != "req-9" || got[0].Subject != "bob" {
		t.Errorf("the entries are %+v", got)
	}
}

func TestCheckSeesChangedGrants(t *testing.T) {
	f := newFixture(t)
	_, s := f.signIn("bob", bobsPassword)
	must(t, Policy{}.Allow(s.Actor, View, "staging"))
	must(t, f.SetGrants(t.Context(), shell(), "bob", []Grant{{Role: Viewer, Env: "prod"}}))
	s, err := f.Check(t.Context(), s.ID)
	must(t, err)
	wantKind(t, Policy{}.Allow(s.Actor, View, "staging"), errs.Forbidden)
	must(t, Policy{}.Allow(s.Actor, View, "prod"))
}

func TestSessionsListsTheOpenOnes(t *testing.T) {
	f := newFixture(t)
	f.signIn("ana", anasPassword)
	_, s1 := f.signIn("bob", bobsPassword)
	f.pass(time.Hour)
	_, s2 := f.signIn("bob", bobsPassword)
	got, err := f.Sessions(t.Context(), s1.AccountID)
	must(t, err)
	if len(got) != 2 || got[0].ID != s2.ID || got[1].ID != s1.ID || len(got[1].Actor.Grants) != 1 {
		t.Errorf("the sessions are %+v", got)
	}
	f.pass(SessionIdle - time.Hour)
	got, err = f.Sessions(t.Context(), s1.AccountID)
	must(t, err)
	if len(got) != 1 {
		t.Errorf("%d sessions once the first is idle, want 1", len(got))
	}
}
