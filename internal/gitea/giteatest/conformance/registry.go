package conformance

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// challenges: one for each way to sign in, in headers of their own.
func (p *probe) challenges(t T) {
	r := p.ask(t, http.MethodGet, "/v2/", "").want(t, http.StatusUnauthorized)
	challenges := r.header.Values("WWW-Authenticate")
	if len(challenges) != 2 || !strings.HasPrefix(challenges[0], "Bearer realm=") || !strings.HasPrefix(challenges[1], "Basic realm=") {
		t.Fatalf("challenges %q, want Bearer, then Basic", challenges)
	}
	if !strings.Contains(challenges[0], `/v2/token"`) {
		t.Errorf("challenge %q, want the realm at /v2/token", challenges[0])
	}
}

// signInToken: a JWT of a day, about whose end only the JWT tells; also for nobody.
func (p *probe) signInToken(t T) {
	for _, auth := range []string{basic(p.token), ""} {
		var told map[string]any
		r := p.ask(t, http.MethodGet, "/v2/token?service=container_registry&scope=*", auth).want(t, http.StatusOK)
		if err := json.Unmarshal([]byte(r.body), &told); err != nil {
			t.Fatal(err)
		}
		jwt, _ := told["token"].(string)
		if len(told) != 1 {
			t.Fatalf("token answer %s, want a token and nothing else", r.body)
		}
		claims := jwtClaims(t, jwt)
		from, _ := claims["nbf"].(float64)
		until, _ := claims["exp"].(float64)
		if life := time.Duration(until-from) * time.Second; life != 24*time.Hour {
			t.Errorf("the token lives %v, want 24 h", life)
		}
		p.ask(t, http.MethodGet, "/v2/", "Bearer "+jwt).want(t, http.StatusOK)
	}
	p.ask(t, http.MethodGet, "/v2/token", basic("nobody-has-this")).want(t, http.StatusUnauthorized)
	p.ask(t, http.MethodPost, "/v2/token", basic(p.token)).want(t, http.StatusNotFound)
}

