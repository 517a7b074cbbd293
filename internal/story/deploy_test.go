package story_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"

	"deployportal/internal/audit"
)

// TestDeploy follows the links a person follows and compares the whole object before and after.
func TestDeploy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := w.live()

	w.until("the app's page to list the new image", func() bool {
		return w.ana.get("/apps/prod/api").doc.Find(`a[href="`+confirmPath(v2)+`"]`).Length() == 1
	})
	confirm := w.ana.get(confirmPath(v2))
	confirm.says(200, "main", "Nothing has changed yet.")
	id := confirm.submit(w.ana, confirmForm, map[string][]string{"reason": {"the Friday release"}}).deployID()
	w.over(id, "succeeded", "2 of 2 pods run "+v2+" and stayed well for 1 s.")

	after := w.live()
	asked := w.newest(audit.Filter{DeployID: id})[1]
	if asked.Reason != "the Friday release" || asked.Actor.Name != "ana" || asked.ToDigest != w.digest(v2) || asked.FromDigest != w.digest(v1) {
		t.Errorf("the entry: %+v", asked)
	}
	want := before.DeepCopy()
	want.Spec.Template.Spec.Containers[0].Image = w.pinned(v2)
	want.Annotations["deploy-portal/deploy-id"] = strconv.FormatInt(id, 10)
	want.Annotations["deploy-portal/audit"] = fmt.Sprintf("%d:%s", asked.Seq, asked.Hash[:16])
	want.Annotations["kubernetes.io/change-cause"] = fmt.Sprintf("deploy to %s by ana (deploy %d)", v2, id)
	want.Annotations["deployment.kubernetes.io/revision"] = "2" // the controller's
	if diff := cmp.Diff(bare(want), bare(after)); diff != "" {
		t.Errorf("the Deployment (-want +got):\n%s", diff)
	}
	managers := map[string]bool{}
	for _, m := range after.ManagedFields {
		managers[m.Manager] = true
	}
	if !managers["deploy-portal"] {
		t.Errorf("field managers: %v", managers)
	}
	yaml := w.kubectl("get", "deployment", "api", "--output=yaml")
	if !strings.Contains(yaml, "image: "+w.pinned(v2)) {
		t.Errorf("kubectl shows\n%s", yaml)
	}
	if writes := w.gate.writes(); len(writes) != 1 || writes[0].method != "PATCH" || !strings.Contains(writes[0].query, "fieldManager=deploy-portal") {
		t.Errorf("what went to the API server: %+v, want one patch", writes)
	}
	w.whole()
}

// bare is a Deployment without what changes with every write.
func bare(d *appsv1.Deployment) *appsv1.Deployment {
	d = d.DeepCopy()
	d.ResourceVersion, d.Generation, d.ManagedFields, d.Status = "", 0, nil, appsv1.DeploymentStatus{}
	return d
}

// TestKillInMidRollout: the same deploy, one pair of entries, the right verdict, one patch.
func TestKillInMidRollout(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.stability = "3s" })
	id := w.ana.deploy(v2)
	w.until("a pod of the new image", func() bool { return w.live().Status.UpdatedReplicas > 0 && w.row(id).patched })
	w.kill()
	if r := w.row(id); r.over {
		t.Fatalf("deploy %d was over before the kill: %+v", id, r)
	}
	w.start()
	w.over(id, "succeeded", "2 of 2 pods run "+v2)
	w.runs(w.pinned(v2))
	if n := w.count(`SELECT count(*) FROM deploys`); n != 1 {
		t.Errorf("%d deploys, want the one", n)
	}
	if n := len(w.gate.patches()); n != 1 {
		t.Errorf("%d patches, want 1", n)
	}
	w.thenDeploys(v3)
}

// TestRollBackKeepsPods: while a rollout hangs "Roll back now" works at once, and what served is not touched.
func TestRollBackKeepsPods(t *testing.T) {
	t.Parallel()
	w := newWorld(t, probes(0))
	before := w.pods()
	id := w.ana.deploy(unready)
	w.until("the deploy's page to show the failing probe", func() bool {
		return strings.Contains(w.ana.get(fmt.Sprintf("/deploys/%d", id)).text("main"), "HTTP 503")
	})
	link := w.ana.get(fmt.Sprintf("/deploys/%d", id)).doc.Find("a.btn.danger")
	if link.Text() != "Roll back now" {
		t.Fatalf("the act is %q", link.Text())
	}
	back := w.ana.ask(link.AttrOr("href", "")).deployID()
	w.over(id, "superseded", "Replaced by a rollback of ana.")
	w.over(back, "succeeded", "2 of 2 pods run "+v1)
	w.runs(w.pinned(v1))
	if after := w.pods(); !slices.Equal(before, after) {
		t.Errorf("pods %v before, %v after", before, after)
	}
	w.whole()
}

// pods gives the UIDs of the pods that run the Deployment's present template and are not on their way out.
func (w *world) pods() (uids []string) {
	w.t.Helper()
	out := w.kubectl("get", "pods", "--output=jsonpath={range .items[*]}{.metadata.uid} {.metadata.deletionTimestamp}{\"\\n\"}{end}")
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) == 1 {
			uids = append(uids, f[0])
		}
	}
	slices.Sort(uids)
	return uids
}
