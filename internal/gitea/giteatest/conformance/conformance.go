// Package conformance holds a Gitea to what the portal counts on: the fake of giteatest passes it, and a real one must.
package conformance

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"deployportal/internal/gitea/giteatest"
)

// T is what the suite needs of *testing.T; a Recorder is one too.
type T interface {
	Helper()
	Context() context.Context
	Cleanup(f func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Fatal(args ...any)
}

// Backend is a Gitea under test. Its owner is a private organisation that holds nothing yet.
type Backend interface {
	// URL is the site's address, without a trailing slash.
	URL() string
	// Owner is the organisation that images and repositories belong to.
	Owner() string
	// Token makes an access token: for a member of the organisation who may read and write, or for a stranger.
	Token(t T, member bool, scopes ...string) string
	// History makes a repository with these commits, oldest first, or goes on with one, and gives their SHAs. Of a
	// commit it takes Message and Files. From names the commit to go on from; empty: the newest of the main branch.
	History(t T, repository, from string, commits ...giteatest.Commit) []string
	// SetStatus reports a commit status on a full SHA.
	SetStatus(t T, repository, sha string, st giteatest.Status)
	// Hook has the owner's package events sent to an address.
	Hook(t T, url, secret string)
	// Cleanup runs a cleanup rule that keeps the newest versions of one image.
	Cleanup(t T, image string, keep int)
	// Person makes a member of the organisation's team "deployers" who signs in with a password.
	Person(t T) (name, password string)
	// OAuth2 registers an application that people sign in to.
	OAuth2(t T, redirect string) (id, secret string)
}

// Case is one thing the portal counts on.
type Case struct {
	Name string
	run  func(*probe, T)
}

// Cases are all of them. Each uses images and repositories of its own.
func Cases() []Case {
	return []Case{
		{"two challenges", (*probe).challenges},
		{"sign-in token", (*probe).signInToken},
		{"access token", (*probe).accessToken},
		{"tags by name", (*probe).tagLists},
		{"link on every tag list", (*probe).tagLinks},
		{"lower-cased tags", (*probe).lowerCased},
		{"accept is ignored", (*probe).acceptIgnored},
		{"manifests", (*probe).manifests},
		{"old digest is gone", (*probe).oldDigest},
		{"overwritten tag is a new row", (*probe).newRow},
		{"list holds untagged parts", (*probe).untaggedParts},
		{"list is newest first", (*probe).newestFirst},
		{"list is paged and counted", (*probe).counted},
		{"no repository is linked", (*probe).unlinked},
		{"nested name", (*probe).nestedName},
		{"refusal of the registry is text", (*probe).refusalText},
		{"refusal of the API", (*probe).refusalAPI},
		{"missing scope", (*probe).missingScope},
		{"commits", (*probe).commits},
		{"ranges", (*probe).ranges},
		{"default branch", (*probe).defaultBranch},
		{"files of commits", (*probe).files},
		{"no status is pending", (*probe).noStatus},
		{"combined status", (*probe).statuses},
		{"one event a manifest", (*probe).eventEach},
		{"events of parts come first", (*probe).eventOrder},
		{"events name no repository", (*probe).eventRepository},
		{"events are signed", (*probe).eventSigned},
		{"overwriting is one created event", (*probe).eventOverwrite},
		{"cleanup counts untagged parts", (*probe).cleanup},
		{"cleanup sends no event", (*probe).cleanupSilent},
		{"people and their groups", (*probe).groups},
	}
}

// Run holds a Gitea to what the portal counts on.
func Run(t *testing.T, b Backend) {
	p := newProbe(t, b)
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) { c.run(p, t) })
	}
}

// Failing runs the cases of these names, or all, records what fails instead of failing, and gives the names of the
// cases that did with what they said. It is for Giteas that are wrong on purpose.
func Failing(ctx context.Context, b func(T) Backend, names ...string) map[string]string {
	failed := map[string]string{}
	setup := newRecorder(ctx)
	defer setup.end()
	var p *probe
	setup.do(func() { p = newProbe(setup, b(setup)) })
	if setup.said() != "" {
		return map[string]string{"(set-up)": setup.said()}
	}
	for _, c := range Cases() {
		if len(names) > 0 && !slices.Contains(names, c.Name) {
			continue
		}
		r := newRecorder(ctx)
		r.do(func() { c.run(p, r) })
		r.end()
		if r.said() != "" {
			failed[c.Name] = r.said()
		}
	}
	return failed
}

// probe asks a Gitea as a plain HTTP client does.
type probe struct {
	b     Backend
	token string // may read and write
}

func newProbe(t T, b Backend) *probe {
	return &probe{b, b.Token(t, true, "write:package", "read:repository")}
}

// reply is an answer read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

// ask sends a request; auth is a whole Authorization value or empty.
func (p *probe) ask(t T, method, path, auth string, header ...string) reply {
	t.Helper()
	base := p.b.URL()
	if strings.HasPrefix(path, "/v2") {
		u, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		base = u.Scheme + "://" + u.Host // the registry is at the root, whatever the sub-path
	}
	req, err := http.NewRequestWithContext(t.Context(), method, base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(body)}
}

func basic(token string) string {
	req := http.Request{Header: http.Header{}}
	req.SetBasicAuth("anyone", token)
	return req.Header.Get("Authorization")
}

// v2 asks the registry with Basic and the access token.
func (p *probe) v2(t T, method, path string, header ...string) reply {
	t.Helper()
	return p.ask(t, method, "/v2/"+p.b.Owner()+"/"+path, basic(p.token), header...)
}

// api asks the API and decodes a 200 into out.
func (p *probe) api(t T, path string, out any) reply {
	t.Helper()
	r := p.ask(t, http.MethodGet, "/api/v1/"+path, "token "+p.token)
	if r.status == http.StatusOK {
		if err := json.Unmarshal([]byte(r.body), out); err != nil {
			t.Fatalf("GET %s: %v in %s", path, err, r.body)
		}
	}
	return r
}

// push pushes an image over the wire and gives its digest.
func (p *probe) push(t T, image, tag string, content remote.Taggable) string {
	t.Helper()
	u, err := url.Parse(p.b.URL())
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(u.Host+"/"+p.b.Owner()+"/"+image+":"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	opts := []remote.Option{
		remote.WithContext(t.Context()),
		remote.WithAuth(authn.FromConfig(authn.AuthConfig{Username: "anyone", Password: p.token})),
	}
	if err := remote.Push(ref, content, opts...); err != nil {
		t.Fatalf("push %s: %v", ref, err)
	}
	raw, err := content.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	return digestOf(raw)
}

func (r reply) want(t T, status int) reply {
	t.Helper()
	if r.status != status {
		t.Fatalf("status %d, want %d; body %.300s", r.status, status, r.body)
	}
	return r
}

func (r reply) wantBody(t T, part string) reply {
	t.Helper()
	if !strings.Contains(r.body, part) {
		t.Fatalf("body %.300q, want %q in it", r.body, part)
	}
	return r
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}
