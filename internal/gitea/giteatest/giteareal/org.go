package giteareal

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"

	"deployportal/internal/gitea/giteatest"
	"deployportal/internal/gitea/giteatest/conformance"
)

// Org is a new private organisation, for one test or one run of the conformance suite. It stays until devstack ends.
type Org struct {
	*Site
	name             string
	team             int64
	member, stranger person
	branches         int
	repos            map[string]bool
}

type person struct{ name, password string }

var _ conformance.Backend = (*Org)(nil)

// Org makes an organisation with a team "deployers" whose members may read and write.
func (s *Site) Org(t conformance.T) *Org {
	t.Helper()
	o := &Org{Site: s, name: "t-" + strings.ToLower(rand.Text()[:10]), repos: map[string]bool{}}
	s.admin(t, http.MethodPost, "orgs", object{"username": o.name, "visibility": "private"}, nil)
	var team struct{ ID int64 }
	s.admin(t, http.MethodPost, "orgs/"+o.name+"/teams", object{"name": "deployers", "includes_all_repositories": true,
		"permission": "write", "units_map": object{"repo.code": "write", "repo.packages": "write"}}, &team)
	o.team = team.ID
	o.member, o.stranger = o.person(t, true), o.person(t, false)
	return o
}

// URL implements conformance.Backend.
func (o *Org) URL() string { return o.Site.URL }

// Owner implements conformance.Backend.
func (o *Org) Owner() string { return o.name }

func (o *Org) person(t conformance.T, member bool) person {
	t.Helper()
	p := person{"u-" + strings.ToLower(rand.Text()[:10]), rand.Text()}
	o.admin(t, http.MethodPost, "admin/users", object{"username": p.name, "email": p.name + "@acme.example",
		"password": p.password, "must_change_password": false}, nil)
	if member {
		o.admin(t, http.MethodPut, fmt.Sprintf("teams/%d/members/%s", o.team, p.name), nil, nil)
	}
	return p
}

// Person implements conformance.Backend.
func (o *Org) Person(t conformance.T) (name, password string) {
	p := o.person(t, true)
	return p.name, p.password
}

// Token implements conformance.Backend.
func (o *Org) Token(t conformance.T, member bool, scopes ...string) string {
	t.Helper()
	p := o.stranger
	if member {
		p = o.member
	}
	var made struct {
		SHA1 string `json:"sha1"`
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(p.name+":"+p.password))
	o.call(t, basic, http.MethodPost, "users/"+p.name+"/tokens", object{"name": rand.Text(), "scopes": scopes}, &made)
	return made.SHA1
}

// History implements conformance.Backend.
func (o *Org) History(t conformance.T, repository, from string, commits ...giteatest.Commit) []string {
	t.Helper()
	repo := "repos/" + o.name + "/" + repository
	if !o.repos[repository] {
		o.repos[repository] = true
		o.admin(t, http.MethodPost, "orgs/"+o.name+"/repos", object{"name": repository, "private": true, "auto_init": true, "default_branch": "main"}, nil)
	}
	branch := "main"
	if from != "" {
		o.branches++
		branch = fmt.Sprintf("branch-%d", o.branches)
		o.admin(t, http.MethodPost, repo+"/branches", object{"new_branch_name": branch, "old_ref_name": from}, nil)
	}
	var all []string
	for _, c := range commits {
		if len(c.Files) == 0 {
			c.Files = []giteatest.File{{Path: rand.Text() + ".txt", Status: "added"}}
		}
		var files []object
		for _, f := range c.Files {
			files = append(files, o.change(t, repo, branch, f))
		}
		var made struct{ Commit struct{ SHA string } }
		o.admin(t, http.MethodPost, repo+"/contents", object{"message": c.Message, "branch": branch, "files": files}, &made)
		all = append(all, made.Commit.SHA)
	}
	return all
}

func (o *Org) change(t conformance.T, repo, branch string, f giteatest.File) object {
	t.Helper()
	change := object{"path": f.Path, "content": base64.StdEncoding.EncodeToString([]byte(rand.Text() + "\n"))}
	change["operation"] = map[string]string{"added": "create", "modified": "update", "removed": "delete"}[f.Status]
	if f.Status != "added" {
		var now struct{ SHA string }
		o.admin(t, http.MethodGet, repo+"/contents/"+f.Path+"?ref="+branch, nil, &now)
		change["sha"] = now.SHA
	}
	return change
}

// SetStatus implements conformance.Backend.
func (o *Org) SetStatus(t conformance.T, repository, sha string, st giteatest.Status) {
	t.Helper()
	o.admin(t, http.MethodPost, "repos/"+o.name+"/"+repository+"/statuses/"+sha, object{"context": st.Context, "state": st.State,
		"description": st.Description, "target_url": st.TargetURL}, nil)
}

// Hook implements conformance.Backend.
func (o *Org) Hook(t conformance.T, address, secret string) {
	t.Helper()
	o.admin(t, http.MethodPost, "orgs/"+o.name+"/hooks", object{"type": "gitea", "active": true, "events": []string{"package"},
		"config": object{"url": address, "content_type": "json", "secret": secret}}, nil)
}

// OAuth2 implements conformance.Backend.
func (o *Org) OAuth2(t conformance.T, redirect string) (id, secret string) {
	t.Helper()
	var made struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	o.admin(t, http.MethodPost, "user/applications/oauth2", object{"name": rand.Text(), "redirect_uris": []string{redirect}, "confidential_client": true}, &made)
	return made.ID, made.Secret
}

var rulePattern = regexp.MustCompile(`packages/rules/(\d+)`)

// Cleanup implements conformance.Backend. Rules can be made on Gitea's pages only.
func (o *Org) Cleanup(t conformance.T, image string, keep int) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Client{Jar: jar}
	o.page(t, web, "/user/login", url.Values{"user_name": {o.Admin}, "password": {o.AdminPassword}})
	settings := "/org/" + o.name + "/settings/packages"
	rule := url.Values{"enabled": {"on"}, "type": {"container"}, "keep_count": {fmt.Sprint(keep)}, "remove_days": {"0"},
		"match_full_name": {"on"}, "remove_pattern": {regexp.QuoteMeta(image) + "/.*"}, "action": {"save"}}
	o.page(t, web, settings+"/rules/add", rule)
	m := rulePattern.FindStringSubmatch(o.page(t, web, settings, nil))
	if m == nil {
		t.Fatal("the cleanup rule was not made")
	}
	o.admin(t, http.MethodPost, "admin/cron/cleanup_packages", nil, nil)
	rule.Set("action", "remove") // an owner has one rule for a type
	rule.Set("id", m[1])
	o.page(t, web, settings+"/rules/"+m[1], rule)
}

// page reads one of Gitea's pages, or sends a form to it.
func (o *Org) page(t conformance.T, web *http.Client, path string, form url.Values) string {
	t.Helper()
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(t.Context(), method, o.Site.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := web.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s: %.300s", method, path, res.Status, text)
	}
	return string(text)
}
