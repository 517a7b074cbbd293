package policytest

import (
	"go/ast"
	"path"
	"regexp"
	"strings"
)

var makefileRules = []rule{
	{"module-tested", "\"go test ./...\" stops at a nested go.mod: tests behind one that nobody names never run", moduleTested},
	{"chosen-test-run", "a test that make test leaves out of the first run, and in no other, never runs and nobody sees it", chosenTestRun},
}

var (
	moduleTests = regexp.MustCompile(`(?m)^\tgo -C (\S+) test .*\./\.\.\.`)
	skipped     = regexp.MustCompile(`(?m)^\t.* go test .*-skip '([^']+)' \./\.\.\.`)
	chosen      = regexp.MustCompile(`(?m)^\t.* go test .*-run '([^']+)'((?: \./\S+)+)$`)
)

// testRecipe is what "make test" does.
func testRecipe(m *module) (string, error) {
	text, err := m.read("Makefile")
	if err != nil {
		return "", err
	}
	_, recipe, _ := strings.Cut("\n"+string(text), "\ntest:")
	recipe, _, _ = strings.Cut(recipe, "\n\n")
	return recipe, nil
}

func moduleTested(m *module) ([]finding, error) {
	recipe, err := testRecipe(m)
	if err != nil {
		return nil, err
	}
	untested := map[string]bool{}
	for _, name := range m.matching("go.mod") {
		untested[path.Dir(name)] = true
	}
	delete(untested, ".")
	for _, match := range moduleTests.FindAllStringSubmatch(recipe, -1) {
		delete(untested, match[1])
	}
	var found []finding
	modules := m.matching("go.mod")
	for _, name := range m.matching("*_test.go") {
		dir := nearest(modules, name)
		if untested[dir] && !strings.Contains("/"+name, "/testdata/") {
			found = append(found, findf(dir+"/go.mod", "has tests, and make test has no \"go -C %s test ./...\"", dir))
			delete(untested, dir) // said once
		}
	}
	return found, nil
}

// nearest is the folder of the module that a file is in.
func nearest(modules []string, name string) string {
	dir := "."
	for _, mod := range modules {
		if d := path.Dir(mod); strings.HasPrefix(name, d+"/") && len(d) > len(dir) {
			dir = d
		}
	}
	return dir
}

func chosenTestRun(m *module) ([]finding, error) {
	recipe, err := testRecipe(m)
	if err != nil {
		return nil, err
	}
	skip := skipped.FindStringSubmatch(recipe)
	if skip == nil {
		return []finding{findf("Makefile", "make test has no \"go test -skip '...' ./...\" to be read")}, nil
	}
	left, err := regexp.Compile(skip[1])
	if err != nil {
		return nil, err
	}
	var found []finding
	for _, p := range m.pkgs {
		for _, f := range p.files {
			for _, name := range testsIn(f) {
				if left.MatchString(name) && !runsIn(recipe, p.path, name) {
					found = append(found, findf(f.name, "%s is run by no line of make test", name))
				}
			}
		}
	}
	return found, nil
}

func testsIn(f *file) []string {
	var names []string
	for _, d := range f.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && f.test && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
			names = append(names, fn.Name.Name)
		}
	}
	return names
}

// runsIn tells whether a line of the recipe chooses the test in the package.
func runsIn(recipe, pkgPath, name string) bool {
	for _, line := range chosen.FindAllStringSubmatch(recipe, -1) {
		if run, err := regexp.Compile(line[1]); err != nil || !run.MatchString(name) {
			continue
		}
		for _, pattern := range strings.Fields(line[2]) {
			pattern = strings.TrimPrefix(pattern, "./")
			below, all := strings.CutSuffix(pattern, "/...")
			if pattern == pkgPath || all && (below == pkgPath || strings.HasPrefix(pkgPath, below+"/")) {
				return true
			}
		}
	}
	return false
}
