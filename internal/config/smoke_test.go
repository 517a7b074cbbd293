package config_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"deployportal/internal/config"
)

const aroundSmoke = `
gitea: {url: "https://git.example.org"}
environments: [{name: prod, namespace: honeydue}, {name: staging, namespace: x}]
apps: [{name: api, environments: [prod], smoke: [`

func TestSmoke(t *testing.T) {
	c, err := config.Parse([]byte(aroundSmoke+`{url: "https://api.example.org/health"},
		{url: "http://api.example.org", status: 204, addresses: [10.0.0.1, "10.0.0.2:8080", "[fd00::1]:80", "fd00::2", node-3]},
		{url: "http://api.example.org", environments: [prod], method: HEAD, status: [200, 301], body: {contains: "{sha}"},
		 headers: {X-Version: {matches: "^{sha}$"}}, requests: 3, concurrency: 1, timeout: 1s, interval: 10ms, allowed_failures: 1,
		 per_node: true, follow_redirects: true, insecure_skip_verify: true}]}]`), none)
	if err != nil {
		t.Fatal(err)
	}
	list := c.Apps[0].Smoke
	if s := list[0]; s.Method != http.MethodGet || len(s.Status) != 1 || s.Status[0] != 200 || s.Requests != 150 || s.Concurrency != 5 ||
		s.Timeout.Duration != 5*time.Second || s.AllowedFailures != 0 || s.Interval.Duration != 0 || s.Target.Host != "api.example.org" ||
		s.FollowRedirects || s.InsecureSkipVerify || s.PerNode {
		t.Errorf("the usual: %+v", s)
	}
	if s := list[1]; len(s.Status) != 1 || s.Status[0] != 204 || len(s.Addresses) != 5 {
		t.Errorf("%+v", s)
	}
	if s := list[2]; s.Method != http.MethodHead || len(s.Status) != 2 || s.Body.Contains != "{sha}" || s.Headers["X-Version"].Matches != "^{sha}$" ||
		s.Requests != 3 || s.Concurrency != 1 || s.Timeout.Duration != time.Second || s.Interval.Duration != 10*time.Millisecond || s.AllowedFailures != 1 ||
		!s.PerNode || !s.FollowRedirects || !s.InsecureSkipVerify {
		t.Errorf("%+v", s)
	}
}

func TestSmokeEnvironments(t *testing.T) {
	const text = `
gitea: {url: "https://git.example.org"}
environments: [{name: prod, namespace: honeydue}]
apps: [{name: api, smoke: [{url: "http://x", environments: [`
	if _, err := config.Parse([]byte(text+"prod]}]}]"), none); err != nil {
		t.Error(err)
	}
	if _, err := config.Parse([]byte(text+"prdo]}]}]"), none); err == nil || !strings.Contains(err.Error(), `the app is not in "prdo"`) {
		t.Errorf("%v", err)
	}
}

func TestSmokeMistakes(t *testing.T) {
	for smoke, want := range map[string]string{
		`{}`:                                                                 `api: smoke[0].url: "" is no http`,
		`{url: "file:///etc/passwd"}`:                                        `is no http or https address`,
		`{url: "http://me:secret@x"}`:                                        `.url: holds a password`,
		`{url: "http://x", method: DELETE}`:                                  `.method: "DELETE" is none of`,
		`{url: "http://x", status: 42}`:                                      `.status: 42 is no HTTP status`,
		`{url: "http://x", status: many}`:                                    `no YAML of the expected shape`,
		`{url: "http://x", body: {matches: "("}}`:                            `.body.matches: "(" is no regular expression`,
		`{url: "http://x", headers: {A: {matches: "("}}}`:                    `.headers.A.matches`,
		`{url: "http://x", body: {has: x}}`:                                  `no YAML of the expected shape`,
		`{url: "http://x", requests: 1001}`:                                  `.requests: 1001 is not between 1 and 1000`,
		`{url: "http://x", requests: -1}`:                                    `.requests: -1 is not between`,
		`{url: "http://x", requests: 600}, {url: "http://x", requests: 600}`: `smoke: 1200 requests in all are more than 1000`,
		`{url: "http://x", concurrency: 51}`:                                 `.concurrency: 51 is not between 1 and 50`,
		`{url: "http://x", requests: 3, allowed_failures: 4}`:                `.allowed_failures: 4 is not between 0 and 3`,
		`{url: "http://x", timeout: 2m}`:                                     `.timeout: must be between`,
		`{url: "http://x", interval: 5s}`:                                    `with these intervals all requests take 12m25s; they have 10m`,
		`{url: "http://x", interval: -1s}`:                                   `.interval: must be between`,
		`{url: "http://x", addresses: ["a/b"]}`:                              `.addresses: "a/b" is no host or host:port`,
		`{url: "http://x", addresses: ["a:99999"]}`:                          `.addresses: "a:99999" is no`,
		`{url: "http://x", addresses: [a], per_node: true}`:                  `per_node and addresses do not go together`,
		`{url: "http://x", environments: [staging]}`:                         `.environments: the app is not in "staging"`,
		`{url: "http://x", environments: [nowhere]}`:                         `.environments: the app is not in "nowhere"`,
	} {
		_, err := config.Parse([]byte(aroundSmoke+smoke+"]}]"), none)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", smoke, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the password is printed: %v", err)
		}
	}
}
