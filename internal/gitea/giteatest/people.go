package giteatest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Person is somebody who signs in with a password.
type Person struct {
	Name     string
	Password string
	Groups   []string // as Gitea writes them: "acme", "acme:deployers"
}

// OAuth2App is an application that people sign in to with Gitea.
type OAuth2App struct {
	ID, Secret string
	Redirects  []string
}

// people are those who sign in, to what, and how far they have come.
type people struct {
	mu       sync.Mutex
	persons  []Person // a person's number is the place in the list, from 1
	apps     []OAuth2App
	sessions map[string]int        // cookie -> number
	granted  map[string]bool       // "number client" that said yes
	codes    map[string]url.Values // code -> what was asked for, with "number"
	tokens   map[string]int        // access token -> number
}

// AddPerson lets one more person sign in.
func (s *Server) AddPerson(p Person) {
	s.people.mu.Lock()
	defer s.people.mu.Unlock()
	s.people.persons = append(s.people.persons, p)
}

// AddOAuth2App registers an application.
func (s *Server) AddOAuth2App(a OAuth2App) {
	s.people.mu.Lock()
	defer s.people.mu.Unlock()
	s.people.apps = append(s.people.apps, a)
}

const sessionCookie = "i_like_gitea"

// signIn serves what people and applications need to sign in, and tells whether the path was one of it.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request, path string) bool {
	p := &s.people
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sessions == nil {
		p.sessions, p.granted = map[string]int{}, map[string]bool{}
		p.codes, p.tokens = map[string]url.Values{}, map[string]int{}
	}
	switch r.Method + " " + path {
	case "GET /.well-known/openid-configuration":
		s.discovery(w, r)
	case "GET /login/oauth/keys":
		p.keys(w)
	case "POST /user/login":
		p.login(w, r)
	case "GET /login/oauth/authorize", "POST /login/oauth/grant":
		p.authorize(w, r, s.root(r), path == "/login/oauth/grant")
	case "POST /login/oauth/access_token":
		s.exchange(w, r)
	case "GET /login/oauth/userinfo":
		p.userinfo(w, r)
	default:
		return false
	}
	return true
}

func (s *Server) discovery(w http.ResponseWriter, r *http.Request) {
	at := s.root(r) + "/login/oauth/"
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer": s.root(r), "authorization_endpoint": at + "authorize", "token_endpoint": at + "access_token",
		"jwks_uri": at + "keys", "userinfo_endpoint": at + "userinfo", "introspection_endpoint": at + "introspect",
		"response_types_supported": []string{"code", "id_token"}, "id_token_signing_alg_values_supported": []string{"RS256"},
		"subject_types_supported": []string{"public"}, "scopes_supported": []string{"openid", "profile", "email", "groups"},
		"code_challenge_methods_supported": []string{"plain", "S256"},
		"grant_types_supported":            []string{"authorization_code", "refresh_token"},
	})
}

