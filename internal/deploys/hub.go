package deploys

import "sync"

// hub is a doorbell, not a mailbox: it only says "look again". A listener reads rows after its last seq, so a slow
// one is merely late and nothing is lost.
type hub struct {
	mu    sync.Mutex
	bells map[int64]map[chan struct{}]bool // by deploy id; 0: any deploy
}

func newHub() *hub { return &hub{bells: map[int64]map[chan struct{}]bool{}} }

// listen gives a bell of capacity 1 and a function that takes it down, safe to call twice.
func (h *hub) listen(id int64) (<-chan struct{}, func()) {
	bell := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.bells[id] == nil {
		h.bells[id] = map[chan struct{}]bool{}
	}
	h.bells[id][bell] = true
	return bell, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.bells[id], bell)
		if len(h.bells[id]) == 0 {
			delete(h.bells, id)
		}
	}
}

// ring never blocks: a bell that is already rung stays rung.
func (h *hub) ring(id int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, key := range []int64{id, 0} {
		for bell := range h.bells[key] {
			select {
			case bell <- struct{}{}:
			default:
			}
		}
	}
}
