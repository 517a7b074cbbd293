package story_test

import (
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"deployportal/internal/foreign"
	"deployportal/internal/foreign/foreigntest"
	"deployportal/internal/gitea/giteatest"
)

// aFew gives some of every kind of hostile text that a page can show, n of each.
func aFew(n int, kinds ...string) (texts []string) {
	count := map[string]int{}
	for _, p := range foreigntest.Payloads() {
		if shown := foreign.Line(p.Text, 100); slices.Contains(kinds, p.Kind) && count[p.Kind] < n && len(p.Text) < 100 && len(shown) > 9 {
			count[p.Kind]++
			texts = append(texts, p.Text)
		}
	}
	return texts
}

// sha makes a commit's name of a tag, or of a number.
func sha(start string) string { return start + strings.Repeat("0", 40-len(start)) }

// hostileCommits is a history in which subjects and authors are hostile; the images' commits are among it.
func hostileCommits() (commits []giteatest.Commit, subjects []string) {
	for _, s := range aFew(5, "script", "element", "attribute", "htmx", "svg", "mutation", "unicode", "terminal") {
		subjects = append(subjects, strings.ToValidUTF8(s, "?")) // as git would have it
	}
	at := time.Now().Add(-time.Hour)
	for i, s := range subjects {
		name := sha(fmt.Sprintf("%07x", 0xc0ffee0+i))
		switch i {
		case 0:
			name = sha(v1)
		case len(subjects) - 3:
			name = sha(v2)
		case len(subjects) - 2:
			name = sha(unready)
		case len(subjects) - 1:
			name = sha(crashes)
		}
		commits = append(commits, giteatest.Commit{SHA: name, Message: s + "\n\nbody", Author: s, Email: "x@example.org", At: at.Add(time.Duration(i) * time.Second)})
	}
	flood := giteatest.Commit{SHA: sha("0f100d0"), Message: strings.Repeat("x", 100_000), Author: "z" + strings.Repeat("\u0301\u0489", 5000), At: time.Now()}
	commits = slices.Insert(commits, len(commits)-3, flood) // before the last image, so that a deploy brings it
	commits = append(commits, giteatest.Commit{SHA: sha(v3), Message: "the newest", Author: "Ana", Email: "ana@example.org", At: time.Now()})
	return commits, subjects
}

