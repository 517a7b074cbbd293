package preflight

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

var (
	away    = errs.New(errs.Unavailable, "Gitea at git.example.org cannot be reached.")
	missing = errs.New(errs.NotFound, "The registry has no image sha256:abc in acme/api.")
	second  = time.Second
)

func version(tag string) deploys.Version {
	return deploys.Version{Repository: "git.example.org/acme/api", Tag: tag, Digest: "sha256:" + tag, Images: map[string]string{"api": "git.example.org/acme/api:" + tag + "@sha256:" + tag}, Healthy: true}
}

// fine are facts of a deploy that nothing speaks against.
func fine() Facts {
	platforms := []deploys.Manifest{{Platform: "linux/amd64"}, {Platform: "linux/arm64/v8"}}
	startup := &deploys.ProbeSpec{Probe: deploys.Probe{Period: 10 * second, Threshold: 6}, Port: 8000}
	return Facts{
		Plan: deploys.Plan{
			App: deploys.App{Target: deploys.Target{App: "api", Env: "prod"}, Git: "acme/api", Workload: "api", Namespace: "acme"}, Kind: deploys.KindDeploy,
			Image: deploys.Image{Digest: "sha256:bbbbbbb", Manifests: platforms}, From: version("aaaaaaa"), To: version("bbbbbbb"),
			Seen: deploys.Rollout{Exists: true, Desired: 2},
		},
		Around: deploys.Surroundings{
			Unseen: map[string]string{},
			Workload: deploys.WorkloadSpec{Replicas: 2, MaxSurge: 1, Deadline: 10 * time.Minute, CPU: 100, Memory: 1 << 20,
				Containers: []deploys.ContainerSpec{{Name: "api", Ports: []int32{8000}, PortNames: []string{"http"}, Startup: startup}}},
			Nodes: []deploys.Node{{Name: "one", Platform: "linux/amd64", Fits: true, AllocatableCPU: 1000, AllocatableMemory: 1 << 30},
				{Name: "pi", Platform: "linux/arm64", Fits: true, AllocatableCPU: 1000, AllocatableMemory: 1 << 30}},
			Budgets: []deploys.Budget{{Name: "api", Allowed: 1, Says: "minAvailable 1"}},
			Quotas:  []deploys.Quota{{Name: "all", Resource: "pods", Used: "2", Hard: "10", Room: true}},
			Needs: []deploys.Need{{Kind: "Secret", Name: "db", Keys: []string{"url"}, By: "container api, env DATABASE_URL", Exists: true},
				{Kind: "Secret", Name: "pull", By: "imagePullSecrets", Pull: true, Exists: true}},
		},
		First:   Said[deploys.FirstSeen]{Value: deploys.FirstSeen{Digest: "sha256:bbbbbbb"}},
		Starts:  Said[deploys.Starts]{Value: deploys.Starts{Pods: []time.Duration{22 * second}, Containers: map[string][]time.Duration{"api": {18 * second, 20 * second}}}},
		Good:    Said[[]Kept]{Value: []Kept{{Version: version("aaaaaaa")}, {Version: version("0000000")}}},
		CI:      Said[deploys.CI]{Value: deploys.CI{State: deploys.CISuccess, Total: 2}},
		Branch:  Said[Branch]{Value: Branch{Name: "main", Holds: true}},
		Between: Said[deploys.Range]{Value: deploys.Range{Total: 3}},
	}
}

func unseen(part string) func(*Facts) {
	return func(f *Facts) { f.Around.Unseen[part] = "The portal may not list them." }
}

func noWorkload(f *Facts) {
	f.Around = deploys.Surroundings{Unseen: map[string]string{"workload": "The cluster was not read yet."}}
}

func touched(path string) []deploys.Touched { return []deploys.Touched{{Path: path}} }

func single(change func(*deploys.WorkloadSpec)) func(*Facts) {
	return func(f *Facts) {
		w := &f.Around.Workload
		w.Labels, w.Replicas, w.MaxSurge, w.Recreate = map[string]string{LabelSingleton: "true"}, 1, 0, true
		change(w)
	}
}

