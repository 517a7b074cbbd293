package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/foreign"
)

// maxManifests bounds what an index may list before the portal refuses to look at it.
const maxManifests = 64

// Resolve looks a tag or a digest ("sha256:...") of a repository ("host/owner/name") up. It always asks whether the
// registry has it, because tags move and Gitea deletes what a moved tag named; what belongs to a digest is read once.
// An upper-case tag is lower-cased, as Gitea does. Pushed is filled from the last list, where the tag is in it.
// Errors: errs.NotFound when the registry itself answered that it has none, errs.Forbidden when it refuses us or
// would have us sign in elsewhere, errs.Unavailable when it cannot be reached, errs.Invalid for a repository of
// another registry or a reference that cannot be one.
func (c *Client) Resolve(ctx context.Context, repository, ref string) (deploys.Image, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	repo, err := c.repository(repository)
	if err != nil {
		return deploys.Image{}, err
	}
	if !isDigest(ref) {
		ref = strings.ToLower(ref)
	}
	img := deploys.Image{Repository: repository}
	// Between asking for the tag and reading its digest a push may move it, and Gitea then deletes the digest.
	// Once more is enough: a tag that moves twice within one call is reported as it stands.
	for attempt := range 2 {
		img.Digest, err = c.head(ctx, repo, ref)
		if err != nil {
			return deploys.Image{}, err
		}
		img.Manifests, err = c.manifests(ctx, repo, img.Digest)
		if err == nil || errs.KindOf(err) != errs.NotFound || isDigest(ref) || attempt == 1 {
			break
		}
	}
	if err != nil {
		return deploys.Image{}, err
	}
	if !isDigest(ref) {
		img.Tag = ref
		img.Pushed = c.pushed(repository, ref)
	}
	return img, nil
}

// Configs gives the config digests behind a digest: of a plain image one, of an index one for each platform,
// attestations left out. What was read before costs no call, and is told even if the registry has lost it since.
// Errors as Resolve.
func (c *Client) Configs(ctx context.Context, repository, digest string) ([]string, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	repo, err := c.repository(repository)
	if err != nil {
		return nil, err
	}
	if !isDigest(digest) {
		return nil, errs.New(errs.Invalid, "%s is not a digest.", foreign.Line(digest, 80))
	}
	if config, known := c.configs.get(repo.Name() + "@" + digest); known {
		return []string{config}, nil
	}
	list, err := c.manifests(ctx, repo, digest)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, m := range list {
		out = append(out, m.Config)
	}
	return out, nil
}

func isDigest(ref string) bool { return strings.HasPrefix(ref, "sha256:") }

func shortDigest(d string) string { return d[:min(len(d), len("sha256:")+12)] }

// repository takes a repository string apart; it must be one of this registry.
func (c *Client) repository(s string) (name.Repository, error) {
	host, path, ok := strings.Cut(s, "/")
	if !ok || !strings.EqualFold(host, c.registry) {
		return name.Repository{}, errs.New(errs.Invalid, "%s is not in the registry at %s.", foreign.Line(s, 200), c.registry)
	}
	opts := []name.Option{name.StrictValidation}
	if c.base.Scheme == "http" {
		opts = append(opts, name.Insecure)
	}
	repo, err := name.NewRepository(c.registry+"/"+path, opts...)
	if err != nil || !strings.Contains(path, "/") {
		return name.Repository{}, errs.Wrap(err, errs.Invalid, "%s is not an image repository: want host/owner/name.", foreign.Line(s, 200))
	}
	return repo, nil
}

// missing is the sentence for a reference the registry does not have.
func missing(repo name.Repository, ref string) string {
	if isDigest(ref) {
		return fmt.Sprintf("The registry has no image %s in %s.", shortDigest(ref), repo.RepositoryStr())
	}
	return fmt.Sprintf("The registry has no tag %s in %s.", deploys.ShortTag(ref), repo.RepositoryStr())
}

func reference(repo name.Repository, ref string) (name.Reference, error) {
	full, sep := repo.Name(), ":"
	opts := []name.Option{name.StrictValidation}
	if repo.Scheme() == "http" {
		opts = append(opts, name.Insecure)
	}
	if isDigest(ref) {
		sep = "@"
	}
	r, err := name.ParseReference(full+sep+ref, opts...)
	if err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "%s is neither a tag nor a digest.", foreign.Line(ref, 80))
	}
	return r, nil
}

// head asks what a reference names now.
func (c *Client) head(ctx context.Context, repo name.Repository, ref string) (string, error) {
	r, err := reference(repo, ref)
	if err != nil {
		return "", err
	}
	d, err := c.puller.Head(ctx, r)
	if errors.Is(err, context.Canceled) && ctx.Err() == nil {
		// The first sign-in of a repository is shared: it was another caller who went away.
		d, err = c.puller.Head(ctx, r)
	}
	var answer *transport.Error
	if errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound {
		// A HEAD's 404 has no body, so a proxy's cannot be told from the registry's. "Gone" must be certain.
		got, err := c.read(ctx, repo, ref)
		if err != nil {
			return "", err
		}
		return got.Digest.String(), nil
	}
	if err != nil {
		return "", c.registryFault("HEAD manifest "+r.String(), err, missing(repo, ref))
	}
	return d.Digest.String(), nil
}

