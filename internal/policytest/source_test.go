package policytest

import (
	"go/ast"
	"slices"
	"strings"
)

var sourceRules = []rule{
	{"package-comment", "a package says once what it is for; two comments disagree sooner or later", packageComment},
	{"doc-comment", "an exported name without its contract is guessed at", docComment},
	{"apply-once", "the patch is sent from one place, behind the audit entry: a second caller would change the cluster unrecorded", applyOnce},
	{"no-sleep", "a sleep hopes; a wait point or a synctest bubble knows", noSleep},
	{"no-print", "what is printed past slog has no level, no request id and no redaction", noPrint},
	{"no-skip", "a skip looks like a pass; testenv.Skip fails with CI=true", noSkip},
	{"no-init", "what runs before main cannot be configured, ordered or tested", noInit},
}

func packageComment(m *module) ([]finding, error) {
	var found []finding
	for _, p := range m.pkgs {
		var with []string
		for _, f := range p.files {
			inPackage := !strings.HasSuffix(f.ast.Name.Name, "_test")
			if f.ast.Doc.Text() != "" && inPackage && !f.test && !f.generated {
				with = append(with, f.name)
			}
		}
		switch {
		case len(with) == 0:
			found = append(found, findf(p.path, "the package has no comment"))
		case len(with) > 1:
			found = append(found, findf(p.path, "the package has more than one comment: %s", strings.Join(with, ", ")))
		}
	}
	return found, nil
}

func docComment(m *module) ([]finding, error) {
	var found []finding
	for _, p := range m.pkgs {
		for _, f := range p.files {
			if f.test || f.generated || f.ast.Name.Name == "main" {
				continue
			}
			for _, name := range undocumented(f.ast) {
				found = append(found, findf(f.name, "%s has no comment", name))
			}
		}
	}
	return found, nil
}

// undocumented lists the exported declarations without a comment. One comment on a group is enough for its members.
func undocumented(tree *ast.File) []string {
	var names []string
	for _, d := range tree.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) && !wellKnown[d.Name.Name] {
				names = append(names, d.Name.Name)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					if d.Doc == nil && s.Doc == nil && s.Comment == nil && s.Name.IsExported() {
						names = append(names, s.Name.Name)
					}
				case *ast.ValueSpec:
					if d.Doc == nil && s.Doc == nil && s.Comment == nil && s.Names[0].IsExported() {
						names = append(names, s.Names[0].Name)
					}
				}
			}
		}
	}
	return names
}

// wellKnown are methods whose contract is that of a well-known interface.
var wellKnown = map[string]bool{
	"Error": true, "Unwrap": true, "String": true, "GoString": true, "Scan": true, "Value": true, "LogValue": true,
	"MarshalText": true, "UnmarshalText": true, "MarshalJSON": true, "UnmarshalJSON": true, "ServeHTTP": true,
	"Write": true, "Read": true, "Close": true, "Len": true, "Less": true, "Swap": true, "RoundTrip": true,
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	exported := true
	ast.Inspect(d.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			exported = id.IsExported()
			return false
		}
		return exported
	})
	return exported
}

// applyOnce takes every mention of a method named Apply, called or not, for Cluster.Apply: the name is kept for it.
func applyOnce(m *module) ([]finding, error) {
	const home = "internal/deploys/runner.go"
	var found []finding
	n := 0
	for _, f := range m.production() {
		imported := importNames(f.ast)
		ast.Inspect(f.ast, func(node ast.Node) bool {
			sel, ok := node.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "Apply" {
				return true
			}
			if id, ok := sel.X.(*ast.Ident); ok && imported[id.Name] {
				return true // a function of another package
			}
			if f.name == home {
				n++
				return true
			}
			found = append(found, findf(f.name, "Cluster.Apply is used here; only %s may", home))
			return true
		})
	}
	if n != 1 {
		found = append(found, findf(home, "Cluster.Apply is used %d times, want 1", n))
	}
	return found, nil
}

