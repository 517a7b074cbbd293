package deploys_test

import (
	"strings"
	"testing"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/deploys/deploystest"
)

// A runtime knows content by its config and reports the digest of whatever was pulled with it: the asked image, a
// platform's manifest, or another image or index pushed with the same config.
func TestReportedDigestIsLookedUp(t *testing.T) {
	ours := deploystest.Digest("config" + deploystest.Digest("abc1234"))
	other := deploystest.Digest("other")
	for _, c := range []struct {
		name    string
		configs []string
		status  deploys.Status
		note    string
	}{
		{"an image of the same config", []string{ours}, deploys.Succeeded, ""},
		{"an index of the same config", []string{ours, ours}, deploys.Succeeded, ""},
		{"an index that has our config for one platform only", []string{ours, deploystest.Digest("x")}, deploys.Succeeded, "not proven"},
		{"nothing the registry knows", nil, deploys.Succeeded, "not proven"},
		{"another image", []string{deploystest.Digest("x")}, deploys.Running, ""},
		{"another index", []string{deploystest.Digest("x"), deploystest.Digest("y")}, deploys.Running, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			in(t, func(w *world) {
				w.registry.SetConfigs(other, c.configs...)
				d := w.deploy(deployOf(api, "abc1234"))
				w.cluster.Update(api, func(r *deploys.Rollout) {
					deploystest.Complete(r, time.Now())
					for i := range r.Pods {
						for n := range r.Pods[i].Containers {
							r.Pods[i].Containers[n].ImageID = other
						}
					}
				})
				w.settle(15 * time.Second)
				d = w.get(d.ID)
				if d.Status != c.status || (c.note == "") != (d.Note == "") || !strings.Contains(d.Note, c.note) {
					t.Errorf("%s, note %q; want %s, note %q", d.Status, d.Note, c.status, c.note)
				}
			})
		})
	}
}
