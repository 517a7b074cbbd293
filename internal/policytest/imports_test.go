package policytest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
)

var importRules = []rule{
	{"package-listed", "a package that the table does not know is bound by no rule", packageListed},
	{"package-gone", "a table that describes what is not there misleads the next reader", packageGone},
	{"reason-given", "a rule without a reason is dropped by the first person it hinders", reasonGiven},
	{"import-allowed", "arrows point one way, doors to deploys to the store: a second way round is where rules get skipped", importAllowed},
	{"library-listed", "a dependency is chosen, with a reason, not picked up", libraryListed},
	{"library-place", "a library kept in one place can be replaced or updated there", libraryPlace},
	{"library-through", "what a package must not do it must not have done for it either", libraryThrough},
	{"library-used", "a row about a library that nobody imports is a leftover or a wish", libraryUsed},
}

func packageListed(m *module) ([]finding, error) {
	var found []finding
	for _, p := range m.pkgs {
		if m.row(p.path) == nil {
			found = append(found, findf(p.path, "the package is not in the table of ARCHITECTURE.md"))
		}
	}
	return found, nil
}

func packageGone(m *module) ([]finding, error) {
	var found []finding
	for _, r := range m.packages {
		for _, name := range append([]string{r.pkg}, r.may...) {
			if !slices.ContainsFunc(m.pkgs, func(p *pkg) bool { return p.path == name }) {
				found = append(found, findf(r.pkg, "ARCHITECTURE.md names the package %s, which does not exist", name))
			}
		}
	}
	return found, nil
}

func reasonGiven(m *module) ([]finding, error) {
	var found []finding
	for _, r := range m.packages {
		if len(r.why) < 10 {
			found = append(found, findf(r.pkg, "its row in ARCHITECTURE.md gives no reason"))
		}
	}
	for _, l := range m.library {
		if len(l.why) < 10 {
			found = append(found, findf(l.pattern, "its row in ARCHITECTURE.md gives no reason"))
		}
	}
	return found, nil
}

func importAllowed(m *module) ([]finding, error) {
	var found []finding
	for _, p := range m.pkgs {
		row := m.row(p.path)
		if row == nil {
			continue // package-listed says so
		}
		for _, f := range p.files {
			for _, imported := range f.imports {
				name, ours := strings.CutPrefix(imported, m.path+"/")
				switch {
				case f.test || !ours || slices.Contains(row.may, name):
				case helper(name) && !helper(p.path):
					found = append(found, findf(f.name, "production code imports %s, which is for tests", name))
				case !row.everything:
					found = append(found, findf(f.name, "%s may not import %s: %s", p.path, name, row.why))
				}
			}
		}
	}
	return found, nil
}

func libraryListed(m *module) ([]finding, error) {
	return m.eachImport(func(p *pkg, f *file, imported string) *finding {
		if standard(imported) || strings.HasPrefix(imported, m.path+"/") || slices.ContainsFunc(m.library, func(l libraryRow) bool { return l.matches(imported) }) {
			return nil
		}
		return new(findf(f.name, "%s is not in the table of libraries", imported))
	}), nil
}

func libraryPlace(m *module) ([]finding, error) {
	return m.eachImport(func(p *pkg, f *file, imported string) *finding {
		for _, l := range m.library {
			forTests := f.test || helper(p.path)
			wrong := l.kind == testsOnly && !forTests || l.kind == onlyIn && !f.test && !slices.Contains(l.pkgs, p.path)
			if l.matches(imported) && wrong {
				return new(findf(f.name, "%s belongs elsewhere (%s%s): %s", imported, l.kind, strings.Join(l.pkgs, ", "), l.why))
			}
		}
		return nil
	}), nil
}

func (m *module) eachImport(look func(*pkg, *file, string) *finding) []finding {
	var found []finding
	for _, p := range m.pkgs {
		for _, f := range p.files {
			for _, imported := range f.imports {
				if bad := look(p, f, imported); bad != nil {
					found = append(found, *bad)
				}
			}
		}
	}
	return found
}

// libraryThrough follows imports to the end: a package that must not use a library must not reach it either.
func libraryThrough(m *module) ([]finding, error) {
	var found []finding
	imports, err := m.imports()
	if err != nil {
		return nil, err
	}
	for _, l := range m.library {
		if l.kind != notIn {
			continue
		}
		for _, name := range l.pkgs {
			if way := reach(imports, m.path+"/"+name, l.matches, map[string]bool{}); way != nil {
				found = append(found, findf(name, "%s is reached by %s: %s", l.pattern, strings.Join(way, " -> "), l.why))
			}
		}
	}
	return found, nil
}

// imports asks the go command for the imports of everything the module is built of.
func (m *module) imports() (map[string][]string, error) {
	cmd := exec.Command("go", "list", "-e", "-deps", "-json=ImportPath,Imports", "./...")
	cmd.Dir = m.dir
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	imports := map[string][]string{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return imports, nil
		} else if err != nil {
			return nil, err
		}
		imports[p.ImportPath] = p.Imports
	}
}

// reach gives a way from a package to one that matches.
func reach(imports map[string][]string, from string, match func(string) bool, seen map[string]bool) []string {
	if match(from) {
		return []string{from}
	}
	if seen[from] {
		return nil
	}
	seen[from] = true
	for _, next := range imports[from] {
		if way := reach(imports, next, match, seen); way != nil {
			return append([]string{from}, way...)
		}
	}
	return nil
}

func libraryUsed(m *module) ([]finding, error) {
	var found []finding
	for _, l := range m.library {
		used := m.eachImport(func(_ *pkg, f *file, imported string) *finding {
			if l.matches(imported) {
				return new(findf(f.name, "uses it"))
			}
			return nil
		})
		if !standard(l.pattern) && len(used) == 0 {
			found = append(found, findf(l.pattern, "nothing imports it"))
		}
	}
	return found, nil
}

func (m *module) row(pkgPath string) *packageRow {
	for i := range m.packages {
		if m.packages[i].pkg == pkgPath {
			return &m.packages[i]
		}
	}
	return nil
}
