package browser_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

var (
	shots   = flag.String("shots", "", "folder that TestShots writes its pictures to")
	axe     = flag.String("axe", "", "axe.min.js of axe-core, to be run on every page beside the package's own checks")
	demoArg = flag.String("demo", "", `"URL USER PASSWORD STATE" of a demo that runs already, for work on these tests`)
)

// TestMain stops what the tests have shared. Something that does not stop, or leaves something behind, fails the run.
func TestMain(m *testing.M) {
	code := m.Run()
	stopChrome()
	if err := stopDemo(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping the demo:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}
