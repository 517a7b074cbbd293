package conformance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
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

func (p *probe) rows(t *testing.T, image, query string) ([]row, reply) {
	t.Helper()
	var rows []row
	r := p.api(t, "packages/"+p.b.Owner()+"/container/"+image+query, &rows)
	return rows, r.want(t, http.StatusOK)
}

func (p *probe) row(t *testing.T, image, version string) row {
	t.Helper()
	rows, _ := p.rows(t, image, "?limit=50")
	i := slices.IndexFunc(rows, func(r row) bool { return r.Version == version })
	if i < 0 {
		t.Fatalf("no row for %s in the list of %s", version, image)
	}
	return rows[i]
}

// packages: newest first, polluted by the untagged parts, 50 rows at most, totals always.
func (p *probe) packages(t *testing.T) {
	if rows, r := p.rows(t, "listed", "?limit=50"); len(rows) != 0 || r.header.Get("X-Total-Count") != "0" {
		t.Fatalf("an image nobody pushed: %d rows, total %q, want an empty list", len(rows), r.header.Get("X-Total-Count"))
	}
	const tags = 11 // of five rows each
	for i := range tags {
		p.push(t, "listed", fmt.Sprintf("%07d", i), randomIndex(t))
	}
	all, r := p.rows(t, "listed", "?limit=100")
	if len(all) != 50 || r.header.Get("X-Total-Count") != fmt.Sprint(tags*5) {
		t.Fatalf("%d rows, total %s, want 50 of %d", len(all), r.header.Get("X-Total-Count"), tags*5)
	}
	if link := r.header.Get("Link"); !strings.Contains(link, `rel="next"`) || !strings.Contains(link, `rel="last"`) {
		t.Errorf("Link %q, want next and last", link)
	}
	if rows, _ := p.rows(t, "listed", ""); len(rows) != 30 {
		t.Errorf("%d rows without a limit, want 30", len(rows))
	}
	rest, _ := p.rows(t, "listed", "?limit=50&page=2")
	all = append(all, rest...)
	var found []string
	for i, row := range all {
		if row.Repository != nil || row.Type != "container" || row.Name != "listed" {
			t.Fatalf("row %+v, want a container without a repository", row)
		}
		if i > 0 && (row.CreatedAt.After(all[i-1].CreatedAt) || (row.CreatedAt.Equal(all[i-1].CreatedAt) && row.ID > all[i-1].ID)) {
			t.Fatalf("row %d is newer than the one before it", i)
		}
		if !strings.HasPrefix(row.Version, "sha256:") {
			found = append(found, row.Version)
		}
	}
	slices.Reverse(found)
	if len(found) != tags || !slices.IsSorted(found) {
		t.Errorf("tags %q, want %d in push order", found, tags)
	}
	if link := all[0].HTMLURL; !strings.HasPrefix(link, "http") || !strings.Contains(link, "/-/packages/container/listed/") {
		t.Errorf("html_url %q, want the image's page", link)
	}
}

// nestedName: a slash in a package's name is %2F in the API.
func (p *probe) nestedName(t *testing.T) {
	p.push(t, "team/nested", "abc1234", randomImage(t))
	if rows, _ := p.rows(t, "team%2Fnested", ""); len(rows) != 1 || rows[0].Name != "team/nested" {
		t.Errorf("rows %+v, want the one of team/nested", rows)
	}
	var none any
	p.api(t, "packages/"+p.b.Owner()+"/container/team/nested", &none).want(t, http.StatusNotFound)
}

// access: who may not read is told so, each door in its own way.
func (p *probe) access(t *testing.T) {
	p.push(t, "private", "abc1234", randomImage(t))
	packages := "/api/v1/packages/" + p.b.Owner() + "/container/private"
	stranger := p.b.Token(t, false, "read:package", "read:repository")
	manifest := "/v2/" + p.b.Owner() + "/private/manifests/abc1234"

	p.ask(t, http.MethodGet, manifest, basic(stranger)).want(t, http.StatusUnauthorized).wantBody(t, "reqPackageAccess")
	p.ask(t, http.MethodGet, manifest, basic("nobody-has-this")).want(t, http.StatusUnauthorized)
	if r := p.ask(t, http.MethodGet, packages, "token "+stranger); r.status != http.StatusForbidden && r.status != http.StatusNotFound {
		t.Errorf("packages for a stranger: %d, want 403 or 404", r.status)
	}
	p.ask(t, http.MethodGet, packages, "token nobody-has-this").want(t, http.StatusUnauthorized)

	narrow := p.b.Token(t, true, "read:repository")
	r := p.ask(t, http.MethodGet, packages, "token "+narrow).want(t, http.StatusForbidden).wantBody(t, "required=[read:package]")
	var told map[string]any
	if err := json.Unmarshal([]byte(r.body), &told); err != nil || told["message"] == nil || told["url"] == nil {
		t.Errorf("body %s, want JSON with message and url", r.body)
	}
}

