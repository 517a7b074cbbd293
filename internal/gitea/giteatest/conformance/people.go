package conformance

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
)

// browser goes through a sign-in as a person's browser does; it stops before it would leave Gitea.
type browser struct {
	http *http.Client
	base string
}

func (b *browser) do(t T, method, path string, form url.Values) (reply, *url.URL) {
	t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(t.Context(), method, b.base+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", b.base)
	}
	res, err := b.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	to, _ := res.Location() // none is nil
	return reply{res.StatusCode, res.Header, string(text)}, to
}

// groups: who signs in is told by a number, and with the organisation and its teams.
func (p *probe) groups(t T) {
	name, password := p.b.Person(t)
	const back = "http://127.0.0.1:1/callback"
	id, secret := p.b.OAuth2(t, back)
	var found map[string]any
	if err := json.Unmarshal([]byte(p.ask(t, http.MethodGet, "/.well-known/openid-configuration", "").want(t, http.StatusOK).body), &found); err != nil {
		t.Fatal(err)
	}
	if found["issuer"] != p.b.URL() || found["end_session_endpoint"] != nil {
		t.Errorf("issuer %v, want %s, and no address to sign out", found["issuer"], p.b.URL())
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{base: p.b.URL(), http: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	b.do(t, http.MethodPost, "/user/login", url.Values{"user_name": {name}, "password": {password}})
	ask := url.Values{"client_id": {id}, "redirect_uri": {back}, "response_type": {"code"}, "state": {"st"}, "nonce": {"no"},
		"scope": {"openid profile email groups read:user"}}
	// The first time people are asked, later they are sent back at once.
	first, _ := b.do(t, http.MethodGet, "/login/oauth/authorize?"+ask.Encode(), nil)
	first.want(t, http.StatusOK)
	grant := url.Values{"granted": {"true"}}
	for k, v := range ask {
		grant[k] = v
	}
	_, to := b.do(t, http.MethodPost, "/login/oauth/grant", grant)
	if to == nil || to.Query().Get("code") == "" || to.Query().Get("state") != "st" {
		t.Fatalf("sent to %v, want the code", to)
	}
	tokens := p.exchange(t, id, secret, back, to.Query().Get("code"))
	again, _ := b.do(t, http.MethodPost, "/login/oauth/access_token", url.Values{"grant_type": {"authorization_code"}, "client_id": {id},
		"client_secret": {secret}, "redirect_uri": {back}, "code": {to.Query().Get("code")}})
	if again.status != http.StatusBadRequest || !strings.Contains(again.body, `"unauthorized_client"`) {
		t.Errorf("a used code: %d %s, want 400 unauthorized_client", again.status, again.body)
	}
	if _, to := b.do(t, http.MethodGet, "/login/oauth/authorize?"+ask.Encode(), nil); to == nil || to.Query().Get("code") == "" {
		t.Errorf("the second time: sent to %v, want the code at once", to)
	}
	claims := jwtClaims(t, tokens["id_token"].(string))
	if claims["nonce"] != "no" || claims["iss"] != p.b.URL() || strings.Trim(str(claims["sub"]), "0123456789") != "" || claims["preferred_username"] != name {
		t.Errorf("claims %v, want a number, the name, issuer and nonce", claims)
	}
	p.wantGroups(t, "the ID token", claims["groups"])
	var info map[string]any
	r := p.ask(t, http.MethodGet, "/login/oauth/userinfo", "Bearer "+str(tokens["access_token"])).want(t, http.StatusOK)
	if err := json.Unmarshal([]byte(r.body), &info); err != nil {
		t.Fatal(err)
	}
	p.wantGroups(t, "userinfo", info["groups"])
	if info["sub"] != claims["sub"] {
		t.Errorf("userinfo is about %v, the ID token about %v", info["sub"], claims["sub"])
	}
}

func (p *probe) exchange(t T, id, secret, back, code string) map[string]any {
	t.Helper()
	b := &browser{base: p.b.URL(), http: http.DefaultClient}
	r, _ := b.do(t, http.MethodPost, "/login/oauth/access_token", url.Values{"grant_type": {"authorization_code"}, "client_id": {id},
		"client_secret": {secret}, "redirect_uri": {back}, "code": {code}})
	var tokens map[string]any
	if err := json.Unmarshal([]byte(r.want(t, http.StatusOK).body), &tokens); err != nil {
		t.Fatal(err)
	}
	if str(tokens["id_token"]) == "" || str(tokens["access_token"]) == "" {
		t.Fatalf("tokens %v, want an ID token and an access token", tokens)
	}
	return tokens
}

func (p *probe) wantGroups(t T, where string, got any) {
	t.Helper()
	var found []string
	list, _ := got.([]any)
	for _, g := range list {
		found = append(found, str(g))
	}
	slices.Sort(found)
	if want := []string{p.b.Owner(), p.b.Owner() + ":deployers"}; !slices.Equal(found, want) {
		t.Errorf("groups in %s: %v, want %q", where, got, want)
	}
}

func str(v any) string {
	s, _ := v.(string)
	return s
}
