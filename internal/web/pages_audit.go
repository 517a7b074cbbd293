package web

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"deployportal/internal/audit"
	"deployportal/internal/errs"
	"deployportal/internal/foreign"
	"deployportal/internal/sqlite"
	"deployportal/web/templates"
)

// typedTime is how a browser's field for date and time writes them; seconds may follow.
const typedTime = "2006-01-02T15:04"

func parseTyped(raw string) (time.Time, error) {
	for _, layout := range []string{typedTime, typedTime + ":05", time.RFC3339} {
		if t, err := time.Parse(layout, raw); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, errs.New(errs.Invalid, "%q is not a time. Write it like 2026-11-23T14:05; it is UTC.", foreign.Line(raw, 64))
}

// readFilter reads the filters of the log from the URL: as typed, for the form, and as they are asked for.
func (s *Server) readFilter(c echo.Context) (templates.AuditFilter, audit.Filter, error) {
	get := query(c, maxName)
	typed := templates.AuditFilter{App: get("app"), Env: get("env"), Actor: get("actor"), Action: get("action"), Outcome: get("outcome"),
		SHA: get("sha"), From: get("from"), To: get("to")}
	f := audit.Filter{App: typed.App, Env: typed.Env, Actor: typed.Actor, Action: typed.Action, Outcome: typed.Outcome, SHA: typed.SHA,
		Envs: s.auditEnvs(c)}
	var err error
	if typed.From != "" {
		if f.From, err = parseTyped(typed.From); err != nil {
			return typed, f, err
		}
	}
	if typed.To != "" {
		if f.To, err = parseTyped(typed.To); err != nil {
			return typed, f, err
		}
	}
	if raw := get("before"); raw != "" {
		if f.Before, err = strconv.ParseInt(raw, 10, 64); err != nil || f.Before < 0 {
			return typed, f, errs.New(errs.Invalid, "%q is not the number of an entry.", foreign.Line(raw, 64))
		}
	}
	return typed, f, nil
}

// auditEnvs is the environments whose entries the reader may see; nil: all entries, also those about no environment.
func (s *Server) auditEnvs(c echo.Context) []string {
	r := s.rightsOf(visitOf(c).actor)
	if r.all {
		return nil
	}
	return append([]string{}, r.envs...)
}

func (s *Server) audit(c echo.Context) error {
	const rows = 50
	typed, f, bad := s.readFilter(c)
	p := templates.AuditProps{Page: s.page(c, "Audit", templates.NavAudit), Filter: typed, CSV: templates.AuditCSVURL + filterQuery(typed, 0)}
	var err error
	if p.Options, err = s.auditOptions(c); err != nil {
		return err
	}
	status := http.StatusOK
	if bad != nil {
		status, p.Error = s.refuse(c, bad), errs.Public(bad)
		return s.draw(c, status, templates.Audit(p))
	}
	f.Limit = rows + 1
	list, err := audit.List(c.Request().Context(), s.Store, f)
	if err != nil {
		return err
	}
	if len(list) > rows {
		list = list[:rows]
		p.Older = templates.AuditURL + filterQuery(typed, list[rows-1].Seq)
	}
	if f.Before > 0 {
		p.Newest = templates.AuditURL + filterQuery(typed, 0)
	}
	p.Rows = auditView(list)
	return s.draw(c, status, templates.Audit(p))
}

func filterQuery(f templates.AuditFilter, before int64) string {
	q := url.Values{}
	for name, value := range map[string]string{"app": f.App, "env": f.Env, "actor": f.Actor, "action": f.Action, "outcome": f.Outcome,
		"sha": f.SHA, "from": f.From, "to": f.To} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if before > 0 {
		q.Set("before", strconv.FormatInt(before, 10))
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

// auditOptions is what the filters offer, of what the reader may see.
func (s *Server) auditOptions(c echo.Context) (templates.AuditOptions, error) {
	v := visitOf(c)
	r := s.rightsOf(v.actor)
	o := templates.AuditOptions{Envs: r.envs, Actors: []string{v.actor.Name},
		Outcomes: []string{"ok", "refused", "succeeded", "failed", "errored", "superseded"}}
	for _, app := range s.Cluster.Apps() {
		if r.sees(app.Env) && !slices.Contains(o.Apps, app.App) {
			o.Apps = append(o.Apps, app.App)
		}
	}
	for action := range actionWords {
		o.Actions = append(o.Actions, action)
	}
	if r.all {
		all, err := s.Accounts.List(c.Request().Context())
		if err != nil {
			return o, err
		}
		o.Actors = []string{"portal:auto", "portal:resume"}
		for _, a := range all {
			o.Actors = append(o.Actors, a.Name)
		}
	}
	slices.Sort(o.Apps)
	slices.Sort(o.Actions)
	slices.Sort(o.Actors)
	return o, nil
}

// auditCSV sends the filtered log as a file, page by page. That it was taken is an entry, written first.
func (s *Server) auditCSV(c echo.Context) error {
	typed, f, err := s.readFilter(c)
	if err != nil {
		return err
	}
	ctx, v := c.Request().Context(), visitOf(c)
	err = s.Store.Write(ctx, func(tx *sqlite.Tx) error {
		_, err := audit.Append(ctx, tx, audit.Entry{Actor: v.actor.Audit(), Action: audit.AuditExported, Outcome: "ok",
			Detail: "As CSV" + exported(typed) + ".", RequestID: v.id})
		return err
	})
	if err != nil {
		return errs.Wrap(err, errs.Unavailable, "The export cannot be recorded, so it is not done. %s", errs.Public(err))
	}
	h := c.Response().Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="audit-%s.csv"`, s.Now().UTC().Format("20060102-150405")))
	err = audit.CSV(ctx, s.Store, f, &wire{w: c.Response(), control: http.NewResponseController(c.Response()), limit: s.times.write})
	if err != nil && c.Response().Committed {
		// A file that just ends would pass for a whole one: the connection is cut, so that the browser says it failed.
		s.Log.Error("an export was cut off", "request", v.id, "err", err)
		panic(http.ErrAbortHandler)
	}
	return err
}

// exported says what an export was limited to.
func exported(f templates.AuditFilter) string {
	if q := filterQuery(f, 0); q != "" {
		return ", filtered by " + q[1:]
	}
	return ""
}

func (s *Server) entry(c echo.Context) error {
	ctx := c.Request().Context()
	seq, err := number(c, "seq", "audit entry")
	if err != nil {
		return err
	}
	e, err := audit.Get(ctx, s.Store, seq)
	if err != nil {
		return err
	}
	envs := s.auditEnvs(c)
	if envs != nil && !slices.Contains(envs, e.Env) {
		return errs.New(errs.NotFound, "There is no audit entry %d.", seq)
	}
	newest, err := audit.List(ctx, s.Store, audit.Filter{Envs: envs, Limit: 1})
	if err != nil {
		return err
	}
	p := entryView(e, newest[0].Seq)
	if envs != nil { // the neighbours may be none of the reader's business
		p.Older, p.Newer = s.neighbour(c, envs, seq), ""
	}
	p.Page = s.page(c, fmt.Sprintf("Audit entry %d", seq), templates.NavAudit)
	return s.draw(c, http.StatusOK, templates.Entry(p))
}

// neighbour links the entry before seq that the reader may see; empty: there is none, or it cannot be read.
func (s *Server) neighbour(c echo.Context, envs []string, seq int64) string {
	list, err := audit.List(c.Request().Context(), s.Store, audit.Filter{Envs: envs, Before: seq, Limit: 1})
	if err != nil || len(list) == 0 {
		return ""
	}
	return templates.EntryURL(list[0].Seq)
}

func (s *Server) ranAt(c echo.Context) error {
	p := templates.AtProps{Page: s.page(c, "What ran at", templates.NavAudit), Time: query(c, maxName)("time")}
	if p.Time == "" {
		p.Time = p.Now.UTC().Format(typedTime)
	}
	at, err := parseTyped(p.Time)
	if err != nil {
		p.Error = errs.Public(err)
		return s.draw(c, s.refuse(c, err), templates.At(p))
	}
	p.At = at
	ran, err := s.Deploys.RanAt(c.Request().Context(), at)
	if err != nil {
		return err
	}
	marks, err := s.Deploys.Marks(c.Request().Context())
	if err != nil {
		return err
	}
	r := s.rightsOf(visitOf(c).actor)
	for _, one := range ran {
		if !r.sees(one.Target.Env) {
			continue
		}
		i := slices.IndexFunc(p.Envs, func(e templates.AtEnv) bool { return e.Env == one.Target.Env })
		if i < 0 {
			i = len(p.Envs)
			p.Envs = append(p.Envs, templates.AtEnv{Env: one.Target.Env, Prod: s.prod(one.Target.Env)})
		}
		p.Envs[i].Rows = append(p.Envs[i].Rows, s.atRow(one, marks))
	}
	return s.draw(c, http.StatusOK, templates.At(p))
}
