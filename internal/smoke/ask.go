package smoke

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/foreign"
)

const (
	maxBody    = 64 << 10
	maxHeaders = 64 << 10
	maxFault   = 120 // runes of what is told of one failed request
	maxHops    = 5   // redirects on the same host that are followed
)

// asker sends the requests of one probe.
type asker struct {
	Probe
	where    []Node
	clients  []*http.Client // by place in where
	now      expected       // of the version that shall answer
	before   *expected      // of the one before it; nil: it cannot be told apart
	fromName string
}

func newAsker(p Probe, where []Node, from, to deploys.Version) (a *asker, err error) {
	a = &asker{Probe: p, where: where, fromName: from.Short()}
	if a.now, err = p.expects(to.Tag); err != nil {
		return nil, err
	}
	if p.wantsVersion() && from.Tag != "" && to.Tag != "" && from.Tag != to.Tag {
		before, err := p.expects(from.Tag)
		if err != nil {
			return nil, err
		}
		a.before = &before
	}
	for _, n := range where {
		a.clients = append(a.clients, p.client(n.Address))
	}
	return a, nil
}

// client asks with a connection of its own for each request, past any proxy, at this address if there is one.
func (p Probe) client(address string) *http.Client {
	dialer := &net.Dialer{}
	return &http.Client{
		CheckRedirect: p.redirect,
		Transport: &http.Transport{
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: maxHeaders,
			TLSClientConfig:        &tls.Config{InsecureSkipVerify: p.InsecureSkipVerify},
			DialContext: func(ctx context.Context, network, named string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, at(address, named))
			},
		},
	}
}

// at gives where to connect: the address, with the port of the URL where it has none of its own.
func at(address, named string) string {
	if address == "" {
		return named
	}
	if _, _, err := net.SplitHostPort(address); err == nil {
		return address
	}
	_, port, _ := net.SplitHostPort(named)
	return net.JoinHostPort(strings.Trim(address, "[]"), port)
}

func (p Probe) redirect(next *http.Request, via []*http.Request) error {
	if !p.FollowRedirects || next.URL.Host != p.URL.Host || next.URL.Scheme != p.URL.Scheme && next.URL.Scheme != "https" || len(via) > maxHops {
		return http.ErrUseLastResponse
	}
	return nil
}

// ask sends the n-th request and judges its answer.
func (a *asker) ask(ctx context.Context, n int) (r deploys.SmokeResult) {
	to := n % len(a.where)
	r.Address = a.where[to].label()
	if ctx.Err() != nil {
		r.Fault = "not sent, the time was up"
		return r
	}
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	began := time.Now()
	r.Status, r.Fault, r.Old = a.answer(ctx, a.clients[to])
	r.Took, r.Fault = time.Since(began), foreign.Line(r.Fault, maxFault)
	return r
}

func (n Node) label() string {
	if n.Name == "" {
		return foreign.Line(n.Address, maxFault)
	}
	return foreign.Line(n.Name+" ("+n.Address+")", maxFault)
}

func (a *asker) answer(ctx context.Context, client *http.Client) (status int, fault string, old bool) {
	method := a.Method
	if method == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, method, a.URL.String(), http.NoBody)
	if err != nil {
		return 0, err.Error(), false
	}
	req.Header.Set("User-Agent", "deploy-portal-smoke")
	res, err := client.Do(req)
	if err != nil {
		return 0, a.plain(err), false
	}
	defer func() { _ = res.Body.Close() }() // nothing is kept of it
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	switch {
	case err != nil:
		return res.StatusCode, fmt.Sprintf("HTTP %d, then %s", res.StatusCode, a.plain(err)), false
	case !slices.Contains(a.Statuses, res.StatusCode) && res.StatusCode/100 == 3:
		return res.StatusCode, fmt.Sprintf("HTTP %d to %s", res.StatusCode, elsewhere(res)), false
	case !slices.Contains(a.Statuses, res.StatusCode):
		return res.StatusCode, fmt.Sprintf("HTTP %d", res.StatusCode), false
	}
	missed := a.now.missed(body, res.Header)
	if missed == "" {
		return res.StatusCode, "", false
	}
	if a.before != nil && a.before.missed(body, res.Header) == "" {
		return res.StatusCode, fmt.Sprintf("the old version %s still answers", a.fromName), true
	}
	return res.StatusCode, fmt.Sprintf("HTTP %d, but %s", res.StatusCode, missed), false
}

