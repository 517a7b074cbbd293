package giteatest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	ociIndex    = "application/vnd.oci.image.index.v1+json"
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociConfig   = "application/vnd.oci.image.config.v1+json"
	ociLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
	inToto      = "application/vnd.in-toto+json"
)

// Image describes what PushImage makes. The zero value is a plain linux/amd64 image.
type Image struct {
	Platforms    []string          // "linux/amd64", "linux/arm/v7"; more than one makes an index
	Attestations bool              // a provenance manifest beside each platform, as buildx adds; makes an index
	Content      string            // two images of equal content and platform have equal configs; empty: the tag
	Annotations  map[string]string // on each platform's manifest: another digest, the same config
	Labels       map[string]string // in the config
	Pusher       string            // empty: "ci"
	At           time.Time         // when it was pushed; zero: now
}

// MultiArch is what a usual CI pushes: amd64 and arm64 with attestations.
func MultiArch() Image {
	return Image{Platforms: []string{"linux/amd64", "linux/arm64"}, Attestations: true}
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    map[string]string `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	Config        *descriptor       `json:"config,omitempty"`
	Layers        []descriptor      `json:"layers,omitempty"`
	Manifests     []descriptor      `json:"manifests,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// PushImage pushes an image ("acme/api") under a tag, its parts first, and gives the digest the tag then names.
// A tag that exists is overwritten. The same input always makes the same digests.
func (s *Server) PushImage(image, tag string, i Image) (digest string) {
	if i.Content == "" {
		i.Content = tag
	}
	if i.Pusher == "" {
		i.Pusher = "ci"
	}
	if len(i.Platforms) == 0 {
		i.Platforms = []string{"linux/amd64"}
	}
	if len(i.Platforms) == 1 && !i.Attestations {
		return s.pushOne(image, tag, i.Platforms[0], i).Digest
	}
	index := manifest{SchemaVersion: 2, MediaType: ociIndex}
	var attestations []descriptor
	for _, p := range i.Platforms {
		d := s.pushOne(image, "", p, i)
		index.Manifests = append(index.Manifests, d)
		if i.Attestations {
			attestations = append(attestations, s.attest(image, d, i))
		}
	}
	index.Manifests = append(index.Manifests, attestations...)
	return s.put(image, tag, index, i).Digest
}

// pushOne pushes one platform's image; without a tag under its digest.
func (s *Server) pushOne(image, tag, platform string, i Image) descriptor {
	layer, diffID := layerOf(image + " " + i.Content + " " + platform)
	p := platformOf(platform)
	config := map[string]any{
		"created": "2026-01-01T00:00:00Z", // a fixed time, as a reproducible build has
		"config":  map[string]any{"Entrypoint": []string{"/app"}, "Labels": i.Labels},
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{diffID}},
	}
	for k, v := range p {
		config[k] = v
	}
	m := manifest{
		SchemaVersion: 2, MediaType: ociManifest, Annotations: i.Annotations,
		Config: s.blobOf(image, ociConfig, encode(config)),
		Layers: []descriptor{*s.blobOf(image, ociLayer, layer)},
	}
	d := s.put(image, tag, m, i)
	d.Platform = p
	return d
}

// attest pushes a provenance manifest for one platform's image.
func (s *Server) attest(image string, of descriptor, i Image) descriptor {
	statement := encode(map[string]any{"_type": "https://in-toto.io/Statement/v0.1", "subject": of.Digest})
	m := manifest{
		SchemaVersion: 2, MediaType: ociManifest,
		Config: s.blobOf(image, ociConfig, encode(map[string]any{
			"architecture": "unknown", "os": "unknown", "config": map[string]any{},
			"rootfs": map[string]any{"type": "layers", "diff_ids": []string{digestOf(statement)}},
		})),
		Layers: []descriptor{*s.blobOf(image, inToto, statement)},
	}
	d := s.put(image, "", m, i)
	d.Platform = map[string]string{"architecture": "unknown", "os": "unknown"}
	d.Annotations = map[string]string{
		"vnd.docker.reference.digest": of.Digest,
		"vnd.docker.reference.type":   "attestation-manifest",
	}
	return d
}

func (s *Server) put(image, tag string, m manifest, i Image) descriptor {
	content := encode(m)
	if tag == "" {
		tag = digestOf(content)
	}
	v := s.state.putManifest(image, tag, m.MediaType, i.Pusher, content, i.At)
	return descriptor{MediaType: m.MediaType, Digest: v.digest, Size: len(content)}
}

func (s *Server) blobOf(image, mediaType string, content []byte) *descriptor {
	return &descriptor{MediaType: mediaType, Digest: s.state.putBlob(image, content), Size: len(content)}
}

func platformOf(s string) map[string]string {
	part := strings.Split(s, "/")
	if len(part) < 2 {
		panic(fmt.Sprintf("giteatest: platform %q: want os/arch", s))
	}
	p := map[string]string{"os": part[0], "architecture": part[1]}
	if len(part) > 2 {
		p["variant"] = part[2]
	}
	return p
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("giteatest: manifest cannot be encoded: %v", err))
	}
	return b
}

// packers keeps compressors: each has close to a megabyte of tables, and a test pushes hundreds of images.
var packers = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

// layerOf makes a small real layer: a compressed tar of one file.
func layerOf(content string) (layer []byte, diffID string) {
	var raw bytes.Buffer
	t := tar.NewWriter(&raw)
	// Writes to memory do not fail.
	_ = t.WriteHeader(&tar.Header{Name: "app", Mode: 0o755, Size: int64(len(content))})
	_, _ = t.Write([]byte(content))
	_ = t.Close()
	var packed bytes.Buffer
	z := packers.Get().(*gzip.Writer)
	defer packers.Put(z)
	z.Reset(&packed)
	_, _ = z.Write(raw.Bytes())
	_ = z.Close()
	return packed.Bytes(), digestOf(raw.Bytes())
}
