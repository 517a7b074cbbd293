package stack

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"sigs.k8s.io/yaml"
)

// writeModule makes a module that builds in a second.
func writeModule(t *testing.T, source, code string) binary {
	t.Helper()
	dir := filepath.Join(source, "tiny")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"go.mod": "module tiny\n\ngo 1.26.0\n", "go.sum": "", "main.go": code} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return binary{name: "tiny", pkg: ".", what: "tiny"}
}

func TestBinariesAreBuiltOnceAndSharedByCheckouts(t *testing.T) {
	cache, one, two := t.TempDir(), t.TempDir(), t.TempDir()
	const code = "package main\n\nfunc main() {}\n"
	first, err := writeModule(t, one, code).ensure(t.Context(), one, cache, nil)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(first)
	if err != nil {
		t.Fatal(err)
	}
	second, err := writeModule(t, two, code).ensure(t.Context(), two, cache, nil)
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(second)
	if err != nil {
		t.Fatal(err)
	}
	if first != second || !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) {
		t.Errorf("two checkouts with the same sources: got %s and %s, want one file, built once", first, second)
	}
	changed, err := writeModule(t, two, code+"\n// changed\n").ensure(t.Context(), two, cache, nil)
	if err != nil {
		t.Fatal(err)
	}
	if changed == first {
		t.Error("changed sources gave the old binary")
	}
}

func TestFailedBuildShowsTheCompilersWordsAndLeavesNothing(t *testing.T) {
	cache, source := t.TempDir(), t.TempDir()
	_, err := writeModule(t, source, "package main\n\nfunc main() { oops }\n").ensure(t.Context(), source, cache, nil)
	if err == nil || !strings.Contains(err.Error(), "undefined: oops") {
		t.Errorf("error: got %v, want the compiler's", err)
	}
	left, err := filepath.Glob(filepath.Join(cache, "*", "tiny*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range left {
		if !strings.HasSuffix(name, ".lock") {
			t.Errorf("left behind: %s", name)
		}
	}
}

func TestVersionsComeFromGoMod(t *testing.T) {
	source, err := findSource("")
	if err != nil {
		t.Fatal(err)
	}
	kube, kwok, version, err := binaries(source)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(version, "v1.") || !strings.Contains(kube.flags(), "gitVersion="+version) {
		t.Errorf("version %q, flags %q", version, kube.flags())
	}
	if !strings.HasPrefix(kwok.what, "kwok v0.") {
		t.Errorf("kwok: got %q", kwok.what)
	}
}

func TestStagesGetTheirLibraries(t *testing.T) {
	files := fstest.MapFS{
		"stages/lib.jq":  {Data: []byte("def tag: 1;\n")},
		"stages/lib.tpl": {Data: []byte("{{/* lib */}}")},
		"stages/a.yaml":  {Data: []byte("spec:\n  list:\n  - key: tag\n---\nspec: {template: text, name: key}\n")},
	}
	out, err := renderStages(files, "/logs")
	if err != nil {
		t.Fatal(err)
	}
	documents := bytes.Split(bytes.TrimPrefix(out, []byte("---\n")), []byte("---\n"))
	if len(documents) != 2 {
		t.Fatalf("documents: got %d, want 2:\n%s", len(documents), out)
	}
	var first struct {
		Spec struct{ List []struct{ Key string } }
	}
	if err := yaml.Unmarshal(documents[0], &first); err != nil {
		t.Fatal(err)
	}
	if got, want := first.Spec.List[0].Key, "def tag: 1;\ntag"; got != want {
		t.Errorf("key: got %q, want %q", got, want)
	}
	const lib = "{{/* lib */}}{{- define \"log-dir\" -}}/logs{{- end -}}\n"
	var second struct {
		Spec struct{ Template, Name string }
	}
	if err := yaml.Unmarshal(documents[1], &second); err != nil {
		t.Fatal(err)
	}
	if second.Spec.Template != lib+"text" || second.Spec.Name != "key" {
		t.Errorf("second stage: got %+v", second.Spec)
	}
}
