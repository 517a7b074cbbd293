package web

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// Images of the tests: tag and digest by a letter.
func tagOf(letter string) string    { return strings.Repeat(letter, 40) }
func digestOf(letter string) string { return "sha256:" + strings.Repeat(letter, 64) }

const repository = "git.example.org/acme/api"

// cluster is a small cluster: it takes patches and shows what a test says.
type cluster struct {
	now func() time.Time

	mu    sync.Mutex
	at    map[deploys.Target]deploys.Rollout
	envs  []string
	apps  []deploys.App
	stale string
	since time.Time
	gaps  []string
	bells map[chan struct{}]bool

	different []string // what Differences answers
	reads     int
	deny      error // what a patch is answered with

	around  func(*deploys.Surroundings) // changes them
	digests map[string]string           // by letter, of images that have others than digestOf gives
	said    []string                    // what every container's log holds
}

func newCluster(now func() time.Time) *cluster {
	k := &cluster{now: now, at: map[deploys.Target]deploys.Rollout{}, envs: []string{"prod", "staging"}, bells: map[chan struct{}]bool{}}
	for _, env := range k.envs {
		for _, name := range []string{"api", "worker"} {
			t := deploys.Target{App: name, Env: env}
			k.apps = append(k.apps, deploys.App{Target: t, Repository: repository, Git: "acme/api", Namespace: "acme-" + env, Workload: name,
				Containers: []string{"main"}, Stability: time.Millisecond, Limit: time.Hour})
			k.at[t] = k.healthy(t, "a", 1)
		}
	}
	return k
}

func pinned(letter string) string {
	return deploys.Image{Repository: repository, Tag: tagOf(letter), Digest: digestOf(letter)}.Pinned()
}

// healthy is a workload of one pod that runs an image well.
func (k *cluster) healthy(t deploys.Target, letter string, generation int64) deploys.Rollout {
	now := k.now()
	digest := cmp.Or(k.digests[letter], digestOf(letter))
	image := deploys.Image{Repository: repository, Tag: tagOf(letter), Digest: digest}.Pinned()
	rs := fmt.Sprintf("%s-%s", t.App, letter)
	return deploys.Rollout{Exists: true, UID: "uid-" + t.App, ResourceVersion: fmt.Sprint(generation), Generation: generation, ObservedGeneration: generation,
		Template: image, Bare: image, Desired: 1, Replicas: 1, Updated: 1, Ready: 1, Available: 1, Images: map[string]string{"main": image},
		ReplicaSets: []deploys.ReplicaSet{{Name: rs, UID: rs, Template: image, Desired: 1, Replicas: 1, Ready: 1, Created: now}},
		Pods: []deploys.Pod{{Name: rs + "-x", UID: rs + "-x", ReplicaSet: rs, Phase: "Running", Ready: true, ReadySince: now.Add(-time.Second), Created: now.Add(-time.Minute),
			Scheduled: now.Add(-time.Minute), Containers: []deploys.Container{{Name: "main", Image: image, ImageID: digest, Ready: true, Started: true,
				State: "running", Since: now.Add(-time.Minute)}}}}}
}

func (k *cluster) Envs() []string       { return k.envs }
func (k *cluster) Apps() []deploys.App  { return k.apps }
func (k *cluster) Gaps(string) []string { k.mu.Lock(); defer k.mu.Unlock(); return k.gaps }

func (k *cluster) App(t deploys.Target) (deploys.App, error) {
	if i := slices.IndexFunc(k.apps, func(a deploys.App) bool { return a.Target == t }); i >= 0 {
		return k.apps[i], nil
	}
	return deploys.App{}, errs.New(errs.NotFound, "There is no app %q in %q.", t.App, t.Env)
}

func (k *cluster) Info(env string) (EnvInfo, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return EnvInfo{Env: env, Namespace: "acme-" + env, Answered: k.now().Add(-3 * time.Second), StaleSince: k.since, StaleWhy: k.stale}, nil
}

func (k *cluster) Ready(deploys.Target) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stale != "" {
		return errs.New(errs.Unavailable, "%s", k.stale)
	}
	return nil
}

func (k *cluster) Rollout(t deploys.Target) (deploys.Rollout, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reads++
	r, ok := k.at[t]
	if !ok {
		return r, errs.New(errs.NotFound, "There is no app %q in %q.", t.App, t.Env)
	}
	r.At, r.StaleSince, r.StaleWhy = k.now(), k.since, k.stale
	return r, nil
}

