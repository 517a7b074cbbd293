package portal

import (
	"slices"
	"testing"

	"deployportal/internal/config"
)

// Only the environments that say so are left to people: what says nothing, and what says rollback, is rolled back by itself.
func TestHolds(t *testing.T) {
	cfg := &config.Config{Environments: []config.Environment{{Name: "staging"}, {Name: "prod", AutoRollback: config.Hold}, {Name: "demo", AutoRollback: config.Rollback}}}
	if got := holds(cfg); !slices.Equal(got, []string{"prod"}) {
		t.Errorf("held in %v", got)
	}
}
