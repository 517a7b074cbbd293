// Package errstest holds the sentences that a package refuses with to a file that somebody reads: a sentence that is new, or
// that has changed, fails the build until it stands there.
package errstest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Sentence is one place in the source that makes an error for people.
type Sentence struct {
	Where  string // file and line, for a message
	Place  string // file and function: "store.go move", "runner.go run.apply"; a line moves, this does not
	Kind   string // as the source names it: "NotFound"; empty for a function that takes none
	Format string // empty where it is not written where the error is made
	Args   string // of the format, as the source has them
}

// makers are the functions that make errors: which of their arguments are the kind, -1 where none is, and the format.
var makers = map[string][2]int{"errs.New": {0, 1}, "errs.Wrap": {1, 2}}

// Sentences finds what the files make errors of, tests left out, and what is given to the functions in also, which make some
// for others: by what the source calls them, with the number of the argument that is the format.
func Sentences(t testing.TB, files []string, also map[string]int) []Sentence {
	t.Helper()
	var out []Sentence
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			place := strings.TrimSpace(filepath.Base(name) + " " + function(fset, decl))
			ast.Inspect(decl, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				made := source(fset, call.Fun)
				at, ok := makers[made]
				if format, made := also[made]; made {
					at, ok = [2]int{-1, format}, true
				}
				if !ok {
					return true
				}
				s := Sentence{Where: fset.Position(call.Pos()).String(), Place: place}
				if at[0] >= 0 {
					s.Kind = strings.TrimPrefix(source(fset, call.Args[at[0]]), "errs.")
				}
				args := call.Args[at[1]:]
				if lit, ok := args[0].(*ast.BasicLit); ok {
					s.Format, err = strconv.Unquote(lit.Value)
					if err != nil {
						t.Fatal(err)
					}
					args = args[1:]
				}
				var texts []string
				for _, a := range args {
					texts = append(texts, source(fset, a))
				}
				s.Args = strings.Join(texts, ", ")
				out = append(out, s)
				return true
			})
		}
	}
	return out
}

// function names what a declaration declares, "run.apply" or "move"; empty for variables.
func function(fset *token.FileSet, decl ast.Decl) string {
	f, ok := decl.(*ast.FuncDecl)
	if !ok {
		return ""
	}
	if f.Recv == nil {
		return f.Name.Name
	}
	of, _, _ := strings.Cut(source(fset, f.Recv.List[0].Type), "[")
	return strings.TrimPrefix(of, "*") + "." + f.Name.Name
}

func source(fset *token.FileSet, n ast.Node) string {
	var b strings.Builder
	_ = printer.Fprint(&b, fset, n) // a strings.Builder takes everything
	return b.String()
}

// Golden compares text with a file below testdata, and writes it there where update is set.
func Golden(t testing.TB, name, text string, update bool) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("the sentences are not as in %s: read them, then write them with go test -run %s -update. Now they are:\n%s", path, t.Name(), text)
	}
}

// Hold compares all sentences of the package in the working directory, found as Sentences does, with testdata/refusals.txt:
// each with the function that says it. A sentence that is all arguments shows these.
func Hold(t testing.TB, update bool, also map[string]int) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, s := range Sentences(t, files, also) {
		text := s.Format
		if text == "" || text == "%s" {
			text = "<" + s.Args + ">"
		}
		lines = append(lines, strings.TrimSuffix(fmt.Sprintf("# %s (%s)", s.Place, s.Kind), " ()")+"\n"+text+"\n")
	}
	slices.Sort(lines)
	Golden(t, "refusals.txt", strings.Join(slices.Compact(lines), "\n"), update)
}
