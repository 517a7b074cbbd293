package web

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"deployportal/internal/auth"
	"deployportal/internal/deploys"
	"deployportal/web/templates"
)

func (s *Server) deployEvents(c echo.Context) error {
	d := visitOf(c).deploy
	env, may := d.Target.Env, s.mayDeploy(c, d.Target.Env)
	return s.serveStream(c, live{
		key:   fmt.Sprintf("deploy %d %t", d.ID, may),
		draw:  func(ctx context.Context, r *room) { s.drawDeploy(ctx, r, d, may) },
		after: resumeAfter(c),
		envs:  []string{env},
		still: func(actor auth.Actor) standing { return s.still(actor, env, may) },
	})
}

// drawDeploy draws a deploy for everybody who looks at it: what is new is read once and drawn once, at each ring. It
// follows a rollback of it too, to its end.
func (s *Server) drawDeploy(ctx context.Context, r *room, d deploys.Deploy, mayDeploy bool) {
	bell, stop := s.Deploys.Listen(d.ID)
	defer func() { stop() }()
	f, err := s.deployFacts(ctx, d, mayDeploy)
	for shown := ""; err == nil; {
		if f.Deploy, err = s.Deploys.Get(ctx, d.ID); err != nil {
			break
		}
		var news []deploys.Event
		if news, err = s.Deploys.Events(ctx, d.ID, lastSeq(f.Events)); err != nil {
			break
		}
		events := append(f.Events, news...)
		if !f.Deploy.Active() { // with its end came what answers it, and now that one is what rings
			stop()
			bell, stop = s.Deploys.Listen(0)
			if f, err = s.deployFacts(ctx, f.Deploy, mayDeploy); err != nil {
				break
			}
		}
		f.Events, f.Now = events, s.Now()
		last, answer := f.settled(), ""
		if f.Answer != nil {
			answer = fmt.Sprint(f.Answer.ID, f.Answer.Status)
		}
		if state := fmt.Sprint(f.Deploy.Seq, f.Deploy.Trouble, answer); state != shown || last {
			shown = state
			var data []byte
			if data, err = deployMessage(ctx, f, last); err != nil {
				break
			}
			r.show(picture{seq: f.Deploy.Seq, data: data, extra: f.Deploy.Trouble != "" || answer != "", last: last})
		}
		if last {
			return
		}
		select {
		case <-bell:
		case <-ctx.Done():
			return
		}
	}
	if ctx.Err() == nil {
		s.Log.Error("a deploy cannot be drawn", "deploy", d.ID, "err", err)
	}
	r.end()
}

func lastSeq(events []deploys.Event) int64 {
	if len(events) == 0 {
		return 0
	}
	return events[len(events)-1].Seq
}

// deployMessage draws a deploy. The last one ends the connection too: after it nothing changes.
func deployMessage(ctx context.Context, f deployFacts, last bool) ([]byte, error) {
	var b bytes.Buffer
	if err := templates.DeployMessage(deployView(f), last).Render(ctx, &b); err != nil {
		return nil, fmt.Errorf("drawing deploy %d: %w", f.Deploy.ID, err)
	}
	data := message(f.Deploy.Seq, "", b.Bytes())
	if last {
		data = append(data, message(0, "done", []byte("{}"))...)
	}
	return data, nil
}

func (s *Server) boardEvents(c echo.Context) error {
	rights := s.rightsOf(visitOf(c).actor)
	key := rights.key()
	return s.serveStream(c, live{
		key:   "board " + key,
		draw:  func(ctx context.Context, r *room) { s.drawBoard(ctx, r, rights) },
		after: -1, // what changed between the page and the stream is not known, so the stream begins with all of it
		envs:  rights.envs,
		still: func(actor auth.Actor) standing {
			switch now := s.rightsOf(actor); {
			case len(now.envs) == 0 && len(rights.envs) > 0:
				return gone
			case now.key() != key:
				return changed
			}
			return stands
		},
	})
}

