package conformance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"deployportal/internal/gitea/giteatest"
)

type row struct {
	ID         int64
	Repository any
	Type       string
	Name       string
	Version    string
	HTMLURL    string    `json:"html_url"`
	CreatedAt  time.Time `json:"created_at"`
}

func (p *probe) rows(t T, image, query string) ([]row, reply) {
	t.Helper()
	var rows []row
	r := p.api(t, "packages/"+p.b.Owner()+"/container/"+image+query, &rows)
	return rows, r.want(t, http.StatusOK)
}

func (p *probe) row(t T, image, version string) row {
	t.Helper()
	rows, _ := p.rows(t, image, "?limit=50")
	i := slices.IndexFunc(rows, func(r row) bool { return r.Version == version })
	if i < 0 {
		t.Fatalf("no row for %s in the list of %s", version, image)
	}
	return rows[i]
}

// untaggedParts: five rows for a tag of two platforms with attestations.
func (p *probe) untaggedParts(t T) {
	index := randomIndex(t)
	p.push(t, "parts", "abc1234", index)
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	rows, _ := p.rows(t, "parts", "?limit=50")
	var found []string
	for _, r := range rows {
		found = append(found, r.Version)
	}
	want := []string{"abc1234"}
	for _, d := range m.Manifests {
		want = append(want, d.Digest.String())
	}
	slices.Sort(found)
	slices.Sort(want)
	if !slices.Equal(found, want) {
		t.Errorf("versions %q, want the tag and the digest of each part: %q", found, want)
	}
}

// newestFirst: by time, then by id.
func (p *probe) newestFirst(t T) {
	var want []string
	for i := range 4 {
		tag := fmt.Sprintf("%07d", 9-i) // by name they are the other way round
		p.push(t, "ordered", tag, randomIndex(t))
		want = append([]string{tag}, want...)
	}
	rows, _ := p.rows(t, "ordered", "?limit=50")
	var found []string
	for i, row := range rows {
		if i > 0 && (row.CreatedAt.After(rows[i-1].CreatedAt) || (row.CreatedAt.Equal(rows[i-1].CreatedAt) && row.ID > rows[i-1].ID)) {
			t.Fatalf("row %d is newer than the one before it", i)
		}
		if !strings.HasPrefix(row.Version, "sha256:") {
			found = append(found, row.Version)
		}
	}
	if !slices.Equal(found, want) {
		t.Errorf("tags %q, want the newest push first: %q", found, want)
	}
}

// counted: 30 rows unless more are asked for, 50 at most, the total always, links where there is more.
func (p *probe) counted(t T) {
	var any any
	p.api(t, "packages/"+p.b.Owner()+"/container/nothing", &any).want(t, http.StatusNotFound).wantBody(t, `"message"`)
	const tags = 11 // of five rows each
	for i := range tags {
		p.push(t, "counted", fmt.Sprintf("%07d", i), randomIndex(t))
	}
	all, r := p.rows(t, "counted", "?limit=100")
	if len(all) != 50 || r.header.Get("X-Total-Count") != fmt.Sprint(tags*5) {
		t.Fatalf("%d rows, total %q, want 50 of %d", len(all), r.header.Get("X-Total-Count"), tags*5)
	}
	if link := r.header.Get("Link"); !strings.Contains(link, `rel="next"`) || !strings.Contains(link, `rel="last"`) {
		t.Errorf("Link %q, want next and last", link)
	}
	if rows, _ := p.rows(t, "counted", ""); len(rows) != 30 {
		t.Errorf("%d rows without a limit, want 30", len(rows))
	}
	rest, r := p.rows(t, "counted", "?limit=50&page=2")
	if len(rest) != tags*5-50 || r.header.Get("X-Total-Count") != fmt.Sprint(tags*5) {
		t.Errorf("page 2: %d rows, total %q", len(rest), r.header.Get("X-Total-Count"))
	}
	for _, twice := range rest {
		if slices.ContainsFunc(all, func(r row) bool { return r.ID == twice.ID }) {
			t.Errorf("row %d is on both pages", twice.ID)
		}
	}
}

