package auth

import (
	"errors"
	"strings"
	"testing"

	"deployportal/internal/errs"
)

func TestCheckPassword(t *testing.T) {
	for _, good := range []string{strings.Repeat("x", MinPassword), strings.Repeat("x", MaxPassword), "пароль длинный", " spaces count "} {
		must(t, CheckPassword(good))
	}
	for _, bad := range []string{"", strings.Repeat("x", MinPassword-1), strings.Repeat("x", MaxPassword+1),
		"a line\nbreak within", "a nul \x00 within it", "not \xff valid UTF-8"} {
		err := CheckPassword(bad)
		wantKind(t, err, errs.Invalid)
		if s := errs.Public(err); !strings.HasSuffix(s, ".") || bad != "" && strings.Contains(s, bad) {
			t.Errorf("the sentence is %q", s)
		}
	}
}

func TestHashWithTheRealFunction(t *testing.T) {
	h := newPHC(anasPassword, DefaultParams(), argon2id)
	if !strings.HasPrefix(h.String(), "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("stored as %s", h)
	}
	back, err := parsePHC(h.String())
	must(t, err)
	if !back.matches(anasPassword, argon2id) || back.matches(anasPassword+" ", argon2id) {
		t.Error("the stored hash matches another password, or not its own")
	}
}

func TestPasswordsEqualUpToTheLimitDoNotMatch(t *testing.T) {
	longest := strings.Repeat("x", MaxPassword)
	h := newPHC(longest, cheap, argon2id)
	if !h.matches(longest, argon2id) || h.matches(longest+"x", argon2id) {
		t.Error("a password that was cut matches")
	}
}

// FuzzParsePHC: what is read is exactly what would be written, and never asks for all memory.
func FuzzParsePHC(f *testing.F) {
	f.Add(newPHC("seed", cheap, argon2id).String())
	f.Add("$argon2id$v=19$m=4294967295,t=1,p=1$AAAAAAAAAAA$AAAA")
	f.Add("$argon2id$v=19$m=8,t=1,p=1x$$")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parsePHC(s)
		if err == nil && (h.String() != s || h.params.Memory > 256<<10) {
			t.Errorf("%q was read as %q", s, h)
		}
		if err != nil && len(s) > 20 && strings.Contains(err.Error(), s) {
			t.Error("the error holds the stored text")
		}
	})
}

func TestDamagedHashIsAnErrorNotAMatch(t *testing.T) {
	f := newFixture(t)
	f.exec(`UPDATE accounts SET password_hash = '$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA' WHERE name = 'ana'`)
	err := f.try("ana", anasPassword, office)
	if err == nil || errors.As(err, new(*errs.Error)) {
		t.Errorf("a damaged hash gives %v", err)
	}
}