func noSleep(m *module) ([]finding, error) {
	var found []finding
	for _, f := range m.production() {
		if calls(f.ast, "time", "Sleep") {
			found = append(found, findf(f.name, "time.Sleep in production code: wait for the thing itself, with a context"))
		}
	}
	for _, f := range m.forTests() {
		if calls(f.ast, "time", "Sleep") && !slices.Contains(f.imports, "testing/synctest") {
			found = append(found, findf(f.name, "time.Sleep outside a testing/synctest bubble: use a wait point, or poll what is waited for up to a deadline"))
		}
	}
	return found, nil
}

func noPrint(m *module) ([]finding, error) {
	var found []finding
	for _, f := range m.production() {
		if !strings.HasPrefix(f.name, "internal/") && !strings.HasPrefix(f.name, "web/") {
			continue // a command prints
		}
		for _, name := range []string{"Print", "Printf", "Println"} {
			if calls(f.ast, "fmt", name) {
				found = append(found, findf(f.name, "fmt.%s: log with slog or write to a given io.Writer", name))
			}
		}
		if slices.Contains(f.imports, "log") {
			found = append(found, findf(f.name, "the standard logger: use slog"))
		}
	}
	return found, nil
}

// noSkip looks for Skip, Skipf and SkipNow on what is declared as a *testing.T and its like.
func noSkip(m *module) ([]finding, error) {
	var found []finding
	for _, f := range m.forTests() {
		if strings.HasPrefix(f.name, "internal/testenv/") {
			continue
		}
		subjects := testSubjects(f.ast)
		ast.Inspect(f.ast, func(node ast.Node) bool {
			sel, ok := node.(*ast.SelectorExpr)
			if !ok || !slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
				return true
			}
			if id, ok := sel.X.(*ast.Ident); ok && subjects[id.Name] {
				found = append(found, findf(f.name, "%s.%s: use testenv.Skip", id.Name, sel.Sel.Name))
			}
			return true
		})
	}
	return found, nil
}

// testSubjects are the names of parameters and variables declared as *testing.T, *testing.B, *testing.F or testing.TB.
func testSubjects(tree *ast.File) map[string]bool {
	names := map[string]bool{}
	ast.Inspect(tree, func(node ast.Node) bool {
		field, ok := node.(*ast.Field)
		if !ok {
			return true
		}
		t := field.Type
		if star, ok := t.(*ast.StarExpr); ok {
			t = star.X
		}
		if sel, ok := t.(*ast.SelectorExpr); ok {
			if id, ok := sel.X.(*ast.Ident); ok && id.Name == "testing" {
				for _, n := range field.Names {
					names[n.Name] = true
				}
			}
		}
		return true
	})
	return names
}

func noInit(m *module) ([]finding, error) {
	var found []finding
	for _, f := range m.production() {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				found = append(found, findf(f.name, "func init: construct it where it is used"))
			}
		}
	}
	return found, nil
}

// calls tells whether a file mentions a function of a package, under whatever name the package is imported.
func calls(tree *ast.File, pkg, name string) bool {
	local := ""
	for _, spec := range tree.Imports {
		if spec.Path.Value == `"`+pkg+`"` {
			local = pkg
			if spec.Name != nil {
				local = spec.Name.Name
			}
		}
	}
	found := false
	ast.Inspect(tree, func(node ast.Node) bool {
		if sel, ok := node.(*ast.SelectorExpr); ok && sel.Sel.Name == name {
			if id, ok := sel.X.(*ast.Ident); ok && id.Name == local {
				found = true
			}
		}
		return !found
	})
	return found
}

// importNames are the names that imports have in a file, where they can be told from the path.
func importNames(tree *ast.File) map[string]bool {
	names := map[string]bool{}
	for _, spec := range tree.Imports {
		if spec.Name != nil {
			names[spec.Name.Name] = true
			continue
		}
		p := strings.Trim(spec.Path.Value, `"`)
		names[p[strings.LastIndex(p, "/")+1:]] = true
	}
	return names
}
