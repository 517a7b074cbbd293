package foreigntest_test

import (
	"testing"

	"deployportal/internal/foreign/foreigntest"
)

func TestPack(t *testing.T) {
	all := foreigntest.Payloads()
	seen := map[string]bool{}
	harmful := 0
	for i, p := range all {
		if seen[p.Text] || p.Text == "" || p.Kind == "" {
			t.Errorf("payload %d, %s %.40q, is empty or there twice", i, p.Kind, p.Text)
		}
		seen[p.Text] = true
		if foreigntest.Harm(p.Text) != "" {
			harmful++
		}
	}
	if len(all) < 200 {
		t.Errorf("%d payloads, want 200 or more", len(all))
	}
	if harmful < 60 {
		t.Errorf("Harm sees something in %d payloads only", harmful)
	}
	t.Logf("%d payloads, %d of them with characters that act or hide", len(all), harmful)
}
