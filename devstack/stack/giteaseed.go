package stack

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	giteaOwner = "acme"
	giteaAdmin = "devstack"
	giteaBot   = "deploy-portal"
	giteaCI    = "ci"

	portalURL = "http://127.0.0.1:8080" // where a portal listens that was told nothing else
)

// jwtSecret is in the one form Gitea takes: 32 bytes, base64 for addresses.
func jwtSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// giteaAPI speaks Gitea's API as one user.
type giteaAPI struct {
	base, token string
}

// do sends a call; out may be nil.
func (a giteaAPI) do(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+"/api/v1/"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "token "+a.token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %.300s", method, path, res.Status, text)
	}
	if out == nil || len(text) == 0 {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

func (a giteaAPI) post(ctx context.Context, path string, in, out any) error {
	return a.do(ctx, http.MethodPost, path, in, out)
}

type object = map[string]any

// seed makes users, the organisation, its repositories with commits and CI states, images, the webhook and the OAuth2
// application.
func (g *gitea) seed(ctx context.Context, seed *giteaSeed) error {
	seed.User, seed.Admin, seed.AdminPassword = giteaBot, giteaAdmin, rand.Text()
	if _, err := g.home.command(ctx, "admin", "user", "create", "--admin", "--must-change-password=false",
		"--username", seed.Admin, "--password", seed.AdminPassword, "--email", seed.Admin+"@acme.example"); err != nil {
		return err
	}
	var err error
	if seed.AdminToken, err = g.token(ctx, seed.Admin, "all"); err != nil {
		return err
	}
	admin := giteaAPI{g.url(), seed.AdminToken}
	if err := g.seedPeople(ctx, admin, seed); err != nil {
		return err
	}
	if seed.Token, err = g.token(ctx, giteaBot, "read:package,read:repository"); err != nil {
		return err
	}
	ci, err := g.token(ctx, giteaCI, "write:package,write:repository")
	if err != nil {
		return err
	}
	for _, story := range giteaStories {
		app, err := g.seedApp(ctx, giteaAPI{g.url(), ci}, story)
		if err != nil {
			return fmt.Errorf("%s: %w", story.name, err)
		}
		seed.Apps = append(seed.Apps, app)
	}
	return g.seedDoors(ctx, admin, seed)
}

func (g *gitea) token(ctx context.Context, user, scopes string) (string, error) {
	return g.home.command(ctx, "admin", "user", "generate-access-token", "--username", user, "--token-name", "devstack", "--scopes", scopes, "--raw")
}

// seedPeople makes a private organisation whose teams give each user what its task needs and no more.
func (g *gitea) seedPeople(ctx context.Context, admin giteaAPI, seed *giteaSeed) error {
	if err := admin.post(ctx, "orgs", object{"username": giteaOwner, "visibility": "private", "full_name": "Acme"}, nil); err != nil {
		return err
	}
	for _, s := range giteaStories {
		if err := admin.post(ctx, "orgs/"+giteaOwner+"/repos", object{"name": s.name, "private": true}, nil); err != nil {
			return err
		}
	}
	seed.People = map[string]string{}
	for _, team := range []struct {
		name, code, packages string
		members              []string
	}{
		{"readers", "read", "read", []string{giteaBot}},
		{"builders", "write", "write", []string{giteaCI}},
		{"deployers", "read", "read", []string{"ana", "tomas"}},
		{"developers", "write", "read", []string{"ana", "mei", "jonas"}},
	} {
		var made struct{ ID int64 }
		err := admin.post(ctx, "orgs/"+giteaOwner+"/teams", object{"name": team.name, "includes_all_repositories": true,
			"permission": "read", "units_map": object{"repo.code": team.code, "repo.packages": team.packages}}, &made)
		if err != nil {
			return err
		}
		for _, name := range team.members {
			if _, known := seed.People[name]; !known {
				seed.People[name] = rand.Text()
				if err := admin.post(ctx, "admin/users", object{"username": name, "email": name + "@acme.example",
					"password": seed.People[name], "must_change_password": false, "visibility": "private"}, nil); err != nil {
					return err
				}
			}
			if err := admin.do(ctx, http.MethodPut, fmt.Sprintf("teams/%d/members/%s", made.ID, name), nil, nil); err != nil {
				return err
			}
		}
	}
	delete(seed.People, giteaBot) // these two come with tokens only
	delete(seed.People, giteaCI)
	return nil
}

// seedDoors makes what a portal at its usual address is reached through.
func (g *gitea) seedDoors(ctx context.Context, admin giteaAPI, seed *giteaSeed) error {
	seed.WebhookURL, seed.WebhookSecret = portalURL+"/hooks/gitea", rand.Text()
	err := admin.post(ctx, "orgs/"+giteaOwner+"/hooks", object{"type": "gitea", "active": true, "events": []string{"package"},
		"config": object{"url": seed.WebhookURL, "content_type": "json", "secret": seed.WebhookSecret}}, nil)
	if err != nil {
		return err
	}
	seed.OAuth2.RedirectURIs = []string{portalURL + "/signin/gitea/callback", strings.Replace(portalURL, "127.0.0.1", "localhost", 1) + "/signin/gitea/callback"}
	var made struct {
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
	}
	err = admin.post(ctx, "user/applications/oauth2", object{"name": "Deploy Portal", "confidential_client": true,
		"redirect_uris": seed.OAuth2.RedirectURIs}, &made)
	seed.OAuth2.ClientID, seed.OAuth2.ClientSecret = made.ClientID, made.ClientSecret
	return err
}

// seedApp makes one app's history, its CI states and its images. The images come last, so that a webhook or a reader
// never sees a tag before its commit.
func (g *gitea) seedApp(ctx context.Context, ci giteaAPI, story giteaStory) (giteaApp, error) {
	app := giteaApp{Name: story.name, Image: giteaOwner + "/" + story.name, Git: giteaOwner + "/" + story.name, Digests: map[string]string{}}
	now := time.Now().Add(-time.Hour)
	shas, err := g.pushHistory(ctx, ci.token, story, now)
	if err != nil {
		return app, err
	}
	for i, c := range story.commits {
		state := c.ci
		if state == "" {
			state = "success"
		}
		if state != "none" {
			err := ci.post(ctx, "repos/"+app.Git+"/statuses/"+shas[i], object{"context": "ci/test", "state": state,
				"description": "Tests", "target_url": portalURL + "/ci/" + url.PathEscape(shas[i][:7])}, nil)
			if err != nil {
				return app, err
			}
		}
		if c.noImage {
			continue
		}
		digest, err := pushSampleImage(ctx, ci, app.Image, shas[i], c.plain)
		if err != nil {
			return app, err
		}
		app.Tags, app.Digests[shas[i]] = append([]string{shas[i]}, app.Tags...), digest
		switch c.prefix {
		case "bad0":
			app.Failing = shas[i]
		case "510":
			app.Slow = shas[i]
		}
	}
	return app, nil
}
