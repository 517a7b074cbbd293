package web

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"deployportal/internal/auth"
	"deployportal/internal/deploys"
	"deployportal/web/templates"
)

// event is one message as a reader gets it.
type event struct{ id, name, data string }

// reader is an open stream.
type reader struct {
	t    testing.TB
	res  *http.Response
	in   *bufio.Reader
	stop func()
}

// listen opens a stream. It must be answered with one.
func (b *browser) listen(path, last string) *reader {
	b.p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	r, err := http.NewRequestWithContext(ctx, "GET", b.p.base+path, nil)
	if err != nil {
		b.p.t.Fatal(err)
	}
	r.AddCookie(b.cookie)
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	res, err := transport.RoundTrip(r)
	if err != nil {
		b.p.t.Fatal(err)
	}
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" || res.Header.Get("X-Accel-Buffering") != "no" || res.Header.Get("Cache-Control") != "no-store" {
		b.p.t.Fatalf("%s: %s %v", path, res.Status, res.Header)
	}
	rd := &reader{t: b.p.t, res: res, in: bufio.NewReader(res.Body), stop: func() { cancel(); _ = res.Body.Close() }}
	b.p.t.Cleanup(rd.stop)
	return rd
}

// next gives the next message, or io.EOF when the server has ended the stream.
func (r *reader) next() (event, error) {
	var e event
	var data []string
	for {
		line, err := r.in.ReadString('\n')
		if err != nil {
			return e, err
		}
		switch name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); name {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			data = append(data, value)
		case "":
			e.data = strings.Join(data, "\n")
			return e, nil
		}
	}
}

// until reads on to the first message of a name; "" is news.
func (r *reader) until(name string) event {
	r.t.Helper()
	for {
		e, err := r.next()
		if err != nil {
			r.t.Fatalf("waiting for %q: %v", name, err)
		}
		if e.name == name {
			return e
		}
	}
}

func (r *reader) ends() {
	r.t.Helper()
	for {
		e, err := r.next()
		if err == io.EOF {
			return
		}
		if err != nil || e.name != "beat" {
			r.t.Fatalf("waiting for the end: %v, %v", e, err)
		}
	}
}

// hand gives a ticker that a test turns: check and beat of every stream opened after it.
type hand struct {
	mu    sync.Mutex
	ticks map[time.Duration][]chan time.Time
}

func (h *hand) ticker(d time.Duration) (<-chan time.Time, func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ticks == nil {
		h.ticks = map[time.Duration][]chan time.Time{}
	}
	c := make(chan time.Time, 1)
	h.ticks[d] = append(h.ticks[d], c)
	return c, func() {}
}

func (h *hand) tick(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.ticks[d] {
		select {
		case c <- time.Time{}:
		default:
		}
	}
}

func TestDeployStreamFollowsToTheEnd(t *testing.T) {
	p := newPortal(t, nil, nil)
	ana := p.as(admin)
	d := p.patched(p.start("staging", "b").ID)
	page := ana.get(templates.DeployURL(d.ID))
	address, ok := page.doc.Find("#stream").Attr("hx-sse:connect")
	if !ok || !strings.HasPrefix(address, "/deploys/1/events?after=") {
		t.Fatalf("the page connects to %q", address)
	}
	s := ana.listen(address, "")
	if e := s.until("beat"); e.data != `{"age":3}` && !strings.HasPrefix(e.data, `{"age":3.`) {
		t.Errorf("first beat %q", e.data)
	}
	p.cluster.finish(target("staging"), "b")
	var last event
	for last = s.until(""); !strings.Contains(last.data, "data-done"); last = s.until("") {
		if !strings.Contains(last.data, `hx-target="#deploy-live"`) {
			t.Fatalf("news without the page: %q", last.data)
		}
	}
	d = p.over(d.ID)
	if d.Status != deploys.Succeeded || last.id != id(d.Seq) || !strings.Contains(last.data, "Succeeded") {
		t.Errorf("%s with seq %d; the last message has id %s", d.Status, d.Seq, last.id)
	}
	if e, err := s.next(); err != nil || e.name != "done" {
		t.Errorf("after the last message: %v, %v", e, err)
	}
	s.ends()
	if n := ana.get(templates.DeployURL(d.ID)).doc.Find("#stream").Length(); n != 0 {
		t.Error("the page of a finished deploy connects")
	}
	again := ana.listen(address, last.id) // a page that was asleep at the end
	if e := again.until(""); !strings.Contains(e.data, "data-done") {
		t.Errorf("coming late: %q", e.data)
	}
}

