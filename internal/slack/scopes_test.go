package slack

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	api "github.com/slack-go/slack"
)

// methodOf says which of Slack's methods a method of the library's client calls with the bot token.
var methodOf = map[string]string{
	"PostMessageContext":   "chat.postMessage",
	"UpdateMessageContext": "chat.update",
}

// TestScopesAreThoseOfTheCode: a call of a method that is in no table, or a scope that nothing uses, fails.
func TestScopesAreThoseOfTheCode(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	client, used := reflect.TypeFor[*api.Client](), map[string]bool{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"github.com/slack-go/slack"` }) {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if _, is := client.MethodByName(f.Sel.Name); !is || !strings.HasSuffix(f.Sel.Name, "Context") {
				return true
			}
			method, known := methodOf[f.Sel.Name]
			if !known || Scopes[method] == nil {
				t.Errorf("%s calls %s, of which neither methodOf nor Scopes knows", name, f.Sel.Name)
			}
			used[method] = true
			return true
		})
	}
	used[Command] = true
	if got, want := slices.Sorted(maps.Keys(used)), slices.Sorted(maps.Keys(Scopes)); !slices.Equal(got, want) {
		t.Errorf("used are %q, scopes are asked for %q", got, want)
	}
}
