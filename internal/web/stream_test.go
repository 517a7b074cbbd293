package web

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"deployportal/internal/auth"
	"deployportal/internal/deploys"
	"deployportal/web/templates"
)

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
			streams := []*reader{dan.listen("/events", ""), dan.listen(templates.AppEventsURL("staging", "api"), ""), dan.listen(templates.DeployURL(d.ID)+"/events", "")}
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
	for _, path := range []string{"/events", "/apps/staging/api/events", "/deploys/1/events"} {
		a := p.as(nobody).get(path)
		if a.StatusCode != 401 || a.Header.Get("Location") != "" || strings.Contains(a.body, "<") {
			t.Errorf("%s: %s %q", path, a.Status, a.body)
		}
	}
}
