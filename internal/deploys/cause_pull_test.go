package deploys_test

import (
	"strings"
	"testing"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/deploys/deploystest"
)

// TestPulls has a row for what a node can say of a pull that failed, beside what the registry says: waiting helps unless
// both say that it does not.
func TestPulls(t *testing.T) {
	const (
		backOff = `Back-off pulling image "git.example.org/acme/api:abc1234": `
		start   = "Container api of pod new-1 cannot start: "
		head    = `ErrImagePull: failed to pull and unpack image "git.example.org/acme/api:abc1234": failed to do request: Head "https://git.example.org/v2/acme/api/manifests/abc1234": `
	)
	there := deploys.PullFact{Asked: true}
	gone := deploys.PullFact{Asked: true, Sentence: "The registry has no tag abc1234 in acme/api."}
	moved := deploys.PullFact{Asked: true, Sentence: "The registry has no such digest.", Moved: "sha256:beef"}
	refused := deploys.PullFact{Asked: true, Refused: true, Sentence: "The registry refuses the portal."}
	geofence := func(r *deploys.Rollout) {
		r.Pods[3].Containers[0].Image = "git.example.org/acme/geofence-tls-403:503"
	}
	for _, c := range []struct {
		name, message   string
		pull            deploys.PullFact
		change          func(*deploys.Rollout)
		title, sentence string
		doomed          bool
	}{
		{"refused to both", backOff + head + "403 Forbidden", refused, nil, "The registry refuses the image", start + "The registry refuses the portal.", true},
		{"refused to the portal, not reached by the node", backOff + head + "dial tcp 10.0.0.9:443: i/o timeout", refused, nil, "Registry unreachable from the node", start + "node-1 cannot reach the registry.", false},
		{"gone, not reached by the node", backOff + head + "dial tcp 10.0.0.9:443: i/o timeout", gone, nil, "Registry unreachable from the node", start + "node-1 cannot reach the registry.", false},
		{"moved, not reached by the node", backOff + head + "EOF", moved, nil, "Registry unreachable from the node", start + "node-1 cannot reach the registry.", false},
		{"gone, and an older kubelet does not say why", strings.TrimSuffix(backOff, ": "), gone, nil, "Image not found", "Image not found: The registry has no tag abc1234 in acme/api. It was deleted, or never pushed.", true},
		{"gone, and an older kubelet says so in other words", backOff + "ErrImagePull: manifest unknown", gone, nil, "Image not found", "Image not found: The registry has no tag abc1234 in acme/api. It was deleted, or never pushed.", true},
		{"a handshake", backOff + head + "net/http: TLS handshake timeout", there, nil, "Registry unreachable from the node", start + "node-1 cannot reach the registry.", false},
		{"the registry has a fault", backOff + "ErrImagePull: unexpected status from HEAD request: 503 Service Unavailable", there, nil, "Registry unreachable from the node", start + "node-1 cannot reach the registry.", false},
		{"a full disk", backOff + `ErrImagePull: failed to extract layer: write /usr/bin/app: no space left on device`, there, nil, "No space left on the node",
			start + "the disk of node-1 has no space left for its image.", false},
		{"words of the name say nothing", `Back-off pulling image "git.example.org/acme/geofence-tls-403:503": ErrImagePull: git.example.org/acme/geofence-tls-403:503: no space left on device`, there, geofence,
			"No space left on the node", start + "the disk of node-1 has no space left for its image.", false},
		{"nor is one of them a refusal", `Back-off pulling image "git.example.org/acme/geofence-tls-403:503": ErrImagePull: git.example.org/acme/geofence-tls-403:503: broken layer`, there, geofence,
			"Image not pulled", start + "node-1 could not pull its image.", false},
		{"a signature", backOff + "SignatureValidationFailed: image pull failed for git.example.org/acme/api:abc1234 because the signature validation failed", there, nil, "Image signature refused",
			start + "image pull failed for git.example.org/acme/api:abc1234 because the signature validation failed.", false},
		{"a registry that the runtime calls unavailable", backOff + "RegistryUnavailable: image pull failed for x because the registry is unavailable", there, nil, "Registry unreachable from the node",
			start + "image pull failed for x because the registry is unavailable.", false},
		{"a pull secret that is not there", backOff + "ErrImagePull: failed to authorize: 401 Unauthorized", there, func(r *deploys.Rollout) { r.Pods[3].NoSecrets = "regcred" }, "The registry refuses the node",
			start + "the registry does not let node-1 pull the image, and the node could not read the pull secret regcred.", true},
		{"one that the registry hides the image for", backOff + "ErrImagePull: not found", there, func(r *deploys.Rollout) { r.Pods[3].NoSecrets = "regcred" }, "The registry refuses the node",
			start + "the registry does not let node-1 pull the image, and the node could not read the pull secret regcred.", true},
		{"another container's image", backOff + "ErrImagePull: not found", gone, func(r *deploys.Rollout) {
			r.Pods[3].Containers[0].Name, r.Pods[3].Containers[0].Image = "proxy", "proxy:1"
		}, "Image not pulled",
			"Container proxy of pod new-1 cannot start: its image proxy:1, which this deploy does not set, cannot be pulled.", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := with(waiting("ImagePullBackOff", c.message), func(r *deploys.Rollout) { r.Pods[3].Node, r.Pods[3].Scheduled = "node-1", sec(1) })
			b := basis
			if c.change != nil {
				c.change(&r)
				if image := r.Pods[3].Containers[0].Image; image != pinned {
					b.To.Images = map[string]string{"api": image}
				}
			}
			got, _ := named(b, deploys.Facts{Pull: c.pull}, r, sec(3))
			if got.Title != c.title || got.Sentence != c.sentence || got.Doomed != c.doomed {
				t.Errorf("%s: %s (doomed %v)\nwant %s: %s (doomed %v)", got.Title, got.Sentence, got.Doomed, c.title, c.sentence, c.doomed)
			}
		})
	}
}

// TestPullOfTag: of an image that is not pinned the registry is asked for the tag, which is what the node pulls.
func TestPullOfTag(t *testing.T) {
	in(t, func(w *world) {
		w.cluster.SetImage(api, "api", deploystest.Repo+"api:v1")
		w.cluster.Update(api, func(r *deploys.Rollout) {
			deploystest.Complete(r, time.Now())
			for i := range r.Pods {
				r.Pods[i].Containers[0].ImageID = deploystest.Digest("v1")
			}
		})
		w.settled()
		w.registry.Remove("v1")
		d := w.deploy(restartOf(api))
		if d.To.Digest != deploystest.Digest("v1") {
			t.Fatalf("restarts %+v", d.To)
		}
		w.cluster.Update(api, func(r *deploys.Rollout) {
			r.ObservedGeneration, r.Updated, r.Replicas = r.Generation, 1, r.Desired+1
			r.Pods = append(r.Pods, deploys.Pod{Name: "new", UID: "new", ReplicaSet: r.ReplicaSets[0].Name, Phase: "Pending", Created: time.Now(),
				Containers: []deploys.Container{{Name: "api", Image: r.Images["api"], State: "waiting", Reason: "ErrImagePull", Message: "not found"}}})
		})
		w.settle(time.Second)
		if d = w.get(d.ID); d.Status != deploys.Failed || d.Cause == nil || d.Cause.Title != "Image not found" {
			t.Errorf("%s: %s", d.Status, d.Sentence)
		}
	})
}