// Surroundings are those of one node that takes everything, unless a test says more.
func (k *cluster) Surroundings(_ context.Context, t deploys.Target) deploys.Surroundings {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := deploys.Surroundings{Unseen: map[string]string{}, Workload: deploys.WorkloadSpec{Replicas: k.at[t].Desired},
		Nodes: []deploys.Node{{Name: "one", Platform: "linux/amd64", Fits: true}}}
	if k.around != nil {
		k.around(&s)
	}
	return s
}

func (k *cluster) Live(_ context.Context, t deploys.Target) (deploys.Rollout, error) {
	return k.Rollout(t)
}

func (k *cluster) Proven(_ context.Context, t deploys.Target) (deploys.Rollout, error) {
	return k.Rollout(t)
}

func (k *cluster) Watch(deploys.Target) (<-chan struct{}, func()) { return k.WatchAll() }

func (k *cluster) WatchAll() (<-chan struct{}, func()) {
	bell := make(chan struct{}, 1)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.bells[bell] = true
	return bell, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.bells, bell)
	}
}

// change changes what the cluster shows and rings.
func (k *cluster) change(fn func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	fn()
	for bell := range k.bells {
		select {
		case bell <- struct{}{}:
		default:
		}
	}
}

// refuse answers patches with an error from now on; nil: it takes them again.
func (k *cluster) refuse(err error) { k.mu.Lock(); defer k.mu.Unlock(); k.deny = err }

func (k *cluster) refused() error { k.mu.Lock(); defer k.mu.Unlock(); return k.deny }

// Apply takes a patch; the new pod is not there yet.
func (k *cluster) Apply(_ context.Context, c deploys.Change) (deploys.Applied, error) {
	if err := k.refused(); err != nil {
		return deploys.Applied{}, err
	}
	var a deploys.Applied
	k.change(func() {
		r := k.at[c.Target]
		r.Generation++
		r.ResourceVersion, r.ObservedGeneration = fmt.Sprint(r.Generation), r.Generation
		if len(c.Images) > 0 {
			r.Images = c.Images
		}
		if c.Restarted != nil {
			r.Restarted = *c.Restarted
		}
		r.Bare, r.Updated, r.Replicas = r.Images["main"], 0, 1
		r.Template, r.ChangedBy = r.Bare+r.Restarted, deploys.FieldManager
		fmt.Sscan(c.Annotations[deploys.AnnotationDeploy], &r.DeployID)
		k.at[c.Target] = r
		a = deploys.Applied{UID: r.UID, ResourceVersion: r.ResourceVersion, Generation: r.Generation, Template: r.Template, Bare: r.Bare}
	})
	return a, nil
}

// finish lets the pod of the patched image come up.
func (k *cluster) finish(t deploys.Target, letter string) {
	k.change(func() {
		was := k.at[t]
		r := k.healthy(t, letter, was.Generation)
		r.Restarted, r.Template, r.ChangedBy = was.Restarted, r.Bare+was.Restarted, was.ChangedBy
		r.ReplicaSets[0].Template = r.Template
		k.at[t] = r
	})
}

// scale changes something that a deploy's page shows and that decides nothing.
func (k *cluster) scale(t deploys.Target, node string) {
	k.change(func() {
		r := k.at[t]
		r.Pods = append([]deploys.Pod(nil), r.Pods...)
		r.Pods = append(r.Pods, deploys.Pod{Name: "extra-" + node, UID: "extra-" + node, ReplicaSet: r.ReplicaSets[0].Name, Phase: "Pending", Created: k.now()})
		k.at[t] = r
	})
}

// lose makes the cluster unreachable; an empty sentence brings it back.
func (k *cluster) lose(why string) {
	k.change(func() {
		k.stale, k.since = why, time.Time{}
		if why != "" {
			k.since = k.now().Add(-time.Minute)
		}
	})
}

// catalog is a small Gitea.
type catalog struct {
	mu      sync.Mutex
	down    error
	digests map[string]string // by tag
	touched []string          // files of migrations between any two commits
	list    deploys.List
	bell    chan struct{}
}

func newCatalog() *catalog {
	c := &catalog{digests: map[string]string{}, bell: make(chan struct{}, 1)}
	for i, letter := range []string{"c", "b", "a"} {
		c.digests[tagOf(letter)] = digestOf(letter)
		c.list.Images = append(c.list.Images, deploys.Listed{ID: int64(9 - i), Tag: tagOf(letter), Pushed: time.Now().Add(-time.Duration(i) * time.Hour),
			Commit: deploys.Commit{SHA: tagOf(letter), Subject: "Commit " + letter, Author: "Ana"}})
	}
	c.list.Fetched = time.Now()
	return c
}

