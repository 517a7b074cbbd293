package kube_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"deployportal/internal/deploys"
	"deployportal/internal/kube"
	"deployportal/internal/kube/kubetest"
	"deployportal/internal/testenv"
)

// canary is a random text, as it is and in base64, as a Secret has it. It is kept as pairs of halves that make it only
// together, byte by byte, so that the test's own memory does not hold what it is searched for.
type canary [][2][]byte

// newCanary writes a text to a file and forgets it.
func newCanary(t *testing.T, path string) canary {
	t.Helper()
	random, text := make([]byte, 24), make([]byte, 48)
	if _, err := rand.Read(random); err != nil {
		t.Fatal(err)
	}
	hex.Encode(text, random)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	encoded := make([]byte, base64.StdEncoding.EncodedLen(len(text)))
	base64.StdEncoding.Encode(encoded, text)
	var c canary
	for _, form := range [][]byte{text, encoded} {
		pad := make([]byte, len(form))
		if _, err := rand.Read(pad); err != nil {
			t.Fatal(err)
		}
		for i := range form {
			form[i] ^= pad[i]
		}
		c = append(c, [2][]byte{form, pad})
	}
	clear(random)
	return c
}

// in searches for the text without putting it together.
func (c canary) in(b []byte) bool {
	return slices.ContainsFunc(c, func(h [2][]byte) bool { return together(h, b) })
}

func together(h [2][]byte, b []byte) bool {
	for {
		at := bytes.IndexByte(b, h[0][0]^h[1][0])
		if at < 0 || len(b)-at < len(h[0]) {
			return false
		}
		n := 1
		for n < len(h[0]) && b[at+n] == h[0][n]^h[1][n] {
			n++
		}
		if n == len(h[0]) {
			return true
		}
		b = b[at+1:]
	}
}

// inHeap collects the garbage and searches everything that is left.
func (c canary) inHeap(t *testing.T) bool {
	t.Helper()
	runtime.GC() // what pools hold survives the first
	runtime.GC()
	runtime.GC()
	f, err := os.Create(filepath.Join(t.TempDir(), "heap"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	debug.WriteHeapDump(f.Fd())
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	dump, err := io.ReadAll(f)
	if err != nil || len(dump) < 1<<20 {
		t.Fatalf("a heap of %d bytes, %v", len(dump), err)
	}
	defer clear(dump) // else the next search finds it here
	return c.in(dump)
}

// lines is a log that keeps everything.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) all() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}

// secretive is a workload that refers to three Secrets.
func secretive(s *corev1.PodSpec) {
	key := func(name, key string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: key}}
	}
	s.Containers[0].Env = []corev1.EnvVar{
		{Name: "A", ValueFrom: key("api-env", "PASSWORD")}, {Name: "B", ValueFrom: key("api-env", "PASSWORT")},
		{Name: "C", ValueFrom: key("gone", "X")}, {Name: "D", ValueFrom: key("closed", "X")},
	}
}

// peek reads a workload's surroundings with the right and the order to read Secrets, and gives what was told and logged.
func peek(t *testing.T, cfg *rest.Config, namespace string) (deploys.Surroundings, *lines) {
	t.Helper()
	var log lines
	c, stop := runOptions(t, kube.Options{RegistryHost: "git.example.org",
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.Level(-100)})), // client-go logs bodies at -8
		Envs:   []kube.Env{{Name: "prod", Namespace: namespace, Config: cfg, Secrets: true}}})
	t.Cleanup(stop)
	until(t, c, api, "a view", func(r deploys.Rollout) bool { return fresh(r) && r.Exists })
	return inTime(t, c, api), &log
}

// TestClusterSecretsLeaveNothing: of a Secret that may be read there are the names of its keys. What it holds is in no fact,
// no log line and, once the garbage is collected, nowhere in memory.
func TestClusterSecretsLeaveNothing(t *testing.T) {
	ns := kubetest.Need(t).Namespace(t)
	path := filepath.Join(t.TempDir(), "password")
	bird := newCanary(t, path)
	ns.Kubectl(t, "create", "secret", "generic", "api-env", "--from-file=PASSWORD="+path)
	ns.Kubectl(t, "create", "secret", "generic", "closed", "--from-literal=X=y")
	ns.AllowSecrets(t, "api-env", "gone")
	ns.CreateDeployment(t, "api", 0, imageOld, template(secretive))

	t.Run("whole", func(t *testing.T) {
		var a asked
		s, log := peek(t, a.of(ns.PortalConfig), ns.Name)
		if n := []int{a.count("/secrets/api-env"), a.count("/secrets/gone"), a.count("/secrets/closed")}; n[0] == 0 || n[0] != n[1] || n[0] != n[2] { // once each a try
			t.Errorf("calls %v", n)
		}
		refused := "The portal may not get Secret closed in " + ns.Name + "."
		same(t, "needs", s.Needs, []deploys.Need{
			{Kind: "Secret", Name: "api-env", Keys: []string{"PASSWORD"}, By: "container api, env A", Exists: true},
			{Kind: "Secret", Name: "api-env", Keys: []string{"PASSWORT"}, By: "container api, env B", Exists: true, Lacks: []string{"PASSWORT"}},
			{Kind: "Secret", Name: "gone", Keys: []string{"X"}, By: "container api, env C"},
			{Kind: "Secret", Name: "closed", Keys: []string{"X"}, By: "container api, env D", Unseen: refused},
		})
		same(t, "unseen", s.Unseen["secrets"], refused)
		leavesNothing(t, bird, s, log)
		if !bytes.Contains(log.all(), []byte("Response Body")) {
			t.Error("the log is not the one in which client-go logs bodies")
		}
	})
	t.Run("cut off", func(t *testing.T) {
		s, log := peek(t, answers(ns.PortalConfig, func(body []byte) []byte { return body[:len(body)-5] }), ns.Name)
		same(t, "why", s.Needs[0].Unseen, "The cluster gave no usable answer.")
		leavesNothing(t, bird, s, log)
	})
	t.Run("planted", func(t *testing.T) { // the searches find what somebody keeps
		var kept [][]byte
		var mu sync.Mutex
		s, log := peek(t, answers(ns.PortalConfig, func(body []byte) []byte {
			mu.Lock()
			defer mu.Unlock()
			kept = append(kept, bytes.Clone(body))
			return body
		}), ns.Name)
		if !s.Needs[0].Exists || !bird.inHeap(t) {
			t.Errorf("a Secret that is kept is not found in memory")
		}
		mu.Lock()
		defer mu.Unlock()
		if !bird.in(bytes.Join(kept, nil)) || bird.in(log.all()) {
			t.Errorf("the search is wrong: %d answers", len(kept))
		}
		for _, k := range kept {
			clear(k)
		}
	})
}

func leavesNothing(t *testing.T, bird canary, s deploys.Surroundings, log *lines) {
	t.Helper()
	told, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if bird.in(told) || bird.in(log.all()) {
		t.Error("what a Secret holds is told or logged")
	}
	testenv.Until(t, patience, "no memory holds what the Secret does", func() bool { return !bird.inHeap(t) })
}

// answers changes what comes back for Secrets.
func answers(cfg *rest.Config, change func([]byte) []byte) *rest.Config {
	own := rest.CopyConfig(cfg)
	own.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err != nil || !strings.Contains(r.URL.Path, "/secrets/") || resp.StatusCode != http.StatusOK {
				return resp, err
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			resp.Body = io.NopCloser(bytes.NewReader(change(body)))
			return resp, err
		})
	})
	return own
}
