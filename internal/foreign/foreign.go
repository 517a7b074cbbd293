// Package foreign makes text that others wrote fit to be shown, kept and logged: commit subjects, log lines, messages of
// the cluster, reasons people type. Each package through which such text enters calls Line, or Lines for a log, once,
// at its edge; behind it text is only ever printed and escaped.
//
// What comes out is valid UTF-8 without anything that acts on who shows it (terminal sequences, control characters,
// bidirectional controls), that cannot be seen (zero-width and blank characters, tags) or that spills over what stands
// around it (floods of combining marks). It may still be markup, a formula or a command: escaping for a page, a
// spreadsheet or a shell is the business of who writes one.
package foreign

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	most  = 1 << 16 // runes that any text may keep
	marks = 4       // combining marks that one character may carry; no living script needs more
	slack = 16      // bytes looked at for each rune that may be kept: what hides behind more is no text
)

// sequences are what a terminal takes for a command: CSI; strings (OSC, DCS, SOS, PM, APC) that are ended; and other
// escapes. Those with a character of their own (C1) count too. A string without an end loses its introducer only, or
// it would hide the rest.
var sequences = regexp.MustCompile(`(?:\x1b\[|\x{9b})[0-?]*[ -/]*[@-~]` +
	`|(?:\x1b[\]PX^_]|[\x{9d}\x{90}\x{98}\x{9e}\x{9f}])[^\x07\x1b\x{9c}]*(?:\x07|\x1b\\|\x{9c})` +
	`|\x1b[ -/]*[0-~]?`)

// Line gives s as one line of at most limit runes; a longer one is cut and ends in "…". White space of any kind,
// line ends too, becomes one space, none at the ends. What is not UTF-8 becomes U+FFFD, as does a text of which nothing
// can be seen; only white space and terminal sequences give an empty line. Line(Line(s, n), n) is Line(s, n).
func Line(s string, limit int) string {
	limit = max(1, min(limit, most))
	if len(s) <= limit && tidy(s) {
		return s
	}
	w := writer{limit: limit}
	if len(s) > limit*slack {
		s, w.cut = strings.TrimRightFunc(s[:limit*slack], broken), true
	}
	if strings.ContainsAny(s, "\x1b\u0090\u0098\u009b\u009d\u009e\u009f") {
		s = sequences.ReplaceAllString(s, "")
	}
	for _, r := range s {
		if !w.add(r) {
			break
		}
	}
	return w.String()
}

// Lines gives the last lines of a log that say something, oldest first, each as Line gives it but with its indentation.
func Lines(text string, limit, last int) []string {
	var out []string
	for raw := range strings.SplitSeq(text, "\n") {
		rest := strings.TrimLeft(raw, " \t")
		if s := Line(rest, limit); s != "" {
			indent := min(len(raw)-len(rest), 16, max(0, limit-utf8.RuneCountInString(s)))
			out = append(out, strings.Repeat(" ", indent)+s)
		}
	}
	return out[max(0, len(out)-last):]
}

// tidy tells whether s is plain ASCII with single spaces inside: most text is, and stays as it is.
func tidy(s string) bool {
	space := true
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == ' ' && space {
			return false
		}
		space = s[i] == ' '
	}
	return s == "" || !space
}

// writer takes the runes of a text and keeps those that may be shown.
type writer struct {
	b       strings.Builder
	limit   int
	n       int  // runes in b
	space   bool // one is due before the next
	marks   int  // that the last rune carries
	unseen  bool // something was left out that is no white space
	invalid bool // the last rune was U+FFFD
	cut     bool // there is more than fits
}

// add takes a rune; false when there is no room for it.
func (w *writer) add(r rune) bool {
	invalid := r == utf8.RuneError
	switch {
	case unicode.IsSpace(r):
		w.space, w.invalid = w.n > 0, false
		return true
	case hidden(r), invalid && w.invalid:
		w.unseen = true
		return true
	case unicode.Is(unicode.M, r):
		if w.n == 0 || w.space || w.marks == marks {
			w.unseen = true
			return true
		}
		w.marks++
	default:
		w.marks = 0
	}
	need := 1
	if w.space {
		need = 2
	}
	if w.n+need > w.limit {
		w.cut = true
		return false
	}
	if w.space {
		w.b.WriteByte(' ')
	}
	w.b.WriteRune(r)
	w.n += need
	w.space, w.invalid = false, invalid
	return true
}

func (w *writer) String() string {
	s := w.b.String()
	switch {
	case w.cut && w.n < w.limit:
		return s + "…"
	case w.cut:
		_, size := utf8.DecodeLastRuneInString(s)
		return strings.TrimRight(s[:len(s)-size], " ") + "…"
	case s == "" && w.unseen:
		return string(utf8.RuneError)
	}
	return s
}

// broken tells what is left of a character that was cut through.
func broken(r rune) bool { return r == utf8.RuneError }

// hidden tells whether a character acts without being seen, or is not to be seen. A joiner inside a word or between
// two pictures is lost with it: the word is still there.
func hidden(r rune) bool {
	switch {
	case r < 0x7f:
		return r < ' '
	case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector):
		return true
	case r == '\u2800', // a Braille pattern without dots
		r >= 0xe0000 && r <= 0xe0fff,
		unicode.Is(unicode.Noncharacter_Code_Point, r):
		return true
	}
	return false
}
