package deploystest

import (
	"context"
	"strings"
	"sync"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// Registry is a registry in memory: every tag exists, and its digest is Digest(tag), unless said otherwise.
type Registry struct {
	mu      sync.Mutex
	digests map[string]string // tag -> digest
	missing map[string]bool   // tag or digest
	configs map[string][]string
	err     error
	asked   int
}

// NewRegistry has every tag.
func NewRegistry() *Registry {
	return &Registry{digests: map[string]string{}, missing: map[string]bool{}, configs: map[string][]string{}}
}

// Move makes a tag name another digest.
func (r *Registry) Move(tag, digest string) { r.locked(func() { r.digests[tag] = digest }) }

// Remove makes a tag or digest unknown.
func (r *Registry) Remove(ref string) { r.locked(func() { r.missing[ref] = true }) }

// Fail makes every question fail; nil ends it.
func (r *Registry) Fail(err error) { r.locked(func() { r.err = err }) }

// Asked counts the questions.
func (r *Registry) Asked() (n int) {
	r.locked(func() { n = r.asked })
	return n
}

func (r *Registry) locked(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// Resolve implements deploys.Registry.
func (r *Registry) Resolve(_ context.Context, repository, ref string) (deploys.Image, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	if r.err != nil {
		return deploys.Image{}, r.err
	}
	_, short, _ := strings.Cut(repository, "/")
	if r.missing[ref] {
		return deploys.Image{}, errs.New(errs.NotFound, "The registry has no tag %s in %s.", ref, short)
	}
	img := deploys.Image{Repository: repository, Tag: ref, Digest: Digest(ref), Pushed: time.Unix(0, 0)}
	if strings.HasPrefix(ref, "sha256:") {
		img.Tag, img.Digest = "", ref
	} else if d := r.digests[ref]; d != "" {
		img.Digest = d
	}
	img.Manifests = []deploys.Manifest{{Digest: Digest("amd64" + img.Digest), Config: Digest("config" + img.Digest), Platform: "linux/amd64"}}
	return img, nil
}

// Configs implements deploys.Registry: what SetConfigs said; other digests are not found.
func (r *Registry) Configs(_ context.Context, _, digest string) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	if r.err != nil {
		return nil, r.err
	}
	if c := r.configs[digest]; len(c) > 0 {
		return c, nil
	}
	return nil, errs.New(errs.NotFound, "The registry has no manifest %s.", digest)
}

// SetConfigs makes Configs answer for a digest.
func (r *Registry) SetConfigs(digest string, configs ...string) {
	r.locked(func() { r.configs[digest] = configs })
}
