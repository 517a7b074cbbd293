package giteatest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

// state is everything the fake knows. Every change goes through a method of this file.
type state struct {
	mu       sync.Mutex
	now      func() time.Time
	nextID   int64
	packages map[string]*pkg     // "owner/name"
	repos    map[string]*repo    // "owner/name"
	uploads  map[string][]byte   // open blob uploads
	jwts     map[string]*Account // tokens given at /v2/token; nil is the anonymous ghost

	// changed is told of every version that came or went, in order, under the lock: it must not wait.
	changed func(action, image string, v version, doer string)
}

// pkg is one container image with all its versions.
type pkg struct {
	owner, name string
	blobs       map[string][]byte // digest -> config or layer
	versions    []*version        // in the order they were pushed
}

// version is one row of the package list: a tag, or an untagged manifest under its digest.
type version struct {
	id        int64
	name      string // the tag, lower-cased, or "sha256:..."
	digest    string
	mediaType string
	manifest  []byte
	creator   string
	created   time.Time
}

func newState(now func() time.Time) *state {
	return &state{
		now: now, packages: map[string]*pkg{}, repos: map[string]*repo{},
		uploads: map[string][]byte{}, jwts: map[string]*Account{},
	}
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func isDigest(ref string) bool { return strings.HasPrefix(ref, "sha256:") }

func (s *state) id() int64 { s.nextID++; return s.nextID }

// putBlob stores a config or a layer.
func (s *state) putBlob(image string, content []byte) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.packageFor(image)
	d := digestOf(content)
	p.blobs[d] = content
	return d
}

func (s *state) packageFor(image string) *pkg {
	p, ok := s.packages[image]
	if !ok {
		owner, name, _ := strings.Cut(image, "/")
		p = &pkg{owner: owner, name: name, blobs: map[string][]byte{}}
		s.packages[image] = p
	}
	return p
}

// putManifest stores a manifest under a tag or its digest. A tag that exists is deleted first, with the digest it
// named, and comes back as a new row.
func (s *state) putManifest(image, ref, mediaType, creator string, content []byte, at time.Time) *version {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.packageFor(image)
	digest, name := digestOf(content), strings.ToLower(ref)
	if i := p.index(name); i >= 0 {
		if isDigest(ref) {
			return p.versions[i]
		}
		p.versions = slices.Delete(p.versions, i, i+1)
	}
	if at.IsZero() {
		at = s.now()
	}
	v := &version{
		id: s.id(), name: name, digest: digest, mediaType: mediaType, manifest: content,
		creator: creator, created: at.UTC().Truncate(time.Second),
	}
	p.versions = append(p.versions, v)
	s.changed("created", image, *v, creator) // of the one it replaces nothing is told
	return v
}

// deleteVersion removes a tag or an untagged manifest and tells whether it was there.
func (s *state) deleteVersion(image, name, doer string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.packages[image]
	if !ok {
		return false
	}
	i := p.index(strings.ToLower(name))
	if i < 0 {
		return false
	}
	gone := *p.versions[i]
	p.versions = slices.Delete(p.versions, i, i+1)
	s.changed("deleted", image, gone, doer)
	return true
}

func (s *state) cleanup(image string, keep int) {
	rows, _ := s.rows(image)
	if keep >= len(rows) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.packages[image]
	for _, r := range rows[keep:] {
		if r.name == "latest" || isDigest(r.name) && p.refers(r.digest) {
			continue
		}
		if i := p.index(r.name); i >= 0 {
			p.versions = slices.Delete(p.versions, i, i+1)
		}
	}
}

// refers tells whether a version that is there names a digest as its part.
func (p *pkg) refers(digest string) bool {
	return slices.ContainsFunc(p.versions, func(v *version) bool {
		var index struct{ Manifests []struct{ Digest string } }
		if json.Unmarshal(v.manifest, &index) != nil {
			return false
		}
		return slices.ContainsFunc(index.Manifests, func(m struct{ Digest string }) bool { return m.Digest == digest })
	})
}

func (p *pkg) index(name string) int {
	return slices.IndexFunc(p.versions, func(v *version) bool { return v.name == name })
}

// manifest finds what a tag or digest names. A digest lives as long as a row has it.
func (s *state) manifest(image, ref string) (version, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.packages[image]
	if !ok {
		return version{}, false
	}
	ref = strings.ToLower(ref)
	for _, v := range p.versions {
		if v.name == ref || v.digest == ref {
			return *v, true
		}
	}
	return version{}, false
}

func (s *state) blob(image, digest string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.packages[image]
	if !ok {
		return nil, false
	}
	b, ok := p.blobs[digest]
	return b, ok
}

// rows lists the versions of an image, newest first.
func (s *state) rows(image string) ([]version, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.packages[image]
	if !ok || len(p.versions) == 0 {
		return nil, false // Gitea deletes a package with its last version
	}
	all := make([]version, 0, len(p.versions))
	for _, v := range p.versions {
		all = append(all, *v)
	}
	sort.SliceStable(all, func(i, j int) bool {
		if !all[i].created.Equal(all[j].created) {
			return all[i].created.After(all[j].created)
		}
		return all[i].id > all[j].id
	})
	return all, true
}

// tags lists the tags of an image by name.
func (s *state) tags(image string) ([]string, bool) {
	all, ok := s.rows(image)
	if !ok {
		return nil, false
	}
	tags := []string{}
	for _, v := range all {
		if !isDigest(v.name) {
			tags = append(tags, v.name)
		}
	}
	slices.Sort(tags)
	return tags, true
}

// images lists every image that has a version, by name.
func (s *state) images() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for name, p := range s.packages {
		if len(p.versions) > 0 {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

func (s *state) openUpload() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := fmt.Sprintf("upload-%d", s.id())
	s.uploads[id] = []byte{}
	return id
}

// appendUpload adds a part and gives the whole so far.
func (s *state) appendUpload(id string, part []byte) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	have, ok := s.uploads[id]
	if !ok {
		return nil, false
	}
	s.uploads[id] = append(have, part...)
	return s.uploads[id], true
}

func (s *state) closeUpload(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.uploads, id)
}