// jwtClaims reads what stands in a token, without a look at its signature.
func jwtClaims(t T, jwt string) map[string]any {
	t.Helper()
	part := strings.Split(jwt, ".")
	if len(part) != 3 {
		t.Fatalf("token %q, want a JWT", jwt)
	}
	text, err := base64.RawURLEncoding.DecodeString(part[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(text, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// accessToken: good as a password, not as Bearer.
func (p *probe) accessToken(t T) {
	p.ask(t, http.MethodGet, "/v2/", basic(p.token)).want(t, http.StatusOK)
	p.ask(t, http.MethodGet, "/v2/", "Bearer "+p.token).want(t, http.StatusUnauthorized)
}

func (p *probe) tagList(t T, image, query string) (tags []string, link string) {
	t.Helper()
	r := p.v2(t, http.MethodGet, image+"/tags/list"+query).want(t, http.StatusOK)
	var got struct{ Tags []string }
	if err := json.Unmarshal([]byte(r.body), &got); err != nil {
		t.Fatal(err)
	}
	return got.Tags, r.header.Get("Link")
}

// tagLists: by name, all of them without n.
func (p *probe) tagLists(t T) {
	p.v2(t, http.MethodGet, "tagged/tags/list").want(t, http.StatusNotFound).wantBody(t, "NAME_UNKNOWN")
	for _, tag := range []string{"ccc", "aaa", "bbb"} {
		p.push(t, "tagged", tag, randomImage(t))
	}
	for query, want := range map[string][]string{
		"": {"aaa", "bbb", "ccc"}, "?n=2": {"aaa", "bbb"}, "?n=2&last=bbb": {"ccc"}, "?n=2&last=ccc": nil, "?n=0": nil,
	} {
		if tags, _ := p.tagList(t, "tagged", query); !slices.Equal(tags, want) {
			t.Errorf("tags/list%s: %q, want %q", query, tags, want)
		}
	}
}

// tagLinks: to a next page whenever there was a tag, on the last page too.
func (p *probe) tagLinks(t T) {
	for _, tag := range []string{"aaa", "bbb"} {
		p.push(t, "linked", tag, randomImage(t))
	}
	for query, want := range map[string]bool{"": true, "?n=1": true, "?n=1&last=aaa": true, "?n=1&last=bbb": false, "?n=0": false} {
		tags, link := p.tagList(t, "linked", query)
		if (link != "") != want || (want && !strings.Contains(link, `rel="next"`)) {
			t.Errorf("tags/list%s: %q with Link %q, want a Link: %v", query, tags, link, want)
		}
	}
}

// lowerCased: a tag is kept in lower case and found in any.
func (p *probe) lowerCased(t T) {
	p.push(t, "cased", "ABCdef1", randomImage(t))
	p.push(t, "cased", "zzz", randomImage(t))
	if tags, _ := p.tagList(t, "cased", ""); !slices.Equal(tags, []string{"abcdef1", "zzz"}) {
		t.Errorf("tags %q, want abcdef1 and zzz", tags)
	}
	p.v2(t, http.MethodHead, "cased/manifests/ABCDEF1").want(t, http.StatusOK)
	p.row(t, "cased", "abcdef1")
}

// acceptIgnored: the stored form, whatever the request accepts.
func (p *probe) acceptIgnored(t T) {
	p.push(t, "accepted", "abc1234", randomIndex(t))
	for _, method := range []string{http.MethodHead, http.MethodGet} {
		r := p.v2(t, method, "accepted/manifests/abc1234", "Accept", string(types.DockerManifestSchema2)).want(t, http.StatusOK)
		if got := r.header.Get("Content-Type"); got != string(types.OCIImageIndex) {
			t.Errorf("%s: media type %q, want the index although only a manifest is accepted", method, got)
		}
	}
}

// manifests: the digest in two headers, and 404 in the registry's words.
func (p *probe) manifests(t T) {
	digest := p.push(t, "multi", "abc1234", randomIndex(t))
	r := p.v2(t, http.MethodHead, "multi/manifests/abc1234").want(t, http.StatusOK)
	if got := r.header.Get("Docker-Content-Digest"); got != digest {
		t.Errorf("digest %q, want %q", got, digest)
	}
	if got := r.header.Get("ETag"); got != `"`+digest+`"` {
		t.Errorf("ETag %q, want the digest in quotes", got)
	}
	p.v2(t, http.MethodHead, "multi/manifests/"+digest).want(t, http.StatusOK)
	p.v2(t, http.MethodHead, "multi/manifests/nosuch1").want(t, http.StatusNotFound)
	p.v2(t, http.MethodGet, "multi/manifests/nosuch1").want(t, http.StatusNotFound).wantBody(t, "MANIFEST_UNKNOWN")
	p.v2(t, http.MethodGet, "multi/manifests/"+digestOf([]byte("nothing"))).want(t, http.StatusNotFound).wantBody(t, "MANIFEST_UNKNOWN")
}

// oldDigest: gone with the push that overwrites its tag, of an index and of a plain image; an index's children stay.
func (p *probe) oldDigest(t T) {
	index := randomIndex(t)
	old := p.push(t, "moved", "abc1234", index)
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	now := p.push(t, "moved", "abc1234", randomIndex(t))
	p.v2(t, http.MethodHead, "moved/manifests/"+old).want(t, http.StatusNotFound)
	p.v2(t, http.MethodGet, "moved/manifests/"+old).want(t, http.StatusNotFound)
	p.v2(t, http.MethodHead, "moved/manifests/"+m.Manifests[0].Digest.String()).want(t, http.StatusOK)
	if got := p.v2(t, http.MethodHead, "moved/manifests/abc1234").header.Get("Docker-Content-Digest"); got != now {
		t.Errorf("digest %q after the push, want %q", got, now)
	}
	old = p.push(t, "moved", "plain01", randomImage(t))
	p.push(t, "moved", "plain01", randomImage(t))
	p.v2(t, http.MethodHead, "moved/manifests/"+old).want(t, http.StatusNotFound)
}

// newRow: an overwritten tag has a new id and the time of the push that overwrote it, and is first in the list again.
func (p *probe) newRow(t T) {
	p.push(t, "rows", "abc1234", randomImage(t))
	before := p.row(t, "rows", "abc1234")
	// Times are told to the second: other pushes pass the time until one is later than the first.
	late := time.Now().Add(patience)
	for i := 0; ; i++ {
		tag := fmt.Sprintf("%07d", i)
		p.push(t, "rows", tag, randomImage(t))
		if p.row(t, "rows", tag).CreatedAt.After(before.CreatedAt) {
			break
		}
		if time.Now().After(late) {
			t.Fatalf("%d pushes in %v are all of %s", i+1, patience, before.CreatedAt)
		}
	}
	p.push(t, "rows", "abc1234", randomImage(t))
	after := p.row(t, "rows", "abc1234")
	if after.ID <= before.ID || !after.CreatedAt.After(before.CreatedAt) {
		t.Errorf("row %d of %s became %d of %s, want a higher id and a later time", before.ID, before.CreatedAt, after.ID, after.CreatedAt)
	}
	if rows, _ := p.rows(t, "rows", ""); rows[0].Version != "abc1234" {
		t.Errorf("%s is first in the list, want the tag that was overwritten last", rows[0].Version)
	}
}

func randomImage(t T) v1.Image {
	t.Helper()
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// randomIndex makes an index of two platforms, each with an attestation.
func randomIndex(t T) v1.ImageIndex {
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
