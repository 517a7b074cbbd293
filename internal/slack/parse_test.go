package slack

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"deployportal/internal/errs"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		typed string
		want  command
	}{
		{"", command{}},
		{"   ", command{}},
		{"api abc123", command{verb: verbDeploy, app: "api", image: "abc123"}},
		{"  api   ABC123  ", command{verb: verbDeploy, app: "api", image: "abc123"}},
		{"api `abc123` to prod", command{verb: verbDeploy, app: "api", image: "abc123", env: "prod"}},
		{"api abc123 in “prod”", command{verb: verbDeploy, app: "api", image: "abc123", env: "prod"}},
		{"api to prod abc123", command{verb: verbDeploy, app: "api", image: "abc123", env: "prod"}},
		{"api abc123 to prod because the fix <of> it", command{verb: verbDeploy, app: "api", image: "abc123", env: "prod", reason: "the fix of it"}},
		{"api v1.2.3", command{verb: verbDeploy, app: "api", image: "v1.2.3"}},
		{"api", command{verb: verbList, app: "api"}},
		{"api to prod", command{verb: verbList, app: "api", env: "prod"}},
		{"deploy list abc123", command{verb: verbDeploy, app: "list", image: "abc123"}},
		{"deploy deploy abc123 to prod", command{verb: verbDeploy, app: "deploy", image: "abc123", env: "prod"}},
		{"list api", command{verb: verbList, app: "api"}},
		{"List api in prod", command{verb: verbList, app: "api", env: "prod"}},
		{"list list", command{verb: verbList, app: "list"}},
		{"status", command{verb: verbStatus}},
		{"status api", command{verb: verbStatus, app: "api"}},
		{"rollback api", command{verb: verbRollback, app: "api"}},
		{"rollback api abc123", command{verb: verbRollback, app: "api", image: "abc123"}},
		{"rollback api abc123 in prod", command{verb: verbRollback, app: "api", image: "abc123", env: "prod"}},
		{"rollback api to abc123 in prod", command{verb: verbRollback, app: "api", image: "abc123", env: "prod"}},
		{"rollback api to abc123", command{verb: verbRollback, app: "api", env: "abc123"}}, // which of both, only the apps tell
		{"rollback api because of errors", command{verb: verbRollback, app: "api", reason: "of errors"}},
		{"lock api we look into it", command{verb: verbLock, app: "api", reason: "we look into it"}},
		{"lock api in prod for 2h we look", command{verb: verbLock, app: "api", env: "prod", lasts: 2 * time.Hour, reason: "we look"}},
		{"lock api for good reasons", command{verb: verbLock, app: "api", reason: "for good reasons"}},
		{"lock api for 3D a freeze", command{verb: verbLock, app: "api", lasts: 72 * time.Hour, reason: "a freeze"}},
		{"lock api for 0h nothing", command{verb: verbLock, app: "api", reason: "for 0h nothing"}},
		{"unlock api", command{verb: verbUnlock, app: "api"}},
		{"unlock api in prod", command{verb: verbUnlock, app: "api", env: "prod"}},
		{"log api", command{verb: verbLog, app: "api"}},
		{"link 7KQ2M-9XWPT", command{verb: verbLink, code: "7KQ2M-9XWPT"}},
		{"link `7KQ2M - 9XWPT`", command{verb: verbLink, code: "7KQ2M-9XWPT"}},
		{"unlink", command{verb: verbUnlink}},
		{"help", command{verb: verbHelp}},
		{"help me", command{verb: verbHelp}},
		{"lock api a &amp; b &lt;c&gt; &amp;lt;", command{verb: verbLock, app: "api", reason: "a & b <c> &lt;"}},
		{"status <http://api.prod|api.prod>", command{verb: verbStatus, app: "api.prod"}},
		{"status <http://api.prod>", command{verb: verbStatus, app: "api.prod"}},
		{"lock api <@U123|ana> said so in <#C1|ops>", command{verb: verbLock, app: "api", reason: "@ana said so in #ops"}},
		{"lock api <!channel> <!subteam^S1|@team>", command{verb: verbLock, app: "api", reason: "!channel !team"}},
		{"api\u00a0abc123\u200b", command{verb: verbDeploy, app: "api", image: "abc123"}},
	} {
		got, err := parse(c.typed)
		if err != nil || got != c.want {
			t.Errorf("%q: %+v, %v", c.typed, got, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for typed, want := range map[string]string{
		"list":                         "Say which app. For example: /deploy list api",
		"rollback":                     "Say which app.",
		"lock":                         "Say which app.",
		"lock api":                     "Say why",
		"lock api in prod":             "Say why",
		"lock api in prod for 2h":      "", // "for 2h" alone is the reason: at least it says something
		"unlock":                       "Say which app.",
		"log":                          "Say which app.",
		"deploy":                       "Say which app.",
		"link":                         "takes the code",
		"link ``":                      "takes the code",
		"unlink now":                   "takes no more words",
		"api abc123 to":                "Behind “to” stands an environment.",
		"api abc123 to prod in prod":   "names two environments",
		"api abc123 def456":            "What “def456” means there is not clear.",
		"api abc123 because":           "Behind “because” stands a reason.",
		"api because of me":            "Say which image of api.",
		"status api abc123":            "is not clear",
		"status api because of errors": "is not clear",
		"log api 5":                    "is not clear",
	} {
		_, err := parse(typed)
		if want == "" && err == nil {
			continue
		}
		if errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", typed, err)
		}
	}
}

// FuzzParse: whatever is typed, what is read of it is bounded text, and what is refused is a sentence.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"api abc123 to prod", "lock api in prod for 2h x", "<@U1|x> &lt;!here&gt;", "rollback api to abcd in x because y", "link\x00A", "<|>", "<a|b|c>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parse(s)
		if err != nil {
			if errs.KindOf(err) != errs.Invalid || errs.Public(err) == "" {
				t.Errorf("refused by %v", err)
			}
			return
		}
		for _, part := range []string{c.app, c.image, c.env, c.code} {
			if strings.ContainsAny(part, " \n\t\x00") || len(part) > 4*mostTyped {
				t.Errorf("a part is %q", part)
			}
		}
		if !utf8.ValidString(c.reason) || utf8.RuneCountInString(c.reason) > mostTyped {
			t.Errorf("the reason is %q", c.reason)
		}
	})
}

func TestNearest(t *testing.T) {
	names := []string{"api", "admin", "worker", "web"}
	for typed, want := range map[string]string{"aip": "api", "admn": "admin", "wroker": "worker", "wor": "worker", "API": "api", "zzz": "", "we": "web", "": ""} {
		if got := strings.Join(nearest(typed, names), " "); got != want && typed != "" {
			t.Errorf("%q is near %q, not %q", typed, got, want)
		}
	}
	if d := distance("kitten", "sitting"); d != 3 {
		t.Errorf("%d", d)
	}
}
