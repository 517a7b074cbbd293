package web

import (
	"context"
	"encoding/json"
	"math"
	"strconv"

	"github.com/labstack/echo/v4"

	"deployportal/internal/auth"
	"deployportal/internal/errs"
)

// standing is what became of somebody's rights while a stream was open.
type standing int

const (
	stands  standing = iota // as they were
	changed                 // others: the page is to be drawn anew for them
	gone                    // nothing may be seen any more
)

// live is what one stream shows and to whom.
type live struct {
	key   string
	draw  func(context.Context, *room)
	after int64 // seq of what the reader has; -1: nothing that can be told
	envs  []string
	still func(auth.Actor) standing
}

// serveStream shows a room to one reader until the reader, their session, the deploy or the server ends.
func (s *Server) serveStream(c echo.Context, l live) error {
	if s.streaming.Err() != nil {
		return errs.New(errs.Unavailable, "The portal is stopping.")
	}
	r, bell, leave := s.rooms.join(l.key, l.draw)
	defer leave()
	beat, stopBeat := s.times.ticker(s.times.beat)
	defer stopBeat()
	check, stopCheck := s.times.ticker(s.times.check)
	defer stopCheck()

	out := openStream(c, s.times.write)
	err := out.send(s.beat(l.envs))
	for sent := int64(0); err == nil; {
		select {
		case <-c.Request().Context().Done():
			return nil
		case <-s.streaming.Done():
			return nil
		case <-beat:
			err = out.send(s.beat(l.envs))
		case <-check:
			switch s.standing(c, l) {
			case changed:
				return nil
			case gone:
				_ = out.send(message(0, "signed-out", []byte("{}"))) // the end of the stream says it too
				return nil
			}
		case <-bell:
			p, open := r.picture()
			if !open {
				return nil
			}
			if p == nil || p.n == sent {
				continue
			}
			if sent > 0 || p.seq != l.after || p.extra || p.last {
				err = out.send(p.data)
			}
			if sent = p.n; p.last {
				return nil
			}
		}
	}
	visitOf(c).told = err // a reader that is gone, or does not read
	return nil
}

// standing looks at the session and the rights of a reader again. What cannot be looked up is not trusted: the stream
// ends, and the reader comes back through the door.
func (s *Server) standing(c echo.Context, l live) standing {
	now, err := s.Accounts.Check(c.Request().Context(), visitOf(c).session.ID)
	switch {
	case errs.KindOf(err) == errs.Unauthenticated:
		return gone
	case err != nil:
		return changed
	}
	return l.still(now.Actor)
}

// beat is the sign of life of a stream: how old what is known of the clusters is, in seconds.
func (s *Server) beat(envs []string) []byte {
	age, stale := s.ageOf(envs)
	data, err := json.Marshal(struct {
		Age   float64 `json:"age"`
		Stale string  `json:"stale,omitempty"`
	}{math.Round(age.Seconds()*10) / 10, stale})
	if err != nil {
		data = []byte("{}") // a number and a string can be marshalled
	}
	return message(0, "beat", data)
}

// resumeAfter is the seq of what a reader has: what it says it received last, else what its page was painted with.
func resumeAfter(c echo.Context) int64 {
	for _, raw := range []string{c.Request().Header.Get("Last-Event-ID"), c.QueryParam("after")} {
		if n, err := strconv.ParseInt(raw, 10, 64); err == nil && n >= 0 {
			return n
		}
	}
	return -1
}
