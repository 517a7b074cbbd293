package web

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"deployportal/internal/auth"
	"deployportal/internal/errs"
	"deployportal/web/templates"
)

// answerError is the only place where an error becomes an answer. What an error says inside goes to the log alone.
func (s *Server) answerError(err error, c echo.Context) {
	if c.Response().Committed || clientGone(c, err) {
		return
	}
	var fault *echo.HTTPError
	if errors.As(err, &fault) {
		err = routerError(fault)
	}
	status, id := s.refuse(c, err), visitOf(c).id
	if plainWanted(c) {
		_ = c.String(status, errs.Public(err)+" (request "+id+")\n") // nobody is left to tell that it was not sent
		return
	}
	page := s.page(c, http.StatusText(status), "")
	p := templates.ErrorProps{Page: page, Status: status, Sentence: errs.Public(err), Todo: todo(errs.KindOf(err)), RequestID: id}
	p.Acts = []templates.Act{{Text: "To the board", Href: templates.BoardURL, Main: true}}
	if page.User == "" {
		p.Acts = []templates.Act{{Text: "Sign in", Href: templates.SignInURL, Main: true}}
	}
	if drawn := s.draw(c, status, templates.Error(p)); drawn != nil && !c.Response().Committed {
		_ = c.String(status, errs.Public(err)+" (request "+id+")\n")
	}
}

// refuse prepares the answer to an error, for the error page or for one of a handler's own that keeps what was typed: it
// notes the error for the log and gives the status.
func (s *Server) refuse(c echo.Context, err error) int {
	visitOf(c).told = err
	if wait := retryAfter(err); wait > 0 {
		c.Response().Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	return statusOf(c, err)
}

// routerError gives what the router says a kind and a sentence.
func routerError(fault *echo.HTTPError) error {
	switch fault.Code {
	case http.StatusNotFound:
		return errs.Wrap(fault, errs.NotFound, "There is no such page.")
	case http.StatusMethodNotAllowed:
		return errs.Wrap(fault, errs.Invalid, "This address does not answer that method.")
	}
	return fault
}

// statusOf gives the HTTP status of an error.
func statusOf(c echo.Context, err error) int {
	var fault *echo.HTTPError
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return http.StatusRequestEntityTooLarge
	}
	if errors.As(err, &fault) && fault.Code == http.StatusMethodNotAllowed {
		return fault.Code
	}
	switch errs.KindOf(err) {
	case errs.Invalid:
		if c.Request().Method == http.MethodPost {
			return http.StatusUnprocessableEntity
		}
		return http.StatusBadRequest
	case errs.Unauthenticated:
		return http.StatusUnauthorized
	case errs.Forbidden:
		return http.StatusForbidden
	case errs.NotFound:
		return http.StatusNotFound
	case errs.Conflict:
		return http.StatusConflict
	case errs.TooMany:
		return http.StatusTooManyRequests
	case errs.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// todo says what can be done about an error of a kind.
func todo(k errs.Kind) string {
	switch k {
	case errs.Invalid:
		return "Go back and correct it."
	case errs.Unauthenticated:
		return "Sign in and try again."
	case errs.Forbidden:
		return "An administrator of the portal can give the role that is missing."
	case errs.NotFound:
		return "Look for it on the board or with the field at the top."
	case errs.Conflict:
		return "Open the page again and look at what has changed."
	case errs.TooMany:
		return "Wait, then try again."
	case errs.Unavailable:
		return "Try again in a moment."
	}
	return "Try again. If it stays, whoever runs the portal finds the reason in its log by the request below."
}

func retryAfter(err error) time.Duration {
	var limit *auth.LimitError
	switch {
	case errors.As(err, &limit):
		return limit.RetryAfter
	case errs.KindOf(err) == errs.Unavailable:
		return 5 * time.Second
	}
	return 0
}

// clientGone tells whether an error is only that nobody waits for the answer any more.
func clientGone(c echo.Context, err error) bool {
	return c.Request().Context().Err() != nil && errors.Is(err, context.Canceled)
}

// plainWanted tells whether a page would be in the way: htmx swaps no error, and a stream's reader cannot show one.
func plainWanted(c echo.Context) bool {
	r := c.Request()
	return r.Header.Get("HX-Request") != "" || quiet(r.URL.Path) || isStream(c.Path())
}
