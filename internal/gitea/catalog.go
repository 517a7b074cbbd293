package gitea

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

const (
	freshFor = 15 * time.Second       // a list younger than this is not asked for again
	patience = 1500 * time.Millisecond // a page that has an old list waits no longer for a new one
)

type listKey struct{ repository, git string }

func keyOf(a deploys.App) listKey { return listKey{a.Repository, a.Git} }

// listing is what is known of one app's images. Environments of an app that share image and git repository share it.
type listing struct {
	mu      sync.Mutex
	list    deploys.List
	mark    mark
	pending bool      // commits are still unknown because asking for them failed
	tried   time.Time // when the newest try ended
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
	if fresh || c.leftAlone() {
		return l.view()
	}
	return c.Refresh(ctx, app)
}

// Cached gives an app's images as last seen, from memory only: never a call. Fetched is zero before the first.
func (c *Client) Cached(app deploys.App) deploys.List {
	if l, ok := c.lists.get(keyOf(app)); ok {
		return l.view()
	}
	return deploys.List{}
}

// Refresh asks for an app's images now, however young the list is; callers at the same time share one try. It costs
// one call when nothing has changed. It fails as Images does.
func (c *Client) Refresh(ctx context.Context, app deploys.App) deploys.List {
	key := keyOf(app)
	l := c.listing(key)
	done := c.flight.DoChan(key.repository+" "+key.git, func() (any, error) {
		// The try belongs to everybody who waits for it: it must not end because one of them leaves.
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*callTimeout)
		defer cancel()
		c.refresh(own, key, l)
		return nil, nil
	})
	var late <-chan time.Time
	if !l.view().Fetched.IsZero() {
		late = c.after(patience)
	}
	select {
	case <-done:
		return l.view()
	case <-late:
	case <-ctx.Done():
	}
	v := l.view()
	if v.Err == nil {
		v.Err = errs.New(errs.Unavailable, "Gitea at %s has not answered yet.", c.base.Host)
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
	old, oldMark, pending := l.list, l.mark, l.pending
	l.mu.Unlock()

	next, nextMark, err := c.fetch(ctx, key, old, oldMark, pending)
	if err != nil {
		c.log.WarnContext(ctx, "gitea: images not refreshed", "repository", key.repository, "err", err)
	}
	l.mu.Lock()
	changed := !sameImages(old.Images, next.Images) || (old.Err == nil) != (next.Err == nil)
	l.list, l.mark, l.pending = next, nextMark, err != nil && next.Err == nil
	l.tried = c.now()
	l.mu.Unlock()
	if changed {
		c.ring()
	}
}

// fetch works out the next list. A returned error with next.Err nil means: the images are right, commits are missing.
func (c *Client) fetch(ctx context.Context, key listKey, old deploys.List, oldMark mark, pending bool) (deploys.List, mark, error) {
	fail := func(err error) (deploys.List, mark, error) {
		next := old
		next.Err = err
		if errs.KindOf(err) == errs.NotFound {
			// Gitea itself says that there is no such image: an old list would be a lie.
			next.Images, next.Fetched = nil, c.now()
			return next, mark{}, err
		}
		return next, oldMark, err
	}
	first, count, err := c.packagePage(ctx, key.repository, 1)
	if err != nil {
		return fail(err)
	}
	next := deploys.List{Fetched: c.now()}
	m := markOf(count, first)
	if unchanged := !old.Fetched.IsZero() && m == oldMark; unchanged {
		next.Images = slices.Clone(old.Images)
		if !pending && len(c.knownCommits(key.git, next.Images)) == 0 {
			return next, m, nil
		}
	} else if next.Images, err = c.readImages(ctx, key.repository, first); err != nil {
		return fail(err)
	}
	return next, m, c.fillCommits(ctx, key.git, next.Images)
}

// leaveAlone notes that Gitea said when to come back.
func (c *Client) leaveAlone(err error) {
	var answer *statusError
	if !errors.As(err, &answer) || answer.wait == 0 {
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
