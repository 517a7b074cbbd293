package web

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/labstack/echo/v4"

	"deployportal/internal/auth"
	"deployportal/internal/deploys"
)

// visit is what is known of a request besides itself.
type visit struct {
	id      string // our own id of it: a client's could be forged to hide in the log
	addr    string // where it came from, as far as it can be believed
	secure  bool   // the browser spoke https
	session *auth.Session
	unread  error // why the session could not be read; nil where there is none
	actor   auth.Actor
	deploy  deploys.Deploy // of a route under /deploys/:id
	told    error          // a refusal that its own page has answered; for the log
}

const visitKey = "visit"

// visitOf gives the visit that begin has put there.
func visitOf(c echo.Context) *visit {
	v, _ := c.Get(visitKey).(*visit)
	if v == nil {
		v = &visit{}
		c.Set(visitKey, v)
	}
	return v
}

// clientAddr is the address a request came from. X-Forwarded-For is what anybody may write, so it counts only where
// the peer is a trusted proxy, and of it only the right-most address that is not one.
func (s *Server) clientAddr(r *http.Request) string {
	peer := peerAddr(r)
	if !s.trusted(peer) {
		return peer
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		ip, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break // nothing left of it can be believed
		}
		peer = ip.Unmap().WithZone("").String()
		if !s.trusted(peer) {
			break
		}
	}
	return peer
}

func peerAddr(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().WithZone("").String()
	}
	return host
}

func (s *Server) trusted(addr string) bool {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return false
	}
	for _, p := range s.TrustedProxies {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// secure tells whether the browser speaks https, also where a trusted proxy ends it.
func (s *Server) secure(r *http.Request) bool {
	switch {
	case r.TLS != nil, s.public != nil && s.public.Scheme == "https":
		return true
	}
	return s.trusted(peerAddr(r)) && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}
