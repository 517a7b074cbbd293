package story_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"deployportal/internal/gitea/giteatest"
	"deployportal/internal/kube/kubetest"
	"deployportal/internal/sqlite"
)

// patience is how long a story waits for something that takes a second or two on an idle machine.
const patience = 60 * time.Second

// The tags of every world's registry. What a tag begins with is what its simulated pods do (devstack/README.md).
const (
	v1      = "a1a1a1a"
	v2      = "b2b2b2b"
	v3      = "c3c3c3c"
	crashes = "bad0c0d"
	unready = "bad1c0d"
	unfound = "bad2c0d"
	dies    = "bad3c0d" // once, some seconds after it was ready
)

// world is everything of one story.
type world struct {
	t         testing.TB // of the scene that is played
	all       testing.TB // of the story: what ends with it
	ns        *kubetest.Namespace
	gitea     *giteatest.Server
	host      string // of the registry, as it stands in image strings
	gate      *gate
	dir       string
	binary    string // empty: the portal as it is
	stability string
	image     string            // that api runs at first; empty: v1, pinned
	opts      []kubetest.Option // of the Deployment; without any it has no probes
	apps      string            // of the configuration
	envs      string            // more of them
	prod      string            // more of the environment prod
	more      string            // of the configuration
	env       []string          // of the portal, besides ours
	failure   string            // what follows one: hold, or rollback
	proc      *process
	ana       *browser
	slack     *office // nil: the portal has no door in Slack
	db        *sqlite.DB
}

// newWorld makes a world whose app api runs v1 on two pods; the portal serves and ana is signed in.
func newWorld(t testing.TB, change ...func(*world)) *world {
	t.Helper()
	w := newStage(t, change...)
	if w.image == "" {
		w.image = w.pinned(v1)
	}
	if w.opts == nil {
		w.opts = []kubetest.Option{kubetest.WithoutProbes()}
	}
	w.ns.CreateDeployment(t, "api", 2, w.image, w.opts...)
	w.start()
	w.ana = w.signIn("ana", passwordOfAna)
	w.ns.WaitDeployment(t, "api", "available", kubetest.Available)
	w.seen()
	return w
}

// newStage makes a world without an app in the cluster, in which no portal runs yet.
func newStage(t testing.TB, change ...func(*world)) *world {
	t.Helper()
	w := &world{t: t, all: t, ns: kubetest.Need(t).Namespace(t), dir: t.TempDir(), stability: "1s", failure: "hold", apps: "[{name: api, image: acme/api}]"}
	w.gitea = giteatest.New(giteatest.Options{Accounts: []giteatest.Account{{Name: "portal", Token: giteaToken}}})
	server := httptest.NewServer(w.gitea.Handler())
	t.Cleanup(server.Close)
	w.host = strings.TrimPrefix(server.URL, "http://")
	for _, tag := range []string{v1, v2, v3, crashes, unready, unfound, dies} {
		w.gitea.PushImage("acme/api", tag, giteatest.MultiArch())
	}
	w.gate = newGate(t, w.ns)
	for _, c := range change {
		c(w)
	}
	accounts, err := os.ReadFile(filepath.Join(filepath.Dir(binary(t)), "accounts.db"))
	if err != nil {
		t.Fatal(err)
	}
	w.write("portal.db", accounts)
	w.write("token", []byte(giteaToken+"\n"))
	w.write("portal.yaml", []byte(fmt.Sprintf(`
listen: 127.0.0.1:0
database: %[1]q
gitea: {url: %[2]q, user: portal, token_file: %[8]q}
environments:
- {name: prod, namespace: %[3]s, kubeconfig: %[4]q, auto_rollback: %[9]s%[10]s}
%[5]s
apps: %[6]s
stability: %[7]s
%[11]s
`, w.path("portal.db"), server.URL, w.ns.Name, w.gate.kubeconfig(t, w.ns), w.envs, w.apps, w.stability, w.path("token"), w.failure, w.prod, w.more)))
	return w
}

