package story_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"deployportal/internal/foreign/foreigntest"
)

// newFlaky is an app that names v2 as its version at /well; at /half it does so every second time and fails between.
func newFlaky(t testing.TB) *httptest.Server {
	t.Helper()
	var n atomic.Int64
	mux := http.NewServeMux()
	well := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("version " + v2)) }
	mux.HandleFunc("/well", well)
	mux.HandleFunc("/half", func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%2 == 0 {
			http.Error(w, "no live upstream", http.StatusBadGateway)
			return
		}
		well(w, r)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// ingress answers for the app on every address of this machine: with the version that it says runs, unless broken says
// otherwise of a request.
type ingress struct {
	port string

	mu      sync.Mutex
	version string
	broken  func(n int, address string) bool
	n       int
}

func newIngress(t testing.TB) *ingress {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	in := &ingress{}
	_, in.port, _ = net.SplitHostPort(l.Addr().String())
	s := httptest.NewUnstartedServer(in)
	_ = s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return in
}

// ServeHTTP implements http.Handler.
func (in *ingress) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.n++
	at, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	address, _, _ := net.SplitHostPort(at.String())
	if in.broken != nil && in.broken(in.n, address) {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	_, _ = fmt.Fprint(w, "version ", in.version)
}

// now says what answers from now on.
func (in *ingress) now(version string, broken func(n int, address string) bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.version, in.broken, in.n = version, broken, 0
}

// filling notes how many dots of an open page are good, as they are drawn.
const filling = `(() => {
	window.dots = [];
	const note = () => {
		const n = document.querySelectorAll("#deploy-dots .ok").length;
		if (window.dots.at(-1) !== n) window.dots.push(n);
	};
	new MutationObserver(note).observe(document.body, {subtree: true, childList: true, attributes: true});
	note();
	return true;
})()`

// TestSmokeProbes: pods that are all ready are not enough. What people would get decides, and the page shows it.
func TestSmokeProbes(t *testing.T) {
	t.Parallel()
	in := newIngress(t)
	w := newWorld(t, func(w *world) {
		w.apps = fmt.Sprintf(`[{name: api, image: acme/api, smoke: [{url: "http://api.example.test:%s/health", body: {contains: "version {sha}"},
  interval: 20ms, addresses: [127.0.0.1, 127.0.0.2, 127.0.0.3]}]}]`, in.port)
	})
	tab := foreigntest.Watch(t, w.url())
	tab.Open("/sign-in")
	tab.Expect("/")
	foreigntest.Get[bool](tab, fmt.Sprintf(`(document.querySelector("#account").value = "ana", document.querySelector("#password").value = %q,
		document.querySelector("form.form").submit(), true)`, passwordOfAna))
	tab.Until("ana is signed in", `location.pathname === "/" && document.querySelector("#live")?.dataset.state === "ok"`)
	// shown is the open page of a deploy at its end, drawn by the stream, and the same page when it is opened anew.
	shown := func(id int64, good, bad int, sentence string) {
		t.Helper()
		tab.Until("the deploy has ended", `document.querySelector("#stream")?.hasAttribute("data-done")`)
		p := w.ana.get(fmt.Sprintf("/deploys/%d", id))
		for what, want := range map[string]int{"i": 150, "i.ok": good, "i.bad": bad} {
			if n := foreigntest.Get[int](tab, `document.querySelectorAll("#deploy-dots `+what+`").length`); n != want || p.doc.Find("#deploy-dots "+what).Length() != want {
				t.Errorf("deploy %d: %d dots %s, %d when opened anew, want %d", id, n, what, p.doc.Find("#deploy-dots "+what).Length(), want)
			}
		}
		if !p.shows(sentence) {
			t.Errorf("deploy %d does not say %q:\n%s", id, sentence, p.text("main"))
		}
		for _, n := range tab.Noticed() {
			t.Errorf("deploy %d: %s: %s", id, n.Detector, n.What)
		}
	}
	watch := func(id int64) int64 {
		tab.Open(fmt.Sprintf("/deploys/%d", id))
		foreigntest.Get[bool](tab, filling)
		return id
	}
	w.scene(t, "all green", func() {
		in.now(v2, nil)
		id := watch(w.ana.deploy(v2))
		w.over(id, "succeeded", "2 of 2 pods run "+v2)
		shown(id, 150, 0, "Note: 150 of 150 requests answered, p99 ")
		if got := foreigntest.Get[[]int](tab, "window.dots"); !slices.IsSorted(got) || len(got) < 4 || got[len(got)-1] != 150 {
			t.Errorf("good dots as they were drawn: %v", got)
		}
	})
	w.scene(t, "the old version still answers", func() {
		id := watch(w.ana.deploy(v3))
		w.over(id, "failed", "failed: the old version "+v2+" still answers.")
		shown(id, 0, 150, "The old version still answers")
	})
	w.scene(t, "every second fails", func() {
		in.now(v2, func(n int, _ string) bool { return n%2 == 0 })
		id := watch(w.ana.deploy(v2))
		w.over(id, "failed", "75 of 150 requests to http://api.example.test:"+in.port+"/health failed: HTTP 502. Every second one failed.")
		shown(id, 75, 75, "HTTP 502 (")
	})
	w.scene(t, "one address fails", func() {
		in.now(v3, func(_ int, address string) bool { return address == "127.0.0.2" })
		id := watch(w.ana.deploy(v3))
		w.over(id, "failed", "50 of 150 requests to http://api.example.test:"+in.port+"/health failed: HTTP 502. All 50 to 127.0.0.2 failed; every other address answered.")
		shown(id, 100, 50, "from 127.0.0.2")
		if p := w.ana.get(fmt.Sprintf("/deploys/%d", id)); p.doc.Find("#deploy-addresses tr.bad").Length() != 1 || !strings.Contains(p.text("#deploy-addresses tr.bad"), "127.0.0.2") {
			t.Errorf("by address: %s", p.text("#deploy-addresses"))
		}
	})
	w.scene(t, "the portal is killed meanwhile", func() {
		in.now(v2, nil)
		id := w.ana.deploy(v2)
		w.until("some answers", func() bool {
			return w.ana.get(fmt.Sprintf("/deploys/%d", id)).doc.Find("#deploy-dots i.ok").Length() > 10
		})
		w.kill()
		w.start()
		w.over(id, "succeeded", "2 of 2 pods run "+v2)
		if p := w.ana.get(fmt.Sprintf("/deploys/%d", id)); p.doc.Find("#deploy-dots i.ok").Length() != 150 {
			t.Errorf("%d good dots", p.doc.Find("#deploy-dots i.ok").Length())
		}
	})
	w.whole()
}