func (p *people) login(w http.ResponseWriter, r *http.Request) {
	i := slices.IndexFunc(p.persons, func(q Person) bool {
		return q.Name == r.FormValue("user_name") && q.Password == r.FormValue("password") && q.Password != ""
	})
	if i < 0 {
		_, _ = fmt.Fprint(w, "<p>Username or password is incorrect.</p>") // Gitea shows the form again, with 200
		return
	}
	cookie := rand.Text()
	p.sessions[cookie] = i + 1
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: cookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (p *people) app(id string) (OAuth2App, bool) {
	i := slices.IndexFunc(p.apps, func(a OAuth2App) bool { return a.ID == id })
	if i < 0 {
		return OAuth2App{}, false
	}
	return p.apps[i], true
}

// authorize asks a person the first time, and sends them back with a code.
func (p *people) authorize(w http.ResponseWriter, r *http.Request, root string, grant bool) {
	who := 0
	if c, err := r.Cookie(sessionCookie); err == nil {
		who = p.sessions[c.Value]
	}
	if who == 0 {
		http.Redirect(w, r, root+"/user/login", http.StatusSeeOther)
		return
	}
	_ = r.ParseForm() // what cannot be read is missing below
	app, ok := p.app(r.Form.Get("client_id"))
	back, err := url.Parse(r.Form.Get("redirect_uri"))
	if !ok || err != nil || !slices.Contains(app.Redirects, back.String()) {
		http.Error(w, "unregistered redirect URI", http.StatusBadRequest)
		return
	}
	yes := fmt.Sprint(who, " ", app.ID)
	if grant && r.Form.Get("granted") == "true" {
		p.granted[yes] = true
	}
	if !p.granted[yes] {
		_, _ = fmt.Fprint(w, `<form method="post" action="/login/oauth/grant"><button name="granted" value="true">Authorize</button></form>`)
		return
	}
	code := "gta_" + rand.Text()
	r.Form.Set("number", fmt.Sprint(who))
	p.codes[code] = r.Form
	back.RawQuery = url.Values{"code": {code}, "state": {r.Form.Get("state")}}.Encode()
	http.Redirect(w, r, back.String(), http.StatusSeeOther)
}

// exchange gives tokens for a code, once.
func (s *Server) exchange(w http.ResponseWriter, r *http.Request) {
	p := &s.people
	id, secret, ok := r.BasicAuth()
	if !ok {
		id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
	}
	asked := p.codes[r.FormValue("code")]
	delete(p.codes, r.FormValue("code"))
	app, known := p.app(id)
	if !known || app.Secret != secret || asked.Get("client_id") != id || asked.Get("redirect_uri") != r.FormValue("redirect_uri") ||
		!verified(asked, r.FormValue("code_verifier")) {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "unauthorized_client", "error_description": "client is not authorized"})
		return
	}
	var who int
	_, _ = fmt.Sscan(asked.Get("number"), &who) // we wrote it
	now := s.o.Now().Unix()
	claims := p.claims(who)
	for k, v := range map[string]any{"iss": s.root(r), "aud": []string{id}, "iat": now, "exp": now + 3600, "nonce": asked.Get("nonce")} {
		claims[k] = v
	}
	if !strings.Contains(asked.Get("scope"), "groups") {
		delete(claims, "groups")
	}
	access := rand.Text()
	p.tokens[access] = who
	writeJSON(w, http.StatusOK, map[string]any{
		"access_token": access, "token_type": "bearer", "expires_in": 3600, "refresh_token": rand.Text(), "id_token": p.sign(claims),
	})
}

func verified(asked url.Values, verifier string) bool {
	sum := sha256.Sum256([]byte(verifier))
	switch asked.Get("code_challenge_method") {
	case "":
		return true
	case "S256":
		return asked.Get("code_challenge") == base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return asked.Get("code_challenge") == verifier
}

func (p *people) claims(number int) map[string]any {
	q := p.persons[number-1]
	return map[string]any{
		"sub": fmt.Sprint(number), "name": q.Name, "preferred_username": q.Name, "email": q.Name + "@acme.example",
		"email_verified": true, "groups": q.Groups,
	}
}

func (p *people) userinfo(w http.ResponseWriter, r *http.Request) {
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	who, ok := p.tokens[token]
	if !ok {
		w.Header().Set("WWW-Authenticate", `Bearer realm="Gitea OAuth2"`)
		http.Error(w, "no valid authorization", http.StatusUnauthorized)
		return
	}
	writeJSON(w, http.StatusOK, p.claims(who))
}

// signingKey is made when it is first needed, once for all fakes of a process: it takes a while.
var signingKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(fmt.Sprintf("giteatest: no key: %v", err))
	}
	return key
})

func (p *people) keys(w http.ResponseWriter) {
	public := signingKey().PublicKey
	b64 := base64.RawURLEncoding.EncodeToString
	writeJSON(w, http.StatusOK, map[string]any{"keys": []any{map[string]string{
		"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "giteatest", "n": b64(public.N.Bytes()), "e": b64(big.NewInt(int64(public.E)).Bytes()),
	}}})
}

func (p *people) sign(claims map[string]any) string {
	text := jwtPart(map[string]any{"alg": "RS256", "kid": "giteatest", "typ": "JWT"}) + "." + jwtPart(claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(nil, signingKey(), crypto.SHA256, sum[:])
	if err != nil {
		panic(fmt.Sprintf("giteatest: token cannot be signed: %v", err))
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}
