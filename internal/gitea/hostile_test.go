package gitea

import (
	"encoding/json"
	"strings"
	"testing"

	"deployportal/internal/foreign/foreigntest"
)

// TestHostileAnswers: whatever stands in Gitea's answers, nothing that acts or hides gets past the client, and no link but
// one to a web address.
func TestHostileAnswers(t *testing.T) {
	for _, p := range foreigntest.Payloads() {
		s := strings.ToValidUTF8(p.Text, "\ufffd") // as the decoder reads any string
		answer, err := json.Marshal(map[string]any{
			"id": 7, "version": "abc1234", "creator": map[string]string{"login": s}, "html_url": s,
			"sha": s, "commit": map[string]any{"message": s, "author": map[string]any{"name": s}},
			"files":    []map[string]string{{"filename": "migrations/" + s, "status": s}},
			"statuses": []map[string]string{{"context": s, "status": "failure", "target_url": s}, {"context": s, "status": s}},
		})
		if err != nil {
			t.Fatal(err)
		}
		var row apiPackage
		var commit apiCommit
		var statuses apiStatuses
		for _, into := range []any{&row, &commit, &statuses} {
			if err := json.Unmarshal(answer, into); err != nil {
				t.Fatal(err)
			}
		}
		c := collector{keep: defaultTags.MatchString, ids: map[int64]bool{}, tags: map[string]bool{}}
		c.add([]apiPackage{row})
		foreigntest.Strings([]any{c.found, commit.commit(), statuses.ci()}, func(path, text string) {
			if harm := foreigntest.Harm(text); harm != "" && !strings.HasSuffix(path, "URL") || strings.ContainsAny(text, "\n\t") || len(text) > 2000 {
				t.Errorf("%.40q: %s is %.60q: %s", s, path, text, harm)
			}
			if strings.HasSuffix(path, "URL") && text != "" && !strings.HasPrefix(text, "https://") && !strings.HasPrefix(text, "http://") {
				t.Errorf("%.40q: %s is %.60q", s, path, text)
			}
		})
	}
}