func probe(threshold int32) func(*Facts) {
	return func(f *Facts) { f.Around.Workload.Containers[0].Startup.Threshold = threshold }
}

// given is a change of what is fine, and what one check comes to by it.
type given struct {
	name   string
	change func(*Facts)
	want   deploys.Finding // "" : the check is not made
	says   string
}

var cases = map[string][]given{
	"tag": {
		{"a SHA", nil, deploys.Pass, "The tag bbbbbbb names a commit."},
		{"by digest", func(f *Facts) { f.Plan.To.Tag = "" }, deploys.Warn, "named by its digest alone"},
		{"of a restart", func(f *Facts) { f.Plan.Kind, f.Plan.To.Tag = deploys.KindRestart, "latest" }, deploys.Warn, `The tag "latest" names no commit`},
		{"another pattern", func(f *Facts) { f.Plan.To.Tag = "v1.2" }, deploys.Warn, `The tag "v1.2" is no commit SHA.`},
	},
	"moved": {
		{"still the same", nil, deploys.Pass, "still names what it named"},
		{"the first time", func(f *Facts) { f.First.Value = deploys.FirstSeen{} }, deploys.Pass, "for the first time"},
		{"moved", func(f *Facts) { f.First.Value.Digest = "sha256:other" }, deploys.Block, "The tag bbbbbbb was moved: it names another image than when it was first deployed."},
		{"records away", func(f *Facts) { f.First.Err = away }, deploys.NotChecked, "Could not ask the portal's records about the tag bbbbbbb."},
		{"a rollback", func(f *Facts) { f.Plan.Kind, f.First.Value.Digest = deploys.KindRollback, "sha256:other" }, "", ""},
	},
	"image": {
		{"there", nil, deploys.Pass, "The registry has the image."},
		{"gone", func(f *Facts) { f.Image.Err = missing }, deploys.Block, "Image not found: The registry has no image sha256:abc in acme/api. It was deleted, or never pushed."},
		{"gone, of a rollback", func(f *Facts) { f.Plan.Kind, f.Image.Err = deploys.KindRollback, missing }, deploys.Warn, "The image is gone from the registry: "},
		{"there, of a rollback", func(f *Facts) { f.Plan.Kind = deploys.KindRollback }, deploys.Pass, "The registry still has the image."},
		{"registry away", func(f *Facts) { f.Image.Err = away }, deploys.NotChecked, "Could not ask the registry about the image. Gitea at git.example.org cannot be reached."},
		{"away, of a rollback", func(f *Facts) { f.Plan.Kind, f.Image.Err = deploys.KindRollback, away }, deploys.NotChecked, "Could not ask the registry"},
		{"no digest", func(f *Facts) { f.Plan.Kind, f.Plan.To.Digest = deploys.KindRestart, "" }, deploys.NotChecked,
			"The registry has the tag bbbbbbb. Whether it still names what ran is not known"},
		{"no digest, and gone", func(f *Facts) { f.Plan.Kind, f.Plan.To.Digest, f.Image.Err = deploys.KindRestart, "", missing }, deploys.Warn, "The image is gone from the registry: "},
		{"no digest, registry away", func(f *Facts) { f.Plan.Kind, f.Plan.To.Digest, f.Image.Err = deploys.KindRestart, "", away }, deploys.NotChecked, "Could not ask the registry about the image."},
		{"nothing to ask by", func(f *Facts) { f.Plan.Kind, f.Plan.To = deploys.KindRestart, deploys.Version{} }, deploys.NotChecked,
			"Neither its tag nor its digest is known, so the registry was not asked"},
	},
	"platforms": {
		{"for all", nil, deploys.Pass, "built for every node"},
		{"arm64 alone", func(f *Facts) { f.Plan.Image.Manifests = f.Plan.Image.Manifests[1:] }, deploys.Block, "The image is built for linux/arm64/v8 only, and its pods can land on one (linux/amd64)."},
		{"kept off the others", func(f *Facts) { f.Plan.Image.Manifests, f.Around.Nodes[1].Fits = f.Plan.Image.Manifests[:1], false }, deploys.Pass, ""},
		{"of a rollback", func(f *Facts) { f.Plan.Kind, f.Plan.Image.Manifests = deploys.KindRollback, f.Plan.Image.Manifests[1:] }, deploys.Warn, "can land on one"},
		{"as the records know", func(f *Facts) { f.Plan.Image.Manifests, f.Plan.To.Platforms = nil, []string{"linux/arm64"} }, deploys.Block, "built for linux/arm64 only"},
		{"a node that does not tell", func(f *Facts) { f.Around.Nodes[1].Platform = "" }, deploys.NotChecked, "The node pi does not tell its platform."},
		{"no node at all", func(f *Facts) { f.Around.Nodes = nil }, deploys.NotChecked, "No node takes these pods now"},
		{"nobody tells", func(f *Facts) { f.Plan.Image.Manifests = nil }, deploys.NotChecked, "does not tell which platforms"},
		{"registry away", func(f *Facts) { f.Plan.Image.Manifests, f.Image.Err = nil, away }, deploys.NotChecked, "Could not ask the registry about the image's platforms."},
		{"nodes unseen", unseen(deploys.PartNodes), deploys.NotChecked, "The portal may not list them."},
	},
	"references": {
		{"all there", nil, deploys.Pass, "Every Secret, ConfigMap, key and claim"},
		{"none", func(f *Facts) { f.Around.Needs = nil }, deploys.Pass, "It refers to no Secret"},
		{"a Secret", func(f *Facts) { f.Around.Needs[0].Exists = false }, deploys.Block, "Missing: Secret db, wanted by container api, env DATABASE_URL."},
		{"a key", func(f *Facts) { f.Around.Needs[0].Lacks = []string{"url"} }, deploys.Block, "Missing: key url of Secret db, wanted by container api, env DATABASE_URL."},
		{"an optional one", func(f *Facts) { f.Around.Needs[0].Exists, f.Around.Needs[0].Optional = false, true }, deploys.Pass, ""},
		{"unseen", func(f *Facts) { f.Around.Needs[0].Unseen = "The portal may not read Secrets." }, deploys.NotChecked, "The portal may not read Secrets."},
		{"no workload", noWorkload, deploys.NotChecked, "The cluster was not read yet."},
		{"of a restart", func(f *Facts) { f.Plan.Kind, f.Around.Needs[0].Exists = deploys.KindRestart, false }, deploys.Warn, "Missing: Secret db"},
	},
	"pull-secrets": {
		{"there", nil, deploys.Pass, "Its imagePullSecrets are there."},
		{"none", func(f *Facts) { f.Around.Needs = f.Around.Needs[:1] }, deploys.Pass, "It names no imagePullSecret."},
		{"missing", func(f *Facts) { f.Around.Needs[1].Exists = false }, deploys.Warn, "The imagePullSecret pull does not exist"},
		{"unseen", func(f *Facts) { f.Around.Needs[1].Unseen = "The portal may not read Secrets." }, deploys.NotChecked, "The portal may not read Secrets."},
	},
	"ports": {
		{"declared", nil, deploys.Pass, "ports that its containers declare"},
		{"another number", func(f *Facts) { f.Around.Workload.Containers[0].Startup.Port = 9000 }, deploys.Warn, "The startup probe of api asks port 9000, and it declares 8000."},
		{"another name", func(f *Facts) { f.Around.Workload.Containers[0].Startup.PortName = "web" }, deploys.Warn, `asks port "web", which it does not declare`},
		{"none declared", func(f *Facts) { f.Around.Workload.Containers[0].Ports = nil }, deploys.Pass, ""},
		{"no workload", noWorkload, deploys.NotChecked, ""},
	},
	"startup": {
		{"enough", nil, deploys.Pass, "leave more time than its starts took"},
		{"too short", probe(1), deploys.Warn, "The startup probe of api gives up after 10 s, and its slowest of 2 starts took 20 s."},
		{"longer than the deadline", probe(60), deploys.Warn, "allows a start of 10 min, but a rollout is given up after 10 min without progress"},
		{"starts longer than the deadline", func(f *Facts) { f.Around.Workload.Deadline = 20 * second }, deploys.Warn, "the slowest of 1 start took 22 s"},
		{"by liveness", func(f *Facts) {
			c := &f.Around.Workload.Containers[0]
			c.Startup, c.Liveness = nil, &deploys.ProbeSpec{Probe: deploys.Probe{Period: 5 * second, Threshold: 3}}
		}, deploys.Warn, "The liveness probe of api gives up after 15 s"},
		{"no probe", func(f *Facts) { f.Around.Workload.Containers[0].Startup = nil }, deploys.Pass, "No startup or liveness probe"},
		{"never started", func(f *Facts) { f.Starts.Value = deploys.Starts{} }, deploys.NotChecked, "No start of it was seen yet"},
		{"records away", func(f *Facts) { f.Starts.Err = away }, deploys.NotChecked, "how long its starts took"},
		{"no workload", noWorkload, deploys.NotChecked, ""},
	},
	"singleton": {
		{"not marked", nil, deploys.Pass, "not marked"},
		{"alone", single(func(*deploys.WorkloadSpec) {}), deploys.Pass, "Nothing serves between."},
		{"two", single(func(w *deploys.WorkloadSpec) { w.Replicas = 2 }), deploys.Block, "It must run alone, but the Deployment asks for 2 replicas."},
		{"two, by configuration", func(f *Facts) { f.Tuning.Singleton = true }, deploys.Block, "asks for 2 replicas"},
		{"scaled", func(f *Facts) { single(func(*deploys.WorkloadSpec) {})(f); f.Around.Scaler = "api" }, deploys.Block, "the HorizontalPodAutoscaler api may scale it"},
		{"surging", single(func(w *deploys.WorkloadSpec) { w.Recreate, w.MaxSurge = false, 1 }), deploys.Warn, "side by side"},
		{"scalers unseen", func(f *Facts) { single(func(*deploys.WorkloadSpec) {})(f); unseen(deploys.PartScalers)(f) }, deploys.NotChecked, "whether something scales it"},
		{"no workload", noWorkload, deploys.NotChecked, ""},
	},
	"volumes": {
		{"none", nil, deploys.Pass, "no volume that only one node"},
		{"under surge", func(f *Facts) { f.Around.Workload.Single = []string{"data"} }, deploys.Warn, "Only one node can mount data"},
		{"under Recreate", func(f *Facts) { f.Around.Workload.Single, f.Around.Workload.Recreate = []string{"data"}, true }, deploys.Pass, "free before"},
		{"unseen", unseen(deploys.PartVolumes), deploys.NotChecked, ""},
	},
	"replicas": {
		{"two", nil, deploys.Pass, "2 pods"},
		{"none", func(f *Facts) { f.Plan.Seen.Desired = 0 }, deploys.Warn, "scaled to zero"},
		{"nothing seen", func(f *Facts) { f.Plan.Seen.Exists = false }, deploys.NotChecked, ""},
	},
	"scaler": {
		{"none", nil, deploys.Pass, "No HorizontalPodAutoscaler"},
		{"one", func(f *Facts) { f.Around.Scaler = "api" }, deploys.Pass, "The HorizontalPodAutoscaler api may change"},
		{"at rest", func(f *Facts) { f.Around.Scaler, f.Around.Workload.Replicas = "api", 0 }, deploys.Warn, "rests"},
		{"unseen", unseen(deploys.PartScalers), deploys.NotChecked, ""},
	},
	"paused": {
		{"no", nil, deploys.Pass, "not paused"},
		{"yes", func(f *Facts) { f.Plan.Seen.Paused = true }, deploys.Block, "Its rollouts are paused in the cluster: no pod would start."},
		{"yes, and a rollback", func(f *Facts) { f.Plan.Seen.Paused, f.Plan.Kind = true, deploys.KindRollback }, deploys.Block, "paused"},
		{"nothing seen", func(f *Facts) { f.Plan.Seen.Exists = false }, deploys.NotChecked, ""},
	},
	"managed": {
		{"by nobody", nil, deploys.Pass, ""},
		{"by Flux", func(f *Facts) { f.Plan.Seen.ManagedBy = "Flux" }, deploys.Warn, "Flux manages this workload and may revert the deploy."},
		{"by another", func(f *Facts) { f.Plan.Seen.ManagedBy = "Postgres main" }, deploys.Warn, "Postgres main manages"},
		{"nothing seen", func(f *Facts) { f.Plan.Seen.Exists = false }, deploys.NotChecked, ""},
	},
	"drains": {
		{"allowed", nil, deploys.Pass, ""},
		{"blocked", func(f *Facts) { f.Around.Budgets[0] = deploys.Budget{Name: "api", Says: "minAvailable 2"} }, deploys.Warn, "The PodDisruptionBudget api (minAvailable 2) lets no pod be moved"},
		{"unseen", unseen(deploys.PartBudgets), deploys.NotChecked, ""},
	},
	"quota": {
		{"room", nil, deploys.Pass, ""},
		{"none, and no pod may go first", func(f *Facts) { f.Around.Quotas[0].Room = false }, deploys.Block, "may take no old one down first: pods of all: 2 of 10 used."},
		{"none", func(f *Facts) { f.Around.Quotas[0].Room, f.Around.Workload.MaxUnavailable = false, 1 }, deploys.Warn, "pods of all: 2 of 10 used"},
		{"unseen", unseen(deploys.PartQuotas), deploys.NotChecked, ""},
	},
	"room": {
		{"enough", nil, deploys.Pass, ""},
		{"too small", func(f *Facts) { f.Around.Workload.CPU = 5000 }, deploys.Warn, "No node takes these pods"},
		{"kept off", func(f *Facts) { f.Around.Nodes[0].Fits, f.Around.Nodes[1].Fits = false, false }, deploys.Warn, "No node takes these pods"},
		{"unseen", unseen(deploys.PartNodes), deploys.NotChecked, ""},
	},
	"ci": {
		{"passed", nil, deploys.Pass, "2 checks passed for bbbbbbb."},
		{"failed", func(f *Facts) { f.CI.Value = deploys.CI{State: deploys.CIFailure, Failed: []string{"e2e"}} }, deploys.Warn, "CI failed for bbbbbbb: e2e."},
		{"pending", func(f *Facts) { f.CI.Value = deploys.CI{State: deploys.CIPending} }, deploys.Warn, "CI has not ended for bbbbbbb: the combined state."},
		{"none", func(f *Facts) { f.CI.Value = deploys.CI{State: deploys.CINone} }, deploys.Pass, "No CI"},
		{"away", func(f *Facts) { f.CI.Err = away }, deploys.NotChecked, "Could not ask Gitea about its CI state. Gitea at git.example.org cannot be reached."},
		{"no repository", func(f *Facts) { f.Plan.App.Git = "" }, deploys.NotChecked, "no git repository is configured for api"},
		{"no commit", func(f *Facts) { f.Plan.To.Tag = "v1" }, deploys.NotChecked, "no tag that names a commit"},
		{"a rollback", func(f *Facts) { f.Plan.Kind = deploys.KindRollback }, "", ""},
	},
	"branch": {
		{"on it", nil, deploys.Pass, "The commit is on main."},
		{"beside it", func(f *Facts) { f.Branch.Value.Holds = false }, deploys.Warn, "The commit bbbbbbb is not on main."},
		{"away", func(f *Facts) { f.Branch.Err = away }, deploys.NotChecked, "Could not ask Gitea"},
		{"a rollback", func(f *Facts) { f.Plan.Kind = deploys.KindRollback }, "", ""},
	},
	"direction": {
		{"forward", nil, deploys.Pass, "bbbbbbb is 3 commits ahead of aaaaaaa."},
		{"the same", func(f *Facts) { f.Between.Value = deploys.Range{} }, deploys.Pass, "the same commit"},
		{"back", func(f *Facts) { f.Between.Value = deploys.Range{Behind: 2} }, deploys.Warn, "It goes back: 2 commits that run now will be gone."},
		{"diverged", func(f *Facts) { f.Between.Value = deploys.Range{Total: 1, Behind: 1} }, deploys.Warn, "have diverged: 1 commit that"},
		{"away", func(f *Facts) { f.Between.Err = away }, deploys.NotChecked, "Could not ask Gitea"},
		{"from latest", func(f *Facts) { f.Plan.From.Tag = "latest" }, deploys.NotChecked, "What runs now has no tag"},
		{"a rollback", func(f *Facts) { f.Plan.Kind = deploys.KindRollback }, "", ""},
	},
	"migrations": {
		{"none", nil, deploys.Pass, "touches a migration"},
		{"run", func(f *Facts) { f.Migrations.Value.Ahead = touched("db/1.sql") }, deploys.Warn, "1 migration file may change the database."},
		{"stay", func(f *Facts) {
			f.Plan.Kind, f.Migrations.Value.Behind = deploys.KindRollback, touched("db/1.sql")
		}, deploys.Warn, "Stays in the database: 1 migration."},
		{"unread", func(f *Facts) { f.Migrations.Value.Unread = 4 }, deploys.NotChecked, "4 older commits were not looked at"},
		{"away", func(f *Facts) { f.Migrations.Err = away }, deploys.NotChecked, "Could not ask Gitea about migrations."},
		{"from latest", func(f *Facts) { f.Plan.From.Tag = "latest" }, deploys.NotChecked, ""},
		{"a restart", func(f *Facts) { f.Plan.Kind = deploys.KindRestart }, "", ""},
	},
	"way-back": {
		{"there", nil, deploys.Pass, "the registry has aaaaaaa"},
		{"gone", func(f *Facts) { f.Good.Value[0].Err = missing }, deploys.Warn, "The way back is gone: the registry no longer has aaaaaaa. "},
		{"none", func(f *Facts) { f.Good.Value = nil }, deploys.Warn, "No image is known that ran well"},
		{"away", func(f *Facts) { f.Good.Value[0].Err = away }, deploys.NotChecked, "the image to go back to, aaaaaaa"},
		{"records away", func(f *Facts) { f.Good.Err = away }, deploys.NotChecked, "the way back"},
		{"a rollback", func(f *Facts) { f.Plan.Kind = deploys.KindRollback }, "", ""},
	},
	"good-images": {
		{"there", nil, deploys.Pass, "2 images"},
		{"one gone", func(f *Facts) { f.Good.Value[1].Err = missing }, deploys.Warn, "Gone from the registry: 0000000 of the last 2 that ran well."},
		{"away", func(f *Facts) { f.Good.Value[1].Err = away }, deploys.NotChecked, "the images that ran well"},
		{"records away", func(f *Facts) { f.Good.Err = away }, deploys.NotChecked, "the images that ran well"},
		{"none yet", func(f *Facts) { f.Good.Value = nil }, "", ""},
	},
}

