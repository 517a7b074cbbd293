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
	err     error
	asked   int
}

// NewRegistry has every tag.
func NewRegistry() *Registry {
	return &Registry{digests: map[string]string{}, missing: map[string]bool{}}
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

// Config implements deploys.Registry: a digest that Move or Resolve knows has the config Resolve gave; others are
// not found.
func (r *Registry) Config(_ context.Context, _, manifest string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	if r.err != nil {
		return "", r.err
	}
	if c := r.digests["config of "+manifest]; c != "" {
		return c, nil
	}
	return "", errs.New(errs.NotFound, "The registry has no manifest %s.", manifest)
}

// SetConfig makes Config answer for a manifest.
func (r *Registry) SetConfig(manifest, config string) {
	r.locked(func() { r.digests["config of "+manifest] = config })
}
