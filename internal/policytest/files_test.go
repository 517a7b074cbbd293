package policytest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
)

var fileRules = []rule{
	{"migration-frozen", "a released migration has run in somebody's database: changed, it would never run there again", migrationFrozen},
	{"go-version", "an image built with another Go than the module asks for fails to build, or is not what was tested", goVersion},
	{"home-path", "a path of one machine is wrong on every other", homePath},
}

// migrationFrozen checks migrations/frozen.txt, lines of "sha256  name" as sha256sum prints them.
func migrationFrozen(m *module) ([]finding, error) {
	const list = "migrations/frozen.txt"
	text, err := m.read(list)
	if err != nil {
		return nil, err
	}
	var found []finding
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if len(words) != 2 {
			found = append(found, findf(list, "not \"sha256  name\": %s", strings.TrimSpace(line)))
			continue
		}
		migration, err := m.read("migrations/" + words[1])
		if errors.Is(err, fs.ErrNotExist) {
			found = append(found, findf("migrations/"+words[1], "released, and gone"))
			continue
		} else if err != nil {
			return nil, err
		}
		if sum := sha256.Sum256(migration); hex.EncodeToString(sum[:]) != words[0] {
			found = append(found, findf("migrations/"+words[1], "released, and changed since: write a new migration"))
		}
	}
	return found, nil
}

var (
	goLine = regexp.MustCompile(`(?m)^go (\d+)\.(\d+)(?:\.(\d+))?$`)
	// builderLine also matches an image behind a platform or a registry.
	builderLine = regexp.MustCompile(`(?mi)^FROM\s+(?:--\S+\s+)*(?:\S+/)?golang:(\S+)`)
	imageTag    = regexp.MustCompile(`^(\d+)\.(\d+)(?:\.(\d+))?(?:-|$)`)
)

// goVersion compares every go.mod and the Dockerfile's builder with the root go.mod. All are of the same release; a module
// that builds a foreign program, and a builder whose tag names a patch, may ask for a later patch, never for an older one.
func goVersion(m *module) ([]finding, error) {
	root, err := m.read("go.mod")
	if err != nil {
		return nil, err
	}
	var found []finding
	want := goLine.FindStringSubmatch(string(root))
	if want == nil {
		return []finding{findf("go.mod", "no go line")}, nil
	}
	for _, name := range m.matching("go.mod") {
		text, err := m.read(name)
		if err != nil {
			return nil, err
		}
		have := goLine.FindStringSubmatch(string(text))
		if have == nil || have[1] != want[1] || have[2] != want[2] || number(have[3]) < number(want[3]) {
			found = append(found, findf(name, "%q, but go.mod has %q", goLine.FindString(string(text)), want[0]))
		}
	}
	text, err := m.read("Dockerfile")
	if err != nil {
		return nil, err
	}
	builders := builderLine.FindAllStringSubmatch(string(text), -1)
	if len(builders) == 0 {
		found = append(found, findf("Dockerfile", "no builder FROM golang:..."))
	}
	for _, b := range builders {
		tag := imageTag.FindStringSubmatch(b[1])
		if tag == nil || tag[1] != want[1] || tag[2] != want[2] || tag[3] != "" && number(tag[3]) < number(want[3]) {
			found = append(found, findf("Dockerfile", "golang:%s, but go.mod has %q", b[1], want[0]))
		}
	}
	return found, nil
}

func number(digits string) int {
	n, _ := strconv.Atoi(digits) // an absent patch is 0
	return n
}

// home matches the folders that people and build machines work in.
var home = regexp.MustCompile(`(?m)(?:^|[^\w./-])(/(?:root|work|Users|home/\w+)/[\w.-]+)`)

func homePath(m *module) ([]finding, error) {
	var found []finding
	for _, name := range m.files {
		if strings.HasPrefix(name, "internal/policytest/testdata/") {
			continue
		}
		text, err := m.read(name)
		if err != nil {
			return nil, err
		}
		if bytes.IndexByte(text[:min(len(text), 8000)], 0) >= 0 {
			continue // not text
		}
		if hit := home.FindSubmatch(text); hit != nil {
			found = append(found, findf(name, "names %s", hit[1]))
		}
	}
	return found, nil
}