func TestChecks(t *testing.T) {
	for _, name := range Names() {
		if !slices.ContainsFunc(cases[name], func(c given) bool { return c.want == deploys.Warn || c.want == deploys.Block }) {
			t.Errorf("%s: no case in which it finds something", name)
		}
		for _, c := range cases[name] {
			f := fine()
			if c.change != nil {
				c.change(&f)
			}
			all := Checks(f)
			c.tuned(t, f, name)
			i := slices.IndexFunc(all, func(c deploys.Check) bool { return c.Name == name })
			if i < 0 {
				if c.want != "" {
					t.Errorf("%s, %s: not made", name, c.name)
				}
				continue
			}
			got := all[i]
			if got.Finding != c.want || !strings.Contains(got.Sentence, c.says) {
				t.Errorf("%s, %s: %s %q, want %s %q", name, c.name, got.Finding, got.Sentence, c.want, c.says)
			}
			if found := got.Finding == deploys.Warn || got.Finding == deploys.Block; found && got.Fix == "" {
				t.Errorf("%s, %s: says no way to mend it", name, c.name)
			}
			if !strings.HasSuffix(got.Sentence, ".") {
				t.Errorf("%s, %s: no sentence: %q", name, c.name, got.Sentence)
			}
		}
	}
}

// tuned checks that what a check finds is a warning or a block, as its app's configuration has it, and that nothing else is.
func (c given) tuned(t *testing.T, f Facts, name string) {
	for _, to := range []deploys.Finding{deploys.Warn, deploys.Block} {
		f.Tuning.Findings = map[string]deploys.Finding{name: to}
		want := c.want
		if want == deploys.Warn || want == deploys.Block {
			want = to
		}
		if f.Plan.Kind != deploys.KindDeploy && name != "paused" && want == deploys.Block {
			want = deploys.Warn // it ran here before
		}
		for _, got := range Checks(f) {
			if got.Name == name && got.Finding != want {
				t.Errorf("%s, %s, set to %s: %s, want %s", name, c.name, to, got.Finding, want)
			}
		}
	}
}

