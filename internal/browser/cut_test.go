package browser_test

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// line is a connection to the portal that can be cut, as a network does it: what flows ends, and what is new is refused.
type line struct {
	url string
	to  string

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]struct{}
}

func newLine(t testing.TB, d *demo) *line {
	t.Helper()
	u, err := url.Parse(d.url)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{url: "http://" + listener.Addr().String(), to: u.Host, conns: map[net.Conn]struct{}{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { l.carry(c) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		l.setCut(true)
		wg.Wait()
	})
	return l
}

// carry passes bytes both ways until one side ends or the line is cut.
func (l *line) carry(a net.Conn) {
	defer a.Close()
	b, err := net.Dial("tcp", l.to)
	if err != nil {
		return
	}
	defer b.Close()
	if !l.keep(a, b) {
		return
	}
	var wg sync.WaitGroup
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		wg.Go(func() {
			_, _ = io.Copy(way[0], way[1]) // an end of any kind ends both ways
			_ = way[0].Close()
			_ = way[1].Close()
		})
	}
	wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, a)
	delete(l.conns, b)
}

func (l *line) keep(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		if !l.cut {
			l.conns[c] = struct{}{}
		}
	}
	return !l.cut
}

func (l *line) setCut(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	if cut {
		for c := range l.conns {
			_ = c.Close()
		}
	}
}

// underWay is the condition that the page is live and the rollout in its middle: a new pod is there and not ready.
const underWay = `document.querySelector("#live").dataset.state === "ok" && (() => {
	const g = document.querySelector("#deploy-pods .group");
	return g?.textContent.includes("New") && g.nextElementSibling.querySelector(".pod .st:not(.ok)") && !document.querySelector("#stream").hasAttribute("data-done");
})()`

// networkWords is what Chromium and htmx write to the console when a connection breaks.
const networkWords = `net::ERR_|network error|Failed to fetch|NetworkError`

func TestPageEndsRightAfterACut(t *testing.T) {
	d := theDemo(t)
	l := newLine(t, d)
	p := newTab(t, l.url)
	p.excuse(networkWords)
	p.signIn(d, "/")
	p.idle("admin")
	before := d.image(t, "admin")
	id := p.deploy("admin", otherTag(t, d, "admin"))
	loads := p.loadCount()
	p.until("the rollout is under way", underWay)
	l.setCut(true)
	p.until("the page says that it is cut off", shows("#live", "reconnecting"))
	if got := p.text("#live"); !strings.Contains(got, "last update") {
		t.Errorf("the header says %q", got)
	}
	l.setCut(false)
	p.ends("Succeeded", loads)
	if resumed, _ := p.headers(); len(resumed) == 0 {
		t.Error("no request said what had been received last")
	}
	p.audited(d, id, "succeeded", before, d.image(t, "admin"))
}

func TestPageEndsRightAfterAKill(t *testing.T) {
	d := theDemo(t)
	p := newTab(t, d.url)
	p.excuse(networkWords)
	p.signIn(d, "/")
	p.idle("admin")
	before := d.image(t, "admin")
	id := p.deploy("admin", otherTag(t, d, "admin"))
	loads := p.loadCount()
	p.until("the rollout is under way", underWay)
	killed := d.portalPid(t)
	if err := syscall.Kill(killed, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.until("the page says that it is cut off", shows("#live", "reconnecting")+` || document.querySelector("#stream").hasAttribute("data-done")`)
	p.ends("Succeeded", loads)
	if now := d.portalPid(t); now == killed {
		t.Errorf("the portal is still process %d", now)
	}
	if err := syscall.Kill(killed, 0); err == nil {
		if status, bad := os.ReadFile(fmt.Sprintf("/proc/%d/status", killed)); bad == nil && !strings.Contains(string(status), "Z (zombie)") {
			t.Errorf("process %d lives on", killed)
		}
	}
	p.audited(d, id, "succeeded", before, d.image(t, "admin"))
}
