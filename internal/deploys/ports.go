package deploys

import (
	"context"
	"errors"

	"deployportal/internal/auth"
)

// ErrStale is what Cluster.Apply wraps when the guard failed (409): the object is not at the resourceVersion
// that was read. Nothing was changed.
var ErrStale = errors.New("the workload is not at the resourceVersion that was read")

// ErrUnanswered is what Cluster.Apply wraps when the patch was sent and no answer came: it may have landed.
var ErrUnanswered = errors.New("the patch was sent, but no answer came")

// Cluster is what the domain needs of Kubernetes; internal/kube implements it. All but Live, Proven, Logs and Apply answer
// from memory and cost no call to the API server.
type Cluster interface {
	// Apps lists every app in every environment: environments in the order of the configuration, apps by name.
	Apps() []App
	// App gives one app. errs.NotFound names what exists.
	App(Target) (App, error)
	// Ready tells whether the caches behind a target can be trusted: nil, or errs.Unavailable with the reason in a
	// sentence ("The cluster cannot be reached since 02:10 UTC.", "The portal may not list pods in honeydue."); errs.NotFound
	// when there is no such environment.
	Ready(Target) error
	// Rollout puts the present view together. A Deployment that does not exist is no error: Exists is false.
	Rollout(Target) (Rollout, error)
	// Proven is Rollout with the proof that the view is complete up to the call: what the API server knew then is in it.
	// errs.Unavailable when nobody can tell; errs.NotFound as Rollout.
	Proven(context.Context, Target) (Rollout, error)
	// Watch gives a bell that rings (capacity 1, never blocks) when something of the target changed, and a function
	// that ends it. It also rings when staleness begins or ends.
	Watch(Target) (bell <-chan struct{}, stop func())
	// WatchAll gives a bell, as Watch does, that rings when anything changed that belongs to any target of any environment.
	WatchAll() (bell <-chan struct{}, stop func())
	// Live reads the Deployment from the API server, in one call, and fills what Rollout has of it without
	// ReplicaSets and Pods. A Deployment that does not exist is no error: Exists is false. errs.Forbidden names verb
	// and resource; errs.Unavailable when it cannot be reached.
	Live(context.Context, Target) (Rollout, error)
	// Logs reads the last lines of a container's log, oldest first, made harmless and bounded: of the container before
	// the present one when previous is set. errs.NotFound when there is none.
	Logs(ctx context.Context, t Target, pod, container string, previous bool) ([]string, error)
	// Differences tells what is not alike in the pod templates of two ReplicaSets that are still there, by their
	// hashes: names and references as they are, literal values masked. Empty when one is not known.
	Differences(t Target, before, after string) []string
	// Apply sends one patch. Errors: ErrStale (nothing changed), ErrUnanswered (may have landed), errs.Forbidden with
	// verb and resource, errs.NotFound (gone), errs.Invalid with the API server's sentence (admission, validation),
	// errs.Unavailable (certainly not sent or not accepted).
	Apply(context.Context, Change) (Applied, error)
}

// FieldManager is the name under which Cluster.Apply writes.
const FieldManager = "deploy-portal"

// Change is the one patch of a deploy: images in the pod template, annotations on the Deployment's own metadata.
type Change struct {
	Target          Target
	UID             string
	ResourceVersion string            // the guard
	Images          map[string]string // container or init container name -> image string; each must exist
	Restarted       *string           // the mark of a restart in the pod template, empty: taken away; nil: it stays as it is
	Annotations     map[string]string // set on the Deployment, never in the pod template
}

// Applied is what the API server answered.
type Applied struct {
	UID             string
	ResourceVersion string
	Generation      int64
	Template        string // hash, comparable with Rollout.Template
	Bare            string // hash, comparable with Rollout.Bare
	Frame           string // hash, comparable with Rollout.Frame
	Images          map[string]string
	Author          Author
}

// Applied is what an answer, read as a view, says of the patch that it answers.
func (r Rollout) Applied() Applied {
	return Applied{UID: r.UID, ResourceVersion: r.ResourceVersion, Generation: r.Generation, Template: r.Template, Bare: r.Bare,
		Frame: r.Frame, Images: r.Images, Author: r.Author()}
}

// Registry is what the path of a deploy needs of the image registry; internal/gitea implements it.
type Registry interface {
	// Resolve looks a tag or digest ("sha256:...") up. errs.NotFound: the registry answered that it has none;
	// errs.Forbidden: it refuses us; errs.Unavailable: it cannot be reached.
	Resolve(ctx context.Context, repository, ref string) (Image, error)
	// Configs gives the config digests behind a manifest digest: one, or of an index one for each platform. Errors as
	// Resolve.
	Configs(ctx context.Context, repository, digest string) ([]string, error)
}

// Policy decides who may do what; internal/auth implements it. The error is errs.Forbidden or errs.Unauthenticated
// with a sentence that names what is missing.
type Policy interface {
	Allow(actor auth.Actor, action auth.Action, env string) error
}
