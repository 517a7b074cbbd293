package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestRealGiteaWithItsSampleData(t *testing.T) {
	state := t.TempDir()
	s, err := Start(t.Context(), Options{State: state, Gitea: GiteaOnly, Progress: NewProgress(os.Stderr)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	text, err := os.ReadFile(s.InfoFile())
	if err != nil {
		t.Fatal(err)
	}
	var info struct{ Gitea GiteaInfo }
	if err := json.Unmarshal(text, &info); err != nil {
		t.Fatal(err)
	}
	g := info.Gitea
	portal := giteaAPI{g.URL, g.Token}
	for _, a := range g.Apps {
		var rows []struct{ Version string }
		if err := portal.do(t.Context(), http.MethodGet, "packages/acme/container/"+a.Name+"?limit=50", nil, &rows); err != nil {
			t.Fatal(err)
		}
		if len(rows) < 4*len(a.Tags) || rows[0].Version != a.Tags[0] {
			t.Errorf("%s: %d rows, want the newest tag first and the parts of %d images", a.Name, len(rows), len(a.Tags))
		}
	}
	checkSampleCI(t, portal)
	checkSignIn(t, g)
	if api := g.Apps[0]; !strings.HasPrefix(api.Failing, "bad0") || !strings.HasPrefix(api.Slow, "510") {
		t.Errorf("failing %s, slow %s", api.Failing, api.Slow)
	}
	if err := portal.post(t.Context(), "orgs/acme/hooks", object{}, nil); err == nil {
		t.Error("the portal's account may do more than read")
	}
	var hooks []struct{ Config struct{ URL string } }
	admin := giteaAPI{g.URL, g.AdminToken}
	if err := admin.do(t.Context(), http.MethodGet, "orgs/acme/hooks", nil, &hooks); err != nil || len(hooks) != 1 || hooks[0].Config.URL != g.WebhookURL {
		t.Errorf("webhooks %+v, %v", hooks, err)
	}
	home := s.gitea.home.dir
	s.Close()
	waitFor(t, "Gitea's folder to go", func(context.Context) error {
		if _, err := os.Stat(home); !os.IsNotExist(err) {
			return fmt.Errorf("%s: %v", home, err)
		}
		return nil
	})
}

// checkSampleCI holds what Gitea says of every commit against the story it was made from.
func checkSampleCI(t *testing.T, portal giteaAPI) {
	t.Helper()
	seen := map[string]bool{}
	for _, story := range giteaStories {
		var commits []struct {
			SHA    string
			Commit struct{ Message string }
		}
		if err := portal.do(t.Context(), http.MethodGet, "repos/acme/"+story.name+"/commits?limit=50&stat=false&files=false", nil, &commits); err != nil {
			t.Fatal(err)
		}
		if len(commits) != len(story.commits) {
			t.Fatalf("%s: %d commits, want %d", story.name, len(commits), len(story.commits))
		}
		slices.Reverse(commits)
		for i, c := range story.commits {
			var got struct {
				State string
				Total int `json:"total_count"`
			}
			if err := portal.do(t.Context(), http.MethodGet, "repos/acme/"+story.name+"/commits/"+commits[i].SHA+"/status", nil, &got); err != nil {
				t.Fatal(err)
			}
			state, total := c.ci, 1
			switch c.ci {
			case "":
				state = "success"
			case "none":
				state, total = "pending", 0 // that nothing was reported shows in the count alone
			}
			if !strings.HasPrefix(commits[i].Commit.Message, c.subject) || got.State != state || got.Total != total {
				t.Errorf("%s: %q has %q of %d, want %q of %d for %q", story.name, commits[i].Commit.Message, got.State, got.Total, state, total, c.subject)
			}
			seen[fmt.Sprint(state, total)] = true
		}
	}
	for _, want := range []string{"success1", "failure1", "pending1", "pending0"} {
		if !seen[want] {
			t.Errorf("no commit of the sample is %s", want)
		}
	}
}

// checkSignIn signs ana in to the portal's application as a browser does, up to the address she would be sent to.
func checkSignIn(t *testing.T, g GiteaInfo) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	send := func(method, path, bearer string, form url.Values) (*http.Response, []byte) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, g.URL+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		if method == http.MethodPost {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Origin", g.URL)
		}
		if bearer != "" {
			req.Header.Set("Authorization", "Bearer "+bearer)
		}
		res, err := browser.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, text
	}
	send(http.MethodPost, "/user/login", "", url.Values{"user_name": {"ana"}, "password": {g.People["ana"]}})
	for _, back := range g.OAuth2.RedirectURIs {
		ask := url.Values{"client_id": {g.OAuth2.ClientID}, "redirect_uri": {back}, "response_type": {"code"}, "state": {"st"},
			"scope": {"openid profile email groups"}, "granted": {"true"}}
		res, text := send(http.MethodGet, "/login/oauth/authorize?"+ask.Encode(), "", nil)
		if res.StatusCode == http.StatusOK { // people are asked the first time only
			res, text = send(http.MethodPost, "/login/oauth/grant", "", ask)
		}
		to, err := res.Location()
		if err != nil || !strings.HasPrefix(to.String(), back+"?") || to.Query().Get("state") != "st" {
			t.Fatalf("sent to %v, %v: %s %.300s", to, err, res.Status, text)
		}
		var tokens struct {
			AccessToken string `json:"access_token"`
		}
		_, text = send(http.MethodPost, "/login/oauth/access_token", "", url.Values{"grant_type": {"authorization_code"}, "client_id": {g.OAuth2.ClientID},
			"client_secret": {g.OAuth2.ClientSecret}, "redirect_uri": {back}, "code": {to.Query().Get("code")}})
		if err := json.Unmarshal(text, &tokens); err != nil || tokens.AccessToken == "" {
			t.Fatalf("no token for the code: %v, %.300s", err, text)
		}
		var info struct {
			Name   string `json:"preferred_username"`
			Groups []string
		}
		_, text = send(http.MethodGet, "/login/oauth/userinfo", tokens.AccessToken, nil)
		if err := json.Unmarshal(text, &info); err != nil || info.Name != "ana" || !slices.Contains(info.Groups, "acme:deployers") {
			t.Errorf("user info %.300s, %v, want ana among acme's deployers", text, err)
		}
	}
}

