package portal

import (
	"errors"
	"strings"
	"testing"

	"deployportal/internal/config"
	"deployportal/internal/deploys"
)

// What the configuration says of checks reaches them, and a name that is none is refused with those that are.
func TestChecksOf(t *testing.T) {
	cfg := &config.Config{Apps: []config.App{{Name: "api", Singleton: true, Checks: map[string]config.Finding{"ci": config.CheckBlock, "room": config.CheckOff}}, {Name: "web"}}}
	tuning, err := checksOf(cfg)
	if err != nil {
		t.Fatal(err)
	}
	room, off := tuning["api"].Findings["room"]
	if !tuning["api"].Singleton || tuning["web"].Singleton || tuning["api"].Findings["ci"] != deploys.Block || !off || room != "" || len(tuning["web"].Findings) != 0 {
		t.Errorf("%+v", tuning)
	}
	cfg.Apps[1].Checks = map[string]config.Finding{"cl": config.CheckWarn}
	var problems config.Problems
	if _, err = checksOf(cfg); !errors.As(err, &problems) || len(problems) != 1 || !strings.HasPrefix(problems[0], `apps[1].checks: there is no check "cl"; there are tag, moved, image, `) {
		t.Errorf("%v", err)
	}
}
