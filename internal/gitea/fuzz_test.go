package gitea

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzPackagePage(f *testing.F) {
	f.Add(`[{"id":7,"version":"abc1234","creator":{"login":"ci"},"html_url":"https://git.example.org/x","created_at":"2026-04-23T19:00:00Z"}]`)
	f.Add(`[{"id":7,"version":"sha256:00","creator":null,"html_url":"javascript:alert(1)"},{"id":7,"version":"abc1234"}]`)
	f.Fuzz(func(t *testing.T, body string) {
		var rows []apiPackage
		if json.Unmarshal([]byte(body), &rows) != nil {
			return
		}
		s := collector{keep: defaultTags.MatchString, ids: map[int64]bool{}, tags: map[string]bool{}}
		s.add(rows)
		s.add(rows)
		seen := map[string]bool{}
		for _, i := range s.found {
			if !defaultTags.MatchString(i.Tag) || seen[i.Tag] || !utf8.ValidString(i.Pusher) {
				t.Fatalf("image %+v", i)
			}
			if i.URL != "" && !strings.HasPrefix(strings.ToLower(i.URL), "http") {
				t.Fatalf("link %q", i.URL)
			}
			seen[i.Tag] = true
		}
	})
}

func FuzzCommit(f *testing.F) {
	f.Add(`{"sha":"ABCDEF0123","html_url":"https://git.example.org/c","commit":{"message":"One\n\nTwo","author":{"name":"Ana","date":"2026-04-23T19:00:00+02:00"}}}`)
	f.Add(`{"sha":"","commit":null}`)
	f.Fuzz(func(t *testing.T, body string) {
		var a apiCommit
		if json.Unmarshal([]byte(body), &a) != nil {
			return
		}
		c := a.commit()
		if strings.ContainsRune(c.Subject, '\n') || utf8.RuneCountInString(c.Subject) > 200 || utf8.RuneCountInString(c.Author) > 100 {
			t.Fatalf("commit %+v", c)
		}
		s := newCommits(4)
		s.add("a/b", c)
		s.find("a/b", c.SHA)
	})
}

func FuzzRealm(f *testing.F) {
	f.Add(`Bearer realm="https://git.example.org/v2/token",service="container_registry",scope="*"`)
	f.Add(`Basic realm="x", Bearer service=y,realm=//evil.example/t`)
	f.Fuzz(func(t *testing.T, header string) {
		if m := realmPattern.FindStringSubmatch(header); m != nil && m[1] == "" {
			t.Fatalf("empty realm out of %q", header)
		}
	})
}