// commits: newest first, ranges by not, totals, and names of four digits or more.
func (p *probe) commits(t *testing.T) {
	sha := p.b.History(t, "history", "One", "Two", "Three\n\nWith a body.", "Four")
	repo := "repos/" + p.b.Owner() + "/history/"
	type commit struct {
		SHA    string
		Commit struct {
			Message string
			Author  struct {
				Name string
				Date time.Time
			}
		}
	}
	list := func(query string) ([]commit, http.Header) {
		var got []commit
		r := p.api(t, repo+"commits?stat=false&verification=false&files=false&"+query, &got).want(t, http.StatusOK)
		return got, r.header
	}
	got, h := list("sha=" + sha[3][:7] + "&not=" + sha[1] + "&limit=50")
	if len(got) != 2 || got[0].SHA != sha[3] || got[1].SHA != sha[2] || h.Get("X-Total") != "2" || h.Get("X-Total-Count") != "2" {
		t.Fatalf("Two..Four: %+v, totals %q %q, want Four and Three", got, h.Get("X-Total"), h.Get("X-Total-Count"))
	}
	if c := got[1].Commit; !strings.HasPrefix(c.Message, "Three\n\nWith") || c.Author.Name == "" || c.Author.Date.IsZero() {
		t.Errorf("commit %+v, want message, author and time", c)
	}
	if got, h := list("sha=" + sha[1] + "&not=" + sha[3] + "&limit=1"); len(got) != 0 || h.Get("X-Total") != "0" {
		t.Errorf("the reverse: %d commits of %s, want none", len(got), h.Get("X-Total"))
	}
	if got, h := list("sha=" + sha[3] + "&limit=1"); len(got) != 1 || h.Get("X-Total") == "1" {
		t.Errorf("a page of one: %d commits of %s", len(got), h.Get("X-Total"))
	}
	var one commit
	var any any
	p.api(t, repo+"git/commits/"+sha[2][:4], &one).want(t, http.StatusOK)
	if one.SHA != sha[2] {
		t.Errorf("commit %s by its start, want %s", one.SHA, sha[2])
	}
	p.api(t, repo+"git/commits/"+sha[2][:3], &any).want(t, http.StatusNotFound)
	p.api(t, repo+"git/commits/0123456", &any).want(t, http.StatusNotFound).wantBody(t, `"message"`)
	p.api(t, repo+"commits?sha=0123456", &any).want(t, http.StatusNotFound).wantBody(t, `"message"`)
	var compared struct {
		Total   int `json:"total_commits"`
		Commits []commit
	}
	p.api(t, repo+"compare/"+sha[0][:7]+"..."+sha[3][:7], &compared).want(t, http.StatusOK)
	if compared.Total != 3 || len(compared.Commits) != 3 || compared.Commits[0].SHA != sha[3] {
		t.Errorf("compare: %+v, want Four, Three, Two", compared)
	}
}

// statuses: none at all is "pending" with a null list; one failure is a failure.
func (p *probe) statuses(t *testing.T) {
	sha := p.b.History(t, "built", "One")[0]
	var got struct {
		State    string
		Total    int `json:"total_count"`
		Statuses []struct{ Status, Context string }
	}
	ask := func() string {
		got.Statuses = nil
		return p.api(t, "repos/"+p.b.Owner()+"/built/commits/"+sha[:7]+"/status", &got).want(t, http.StatusOK).body
	}
	if body := ask(); got.State != "pending" || got.Total != 0 || !strings.Contains(body, `"statuses":null`) {
		t.Errorf("without a status: %s, want pending, 0, null", body)
	}
	p.b.SetStatus(t, "built", sha, giteatest.Status{Context: "ci/test", State: "success"})
	if body := ask(); got.State != "success" || got.Total != 1 {
		t.Errorf("after a success: %s", body)
	}
	p.b.SetStatus(t, "built", sha, giteatest.Status{Context: "ci/lint", State: "warning"})
	if body := ask(); got.State != "failure" || got.Total != 2 || got.Statuses[0].Status == "" {
		t.Errorf("after a warning: %s, want failure", body)
	}
}
