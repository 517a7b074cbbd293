package policytest

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A module is what the rules look at. Go files of every build tag are in it: a rule that holds on Linux only is none.
type module struct {
	dir      string
	path     string   // the module path of go.mod
	files    []string // every file of the repository, slash-separated and relative; nested modules included
	pkgs     []*pkg   // packages of the root module, by path
	packages []packageRow
	library  []libraryRow
}

// A pkg is one folder with Go files.
type pkg struct {
	path  string // relative to the module: "internal/deploys"
	files []*file
}

// A file is one parsed Go file.
type file struct {
	name      string // relative to the root
	ast       *ast.File
	test      bool // _test.go
	generated bool
	imports   []string
}

// helper tells whether a package exists for tests only. Such a package may import testing and drive other programs, and
// no production code may import it. The path shows it: deploystest, giteatest and what is below them, testenv.
func helper(pkgPath string) bool {
	return slices.ContainsFunc(strings.Split(pkgPath, "/"), func(part string) bool {
		return strings.HasSuffix(part, "test") || part == "testenv"
	})
}

// production is every handwritten or generated file that ends up in the product.
func (m *module) production() []*file {
	var files []*file
	for _, p := range m.pkgs {
		if helper(p.path) {
			continue
		}
		for _, f := range p.files {
			if !f.test {
				files = append(files, f)
			}
		}
	}
	return files
}

// forTests is every file that only tests see.
func (m *module) forTests() []*file {
	var files []*file
	for _, p := range m.pkgs {
		for _, f := range p.files {
			if f.test || helper(p.path) {
				files = append(files, f)
			}
		}
	}
	return files
}

func (m *module) read(name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(m.dir, filepath.FromSlash(name)))
}

// matching gives the files whose base name matches a glob.
func (m *module) matching(glob string) []string {
	var names []string
	for _, name := range m.files {
		if ok, _ := path.Match(glob, path.Base(name)); ok {
			names = append(names, name)
		}
	}
	return names
}

var moduleLine = regexp.MustCompile(`(?m)^module (\S+)`)

func load(t *testing.T, dir string) *module {
	t.Helper()
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	m := &module{dir: dir}
	gomod, err := m.read("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if match := moduleLine.FindSubmatch(gomod); match != nil {
		m.path = string(match[1])
	}
	if m.files, err = list(dir); err != nil {
		t.Fatal(err)
	}
	if err := m.parse(); err != nil {
		t.Fatal(err)
	}
	if err := m.readTables(); err != nil {
		t.Fatal(err)
	}
	return m
}

// list gives the repository's files: those Git knows or would add, and where there is no Git, all of them.
func list(dir string) ([]string, error) {
	if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil {
		out, err := exec.Command("git", "-C", dir, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate").Output()
		if err == nil {
			names := strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
			names = slices.DeleteFunc(names, func(name string) bool { // deleted, but not yet in the index
				info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name)))
				return err != nil || info.IsDir()
			})
			slices.Sort(names)
			return names, nil
		}
	}
	var names []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); p != dir && (name == ".git" || name == ".dev" || name == ".cache" || name == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(dir, p)
		names = append(names, filepath.ToSlash(rel))
		return err
	})
	return names, err
}

// parse reads the Go files of the root module.
func (m *module) parse() error {
	var nested []string
	for _, name := range m.matching("go.mod") {
		if name != "go.mod" {
			nested = append(nested, path.Dir(name)+"/")
		}
	}
	byPath := map[string]*pkg{}
	for _, name := range m.matching("*.go") {
		inNested := slices.ContainsFunc(nested, func(dir string) bool { return strings.HasPrefix(name, dir) })
		if inNested || strings.Contains("/"+name, "/testdata/") {
			continue
		}
		f, err := m.parseFile(name)
		if err != nil {
			return err
		}
		p := byPath[path.Dir(name)]
		if p == nil {
			p = &pkg{path: path.Dir(name)}
			byPath[p.path] = p
			m.pkgs = append(m.pkgs, p)
		}
		p.files = append(p.files, f)
	}
	slices.SortFunc(m.pkgs, func(a, b *pkg) int { return strings.Compare(a.path, b.path) })
	return nil
}

func (m *module) parseFile(name string) (*file, error) {
	text, err := m.read(name)
	if err != nil {
		return nil, err
	}
	tree, err := parser.ParseFile(token.NewFileSet(), name, bytes.TrimPrefix(text, []byte("\ufeff")), parser.ParseComments)
	if err != nil {
		return nil, err
	}
	f := &file{name: name, ast: tree, test: strings.HasSuffix(name, "_test.go"), generated: ast.IsGenerated(tree)}
	for _, spec := range tree.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		f.imports = append(f.imports, imported)
	}
	return f, nil
}
