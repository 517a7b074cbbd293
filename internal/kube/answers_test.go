package kube_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/kube"
)

// misbehaving is an API server that gives the Deployment and lets a test answer the patch: for what a real one cannot be
// brought to do.
func misbehaving(t *testing.T, patch http.HandlerFunc) (*kube.Cluster, deploys.Change, *httptest.Server) {
	t.Helper()
	d := &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Name: "api", Namespace: "honeydue", UID: "dep-1", ResourceVersion: "7"},
	}
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "api", Image: imageOld}, {Name: "sidecar", Image: "proxy:1"}}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodPatch {
			_, _ = io.Copy(io.Discard, r.Body)
			patch(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(d)
	}))
	s.Config.SetKeepAlivesEnabled(false) // each request dials: one written to a connection that died may have been sent
	s.Start()
	t.Cleanup(s.Close)
	c, err := kube.New(kube.Options{Envs: []kube.Env{{Name: "prod", Namespace: "honeydue", Config: &rest.Config{Host: s.URL}}}, RegistryHost: "git.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Live(t.Context(), api)
	if err != nil {
		t.Fatal(err)
	}
	return c, change(r, imageNew), s
}

func status(code int, reason metav1.StatusReason, message string, details *metav1.StatusDetails) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
			Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message, Details: details})
	}
}

func plainText(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "a gateway's words", code) }
}

func TestApplyAnswers(t *testing.T) {
	about := &metav1.StatusDetails{Name: "api", Kind: "deployments", Group: "apps"}
	reset := func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }
	half := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, `{"kind":"Deployment",`)
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"reset":       {reset, "unanswered"},
		"half":        {half, "unanswered"},
		"nonsense":    {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{") }, "unanswered"},
		"500":         {status(500, "InternalError", "etcdserver: request timed out", nil), "unanswered"},
		"504":         {status(504, "Timeout", "request did not complete", nil), "unanswered"},
		"502 gateway": {plainText(502), "unanswered"},
		"503 gateway": {plainText(503), "unanswered"},
		"429 plain":   {plainText(429), "unavailable: The cluster does not take changes at the moment."},
		"503":         {status(503, "ServiceUnavailable", "shutting down", nil), "unavailable: The cluster does not take changes at the moment."},
		"429":         {status(429, "TooManyRequests", "slow down", nil), "unavailable: The cluster does not take changes at the moment."},
		"401":         {status(401, "Unauthorized", "Unauthorized", nil), "unavailable: The cluster refuses the portal's credentials."},
		"404":         {status(404, "NotFound", `deployments.apps "api" not found`, about), "not found: There is no Deployment api in honeydue any more."},
		"409":         {status(409, "Conflict", "the object has been modified", about), "stale"},
		"test failed": {status(422, "Invalid", "the server rejected our request due to an error in our request", &metav1.StatusDetails{}), "stale"},
		"rbac": {status(403, "Forbidden", `deployments.apps "api" is forbidden: User "x" cannot patch resource "deployments" in API group "apps" in the namespace "honeydue"`, about),
			"forbidden: The portal may not patch deployments in honeydue."},
		"another 403": {status(403, "Forbidden", `deployments.apps "api" is forbidden: too late`, about),
			`invalid: The cluster refused the change: deployments.apps "api" is forbidden: too late`},
		"webhook with 409": {status(409, "Conflict", "admission webhook \"x\" denied the request: \x1b[31mno\n\u202eway", about),
			`invalid: The cluster refused the change: admission webhook "x" denied the request: no way`},
		"webhook with 503": {status(503, "", `admission webhook "x" denied the request: busy`, nil),
			`invalid: The cluster refused the change: admission webhook "x" denied the request: busy`},
		"webhook away": {status(500, "InternalError", `Internal error occurred: failed calling webhook "x": no endpoints`, nil),
			`unavailable: The cluster did not take the change: Internal error occurred: failed calling webhook "x": no endpoints`},
		"validation": {status(422, "Invalid", `Deployment.apps "api" is invalid: spec: `+strings.Repeat("x", 600), &metav1.StatusDetails{Name: "api", Kind: "Deployment"}),
			`invalid: The cluster refused the change: Deployment.apps "api" is invalid: spec: ` + strings.Repeat("x", 459) + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			k, ch, _ := misbehaving(t, func(w http.ResponseWriter, r *http.Request) { asked.Add(1); c.answer(w, r) })
			_, err := k.Apply(t.Context(), ch)
			same(t, "Apply", sort(err), c.want)
			same(t, "patches sent", asked.Load(), int32(1))
		})
	}
}