// A reader that has the newest state is sent nothing before there is news; one that lags gets the whole state, and what
// it says itself counts more than what its page was painted with.
func TestResume(t *testing.T) {
	p := newPortal(t, nil, nil)
	ana := p.as(admin)
	d := p.patched(p.start("staging", "b").ID)
	settle := func() { // no more events come by themselves
		p.until("all is told", func() bool {
			was := d.Seq
			d, _ = p.service.Get(context.Background(), d.ID)
			return was == d.Seq
		})
	}
	for i, c := range []struct {
		after, last func(seq int64) string
		news        bool
	}{
		{id, none, false}, {first, none, true}, {first, id, false}, {id, first, true}, {none, none, true},
		{func(seq int64) string { return id(seq + 5) }, none, true},
	} {
		settle()
		s := ana.listen(templates.DeployURL(d.ID)+"/events?after="+c.after(d.Seq), c.last(d.Seq))
		s.until("beat")
		if c.news {
			if e := s.until(""); e.id != id(d.Seq) || !strings.Contains(e.data, "Timeline") {
				t.Errorf("case %d: id %s, not %d", i, e.id, d.Seq)
			}
		}
		p.cluster.scale(target("staging"), id(int64(i)))
		if e := s.until(""); e.id != id(d.Seq+1) {
			t.Errorf("case %d: the news has id %s, not %d", i, e.id, d.Seq+1)
		}
		s.stop()
	}
}

func none(int64) string  { return "" }
func first(int64) string { return "1" }

func TestBeat(t *testing.T) {
	hand := &hand{}
	p := newPortal(t, nil, func(s *Server) { s.times.ticker = hand.ticker })
	s := p.as(admin).listen("/events", "")
	s.until("")
	p.cluster.lose("The cluster cannot be reached.")
	p.ahead.Store(int64(7 * time.Second))
	hand.tick(10 * time.Second)
	e := s.until("beat")
	for !strings.Contains(e.data, "stale") {
		hand.tick(10 * time.Second)
		e = s.until("beat")
	}
	want := `{"age":3,"stale":"prod not seen since ` + p.server.Now().Add(-67*time.Second).UTC().Format("15:04 UTC") + `"}`
	if e.data != want {
		t.Errorf("beat %s, want %s", e.data, want)
	}
}

// A stream ends when what let it in ends: at the next look at the session, which is at most 5 s away.
func TestStreamEndsWithItsSession(t *testing.T) {
	if every := defaultTimes().check; every >= 5*time.Second {
		t.Fatalf("sessions are looked at every %s", every)
	}
	ctx, by := context.Background(), auth.CLIActor()
	ends := map[string]func(p *portal, b *browser) error{
		"sign-out": func(p *portal, b *browser) error { b.post("/sign-out", nil); return nil },
		"password": func(p *portal, _ *browser) error {
			return p.accounts.SetPassword(ctx, by, deployer, "another long password")
		},
		"disabled": func(p *portal, _ *browser) error { return p.accounts.Disable(ctx, by, deployer) },
		"expired":  func(p *portal, _ *browser) error { p.ahead.Store(int64(auth.SessionLife)); return nil },
		"role": func(p *portal, _ *browser) error {
			return p.accounts.SetGrants(ctx, by, deployer, []auth.Grant{{Role: auth.Deployer, Env: "elsewhere"}})
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			p := newPortal(t, nil, func(s *Server) { s.times.check = 10 * time.Millisecond })
			dan := p.as(deployer)
			d := p.patched(p.start("staging", "b").ID)
			streams := []*reader{dan.listen("/events", ""), dan.listen(templates.DeployURL(d.ID)+"/events", "")}
			if err := end(p, dan); err != nil {
				t.Fatal(err)
			}
			for _, s := range streams {
				s.until("signed-out")
				if e, err := s.next(); err != io.EOF {
					t.Errorf("after the end: %v, %v", e, err)
				}
			}
		})
	}
	t.Run("fewer rights", func(t *testing.T) { // the page is another one then: the reader comes again
		p := newPortal(t, nil, func(s *Server) { s.times.check = 10 * time.Millisecond })
		s := p.as(deployer).listen("/events", "")
		if err := p.accounts.SetGrants(ctx, by, deployer, []auth.Grant{{Role: auth.Viewer, Env: "staging"}}); err != nil {
			t.Fatal(err)
		}
		s.until("")
		s.ends()
	})
}