// Nothing speaks against what is fine, and every check has its say.
func TestFine(t *testing.T) {
	all := Checks(fine())
	for _, c := range all {
		if c.Finding != deploys.Pass {
			t.Errorf("%+v", c)
		}
	}
	if len(all) != len(Names()) {
		t.Errorf("%d checks of %d", len(all), len(Names()))
	}
}

// Whatever is not known is never taken for good.
func TestNothingKnown(t *testing.T) {
	f := fine()
	noWorkload(&f)
	f.Plan.Seen, f.Plan.Image = deploys.Rollout{}, deploys.Image{}
	f.Image.Err, f.First.Err, f.Starts.Err, f.Good.Err, f.CI.Err, f.Branch.Err, f.Between.Err, f.Migrations.Err = away, away, away, away, away, away, away, away
	for _, c := range Checks(f) {
		if c.Finding != deploys.NotChecked && c.Name != "tag" { // the tag is read by itself
			t.Errorf("%s: %s %q", c.Name, c.Finding, c.Sentence)
		}
	}
}

// Configuration says what a finding comes to; what is not known stays so. What blocks comes first.
func TestTuning(t *testing.T) {
	f := fine()
	f.CI.Value.State, f.Branch.Err, f.Plan.Seen.Paused = deploys.CIFailure, away, true
	f.Tuning.Findings = map[string]deploys.Finding{"ci": deploys.Block, "paused": deploys.Warn, "branch": deploys.Block, "drains": deploys.Block, "tag": ""}
	var got []string
	for _, c := range Checks(f) {
		if c.Finding != deploys.Pass {
			got = append(got, fmt.Sprintf("%s %s", c.Name, c.Finding))
		}
		if c.Name == "tag" {
			t.Error("a check that is off is made")
		}
	}
	if want := []string{"ci block", "paused warn", "branch unknown"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// The fix of a short budget names the budget that is needed.
func TestStartupNamesTheBudget(t *testing.T) {
	f := fine()
	probe(1)(&f)
	if c := startup(f); c.Fix != "Give it 30 s: failureThreshold 3." || len(c.Evidence) != 1 || !strings.Contains(c.Evidence[0], "starts: p95 20 s, longest 20 s") {
		t.Errorf("%+v", c)
	}
	probe(60)(&f)
	if c := startup(f); c.Fix != "Set progressDeadlineSeconds to more than 600." {
		t.Errorf("%+v", c)
	}
}
