package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/foreign"
)

const maxRefusal = 500 // runes of an API server's sentence that are shown

// traceSent tells, after a request failed, whether any of it may have reached the other side: whether its headers were
// written to a connection.
func traceSent(ctx context.Context) (context.Context, func() bool) {
	var sent atomic.Bool
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }}), sent.Load
}

// patchError sorts what came back for a patch into the errors of deploys.Cluster.Apply. The order matters: an
// admission webhook may give its refusal any status code, and only an answer of the API server itself proves that a
// patch was not taken.
func patchError(namespace, workload string, err error, sent bool) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		if sent {
			return fmt.Errorf("%w: %w", deploys.ErrUnanswered, err)
		}
		return errs.Wrap(err, errs.Unavailable, "The cluster cannot be reached: the change was not sent.")
	}
	s := status.Status()
	sentence := foreign.Line(s.Message, maxRefusal)
	switch {
	case deniedByAdmission(s.Message):
		return errs.Wrap(err, errs.Invalid, "The cluster refused the change: %s", sentence)
	case strings.Contains(s.Message, "failed calling webhook"):
		return errs.Wrap(err, errs.Unavailable, "The cluster did not take the change: %s", sentence)
	case s.Code == http.StatusConflict, testFailed(s):
		return fmt.Errorf("%w: %w", deploys.ErrStale, err)
	case s.Code == http.StatusUnauthorized:
		return errs.Wrap(err, errs.Unavailable, "The cluster refuses the portal's credentials.")
	case s.Code == http.StatusForbidden:
		if rbac(s) {
			return errs.Wrap(err, errs.Forbidden, "The portal may not patch deployments in %s.", namespace)
		}
		return errs.Wrap(err, errs.Invalid, "The cluster refused the change: %s", sentence)
	case missing(err):
		return errs.Wrap(err, errs.NotFound, "There is no Deployment %s in %s any more.", workload, namespace)
	case s.Code == http.StatusTooManyRequests, s.Code == http.StatusServiceUnavailable && fromServer(s):
		return errs.Wrap(err, errs.Unavailable, "The cluster does not take changes at the moment.")
	case s.Code >= 500 || s.Code == http.StatusRequestTimeout || s.Code == 0:
		// A gateway gave up, or the API server lost its store between writing and answering.
		return fmt.Errorf("%w: %w", deploys.ErrUnanswered, err)
	}
	return errs.Wrap(err, errs.Invalid, "The cluster refused the change: %s", sentence)
}

// deniedByAdmission recognises the texts that the API server itself puts before a webhook's and a policy's own.
func deniedByAdmission(message string) bool {
	return strings.Contains(message, "denied the request") ||
		strings.Contains(message, "ValidatingAdmissionPolicy") && strings.Contains(message, "denied request")
}

// testFailed recognises the answer to a JSON patch that cannot be applied to the object as it is now: a test does not
// hold, a path is not there. The API server then names no object, as it does for one that is invalid.
func testFailed(s metav1.Status) bool {
	return s.Code == http.StatusUnprocessableEntity && (s.Details == nil || s.Details.Kind == "" && s.Details.Name == "")
}

// rbac tells a missing right from another refusal with the same status, such as a quota's.
func rbac(s metav1.Status) bool {
	return strings.Contains(s.Message, " cannot ") && strings.Contains(s.Message, "resource ")
}

// missing tells whether the API server itself says that an object does not exist. A 404 of something in between has no
// Status, and says nothing about the object.
func missing(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	s := status.Status()
	return s.Details != nil && s.Details.Name != "" && fromServer(s)
}

// fromServer tells whether the API server gave a Status. What something in between answers has none, and client-go makes
// one up and says so. Of its own answers only a 429 has none: it is given before anything is done.
func fromServer(s metav1.Status) bool {
	return s.Details == nil || !slices.ContainsFunc(s.Details.Causes, func(c metav1.StatusCause) bool {
		return c.Type == metav1.CauseTypeUnexpectedServerResponse
	})
}

// readError sorts what came back for a read.
func (c *Cluster) readError(e env, err error) error {
	switch {
	case apierrors.IsForbidden(err):
		return errs.Wrap(err, errs.Forbidden, "The portal may not get deployments in %s.", e.namespace)
	case apierrors.IsUnauthorized(err):
		return errs.Wrap(err, errs.Unavailable, "The cluster refuses the portal's credentials.")
	}
	if _, why := e.site.staleness(); why != "" {
		return errs.Wrap(err, errs.Unavailable, "%s", why)
	}
	return errs.Wrap(err, errs.Unavailable, "The cluster does not answer.")
}
