package kube

import (
	"context"
	"fmt"
	"regexp"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/foreign"
)

const (
	logWait  = 4 * time.Second
	logLines = 40        // of a container's log that are read
	logBytes = 64 * 1024 // at most
	logWidth = 300       // runes of a line that are kept
)

// lost is what a kubelet answers, with status 200, in place of a log that it has thrown away with its container. A
// container that restarts does that all the time.
var lost = regexp.MustCompile(`^(?:failed to try resolving symlinks in path "[^"\n]*": [^\n]*: no such file or directory|` +
	`unable to retrieve container logs for [a-z-]+://[0-9a-f]+)\s*$`)

// Logs implements deploys.Cluster.
func (c *Cluster) Logs(ctx context.Context, t deploys.Target, pod, container string, previous bool) ([]string, error) {
	e, err := c.env(t.Env)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(e.site.logged(ctx), logWait)
	defer cancel()
	tail, limit := int64(logLines), int64(logBytes)
	text, err := e.site.wire.core.Get().Namespace(e.namespace).Resource("pods").Name(pod).SubResource("log").
		VersionedParams(&corev1.PodLogOptions{Container: container, Previous: previous, TailLines: &tail, LimitBytes: &limit}, e.site.wire.params).
		MaxRetries(0).Do(ctx).Raw()
	switch {
	case err == nil && lost.Match(text):
		return nil, errs.New(errs.NotFound, "The log of container %s of pod %s is not on its node any more.", container, pod)
	case err == nil:
		return foreign.Lines(string(text), logWidth, logLines), nil
	case apierrors.IsNotFound(err), apierrors.IsBadRequest(err): // no such pod; no container, or none before this one
		return nil, errs.Wrap(err, errs.NotFound, "There is no log of container %s of pod %s.", container, pod)
	case apierrors.IsForbidden(err):
		return nil, errs.Wrap(err, errs.Forbidden, "The portal may not read logs of pods in %s.", e.namespace)
	}
	return nil, errs.Wrap(fmt.Errorf("get log of pod %s/%s: %w", e.namespace, pod, err), errs.Unavailable, "The log of pod %s cannot be read now.", pod)
}