func (c *catalog) fault() error { c.mu.Lock(); defer c.mu.Unlock(); return c.down }

func (c *catalog) lose(err error) { c.mu.Lock(); defer c.mu.Unlock(); c.down = err }

func (c *catalog) Images(_ context.Context, a deploys.App) deploys.List { return c.Cached(a) }

func (c *catalog) Cached(deploys.App) deploys.List {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.list
	l.Err = c.down
	return l
}

func (c *catalog) Commit(_ context.Context, git, sha string) (deploys.Commit, error) {
	if err := c.fault(); err != nil {
		return deploys.Commit{}, err
	}
	got, _ := c.CachedCommit(git, sha)
	return got, nil
}

func (c *catalog) CachedCommit(_, sha string) (deploys.Commit, bool) {
	for _, i := range c.list.Images {
		if sha != "" && strings.HasPrefix(i.Tag, sha) {
			return i.Commit, true
		}
	}
	return deploys.Commit{}, false
}

// Ask and About: nothing is known of any commit here. commits_test.go has a Gitea that knows.
func (c *catalog) Ask(deploys.App, string) <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}

func (c *catalog) About(deploys.App, string) deploys.About { return deploys.About{Err: c.fault()} }

// AskGone has nothing to find out: this registry loses nothing. Those that do are the tests of a real client.
func (c *catalog) AskGone(deploys.Version) <-chan struct{} { return c.Ask(deploys.App{}, "") }

func (c *catalog) Gone(deploys.Version) bool { return false }

func (c *catalog) CI(context.Context, string, ...string) (map[string]deploys.CI, error) {
	return nil, c.fault()
}

func (c *catalog) OnMain(context.Context, string, string) (string, bool, error) {
	return "main", true, c.fault()
}

func (c *catalog) Range(_ context.Context, _, from, to string) (deploys.Range, error) {
	if err := c.fault(); err != nil {
		return deploys.Range{}, err
	}
	if from < to {
		return deploys.Range{Ahead: []deploys.Commit{{SHA: to, Subject: "Between the two"}}, Total: 1}, nil
	}
	return deploys.Range{Behind: 1}, nil
}

func (c *catalog) Resolve(_ context.Context, repo, ref string) (deploys.Image, error) {
	if err := c.fault(); err != nil {
		return deploys.Image{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	digest, ok := c.digests[ref]
	for _, d := range c.digests {
		if d == ref {
			digest, ok = d, true
		}
	}
	if !ok {
		return deploys.Image{}, errs.New(errs.NotFound, "The registry has no tag %s in %s.", ref, repo)
	}
	return deploys.Image{Repository: repo, Tag: ref, Digest: digest, Manifests: []deploys.Manifest{{Digest: digest, Platform: "linux/amd64"}}}, nil
}

func (c *catalog) Configs(context.Context, string, string) ([]string, error) {
	return nil, errs.New(errs.NotFound, "There is no such manifest.")
}

// Migrations implements Catalog and deploys.Commits.
func (c *catalog) Migrations(context.Context, string, string, string, ...string) (deploys.Migrations, error) {
	var m deploys.Migrations
	for _, path := range c.touched {
		m.Behind = append(m.Behind, deploys.Touched{Path: path})
	}
	return m, c.fault()
}

func (c *catalog) Watch() (<-chan struct{}, func()) { return c.bell, func() {} }

// push puts an image on top of the list and rings.
func (c *catalog) push(letter string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.digests[tagOf(letter)] = digestOf(letter)
	c.list.Images = append([]deploys.Listed{{ID: 99, Tag: tagOf(letter), Pushed: time.Now(), Commit: deploys.Commit{SHA: tagOf(letter), Subject: "Commit " + letter}}}, c.list.Images...)
	select {
	case c.bell <- struct{}{}:
	default:
	}
}

// Logs implements deploys.Cluster.
func (c *cluster) Logs(context.Context, deploys.Target, string, string, bool) ([]string, error) {
	return c.said, nil
}

// Reused implements Cluster: the ReplicaSet with image and mark, as templates have nothing else here.
func (k *cluster) Reused(t deploys.Target, v deploys.Version) (string, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, rs := range k.at[t].ReplicaSets {
		if rs.Template == v.Images["main"]+v.Restarted {
			return rs.Name, true
		}
	}
	return "", false
}

// Differences implements deploys.Cluster: what stands in different, between any two templates.
func (k *cluster) Differences(_ deploys.Target, before, after string) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if before == after {
		return nil
	}
	return k.different
}
