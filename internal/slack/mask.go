package slack

import (
	"regexp"
	"slices"
	"strings"

	"deployportal/internal/deploys"
	"deployportal/internal/foreign"
)

// userinfo is the part of a URL that may hold a password, up to the last @ of the word: a password may hold one too.
// A URL that was cut may have been cut in the middle of it.
var (
	userinfo    = regexp.MustCompile(`://[^\s"'<>]*@`)
	userinfoCut = regexp.MustCompile(`://[^\s"'<>/@]*:[^\s"'<>]*…`)
)

const (
	masked        = "•••"
	shortestMask  = 4 // what is shorter stands everywhere by chance
	endedEvidence = "ended"
)

// voice tells in Slack what was said elsewhere: without what a log said, where the environment does not let it, and never
// with a configured secret or the password of a URL.
type voice struct {
	logs    bool
	secrets []string // lines of them, the longest first: one may begin like another
}

func newVoice(o Options, env Env) voice {
	v := voice{logs: env.Logs}
	for _, secret := range o.Secrets {
		for line := range strings.Lines(secret) { // a key in PEM: it comes line by line in a log
			if line = strings.TrimSpace(line); len(line) >= shortestMask {
				v.secrets = append(v.secrets, line)
			}
		}
	}
	slices.SortFunc(v.secrets, func(a, b string) int { return len(b) - len(a) })
	return v
}

// text is what others said, harmless, and no longer than most as Slack counts: after it was escaped.
func (v voice) text(s string, most int) string {
	line, size := foreign.Line(v.clear(s), most), 0
	for i, r := range line {
		if size += len(escape(string(r))); size > most {
			return escape(line[:i]) + "…"
		}
	}
	return escape(line)
}

// clear takes out what may not be told.
func (v voice) clear(s string) string {
	if !v.logs {
		s = deploys.Unquoted(s)
	}
	for _, secret := range v.secrets {
		s = strings.ReplaceAll(s, secret, masked)
	}
	if strings.Contains(s, "…") {
		s = v.clearCut(s)
	}
	s = userinfo.ReplaceAllString(s, "://"+masked+"@")
	return userinfoCut.ReplaceAllString(s, "://"+masked+"…")
}

// clearCut takes out the beginnings of secrets that stand where a text was cut.
func (v voice) clearCut(s string) string {
	parts := strings.Split(s, "…")
	for i, part := range parts[:len(parts)-1] {
		for _, secret := range v.secrets {
			for n := len(secret) - 1; n >= shortestMask; n-- {
				if rest, ok := strings.CutSuffix(part, secret[:n]); ok {
					part = rest + masked
				}
			}
		}
		parts[i] = part
	}
	return strings.Join(parts, "…")
}
