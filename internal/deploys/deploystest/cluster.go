// Package deploystest gives tests of the domain and of its doors a cluster and a registry in memory. The cluster
// keeps the promises of deploys.Cluster that matter for the path of a deploy (guard, generation, template, owned
// ReplicaSets); it has no controllers: a test moves a rollout by hand. What a real cluster does is proven on one.
package deploystest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// Digest is a digest made of a word, for readable tests.
func Digest(word string) string {
	sum := sha256.Sum256([]byte(word))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Repo is the image repository of the test apps.
const Repo = "git.example.org/acme/"

// Cluster is a cluster in memory. Fields that are functions, when set, come first.
type Cluster struct {
	// BeforeApply runs before a patch is looked at; an error is the answer.
	BeforeApply func(deploys.Change) error
	// AfterApply runs after a patch has landed; an error is the answer in place of the result.
	AfterApply func(deploys.Change) error
	// AfterLive runs after a direct reading was taken and before it is given.
	AfterLive func()
	// NotReady, when set, is what Ready and Live answer.
	NotReady error
	// Discovers is that of a portal whose configuration names no app: while NotReady is set, App answers it too.
	Discovers bool
	// Different is what Differences answers.
	Different []string

	mu       sync.Mutex
	now      func() time.Time
	apps     []deploys.App
	rollouts map[deploys.Target]*deploys.Rollout
	bells    map[deploys.Target]map[chan struct{}]bool // the zero target: those of WatchAll
	applied  []deploys.Change
	lives    int
	proofs   int
	behind   map[deploys.Target]deploys.Rollout // what Rollout answers instead of the truth
	serial   int
	logs     map[string][]string
}

// NewCluster has an app with this name in every environment named, each with 3 healthy pods that run tag "0000001".
func NewCluster(now func() time.Time, targets ...deploys.Target) *Cluster {
	c := &Cluster{now: now, rollouts: map[deploys.Target]*deploys.Rollout{}, bells: map[deploys.Target]map[chan struct{}]bool{}}
	for _, t := range targets {
		c.apps = append(c.apps, deploys.App{Target: t, Repository: Repo + t.App, Git: "acme/" + t.App, Namespace: "honeydue",
			Workload: t.App, Containers: []string{t.App}, Stability: 10 * time.Second, Limit: 30 * time.Minute})
		c.serial++
		r := &deploys.Rollout{Exists: true, UID: "uid-" + t.App, Generation: 1, ObservedGeneration: 1, ResourceVersion: strconv.Itoa(c.serial),
			Desired: 3, ProgressDeadline: 10 * time.Minute, ChangedBy: "kubectl",
			Images: map[string]string{t.App: Repo + t.App + ":0000001@" + Digest("0000001"), "sidecar": "example.org/sidecar:1"}}
		template(r)
		c.rollouts[t] = r
		c.replicaSet(r)
		Complete(r, now().Add(-time.Hour))
	}
	return c
}

// Template is the hash the fake gives a pod template with these images.
func Template(images map[string]string) string {
	s := ""
	for _, name := range slices.Sorted(maps.Keys(images)) {
		s += name + "=" + images[name] + "\n"
	}
	return Digest(s)[len("sha256:"):]
}

// replicaSet makes the one with the present template newest, new or used again.
func (c *Cluster) replicaSet(r *deploys.Rollout) {
	for i, rs := range r.ReplicaSets {
		if rs.Template == r.Template {
			rs.DeployID, rs.Revision = r.DeployID, r.ReplicaSets[0].Revision+1
			r.ReplicaSets = append([]deploys.ReplicaSet{rs}, slices.Delete(slices.Clone(r.ReplicaSets), i, i+1)...)
			return
		}
	}
	c.serial++
	rs := deploys.ReplicaSet{Name: fmt.Sprintf("rs-%d", c.serial), UID: fmt.Sprintf("rs-uid-%d", c.serial), Template: r.Template,
		DeployID: r.DeployID, Images: maps.Clone(r.Images), Created: c.now(), Revision: int64(len(r.ReplicaSets) + 1)}
	r.ReplicaSets = append([]deploys.ReplicaSet{rs}, r.ReplicaSets...)
}

// Apps implements deploys.Cluster.
func (c *Cluster) Apps() []deploys.App {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.apps)
}

