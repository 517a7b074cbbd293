package slack

import (
	"testing"

	"deployportal/internal/errs/errstest"
)

// What Slack is refused stands in testdata/refusals.txt, so that a new sentence is read by somebody.
func TestEveryRefusalIsTold(t *testing.T) {
	errstest.Hold(t, *update, map[string]int{"misread": 1})
}
