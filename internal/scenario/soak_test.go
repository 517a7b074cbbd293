package scenario_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"deployportal/internal/kube/kubetest"
)

var (
	soakRollouts = flag.Int("rollouts", 16, "how many rollouts the soak plays")
	soakSeed     = flag.Uint64("seed", 1, "what the soak's plan is drawn from; 0: the time")
)

const soakLanes = 8

// TestSoak plays many rollouts in a mixed order and counts the wrong verdicts and causes. All that is expected is written
// down before the first click. Meanwhile the portal is killed, again and again.
func TestSoak(t *testing.T) {
	seed := *soakSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	fmt.Printf("soak: -seed=%d\n", seed)
	began, w := time.Now(), newWorld(t)
	s := newSoak(t, w, "lane", plan(seed, soakLanes, (*soakRollouts+soakLanes-1)/soakLanes, kinds()), nil)
	stop := s.w.portal.killNowAndThen(t, time.Minute)
	t.Run("lanes", s.play)
	kills := stop()
	t.Log(s.table())
	for _, wrong := range s.count.wrong {
		t.Error(wrong)
	}
	if s.count.played < *soakRollouts {
		t.Errorf("%d of %d rollouts were played", s.count.played, *soakRollouts)
	}
	fmt.Printf("soak: %d rollouts and %d rollbacks, %d wrong; portal killed %d times, %d deploys asked for again; seed %d, %.0f s\n",
		s.count.played, s.count.rollbacks, len(s.count.wrong), kills, s.count.repeat, seed, time.Since(began).Seconds())
}

// TestSoakFindsPlantedFaults takes rules away from the judge. A short soak must find each.
func TestSoakFindsPlantedFaults(t *testing.T) {
	w := newWorld(t)
	for _, fault := range []struct {
		name           string
		file, old, new string
		kinds          []string
		finds          string // the kind that must be judged wrong
	}{
		{"digest proof", "judge.go", "\tswitch {\n\tcase replaced(c, want):", "\tswitch {\n\tcase true:\n\t\treturn Proven\n\tcase replaced(c, want):",
			[]string{"good", "a webhook gives the pods another image"}, "a webhook gives the pods another image"},
		{"rule 7, evicted pods", "rollout.go", `!p.Deleting && (p.Phase == "Pending" || p.Phase == "Running" || p.Phase == "Unknown")`, `!p.Deleting`,
			[]string{"good", "a new pod is ended by its node"}, "a new pod is ended by its node"},
		{"rule 7, nothing available", "judge.go", "\tj.advance()\n", "\tj.advance()\n\tif j.r.Available == 0 {\n\t\treturn Verdict{Status: Failed, Sentence: \"Nothing is available.\"}\n\t}\n",
			[]string{"never ready, recreated", "good, recreated"}, "good, recreated"},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			all := slices.DeleteFunc(append(kinds(), recreated()...), func(k kind) bool { return !slices.Contains(fault.kinds, k.name) })
			if len(all) != len(fault.kinds) {
				t.Fatalf("kinds %q: %d found", fault.kinds, len(all))
			}
			key := strings.NewReplacer(" ", "-", ",", "").Replace(fault.name)
			s := newSoak(t, w, key, plan(*soakSeed, 1, len(all), all), mutant(t, fault.file, fault.old, fault.new))
			t.Run("lanes", s.play)
			if !slices.ContainsFunc(s.count.wrong, func(wrong string) bool { return strings.HasPrefix(wrong, fault.finds+" (") }) {
				t.Errorf("not found; wrong were %q", s.count.wrong)
			}
		})
	}
}

// recreated are kinds for Deployments that end the old pods first.
func recreated() []kind {
	only := func(k kind, name string, fits func(manifest) bool) kind {
		k.name, k.fits = name, func(m manifest) bool { return m.recreate && fits(m) }
		return k
	}
	return []kind{
		only(goodKinds()[0], "good, recreated", always),
		only(probeKinds()[3], "never ready, recreated", func(m manifest) bool { return m.deadline == 20 }),
	}
}

// mutant gives an overlay in which a piece of a source file of the domain is another.
func mutant(t *testing.T, file, old, changed string) map[string]string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../deploys", file))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), old); n != 1 {
		t.Fatalf("%s has %d times:\n%s", file, n, old)
	}
	to := filepath.Join(t.TempDir(), file)
	if err := os.WriteFile(to, []byte(strings.Replace(string(text), old, changed, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string]string{path: to}
}

// soak is a portal, and a plan for it.
type soak struct {
	w     *world
	name  string
	plan  [][]chapter
	count *tally
}

// newSoak prints the plan, pushes its images and starts a portal.
func newSoak(t *testing.T, shared *world, name string, plan [][]chapter, overlay map[string]string) *soak {
	t.Helper()
	w := &world{cluster: shared.cluster, gitea: shared.gitea, host: shared.host, command: shared.command,
		spaces: map[string]*kubetest.Namespace{}, pushed: map[string]kubetest.Pushed{}}
	s := &soak{w: w, name: name, plan: plan, count: &tally{took: map[string][]time.Duration{}}}
	var images []kubetest.Image
	var apps []scenario
	var text strings.Builder
	for n, chapters := range plan {
		key := s.key(n)
		apps, images = append(apps, scenario{key: key}), append(images, imageOf(key, good, kubetest.Image{}))
		for _, c := range chapters {
			fmt.Fprintf(&text, "%s: %s\n", key, c.manifest)
			for _, r := range c.rollouts {
				i := r.image
				if i.Variant != "" {
					i.Variant = r.tag
				}
				images = append(images, imageOf(key, r.tag, i))
				fmt.Fprintf(&text, "    %s %s: %s\n", r.tag, r.kind.name, r.want)
			}
		}
	}
	t.Logf("the plan\n%s", &text)
	w.push(t, images)
	binary, database := build(t, overlay)
	w.portal = w.serve(t, binary, database, apps)
	return s
}

func (s *soak) key(n int) string { return fmt.Sprintf("%s-%d", s.name, n) }

func (s *soak) play(t *testing.T) {
	for n, chapters := range s.plan {
		key := s.key(n)
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			l := &lane{stage: &stage{t: t, w: s.w, s: scenario{key: key}, ns: s.w.spaces[key]}, count: s.count}
			l.play(t, chapters)
		})
	}
}

// table tells how often each kind was played and how long it took from the click to the verdict.
func (s *soak) table() string {
	kinds := map[string][]time.Duration{}
	for name, took := range s.count.took {
		name, _, _ = strings.Cut(name, " (")
		kinds[name] = append(kinds[name], took...)
	}
	var b strings.Builder
	b.WriteString("| kind | times | median, s | longest, s |\n|---|---:|---:|---:|\n")
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		took := kinds[name]
		slices.Sort(took)
		fmt.Fprintf(&b, "| %s | %d | %.1f | %.1f |\n", name, len(took), took[len(took)/2].Seconds(), took[len(took)-1].Seconds())
	}
	return b.String()
}
