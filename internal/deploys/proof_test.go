package deploys_test

import (
	"strings"
	"testing"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/deploys/deploystest"
)

// completeAs lets the rollout of api finish, with pods that report a digest.
func (w *world) completeAs(digest string) {
	w.cluster.Update(api, func(r *deploys.Rollout) {
		deploystest.Complete(r, time.Now())
		for i := range r.Pods {
			for n := range r.Pods[i].Containers {
				r.Pods[i].Containers[n].ImageID = digest
			}
		}
	})
}

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
		{"another image", []string{deploystest.Digest("x")}, deploys.Failed, ""},
		{"another index", []string{deploystest.Digest("x"), deploystest.Digest("y")}, deploys.Failed, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			in(t, func(w *world) {
				w.registry.SetConfigs(other, c.configs...)
				d := w.deploy(deployOf(api, "abc1234"))
				w.completeAs(other)
				w.settle(15 * time.Second)
				d = w.get(d.ID)
				if d.Status != c.status || (c.note == "") != (d.Note == "") || !strings.Contains(d.Note, c.note) {
					t.Errorf("%s, note %q; want %s, note %q", d.Status, d.Note, c.status, c.note)
				}
				if proven := c.status == deploys.Succeeded && c.note == ""; d.Proves(other) != proven {
					t.Errorf("it remembers that %s proves it: %v, want %v", other, !proven, proven)
				}
			})
		})
	}
}

// What ran before the portal is known from the cluster alone, without its configs. A rollback to it is proven all the
// same, for the registry tells those too; and what it cannot tell is never taken for another image.
func TestReportedDigestOfWhatRanBefore(t *testing.T) {
	before, other, config := deploystest.Digest(first), deploystest.Digest("other"), deploystest.Digest("config")
	for _, c := range []struct {
		name   string
		asked  []string // what the registry has of the image that ran before
		status deploys.Status
		note   string
	}{
		{"the same config", []string{config}, deploys.Succeeded, ""},
		{"another config", []string{deploystest.Digest("x")}, deploys.Failed, "a rollback that fails is not rolled back again"},
		{"nothing the registry knows", nil, deploys.Succeeded, "not proven"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in(t, func(w *world) {
				w.registry.SetConfigs(other, config)
				w.registry.SetConfigs(before, c.asked...)
				bad := w.fail("abc1234")
				w.settle(time.Second)
				back := w.get(bad.ID + 1)
				if !back.Automatic() || back.To.Digest != before || len(back.To.Platforms) != 0 {
					t.Fatalf("answer to deploy %d: %+v", bad.ID, back)
				}
				w.completeAs(other)
				w.settle(15 * time.Second)
				d := w.get(back.ID)
				if d.Status != c.status || (c.note == "") != (d.Note == "") || !strings.Contains(d.Note, c.note) {
					t.Errorf("%s, note %q; want %s, note %q", d.Status, d.Note, c.status, c.note)
				}
			})
		})
	}
}
