package policytest

import (
	"bytes"
	"fmt"
	"go/ast"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

var templateRules = []rule{
	{"templ-fresh", "a page is built from the generated code: stale code ships another page than the one reviewed", templFresh},
	{"templ-bypass", "templ escapes what it prints; these types say \"trust me\" instead, and one mistake is a script in somebody's page", templBypass},
	{"templ-inline", "the Content-Security-Policy forbids inline styles and scripts: the browser would drop them silently", templInline},
}

// templFresh generates into a copy and compares.
func templFresh(m *module) ([]finding, error) {
	sources := m.matching("*.templ")
	if len(sources) == 0 {
		return nil, nil
	}
	dir, err := os.MkdirTemp("", "templ-fresh")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	want := map[string]bool{}
	for _, name := range sources {
		text, err := m.read(name)
		if err != nil {
			return nil, err
		}
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(to, text, 0o644); err != nil {
			return nil, err
		}
		want[strings.TrimSuffix(name, ".templ")+"_templ.go"] = true
	}
	cmd := exec.Command("go", "tool", "templ", "generate", "-path", dir) // from this module, which knows the tool
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("templ generate: %w\n%s", err, out)
	}

	var found []finding
	for name := range want {
		fresh, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		if have, err := m.read(name); err != nil || !bytes.Equal(have, fresh) {
			found = append(found, findf(name, "not what its template generates: make generate"))
		}
	}
	for _, name := range m.matching("*_templ.go") {
		if !want[name] && !strings.Contains("/"+name, "/testdata/") {
			found = append(found, findf(name, "generated from a template that is gone"))
		}
	}
	return found, nil
}

var (
	bypassNames = map[string]bool{"Raw": true, "SafeURL": true, "SafeCSS": true, "SafeCSSProperty": true, "JSExpression": true,
		"JSUnsafeFuncCall": true, "SafeScript": true, "SafeScriptInline": true, "ComponentScript": true, "FromGoHTML": true}
	bypassInTempl = regexp.MustCompile(`\btempl\.(` + strings.Join(keys(bypassNames), "|") + `)\b|\{!`)
)

func templBypass(m *module) ([]finding, error) {
	found, err := m.inTemplates(func(line string) string { return bypassInTempl.FindString(line) })
	if err != nil {
		return nil, err
	}
	for _, f := range m.production() {
		if f.generated {
			continue
		}
		ast.Inspect(f.ast, func(node ast.Node) bool {
			sel, ok := node.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			id, ok := sel.X.(*ast.Ident)
			if ok && (id.Name == "templ" && bypassNames[sel.Sel.Name] || id.Name == "template" && unescaped[sel.Sel.Name]) {
				found = append(found, findf(f.name, "%s.%s goes past the escaping", id.Name, sel.Sel.Name))
			}
			return true
		})
	}
	return found, nil
}

// unescaped are html/template's own ways past its escaping.
var unescaped = map[string]bool{"HTML": true, "HTMLAttr": true, "CSS": true, "JS": true, "JSStr": true, "URL": true, "Srcset": true}

// inline matches style and event attributes, htmx's hx-on among them, computed values that htmx would evaluate, and
// style and script elements with content.
var inline = regexp.MustCompile(`(?i)(?:^|[\s"'}])(?:style|on[a-z]+|hx-on[a-z:-]*)\??=|["'{]\s*js:|<style\b|^\s*css\s+\w+\(|^\s*script\s+\w+\(`)

var (
	scriptTag = regexp.MustCompile(`(?is)<script\b[^>]*>`)
	srcAttr   = regexp.MustCompile(`(?i)\ssrc\s*=`)
)

func templInline(m *module) ([]finding, error) {
	return m.inTemplates(func(line string) string {
		if hit := inline.FindString(line); hit != "" {
			return strings.TrimSpace(hit)
		}
		if tag := scriptTag.FindString(line); tag != "" && !srcAttr.MatchString(tag) {
			return tag
		}
		return ""
	})
}

// inTemplates looks at each line of each template that is not a comment.
func (m *module) inTemplates(look func(line string) string) ([]finding, error) {
	var found []finding
	for _, name := range m.matching("*.templ") {
		text, err := m.read(name)
		if err != nil {
			return nil, err
		}
		n := 0
		for line := range strings.Lines(string(text)) {
			n++
			if strings.HasPrefix(strings.TrimSpace(line), "//") {
				continue
			}
			if hit := look(line); hit != "" {
				found = append(found, findf(name, "line %d of %s: %s", n, path.Base(name), hit))
			}
		}
	}
	return found, nil
}

func keys(set map[string]bool) []string {
	var out []string
	for k := range set {
		out = append(out, k)
	}
	return out
}
