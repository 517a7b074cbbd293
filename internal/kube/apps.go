package kube

import (
	"cmp"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// Apps implements deploys.Cluster. Without a configured list it knows the apps of an environment only after that was
// read.
func (c *Cluster) Apps() []deploys.App {
	var all []deploys.App
	for _, e := range c.envs {
		all = append(all, c.appsIn(e)...)
	}
	return all
}

// App implements deploys.Cluster. While a cluster without a configured list has never been read, or its Deployments may
// not be, an unknown app is errs.Unavailable: nobody can tell.
func (c *Cluster) App(t deploys.Target) (deploys.App, error) {
	e, err := c.env(t.Env)
	if err != nil {
		return deploys.App{}, err
	}
	if len(c.apps) > 0 {
		for _, a := range c.apps {
			if a.Name == t.App && a.in(e.name) {
				return c.configured(a, e), nil
			}
		}
		return deploys.App{}, c.noApp(e, t)
	}
	sp := e.space()
	if sp == nil {
		_, why := e.trouble()
		return deploys.App{}, errs.New(errs.Unavailable, "%s", why)
	}
	if d, ok := sp.get(deployments, t.App).(*appsv1.Deployment); ok {
		if a, ok := c.discovered(d, e); ok {
			return a, nil
		}
	}
	if sentence, _ := sp.feeds[deployments].refusedSince(); sentence != "" {
		return deploys.App{}, errs.New(errs.Unavailable, "%s", sentence)
	}
	return deploys.App{}, c.noApp(e, t)
}

// workload names the Deployment behind a target. In an environment without a list, and before it was read, that is the
// app's name.
func (c *Cluster) workload(e env, t deploys.Target) (string, error) {
	if len(c.apps) == 0 && e.space() == nil {
		return t.App, nil
	}
	for _, a := range c.apps {
		if a.Name == t.App && a.in(e.name) {
			return cmp.Or(a.Workload, a.Name), nil
		}
	}
	if len(c.apps) > 0 {
		return "", c.noApp(e, t)
	}
	return t.App, nil // gone or not: a Deployment that does not exist is no error
}

func (a AppConfig) in(environment string) bool {
	return len(a.Envs) == 0 || slices.Contains(a.Envs, environment)
}

func (c *Cluster) appsIn(e env) []deploys.App {
	var all []deploys.App
	for _, a := range c.apps {
		if a.in(e.name) {
			all = append(all, c.configured(a, e))
		}
	}
	if sp := e.space(); sp != nil && len(c.apps) == 0 {
		for _, o := range sp.feeds[deployments].informer.GetStore().List() {
			if d, ok := o.(*appsv1.Deployment); ok {
				if a, ok := c.discovered(d, e); ok {
					all = append(all, a)
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b deploys.App) int { return cmp.Compare(a.App, b.App) })
	return all
}

// configured completes an app of the list from its Deployment, where that is known.
func (c *Cluster) configured(a AppConfig, e env) deploys.App {
	app := deploys.App{
		Target:     deploys.Target{App: a.Name, Env: e.name},
		Repository: a.Repository, Git: a.Git,
		Namespace: e.namespace, Workload: cmp.Or(a.Workload, a.Name), Containers: slices.Clone(a.Containers), Migrations: a.Migrations,
		Stability: cmp.Or(a.Stability, c.stability), Limit: cmp.Or(a.Limit, c.limit),
	}
	var all []corev1.Container
	if sp := e.space(); sp != nil {
		if d, ok := sp.get(deployments, app.Workload).(*appsv1.Deployment); ok {
			all = containersOf(d)
		}
	}
	if app.Repository == "" {
		app.Repository = c.repositoryOf(all, app.Containers)
	}
	if len(app.Containers) == 0 {
		app.Containers = runs(all, app.Repository)
	}
	if len(app.Containers) == 0 && len(all) > 0 {
		app.Containers = []string{all[0].Name} // it runs something else now; the first is what kubectl would take
	}
	if len(app.Containers) == 0 {
		app.Containers = []string{app.Workload} // nothing is known; Apply refuses a name that is not there
	}
	if app.Git == "" {
		app.Git = gitOf(app.Repository)
	}
	return app
}

// discovered makes an app of a Deployment that runs an image of the registry.
func (c *Cluster) discovered(d *appsv1.Deployment, e env) (deploys.App, bool) {
	all := containersOf(d)
	repository := c.repositoryOf(all, nil)
	if !strings.HasPrefix(repository, c.registry+"/") {
		return deploys.App{}, false
	}
	return deploys.App{
		Target:     deploys.Target{App: d.Name, Env: e.name},
		Repository: repository, Git: gitOf(repository),
		Namespace: e.namespace, Workload: d.Name, Containers: runs(all, repository),
		Stability: c.stability, Limit: c.limit,
	}, true
}

// containersOf gives the containers of a template, then its init containers.
func containersOf(d *appsv1.Deployment) []corev1.Container {
	all := slices.Concat(d.Spec.Template.Spec.Containers, d.Spec.Template.Spec.InitContainers)
	for i := range all {
		all[i].Image = imageName(all[i].Image)
	}
	return all
}

// repositoryOf finds the repository an app's image comes from: that of the first container among those named, or among
// all the first from the registry; where none is from there, that of the first.
func (c *Cluster) repositoryOf(all []corev1.Container, named []string) string {
	first := ""
	for _, k := range all {
		if len(named) > 0 && !slices.Contains(named, k.Name) {
			continue
		}
		repository, _, _ := deploys.SplitImage(k.Image)
		if c.registry != "" && strings.HasPrefix(repository, c.registry+"/") {
			return repository
		}
		first = cmp.Or(first, repository)
	}
	return first
}

// runs names the containers whose image comes from a repository.
func runs(all []corev1.Container, repository string) []string {
	var names []string
	for _, k := range all {
		if r, _, _ := deploys.SplitImage(k.Image); r == repository {
			names = append(names, k.Name)
		}
	}
	return names
}

// gitOf takes owner/name out of "host/owner/name" or "host/owner/name/more"; empty where there is less.
func gitOf(repository string) string {
	parts := strings.Split(repository, "/")
	if len(parts) < 3 {
		return ""
	}
	return parts[1] + "/" + parts[2]
}

// noApp says that an app does not exist and names what does, the likeliest first.
func (c *Cluster) noApp(e env, t deploys.Target) error {
	var names []string
	for _, a := range c.appsIn(e) {
		names = append(names, a.App)
	}
	if len(names) == 0 {
		return errs.New(errs.NotFound, "There is no app %s in %s; there is none at all.", quoted(t.App), e.name)
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(distance(t.App, a), distance(t.App, b)) })
	more := ""
	if len(names) > 5 {
		names, more = names[:5], ", ..."
	}
	return errs.New(errs.NotFound, "There is no app %s in %s; there is %s%s.", quoted(t.App), e.name, strings.Join(names, ", "), more)
}

// distance counts the letters to add, drop or change to get from one name to another.
func distance(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