// unlinked: pushing an image links it to no repository, also when one has its name.
func (p *probe) unlinked(t T) {
	p.b.History(t, "unlinked", "", giteatest.Commit{Message: "One"})
	p.push(t, "unlinked", "abc1234", randomIndex(t))
	rows, _ := p.rows(t, "unlinked", "")
	for _, row := range rows {
		if row.Repository != nil || row.Type != "container" || row.Name != "unlinked" {
			t.Fatalf("row %+v, want a container without a repository", row)
		}
	}
	if link := rows[0].HTMLURL; !strings.HasPrefix(link, "http") || !strings.Contains(link, "/-/packages/container/unlinked/") {
		t.Errorf("html_url %q, want the image's page", link)
	}
}

// nestedName: a slash in a package's name is %2F in the API.
func (p *probe) nestedName(t T) {
	p.push(t, "team/nested", "abc1234", randomImage(t))
	if rows, _ := p.rows(t, "team%2Fnested", ""); len(rows) != 1 || rows[0].Name != "team/nested" {
		t.Errorf("rows %+v, want the one of team/nested", rows)
	}
	var none any
	p.api(t, "packages/"+p.b.Owner()+"/container/team/nested", &none).want(t, http.StatusNotFound)
}

// refusalText: the registry says no in plain words, not in its own JSON.
func (p *probe) refusalText(t T) {
	p.push(t, "private", "abc1234", randomImage(t))
	manifest := "/v2/" + p.b.Owner() + "/private/manifests/abc1234"
	stranger := p.b.Token(t, false, "read:package", "read:repository")
	r := p.ask(t, http.MethodGet, manifest, basic(stranger)).want(t, http.StatusUnauthorized)
	if strings.TrimSpace(r.body) != "reqPackageAccess" {
		t.Errorf("body %q, want the bare word reqPackageAccess", r.body)
	}
	p.ask(t, http.MethodGet, manifest, basic("nobody-has-this")).want(t, http.StatusUnauthorized)
}

// refusalAPI: the API says no to strangers and to tokens that are nobody's.
func (p *probe) refusalAPI(t T) {
	p.push(t, "closed", "abc1234", randomImage(t))
	sha := p.b.History(t, "closed", "", giteatest.Commit{Message: "One"})[0]
	packages := "/api/v1/packages/" + p.b.Owner() + "/container/closed"
	stranger := p.b.Token(t, false, "read:package", "read:repository")
	if r := p.ask(t, http.MethodGet, packages, "token "+stranger); r.status != http.StatusForbidden && r.status != http.StatusNotFound {
		t.Errorf("packages for a stranger: %d, want 403 or 404", r.status)
	}
	p.ask(t, http.MethodGet, packages, "token nobody-has-this").want(t, http.StatusUnauthorized)
	p.ask(t, http.MethodGet, "/api/v1/repos/"+p.b.Owner()+"/closed/git/commits/"+sha, "token "+stranger).want(t, http.StatusNotFound)
}

// missingScope: 403 in JSON that names the scope and where to read about it.
func (p *probe) missingScope(t T) {
	narrow := p.b.Token(t, true, "read:repository")
	r := p.ask(t, http.MethodGet, "/api/v1/packages/"+p.b.Owner()+"/container/scoped", "token "+narrow).
		want(t, http.StatusForbidden).wantBody(t, "required=[read:package]")
	var told map[string]any
	if err := json.Unmarshal([]byte(r.body), &told); err != nil || told["message"] == nil || told["url"] == nil {
		t.Errorf("body %s, want JSON with message and url", r.body)
	}
	p.b.History(t, "scoped", "", giteatest.Commit{Message: "One"})
	blind := p.b.Token(t, true, "read:package")
	p.ask(t, http.MethodGet, "/api/v1/repos/"+p.b.Owner()+"/scoped/commits", "token "+blind).
		want(t, http.StatusForbidden).wantBody(t, "required=[read:repository]")
}

type commit struct {
	SHA    string
	Commit struct {
		Message string
		Author  struct {
			Name string
			Date time.Time
		}
	}
	Parents []struct{ SHA string }
	Files   []struct{ Filename, Status string }
}

