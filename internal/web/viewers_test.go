package web

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"deployportal/internal/deploys"
	"deployportal/web/templates"
)

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
	p := newPortal(t, nil, func(s *Server) { s.times.write = time.Second })
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
	// The one that reads must not be taken for stalled because the test is slow: it reads on its own.
	ended, got := make(chan error, 1), make(chan struct{}, 1)
	go func() {
		for {
			if _, err := well.next(); err != nil {
				ended <- err
				return
			}
			select {
			case got <- struct{}{}:
			default:
			}
		}
	}()
	n := 0
	p.until("the stalled reader is gone", func() bool {
		n++
		p.cluster.scale(target("staging"), id(int64(n)))
		select {
		case <-got:
		case err := <-ended:
			t.Fatalf("the one that reads was dropped: %v", err)
		}
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
	if strings.Contains(p.log.String(), "cut off") {
		t.Error("streams were not ended first but cut off with the rest")
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
	p.until("its bell is gone, but for the one of who looks for outside changes", func() bool {
		p.cluster.mu.Lock()
		defer p.cluster.mu.Unlock()
		return len(p.cluster.bells) == 1
	})
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
