package portal_test

import (
	"regexp"
	"testing"

	"deployportal/internal/portal"
)

// The pattern holds inside what Gitea makes of it, and takes nothing that merely begins or ends like a tag.
func TestKeepPattern(t *testing.T) {
	list := []portal.Keep{{App: "api", Env: "prod", Tag: "abc1234"}, {App: "api", Env: "staging", Tag: "abc1234"}, {App: "web", Env: "prod", Tag: "v1.2"},
		{App: "old", Env: "prod", Digest: "sha256:0011"}}
	pattern := portal.KeepPattern(list)
	if pattern != `(?:abc1234|sha256:0011|v1\.2)` {
		t.Errorf("the pattern is %s", pattern)
	}
	asGitea := regexp.MustCompile(`(?i)\A` + pattern + `\z`)
	for version, want := range map[string]bool{"abc1234": true, "v1.2": true, "sha256:0011": true, "abc12345": false, "xabc1234": false, "v1x2": false, "v1.2.3": false, "": false} {
		if asGitea.MatchString(version) != want {
			t.Errorf("%q is kept: %v", version, !want)
		}
	}
	if none := regexp.MustCompile(`(?i)\A` + portal.KeepPattern(nil) + `\z`); none.MatchString("") || none.MatchString("abc1234") {
		t.Error("a list of nothing keeps something")
	}
}
