package story_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// newFlaky is an app that names v2 as its version at /well; at /half it does so every second time and fails between.
func newFlaky(t testing.TB) *httptest.Server {
	t.Helper()
	var n atomic.Int64
	mux := http.NewServeMux()
	well := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("version " + v2)) }
	mux.HandleFunc("/well", well)
	mux.HandleFunc("/half", func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%2 == 0 {
			http.Error(w, "no live upstream", http.StatusBadGateway)
			return
		}
		well(w, r)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}