func subjects(all ...string) (commits []giteatest.Commit) {
	for _, s := range all {
		commits = append(commits, giteatest.Commit{Message: s})
	}
	return commits
}

const bare = "stat=false&verification=false&files=false&"

func (p *probe) list(t T, repo, query string) ([]commit, http.Header) {
	t.Helper()
	var got []commit
	r := p.api(t, "repos/"+p.b.Owner()+"/"+repo+"/commits?"+query, &got).want(t, http.StatusOK)
	return got, r.header
}

// commits: by names of four digits or more.
func (p *probe) commits(t T) {
	sha := p.b.History(t, "history", "", subjects("One", "Two", "Three\n\nWith a body.", "Four")...)
	repo := "repos/" + p.b.Owner() + "/history/"
	var one commit
	var any any
	p.api(t, repo+"git/commits/"+sha[2][:4], &one).want(t, http.StatusOK)
	if one.SHA != sha[2] {
		t.Errorf("commit %s by its start, want %s", one.SHA, sha[2])
	}
	if c := one.Commit; !strings.HasPrefix(c.Message, "Three\n\nWith") || c.Author.Name == "" || c.Author.Date.IsZero() {
		t.Errorf("commit %+v, want message, author and time", c)
	}
	p.api(t, repo+"git/commits/"+sha[2][:3], &any).want(t, http.StatusNotFound)
	p.api(t, repo+"git/commits/0123456", &any).want(t, http.StatusNotFound).wantBody(t, `"message"`)
	if r := p.api(t, repo+"commits?sha=0123456", &any).want(t, http.StatusNotFound); strings.TrimSpace(r.body) != "null" {
		t.Errorf("history of an unknown commit: %s, want null", r.body)
	}
	var compared struct {
		Total   int `json:"total_commits"`
		Commits []commit
	}
	p.api(t, repo+"compare/"+sha[0][:7]+"..."+sha[3][:7], &compared).want(t, http.StatusOK)
	if compared.Total != 3 || len(compared.Commits) != 3 || compared.Commits[0].SHA != sha[3] {
		t.Errorf("compare: %+v, want Four, Three, Two", compared)
	}
}

// ranges: newest first, what not holds left out, totals in two headers; on both sides of a fork.
func (p *probe) ranges(t T) {
	sha := p.b.History(t, "forked", "", subjects("One", "Two", "Three", "Four")...)
	side := p.b.History(t, "forked", sha[1], subjects("Side")...)
	for _, c := range []struct {
		to, not string
		want    []string
	}{
		{sha[3][:7], sha[1], []string{sha[3], sha[2]}},
		{sha[1], sha[3], nil},
		{side[0], sha[3], []string{side[0]}},
		{sha[3], side[0][:7], []string{sha[3], sha[2]}},
	} {
		got, h := p.list(t, "forked", bare+"sha="+c.to+"&not="+c.not+"&limit=50")
		var found []string
		for _, g := range got {
			found = append(found, g.SHA)
		}
		n := fmt.Sprint(len(c.want))
		if !slices.Equal(found, c.want) || h.Get("X-Total") != n || h.Get("X-Total-Count") != n {
			t.Errorf("%s without %s: %q, totals %q %q, want %q", c.to, c.not, found, h.Get("X-Total"), h.Get("X-Total-Count"), c.want)
		}
	}
	got, h := p.list(t, "forked", bare+"sha="+sha[3]+"&limit=1")
	if len(got) != 1 || h.Get("X-Total") == "1" || len(got[0].Parents) != 1 || got[0].Parents[0].SHA != sha[2] {
		t.Errorf("a page of one: %+v of %s, want Four on Three", got, h.Get("X-Total"))
	}
	var any any
	r := p.api(t, "repos/"+p.b.Owner()+"/forked/commits?"+bare+"sha="+sha[3]+"&not=0123456", &any)
	if r.status != http.StatusInternalServerError && r.status != http.StatusNotFound {
		t.Errorf("an unknown not: %d %.100s, want 500 or 404", r.status, r.body)
	}
}

