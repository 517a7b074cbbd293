package slack

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"deployportal/internal/slack/slacktest"
)

var (
	// slips of the pen that no sentence of ours has.
	slips   = regexp.MustCompile(`%!|\S  \S| \.\s| ,|,,|[^.]\.\.($|[^.])|\(\)|““|<nil>|[a-z]!\s`)
	markups = regexp.MustCompile(`<[^<>|]*\|([^<>]*)>`)
)

// asRead is mrkdwn as a person reads it: links by their words, times by their fallback.
func asRead(mrkdwn string) string {
	return unescaping.Replace(markups.ReplaceAllString(mrkdwn, "$1"))
}

// TestGoldenReadsWell prints every golden message as a person reads it (-v), and looks for slips of the pen.
func TestGoldenReadsWell(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d golden files, %v", len(files), err)
	}
	for _, file := range files {
		if strings.HasPrefix(filepath.Base(file), "manifest") {
			continue
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var m slacktest.Message
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		t.Logf("%s\n%s\n(in short: %s)", filepath.Base(file), asRead(m.Seen()), asRead(m.Text))
		for _, said := range []string{asRead(m.Seen()), asRead(m.Text)} {
			if slip := slips.FindString(said); slip != "" || strings.TrimSpace(said) == "" {
				t.Errorf("%s reads badly at %q:\n%s", file, slip, said)
			}
		}
	}
}