func (w *world) write(name string, content []byte) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), content, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// pinned is the image string of a tag as the portal writes it.
func (w *world) pinned(tag string) string { return w.host + "/acme/api:" + tag + "@" + w.digest(tag) }

func (w *world) digest(tag string) string {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodHead, "http://"+w.host+"/v2/acme/api/manifests/"+tag, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.SetBasicAuth("portal", giteaToken)
	res, err := http.DefaultClient.Do(r)
	if err != nil || res.StatusCode != http.StatusOK {
		w.t.Fatalf("digest of %s: %v %+v", tag, err, res)
	}
	_ = res.Body.Close()
	return res.Header.Get("Docker-Content-Digest")
}

func (w *world) url() string { return "http://" + w.proc.addr }

// probes gives the app a startup and a readiness probe, and a deadline for progress if that is not 0.
func probes(deadline int32) func(*world) {
	return func(w *world) {
		w.opts = []kubetest.Option{func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers[0].StartupProbe = nil // its budget is a minute
			if deadline != 0 {
				d.Spec.ProgressDeadlineSeconds = &deadline
			}
		}}
	}
}

// seen waits until the portal sees every cluster.
func (w *world) seen() {
	w.t.Helper()
	w.until("the portal to see the cluster", func() bool {
		p := w.anyone().send(http.MethodGet, "/readyz", nil)
		return p.status == http.StatusOK && strings.TrimSpace(p.body) == "ready"
	})
}

// poll asks until the answer is yes or patience ends. What it asks for, another process or the cluster brings about: no
// channel of ours tells.
func poll(ok func() bool) bool {
	again := time.NewTicker(40 * time.Millisecond)
	defer again.Stop()
	for late := time.After(patience); !ok(); {
		select {
		case <-again.C:
		case <-late:
			return false
		}
	}
	return true
}

// until polls a condition.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	if !poll(ok) {
		w.t.Fatalf("waited in vain for %s\n%s\n%s", what, w.log(), w.story())
	}
}

// story is what the database knows, for a test that failed.
func (w *world) story() string {
	var b strings.Builder
	rows, err := w.read().Query(context.Background(), `SELECT deploy_id || ' ' || at || ' ' || kind || ' ' || text FROM deploy_events
		UNION ALL SELECT id || ' ' || status || ' ' || sentence || ' ' || ifnull(rollout, '') || memory FROM deploys`)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return err.Error()
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// reached waits until a held request has come to the gate.
func (w *world) reached(h *hold) {
	w.t.Helper()
	w.wait(h.reached, "a request to be held")
}

func (w *world) wait(done <-chan struct{}, what string) {
	w.t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		w.t.Fatalf("waited in vain for %s\n%s", what, w.log())
	}
}

// live reads the Deployment from the API server.
func (w *world) live() *appsv1.Deployment {
	w.t.Helper()
	d, err := w.ns.Admin.AppsV1().Deployments(w.ns.Name).Get(w.t.Context(), "api", metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// runs fails the test unless the Deployment is set to this image.
func (w *world) runs(image string) {
	w.t.Helper()
	if got := w.live().Spec.Template.Spec.Containers[0].Image; got != image {
		w.t.Errorf("the Deployment has %s, want %s", got, image)
	}
}

func (w *world) kubectl(args ...string) string { return w.ns.Kubectl(w.t, args...) }

func idOf(path string) int64 {
	n, err := strconv.ParseInt(strings.TrimPrefix(path, "/deploys/"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// scene runs a part of a story as a test of its own; scenes follow each other in one world.
func (w *world) scene(t *testing.T, name string, play func()) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		w.t, w.ana.t = t, t
		defer func() { w.t, w.ana.t = w.all, w.all }()
		play()
	})
}

// onManifest calls f, once, when the registry is asked for a tag's manifest, before it answers.
func (w *world) onManifest(tag string, f func()) {
	var once sync.Once
	w.gitea.Intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasSuffix(r.URL.Path, "/manifests/"+tag) {
			once.Do(f)
		}
		next.ServeHTTP(rw, r)
	})
}
