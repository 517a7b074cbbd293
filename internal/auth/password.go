package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"deployportal/internal/errs"
)

// Passwords have MinPassword to MaxPassword bytes. The upper bound keeps the cost of one attempt fixed.
const (
	MinPassword = 12
	MaxPassword = 1024
)

const (
	saltLen = 16
	keyLen  = 32
)

// Params is what one argon2id computation costs.
type Params struct {
	Memory  uint32 // KiB
	Time    uint32
	Threads uint8
}

// DefaultParams is OWASP's second choice (19 MiB, two passes): two at once fit beside everything else the portal
// holds in memory, which 64 MiB each would not.
func DefaultParams() Params { return Params{Memory: 19456, Time: 2, Threads: 1} }

// kdf computes a password's key. A test counts calls through it.
type kdf func(password, salt []byte, p Params) []byte

func argon2id(password, salt []byte, p Params) []byte {
	return argon2.IDKey(password, salt, p.Time, p.Memory, p.Threads, keyLen)
}

// phc is a stored password: "$argon2id$v=19$m=19456,t=2,p=1$<salt>$<key>".
type phc struct {
	params    Params
	salt, key []byte
}

// newPHC hashes a password with a fresh salt.
func newPHC(password string, p Params, derive kdf) phc {
	salt := make([]byte, saltLen)
	_, _ = rand.Read(salt) // never fails: the runtime ends the process instead
	return phc{params: p, salt: salt, key: derive([]byte(password), salt, p)}
}

// dummyPHC is what an attempt for an unknown name is compared with: it costs the same and equals nothing.
func dummyPHC(p Params) phc {
	h := phc{params: p, salt: make([]byte, saltLen), key: make([]byte, keyLen)}
	_, _ = rand.Read(h.salt)
	_, _ = rand.Read(h.key)
	return h
}

func (h phc) String() string {
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.params.Memory, h.params.Time, h.params.Threads,
		enc.EncodeToString(h.salt), enc.EncodeToString(h.key))
}

// matches computes the key of password and compares. A password longer than any that was ever set costs what the
// longest costs and does not match.
func (h phc) matches(password string, derive kdf) bool {
	long := len(password) > MaxPassword
	if long {
		password = password[:MaxPassword]
	}
	return subtle.ConstantTimeCompare(derive([]byte(password), h.salt, h.params), h.key) == 1 && !long
}

// parsePHC reads a stored password. It refuses costs that no version of the portal ever set: a damaged row must not
// take all memory.
func parsePHC(s string) (phc, error) {
	bad := errors.New("a stored password has another form than $argon2id$v=19$m=,t=,p=$salt$key")
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return phc{}, bad
	}
	var h phc
	p := &h.params
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.Memory, &p.Time, &p.Threads); err != nil {
		return phc{}, bad
	}
	if p.Memory < 8 || p.Memory > 256<<10 || p.Time < 1 || p.Time > 20 || p.Threads < 1 || p.Threads > 8 {
		return phc{}, bad
	}
	var err1, err2 error
	h.salt, err1 = base64.RawStdEncoding.Strict().DecodeString(parts[4])
	h.key, err2 = base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(h.salt) < 8 || len(h.key) != keyLen || h.String() != s {
		return phc{}, bad
	}
	return h, nil
}

// CheckPassword tells whether a password may be set: errs.Invalid with a sentence when not.
func CheckPassword(password string) error {
	switch {
	case len(password) < MinPassword:
		return errs.New(errs.Invalid, "The password is too short: it needs at least %d characters.", MinPassword)
	case len(password) > MaxPassword:
		return errs.New(errs.Invalid, "The password is too long: it may have at most %d bytes.", MaxPassword)
	case !utf8.ValidString(password) || strings.ContainsFunc(password, unicode.IsControl):
		// Such a password could be set from a file, but never typed into the sign-in page.
		return errs.New(errs.Invalid, "The password may hold no line breaks or other control characters.")
	}
	return nil
}
