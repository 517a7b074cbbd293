package story_test

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"deployportal/internal/audit"
	"deployportal/internal/foreign/foreigntest"
	"deployportal/internal/gitea/giteatest"
)

// refersTo has the app's container take a key of a Secret; its startup probe lets it take a minute.
func refersTo(secret, key string) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) {
		ref := &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: secret}, Key: key}
		c := &d.Spec.Template.Spec.Containers[0]
		c.Env = append(c.Env, corev1.EnvVar{Name: "DATABASE_URL", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: ref}})
	}
}

// TestChecks: what a deploy would meet stands on the confirm page, in a browser, before anything has changed; and an admin
// lets one through.
func TestChecks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) {
		w.failure = "hold, read_secrets: true"
		w.opts = append(w.opts, refersTo("db", "url"))
	})
	w.kubectl("create", "secret", "generic", "db", "--from-literal=other=canary-of-the-secret")
	w.ns.AllowSecrets(t, "db")
	tab := foreigntest.Watch(t, w.url())
	tab.Open("/sign-in")
	tab.Expect("/")
	foreigntest.Get[bool](tab, fmt.Sprintf(`(document.querySelector("#account").value = "ana", document.querySelector("#password").value = %q,
		document.querySelector("form.form").submit(), true)`, passwordOfAna))
	tab.Until("ana is signed in", `location.pathname === "/" && document.querySelector("#live")?.dataset.state === "ok"`)
	told := func(name, tag, word, sentence string) {
		t.Helper()
		w.until(name, func() bool { return strings.Contains(w.ana.get(confirmPath(tag)).text("main"), sentence) })
		tab.Open(confirmPath(tag))
		got := foreigntest.Get[[]string](tab, `[...document.querySelectorAll("section[aria-labelledby=confirm-checks] > ul > .check")].map((e) => e.innerText.replace(/\s+/g, " ").trim())`)
		for _, line := range got {
			if strings.HasPrefix(line, word+" ") && strings.Contains(line, sentence) {
				return
			}
		}
		t.Errorf("%s: no %q with %q in\n\t%s", name, word, sentence, strings.Join(got, "\n\t"))
	}

	told("a key that is missing", v2, "Blocks", "Missing: key url of Secret db, wanted by container api, env DATABASE_URL.")
	if foreigntest.Get[bool](tab, `document.querySelector("form.sheet.form").checkValidity()`) {
		t.Error("the browser sends the form without a tick and a reason")
	}
	tab.Expect("/deploys/1")
	foreigntest.Get[bool](tab, `(document.querySelector("#override-references").click(), document.querySelector("#reason").value = "the key comes with it",
		document.querySelector("form.sheet.form button").click(), true)`)
	tab.Until("the deploy began", `location.pathname === "/deploys/1"`)
	w.over(1, "succeeded", "2 of 2 pods run "+v2)
	asked := w.newest(audit.Filter{DeployID: 1})[1]
	if asked.Detail != "Overridden checks: references: Missing: key url of Secret db, wanted by container api, env DATABASE_URL." || asked.Reason != "the key comes with it" {
		t.Errorf("the entry: %+v", asked)
	}

	arm := giteatest.Image{Platforms: []string{"linux/arm64"}}
	w.gitea.PushImage("acme/api", "a64a64a", arm)
	told("arm64 alone", "a64a64a", "Blocks", "The image is built for linux/arm64 only, and its pods can land on ")
	w.gitea.PushImage("acme/api", v2, giteatest.Image{Content: "moved"})
	told("a tag that was moved", v2, "Blocks", "The tag "+v2+" was moved: it names another image than when it was first deployed.")
	told("the image that runs is gone", v3, "Warning", "The way back is gone: the registry no longer has "+v2+". ")
	w.kubectl("label", "deployment/api", "deploy-portal/singleton=true")
	told("a singleton with two replicas", v3, "Blocks", "It must run alone, but the Deployment asks for 2 replicas.")
	w.kubectl("patch", "deployment/api", "--type=json", `--patch=[{"op": "replace", "path": "/spec/progressDeadlineSeconds", "value": 30}]`)
	told("a short deadline", v3, "Warning", "The startup probe of api allows a start of 60 s, but a rollout is given up after 30 s without progress.")
	w.kubectl("patch", "deployment/api", "--type=json", `--patch=[{"op": "replace", "path": "/spec/template/spec/containers/0/startupProbe/periodSeconds", "value": 1},
		{"op": "replace", "path": "/spec/template/spec/containers/0/startupProbe/failureThreshold", "value": 1}]`)
	told("a budget shorter than what was seen", v3, "Warning", "The startup probe of api gives up after 1 s, and its slowest of 2 starts took ")
	w.gitea.DeleteTag("acme/api", v3)
	told("a tag that was deleted", v3, "Blocks", "Image not found: The registry has no tag "+v3+" in acme/api. It was deleted, or never pushed.")

	keep, errOut, code := portal(t, "", "--database", w.path("portal.db"), "images", "keep", "--format", "regex")
	if want := "(?:" + v1 + "|" + v2 + ")\n"; keep != want || code != 0 {
		t.Errorf("images keep: %q %q %d, want %q", keep, errOut, code, want)
	}
	for _, n := range tab.Noticed() {
		t.Errorf("%s: %s", n.Detector, n.What)
	}
	if strings.Contains(w.proc.out.String(), "canary-of-the-secret") {
		t.Error("the log holds what a Secret holds")
	}
	w.whole()
}
