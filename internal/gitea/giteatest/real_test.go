package giteatest_test

import (
	"testing"

	"deployportal/internal/gitea/giteatest/conformance"
	"deployportal/internal/gitea/giteatest/giteareal"
)

// What the fake claims to be like, the real one is.
func TestRealGiteaConformance(t *testing.T) { conformance.Run(t, giteareal.Need(t).Org(t)) }
