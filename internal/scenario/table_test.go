package scenario_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"deployportal/internal/kube/kubetest"
)

// result is what became of a scenario.
type result struct {
	scenario
	status, title, sentence string
	took                    time.Duration
	named                   time.Duration // from the click until the page said title first
	kubectl                 verdict
}

// TestScenarios plays every scenario and prints what the portal said, and when, beside kubectl.
func TestScenarios(t *testing.T) {
	began := time.Now()
	all := chosen(t, scenarios())
	w := newWorld(t)
	var images []kubetest.Image
	for _, s := range all {
		if s.smoke != nil {
			w.ports[s.key] = 30_000 + rand.IntN(2768)
		}
		for tag, i := range map[string]kubetest.Image{good: {}, middle: {}, next: s.next} {
			images = append(images, imageOf(s.key, tag, i))
		}
	}
	w.push(t, images)
	binary, database := build(t, nil)
	accounts, err := os.ReadFile(database) // before anybody writes to it
	if err != nil {
		t.Fatal(err)
	}
	together := slices.DeleteFunc(slices.Clone(all), func(s scenario) bool { return s.apart })
	if len(together) > 0 {
		w.portal = w.serve(t, binary, database, together)
	}
	var mu sync.Mutex
	results := map[string]result{}
	t.Run("all", func(t *testing.T) {
		for _, s := range all {
			t.Run(s.key, func(t *testing.T) {
				t.Parallel()
				at := w
				if s.apart {
					at = w.apart(t, binary, accounts, s)
				}
				r := at.play(t, s)
				mu.Lock()
				defer mu.Unlock()
				results[s.key] = r
			})
		}
	})
	text := table(all, results)
	t.Logf("%d scenarios in %.0f s\n%s", len(all), time.Since(began).Seconds(), text)
	if *tableFile != "" && !t.Failed() {
		if err := os.WriteFile(*tableFile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// table writes the results as Markdown.
func table(all []scenario, results map[string]result) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# What the portal says, and when

Measured on real nodes by "make scenarios". Seconds count from the click: "named" until the page first names the cause, "verdict"
until the deploy is over. Beside it "kubectl rollout status" of the same rollout; it knows only the deadline for progress,
which Kubernetes sets to 600 s and these Deployments shorten to %d s or less.

%s
| scenario | verdict | cause | named, s | verdict, s | the sentence | kubectl, s | its words |
|---|---|---|---:|---:|---|---:|---|
`, deadline, pictures(all))
	for _, s := range all {
		r, ok := results[s.key]
		if !ok {
			fmt.Fprintf(&b, "| %s | not played to its end | | | | | | |\n", s.name)
			continue
		}
		named := ""
		if r.title != "" {
			named = fmt.Sprintf("%.1f", r.named.Seconds())
		}
		cells := []string{s.name, r.status, r.title, named, fmt.Sprintf("%.1f", r.took.Seconds()), r.sentence, fmt.Sprintf("%.1f", r.kubectl.took.Seconds()), r.kubectl.words}
		for i, c := range cells {
			cells[i] = strings.ReplaceAll(c, "|", "\\|")
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	return b.String()
}

// kubectl is the command line of kubectl in a namespace.
func (w *world) kubectl(namespace string, args ...string) []string {
	return append(slices.Clone(w.command), append([]string{"--namespace=" + namespace}, args...)...)
}

// kubectlCommand reads the command line of kubectl from devstack's description: kubetest's own Kubectl waits and fails the
// test, and "rollout status" is expected to fail beside a scenario.
func kubectlCommand(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(os.Getenv("DEVSTACK"))
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		Kubectl []string `json:"kubectl"`
	}
	if err := json.Unmarshal(text, &info); err != nil {
		t.Fatal(err)
	}
	return info.Kubectl
}

// pictures are links to those that -shots keeps.
func pictures(all []scenario) string {
	var b strings.Builder
	b.WriteString("Six of them as a person sees them:\n\n")
	for _, s := range all {
		if telling[s.key] {
			fmt.Fprintf(&b, "- [%s](img/scenarios/%s.png)\n", s.name, s.key)
		}
	}
	return b.String()
}
