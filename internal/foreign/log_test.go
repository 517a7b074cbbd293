package foreign_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"deployportal/internal/foreign"
	"deployportal/internal/foreign/foreigntest"
)

func TestLogAttr(t *testing.T) {
	for _, p := range foreigntest.Payloads() {
		var b bytes.Buffer
		log := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: foreign.LogAttr}))
		log.Warn("it failed", "text", p.Text, "err", errors.New(p.Text), "list", []string{p.Text}, "n", 7)
		said := b.String()
		if strings.Count(said, "\n") != 1 || foreigntest.Harm(said) != "" || strings.Contains(said, "\t") || !strings.HasPrefix(said, "time=") ||
			!strings.Contains(said, " level=WARN msg=\"it failed\" text=") || !strings.HasSuffix(said, " n=7\n") {
			t.Errorf("%.40q: the log says %.300q: %s", p.Text, said, foreigntest.Harm(said))
		}
	}
}
