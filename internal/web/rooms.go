package web

import (
	"context"
	"sync"
)

// picture is the whole state of a live page at one moment, drawn once for everybody who looks at it.
type picture struct {
	n     int64  // counts the pictures of a room, from 1
	seq   int64  // of the newest event in it; 0 where there are none
	data  []byte // the message, as it goes over the wire
	extra bool   // shows what the first paint with the same seq need not show
	last  bool   // nothing will change any more
}

// room is one live page and those who look at it. It keeps the newest picture only: every picture is the whole state,
// so that who is late has missed nothing.
type room struct {
	mu      sync.Mutex
	now     *picture
	ended   bool // no picture can be made any more: the viewers are to come again
	viewers map[chan struct{}]struct{}
	cancel  context.CancelFunc
}

// picture gives the newest picture, nil before the first; open is false when there will be no more.
func (r *room) picture() (p *picture, open bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now, !r.ended
}

// show puts a new picture up and rings for everybody. It never waits for a viewer.
func (r *room) show(p picture) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.n = 1
	if r.now != nil {
		p.n = r.now.n + 1
	}
	r.now = &p
	r.ring()
}

// end sends the viewers away.
func (r *room) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	r.ring()
}

func (r *room) ring() {
	for bell := range r.viewers {
		select {
		case bell <- struct{}{}:
		default: // it rings already
		}
	}
}

// rooms are the live pages that somebody looks at. Each has one goroutine that draws for all.
type rooms struct {
	ctx  context.Context // of every room
	mu   sync.Mutex
	open map[string]*room
	wg   sync.WaitGroup
}

// join enters the room of a key; the first to come opens it, and it is drawn by draw until the last has left. The bell
// rings at once where there is a picture already.
func (rs *rooms) join(key string, draw func(context.Context, *room)) (r *room, bell <-chan struct{}, leave func()) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r, known := rs.open[key]
	if !known {
		r = rs.start(key, draw)
	}
	ring := make(chan struct{}, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.viewers[ring] = struct{}{}
	if r.now != nil || r.ended {
		ring <- struct{}{}
	}
	return r, ring, func() { rs.leave(key, r, ring) }
}

func (rs *rooms) start(key string, draw func(context.Context, *room)) *room {
	ctx, cancel := context.WithCancel(rs.ctx)
	r := &room{viewers: map[chan struct{}]struct{}{}, cancel: cancel}
	if rs.open == nil {
		rs.open = map[string]*room{}
	}
	rs.open[key] = r
	rs.wg.Add(1)
	go func() {
		defer rs.wg.Done()
		defer cancel()
		draw(ctx, r)
		rs.forget(key, r)
	}()
	return r
}

// forget closes the door: who comes now gets a new room. Those inside keep the last picture.
func (rs *rooms) forget(key string, r *room) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.open[key] == r {
		delete(rs.open, key)
	}
}

func (rs *rooms) leave(key string, r *room, bell chan struct{}) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.viewers, bell)
	if len(r.viewers) == 0 {
		r.cancel()
		if rs.open[key] == r {
			delete(rs.open, key)
		}
	}
}

// wait returns when every room is empty and its goroutine has ended. Their context must have ended before.
func (rs *rooms) wait() { rs.wg.Wait() }