// sort names an error of Apply.
func sort(err error) string {
	switch {
	case err == nil:
		return "none"
	case errors.Is(err, deploys.ErrUnanswered):
		return "unanswered"
	case errors.Is(err, deploys.ErrStale):
		return "stale"
	}
	return fmt.Sprint(errs.KindOf(err), ": ", errs.Public(err))
}

func TestApplySaysWhoChanges(t *testing.T) {
	var query, kind atomic.Value
	k, ch, _ := misbehaving(t, func(w http.ResponseWriter, r *http.Request) {
		query.Store(r.URL.RawQuery)
		kind.Store(r.Header.Get("Content-Type"))
		status(409, "Conflict", "x", nil)(w, r)
	})
	_, err := k.Apply(t.Context(), ch)
	same(t, "Apply", sort(err), "stale")
	same(t, "sent", []any{query.Load(), kind.Load()}, []any{"fieldManager=deploy-portal", "application/json-patch+json"})
}

func TestApplyTimesOut(t *testing.T) {
	hang := make(chan struct{})
	k, ch, _ := misbehaving(t, func(http.ResponseWriter, *http.Request) { <-hang })
	defer close(hang)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := k.Apply(ctx, ch)
	same(t, "Apply", sort(err), "unanswered")
}

func TestApplyNotSent(t *testing.T) {
	k, ch, s := misbehaving(t, plainText(200))
	s.CloseClientConnections()
	s.Close()
	_, err := k.Apply(t.Context(), ch)
	same(t, "with nobody there", sort(err), "unavailable: The cluster cannot be reached: the change was not sent.")

	ch.Images = map[string]string{"apii": imageNew}
	_, err = k.Apply(t.Context(), ch)
	same(t, "misspelt", sort(err), "invalid: The Deployment api has no container named apii; it has: api, sidecar.")
	ch.ResourceVersion = "6"
	_, err = k.Apply(t.Context(), ch)
	same(t, "past", sort(err), "stale")
	_, err = k.Apply(t.Context(), deploys.Change{Target: deploys.Target{App: "api", Env: "prd"}})
	same(t, "env", sort(err), `not found: There is no environment "prd"; there is prod.`)
}

func TestLiveAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"gone":            {status(404, "NotFound", `deployments.apps "api" not found`, &metav1.StatusDetails{Name: "api", Kind: "deployments"}), "none"},
		"a gateway's 404": {plainText(404), "unavailable: The portal has not read the cluster yet."},
		"403": {status(403, "Forbidden", `deployments.apps "api" is forbidden: User "x" cannot get resource`, nil),
			"forbidden: The portal may not get deployments in honeydue."},
		"500": {status(500, "InternalError", "no", nil), "unavailable: The portal has not read the cluster yet."},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				c.answer(w, r)
			}))
			defer s.Close()
			k, err := kube.New(kube.Options{Envs: []kube.Env{{Name: "prod", Namespace: "honeydue", Config: &rest.Config{Host: s.URL}}}, RegistryHost: "x"})
			if err != nil {
				t.Fatal(err)
			}
			r, err := k.Live(t.Context(), api)
			same(t, "Live", sort(err), c.want)
			same(t, "exists", r.Exists, false)
		})
	}
}
