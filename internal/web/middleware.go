package web

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"deployportal/internal/errs"
	"deployportal/internal/foreign"
)

const (
	maxBody  = 64 << 10
	readBody = 15 * time.Second
	sendPage = 30 * time.Second
)

// contentPolicy allows what the pages are made of and nothing else: no inline script or style, no other host.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// statusClientGone is what the log says of a client that went away before its answer; it is never sent.
const statusClientGone = 499

// begin gives the request its id and finds out where it came from.
func (s *Server) begin(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		raw := make([]byte, 8)
		_, _ = rand.Read(raw) // never fails: the runtime ends the process instead
		v := &visit{id: hex.EncodeToString(raw), addr: s.clientAddr(c.Request()), secure: s.secure(c.Request())}
		c.Set(visitKey, v)
		c.Response().Header().Set("X-Request-Id", v.id)
		return next(c)
	}
}

// logRequest answers an error and writes one line per request. A query is never logged: it may hold what somebody
// pasted into the wrong field.
func (s *Server) logRequest(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		began := time.Now()
		err := next(c)
		if err != nil {
			c.Error(err)
		}
		status := c.Response().Status
		if err != nil && clientGone(c, err) {
			status = statusClientGone
		}
		v := visitOf(c)
		if err == nil {
			err = v.told
		}
		attrs := []slog.Attr{
			slog.String("request", v.id), slog.String("method", c.Request().Method), slog.String("path", c.Request().URL.Path),
			slog.Int("status", status), slog.Int64("bytes", c.Response().Size), slog.Duration("took", time.Since(began)),
			slog.String("addr", v.addr),
		}
		if v.actor.Name != "" {
			attrs = append(attrs, slog.String("actor", v.actor.Name))
		}
		if err != nil {
			attrs = append(attrs, slog.String("err", err.Error()))
		}
		s.Log.LogAttrs(c.Request().Context(), levelOf(c, status), "request", attrs...)
		return nil
	}
}

func levelOf(c echo.Context, status int) slog.Level {
	switch {
	case status == http.StatusInternalServerError:
		return slog.LevelError
	case status > http.StatusInternalServerError:
		return slog.LevelWarn
	case quiet(c.Request().URL.Path):
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// quiet tells whether a path is asked for by machines, or by every page, and needs no session.
func quiet(path string) bool {
	return strings.HasPrefix(path, "/static/") || path == "/healthz" || path == "/readyz" || path == "/version"
}

// recoverPanic turns a panic into an error, so that it is answered and logged like any other.
func (s *Server) recoverPanic(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			switch p := recover(); p {
			case nil:
			case http.ErrAbortHandler: // meant for net/http
				panic(p)
			default:
				err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		return next(c)
	}
}

// setHeaders sets what every answer carries, and a limit for how long a page may take to be sent. A stream sets its own
// before each write.
func (s *Server) setHeaders(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin") // not "no-referrer": that makes a form's Origin "null"
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if s.public != nil && s.public.Scheme == "https" {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		// Not every writer can do it (a test's cannot), and then nothing is lost.
		_ = http.NewResponseController(c.Response()).SetWriteDeadline(time.Now().Add(sendPage))
		return next(c)
	}
}

// refuseCrossSite refuses what another site made a browser send.
func (s *Server) refuseCrossSite(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := s.cross.Check(c.Request()); err != nil {
			return errs.Wrap(err, errs.Forbidden, "This request came from another site, so nothing was done.")
		}
		return next(c)
	}
}

// limitBody bounds how much a client may send and how long it may take.
func (s *Server) limitBody(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			return next(c)
		}
		_ = http.NewResponseController(c.Response()).SetReadDeadline(time.Now().Add(readBody)) // as in setHeaders
		r.Body = http.MaxBytesReader(c.Response(), r.Body, maxBody)
		return next(c)
	}
}

// How many runes of what came in are looked at.
const (
	maxName   = 253  // of a thing: an app, an environment, an account; Kubernetes allows no more
	maxSought = 200  // of what is looked for, as its field
	maxReason = 500  // of a reason, as its field
	maxTyped  = 8000 // of any other field
	maxTicks  = 50   // boxes of one name
)

// query reads the fields of an address, made harmless: whoever made the link chose them.
func query(c echo.Context, limit int) func(string) string {
	return func(name string) string { return foreign.Line(c.QueryParam(name), limit) }
}

// param reads a part of the path, made harmless. What is allowed and what is done must be asked of the same.
func param(c echo.Context, name string) string { return foreign.Line(c.Param(name), maxName) }

// form reads a posted form, made harmless: all fields but passwords are read with the function it gives. errs.Invalid
// when it is none or too large.
func form(c echo.Context) (func(string) string, error) {
	r := c.Request()
	if err := r.ParseForm(); err != nil {
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			return nil, errs.Wrap(err, errs.Invalid, "That is more than the portal takes. Nothing was done.")
		}
		return nil, errs.Wrap(err, errs.Invalid, "The form cannot be read. Open the page again.")
	}
	return func(name string) string { return foreign.Line(r.PostForm.Get(name), maxTyped) }, nil
}

// ticked reads the values of all boxes of a name that are ticked, in a form that was read.
func ticked(c echo.Context, name string) (values []string) {
	all := c.Request().PostForm[name]
	for _, v := range all[:min(len(all), maxTicks)] {
		values = append(values, foreign.Line(v, maxName))
	}
	return values
}

// secret reads a password of a form that was read, to the byte.
func secret(c echo.Context, name string) string { return c.Request().PostForm.Get(name) }
