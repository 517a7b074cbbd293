package web

import (
	"fmt"
	"hash/fnv"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"deployportal/web/templates"
)

// notForeign are the strings in props that are the portal's own and act by design, so that a text of others there would
// be a fault of who filled them in. All other strings are filled with hostile text, whoever writes them now: a field that
// is added tomorrow too.
var notForeign = map[string]string{
	"Stream.URL": "htmx connects to it; made by urls.go from constants and a number", // AppEventsURL, BoardEventsURL, DeployEventsURL
}

// choices are the values of props that name a case. They are constants of package templates, never text.
var choices = map[reflect.Type][]string{
	reflect.TypeFor[templates.Tone]():      {"ok", "busy", "bad", "unknown"},
	reflect.TypeFor[templates.Place]():     {"running", "newer", "older", ""},
	reflect.TypeFor[templates.StepState](): {"done", "now", "fail", "todo"},
}

// slot is where a string stands: ".Live.Sheets[].Rows[].App", and that this is "Row.App".
type slot struct{ path, name string }

// filler fills props. The shape chooses by chance, but always the same for one shape, what decides about branches: flags,
// counts, times, what is there at all. So every shape draws other parts of a component, with text in every string.
type filler struct {
	shape int
	now   time.Time
	text  func(n int) string // of the n-th string
	at    []slot             // of the strings so far
}

// props gives filled props of a type, and where its strings are, in the order they were filled.
func props[T any](t testing.TB, shape int, now time.Time, text func(n int) string) (T, []slot) {
	t.Helper()
	var v T
	f := &filler{shape: shape, now: now, text: text}
	if err := f.fill(reflect.ValueOf(&v).Elem(), "", ""); err != nil {
		t.Fatal(err)
	}
	return v, f.at
}

var index = regexp.MustCompile(`\[\d+\]`)

// pick gives one of n cases for a place.
func (f *filler) pick(path string, n int) int {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s %d", path, f.shape)
	sum := h.Sum32()
	return int((sum ^ sum>>15) * 2654435761 >> 8 % uint32(n))
}

// fill fills v. path is where it is, and name its type and field.
func (f *filler) fill(v reflect.Value, path, name string) error {
	if values, ok := choices[v.Type()]; ok {
		v.SetString(values[f.pick(path, len(values))])
		return nil
	}
	switch v.Type() {
	case reflect.TypeFor[time.Time]():
		if f.pick(path, 2) == 0 || strings.HasSuffix(path, ".Now") { // which is never zero
			v.Set(reflect.ValueOf(f.now.Add(-time.Hour)))
		}
		return nil
	case reflect.TypeFor[string]():
		if _, ours := notForeign[name]; ours {
			v.SetString(quietStream)
			return nil
		}
		if f.shape%2 == 0 || f.pick(path, 6) > 0 { // what is empty decides about branches too
			v.SetString(f.text(len(f.at)))
		}
		f.at = append(f.at, slot{index.ReplaceAllString(path, "[]"), name})
		return nil
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(f.pick(path, 2) == 0)
	case reflect.Int, reflect.Int64:
		some := int64(3)
		if v.Type() == reflect.TypeFor[time.Duration]() {
			some = int64(90 * time.Second)
		}
		v.SetInt(some * int64(f.pick(path, 2)))
	case reflect.Pointer:
		if f.pick(path, 4) == 0 {
			return nil
		}
		v.Set(reflect.New(v.Type().Elem()))
		return f.fill(v.Elem(), path, name)
	case reflect.Slice:
		n := 2
		switch {
		case f.pick(path, 4) == 0:
			n = 0
		case strings.Contains(path, "["): // enough
			n = 1
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			if err := f.fill(v.Index(i), fmt.Sprintf("%s[%d]", path, i), name); err != nil {
				return err
			}
		}
	case reflect.Struct:
		for field, value := range v.Fields() {
			if err := f.fill(value, path+"."+field.Name, v.Type().Name()+"."+field.Name); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("%s: nothing is known of how to fill a %s: is it a case (choices) or text?", name, v.Type())
	}
	return nil
}

// unique gives a sorted list without doubles.
func unique(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}
