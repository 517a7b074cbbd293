package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"deployportal/internal/config"
)

func none(string) string { return "" }

func TestParse(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("s3cret-canary\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse([]byte(`
url: https://deploy.example.org
trusted_proxies: [10.42.0.0/16]
gitea: {url: "https://git.example.org:3000/sub", user: portal, token_file: `+token+`}
environments: [{name: prod, namespace: honeydue, auto_rollback: hold, read_secrets: true}, {name: staging, namespace: x}]
apps:
- {name: api, image: acme/api, containers: [api, migrate], migrations: [db/schema/, "*.up.sql"], stability: 20s}
- {name: worker, migrations: [], singleton: true, checks: {ci: block, room: off, drains: "off", startup: warn}}
`), func(name string) string {
		return map[string]string{"PORTAL_LISTEN": "127.0.0.1:9999"}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:9999" || c.Gitea.Registry != "git.example.org:3000" || string(c.Gitea.Token) != "s3cret-canary" ||
		c.Apps[0].Stability.Duration != 20*time.Second || c.Limit.Duration != 30*time.Minute || len(c.Proxies) != 1 ||
		len(c.Apps[0].Migrations) != 2 || len(c.Apps[1].Migrations) != 0 ||
		c.Environments[0].AutoRollback != config.Hold || c.Environments[1].AutoRollback != "" ||
		!c.Apps[1].Singleton || !maps.Equal(c.Apps[1].Checks, map[string]config.Finding{"ci": "block", "room": "off", "drains": "off", "startup": "warn"}) ||
		!c.Environments[0].ReadSecrets || c.Environments[1].ReadSecrets {
		t.Errorf("%+v", c)
	}
	asJSON, err := json.Marshal(c.Gitea.Token)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{fmt.Sprintf("%+v %#v %s", c, c, c.Gitea.Token), string(asJSON)} {
		if strings.Contains(s, "canary") {
			t.Errorf("the token is printed: %s", s)
		}
	}
}

func TestWebhookSecret(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("hook-canary\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const rest = "environments: [{name: prod, namespace: honeydue}]\n"
	c, err := config.Parse([]byte(rest+"gitea: {url: http://localhost:3000, webhook_secret_file: "+secret+"}\n"), none)
	if err != nil || string(c.Gitea.WebhookSecret) != "hook-canary" || strings.Contains(fmt.Sprintf("%+v", c), "canary") {
		t.Errorf("%+v, %v", c, err)
	}
	_, err = config.Parse([]byte(rest+"gitea: {url: http://localhost:3000, webhook_secret_file: "+secret+".none}\n"), none)
	if err == nil || !strings.Contains(err.Error(), "webhook_secret_file") {
		t.Errorf("%v, want both problems", err)
	}
}

func TestEmptyListsAreValid(t *testing.T) {
	c, err := config.Parse([]byte("gitea: {url: http://localhost:3000}\nenvironments: [{name: prod, namespace: honeydue}]\napps: []\ntrusted_proxies: []\n"), none)
	if err != nil || len(c.Apps) != 0 {
		t.Errorf("%v %+v", err, c)
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	_, err := config.Parse([]byte(`
listen: nowhere
url: ftp://x
gitea: {user: a}
environments: [{name: Prod, namespace: "", auto_rollback: perhaps}]
apps: [{name: api, environments: [moon], checks: {ci: perhaps}}]
tags: "["
`), none)
	var p config.Problems
	if !errors.As(err, &p) || len(p) != 10 {
		t.Fatalf("%d problems:\n%v", len(p), err)
	}
	for i, want := range []string{"listen:", "url:", "tags:", "gitea.url:", "gitea: user and token_file", "environments[0].name", "environments[0].namespace", "environments[0].auto_rollback", "apps[0].checks.ci", "apps[0].environments"} {
		if !strings.HasPrefix(p[i], want) {
			t.Errorf("problem %d is %q, want %s", i, p[i], want)
		}
	}
}

func TestMigrationPatterns(t *testing.T) {
	_, err := config.Parse([]byte(`
gitea: {url: http://localhost:3000}
environments: [{name: prod, namespace: honeydue}]
apps: [{name: api, migrations: ["", "/", "/db/", "db/*/", "db/**/x.sql", "[", "db/V*__*.sql", "migrations/"]}]
`), none)
	var p config.Problems
	if !errors.As(err, &p) || len(p) != 6 {
		t.Fatalf("%d problems:\n%v", len(p), err)
	}
	for i, want := range []string{"names nothing", "names nothing", "begins with a slash", "a wildcard", "has **", "is no pattern"} {
		if !strings.HasPrefix(p[i], "apps[0].migrations: ") || !strings.Contains(p[i], want) {
			t.Errorf("problem %d is %q, want %q", i, p[i], want)
		}
	}
}

// TestReadSecretsIsYesOrNo: what is not plainly yes must not be taken for it.
func TestReadSecretsIsYesOrNo(t *testing.T) {
	_, err := config.Parse([]byte("environments: [{name: prod, namespace: honeydue, read_secrets: \"true\"}]\n"), none)
	if err == nil || !strings.Contains(err.Error(), "read_secrets of type bool") {
		t.Errorf("%v", err)
	}
}

func TestUnknownFieldIsAProblem(t *testing.T) {
	_, err := config.Parse([]byte("listn: 127.0.0.1:1\n"), none)
	if err == nil || !strings.Contains(err.Error(), `unknown field "listn"`) {
		t.Errorf("%v", err)
	}
}

func TestNoFile(t *testing.T) {
	_, err := config.Load(filepath.Join(t.TempDir(), "none.yaml"), none)
	if err == nil || !strings.Contains(err.Error(), "There is no configuration file") {
		t.Errorf("%v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("listen: 1")
	f.Add("environments: [{name: prod, namespace: x}]\ngitea: {url: http://x}")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := config.Parse([]byte(text), none)
		if (c == nil) == (err == nil) {
			t.Error("neither or both")
		}
	})
}
