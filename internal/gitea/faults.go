package gitea

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"deployportal/internal/errs"
	"deployportal/internal/foreign"
)

// statusError is an answer that is not a success, without its body: a body may hold anything.
type statusError struct {
	call   string
	status int
	codes  string        // the registry's error codes, such as MANIFEST_UNKNOWN
	scopes string        // scopes the token lacks
	wait   time.Duration // Retry-After
	plain  bool          // the body was not of the form the real server uses
}

func (e *statusError) Error() string {
	s := fmt.Sprintf("%s: status %d", e.call, e.status)
	if e.codes != "" {
		s += " " + e.codes
	}
	return s
}

// registryFault turns an error of the OCI client into the kinds that deploys.Registry promises. missing is the
// sentence for a 404 that a registry answered.
func (c *Client) registryFault(call string, err error, missing string) error {
	var foreign *foreignError
	if errors.As(err, &foreign) {
		return c.foreignFault(call, foreign)
	}
	var answer *transport.Error
	if !errors.As(err, &answer) {
		return c.netFault(call, "The registry at "+c.registry, err)
	}
	cause := &statusError{call: call, status: answer.StatusCode, plain: len(answer.Errors) == 0}
	for _, d := range answer.Errors {
		cause.codes = strings.TrimSpace(cause.codes + " " + string(d.Code))
	}
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return errs.Wrap(cause, errs.Forbidden, "The registry refuses us: %s.", c.why())
	case http.StatusNotFound:
		if cause.plain {
			// Not a registry's words: a proxy without a backend says the same, and nothing is gone.
			return errs.Wrap(cause, errs.Unavailable, "%s answered 404, but not as a registry does: check its address and the owner of the image.", c.registry)
		}
		return errs.Wrap(cause, errs.NotFound, "%s", missing)
	}
	return errs.Wrap(cause, errs.Unavailable, "The registry at %s cannot be reached.", c.registry)
}

// why says what stands behind a refusal, as far as the portal can know it.
func (c *Client) why() string {
	if c.token == "" {
		return "no token is configured, and it is not open to everybody"
	}
	return "check the token, its scope read:package and the access of its user"
}

// apiFault does the same for the API. missing is the sentence for a 404 that Gitea answered; what names the thing
// asked for in a refusal.
func (c *Client) apiFault(call string, err error, what, missing string) error {
	var foreign *foreignError
	var answer *statusError
	switch {
	case errors.As(err, &foreign):
		return c.foreignFault(call, foreign)
	case !errors.As(err, &answer):
		return c.netFault(call, "Gitea at "+c.base.Host, err)
	}
	answer.call = call
	switch {
	case answer.scopes != "":
		return errs.Wrap(answer, errs.Forbidden, "Gitea refuses us %s: the token lacks the scope %s.", what, answer.scopes)
	case answer.status == http.StatusUnauthorized || answer.status == http.StatusForbidden:
		return errs.Wrap(answer, errs.Forbidden, "Gitea refuses us %s: check the token and the access of its user.", what)
	case answer.status == http.StatusNotFound && !answer.plain:
		return errs.Wrap(answer, errs.NotFound, "%s", missing)
	}
	return errs.Wrap(answer, errs.Unavailable, "Gitea at %s cannot be reached.", c.base.Host)
}

func (c *Client) foreignFault(call string, f *foreignError) error {
	cause := fmt.Errorf("%s: %w", call, f)
	if f.realm {
		return errs.Wrap(cause, errs.Forbidden, "%s asks us to sign in at %s. The portal takes its credentials nowhere else: check ROOT_URL and the proxy headers of Gitea.", c.registry, foreign.Line(f.origin, 200))
	}
	return errs.Wrap(cause, errs.Forbidden, "%s sends us to %s. The portal takes its credentials nowhere else: check the configured address of Gitea.", c.base.Host, foreign.Line(f.origin, 200))
}

// netFault classifies what is no answer: no connection, a time-out, an answer that cannot be read.
func (c *Client) netFault(call, who string, err error) error {
	cause := fmt.Errorf("%s: %w", call, c.clean(err))
	var netErr net.Error
	if errors.Is(err, errUnreadable) || errors.Is(err, errTooLarge) {
		return errs.Wrap(cause, errs.Unavailable, "%s gave an answer that cannot be read.", who)
	}
	if errors.As(err, &netErr) && netErr.Timeout() {
		return errs.Wrap(cause, errs.Unavailable, "%s cannot be reached: it did not answer in time.", who)
	}
	return errs.Wrap(cause, errs.Unavailable, "%s cannot be reached.", who)
}

var (
	errUnreadable = errors.New("the answer cannot be read")
	queryPattern  = regexp.MustCompile(`\?[^\s"]+`) // a redirect to an object store is signed in its query
	jwtPattern    = regexp.MustCompile(`[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}`)
)

// clean gives an error that may be logged: one line, no query, no token. It keeps what callers ask for with
// errors.Is and drops the rest of the chain, whose texts may quote an answer.
func (c *Client) clean(err error) error {
	text, _, _ := strings.Cut(err.Error(), "\n")
	text = jwtPattern.ReplaceAllString(queryPattern.ReplaceAllString(text, "?..."), "...")
	if c.token != "" {
		text = strings.ReplaceAll(text, c.token, "...")
	}
	if len(text) > 300 {
		text = text[:300]
	}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return fmt.Errorf("%s: %w", text, known)
		}
	}
	return errors.New(text)
}