// Forget takes an app out of the list, as happens to one that is found by its Deployment. Its workload stays readable.
func (c *Cluster) Forget(t deploys.Target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.apps = slices.DeleteFunc(slices.Clone(c.apps), func(a deploys.App) bool { return a.Target == t })
}

// Lag makes Rollout show an earlier view than Live, as a cache that is behind; the zero view ends it.
func (c *Cluster) Lag(t deploys.Target, r deploys.Rollout) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.behind = map[deploys.Target]deploys.Rollout{}; r.Exists {
		c.behind[t] = r
	}
	c.toll(t)
}

// Configure makes an app be of these containers.
func (c *Cluster) Configure(t deploys.Target, containers ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.apps {
		if c.apps[i].Target == t {
			c.apps[i].Containers = containers
		}
	}
}

// App implements deploys.Cluster.
func (c *Cluster) App(t deploys.Target) (deploys.App, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Discovers && c.NotReady != nil {
		return deploys.App{}, c.NotReady
	}
	for _, a := range c.apps {
		if a.Target == t {
			return a, nil
		}
	}
	return deploys.App{}, errs.New(errs.NotFound, "There is no app %s.", t)
}

// Ready implements deploys.Cluster.
func (c *Cluster) Ready(t deploys.Target) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if envs := []string{"prod", "staging"}; !slices.Contains(envs, t.Env) {
		return errs.New(errs.NotFound, "There is no environment %q; there is prod, staging.", t.Env)
	}
	return c.NotReady
}

// SetNotReady makes Ready and Live answer err and rings every bell.
func (c *Cluster) SetNotReady(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.NotReady = err
	for t := range c.rollouts {
		c.ring(t)
	}
}

// Rollout implements deploys.Cluster.
func (c *Cluster) Rollout(t deploys.Target) (deploys.Rollout, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.rollouts[t]
	if !ok {
		return deploys.Rollout{}, errs.New(errs.NotFound, "There is no app %s.", t)
	}
	if view, behind := c.behind[t]; behind {
		return c.copy(&view), nil
	}
	return c.copy(r), nil
}

func (c *Cluster) copy(r *deploys.Rollout) deploys.Rollout {
	out := *r
	out.At = c.now()
	out.Images = maps.Clone(r.Images)
	out.Conditions = slices.Clone(r.Conditions)
	out.ReplicaSets = slices.Clone(r.ReplicaSets)
	out.Pods = slices.Clone(r.Pods)
	for i := range out.Pods {
		out.Pods[i].Containers = slices.Clone(out.Pods[i].Containers)
	}
	return out
}

// Live implements deploys.Cluster.
func (c *Cluster) Live(_ context.Context, t deploys.Target) (deploys.Rollout, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lives++
	if c.NotReady != nil {
		return deploys.Rollout{}, c.NotReady
	}
	out := c.copy(c.rollouts[t])
	out.ReplicaSets, out.Pods = nil, nil
	if c.AfterLive != nil {
		c.mu.Unlock()
		c.AfterLive()
		c.mu.Lock()
	}
	return out, nil
}

// Proven implements deploys.Cluster: what there is in truth, unless NotReady is set.
func (c *Cluster) Proven(_ context.Context, t deploys.Target) (deploys.Rollout, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.proofs++
	if c.NotReady != nil {
		return deploys.Rollout{}, c.NotReady
	}
	if r, ok := c.rollouts[t]; ok {
		return c.copy(r), nil
	}
	return deploys.Rollout{}, errs.New(errs.NotFound, "There is no app %s.", t)
}

