package deploys

import "strings"

// What a program says may hold a password. So whoever keeps what it said, or tells it further than a page, can tell it
// from what is said about it: a sentence quotes a log in one way only, and other words of programs are evidence of the
// kind FromLog.

// itSaid begins a quotation of a log, which ends its sentence.
const itSaid = " It said: "

func quoting(about, line string) string { return about + itSaid + sentence(line) }

// Unquoted leaves out what a log said, up to the end of what is quoted where the sentence that tells it is quoted itself.
func Unquoted(s string) string {
	about, rest, quotes := strings.Cut(s, itSaid)
	if !quotes {
		return s
	}
	if strings.Count(about, "“") > strings.Count(about, "”") {
		if end := strings.LastIndex(rest, "”"); end >= 0 {
			return about + rest[end:]
		}
	}
	return about
}

// probeSaid is what a failing probe was told beyond its short answer.
func probeSaid(p *Probe) []Evidence {
	if p.Said == "" {
		return nil
	}
	return []Evidence{{Kind: FromLog, At: p.LastFail, Text: p.Said}}
}
