package gitea

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

type askKey struct{ repository, git, running string }

// asked is one question about the commits behind a list, under way or answered.
type asked struct {
	tags  []string
	done  chan struct{} // closed at its end
	again bool          // it was answered before
	at    time.Time     // of its end
	err   error         // why something is missing; until its end that of the answer before
}

func (a *asked) over() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

func closed() chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return ch
}

// Ask begins to find out what About tells of an app's listed images, unless that was done within 15 s or is under way:
// once, however many ask. It never waits; done is closed when About knows as much as Gitea says, and the bell rings when
// that is more than before. What a state or a distance costs, and how long it is believed, is said at CI and Relations.
func (c *Client) Ask(app deploys.App, running string) (done <-chan struct{}) {
	key := askKeyOf(app, running)
	tags := tagsOf(c.Cached(app))
	if app.Git == "" || len(tags) == 0 || c.leftAlone() {
		return closed()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	last, known := c.asks.get(key)
	if known && (!last.over() || slices.Equal(last.tags, tags) && c.now().Sub(last.at) < freshFor) {
		return last.done
	}
	next := &asked{tags: tags, done: make(chan struct{})}
	if known {
		next.again, next.err = true, last.err
	}
	c.asks.put(key, next)
	go c.answer(app, key, next)
	return next.done
}

func askKeyOf(app deploys.App, running string) askKey {
	return askKey{app.Repository, app.Git, strings.ToLower(running)}
}

func tagsOf(l deploys.List) []string {
	var tags []string
	for _, i := range l.Images {
		tags = append(tags, i.Tag)
	}
	return tags
}

// answer belongs to everybody who asked, so it ends with none of them.
func (c *Client) answer(app deploys.App, key askKey, a *asked) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*callTimeout)
	defer cancel()
	before := c.About(app, key.running)
	var states, relations error
	var g errgroup.Group
	g.Go(func() error {
		_, states = c.CI(ctx, app.Git, a.tags...)
		return nil
	})
	if isSHA(key.running) && !c.unknownCommit(app.Git, key.running) {
		g.Go(func() error {
			_, relations = c.Relations(ctx, app.Git, key.running, a.tags...)
			return nil
		})
	}
	_ = g.Wait() // the functions return no error: the fault of one does not end the other
	err := states
	if err == nil && errs.KindOf(relations) != errs.NotFound { // who runs a commit that Gitea lacks is told by its absence
		err = relations
	}
	if said(err) != said(before.Err) && err != nil {
		c.log.WarnContext(ctx, "gitea: commits not looked up", "git", app.Git, "err", err)
	}
	c.mu.Lock()
	a.err, a.at = err, c.now()
	close(a.done)
	c.mu.Unlock()
	if now := c.About(app, key.running); !sameAbout(before, now) || !slices.Equal(tagsOf(c.Cached(app)), a.tags) {
		c.ring()
	}
}

func sameAbout(a, b deploys.About) bool {
	return a.Asked == b.Asked && said(a.Err) == said(b.Err) && reflect.DeepEqual(a.CI, b.CI) && reflect.DeepEqual(a.Relations, b.Relations)
}

// About gives what is known of the commits behind an app's listed images, and where they stand seen from the running
// one, from memory only: never a call.
func (c *Client) About(app deploys.App, running string) deploys.About {
	about := deploys.About{CI: map[string]deploys.CI{}, Relations: map[string]deploys.Relation{}}
	for _, tag := range tagsOf(c.Cached(app)) {
		if ci, ok := c.CachedCI(app.Git, tag); ok {
			about.CI[tag] = ci
		}
		if r, ok := c.cachedRelation(app.Git, running, tag); ok {
			about.Relations[tag] = r
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if a, ok := c.asks.get(askKeyOf(app, running)); ok {
		about.Asked, about.Err = a.again || a.over(), a.err
	}
	return about
}