// The board shows each reader what that reader may see, and says what changed.
func TestBoardStream(t *testing.T) {
	p := newPortal(t, nil, nil)
	all, some := p.as(admin).listen("/events", ""), p.as(viewer).listen("/events", "")
	if e := all.until(""); e.id != "" || !strings.Contains(e.data, `id="row-prod-api"`) || !strings.Contains(e.data, `hx-target="#board-live"`) {
		t.Errorf("an admin gets %q", e.data)
	}
	if e := some.until(""); strings.Contains(e.data, "prod") || !strings.Contains(e.data, `id="row-staging-api"`) {
		t.Errorf("a viewer of staging gets %q", e.data)
	}
	p.start("staging", "b")
	for _, s := range []*reader{all, some} {
		for !strings.Contains(s.until("").data, `href="/deploys/1"`) {
			continue
		}
	}
	p.cluster.lose("The cluster cannot be reached since 02:10 UTC.")
	for !strings.Contains(some.until("").data, "The cluster cannot be reached since 02:10 UTC.") {
		continue
	}
}

// counting counts how often a deploy is read.
type counting struct {
	Deploys
	gets atomic.Int64
}

func (c *counting) Events(ctx context.Context, id, after int64) ([]deploys.Event, error) {
	c.gets.Add(1)
	return c.Deploys.Events(ctx, id, after)
}

// However many watch, what is new is read and drawn once.
func TestManyViewersShareOnePicture(t *testing.T) {
	const viewers = 300
	count := &counting{}
	p := newPortal(t, func(o *Options) { count.Deploys = o.Deploys; o.Deploys = count }, nil)
	ana := p.as(admin)
	d := p.patched(p.start("staging", "b").ID)
	var streams []*reader
	for range viewers {
		s := ana.listen(templates.DeployURL(d.ID)+"/events?after="+id(d.Seq), "")
		s.until("beat")
		streams = append(streams, s)
	}
	before := count.gets.Load()
	if before > 2 {
		t.Errorf("%d reads for %d who came", before, viewers)
	}
	p.cluster.finish(target("staging"), "b")
	end := p.over(d.ID)
	var same event
	for i, s := range streams {
		e := s.until("")
		for !strings.Contains(e.data, "data-done") {
			e = s.until("")
		}
		if i == 0 {
			same = e
		}
		if e != same || e.id != id(end.Seq) {
			t.Fatalf("viewer %d has another picture", i)
		}
	}
	if n := count.gets.Load() - before; n > end.Seq-d.Seq {
		t.Errorf("%d events cost %d reads", end.Seq-d.Seq, n)
	}
	if n := len(p.server.rooms.open); n != 0 {
		t.Errorf("%d rooms are open after the end", n)
	}
}

// Who does not read is given up, and holds up nobody.
func TestStalledReaderIsDropped(t *testing.T) {
	p := newPortal(t, nil, func(s *Server) { s.times.write = 50 * time.Millisecond })
	ana := p.as(admin)
	d := p.patched(p.start("staging", "b").ID)
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(1024)
	fmt.Fprintf(conn, "GET %s/events HTTP/1.1\r\nHost: %s\r\nCookie: %s=%s\r\n\r\n", templates.DeployURL(d.ID), strings.TrimPrefix(p.base, "http://"), ana.cookie.Name, ana.cookie.Value)
	well := ana.listen(templates.DeployURL(d.ID)+"/events", "")
	watching := func() int {
		p.server.rooms.mu.Lock()
		defer p.server.rooms.mu.Unlock()
		n := 0
		for _, r := range p.server.rooms.open {
			r.mu.Lock()
			n += len(r.viewers)
			r.mu.Unlock()
		}
		return n
	}
	p.until("both watch", func() bool { return watching() == 2 })
	n := 0
	p.until("the stalled reader is gone", func() bool {
		n++
		p.cluster.scale(target("staging"), id(int64(n)))
		well.until("")
		return watching() == 1
	})
	if !strings.Contains(p.log.String(), "i/o timeout") {
		t.Error("the log does not say why")
	}
}

