package gitea

import (
	"context"
	"strings"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

const (
	goneFor  = 5 * time.Minute // how long it is believed that the registry has an image, or has not
	goneTime = 5 * time.Second // how long it is asked
)

type goneKey struct{ repository, ref string }

// gone is one question whether the registry still has an image, under way or answered.
type gone struct {
	done chan struct{} // closed at its end
	at   time.Time     // of its end
	lost bool          // the registry said that it has none; until its end what the answer before said
	mute bool          // it was not answered
}

func (g *gone) over() bool {
	select {
	case <-g.done:
		return true
	default:
		return false
	}
}

// AskGone begins to find out whether the registry still has what a node would pull to run v, unless that is known since
// less than 5 min or is under way: once, however many ask, with one or two calls and for 5 s at most. It never waits; done
// is closed at the end, and the bell rings when Gone has changed. What could not be asked is asked again after 15 s.
func (c *Client) AskGone(v deploys.Version) (done <-chan struct{}) {
	key := goneKey{v.Repository, strings.ToLower(v.Pulled())}
	if key.repository == "" || key.ref == "" || c.leftAlone() {
		return closed()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	next := &gone{done: make(chan struct{})}
	if last, known := c.gone.get(key); known {
		age := c.now().Sub(last.at)
		if !last.over() || age < freshFor || !last.mute && age < goneFor {
			return last.done
		}
		next.lost = last.lost && age < 2*goneFor // a badge does not blink while it is asked again
	}
	c.gone.put(key, next)
	go c.seek(key, next)
	return next.done
}

// seek belongs to everybody who asked, so it ends with none of them.
func (c *Client) seek(key goneKey, g *gone) {
	ctx, cancel := context.WithTimeout(context.Background(), goneTime)
	defer cancel()
	repo, err := c.repository(key.repository)
	if err == nil {
		_, err = c.head(ctx, repo, key.ref)
	}
	lost := errs.KindOf(err) == errs.NotFound
	c.mu.Lock()
	before := g.lost
	g.lost, g.mute, g.at = lost, err != nil && !lost, c.now()
	close(g.done)
	c.mu.Unlock()
	if lost != before {
		if lost {
			c.log.WarnContext(ctx, "gitea: an image in use is gone from the registry", "repository", key.repository, "image", key.ref)
		}
		c.ring()
	}
}

// Gone tells whether the registry itself said, at most 5 min ago, that it has not what a node would pull to run v; from
// memory only: never a call. A registry that could not be asked has said nothing.
func (c *Client) Gone(v deploys.Version) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	g, known := c.gone.get(goneKey{v.Repository, strings.ToLower(v.Pulled())})
	return known && g.lost && (!g.over() || c.now().Sub(g.at) < goneFor)
}
