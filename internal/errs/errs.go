// Package errs holds the one error type that crosses package borders: a kind that a door maps to a
// status, a sentence that a user may read, and a cause that only the log may see.
package errs

import (
	"errors"
	"fmt"
)

// Kind says what sort of failure an error is; every door maps it once (HTTP status, exit code).
type Kind int

// The kinds. Internal is the zero value: an error nobody classified shows no detail to a user.
const (
	Internal        Kind = iota // a fault of ours; the user sees only the request id
	Invalid                     // the request cannot be meant like this
	Unauthenticated             // nobody is signed in
	Forbidden                   // signed in, but not allowed
	NotFound                    // the thing named does not exist
	Conflict                    // true a moment ago, not any more, or another is busy with it
	TooMany                     // a limit of attempts is reached
	Unavailable                 // something we need cannot be reached or written now
)

// String names the kind for logs.
func (k Kind) String() string {
	names := [...]string{"internal", "invalid", "unauthenticated", "forbidden", "not found", "conflict", "too many", "unavailable"}
	if k < 0 || int(k) >= len(names) {
		return fmt.Sprintf("kind(%d)", int(k))
	}
	return names[k]
}

// Error is a classified error. Public is a whole sentence a user can act on and never holds a secret or
// a driver's text; the cause goes to the log.
type Error struct {
	Kind   Kind
	Public string
	cause  error
}

// New makes an error of a kind with a public sentence.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Public: fmt.Sprintf(format, args...)}
}

// Wrap makes an error of a kind with a public sentence and keeps the cause for errors.Is, errors.As and the log.
func Wrap(cause error, kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Public: fmt.Sprintf(format, args...), cause: cause}
}

// Error gives the public sentence and the cause, for logs.
func (e *Error) Error() string {
	if e.cause == nil {
		return e.Public
	}
	return e.Public + ": " + e.cause.Error()
}

// Unwrap gives the cause, nil where there is none.
func (e *Error) Unwrap() error { return e.cause }

// KindOf gives the kind of the outermost classified error in err's chain, else Internal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Public gives the sentence a user may read. An unclassified error gives a fixed one: its text may hold anything.
func Public(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Public != "" {
		return e.Public
	}
	return "Something went wrong on our side."
}
