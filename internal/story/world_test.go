package story_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
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
	t         testing.TB
	ns        *kubetest.Namespace
	gitea     *giteatest.Server
	host      string // of the registry, as it stands in image strings
	gate      *gate
	dir       string
	stability string
	image     string            // that api runs at first; empty: v1, pinned
	opts      []kubetest.Option // of the Deployment; without any it has no probes
	apps      string            // of the configuration
	envs      string            // more of them
	proc      *process
	ana       *browser
	db        *sqlite.DB
}

// process is one life of the portal.
type process struct {
	cmd  *exec.Cmd
	out  *lines
	addr string
	dead chan struct{}
}

// lines collects what a process writes.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
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
	w := &world{t: t, ns: kubetest.Need(t).Namespace(t), dir: t.TempDir(), stability: "1s", apps: "[{name: api, image: acme/api}]"}
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
- {name: prod, namespace: %[3]s, kubeconfig: %[4]q}
%[5]s
apps: %[6]s
stability: %[7]s
`, w.path("portal.db"), server.URL, w.ns.Name, w.gate.kubeconfig(t, w.ns), w.envs, w.apps, w.stability, w.path("token"))))
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

var serving = regexp.MustCompile(`msg=serving addr=(\S+)`)

// start starts the portal and waits until it listens.
func (w *world) start() {
	w.t.Helper()
	p := &process{cmd: exec.Command(binary(w.t), "--config", w.path("portal.yaml"), "serve"), out: &lines{}, dead: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in ProcessState
		close(p.dead)
	}()
	w.proc = p
	w.t.Cleanup(func() { w.reap(p) })
	w.until("the portal to listen", func() bool {
		select {
		case <-p.dead:
			w.t.Fatalf("the portal ended: %v\n%s", p.cmd.ProcessState, p.out)
		default:
		}
		m := serving.FindStringSubmatch(p.out.String())
		if m != nil {
			p.addr = m[1]
		}
		return m != nil
	})
}

// reap ends a life of the portal and looks for what must be in no log. A race ends the process with another code.
func (w *world) reap(p *process) {
	select {
	case <-p.dead:
	default:
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may end by itself this moment
		select {
		case <-p.dead:
			if code := p.cmd.ProcessState.ExitCode(); code != 0 {
				w.t.Errorf("the portal was told to stop and ended with %v", p.cmd.ProcessState)
			}
		case <-time.After(20 * time.Second):
			_ = p.cmd.Process.Kill()
			w.t.Error("the portal was told to stop and did not")
		}
	}
	log := p.out.String()
	for _, bad := range []string{"DATA RACE", "panic:", passwordOfAna, passwordOfDan, passwordOfVic, giteaToken} {
		if strings.Contains(log, bad) {
			w.t.Errorf("the log has %q:\n%s", bad, log)
			return
		}
	}
	if w.t.Failed() {
		w.t.Logf("log of the portal:\n%s", w.log())
	}
}

// stop ends the portal in peace, and closes the test's own view of the database, so that the file is whole by itself.
func (w *world) stop() {
	w.t.Helper()
	if w.db != nil {
		_ = w.db.Close()
		w.db = nil
	}
	w.reap(w.proc)
}

// kill ends the portal as a power cut would: it gets no chance to do anything.
func (w *world) kill() {
	w.t.Helper()
	if err := w.proc.cmd.Process.Kill(); err != nil {
		w.t.Fatal(err)
	}
	<-w.proc.dead
}

func (w *world) url() string { return "http://" + w.proc.addr }

// log is what the portal wrote, without the pages it served well.
func (w *world) log() string {
	if w.proc == nil {
		return ""
	}
	var kept []string
	for line := range strings.Lines(w.proc.out.String()) {
		if !strings.Contains(line, " status=200 ") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

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

// until polls a condition.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(40 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited in vain for %s\n%s\n%s", what, w.log(), w.story())
		}
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
