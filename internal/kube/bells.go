package kube

import "sync"

// place is where a workload is: what a bell hangs on.
type place struct {
	site      *site
	namespace string
	workload  string
}

// bells are the doorbells of all targets. A bell is a channel of capacity 1: ringing never blocks, and any number of
// rings before somebody looks are one.
type bells struct {
	mu   sync.Mutex
	hung map[place]map[chan struct{}]struct{}
}

func newBells() *bells { return &bells{hung: map[place]map[chan struct{}]struct{}{}} }

// hang adds a bell; the function takes it down and may be called more than once. The channel is never closed.
func (b *bells) hang(p place) (<-chan struct{}, func()) {
	bell := make(chan struct{}, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hung[p] == nil {
		b.hung[p] = map[chan struct{}]struct{}{}
	}
	b.hung[p][bell] = struct{}{}
	return bell, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.hung[p], bell)
		if len(b.hung[p]) == 0 {
			delete(b.hung, p)
		}
	}
}

func (b *bells) ring(p place) {
	b.mu.Lock()
	defer b.mu.Unlock()
	strike(b.hung[p])
	strike(b.hung[place{}]) // those that listen to everything
}

// ringAll rings every bell of a cluster.
func (b *bells) ringAll(s *site) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for p, all := range b.hung {
		if p.site == s || p == (place{}) {
			strike(all)
		}
	}
}

func strike(all map[chan struct{}]struct{}) {
	for bell := range all {
		select {
		case bell <- struct{}{}:
		default:
		}
	}
}