// TestHostileStory: hostile text comes in through every door there is, and a browser looks on at what becomes of it, on the
// pages and in what the stream brings into an open one.
func TestHostileStory(t *testing.T) {
	t.Parallel()
	commits, subjects := hostileCommits()
	w := newWorld(t, func(w *world) {
		w.gitea.AddRepo("acme", "api", commits...)
		w.gitea.PushImage("acme/api", v3, giteatest.Image{Pusher: `"><script>portalHit("pusher")</script>`})
		probes(0)(w)
	})
	tab := foreigntest.Watch(t, w.url())
	tab.Open("/sign-in")
	tab.Expect("/")
	foreigntest.Get[bool](tab, fmt.Sprintf(`(document.querySelector("#account").value = "ana", document.querySelector("#password").value = %q,
		document.querySelector("form.form").submit(), true)`, passwordOfAna))
	tab.Until("ana is signed in", `location.pathname === "/" && document.querySelector("#live")?.dataset.state === "ok"`)
	calm := func(where string, shown ...string) {
		t.Helper()
		for _, n := range tab.Noticed() {
			t.Errorf("%s: %s: %s", where, n.Detector, n.What)
		}
		text := foreigntest.Get[string](tab, `document.documentElement.textContent`)
		if harm := foreigntest.Harm(text); harm != "" {
			t.Errorf("%s has %s", where, harm)
		}
		if foreigntest.Get[int](tab, `document.querySelectorAll("main script, main img, main iframe, main style, main [onerror], main [onload], main [style], main [hx-get]").length`) != 0 {
			t.Errorf("%s has elements that nobody put there", where)
		}
		if foreigntest.Get[bool](tab, `[...document.querySelectorAll("main :is(a, b, code, small, span, time)")].some((e) => getComputedStyle(e).unicodeBidi !== "isolate")`) {
			t.Errorf("%s lets a text reorder what stands beside it", where)
		}
		if foreigntest.Get[bool](tab, `document.documentElement.scrollWidth > innerWidth`) {
			t.Errorf("%s has to be scrolled sideways", where)
		}
		text = strings.Join(strings.Fields(text), " ")
		missing := slices.DeleteFunc(slices.Clone(shown), func(s string) bool { return strings.Contains(text, foreign.Line(s, 100)) })
		if len(shown)-len(missing) < min(len(shown), 20) {
			t.Errorf("%s does not show %q", where, missing) // a confirm page lists twenty commits, and says how many more there are
		}
	}
	w.until("the registry to be read", func() bool { return w.ana.get("/apps/prod/api").shows(foreign.Line(subjects[len(subjects)-1], 100)) })
	tab.Open("/")
	calm("the board", subjects[0])
	tab.Open("/apps/prod/api")
	calm("the app", subjects[0], subjects[len(subjects)-3], `"><script>portalHit("pusher")</script>`)
	tab.Open(confirmPath(v2))
	calm("the confirm page", subjects[:len(subjects)-2]...)

	reason := `"><img src=x onerror=portalHit("reason")></hx-partial>` + "\u202e\x1b[31m"
	id := w.ana.get(confirmPath(unready)).submit(w.ana, confirmForm, map[string][]string{"reason": {reason}}).deployID()
	page := fmt.Sprintf("/deploys/%d", id)
	tab.Open(page)
	tab.Until("the page is live", `document.querySelector("#live").dataset.state === "ok"`)
	answers := aFew(3, "script", "element", "attribute", "htmx", "svg", "stream", "terminal", "unicode")
	for i, s := range answers {
		w.tell(unready, i, "Readiness probe failed: "+s)
		tab.Until(fmt.Sprintf("answer %d, %q, is on the page", i, s), fmt.Sprintf(`document.querySelector("main").textContent.includes(%q)`, foreign.Line(s, 100)))
	}
	calm("the deploy", answers[len(answers)-1], reason) // a pod's row has the newest answer

	said := append(aFew(2, "script", "element", "htmx", "terminal"), "panic: <script>portalHit(1)</script>\u202e")
	w.gate.says(strings.Join(said, "\n") + "\n")
	id = w.ana.get(confirmPath(crashes)).submit(w.ana, confirmForm, map[string][]string{"reason": {`=cmd|' /C calc'!A0`}}).deployID()
	tab.Open(fmt.Sprintf("/deploys/%d", id))
	tab.Until("the deploy has failed", `document.querySelector("#stream")?.hasAttribute("data-done")`)
	calm("the failed deploy", said...)
	for _, path := range []string{"/", "/apps/prod/api", "/apps/prod/api/history", "/audit", "/find?q=script", page} {
		tab.Open(path)
		calm(path)
	}

	rows, err := csv.NewReader(strings.NewReader(w.ana.get("/audit.csv").body)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, row := range rows {
		for _, cell := range row {
			if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r") || foreigntest.Harm(cell) != "" {
				t.Errorf("the export has the cell %q", cell)
			}
			if cell == `'=cmd|' /C calc'!A0` {
				asked++
			}
		}
	}
	if asked != 1 {
		t.Errorf("the reason is in %d cells", asked)
	}
	if harm := foreigntest.Harm(w.proc.out.String()); harm != "" {
		t.Errorf("the portal's log has %s", harm)
	}
	t.Logf("%d subjects and authors, %d events, %d log lines: executions 0", len(subjects), len(answers), len(said))
}

// tell has the cluster say something about the first pod that runs a tag, later than what was said before.
func (w *world) tell(tag string, n int, message string) {
	w.t.Helper()
	var pod *corev1.Pod
	w.until("a pod runs "+tag, func() bool {
		list, err := w.ns.Admin.CoreV1().Pods(w.ns.Name).List(w.t.Context(), metav1.ListOptions{})
		if err != nil {
			w.t.Fatal(err)
		}
		i := slices.IndexFunc(list.Items, func(p corev1.Pod) bool {
			return strings.Contains(p.Spec.Containers[0].Image, ":"+tag) && p.Status.Phase == corev1.PodRunning
		})
		if i >= 0 {
			pod = &list.Items[i]
		}
		return i >= 0
	})
	at := metav1.NewTime(time.Now().Add(time.Duration(n+1) * time.Minute)) // a node's clock may be ahead
	_, err := w.ns.Admin.CoreV1().Events(w.ns.Name).Create(w.t.Context(), &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s.hostile-%d", pod.Name, n), Namespace: w.ns.Name}, Reason: "Unhealthy", Message: message, Type: "Warning",
		InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, Namespace: w.ns.Name, UID: pod.UID, FieldPath: "spec.containers{api}"},
		FirstTimestamp: at, LastTimestamp: at, Count: 1, Source: corev1.EventSource{Component: "kubelet"},
	}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
}
