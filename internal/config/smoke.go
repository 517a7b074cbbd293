package config

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Smoke is what is asked of an app after a rollout, many times. Only the URL must be given.
type Smoke struct {
	URL          string   `json:"url"`
	Environments []string `json:"environments"` // empty: all of the app
	Method       string   `json:"method"`       // GET, also when empty, HEAD, OPTIONS or POST, without a body
	Status       Statuses `json:"status"`       // 200 when empty
	Body         Match    `json:"body"`
	Headers      Matches  `json:"headers"` // by name
	Requests     int      `json:"requests"`
	Concurrency  int      `json:"concurrency"`
	Timeout      Duration `json:"timeout"`
	Interval     Duration `json:"interval"` // between the beginnings of two requests

	AllowedFailures    int      `json:"allowed_failures"`
	Addresses          []string `json:"addresses"` // host or host:port in place of the URL's
	PerNode            bool     `json:"per_node"`  // the address of every node, in place of Addresses
	FollowRedirects    bool     `json:"follow_redirects"`
	InsecureSkipVerify bool     `json:"insecure_skip_verify"`

	Target *url.URL `json:"-"` // URL, parsed
}

// Match is what a text must hold. {sha} in either stands for the deployed tag.
type Match struct {
	Contains string `json:"contains"`
	Matches  string `json:"matches"` // a regular expression
}

// Matches are by header name.
type Matches map[string]Match

// Statuses are written as one or as a list.
type Statuses []int

// UnmarshalJSON implements json.Unmarshaler.
func (s *Statuses) UnmarshalJSON(b []byte) error {
	var one int
	if json.Unmarshal(b, &one) == nil {
		*s = Statuses{one}
		return nil
	}
	return json.Unmarshal(b, (*[]int)(s))
}

// The bounds of smoke probes: what is asked is a load on somebody.
const (
	maxRequests    = 1000 // of an app in all
	maxConcurrency = 50
	maxTimeout     = time.Minute
	maxTotal       = 10 * time.Minute // what the prober gives all requests of an app
	maxAddresses   = 100
)

// checkSmoke looks at an app's smoke probes, fills in what is left out, and gives each mistake.
func (c *Config) checkSmoke(a *App, add func(string, ...any)) {
	requests, paced, envs := 0, time.Duration(0), a.Environments
	if len(envs) == 0 {
		for _, e := range c.Environments {
			envs = append(envs, e.Name)
		}
	}
	for i := range a.Smoke {
		s := &a.Smoke[i]
		fault := func(format string, args ...any) {
			add("apps: %s: smoke[%d]"+format, append([]any{a.Name, i}, args...)...)
		}
		s.fill()
		s.check(fault)
		for _, e := range s.Environments {
			if !slices.Contains(envs, e) {
				fault(".environments: the app is not in %q.", e)
			}
		}
		requests += s.Requests
		paced += time.Duration(s.Requests-1) * s.Interval.Duration
	}
	if paced >= maxTotal {
		add("apps: %s: smoke: with these intervals all requests take %s; they have 10m.", a.Name, paced)
	}
	if requests > maxRequests {
		add("apps: %s: smoke: %d requests in all are more than %d.", a.Name, requests, maxRequests)
	}
}

func (s *Smoke) fill() {
	orInt := func(field *int, usual int) {
		if *field == 0 {
			*field = usual
		}
	}
	orInt(&s.Requests, 150)
	orInt(&s.Concurrency, 5)
	if s.Timeout.Duration == 0 {
		s.Timeout.Duration = 5 * time.Second
	}
	if s.Method == "" {
		s.Method = http.MethodGet
	}
	if len(s.Status) == 0 {
		s.Status = Statuses{http.StatusOK}
	}
}

func (s *Smoke) check(fault func(string, ...any)) {
	u, err := url.Parse(s.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		fault(".url: %q is no http or https address.", s.URL)
	case u.User != nil:
		fault(".url: holds a password, which would be shown on pages.")
	}
	s.Target = u
	if !slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPost}, s.Method) {
		fault(".method: %q is none of GET, HEAD, OPTIONS and POST.", s.Method)
	}
	for _, status := range s.Status {
		if status < 100 || status > 599 {
			fault(".status: %d is no HTTP status.", status)
		}
	}
	s.Body.check(".body", fault)
	for name, m := range s.Headers {
		m.check(".headers."+name, fault)
	}
	for _, b := range []struct {
		key            string
		is, least, top int
	}{{"requests", s.Requests, 1, maxRequests}, {"concurrency", s.Concurrency, 1, maxConcurrency}, {"allowed_failures", s.AllowedFailures, 0, s.Requests}} {
		if b.is < b.least || b.is > b.top {
			fault(".%s: %d is not between %d and %d.", b.key, b.is, b.least, b.top)
		}
	}
	if t := s.Timeout.Duration; t < 10*time.Millisecond || t > maxTimeout {
		fault(".timeout: must be between 10ms and 1m.")
	}
	if t := s.Interval.Duration; t < 0 || t > maxTimeout {
		fault(".interval: must be between 0s and 1m.")
	}
	if s.PerNode && len(s.Addresses) > 0 {
		fault(": per_node and addresses do not go together.")
	}
	if len(s.Addresses) > maxAddresses {
		fault(".addresses: %d are more than %d.", len(s.Addresses), maxAddresses)
	}
	for _, a := range s.Addresses {
		if !isAddress(a) {
			fault(".addresses: %q is no host or host:port.", a)
		}
	}
}

func (m Match) check(key string, fault func(string, ...any)) {
	if _, err := regexp.Compile(strings.ReplaceAll(m.Matches, "{sha}", "0")); err != nil {
		fault("%s.matches: %q is no regular expression.", key, m.Matches)
	}
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)

func isAddress(a string) bool {
	host, port, err := net.SplitHostPort(a)
	if err != nil {
		return hostName.MatchString(a) || net.ParseIP(strings.Trim(a, "[]")) != nil
	}
	_, err = net.LookupPort("tcp", port)
	return err == nil && (hostName.MatchString(host) || net.ParseIP(host) != nil)
}
