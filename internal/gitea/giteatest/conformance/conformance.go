// Package conformance holds a Gitea to what the portal counts on: the fake of giteatest passes it, and a real one must.
package conformance

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"deployportal/internal/gitea/giteatest"
)

// Backend is a Gitea under test. Its owner is a private organisation.
type Backend interface {
	// URL is the site's address, without a trailing slash.
	URL() string
	// Owner is the organisation that images and repositories belong to.
	Owner() string
	// Token makes an access token: for a member of the organisation who may read and write, or for a stranger.
	Token(t *testing.T, member bool, scopes ...string) string
	// History makes a repository with commits of these subjects, oldest first, and gives their SHAs.
	History(t *testing.T, repository string, subjects ...string) []string
	// SetStatus reports a commit status on a full SHA.
	SetStatus(t *testing.T, repository, sha string, st giteatest.Status)
}

// Run holds a Gitea to what the portal counts on.
func Run(t *testing.T, b Backend) {
	p := newProbe(t, b)
	t.Run("sign-in", p.signIn)
	t.Run("tags", p.tagLists)
	t.Run("manifests", p.manifests)
	t.Run("overwritten tag", p.overwritten)
	t.Run("package list", p.packages)
	t.Run("nested name", p.nestedName)
	t.Run("access", p.access)
	t.Run("commits", p.commits)
	t.Run("combined status", p.statuses)
}

// probe asks a Gitea as a plain HTTP client does.
type probe struct {
	b     Backend
	token string // may read and write
}

func newProbe(t *testing.T, b Backend) *probe {
	return &probe{b, b.Token(t, true, "write:package", "read:repository")}
}

// reply is an answer read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

// ask sends a request; auth is a whole Authorization value or empty.
func (p *probe) ask(t *testing.T, method, path, auth string, header ...string) reply {
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
func (p *probe) v2(t *testing.T, method, path string, header ...string) reply {
	t.Helper()
	return p.ask(t, method, "/v2/"+p.b.Owner()+"/"+path, basic(p.token), header...)
}

// api asks the API and decodes a 200 into out.
func (p *probe) api(t *testing.T, path string, out any) reply {
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
func (p *probe) push(t *testing.T, image, tag string, content remote.Taggable) string {
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

func (r reply) want(t *testing.T, status int) reply {
	t.Helper()
	if r.status != status {
		t.Fatalf("status %d, want %d; body %.300s", r.status, status, r.body)
	}
	return r
}

func (r reply) wantBody(t *testing.T, part string) reply {
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
