package web

import (
	"fmt"
	"strings"
	"time"

	"deployportal/internal/deploys"
	"deployportal/web/templates"
)

// imageOf is a version with its commit, for a page. The commit may be the zero one.
func imageOf(v deploys.Version, c deploys.Commit) templates.Image {
	return templates.Image{
		Short: v.Short(), Tag: v.Tag, Digest: v.Digest,
		Subject: c.Subject, Author: c.Author, At: c.At, URL: c.URL,
	}
}

// commitOf is a commit where commits are listed: its SHA is what can be copied.
func commitOf(c deploys.Commit) templates.Image {
	return templates.Image{Short: deploys.ShortTag(c.SHA), Tag: c.SHA, Subject: c.Subject, Author: c.Author, At: c.At, URL: c.URL}
}

// healthMark is a workload's health as a status.
func healthMark(h deploys.Health) templates.Mark {
	switch h {
	case deploys.Healthy:
		return templates.Mark{Tone: templates.OK, Word: "Healthy"}
	case deploys.Progressing:
		return templates.Mark{Tone: templates.Busy, Word: "Progressing"}
	case deploys.Degraded:
		return templates.Mark{Tone: templates.Bad, Word: "Degraded"}
	default:
		return templates.Mark{Tone: templates.Unknown, Word: "Unknown"}
	}
}

// statusMark is a deploy's status. While it runs, liveMark knows more.
func statusMark(s deploys.Status) templates.Mark {
	switch s {
	case deploys.Pending:
		return templates.Mark{Tone: templates.Busy, Word: "Pending"}
	case deploys.Running:
		return templates.Mark{Tone: templates.Busy, Word: "Rolling out"}
	case deploys.Succeeded:
		return templates.Mark{Tone: templates.OK, Word: "Succeeded"}
	case deploys.Failed:
		return templates.Mark{Tone: templates.Bad, Word: "Failed"}
	case deploys.Errored:
		return templates.Mark{Tone: templates.Bad, Word: "Errored"}
	case deploys.Superseded:
		return templates.Mark{Tone: templates.Unknown, Word: "Superseded"}
	default:
		return templates.Mark{Tone: templates.Unknown, Word: "Unknown"}
	}
}

// active tells whether a deploy is still under way.
func active(s deploys.Status) bool { return s == deploys.Pending || s == deploys.Running }

// staleTrouble says since when a cluster has not been seen. Nil while it is seen.
func staleTrouble(r *deploys.Rollout) *templates.Trouble {
	if r == nil || r.StaleSince.IsZero() {
		return nil
	}
	why := r.StaleWhy
	if why == "" {
		why = "The cluster has not been seen since " + r.StaleSince.UTC().Format("15:04 UTC") + "."
	}
	return &templates.Trouble{Sentence: why, Detail: "What happens there now is not known.", Known: r.StaleSince}
}

// atLeast says how often a probe failed. Kubelet events are rate limited, so more than once is a lower bound.
func atLeast(n int32) string {
	switch {
	case n <= 0:
		return ""
	case n == 1:
		return ", at least once"
	default:
		return fmt.Sprintf(", at least %d times", n)
	}
}

// ofReady reads "3 of 3 ready"; empty when nothing was seen.
func ofReady(r *deploys.Rollout) string {
	switch {
	case r == nil || !r.Exists:
		return ""
	case r.Desired == 0:
		return "scaled to zero"
	default:
		return fmt.Sprintf("%d of %d ready", r.Ready, r.Desired)
	}
}

// plural reads "1 pod", "2 pods".
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// shellWord quotes a word for a shell where it must be: what is shown for copying may hold anything.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@=", r)
	}
	if s != "" && strings.TrimFunc(s, plain) == "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// between is b - a, or zero when one of them did not happen.
func between(a, b time.Time) time.Duration {
	if a.IsZero() || b.IsZero() {
		return 0
	}
	return max(0, b.Sub(a))
}