// read fetches a manifest.
func (c *Client) read(ctx context.Context, repo name.Repository, ref string) (*remote.Descriptor, error) {
	r, err := reference(repo, ref)
	if err != nil {
		return nil, err
	}
	d, err := c.puller.Get(ctx, r)
	if err != nil {
		return nil, c.registryFault("GET manifest "+r.String(), err, missing(repo, ref))
	}
	return d, nil
}

// manifests gives the platforms behind a digest. What is known of a digest stays true.
func (c *Client) manifests(ctx context.Context, repo name.Repository, digest string) ([]deploys.Manifest, error) {
	key := repo.Name() + "@" + digest
	if known, ok := c.images.get(key); ok {
		return append([]deploys.Manifest(nil), known...), nil
	}
	d, err := c.read(ctx, repo, digest)
	if err != nil {
		return nil, err
	}
	var found []deploys.Manifest
	if d.MediaType.IsIndex() {
		found, err = c.children(ctx, repo, d)
	} else {
		found, err = c.plain(repo, d)
	}
	if err != nil {
		return nil, err
	}
	c.images.put(key, found)
	return append([]deploys.Manifest(nil), found...), nil
}

// children reads the platform manifests of an index, attestations left out.
func (c *Client) children(ctx context.Context, repo name.Repository, d *remote.Descriptor) ([]deploys.Manifest, error) {
	index, err := v1.ParseIndexManifest(strings.NewReader(string(d.Manifest)))
	if err != nil || len(index.Manifests) > maxManifests {
		return nil, errs.Wrap(err, errs.Invalid, "The index %s in %s cannot be read.", shortDigest(d.Digest.String()), repo.RepositoryStr())
	}
	var found []deploys.Manifest
	for _, m := range index.Manifests {
		if m.MediaType.IsImage() && !isAttestation(m) {
			found = append(found, deploys.Manifest{Digest: m.Digest.String(), Platform: platform(m.Platform)})
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i := range found {
		g.Go(func() (err error) {
			m := &found[i]
			m.Config, err = c.config(ctx, repo, m.Digest)
			if errs.KindOf(err) == errs.NotFound {
				return errs.Wrap(err, errs.NotFound, "The registry has lost the %s part of %s in %s.", m.Platform, shortDigest(d.Digest.String()), repo.RepositoryStr())
			}
			return err
		})
	}
	return found, g.Wait()
}

// plain reads an image that is no index: only its config says which platform it is for.
func (c *Client) plain(repo name.Repository, d *remote.Descriptor) ([]deploys.Manifest, error) {
	config, err := c.configOf(repo, d)
	if err != nil {
		return nil, err
	}
	m := deploys.Manifest{Digest: d.Digest.String(), Config: config}
	img, err := d.Image()
	if err != nil {
		return nil, errs.Wrap(c.clean(err), errs.Invalid, "The manifest %s in %s cannot be read.", shortDigest(m.Digest), repo.RepositoryStr())
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, c.registryFault("GET config "+config, err, missing(repo, m.Digest))
	}
	if file.OS != "" || file.Architecture != "" {
		m.Platform = platform(file.Platform())
	}
	return []deploys.Manifest{m}, nil
}

// config gives the config digest of a plain image; a known one costs no call.
func (c *Client) config(ctx context.Context, repo name.Repository, digest string) (string, error) {
	if config, known := c.configs.get(repo.Name() + "@" + digest); known {
		return config, nil
	}
	d, err := c.read(ctx, repo, digest)
	if err != nil {
		return "", err
	}
	return c.configOf(repo, d)
}

// configOf takes the config digest out of a manifest that is no index, and remembers it.
func (c *Client) configOf(repo name.Repository, d *remote.Descriptor) (string, error) {
	m, err := v1.ParseManifest(strings.NewReader(string(d.Manifest)))
	if err != nil || m.Config.Digest.Hex == "" {
		return "", errs.Wrap(err, errs.Invalid, "The manifest %s in %s cannot be read.", shortDigest(d.Digest.String()), repo.RepositoryStr())
	}
	config := m.Config.Digest.String()
	c.configs.put(repo.Name()+"@"+d.Digest.String(), config)
	return config, nil
}

func isAttestation(m v1.Descriptor) bool {
	return m.Annotations["vnd.docker.reference.type"] != "" ||
		(m.Platform != nil && m.Platform.OS == "unknown" && m.Platform.Architecture == "unknown")
}

func platform(p *v1.Platform) string {
	if p == nil {
		return ""
	}
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return foreign.Line(s, 100)
}

// pushed gives the push time of a tag as last listed, in whichever app's list it stands; memory only.
func (c *Client) pushed(repository, tag string) time.Time {
	for _, i := range c.anyListOf(repository).Images {
		if i.Tag == tag {
			return i.Pushed
		}
	}
	return time.Time{}
}