// defaultBranch: a repository names it, and as what not holds it leaves out what is on it.
func (p *probe) defaultBranch(t T) {
	sha := p.b.History(t, "branched", "", subjects("One", "Two", "Three")...)
	side := p.b.History(t, "branched", sha[1], subjects("Side")...)
	var repo struct {
		DefaultBranch string `json:"default_branch"`
	}
	p.api(t, "repos/"+p.b.Owner()+"/branched", &repo).want(t, http.StatusOK)
	if repo.DefaultBranch == "" {
		t.Fatal("the repository names no default branch")
	}
	for ref, want := range map[string]string{sha[0][:7]: "0", sha[2]: "0", side[0]: "1"} {
		if _, h := p.list(t, "branched", bare+"sha="+ref+"&not="+repo.DefaultBranch+"&limit=1"); h.Get("X-Total") != want {
			t.Errorf("%s without %s: total %q, want %s", ref, repo.DefaultBranch, h.Get("X-Total"), want)
		}
	}
}

// files: each commit of a list says which files it touched, when asked.
func (p *probe) files(t T) {
	sha := p.b.History(t, "filed", "",
		giteatest.Commit{Message: "One", Files: []giteatest.File{{Path: "main.go", Status: "added"}}},
		giteatest.Commit{Message: "Two", Files: []giteatest.File{{Path: "migrations/1.sql", Status: "added"}, {Path: "main.go", Status: "modified"}}},
		giteatest.Commit{Message: "Three", Files: []giteatest.File{{Path: "migrations/1.sql", Status: "removed"}}})
	want := [][]string{{"migrations/1.sql removed"}, {"main.go modified", "migrations/1.sql added"}}
	got, _ := p.list(t, "filed", "stat=false&verification=false&files=true&limit=50&sha="+sha[2]+"&not="+sha[0])
	if len(got) != 2 {
		t.Fatalf("%d commits, want 2", len(got))
	}
	for i, c := range got {
		var found []string
		for _, f := range c.Files {
			found = append(found, f.Filename+" "+f.Status)
		}
		slices.Sort(found)
		if !slices.Equal(found, want[i]) {
			t.Errorf("commit %d touched %q, want %q", i, found, want[i])
		}
	}
	if got, _ := p.list(t, "filed", bare+"sha="+sha[2]); len(got[0].Files) != 0 {
		t.Errorf("files %v although none were asked for", got[0].Files)
	}
}

type combined struct {
	State    string
	Total    int `json:"total_count"`
	Statuses []struct{ Status, Context string }
}

func (p *probe) status(t T, repo, sha string) (got combined, body string) {
	t.Helper()
	r := p.api(t, "repos/"+p.b.Owner()+"/"+repo+"/commits/"+sha[:7]+"/status", &got).want(t, http.StatusOK)
	return got, r.body
}

// noStatus: nobody reported anything is "pending" with a null list.
func (p *probe) noStatus(t T) {
	sha := p.b.History(t, "unbuilt", "", subjects("One")...)[0]
	if got, body := p.status(t, "unbuilt", sha); got.State != "pending" || got.Total != 0 || !strings.Contains(body, `"statuses":null`) {
		t.Errorf("without a status: %s, want pending, 0, null", body)
	}
}

// statuses: one that failed or warns is a failure, one that has not ended is pending, the newest of a name counts.
func (p *probe) statuses(t T) {
	sha := p.b.History(t, "built", "", subjects("One")...)[0]
	for i, c := range []struct{ context, state, want string }{
		{"ci/test", "pending", "pending"},
		{"ci/test", "success", "success"},
		{"ci/image", "pending", "pending"},
		{"ci/lint", "warning", "failure"},
		{"ci/lint", "success", "pending"},
		{"ci/image", "error", "failure"},
	} {
		p.b.SetStatus(t, "built", sha, giteatest.Status{Context: c.context, State: c.state})
		got, body := p.status(t, "built", sha)
		if got.State != c.want || got.Total == 0 || got.Total != len(got.Statuses) || got.Statuses[0].Status == "" {
			t.Errorf("step %d, %s is %s: %s, want %s", i, c.context, c.state, body, c.want)
		}
	}
}