// elsewhere says where an answer leads.
func elsewhere(res *http.Response) string {
	to, err := url.Parse(res.Header.Get("Location"))
	if err != nil || *to == (url.URL{}) {
		return "nowhere"
	}
	return shown(to)
}

// plain says in a few words why no answer came.
func (a *asker) plain(err error) string {
	var name *net.DNSError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Sprintf("no answer within %g s", a.Timeout.Seconds())
	case errors.As(err, &name):
		return "the name " + name.Name + " is not known"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was cut"
	case errors.As(err, &unknown):
		return "the certificate is signed by nobody known"
	case errors.As(err, &host):
		return "the certificate is for another name"
	case errors.As(err, &invalid):
		return "the certificate is not valid: " + invalid.Error()
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) { // the innermost: the URL stands elsewhere
		err = inner
	}
	if strings.HasPrefix(err.Error(), "failed to parse Location header") { // it quotes the whole address
		return "a redirect to what is no URL"
	}
	return err.Error()
}

// expected is what an answer must hold, for one version.
type expected struct {
	version string // tag that is to be named, at reading length; empty: none
	body    matcher
	headers map[string]matcher
}

type matcher struct {
	contains string
	matches  *regexp.Regexp
	version  bool // it names the version
}

const sha = "{sha}"

func (m Match) wantsVersion() bool {
	return strings.Contains(m.Contains, sha) || strings.Contains(m.Matches, sha)
}

func (p Probe) wantsVersion() bool {
	if p.Body.wantsVersion() {
		return true
	}
	for _, m := range p.Headers {
		if m.wantsVersion() {
			return true
		}
	}
	return false
}

// expects puts a tag in. Without one, what would name it is not asked for.
func (p Probe) expects(tag string) (e expected, err error) {
	e.version = deploys.ShortTag(tag)
	if e.body, err = p.Body.with(tag); err != nil {
		return e, err
	}
	e.headers = map[string]matcher{}
	for name, m := range p.Headers {
		if e.headers[name], err = m.with(tag); err != nil {
			return e, err
		}
	}
	return e, nil
}

func (m Match) with(tag string) (matcher, error) {
	out := matcher{version: m.wantsVersion()}
	if out.version && tag == "" {
		return matcher{}, nil
	}
	out.contains = strings.ReplaceAll(m.Contains, sha, tag)
	if m.Matches == "" {
		return out, nil
	}
	re, err := regexp.Compile(strings.ReplaceAll(m.Matches, sha, regexp.QuoteMeta(tag)))
	if err != nil {
		return out, errs.Wrap(err, errs.Invalid, "The smoke probe's expression %q cannot be read.", m.Matches)
	}
	out.matches = re
	return out, nil
}

func (m matcher) fits(text string) bool {
	return strings.Contains(text, m.contains) && (m.matches == nil || m.matches.MatchString(text))
}

// missed says what an answer lacks; empty: nothing.
func (e expected) missed(body []byte, header http.Header) string {
	lacks := func(what string, m matcher) string {
		if m.version {
			return what + " does not name " + e.version
		}
		return what + " is not as expected"
	}
	if !e.body.fits(string(body)) {
		return lacks("its body", e.body)
	}
	for _, name := range slices.Sorted(maps.Keys(e.headers)) {
		if m := e.headers[name]; !m.fits(strings.Join(header.Values(name), ", ")) {
			return lacks("its header "+name, m)
		}
	}
	return ""
}
