package foreign

import (
	"fmt"
	"log/slog"
)

// LogAttr makes what is logged harmless, for slog.HandlerOptions.ReplaceAttr: slog's own quoting keeps one record to one
// line, but lets through what a terminal deletes or does not show.
func LogAttr(_ []string, a slog.Attr) slog.Attr {
	a.Value = a.Value.Resolve()
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(Line(a.Value.String(), most))
	case slog.KindAny: // errors above all
		a.Value = slog.StringValue(Line(fmt.Sprint(a.Value.Any()), most))
	}
	return a
}
