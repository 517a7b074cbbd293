package kube

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"deployportal/internal/deploys"
	"deployportal/internal/foreign"
)

// hear takes in what is said of a container, oldest first.
func hear(c *deploys.Container, told []said) {
	for _, e := range told {
		switch e.reason {
		case "Pulling":
			c.PullStart = e.last
			c.Pulled = ""
		case "Pulled":
			c.Pulled = pulled(e.message)
		}
	}
	listen(c.Startup, "startup", c.Name, told)
	listen(c.Readiness, "readiness", c.Name, told)
	listen(c.Liveness, "liveness", c.Name, told)
}

// answered is what a probe got, from one event. Of more than two times the instants between first and last are not known.
type answered struct {
	short       string // empty: not known
	said        string // beyond short
	http        int
	count       int32
	first, last time.Time
}

// listen takes in what is said of one probe. Its numbers are of the newest answer alone: another one says nothing of it.
func listen(p *deploys.Probe, kind, container string, told []said) {
	if p == nil {
		return
	}
	var all []answered
	for _, e := range told {
		switch e.reason {
		case "Unhealthy":
			if k, output, ok := probeFailure(e.message); ok && k == kind {
				all = append(all, answersIn(e, output)...)
			}
		case "Killing":
			if k, ok := probeKill(e.message, container); ok && k == kind {
				p.Kills = addCount(p.Kills, e.count)
				p.LastKill = e.last
			}
		}
	}
	if len(all) == 0 {
		return
	}
	newest := all[len(all)-1]
	p.Answer, p.Said, p.HTTP, p.LastFail = newest.short, newest.said, newest.http, newest.last
	for i, a := range all {
		if a.short == p.Answer {
			p.Fails = addCount(p.Fails, a.count)
		}
		if i == 0 || a.short != all[i-1].short {
			p.FirstFail = a.first
			if i > 0 && !a.first.After(all[i-1].last) {
				p.FirstFail = a.last
			}
		}
	}
	p.Through, p.ThroughFails = through(all, *p)
}

// answersIn gives the answers that an event tells of. One that a recorder has combined from different messages tells only the newest.
func answersIn(e said, output string) []answered {
	short, said, http := answer(output)
	if !strings.HasPrefix(e.message, combined) || e.count == 1 {
		return []answered{{short, said, http, e.count, e.first, e.last}}
	}
	return []answered{{count: e.count - 1, first: e.first, last: e.last}, {short, said, http, 1, e.last, e.last}}
}

// through gives the status code that was the only answer in the budget that ended with the newest kill, and how often at least;
// 0: there was another, or none. A quarter of the budget is left to the app, which does not listen yet when it is first asked.
func through(all []answered, p deploys.Probe) (http int, times int32) {
	const second = time.Second // the finest that events are stamped by
	from := p.LastKill.Add(-time.Duration(p.Threshold-1)*p.Period*3/4 + second)
	for _, a := range all {
		if a.http != 0 && !a.first.After(from) {
			http = a.http
		}
	}
	another := func(a answered) bool { return a.http != http && a.within(from, p.LastKill) }
	if http == 0 || p.LastKill.IsZero() || slices.ContainsFunc(all, another) {
		return 0, 0
	}
	for _, a := range all {
		if a.http == http {
			times = addCount(times, a.count)
		}
	}
	return http, min(times, p.Threshold) // there are no more tries in one
}

// within tells whether an answer may have been given after one instant and up to another.
func (a answered) within(from, to time.Time) bool {
	in := func(t time.Time) bool { return t.After(from) && !t.After(to) }
	return in(a.first) || in(a.last) || a.count > 2 && !a.first.After(from) && a.last.After(to)
}

// addCount adds counts that the cluster gave without letting them wrap.
func addCount(a, b int32) int32 {
	if sum := int64(a) + int64(b); sum < 1<<31 {
		return int32(sum)
	}
	return 1<<31 - 1
}

var pullTime = regexp.MustCompile(`^Successfully pulled image .{0,600}? in ([0-9][0-9a-zµ.]*)`)

// pulled reads a Pulled event: how long the pull took, or "present".
func pulled(message string) string {
	if m := pullTime.FindStringSubmatch(message); m != nil {
		return foreign.Line(strings.TrimSuffix(m[1], "."), 32)
	}
	return "present"
}

// combined is what a recorder puts before the newest of more than ten different messages.
const combined = "(combined from similar events): "

var failure = regexp.MustCompile(`(?s)^(Startup|Readiness|Liveness) probe (?:failed|errored)(?: and resulted in \w+ state)?: ?(.*)$`)

// probeFailure reads an Unhealthy event: which probe, and what it got.
func probeFailure(message string) (kind, output string, ok bool) {
	m := failure.FindStringSubmatch(strings.TrimPrefix(message, combined))
	if m == nil {
		return "", "", false
	}
	return strings.ToLower(m[1]), m[2], true
}

// probeKill reads a Killing event: "Container NAME failed startup probe, will be restarted". Other ends of a container
// (the pod is deleted, its definition changed) have another text.
func probeKill(message, container string) (kind string, ok bool) {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(message, combined), "Container "+container+" failed ")
	if !ok {
		return "", false
	}
	kind, _, ok = strings.Cut(rest, " probe")
	return kind, ok
}