// Proofs counts the views that had to be proven.
func (c *Cluster) Proofs() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.proofs
}

// Behind makes Rollout answer what it would answer now until CatchUp, as caches do whose watches are cut
// without a word.
func (c *Cluster) Behind(t deploys.Target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.behind == nil {
		c.behind = map[deploys.Target]deploys.Rollout{}
	}
	c.behind[t] = c.copy(c.rollouts[t])
}

// CatchUp ends Behind and rings.
func (c *Cluster) CatchUp(t deploys.Target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.behind, t)
	c.ring(t)
}

// Land applies a change whose sender has got no answer.
func (c *Cluster) Land(ch deploys.Change) error {
	_, err := c.land(ch)
	return err
}

// Watch implements deploys.Cluster.
func (c *Cluster) Watch(t deploys.Target) (<-chan struct{}, func()) {
	bell := make(chan struct{}, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bells[t] == nil {
		c.bells[t] = map[chan struct{}]bool{}
	}
	c.bells[t][bell] = true
	return bell, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.bells[t], bell)
	}
}

// WatchAll implements deploys.Cluster.
func (c *Cluster) WatchAll() (<-chan struct{}, func()) { return c.Watch(deploys.Target{}) }

func (c *Cluster) ring(t deploys.Target) {
	if _, behind := c.behind[t]; behind {
		return // nobody is told
	}
	c.toll(t)
}

func (c *Cluster) toll(t deploys.Target) {
	for _, at := range []deploys.Target{t, {}} {
		for bell := range c.bells[at] {
			select {
			case bell <- struct{}{}:
			default:
			}
		}
	}
}

// Apply implements deploys.Cluster: a guarded patch that bumps the generation and makes a new ReplicaSet, or uses an
// old one with the same template again.
func (c *Cluster) Apply(_ context.Context, ch deploys.Change) (deploys.Applied, error) {
	if c.BeforeApply != nil {
		if err := c.BeforeApply(ch); err != nil {
			return deploys.Applied{}, err
		}
	}
	a, err := c.land(ch)
	if err == nil && c.AfterApply != nil {
		err = c.AfterApply(ch)
	}
	return a, err
}

func (c *Cluster) land(ch deploys.Change) (deploys.Applied, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.rollouts[ch.Target]
	if r == nil || !r.Exists {
		return deploys.Applied{}, errs.New(errs.NotFound, "There is no such Deployment.")
	}
	if r.ResourceVersion != ch.ResourceVersion || r.UID != ch.UID {
		return deploys.Applied{}, fmt.Errorf("the fake cluster: %w", deploys.ErrStale)
	}
	c.applied = append(c.applied, ch)
	maps.Copy(r.Images, ch.Images)
	r.DeployID, _ = strconv.ParseInt(ch.Annotations[deploys.AnnotationDeploy], 10, 64)
	if ch.Restarted != nil {
		r.Restarted = *ch.Restarted
	}
	r.ChangedBy, r.ChangedAt = deploys.FieldManager, c.clock()
	c.retemplate(r)
	c.ring(ch.Target)
	return c.copy(r).Applied(), nil
}

// clock is the time as an API server takes it down, if more finely: in steps.
func (c *Cluster) clock() time.Time { return c.now().Truncate(time.Millisecond) }

// template gives r the hashes of its template as it is now: its images, the mark of a restart and its frame are all there
// is of it.
func template(r *deploys.Rollout) {
	r.Bare = Template(r.Images)
	if r.Frame == "" {
		r.Frame = "frame"
	}
	if r.Frame != "frame" {
		r.Bare = Digest(r.Bare + r.Frame)[len("sha256:"):]
	}
	r.Template = r.Bare
	if r.Restarted != "" {
		r.Template = Digest(r.Bare + r.Restarted)[len("sha256:"):]
	}
}

