package web

import (
	"flag"
	"testing"

	"deployportal/internal/errs/errstest"
)

var update = flag.Bool("update", false, "write the refusals as they are now to testdata/refusals.txt")

// What the pages refuse by themselves stands in testdata/refusals.txt, so that a new sentence is read by somebody.
func TestEveryRefusalIsTold(t *testing.T) {
	errstest.Hold(t, *update, nil)
}
