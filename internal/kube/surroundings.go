package kube

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// accountKind is what pods run as; it may bring imagePullSecrets.
const accountKind = "ServiceAccount"

const noSecrets = "The portal may not read Secrets."

// Surroundings tells what is around a workload: what its pods need, where they can land, what limits them. The Deployment
// comes from the informers' memory; the rest is asked, all at once and for 0.7 s at most, and remembered for a minute.
// Nothing older is told. It never fails: what could not be read stands in Unseen. Of Secrets, where the environment says that
// they may be read, and of ConfigMaps there are key names and nothing else.
func (c *Cluster) Surroundings(ctx context.Context, t deploys.Target) deploys.Surroundings {
	s := deploys.Surroundings{At: c.now(), Unseen: map[string]string{}}
	e, d, why := c.deployment(t)
	if d == nil {
		s.Unseen[deploys.PartWorkload] = why
		return s
	}
	template := &d.Spec.Template
	ctx, cancel := context.WithTimeout(e.site.logged(ctx), factWait)
	defer cancel()
	var (
		wg      sync.WaitGroup
		nodes   told[[]corev1.Node]
		budgets told[[]policyv1.PodDisruptionBudget]
		quotas  told[[]corev1.ResourceQuota]
		scalers told[[]autoscalingv2.HorizontalPodAutoscaler]
		needs   lookedAt
	)
	wg.Go(func() { nodes = e.site.nodes(ctx) })
	wg.Go(func() { budgets = e.budgets(ctx) })
	wg.Go(func() { quotas = e.quotas(ctx) })
	wg.Go(func() { scalers = e.scalers(ctx) })
	wg.Go(func() { needs = e.needs(ctx, template) })
	wg.Wait()

	w := workloadSpec(d)
	w.Single = needs.single
	s.Workload, s.Needs, s.At = w, needs.all, earliest(s.At, needs.at, nodes.at, budgets.at, quotas.at, scalers.at)
	maps.Copy(s.Unseen, needs.unseen)
	for part, why := range map[string]string{deploys.PartNodes: nodes.why, deploys.PartBudgets: budgets.why,
		deploys.PartQuotas: quotas.why, deploys.PartScalers: scalers.why} {
		if why != "" {
			s.Unseen[part] = why
		}
	}
	for i := range nodes.value {
		s.Nodes = append(s.Nodes, viewNode(&nodes.value[i], template))
	}
	slices.SortFunc(s.Nodes, func(a, b deploys.Node) int { return cmp.Compare(a.Name, b.Name) })
	s.Budgets = viewBudgets(budgets.value, template, w.Replicas)
	s.Quotas = viewQuotas(quotas.value, template, min(w.MaxSurge, w.Replicas)) // the controller never brings more at once
	s.Scaler = scalerOf(scalers.value, d.Name)
	return s
}

// deployment finds a target's Deployment in a view that can be trusted, or says why there is none.
func (c *Cluster) deployment(t deploys.Target) (e env, d *appsv1.Deployment, why string) {
	e, err := c.env(t.Env)
	if err != nil {
		return e, nil, errs.Public(err)
	}
	workload, err := c.workload(e, t)
	if err != nil {
		return e, nil, errs.Public(err)
	}
	if since, why := e.trouble(); !since.IsZero() {
		return e, nil, why
	}
	d, ok := e.space().get(deployments, workload).(*appsv1.Deployment)
	if !ok {
		return e, nil, "There is no Deployment " + workload + " in " + e.namespace + "."
	}
	return e, d, ""
}

// lookedAt is what became of a template's needs.
type lookedAt struct {
	all    []deploys.Need
	unseen map[string]string
	single []string // claims that one node only can mount
	at     time.Time
}

// needs looks for all that a template refers to.
func (e env) needs(ctx context.Context, t *corev1.PodTemplateSpec) lookedAt {
	named := needsOf(t)
	l := lookedAt{unseen: map[string]string{}, at: e.site.now()}
	var configMaps, claims, secrets told[map[string]object]
	var wg sync.WaitGroup
	wg.Go(func() { configMaps = e.find(ctx, configMapKind, named) })
	wg.Go(func() { claims = e.find(ctx, claimKind, named) })
	l.all = append(slices.Clone(named), e.accountPulls(ctx, t)...)
	if e.secrets {
		secrets = e.find(ctx, secretKind, l.all)
	}
	wg.Wait()
	l.at = earliest(l.at, configMaps.at, claims.at, secrets.at)
	for i := range l.all {
		n := &l.all[i]
		switch n.Kind {
		case secretKind:
			look(n, secrets.value[n.Name])
			if !e.secrets {
				n.Unseen = noSecrets
			}
			l.note(deploys.PartSecrets, n.Unseen)
		case configMapKind:
			look(n, configMaps.value[n.Name])
			l.note(deploys.PartConfigMaps, n.Unseen)
		case claimKind:
			look(n, claims.value[n.Name])
			l.note(deploys.PartVolumes, n.Unseen)
			if n.Exists && claims.value[n.Name].single() && !slices.Contains(l.single, n.Name) {
				l.single = append(l.single, n.Name)
			}
		}
	}
	return l
}

func (l *lookedAt) note(part, why string) {
	if why != "" && l.unseen[part] == "" {
		l.unseen[part] = why
	}
}

// find reads the objects of a kind that are needed. Something that is missing from them is asked for again soon.
func (e env) find(ctx context.Context, kind string, all []deploys.Need) told[map[string]object] {
	var names []string
	for _, n := range all {
		if n.Kind == kind && !slices.Contains(names, n.Name) {
			names = append(names, n.Name)
		}
	}
	return e.objects(ctx, kind, names, func(found map[string]object) bool {
		return !slices.ContainsFunc(all, func(n deploys.Need) bool {
			if n.Kind == kind {
				look(&n, found[n.Name])
			}
			return n.Kind == kind && (!n.Exists || len(n.Lacks) > 0)
		})
	})
}

func look(n *deploys.Need, o object) {
	n.Unseen, n.Lacks = o.why, nil
	if n.Exists = o.exists; !o.exists {
		return
	}
	for _, k := range n.Keys {
		if !o.has(k) {
			n.Lacks = append(n.Lacks, k)
		}
	}
}

// accountPulls are the imagePullSecrets of the pods' ServiceAccount, which count where the template names none. Where it may
// not be read there are none to tell of.
func (e env) accountPulls(ctx context.Context, t *corev1.PodTemplateSpec) []deploys.Need {
	if len(t.Spec.ImagePullSecrets) > 0 {
		return nil
	}
	account := cmp.Or(t.Spec.ServiceAccountName, "default")
	var l needs
	for _, s := range e.objects(ctx, accountKind, []string{account}, nil).value[account].ImagePullSecrets {
		l.pull(s.Name, "imagePullSecrets of ServiceAccount "+account)
	}
	return l
}

// earliest is the first of some times, those that are not set left out.
func earliest(first time.Time, others ...time.Time) time.Time {
	for _, t := range others {
		if !t.IsZero() && t.Before(first) {
			first = t
		}
	}
	return first
}
