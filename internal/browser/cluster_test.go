package browser_test

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"deployportal/internal/gitea/giteatest"
)

// kube asks the cluster itself, past the portal.
func (d *demo) kube(t testing.TB, into any, args ...string) {
	t.Helper()
	out, err := d.run(append(args, "-n", "honeydue", "-o", "json")...)
	if err != nil {
		t.Fatalf("kubectl %v: %v\n%s", args, err, out)
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatalf("kubectl %v: %v", args, err)
	}
}

// run runs kubectl as the administrator.
func (d *demo) run(args ...string) ([]byte, error) {
	return exec.Command(d.kubectl[0], append(d.kubectl[1:len(d.kubectl):len(d.kubectl)], args...)...).Output()
}

// pod is what the tests compare of one.
type pod struct{ UID, Name, Image, ID string }

// pods lists the pods of an app that are not on their way out, by UID.
func (d *demo) pods(t testing.TB, app string) map[string]pod {
	t.Helper()
	var list struct {
		Items []struct {
			Metadata struct {
				UID, Name         string
				DeletionTimestamp *time.Time
			}
			Spec   struct{ Containers []struct{ Image string } }
			Status struct{ ContainerStatuses []struct{ ImageID string } }
		}
	}
	d.kube(t, &list, "get", "pods", "-l", "app="+app)
	out := map[string]pod{}
	for _, p := range list.Items {
		if p.Metadata.DeletionTimestamp != nil {
			continue
		}
		id := ""
		if len(p.Status.ContainerStatuses) > 0 {
			id = p.Status.ContainerStatuses[0].ImageID
		}
		out[p.Metadata.UID] = pod{p.Metadata.UID, p.Metadata.Name, p.Spec.Containers[0].Image, id}
	}
	return out
}

// image is the image string that the Deployment of an app asks for. Where that names no digest, as before the portal's
// first deploy, the digest that the running pod reports is put behind it.
func (d *demo) image(t testing.TB, app string) string {
	t.Helper()
	var w struct {
		Spec struct {
			Template struct {
				Spec struct{ Containers []struct{ Image string } }
			}
		}
	}
	d.kube(t, &w, "get", "deployment", app)
	image := w.Spec.Template.Spec.Containers[0].Image
	if strings.Contains(image, "@") {
		return image
	}
	for _, p := range d.pods(t, app) {
		if p.Image == image {
			return image + p.ID[strings.LastIndexByte(p.ID, '@'):]
		}
	}
	t.Fatalf("no pod of %s runs %s", app, image)
	return ""
}

// sample is the registry's and the repositories' content as the demo's own is: equal input makes equal data.
func sample(t testing.TB) map[string]giteatest.SampleApp {
	t.Helper()
	s := giteatest.New(giteatest.Options{})
	out := map[string]giteatest.SampleApp{}
	for _, a := range giteatest.Sample(s, time.Now()) {
		out[a.Name] = a
	}
	return out
}

// subjectOf is the first line of the commit behind a tag.
func subjectOf(t testing.TB, a giteatest.SampleApp, tag string) string {
	t.Helper()
	for _, c := range a.Commits {
		if c.SHA == tag {
			return firstLine(c.Message)
		}
	}
	t.Fatalf("%s has no commit %s", a.Name, tag)
	return ""
}
