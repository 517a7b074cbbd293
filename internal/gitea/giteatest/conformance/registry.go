package conformance

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// signIn: two challenges, a token without an end, and no access token as Bearer.
func (p *probe) signIn(t *testing.T) {
	r := p.ask(t, http.MethodGet, "/v2/", "").want(t, http.StatusUnauthorized)
	challenges := r.header.Values("WWW-Authenticate")
	if len(challenges) != 2 || !strings.HasPrefix(challenges[0], "Bearer realm=") || !strings.HasPrefix(challenges[1], "Basic realm=") {
		t.Fatalf("challenges %q, want Bearer, then Basic", challenges)
	}
	if !strings.Contains(challenges[0], `/v2/token"`) {
		t.Errorf("challenge %q, want the realm at /v2/token", challenges[0])
	}
	p.ask(t, http.MethodGet, "/v2/", basic(p.token)).want(t, http.StatusOK)
	p.ask(t, http.MethodGet, "/v2/", "Bearer "+p.token).want(t, http.StatusUnauthorized)

	var told map[string]any
	r = p.ask(t, http.MethodGet, "/v2/token?service=container_registry&scope=*", basic(p.token)).want(t, http.StatusOK)
	if err := json.Unmarshal([]byte(r.body), &told); err != nil {
		t.Fatal(err)
	}
	jwt, _ := told["token"].(string)
	if len(told) != 1 || strings.Count(jwt, ".") != 2 {
		t.Fatalf("token answer %s, want a JWT and nothing else", r.body)
	}
	p.ask(t, http.MethodGet, "/v2/", "Bearer "+jwt).want(t, http.StatusOK)
	p.ask(t, http.MethodPost, "/v2/token", basic(p.token)).want(t, http.StatusNotFound)
}

// tagLists: by lower-cased name, all without n, and Link on every list that holds a tag.
func (p *probe) tagLists(t *testing.T) {
	p.v2(t, http.MethodGet, "tagged/tags/list").want(t, http.StatusNotFound).wantBody(t, "NAME_UNKNOWN")
	for _, tag := range []string{"Ccc", "aaa", "bbb"} {
		p.push(t, "tagged", tag, randomImage(t))
	}
	list := func(query string) (tags []string, link string) {
		r := p.v2(t, http.MethodGet, "tagged/tags/list"+query).want(t, http.StatusOK)
		var got struct{ Tags []string }
		if err := json.Unmarshal([]byte(r.body), &got); err != nil {
			t.Fatal(err)
		}
		return got.Tags, r.header.Get("Link")
	}
	for _, c := range []struct {
		query string
		want  []string
		link  bool
	}{
		{"", []string{"aaa", "bbb", "ccc"}, true},
		{"?n=2", []string{"aaa", "bbb"}, true},
		{"?n=2&last=bbb", []string{"ccc"}, true},
		{"?n=2&last=ccc", nil, false},
		{"?n=0", nil, false},
	} {
		tags, link := list(c.query)
		if !slices.Equal(tags, c.want) || (link != "") != c.link || (c.link && !strings.Contains(link, `rel="next"`)) {
			t.Errorf("tags/list%s: %q with Link %q, want %q and a Link: %v", c.query, tags, link, c.want, c.link)
		}
	}
	p.v2(t, http.MethodHead, "tagged/manifests/CCC").want(t, http.StatusOK)
}

// manifests: the stored form whatever is accepted, with the digest in two headers; 404 in the registry's words.
func (p *probe) manifests(t *testing.T) {
	digest := p.push(t, "multi", "abc1234", randomIndex(t))
	r := p.v2(t, http.MethodHead, "multi/manifests/abc1234", "Accept", string(types.DockerManifestSchema2)).want(t, http.StatusOK)
	if got := r.header.Get("Content-Type"); got != string(types.OCIImageIndex) {
		t.Errorf("media type %q, want the index although only a manifest is accepted", got)
	}
	if got := r.header.Get("Docker-Content-Digest"); got != digest {
		t.Errorf("digest %q, want %q", got, digest)
	}
	if got := r.header.Get("ETag"); got != `"`+digest+`"` {
		t.Errorf("ETag %q, want the digest in quotes", got)
	}
	p.v2(t, http.MethodHead, "multi/manifests/nosuch1").want(t, http.StatusNotFound)
	p.v2(t, http.MethodGet, "multi/manifests/nosuch1").want(t, http.StatusNotFound).wantBody(t, "MANIFEST_UNKNOWN")
	p.v2(t, http.MethodGet, "multi/manifests/"+digestOf([]byte("nothing"))).want(t, http.StatusNotFound).wantBody(t, "MANIFEST_UNKNOWN")
}

// overwritten: the old digest is gone at once, its children stay, and the row is a new one.
func (p *probe) overwritten(t *testing.T) {
	index := randomIndex(t)
	old := p.push(t, "moved", "abc1234", index)
	before := p.row(t, "moved", "abc1234")
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	now := p.push(t, "moved", "abc1234", randomIndex(t))
	after := p.row(t, "moved", "abc1234")

	p.v2(t, http.MethodHead, "moved/manifests/"+old).want(t, http.StatusNotFound)
	p.v2(t, http.MethodGet, "moved/manifests/"+old).want(t, http.StatusNotFound)
	p.v2(t, http.MethodHead, "moved/manifests/"+m.Manifests[0].Digest.String()).want(t, http.StatusOK)
	if got := p.v2(t, http.MethodHead, "moved/manifests/abc1234").header.Get("Docker-Content-Digest"); got != now {
		t.Errorf("digest %q after the push, want %q", got, now)
	}
	if after.ID == before.ID || after.CreatedAt.Before(before.CreatedAt) {
		t.Errorf("row %d of %s became %d of %s, want a new id and not an older time", before.ID, before.CreatedAt, after.ID, after.CreatedAt)
	}
}

func randomImage(t *testing.T) v1.Image {
	t.Helper()
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// randomIndex makes an index of two platforms, each with an attestation.
func randomIndex(t *testing.T) v1.ImageIndex {
	t.Helper()
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range []string{"amd64", "arm64"} {
		img := mutate.MediaType(randomImage(t), types.OCIManifestSchema1)
		digest, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		index = mutate.AppendManifests(index,
			mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}},
			mutate.IndexAddendum{Add: mutate.MediaType(randomImage(t), types.OCIManifestSchema1), Descriptor: v1.Descriptor{
				Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"},
				Annotations: map[string]string{
					"vnd.docker.reference.type":   "attestation-manifest",
					"vnd.docker.reference.digest": digest.String(),
				},
			}})
	}
	return index
}