// Nothing is left behind, and a stop does not wait for those who watch.
func TestStopWithOpenStreams(t *testing.T) {
	before := goleak.IgnoreCurrent()
	p := newPortal(t, nil, nil)
	ana := p.as(admin)
	d := p.patched(p.start("staging", "b").ID)
	var streams []*reader
	for i := range 500 {
		path := "/events"
		if i%2 == 0 {
			path = templates.DeployURL(d.ID) + "/events"
		}
		s := ana.listen(path, "")
		s.until("beat")
		streams = append(streams, s)
	}
	took := p.stop()
	t.Logf("stopped in %s with %d streams", took, len(streams))
	if took >= 3*time.Second {
		t.Errorf("the stop took %s", took)
	}
	for _, s := range streams {
		s.stop()
	}
	_ = p.db.Close()
	transport.CloseIdleConnections()
	goleak.VerifyNone(t, before)
}

// A room is closed by the last who leaves.
func TestRoomsAreLeft(t *testing.T) {
	p := newPortal(t, nil, nil)
	s := p.as(admin).listen("/events", "")
	s.until("")
	s.stop()
	p.until("the room is closed", func() bool {
		p.server.rooms.mu.Lock()
		defer p.server.rooms.mu.Unlock()
		return len(p.server.rooms.open) == 0
	})
	p.server.rooms.wait()
	p.until("its bell is gone", func() bool { p.cluster.mu.Lock(); defer p.cluster.mu.Unlock(); return len(p.cluster.bells) == 0 })
}

// Trouble is no event and is shown all the same.
func TestTroubleIsShown(t *testing.T) {
	inTrouble := &troubled{}
	p := newPortal(t, func(o *Options) { inTrouble.Deploys = o.Deploys; o.Deploys = inTrouble }, nil)
	d := p.patched(p.start("staging", "b").ID)
	inTrouble.say.Store("The outcome cannot be written: the disk is full.")
	ana := p.as(admin)
	if a := ana.get(templates.DeployURL(d.ID)); a.text("#deploy-stale b") != "The outcome cannot be written: the disk is full." {
		t.Errorf("the page says %q", a.text("#deploy-stale"))
	}
	s := ana.listen(templates.DeployURL(d.ID)+"/events?after="+id(d.Seq), "")
	if e := s.until(""); !strings.Contains(e.data, "the disk is full") {
		t.Errorf("the stream says %q", e.data)
	}
}

type troubled struct {
	Deploys
	say atomic.Value
}

func (t *troubled) Get(ctx context.Context, id int64) (deploys.Deploy, error) {
	d, err := t.Deploys.Get(ctx, id)
	if say, ok := t.say.Load().(string); ok {
		d.Trouble = say
	}
	return d, err
}

func FuzzMessage(f *testing.F) {
	for _, s := range []string{"", "a", "a\nb", "a\r\nb\r", "\n\n", "data: x\n\nid: 9", "\r\r\n", "é\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := &reader{in: bufio.NewReader(bytes.NewReader(message(7, "news", data)))}
		e, err := r.next()
		want := strings.ReplaceAll(strings.ReplaceAll(string(data), "\r\n", "\n"), "\r", "\n")
		if err != nil || e.id != "7" || e.name != "news" || e.data != want {
			t.Errorf("%q became %+v, %v", data, e, err)
		}
		if e, err := r.next(); err != io.EOF {
			t.Errorf("one message became two: %+v", e)
		}
	})
}

func TestStreamsWithoutASession(t *testing.T) {
	p := newPortal(t, nil, nil)
	for _, path := range []string{"/events", "/deploys/1/events"} {
		a := p.as(nobody).get(path)
		if a.StatusCode != 401 || a.Header.Get("Location") != "" || strings.Contains(a.body, "<") {
			t.Errorf("%s: %s %q", path, a.Status, a.body)
		}
	}
}
