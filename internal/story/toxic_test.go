package story_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// toxic is what lies between the portal and the gate.
type toxic struct {
	t     testing.TB
	proxy *toxiproxy.Proxy
}

func newToxic(t testing.TB, g *gate) *toxic {
	t.Helper()
	to, err := url.Parse(g.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	x := &toxic{t: t, proxy: toxiproxy.NewProxy(server, "cluster", "127.0.0.1:0", to.Host)}
	x.start()
	t.Cleanup(x.proxy.Stop)
	g.front = "https://" + x.proxy.Listen
	return x
}

func (x *toxic) start() {
	if err := x.proxy.Start(); err != nil {
		x.t.Error(err)
	}
}

func poison(toxics ...string) func(*world, *toxic) func() {
	return func(w *world, x *toxic) func() {
		for _, text := range toxics {
			if _, err := x.proxy.Toxics.AddToxicJson(strings.NewReader(text)); err != nil {
				w.t.Fatal(err)
			}
		}
		return func() { x.proxy.Toxics.ResetToxics(w.t.Context()) }
	}
}

// answering has requests answered in the API server's place, after all connections were cut.
func answering(code int, match func(*http.Request) bool) func(*world, *toxic) func() {
	return func(w *world, _ *toxic) func() {
		w.gate.answer.Store(func(r *http.Request) int {
			if match(r) {
				return code
			}
			return 0
		})
		w.gate.server.CloseClientConnections()
		return func() { w.gate.answer.Store(func(*http.Request) int { return 0 }) }
	}
}

// expiring has watches end with an event that says so, inside a stream that began well.
func expiring(w *world, _ *toxic) func() {
	w.gate.expire.Store(true)
	w.gate.server.CloseClientConnections()
	return func() { w.gate.expire.Store(false) }
}
