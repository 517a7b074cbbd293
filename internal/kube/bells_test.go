package kube

import "testing"

func rang(bell <-chan struct{}) bool {
	select {
	case <-bell:
		return true
	default:
		return false
	}
}

func TestBells(t *testing.T) {
	b := newBells()
	here, there := &site{}, &site{}
	apiAt, webAt := place{here, "honeydue", "api"}, place{there, "honeydue", "web"}
	api, stopAPI := b.hang(apiAt)
	again, stopAgain := b.hang(apiAt)
	web, stopWeb := b.hang(webAt)
	every, stopEvery := b.hang(place{})
	expect := func(when string, want ...bool) {
		t.Helper()
		for i, bell := range []<-chan struct{}{api, again, web, every} {
			if got := rang(bell); got != want[i] {
				t.Errorf("%s: bell %d rang: %v", when, i, got)
			}
		}
	}
	b.ring(apiAt)
	b.ring(apiAt) // nobody looked: it must not block, and is one ring
	expect("a change of api", true, true, false, true)
	expect("looked already", false, false, false, false)
	b.ringAll(there)
	expect("staleness over there", false, false, true, true)
	stopAgain()
	stopAgain()
	b.ringAll(here)
	expect("one is taken down", true, false, false, true)
	stopAPI()
	stopWeb()
	stopEvery()
	if len(b.hung) != 0 {
		t.Errorf("left hanging: %v", b.hung)
	}
}