func (c *Cluster) retemplate(r *deploys.Rollout) {
	c.serial++
	r.Generation++
	r.ResourceVersion = strconv.Itoa(c.serial)
	template(r)
	c.replicaSet(r)
}

// Update changes a workload by hand and rings its bells, as any change in the cluster does.
func (c *Cluster) Update(t deploys.Target, change func(*deploys.Rollout)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.rollouts[t]
	change(r)
	c.serial++
	r.ResourceVersion = strconv.Itoa(c.serial)
	c.ring(t)
}

// SetImage is kubectl set image: a new template that is not ours, with the annotations left as they are.
func (c *Cluster) SetImage(t deploys.Target, container, image string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.rollouts[t]
	r.Images[container] = image
	r.ChangedBy, r.ChangedAt = "kubectl-set", c.clock()
	c.retemplate(r)
	c.ring(t)
}

// Retemplate is any change of a pod template by somebody else: change makes it, and it is a new template where that
// changed an image, the frame (any other part of the template) or the mark of a restart.
// Without a manager it has only removed something, and the API server has taken down no write.
func (c *Cluster) Retemplate(t deploys.Target, manager string, change func(*deploys.Rollout)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.rollouts[t]
	r.Images = maps.Clone(r.Images)
	change(r)
	if manager != "" {
		r.ChangedBy, r.ChangedAt = manager, c.clock()
	}
	c.retemplate(r)
	c.ring(t)
}

// Applied lists the patches that landed.
func (c *Cluster) Applied() []deploys.Change {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.applied)
}

// Lives counts the direct reads.
func (c *Cluster) Lives() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lives
}

// Complete makes r a rollout that is done: all pods of the newest ReplicaSet, ready since then, none of another.
func Complete(r *deploys.Rollout, since time.Time) {
	r.ObservedGeneration = r.Generation
	r.Replicas, r.Updated, r.Ready, r.Available = r.Desired, r.Desired, r.Desired, r.Desired
	rs := &r.ReplicaSets[0]
	rs.Desired, rs.Replicas, rs.Ready = r.Desired, r.Desired, r.Desired
	old := r.Pods
	r.Pods = nil
	for i := range int(r.Desired) {
		name := fmt.Sprintf("%s-%d", rs.Name, i)
		pod := deploys.Pod{Name: name, UID: "uid-" + name, ReplicaSet: rs.Name, Node: "node-1", Phase: "Running", Created: since.Add(-3 * time.Second),
			Scheduled: since.Add(-3 * time.Second), Ready: true, ReadySince: since}
		for _, was := range old {
			if was.UID == pod.UID {
				pod.Created = was.Created
			}
		}
		for _, c := range slices.Sorted(maps.Keys(r.Images)) {
			_, _, digest := deploys.SplitImage(r.Images[c])
			pod.Containers = append(pod.Containers, deploys.Container{Name: c, Image: r.Images[c], ImageID: digest, State: "running",
				Since: since.Add(-2 * time.Second), Started: true, Ready: true})
		}
		r.Pods = append(r.Pods, pod)
	}
}

// Logs implements deploys.Cluster: what SetLog gave.
func (c *Cluster) Logs(_ context.Context, _ deploys.Target, pod, container string, _ bool) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if lines, ok := c.logs[pod+"/"+container]; ok {
		return lines, nil
	}
	return nil, errs.New(errs.NotFound, "There is no log of container %s of pod %s.", container, pod)
}

// SetLog makes a container have said these lines.
func (c *Cluster) SetLog(pod, container string, lines ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.logs == nil {
		c.logs = map[string][]string{}
	}
	c.logs[pod+"/"+container] = lines
}

// Differences implements deploys.Cluster: what stands in Different, when both templates are known.
func (c *Cluster) Differences(t deploys.Target, before, after string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := map[string]bool{}
	for _, rs := range c.rollouts[t].ReplicaSets {
		known[rs.Template] = true
	}
	if !known[before] || !known[after] || before == after {
		return nil
	}
	return c.Different
}
