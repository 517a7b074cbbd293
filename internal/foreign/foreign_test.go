package foreign_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"deployportal/internal/foreign"
	"deployportal/internal/foreign/foreigntest"
)

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		"":                                       "",
		"Relax CSP":                              "Relax CSP",
		"  two \r\n\t lines\u2028end ":           "two lines end",
		"naïve 日本語 é":                            "naïve 日本語 é",
		"e\u0301":                                "e\u0301",
		"\x1b[31mfatal\x1b[0m error":             "fatal error",
		"\u009b31mfatal\u009b0m":                 "fatal",
		"\x1b]0;title\x07after":                  "after",
		"\x1b]8;;http://x\x1b\\a\x1b]8;;\a":      "a",
		"\x1b]no end":                            "no end",
		"\x1b[1A\x1b[2K":                         "",
		"secret\b\b\b\b\b\bpublic":               "secretpublic",
		"hidden\rshown":                          "hidden shown",
		"\u202eevil\u202c":                       "evil",
		"pro\u200bd":                             "prod",
		"\u200b":                                 "�",
		"\x00":                                   "�",
		" \n ":                                   "",
		"a\xff\xfe\xfdb":                         "a�b",
		"a�\u200b�b":                             "a�b",
		"\u0301x":                                "x",
		"z\u0300\u0301\u0302\u0303\u0304\u0305!": "z\u0300\u0301\u0302\u0303!",
		strings.Repeat("x", 41):                  strings.Repeat("x", 39) + "…",
		strings.Repeat("é", 41):                  strings.Repeat("é", 39) + "…",
		strings.Repeat("\u200b", 10_000) + "late": "…",
	} {
		if got := foreign.Line(in, 40); got != want {
			t.Errorf("Line(%.60q) = %q, want %q", in, got, want)
		}
	}
}

func TestLines(t *testing.T) {
	text := "\x1b[31mfatal\x1b[0m error\r\n\n\x1b]0;title\x07after\n    at main.go:3\n\tat main.go:4\n\xff bytes\n\x1b]never ended\n" + strings.Repeat("x", 99)
	want := []string{"fatal error", "after", "    at main.go:3", " at main.go:4", "� bytes", "never ended", strings.Repeat("x", 29) + "…"}
	if diff := cmp.Diff(want, foreign.Lines(text, 30, 40)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[5:], foreign.Lines(text, 30, 2)); diff != "" {
		t.Error(diff)
	}
}

// Nothing of the pack gets through, at any length, and a second time changes nothing.
func TestPayloads(t *testing.T) {
	for _, p := range foreigntest.Payloads() {
		for _, limit := range []int{1, 2, 10, 100, 1000} {
			check(t, p.Text, limit)
		}
		if foreign.Line(p.Text, 1000) == "" && strings.TrimFunc(p.Text, unicode.IsSpace) != "" && !strings.Contains(p.Text, "\x1b") {
			t.Errorf("%.60q leaves nothing, not even a sign that there was something", p.Text)
		}
	}
}

func FuzzLine(f *testing.F) {
	for _, p := range foreigntest.Payloads() {
		if len(p.Text) < 2000 {
			f.Add(p.Text, 40)
		}
	}
	f.Fuzz(func(t *testing.T, s string, limit int) { check(t, s, min(max(limit, 1), 5000)) })
}

func check(t *testing.T, s string, limit int) {
	t.Helper()
	got := foreign.Line(s, limit)
	if harm := foreigntest.Harm(got); harm != "" {
		t.Errorf("Line(%.80q, %d) has %s", s, limit, harm)
	}
	if n := utf8.RuneCountInString(got); n > limit {
		t.Errorf("Line(%.80q, %d) has %d runes", s, limit, n)
	}
	if strings.ContainsAny(got, "\n\t\r") || strings.Contains(got, "  ") || got != strings.TrimSpace(got) {
		t.Errorf("Line(%.80q, %d) is no tidy line: %.80q", s, limit, got)
	}
	if again := foreign.Line(got, limit); again != got {
		t.Errorf("Line(%.80q, %d) = %.80q, and once more %.80q", s, limit, got, again)
	}
	for _, line := range foreign.Lines(s, limit, 5) {
		if harm := foreigntest.Harm(line); harm != "" || utf8.RuneCountInString(line) > limit || strings.ContainsAny(line, "\n\t\r") || strings.TrimSpace(line) == "" {
			t.Errorf("Lines(%.80q, %d) gives %.80q: %s", s, limit, line, harm)
		}
	}
}