// drawBoard draws the board for everybody with the same rights.
func (s *Server) drawBoard(ctx context.Context, r *room, rights rights) {
	deployed, stop := s.Deploys.Listen(0)
	defer stop()
	moved, stop := s.Cluster.WatchAll()
	defer stop()
	listed, stop := s.Catalog.Watch()
	defer stop()
	drawWhole(ctx, s, r, bells{deployed, moved, listed, nil}, whole[templates.BoardLiveProps]{
		state: func() (templates.BoardLiveProps, error) {
			p, _, err := s.boardLive(ctx, rights)
			p.Now = time.Time{}
			return p, err
		},
		draw: func(p templates.BoardLiveProps, now time.Time) templ.Component {
			p.Now = now
			return templates.BoardMessage(p)
		},
	})
}

func (s *Server) appEvents(c echo.Context) error {
	target := targetOf(c)
	if _, err := s.Cluster.App(target); err != nil {
		return err
	}
	may := s.mayDeploy(c, target.Env)
	return s.serveStream(c, live{
		key:   fmt.Sprintf("app %q %q %t", target.Env, target.App, may),
		draw:  func(ctx context.Context, r *room) { s.drawApp(ctx, r, target, may) },
		after: -1, // as the board's
		envs:  []string{target.Env},
		still: func(actor auth.Actor) standing { return s.still(actor, target.Env, may) },
	})
}

// still tells what became of the rights of who looks at something in one environment.
func (s *Server) still(actor auth.Actor, env string, mayDeploy bool) standing {
	switch {
	case !s.mayView(actor, env):
		return gone
	case (s.Policy.Allow(actor, auth.Deploy, env) == nil) != mayDeploy:
		return changed
	}
	return stands
}

// drawApp draws an app's page for everybody with the same rights. While somebody looks, Gitea is asked now and then
// what has become of the commits; who looks makes no difference to how often.
func (s *Server) drawApp(ctx context.Context, r *room, target deploys.Target, mayDeploy bool) {
	deployed, stop := s.Deploys.Listen(0)
	defer stop()
	moved, stop := s.Cluster.Watch(target)
	defer stop()
	listed, stop := s.Catalog.Watch()
	defer stop()
	again, stop := s.times.ticker(s.times.ask)
	defer stop()
	drawWhole(ctx, s, r, bells{deployed, moved, listed, again}, whole[templates.AppLiveProps]{
		state: func() (templates.AppLiveProps, error) {
			t, err := s.target(ctx, target, mayDeploy)
			if err != nil {
				return templates.AppLiveProps{}, err
			}
			s.Catalog.Ask(t.App, t.Running.Tag) // the answer rings
			return s.appLive(ctx, t)
		},
		draw: func(p templates.AppLiveProps, now time.Time) templ.Component {
			p.Now = now
			return templates.AppMessage(p)
		},
	})
}

// bells ring when a page may have changed.
type bells struct {
	deployed, moved, listed <-chan struct{}
	again                   <-chan time.Time
}

// whole is a page whose state is compared as a whole.
type whole[P any] struct {
	state func() (P, error)                  // but for its moment, which always differs
	draw  func(P, time.Time) templ.Component // the message that brings it up to date
}

// drawWhole draws a page when something rang and its state is another, at most once in a while.
func drawWhole[P any](ctx context.Context, s *Server, r *room, b bells, page whole[P]) {
	var shown P
	for first := true; ; first = false {
		now, err := page.state()
		if err == nil && (first || !reflect.DeepEqual(now, shown)) {
			shown = now
			var out bytes.Buffer
			if err = page.draw(now, s.Now()).Render(ctx, &out); err == nil {
				r.show(picture{data: message(0, "", out.Bytes())})
			}
		}
		if err != nil {
			if ctx.Err() == nil {
				s.Log.Error("a page cannot be drawn", "err", err)
			}
			r.end()
			return
		}
		rest := time.NewTimer(s.times.board)
		select {
		case <-rest.C:
		case <-ctx.Done():
			rest.Stop()
			return
		}
		select {
		case <-b.deployed:
		case <-b.moved:
		case <-b.listed:
		case <-b.again:
		case <-ctx.Done():
			return
		}
	}
}
