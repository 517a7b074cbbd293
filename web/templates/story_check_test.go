package templates

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
)

// What a strict content security policy, a keyboard and a screen reader need holds in every story.
func TestStoriesAreSound(t *testing.T) {
	for name, c := range stories() {
		t.Run(name, func(t *testing.T) {
			html := render(t, c)
			doc, err := goquery.NewDocumentFromReader(strings.NewReader(html))
			if err != nil {
				t.Fatal(err)
			}
			for _, fault := range faults(doc, !strings.Contains(name, "message")) {
				t.Error(fault)
			}
			if strings.Contains(html, "0001-01-01") {
				t.Error("a time that never was is shown")
			}
		})
	}
}

// faults lists what is wrong with a page, or with a part of one.
func faults(doc *goquery.Document, whole bool) (out []string) {
	bad := func(s *goquery.Selection, format string, args ...any) {
		html, _ := goquery.OuterHtml(s)
		out = append(out, fmt.Sprintf(format, args...)+": "+html[:min(len(html), 160)])
	}
	ids := map[string]bool{}
	doc.Find("*").Each(func(_ int, s *goquery.Selection) {
		for _, a := range s.Get(0).Attr {
			switch {
			case a.Key == "style" || strings.HasPrefix(a.Key, "on") || strings.HasPrefix(a.Key, "hx-on"):
				bad(s, "inline %s", a.Key)
			case a.Key == "id" && ids[a.Val]:
				bad(s, "id %s is used twice", a.Val)
			case a.Key == "tabindex" && a.Val != "0" && a.Val != "-1":
				bad(s, "tabindex %s", a.Val)
			case (a.Key == "href" || a.Key == "src" || a.Key == "action") && strings.HasPrefix(strings.ToLower(a.Val), "javascript:"):
				bad(s, "a script as an address")
			}
		}
		if id, ok := s.Attr("id"); ok {
			ids[id] = true
		}
	})
	doc.Find("style").Each(func(_ int, s *goquery.Selection) { bad(s, "inline style") })
	doc.Find("script").Each(func(_ int, s *goquery.Selection) {
		if src := s.AttrOr("src", ""); !strings.HasPrefix(src, "/static/") || s.Text() != "" {
			bad(s, "a script that is not ours")
		}
	})
	doc.Find("form").Each(func(_ int, s *goquery.Selection) {
		if m := s.AttrOr("method", ""); m != "get" && m != "post" || !strings.HasPrefix(s.AttrOr("action", ""), "/") {
			bad(s, "a form without method or action")
		}
		if s.Find("button[type=submit], input[type=search]").Length() == 0 && !strings.Contains(s.Text(), "A check blocks") {
			bad(s, "a form that cannot be sent")
		}
	})
	doc.Find("input:not([type=hidden]), select, textarea").Each(func(_ int, s *goquery.Selection) {
		id := s.AttrOr("id", "")
		if s.AttrOr("aria-label", "") == "" && (id == "" || doc.Find(`label[for="`+id+`"]`).Length() != 1) {
			bad(s, "a field without a label")
		}
	})
	doc.Find("button").Each(func(_ int, s *goquery.Selection) {
		if s.AttrOr("type", "") == "" || strings.TrimSpace(s.Text()) == "" {
			bad(s, "a button without type or words")
		}
	})
	doc.Find("a").Each(func(_ int, s *goquery.Selection) {
		if s.AttrOr("href", "") == "" || strings.TrimSpace(s.Text()) == "" {
			bad(s, "a link without address or words")
		}
	})
	doc.Find("svg.i").Each(func(_ int, s *goquery.Selection) {
		if strings.TrimSpace(s.Parent().Text()) == "" {
			bad(s.Parent(), "a shape without a word")
		}
		use := s.Find("use").AttrOr("href", "")
		if whole && doc.Find("symbol"+use).Length() != 1 {
			bad(s, "a shape that is not in the sprite")
		}
	})
	doc.Find("progress").Each(func(_ int, s *goquery.Selection) {
		if s.AttrOr("aria-label", "") == "" || s.AttrOr("max", "0") == "0" {
			bad(s, "a bar without a name or an end")
		}
	})
	doc.Find("[aria-labelledby]").Each(func(_ int, s *goquery.Selection) {
		if id := s.AttrOr("aria-labelledby", ""); !ids[id] {
			bad(s, "labelled by %s, which is not there", id)
		}
	})
	if whole && doc.Find("h1").Length() != 1 {
		out = append(out, fmt.Sprintf("%d h1", doc.Find("h1").Length()))
	}
	return out
}

// The check must see what it is there for.
func TestFaultsAreSeen(t *testing.T) {
	for _, html := range []string{
		`<h1>a</h1><p style="color:red">x</p>`, `<h1>a</h1><p onclick="x()">x</p>`, `<h1>a</h1><script>1</script>`,
		`<h1>a</h1><form action="/x"><button type="submit">x</button></form>`, `<h1>a</h1><input id="a">`,
		`<h1>a</h1><i id="a"></i><i id="a"></i>`, `<h1>a</h1><p><svg class="i"></svg></p>`, `<p>no heading</p>`,
	} {
		doc, err := goquery.NewDocumentFromReader(strings.NewReader(html))
		if err != nil {
			t.Fatal(err)
		}
		if len(faults(doc, true)) == 0 {
			t.Errorf("nothing is wrong with %s", html)
		}
	}
}

// Hostile text is shown as text: no element and no attribute comes of it.
func TestHostileText(t *testing.T) {
	all := stories()
	for _, name := range []string{"board-hostile", "deploy-stuck", "entry"} {
		html := render(t, all[name])
		doc, err := goquery.NewDocumentFromReader(strings.NewReader(html))
		if err != nil {
			t.Fatal(err)
		}
		if doc.Find("img").Length() != 0 || strings.Contains(html, "<script>alert") || strings.Contains(html, "</hx-partial>") {
			t.Errorf("%s: the text became markup", name)
		}
		if !strings.Contains(doc.Text(), hostile) {
			t.Errorf("%s: the text is not shown whole", name)
		}
	}
}

// Every component is drawn by a story, or by a component that a story draws.
func TestEveryComponentIsTold(t *testing.T) {
	files, err := filepath.Glob("*.templ")
	if err != nil || len(files) == 0 {
		t.Fatal("no components", err)
	}
	defined, used := map[string]bool{}, map[string]bool{}
	name := regexp.MustCompile(`(?m)^templ (\w+)\(`)
	call := regexp.MustCompile(`@(\w+)\(`)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range name.FindAllSubmatch(b, -1) {
			defined[string(m[1])] = true
		}
		for _, m := range call.FindAllSubmatch(b, -1) {
			used[string(m[1])] = true
		}
	}
	tests, err := filepath.Glob("story_*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range tests {
		file, err := parser.ParseFile(token.NewFileSet(), f, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if c, ok := n.(*ast.CallExpr); ok {
				if id, ok := c.Fun.(*ast.Ident); ok {
					used[id.Name] = true
				}
			}
			return true
		})
	}
	for c := range defined {
		if !used[c] {
			t.Errorf("component %s is in no story", c)
		}
	}
}

// A page stays small: with css, js and the vendored scripts the first paint is below 50 kB compressed.
func TestPageWeight(t *testing.T) {
	for name, c := range stories() {
		if n := len(render(t, c)); n > 60_000 {
			t.Errorf("%s has %d bytes before compression", name, n)
		}
	}
}
