package kube

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"deployportal/internal/deploys"
)

var begun = time.Date(2026, 11, 20, 2, 10, 0, 0, time.UTC)

func sec(n int) time.Time { return begun.Add(time.Duration(n) * time.Second) }

// about is an event about container api as the old recorder writes it, at seconds after the pod began.
func about(reason, message string, first, last int, count int32) *corev1.Event {
	return &corev1.Event{Reason: reason, Message: message, Count: count, InvolvedObject: corev1.ObjectReference{FieldPath: "spec.containers{api}"},
		FirstTimestamp: metav1.NewTime(sec(first)), LastTimestamp: metav1.NewTime(sec(last))}
}

func says(answer string, first, last int, count int32) *corev1.Event {
	return about("Unhealthy", answer, first, last, count)
}

// TestListen: what is told of a probe is told of its newest answer, and a budget had only one answer or it had not.
func TestListen(t *testing.T) {
	const (
		refused = `Startup probe failed: Get "http://10.42.0.7:3000/": dial tcp 10.42.0.7:3000: connect: connection refused`
		no      = "Startup probe failed: HTTP probe failed with statuscode: 404"
		other   = "Startup probe failed: HTTP probe failed with statuscode: 401"
	)
	kill := func(at int, count int32) *corev1.Event {
		return about("Killing", "Container api failed startup probe, will be restarted", at, at, count)
	}
	type heard struct {
		answer      string
		fails       int32
		first, last int
		through     int
	}
	for _, c := range []struct {
		name   string
		events []*corev1.Event
		want   heard
	}{
		{"one answer through a budget", []*corev1.Event{says(no, 5, 60, 12), kill(61, 1)}, heard{"HTTP 404", 12, 5, 60, 404}},
		{"of which few were let through", []*corev1.Event{says(no, 5, 10, 2), kill(61, 1)}, heard{"HTTP 404", 2, 5, 10, 404}},
		{"in the second of the kill", []*corev1.Event{kill(61, 1), says(no, 61, 61, 1), says(no, 6, 6, 1)}, heard{"HTTP 404", 2, 6, 61, 404}},
		{"not listening when first asked", []*corev1.Event{says(refused, 5, 10, 2), says(no, 15, 60, 10), kill(61, 1)}, heard{"HTTP 404", 10, 15, 60, 404}},
		{"and again in the next run", []*corev1.Event{says(refused, 5, 63, 2), says(no, 10, 60, 11), kill(61, 1)}, heard{"connection refused", 2, 63, 63, 404}},
		{"not listening for half of it", []*corev1.Event{says(refused, 5, 30, 6), says(no, 35, 60, 6), kill(61, 1)}, heard{"HTTP 404", 6, 35, 60, 0}},
		{"one 404 in the run after a budget of refusals", []*corev1.Event{says(refused, 5, 60, 12), kill(61, 1), says(no, 70, 70, 1)}, heard{"HTTP 404", 1, 70, 70, 0}},
		{"an event that goes on after the kill", []*corev1.Event{says(no, 5, 75, 15), kill(61, 1)}, heard{"HTTP 404", 15, 5, 75, 404}},
		{"another answer in between", []*corev1.Event{says(no, 5, 60, 11), says(refused, 40, 40, 1), kill(61, 1)}, heard{"HTTP 404", 11, 60, 60, 0}},
		{"which may have been in between", []*corev1.Event{says(no, 5, 60, 11), says(refused, 5, 70, 3), kill(61, 1)}, heard{"connection refused", 3, 70, 70, 0}},
		{"two codes", []*corev1.Event{says(other, 5, 60, 6), says(no, 10, 55, 6), kill(61, 1)}, heard{"HTTP 401", 6, 60, 60, 0}},
		{"the newest budget counts", []*corev1.Event{says(no, 5, 60, 12), kill(61, 1), says(refused, 66, 121, 12), kill(122, 1)}, heard{"connection refused", 12, 66, 121, 0}},
		{"combined events tell one answer", []*corev1.Event{says(combined+no, 5, 60, 12), kill(61, 1)}, heard{"HTTP 404", 1, 60, 60, 0}},
		{"no kill", []*corev1.Event{says(no, 5, 60, 12)}, heard{"HTTP 404", 12, 5, 60, 0}},
		{"a kill and no word before", []*corev1.Event{kill(61, 1)}, heard{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := deploys.Container{Name: "api", Startup: &deploys.Probe{Period: 5 * time.Second, Threshold: 12}}
			hear(&v, tell(c.events, begun))
			p, got := v.Startup, heard{}
			if p.Answer != "" {
				since := func(t time.Time) int { return int(t.Sub(begun) / time.Second) }
				got = heard{p.Answer, p.Fails, since(p.FirstFail), since(p.LastFail), p.Through}
			}
			if d := cmp.Diff(c.want, got, cmp.AllowUnexported(heard{})); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestSetUp: of what hindered a pod that which still does is told.
func TestSetUp(t *testing.T) {
	const (
		missing = `MountVolume.SetUp failed for volume "tls" : secret "api-tls" not found`
		driver  = `MountVolume.MountDevice failed for volume "data" : driver name csi.example.org not found in the list of registered CSI drivers`
		token   = `MountVolume.SetUp failed for volume "kube-api-access-x2k9p" : failed to sync configmap cache: timed out waiting for the condition`
		summary = "Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[], failed to process volumes=[]: context deadline exceeded"
		attach  = `Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) api-old-1`
		secrets = "Unable to retrieve some image pull secrets (regcred); attempting to pull the image may not succeed."
	)
	pod := func(reason, message string, first, last int, count int32) *corev1.Event {
		e := about(reason, message, first, last, count)
		e.InvolvedObject.FieldPath = ""
		return e
	}
	for _, c := range []struct {
		name   string
		events []*corev1.Event
		want   string
	}{
		{"a missing Secret", []*corev1.Event{pod("FailedMount", missing, 1, 4, 3)}, missing},
		{"one that has come: the image is pulled", []*corev1.Event{pod("FailedMount", missing, 1, 4, 3), about("Pulling", "", 5, 5, 1)}, ""},
		{"in the same second", []*corev1.Event{about("Pulling", "", 4, 4, 1), pod("FailedMount", missing, 1, 4, 3)}, ""},
		{"the image was there", []*corev1.Event{pod("FailedMount", missing, 1, 4, 3), about("Pulled", "", 5, 5, 1)}, ""},
		{"a container is created", []*corev1.Event{pod("FailedMount", missing, 1, 4, 3), about("Created", "", 5, 5, 1)}, ""},
		{"what comes later counts", []*corev1.Event{about("Pulling", "", 4, 4, 1), pod("FailedCreatePodSandBox", "no network", 9, 9, 1)}, "no network"},
		{"a newer failure of another volume", []*corev1.Event{pod("FailedMount", missing, 1, 2, 2), pod("FailedMount", driver, 1, 9, 4)}, driver},
		{"a token that a busy node cannot mount hides nothing", []*corev1.Event{pod("FailedMount", missing, 1, 4, 3), pod("FailedMount", token, 1, 9, 4)}, missing},
		{"until the Secret would have failed again", []*corev1.Event{pod("FailedMount", missing, 1, 4, 3), pod("FailedMount", token, 1, 18, 5)}, token},
		{"nor does what sums it up", []*corev1.Event{pod("FailedAttachVolume", attach, 1, 1, 1), pod("FailedMount", summary, 124, 124, 1)}, attach},
		{"a node came before volumes", []*corev1.Event{pod("FailedScheduling", "no node", 1, 1, 1), pod("FailedMount", token, 2, 2, 1)}, token},
		{"a pull secret", []*corev1.Event{pod("FailedToRetrieveImagePullSecret", secrets, 1, 1, 1)}, secrets},
		{"one of an image that is pulled without", []*corev1.Event{about("Pulling", "", 1, 1, 1), pod("FailedToRetrieveImagePullSecret", secrets, 1, 1, 1)}, ""},
	} {
		told := tell(c.events, begun)
		if got := setUp(told).message; got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := missingSecrets(tell([]*corev1.Event{about("Pulling", "", 1, 1, 1), pod("FailedToRetrieveImagePullSecret", secrets, 1, 1, 1)}, begun)); got != "regcred" {
		t.Errorf("secrets that were not read: %q", got)
	}
}
