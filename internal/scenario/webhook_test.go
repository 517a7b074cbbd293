package scenario_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	admission "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// rewriteImages sets up a webhook that gives new pods another image than the one they ask for, as a mirror does that
// caches tags; undo takes it away.
func rewriteImages(st *stage) (undo func()) {
	st.t.Helper()
	other := st.w.pinned(st.s.key, good)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admission.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		kind := admission.PatchTypeJSONPatch
		review.Response = &admission.AdmissionResponse{UID: review.Request.UID, Allowed: true, PatchType: &kind,
			Patch: fmt.Appendf(nil, `[{"op":"replace","path":"/spec/containers/0/image","value":%q}]`, other)}
		review.Request = nil
		_ = json.NewEncoder(w).Encode(review) // the API server is gone: it asks again
	}))
	ctx, name, hooks := st.t.Context(), st.ns.Name, st.ns.Admin.AdmissionregistrationV1().MutatingWebhookConfigurations()
	undo = func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // the test's own context may have ended
		defer cancel()
		_ = hooks.Delete(ctx, name, metav1.DeleteOptions{}) // of one that is gone
		server.Close()
	}
	st.t.Cleanup(undo)
	none := admissionv1.SideEffectClassNone
	_, err := hooks.Create(ctx, &admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Webhooks: []admissionv1.MutatingWebhook{{
			Name: "mirror.example.test", SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
			ClientConfig: admissionv1.WebhookClientConfig{URL: &server.URL,
				CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": name}},
			Rules: []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{admissionv1.Create},
				Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}}}},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		st.t.Fatal(err)
	}
	st.podsGet(func(image string) bool { return image == other })
	return undo
}

// podsGet waits until new pods of the namespace get such an image when they ask for "try".
func (st *stage) podsGet(ok func(image string) bool) {
	st.t.Helper()
	try := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "try"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "try", Image: "try"}}}}
	slowly(st.t, time.Minute, "the webhook's change is in force", func() bool {
		p, err := st.ns.Admin.CoreV1().Pods(st.ns.Name).Create(st.t.Context(), try, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err == nil && ok(p.Spec.Containers[0].Image)
	})
}