func TestUnknownKindOfGiteaIsRefused(t *testing.T) {
	if _, err := Start(t.Context(), Options{State: t.TempDir(), Gitea: "fake"}); err == nil || !strings.Contains(err.Error(), "fake") {
		t.Errorf("got %v, want it named", err)
	}
}

// What a killed start left is removed by the next, and nothing else is, whatever the note says.
func TestGiteaFolderOfAKilledStart(t *testing.T) {
	for name, gone := range map[string]bool{giteaHomePrefix + "1": true, "precious": false} {
		state, dir := t.TempDir(), filepath.Join(t.TempDir(), name)
		if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(state, giteaHomeNote), []byte(dir), 0o600); err != nil {
			t.Fatal(err)
		}
		clearState(state)
		if _, err := os.Stat(dir); os.IsNotExist(err) != gone {
			t.Errorf("%s: %v, want it gone: %v", name, err, gone)
		}
	}
}

// What a start that was killed while it made the sample data has left is gone before the next is made.
func TestHalfMadeSampleDataGoes(t *testing.T) {
	beside, home := t.TempDir(), filepath.Join(t.TempDir(), giteaHomePrefix+"1")
	half := filepath.Join(beside, sampleTmp+"1")
	for _, dir := range []string{home, half} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(half, giteaHomeNote), []byte(home), 0o600); err != nil {
		t.Fatal(err)
	}
	// There is no module and no binary, so that it gets no further.
	if err := (giteaSample{source: t.TempDir(), module: "none"}).make(t.Context(), filepath.Join(beside, "sample-1")); err == nil {
		t.Fatal("sample data was made of nothing")
	}
	for _, dir := range []string{home, half} {
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s: %v, want it gone", dir, err)
		}
	}
}

func TestCopiedFilesAreTheOwnersAlone(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "to")
	for name, mode := range map[string]os.FileMode{"plain": 0o644, "hook": 0o755} {
		if err := os.WriteFile(filepath.Join(from, name), []byte(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("plain", filepath.Join(from, "link")); err != nil {
		t.Fatal(err)
	}
	if err := copyTree(from, to, nobody{}); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"plain": 0o600, "hook": 0o700} {
		info, err := os.Stat(filepath.Join(to, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, mode)
		}
	}
	if link, err := os.Readlink(filepath.Join(to, "link")); err != nil || link != "plain" {
		t.Errorf("link %q, %v", link, err)
	}
}
