package errstest_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"deployportal/internal/errs/errstest"
)

const sample = `package p

var errBusy = errs.New(errs.Unavailable, "Busy.")

func (r *run) apply(why string) error {
	if why == "" {
		return errs.Wrap(err, errs.Conflict, "%s is gone (%d).", r.name, 7)
	}
	return errs.New(kind(), why, 1)
}

func back() error { return held("no %s.", x) }

func other() { log.New("no sentence") }
`

// Every way to make an error is found, with its function and its kind, also where the sentence is written elsewhere.
func TestSentences(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.go")
	if err := os.WriteFile(path, []byte(sample), 0o600); err != nil {
		t.Fatal(err)
	}
	got := errstest.Sentences(t, []string{path, "left_out_test.go"}, map[string]int{"held": 0})
	for i := range got {
		got[i].Where = ""
	}
	want := []errstest.Sentence{
		{Place: "p.go", Kind: "Unavailable", Format: "Busy."},
		{Place: "p.go run.apply", Kind: "Conflict", Format: "%s is gone (%d).", Args: "r.name, 7"},
		{Place: "p.go run.apply", Kind: "kind()", Args: "why, 1"},
		{Place: "p.go back", Format: "no %s.", Args: "x"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("found %+v, want %+v", got, want)
	}
}
