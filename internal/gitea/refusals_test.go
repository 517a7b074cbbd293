package gitea

import (
	"flag"
	"testing"

	"deployportal/internal/errs/errstest"
)

var update = flag.Bool("update", false, "write the refusals as they are now to testdata/refusals.txt")

// What the registry and Gitea are said to have refused stands in testdata/refusals.txt, so that a new sentence is read by somebody.
func TestEveryRefusalIsTold(t *testing.T) {
	errstest.Hold(t, *update, map[string]int{"c.registryFault": 2, "c.apiFault": 3, "orErr": 1})
}
