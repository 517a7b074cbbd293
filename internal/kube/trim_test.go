package kube_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"deployportal/internal/kube"
)

// TestTrimKeepsWhatIsRead: the caches hold objects cut down to what is read. The view of them is the view of the whole ones,
// in every recorded folder.
func TestTrimKeepsWhatIsRead(t *testing.T) {
	folders, err := os.ReadDir(filepath.Join("testdata", "real"))
	if err != nil || len(folders) == 0 {
		t.Fatalf("ReadDir = %v, %v", folders, err)
	}
	for _, f := range folders {
		name := filepath.Join("real", f.Name())
		want := snap(t, name)
		o := load(t, name)
		cut := []any{o.Deployment}
		for _, p := range o.Pods {
			cut = append(cut, p)
		}
		for _, rs := range o.ReplicaSets {
			cut = append(cut, rs)
		}
		for _, e := range o.Events {
			cut = append(cut, e)
		}
		for _, object := range cut {
			if _, err := kube.Trim(object); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, kube.Snapshot(o, now)); diff != "" {
			t.Errorf("%s: whole objects against trimmed ones (-whole +trimmed):\n%s", f.Name(), diff)
		}
	}
}

// TestMissingSecretIsNotHidden: a node may fail, later and for a while, to mount the token that every pod has. The Secret
// that is not there is what is told.
func TestMissingSecretIsNotHidden(t *testing.T) {
	o := load(t, "real/secret-volume")
	for _, e := range o.Events {
		if e.Reason == "FailedMount" {
			token := e.DeepCopy()
			token.Name, token.UID = token.Name+"-token", token.UID+"-token"
			token.Message = `MountVolume.SetUp failed for volume "kube-api-access-x2x4z" : failed to sync configmap cache: timed out waiting for the condition`
			token.LastTimestamp.Time = token.LastTimestamp.Add(time.Second)
			o.Events = append(o.Events, token)
			break
		}
	}
	if got := kube.Snapshot(o, now).Pods[0].Waiting; got != `MountVolume.SetUp failed for volume "tls" : secret "api-tls" not found` {
		t.Errorf("the pod waits: %s", got)
	}
}
