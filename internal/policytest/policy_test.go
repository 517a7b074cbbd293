package policytest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// A rule is one promise of the repository.
type rule struct {
	name  string
	why   string // what goes wrong without it, for whoever broke it
	check func(*module) ([]finding, error)
}

// A finding is one place that breaks a rule.
type finding struct {
	where string // a file or package, relative to the root
	what  string
}

var rules = slices.Concat(importRules, sourceRules, templateRules, fileRules, makefileRules)

func TestPolicy(t *testing.T) {
	m := load(t, filepath.Join("..", ".."))
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			found, err := r.check(m)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range found {
				t.Errorf("%s: %s", f.where, f.what)
			}
			if len(found) > 0 {
				t.Logf("why: %s", r.why)
			}
		})
	}
}

// TestViolations proves that every rule sees: on a module with one violation of each rule, each rule finds its own and
// nothing else. The comment of the archive lists them as "rule where".
func TestViolations(t *testing.T) {
	archive, err := txtar.ParseFile(filepath.Join("testdata", "violations.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, f := range archive.Files {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var want []string
	for line := range strings.Lines(string(archive.Comment)) {
		if words := strings.Fields(line); len(words) == 2 {
			want = append(want, words[0]+" "+words[1])
		}
	}

	m := load(t, dir)
	var got []string
	for _, r := range rules {
		if r.why == "" {
			t.Errorf("rule %s gives no reason", r.name)
		}
		if !slices.ContainsFunc(want, func(w string) bool { return strings.HasPrefix(w, r.name+" ") }) {
			t.Errorf("rule %s has no violation in the archive", r.name)
		}
		found, err := r.check(m)
		if err != nil {
			t.Fatalf("%s: %v", r.name, err)
		}
		for _, f := range found {
			got = append(got, r.name+" "+f.where)
			t.Logf("%s: %s: %s", r.name, f.where, f.what)
		}
	}
	for _, d := range difference(want, got) {
		t.Errorf("not found: %s", d)
	}
	for _, d := range difference(got, want) {
		t.Errorf("found, but not planted: %s", d)
	}
}

// difference gives what a has more often than b.
func difference(a, b []string) []string {
	left := slices.Clone(b)
	var more []string
	for _, s := range a {
		if i := slices.Index(left, s); i >= 0 {
			left = slices.Delete(left, i, i+1)
			continue
		}
		more = append(more, s)
	}
	return more
}

func findf(where, format string, args ...any) finding {
	return finding{where: where, what: fmt.Sprintf(format, args...)}
}
