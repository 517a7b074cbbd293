package policytest

import (
	"fmt"
	"slices"
	"strings"
)

// A packageRow is one line of the table "package | may import | why".
type packageRow struct {
	pkg        string
	may        []string // relative package paths
	everything bool
	why        string
}

// A libraryRow is one line of the table "library | where | why". Its pattern stands for the path and, unless it is of
// the standard library, all below it.
type libraryRow struct {
	pattern string
	kind    where
	pkgs    []string // for only and not
	why     string
}

// where says which packages may import a library.
type where string

// The forms of the second column. "not" also holds through other packages.
const (
	anywhere  where = "anywhere"
	testsOnly where = "tests only"
	onlyIn    where = "only "
	notIn     where = "not "
)

func (l libraryRow) matches(imported string) bool {
	return imported == l.pattern || !standard(l.pattern) && strings.HasPrefix(imported, l.pattern+"/")
}

// standard tells whether an import path is of the standard library: all others begin with a host.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

// readTables reads both tables of ARCHITECTURE.md.
func (m *module) readTables() error {
	text, err := m.read("ARCHITECTURE.md")
	if err != nil {
		return err
	}
	rows, err := table(string(text), "package", "may import", "why")
	if err != nil {
		return err
	}
	for _, r := range rows {
		row := packageRow{pkg: r[0], why: r[2], everything: r[1] == "everything"}
		if !row.everything && r[1] != "nothing" {
			row.may = paths(r[1])
		}
		m.packages = append(m.packages, row)
	}
	rows, err = table(string(text), "library", "where", "why")
	if err != nil {
		return err
	}
	for _, r := range rows {
		row := libraryRow{pattern: r[0], why: r[2]}
		switch {
		case r[1] == string(anywhere) || r[1] == string(testsOnly):
			row.kind = where(r[1])
		case strings.HasPrefix(r[1], string(onlyIn)):
			row.kind, row.pkgs = onlyIn, paths(strings.TrimPrefix(r[1], string(onlyIn)))
		case strings.HasPrefix(r[1], string(notIn)):
			row.kind, row.pkgs = notIn, paths(strings.TrimPrefix(r[1], string(notIn)))
		default:
			return fmt.Errorf(`ARCHITECTURE.md: library %s: %q is none of "anywhere", "tests only", "only ...", "not ..."`, r[0], r[1])
		}
		m.library = append(m.library, row)
	}
	return nil
}

// paths splits a list of packages. "internal/" may be left out.
func paths(list string) []string {
	var out []string
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if top, _, _ := strings.Cut(name, "/"); !slices.Contains([]string{"internal", "cmd", "web", "migrations"}, top) || name == "web" {
			name = "internal/" + name
		}
		out = append(out, name)
	}
	return out
}

// table gives the body of the Markdown table with this head, without backquotes.
func table(text string, head ...string) ([][]string, error) {
	var rows [][]string
	in := false
	for line := range strings.Lines(text) {
		cells, ok := cellsOf(line)
		switch {
		case !ok:
			in = false
		case slices.Equal(cells, head):
			in = true
		case in && strings.Trim(strings.Join(cells, ""), ":-") != "":
			if len(cells) != len(head) {
				return nil, fmt.Errorf("ARCHITECTURE.md: %d cells, want %d: %s", len(cells), len(head), line)
			}
			rows = append(rows, cells)
		}
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("ARCHITECTURE.md has no table | %s |", strings.Join(head, " | "))
	}
	return rows, nil
}

func cellsOf(line string) ([]string, bool) {
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "|") || !strings.HasSuffix(line, "|") || len(line) < 2 {
		return nil, false
	}
	cells := strings.Split(strings.Trim(line, "|"), "|")
	for i, c := range cells {
		cells[i] = strings.TrimSpace(strings.ReplaceAll(c, "`", ""))
	}
	return cells, true
}
