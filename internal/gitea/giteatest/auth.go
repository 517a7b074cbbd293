package giteatest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// authAPI finds who asks the API: an access token as "token", "Bearer" or Basic password. ok is false for
// credentials that are nobody's; nil and true is anonymous.
func (s *Server) authAPI(r *http.Request) (who *Account, ok bool) {
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch strings.ToLower(scheme) {
	case "":
		return nil, true
	case "token", "bearer":
		return s.byToken(value)
	case "basic":
		return s.byBasic(r)
	}
	return nil, false
}

// authRegistry finds who asks the registry: Basic with any name and an access token, or Bearer with what /v2/token
// gave. An access token as Bearer is refused, and so is a request without credentials.
func (s *Server) authRegistry(r *http.Request) (who *Account, ok bool) {
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch strings.ToLower(scheme) {
	case "basic":
		return s.byBasic(r)
	case "bearer":
		s.state.mu.Lock()
		defer s.state.mu.Unlock()
		who, ok = s.state.jwts[value]
		return who, ok
	}
	return nil, false
}

func (s *Server) byToken(token string) (*Account, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.o.Accounts {
		if a := s.o.Accounts[i]; a.Token == token && token != "" {
			return &a, true
		}
	}
	return nil, false
}

func (s *Server) byBasic(r *http.Request) (*Account, bool) {
	_, password, _ := r.BasicAuth()
	return s.byToken(password)
}

// sees tells whether an account may read what an owner has.
func (s *Server) sees(who *Account) bool { return s.o.Public || (who != nil && !who.NoTeam) }

// token answers /v2/token: a token for whoever asks, for the ghost too, and nothing about its life.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		http.NotFound(w, r)
		return
	}
	var who *Account
	if r.Header.Get("Authorization") != "" {
		var ok bool
		if who, ok = s.byBasic(r); !ok {
			http.Error(w, "Failed to authenticate user", http.StatusUnauthorized)
			return
		}
	}
	now := s.o.Now().Unix()
	s.state.mu.Lock()
	jwt := jwtPart(map[string]any{"alg": "HS256", "typ": "JWT"}) + "." +
		jwtPart(map[string]any{"nbf": now, "exp": now + 24*60*60, "jti": fmt.Sprint(s.state.id())}) + ".c2lnbmF0dXJl"
	s.state.jwts[jwt] = who
	s.state.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]string{"token": jwt})
}

func jwtPart(v map[string]any) string {
	b, _ := json.Marshal(v) // of strings and numbers: cannot fail
	return base64.RawURLEncoding.EncodeToString(b)
}

// RevokeSignIns forgets every token given at /v2/token, as their end after 24 h would.
func (s *Server) RevokeSignIns() {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	clear(s.state.jwts)
}
