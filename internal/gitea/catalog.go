package gitea

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

const (
	freshFor = 15 * time.Second        // a list younger than this is not asked for again
	patience = 1500 * time.Millisecond // a page that has an old list waits no longer for a new one,
	longest  = 3 * time.Second         // and one that has none no longer than this; it is live, and gets the list later
)

type listKey struct{ repository, git string }

func keyOf(a deploys.App) listKey { return listKey{a.Repository, a.Git} }

// listing is what is known of one app's images. Environments of an app that share image and git repository share it.
type listing struct {
	mu    sync.Mutex
	list  deploys.List
	mark  mark
	tried time.Time // when the newest try ended
	begun int       // tries so far
}

// view gives a copy whose slice the caller may keep.
func (l *listing) view() deploys.List {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := l.list
	v.Images = slices.Clone(v.Images)
	return v
}

// Images gives an app's images in push order. A list younger than 15 s is answered from memory; else it is
// refreshed, once however many ask. It never fails: when Gitea does, or takes long, the old list comes back with Err
// set, and an empty one when there is none yet.
func (c *Client) Images(ctx context.Context, app deploys.App) deploys.List {
	l := c.listing(keyOf(app))
	l.mu.Lock()
	fresh := !l.tried.IsZero() && c.now().Sub(l.tried) < freshFor
	l.mu.Unlock()
	v := l.view()
	switch {
	case fresh:
		return v
	case c.leftAlone():
		return orErr(v, "Gitea at %s asked to be left alone for a while.", c.base.Host)
	case v.Fetched.IsZero():
		return c.wait(ctx, app, l, c.after(longest))
	}
	return c.wait(ctx, app, l, c.after(patience))
}

// Cached gives an app's images as last seen, from memory only: never a call. Fetched is zero before the first.
func (c *Client) Cached(app deploys.App) deploys.List {
	if l, ok := c.lists.get(keyOf(app)); ok {
		return l.view()
	}
	return deploys.List{}
}

// Refresh asks for an app's images now, however young the list is, and waits for the answer; callers at the same time
// share one try. It costs one call when nothing has changed. It fails as Images does.
func (c *Client) Refresh(ctx context.Context, app deploys.App) deploys.List {
	return c.wait(ctx, app, c.listing(keyOf(app)), nil)
}

// refreshAfter is Refresh with a try that began after the call: one that was under way may have read before what the
// caller knows of, so the one after it counts.
func (c *Client) refreshAfter(ctx context.Context, app deploys.App) {
	l := c.listing(keyOf(app))
	before := l.tries()
	c.wait(ctx, app, l, nil)
	if l.tries() == before && ctx.Err() == nil && !c.leftAlone() {
		c.wait(ctx, app, l, nil)
	}
}

func (l *listing) tries() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.begun
}

// wait joins or begins a try and gives what there is when it ends, when late rings or when ctx ends.
func (c *Client) wait(ctx context.Context, app deploys.App, l *listing, late <-chan time.Time) deploys.List {
	key := keyOf(app)
	done := c.flight.DoChan(key.repository+" "+key.git, func() (any, error) {
		// The try belongs to everybody who waits for it: it must not end because one of them leaves.
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*callTimeout)
		defer cancel()
		c.refresh(own, key, l)
		return nil, nil
	})
	select {
	case <-done:
		return l.view()
	case <-late:
	case <-ctx.Done():
	}
	return orErr(l.view(), "Gitea at %s has not answered yet.", c.base.Host)
}

// orErr gives a list a fault where it has none.
func orErr(v deploys.List, format, host string) deploys.List {
	if v.Err == nil {
		v.Err = errs.New(errs.Unavailable, format, host)
	}
	return v
}

func (c *Client) listing(key listKey) *listing {
	c.mu.Lock() // between get and put
	defer c.mu.Unlock()
	l, ok := c.lists.get(key)
	if !ok {
		l = &listing{}
		c.lists.put(key, l)
	}
	return l
}

// anyListOf gives a list of a repository, whichever app asked for it.
func (c *Client) anyListOf(repository string) deploys.List {
	for _, l := range c.lists.values() {
		if l.key.repository == repository {
			return l.value.view()
		}
	}
	return deploys.List{}
}

// refresh makes one try and puts its result in place.
func (c *Client) refresh(ctx context.Context, key listKey, l *listing) {
	l.mu.Lock()
	old, oldMark := l.list, l.mark
	l.begun++
	l.mu.Unlock()

	next, nextMark := c.fetch(ctx, key, old, oldMark)
	fault := said(next.Err) != said(old.Err)
	if fault && next.Err != nil {
		c.log.WarnContext(ctx, "gitea: images not refreshed", "repository", key.repository, "err", next.Err)
	} else if fault {
		c.log.InfoContext(ctx, "gitea: images refreshed again", "repository", key.repository)
	}
	l.mu.Lock()
	l.list, l.mark, l.tried = next, nextMark, c.now()
	l.mu.Unlock()
	if fault || !slices.Equal(old.Images, next.Images) {
		c.ring()
	}
}

func said(err error) string {
	if err == nil {
		return ""
	}
	return errs.Public(err)
}

// fetch works out the next list. When the images could be read but the commits could not, the list is new and Err
// says what is missing.
func (c *Client) fetch(ctx context.Context, key listKey, old deploys.List, oldMark mark) (deploys.List, mark) {
	first, count, err := c.packagePage(ctx, key.repository, 1)
	if err != nil {
		return c.failed(old, oldMark, err)
	}
	next := deploys.List{Fetched: c.now()}
	m := markOf(count, first)
	if !old.Fetched.IsZero() && m == oldMark {
		next.Images = slices.Clone(old.Images)
	} else if next.Images, err = c.readImages(ctx, key.repository, first); err != nil {
		return c.failed(old, oldMark, err)
	}
	next.Err = c.fillCommits(ctx, key.git, next.Images)
	return next, m
}

// failed keeps the old list beside the fault, unless Gitea itself said that there is no such image: then the old
// list would be a lie.
func (c *Client) failed(old deploys.List, oldMark mark, err error) (deploys.List, mark) {
	if errs.KindOf(err) == errs.NotFound {
		return deploys.List{Fetched: c.now(), Err: err}, mark{}
	}
	old.Err = err
	return old, oldMark
}

// leaveAlone notes that Gitea said when to come back.
func (c *Client) leaveAlone(err error) {
	var answer *statusError
	if !errors.As(err, &answer) || answer.wait == 0 {
		return
	}
	if answer.status != http.StatusTooManyRequests && answer.status != http.StatusServiceUnavailable {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = c.now().Add(answer.wait)
}

func (c *Client) leftAlone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now().Before(c.paused)
}

// Watch gives a bell that rings (capacity 1, never blocks) when a list changed or its fault began or ended, and a
// function that ends it.
func (c *Client) Watch() (bell <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bells[ch] = struct{}{}
	return ch, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.bells, ch)
	}
}

func (c *Client) ring() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for ch := range c.bells {
		select {
		case ch <- struct{}{}:
		default: // it rings already
		}
	}
}
