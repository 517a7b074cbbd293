package testenv

import (
	"fmt"
	"testing"
)

// recorder notes how Skip would have ended a test.
type recorder struct {
	testing.TB
	ended string
}

func (*recorder) Helper() {}

func (r *recorder) Fatal(args ...any) { r.end("fatal: " + fmt.Sprint(args...)) }

func (r *recorder) Fatalf(format string, args ...any) {
	r.end("fatal: " + fmt.Sprintf(format, args...))
}

func (r *recorder) Skip(args ...any) { r.end("skip: " + fmt.Sprint(args...)) }

// end panics, because Fatal and Skip do not return.
func (r *recorder) end(how string) {
	r.ended = how
	panic(r)
}

func TestSkip(t *testing.T) {
	for _, c := range []struct{ ci, reason, want string }{
		{"", "needs Chromium", "skip: needs Chromium"},
		{"false", "needs Chromium", "skip: needs Chromium"},
		{"true", "needs Chromium", "fatal: skipped with CI=true: needs Chromium"},
		{"", "", "fatal: testenv.Skip needs a reason"},
	} {
		t.Setenv("CI", c.ci)
		r := &recorder{TB: t}
		func() {
			defer func() { _ = recover() }()
			Skip(r, c.reason)
		}()
		if r.ended != c.want {
			t.Errorf("CI=%q, reason %q: %q, want %q", c.ci, c.reason, r.ended, c.want)
		}
	}
}