const httpFailure = "HTTP probe failed with statuscode: "

// answers maps what stands in a failure to the words for it; the first that matches is taken.
var answers = []struct{ text, short string }{
	{"connection refused", "connection refused"},
	{"server gave HTTP response to HTTPS client", "plain HTTP on an HTTPS probe"},
	{"Client.Timeout exceeded", "timed out"},
	{"context deadline exceeded", "timed out"},
	{"DeadlineExceeded", "timed out"},
	{"timeout: failed to connect service", "timed out"},
	{"i/o timeout", "timed out"},
	{"timed out", "timed out"},
	{"connection reset by peer", "connection reset"},
	{"no route to host", "no route to the pod"},
	{"network is unreachable", "no route to the pod"},
	{"no such host", "no such host"},
	{"does not implement the grpc health protocol", "no gRPC health service"},
	{"tls: ", "TLS failed"},
	{"x509: ", "TLS failed"},
	{"malformed HTTP", "not an HTTP answer"},
	{"stopped after", "too many redirects"},
}

var unhealthy = regexp.MustCompile(`service unhealthy \(responded with "(\w+)"\)`)

// request is how Go's HTTP client begins an error: its query may hold a secret.
var request = regexp.MustCompile(`Get "[^"]*": `)

// answer puts a probe's failure in short, in words of our own, with the status code where it was an HTTP answer. What there
// are no words for is left as it was said: a program's output may hold anything.
func answer(output string) (short, said string, status int) {
	if rest, ok := strings.CutPrefix(output, httpFailure); ok {
		if n, err := strconv.Atoi(strings.TrimSpace(rest)); err == nil && n >= 100 && n <= 999 {
			return fmt.Sprintf("HTTP %d", n), "", n
		}
	}
	if m := unhealthy.FindStringSubmatch(output); m != nil {
		return "gRPC answered " + foreign.Line(m[1], 40), "", 0
	}
	for _, a := range answers {
		if strings.Contains(output, a.text) {
			return a.short, "", 0
		}
	}
	// A request that ended without an answer: Get "http://...": EOF.
	if strings.HasPrefix(output, "Get ") && strings.HasSuffix(output, "EOF") {
		return "closed without an answer", "", 0
	}
	if said = foreign.Line(request.ReplaceAllString(output, ""), 120); said == "" {
		return "failed without a word", "", 0
	}
	return "an error", said, 0
}

// viewProbe says what a probe asks and how patient it is. Missing numbers are the API server's defaults.
func viewProbe(p *corev1.Probe, ports []corev1.ContainerPort) *deploys.Probe {
	if p == nil {
		return nil
	}
	seconds := func(n, otherwise int32) time.Duration {
		if n <= 0 {
			n = otherwise
		}
		return time.Duration(n) * time.Second
	}
	v := &deploys.Probe{Ask: ask(p, ports), Delay: seconds(p.InitialDelaySeconds, 0), Period: seconds(p.PeriodSeconds, 10), Threshold: p.FailureThreshold}
	if v.Threshold <= 0 {
		v.Threshold = 3
	}
	return v
}

// ask says what a probe asks: of a command its program, of a path no query. What follows may hold a password.
func ask(p *corev1.Probe, ports []corev1.ContainerPort) string {
	switch {
	case p.HTTPGet != nil:
		path, _, more := strings.Cut(cmp.Or(p.HTTPGet.Path, "/"), "?")
		if more {
			path += "?…"
		}
		return foreign.Line("GET "+path+" on "+host(p.HTTPGet.Host)+port(p.HTTPGet.Port, ports)+secure(p.HTTPGet.Scheme), 200)
	case p.TCPSocket != nil:
		return foreign.Line("TCP connect to "+host(p.TCPSocket.Host)+port(p.TCPSocket.Port, ports), 200)
	case p.GRPC != nil:
		service := ""
		if p.GRPC.Service != nil && *p.GRPC.Service != "" {
			service = " " + *p.GRPC.Service
		}
		return foreign.Line(fmt.Sprintf("gRPC%s on port %d", service, p.GRPC.Port), 200)
	case p.Exec != nil && len(p.Exec.Command) > 0:
		program, _, _ := strings.Cut(p.Exec.Command[0], " ") // a whole command may have been written as one word
		return foreign.Line("exec "+program, 200)
	}
	return "probe"
}

func host(name string) string {
	if name == "" {
		return ""
	}
	return name + " "
}

func secure(s corev1.URIScheme) string {
	if s == corev1.URISchemeHTTPS {
		return " over HTTPS"
	}
	return ""
}

// port gives the number behind a named port, where the container declares it.
func port(p intstr.IntOrString, ports []corev1.ContainerPort) string {
	if p.Type == intstr.Int {
		return fmt.Sprintf("port %d", p.IntVal)
	}
	for _, declared := range ports {
		if declared.Name == p.StrVal {
			return fmt.Sprintf("port %d", declared.ContainerPort)
		}
	}
	return "port " + p.StrVal
}
