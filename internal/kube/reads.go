package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation/path"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
)

const (
	factQPS   = 100     // on wires of their own: what is read here never makes a patch wait
	maxObject = 8 << 20 // bytes of one object's JSON; etcd takes 1.5 MiB
)

// nodes lists the cluster's nodes, cut down to what viewNode reads.
func (s *site) nodes(ctx context.Context) told[[]corev1.Node] {
	return consult(ctx, s.recall, "list nodes", nil, func(ctx context.Context) ([]corev1.Node, error) {
		var list corev1.NodeList
		err := s.facts.core.Get().Resource("nodes").MaxRetries(0).Do(ctx).Into(&list)
		for i := range list.Items {
			trimNode(&list.Items[i])
		}
		return list.Items, s.heard(err)
	})
}

func (e env) budgets(ctx context.Context) told[[]policyv1.PodDisruptionBudget] {
	var list policyv1.PodDisruptionBudgetList
	return listed(ctx, e, e.site.facts.policy, "poddisruptionbudgets", &list, &list.Items)
}

func (e env) quotas(ctx context.Context) told[[]corev1.ResourceQuota] {
	var list corev1.ResourceQuotaList
	return listed(ctx, e, e.site.facts.core, "resourcequotas", &list, &list.Items)
}

func (e env) scalers(ctx context.Context) told[[]autoscalingv2.HorizontalPodAutoscaler] {
	var list autoscalingv2.HorizontalPodAutoscalerList
	return listed(ctx, e, e.site.facts.scaling, "horizontalpodautoscalers", &list, &list.Items)
}

// listed lists a resource of the environment's namespace into list, whose items are items.
func listed[T any](ctx context.Context, e env, client *rest.RESTClient, resource string, list runtime.Object, items *[]T) told[[]T] {
	return consult(ctx, e.site.recall, "list "+resource+" in "+e.namespace, nil, func(ctx context.Context) ([]T, error) {
		err := client.Get().Namespace(e.namespace).Resource(resource).MaxRetries(0).Do(ctx).Into(list)
		return *items, e.site.heard(err)
	})
}

// heard drops connections that an answer did not come on: the next question shall not wait on a dead one.
func (s *site) heard(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		s.facts.idle()
	}
	return err
}

// object is what is kept of a Secret, a ConfigMap, a claim or a ServiceAccount. Of data there are only the keys.
type object struct {
	Data       map[string]nothing `json:"data"`
	BinaryData map[string]nothing `json:"binaryData"`
	Spec       struct {
		AccessModes []corev1.PersistentVolumeAccessMode `json:"accessModes"`
	} `json:"spec"`
	ImagePullSecrets []struct {
		Name string `json:"name"`
	} `json:"imagePullSecrets"`

	exists bool
	why    string // why it could not be read, a sentence; exists means nothing then
}

// nothing is what is kept of a value: it is thrown away while the JSON is read, before anything is made of it.
type nothing struct{}

// UnmarshalJSON takes any value and keeps none.
func (*nothing) UnmarshalJSON([]byte) error { return nil }

func (o object) has(key string) bool {
	_, data := o.Data[key]
	_, binary := o.BinaryData[key]
	return data || binary
}

// single tells whether a claim can be mounted by one node only.
func (o object) single() bool {
	return len(o.Spec.AccessModes) > 0 && !slices.ContainsFunc(o.Spec.AccessModes, func(m corev1.PersistentVolumeAccessMode) bool {
		return m != corev1.ReadWriteOnce && m != corev1.ReadWriteOncePod
	})
}

// objects reads objects of a kind by name, all at the same time. In what it tells every name has an object.
func (e env) objects(ctx context.Context, kind string, names []string, well func(map[string]object) bool) told[map[string]object] {
	if len(names) == 0 {
		return told[map[string]object]{at: e.site.now()}
	}
	question := fmt.Sprintf("get %s %q in %s", kind, names, e.namespace) // quoted: a template may have any name
	a := consult(ctx, e.site.recall, question, well, func(ctx context.Context) (map[string]object, error) {
		w := e.site.facts
		if kind == secretKind {
			// Connections keep what they carried in their buffers. Those that carried Secrets end here.
			own, err := newWire(e.site.config, factQPS)
			if err != nil {
				return nil, err
			}
			w = own.unpinged()
			defer w.cut()
		}
		return e.readObjects(ctx, w, kind, names)
	})
	if a.value == nil { // nothing at all came back
		a.value = map[string]object{}
		for _, n := range names {
			a.value[n] = object{why: a.why}
		}
	}
	return a
}

// readObjects gives an error only when one was not answered, beside what was.
func (e env) readObjects(ctx context.Context, w *wire, kind string, names []string) (map[string]object, error) {
	found := make(map[string]object, len(names))
	var mu sync.Mutex
	var wg sync.WaitGroup
	var silent error
	for _, name := range names {
		wg.Go(func() {
			o, err := readObject(ctx, w, kind, e.namespace, name)
			o.why = whyUnread("get "+kind+" "+name+" in "+e.namespace, err)
			mu.Lock()
			defer mu.Unlock()
			found[name] = o
			if err != nil && !apierrors.IsForbidden(err) {
				silent = err
			}
		})
	}
	wg.Wait()
	return found, e.site.heard(silent)
}

var resources = map[string]string{secretKind: "secrets", configMapKind: "configmaps", claimKind: "persistentvolumeclaims",
	accountKind: "serviceaccounts"}

// readObject streams the answer into its keys: client-go would log the body of one that it decodes itself. No error of it
// quotes what an object holds.
func readObject(ctx context.Context, w *wire, kind, namespace, name string) (object, error) {
	if len(path.IsValidPathSegmentName(name)) > 0 {
		return object{}, nil // a template may have it; no object can
	}
	body, err := w.core.Get().Namespace(namespace).Resource(resources[kind]).Name(name).
		SetHeader("Accept", "application/json").MaxRetries(0).Stream(ctx)
	if missing(err) {
		return object{}, nil
	}
	if err != nil {
		return object{}, err
	}
	defer body.Close()
	o := object{exists: true}
	if err := json.NewDecoder(io.LimitReader(body, maxObject)).Decode(&o); err != nil {
		if ctx.Err() != nil {
			return object{}, ctx.Err()
		}
		return object{}, errors.New("the answer is no " + kind)
	}
	return o, nil
}
